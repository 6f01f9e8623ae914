#!/usr/bin/env bash
# with-postgres.sh COMMAND…: runs the command beside a PostgreSQL server of its own, which MARTS_TEST_POSTGRES_URL names,
# and takes the server away afterwards, however the command ended. MARTS_TEST_POSTGRES_RESTART is a command that stops the
# server as a crash would and starts it again; it disturbs everybody who works with it.
set -euo pipefail

if [[ $# == 0 ]]; then
    echo "usage: $0 COMMAND..." >&2
    exit 2
fi

# The newest server found: in PATH, or where Debian, Red Hat and Homebrew keep theirs.
find_bin() {
    local found
    if found=$(command -v initdb); then
        dirname "$(readlink -f "$found")"
        return
    fi
    find /usr/lib/postgresql /usr/pgsql-* /opt/homebrew/opt/postgresql* /usr/local/opt/postgresql* \
        -name initdb -path '*/bin/*' 2>/dev/null | sort -V | tail -1 | xargs -r dirname || true
}
bin=$(find_bin)
if [[ -z $bin ]]; then
    echo "error: no PostgreSQL server is installed (Debian, Ubuntu: apt-get install postgresql)" >&2
    exit 1
fi

# PostgreSQL refuses to run as root.
owner=$(id -un)
if [[ $(id -u) == 0 ]]; then
    owner=nobody
    if id postgres >/dev/null 2>&1; then owner=postgres; fi
fi
as_owner() {
    if [[ $owner == "$(id -un)" ]]; then "$@"; else runuser -u "$owner" -- "$@"; fi
}

# Short, because a socket's path may have no more than about a hundred bytes.
home=$(mktemp -d /tmp/marts-pg-XXXXXX)
command_pid=
# shellcheck disable=SC2317 # the traps call it
clean_up() {
    trap - EXIT INT TERM HUP
    if [[ -n $command_pid ]]; then kill "$command_pid" 2>/dev/null || true; fi
    if [[ -e $home/data/postmaster.pid ]]; then
        as_owner "$bin/pg_ctl" --pgdata "$home/data" --mode immediate --silent stop || true
    fi
    rm -rf "$home"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
printf '%s' "$password" >"$home/password"
chmod 600 "$home/password"
if [[ $owner != "$(id -un)" ]]; then chown -R "$owner" "$home"; fi
cd "$home"
as_owner "$bin/initdb" --pgdata "$home/data" --username marts --pwfile "$home/password" --auth scram-sha-256 \
    --encoding UTF8 --locale C --no-sync >"$home/log" 2>&1 || { cat "$home/log" >&2; exit 1; }

# A port is free only once we have it: try until one is.
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 40000))
    options="-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories=$home -c fsync=off"
    options+=" -c synchronous_commit=off -c full_page_writes=off -c max_connections=200"
    if as_owner "$bin/pg_ctl" --pgdata "$home/data" --log "$home/server.log" --options "$options" --wait --silent start \
        >/dev/null 2>&1; then
        break
    fi
    if [[ $attempt == 10 ]]; then
        echo "error: PostgreSQL does not start:" >&2
        cat "$home/server.log" >&2
        exit 1
    fi
done
cd "$OLDPWD"

echo "PostgreSQL $("$bin/postgres" --version | grep -oE '[0-9]+(\.[0-9]+)?' | head -1) on 127.0.0.1:$port" >&2
export MARTS_TEST_POSTGRES_URL="postgres://marts:$password@127.0.0.1:$port/postgres"
restart=("$bin/pg_ctl" --pgdata "$home/data" --log "$home/server.log" --mode immediate --wait --silent restart)
if [[ $owner != "$(id -un)" ]]; then restart=(runuser -u "$owner" -- "${restart[@]}"); fi
export MARTS_TEST_POSTGRES_RESTART="cd / && ${restart[*]@Q}"
# In the background, so that a signal to this script is heard at once; with its input, which that would take away.
"$@" <&0 &
command_pid=$!
status=0
wait "$command_pid" || status=$?
command_pid=
exit "$status"
