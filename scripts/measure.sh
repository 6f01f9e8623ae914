#!/usr/bin/env bash
# Measures what is promised of `marts` on this machine: the memory that landing a large pull takes, and the time it takes
# to start. Prints what was measured and where, and ends with 1 when a limit is not kept.
#
#     MARTS_PROFILE=dev scripts/measure.sh       the build of the demonstration in place of a release build
#     MARTS_INVOICES=100000 scripts/measure.sh   a smaller pull
set -euo pipefail
cd "$(dirname "$0")/.."

memory_limit_mib=200
start_limit_ms=30
starts=50
invoices=${MARTS_INVOICES:-1000000}
profile=${MARTS_PROFILE:-release}
# Any day that has passed: the invoices are spread over its month, up to it.
as_of=2026-01-20

if ! command -v cc >/dev/null; then
    echo "error: a C compiler is missing, and the measuring is done with it" >&2
    exit 1
fi

# The database is a process of its own: the embedded one would count as memory of the program.
database="embedded in the process, so that its memory counts in"
if [[ ${1:-} == --beside-postgres ]]; then
    database="a process of its own"
elif tried=$(scripts/with-postgres.sh true 2>&1); then
    exec scripts/with-postgres.sh scripts/measure.sh --beside-postgres
else
    echo "${tried#error: }; measuring with the embedded one, whose memory counts in" >&2
    unset MARTS_TEST_POSTGRES_URL
fi

${CARGO:-cargo} build --locked --quiet --profile "$profile" --bin marts
folder=${CARGO_TARGET_DIR:-target}/${profile/#dev/debug}
marts=$(cd "$folder" && pwd)/marts
libraries=$(cd "${DUCKDB_LIB_DIR:-.duckdb}" && pwd)

work=$(mktemp -d "${TMPDIR:-/tmp}/marts-measure-XXXXXX")
sandbox=
running=
# shellcheck disable=SC2317 # the traps call it
clean_up() {
    trap - EXIT INT TERM HUP
    for process in $running $sandbox; do
        kill "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Runs a command so many times; prints the medians of the milliseconds it took and of those it had a processor, and the most
# memory that a run took, in KiB. In C, because a shell takes longer to start a program than the program itself.
cat >"$work/measure.c" <<'C'
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t child;

static void pass_on(int number) {
    if (child > 0) kill(child, number);
}

static int compare(const void *one, const void *other) {
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

int main(int count, char **words) {
    int runs = count > 2 ? atoi(words[1]) : 0;
    if (runs < 1) return 2;
    double *took = malloc(runs * sizeof *took), *worked = malloc(runs * sizeof *worked);
    long most = 0;
    signal(SIGTERM, pass_on);
    for (int run = 0; run < runs; run++) {
        struct timespec began, ended;
        struct rusage used;
        int status;
        clock_gettime(CLOCK_MONOTONIC, &began);
        child = fork();
        if (child == 0) {
            /* One run's output is wanted, that of many is not. */
            if (runs > 1) dup2(open("/dev/null", O_WRONLY), 1);
            else dup2(2, 1);
            execv(words[2], words + 2);
            _exit(127);
        }
        if (child < 0 || wait4(child, &status, 0, &used) < 0) return 1;
        clock_gettime(CLOCK_MONOTONIC, &ended);
        if (status != 0) return 1;
        took[run] = (ended.tv_sec - began.tv_sec) * 1e3 + (ended.tv_nsec - began.tv_nsec) / 1e6;
        worked[run] = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e3
            + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e3;
        if (used.ru_maxrss > most) most = used.ru_maxrss;
    }
    qsort(took, runs, sizeof *took, compare);
    qsort(worked, runs, sizeof *worked, compare);
#ifdef __APPLE__
    most /= 1024;
#endif
    printf("%.1f %.1f %ld\n", took[runs / 2], worked[runs / 2], most);
    return 0;
}
C
cc -O1 -o "$work/measure" "$work/measure.c"

# What starting costs that is not ours: loading the same library, and doing nothing.
echo 'const char *duckdb_library_version(void); int main(void) { return duckdb_library_version() == 0; }' >"$work/empty.c"
cc -o "$work/empty" "$work/empty.c" -L"$libraries" -lduckdb -Wl,-rpath,"$libraries"

load=$(uptime | sed -E 's/.*averages?: *([0-9.]+).*/\1/')
read -r empty_ms empty_cpu_ms _ < <("$work/measure" "$starts" "$work/empty")
read -r version_ms version_cpu_ms _ < <("$work/measure" "$starts" "$marts" --version)
read -r jobs_ms jobs_cpu_ms _ < <("$work/measure" "$starts" "$marts" jobs)

echo "Serving $invoices invoices ..." >&2
"$marts" sandbox --invoices "$invoices" --to "$as_of" --dir "$work" >"$work/sandbox.log" 2>&1 &
sandbox=$!
until grep -q 'ends the sandbox' "$work/sandbox.log"; do
    kill -0 "$sandbox" 2>/dev/null || { cat "$work/sandbox.log" >&2; exit 1; }
    sleep 0.1
done

if [[ -n ${MARTS_TEST_POSTGRES_URL:-} ]]; then
    printf '\n[postgres]\nurl = "env:MARTS_TEST_POSTGRES_URL"\n' >>"$work/marts.toml"
    "$marts" --config "$work/marts.toml" migrate >/dev/null
fi

echo "Running etl_sales_daily ..." >&2
"$work/measure" 1 "$marts" --config "$work/marts.toml" -v run etl_sales_daily --org bennett --as-of "$as_of" \
    >"$work/run.out" 2>"$work/run.log" &
running=$!
wait "$running" || { running=; cat "$work/run.log" >&2; exit 1; }
running=
read -r run_ms run_cpu_ms run_kib <"$work/run.out"

# figure STAGE NAME: of a stage's log line.
figure() { sed -nE "/\"message\":\"$1\"/s/.*\"$2\":([0-9]+).*/\1/p" "$work/run.log" | head -1; }
landed=$(figure landed rows)
land_mib=$(figure landed peak_memory_mib)
land_ms=$(figure landed duration_ms)
if [[ -z $land_mib || -z $land_ms || $landed -lt $invoices ]]; then
    echo "error: the run did not land $invoices invoices" >&2
    cat "$work/run.log" >&2
    exit 1
fi
postgres=$("$marts" --config "$work/marts.toml" postgres --format csv 'show server_version' | tail -1)
duckdb=$("$marts" --config "$work/marts.toml" query --format csv 'select version()' | tail -1)

model=$(sed -nE 's/^model name[[:space:]]*: //p' /proc/cpuinfo 2>/dev/null | head -1)
model=${model:-$(sysctl -n machdep.cpu.brand_string 2>/dev/null || uname -m)}
echo
echo "Machine   $(getconf _NPROCESSORS_ONLN) cores, $model, $(uname -srm), load $load when it began"
echo "Program   $("$marts" --version), profile $profile, $(rustc --version | cut -d' ' -f1-2), DuckDB $duckdb"
echo "Database  PostgreSQL ${postgres%% *}, $database"
echo

status=0
# row WHAT VALUE UNIT [LIMIT [EXCUSE]]: what is over its limit is no success, excused or not.
row() {
    local verdict=
    if [[ -n ${4:-} ]]; then
        verdict="at most $4 $3: kept"
        if awk "BEGIN { exit !($2 > $4) }"; then
            verdict="at most $4 $3: ${5:-NOT KEPT}"
            status=1
        fi
    fi
    printf '%-62s %9s %-5s %s\n' "$1" "$2" "$3" "$verdict"
}
rate() { awk "BEGIN { printf \"%.0f\", $1 / ($2 / 1000) }"; }
excuse=
if [[ -z ${MARTS_TEST_POSTGRES_URL:-} ]]; then excuse="not to be told, the database counts in"; fi
row "landing $landed rows: peak memory of the process" "$land_mib" MiB "$memory_limit_mib" "$excuse"
row "landing $landed rows: duration" "$land_ms" ms
row "landing $landed rows: speed" "$(rate "$landed" "$land_ms")" /s
row "the whole run: peak memory of the process" "$((run_kib / 1024))" MiB
row "the whole run: duration" "${run_ms%.*}" ms
row "the whole run: on a processor" "${run_cpu_ms%.*}" ms
row "a program that only loads libduckdb, median of $starts" "$empty_ms" ms
row "  on a processor" "$empty_cpu_ms" ms
row "marts --version, median of $starts" "$version_ms" ms "$start_limit_ms"
row "  on a processor" "$version_cpu_ms" ms
row "marts jobs, median of $starts" "$jobs_ms" ms "$start_limit_ms"
row "  on a processor" "$jobs_cpu_ms" ms
exit "$status"
