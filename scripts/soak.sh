#!/usr/bin/env bash
# Disturbs nights and feeds in bad input for as long as it takes, on a PostgreSQL server of its own and on the embedded one,
# and prints what was survived; docs/resilience.md is made of it. Ends with 1 when anything was not.
#
#     MARTS_KILL_POINTS=1000 scripts/soak.sh                    more of one thing
#     MARTS_KILL_SEED=7 MARTS_FUZZ_SEED=7 scripts/soak.sh       other points, other input
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}

export MARTS_WHOLE_NIGHTS=1
export MARTS_CUTS=${MARTS_CUTS:-40}
export MARTS_RESTARTS=${MARTS_RESTARTS:-12}
export MARTS_FULL_DISKS=${MARTS_FULL_DISKS:-12}
export MARTS_DAMAGES=${MARTS_DAMAGES:-40}
export MARTS_PAIRS=${MARTS_PAIRS:-12}
export MARTS_FUZZ_CASES=${MARTS_FUZZ_CASES:-1200}

said=$(mktemp)
trap 'rm -f "$said"' EXIT
status=0
"$cargo" test --locked --test main --no-run

# tried COMMAND…: what it prints is shown as it comes, and kept.
tried() { "$@" 2>&1 | tee -a "$said" || status=1; }
# One test after the other, so that each has the machine.
tests=("$cargo" test --locked --test main -- --nocapture --test-threads 1)
MARTS_KILL_POINTS=${MARTS_KILL_POINTS:-300} tried scripts/with-postgres.sh "${tests[@]}" faults:: fuzz:: postgres::attacks
MARTS_KILL_POINTS=${MARTS_EMBEDDED_KILL_POINTS:-30} tried "${tests[@]}" faults::kills

printf '\n%-66s %s\n' "WHAT" "HOW MANY, OR HOW MUCH"
grep -o 'figure: .*' "$said" | sed 's/^figure: //' | awk -F' = ' '{ printf "%-66s %s\n", $1, $2 }'
echo "in $((SECONDS / 60)) min $((SECONDS % 60)) s on $(nproc) processors, commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
if [[ $status != 0 ]]; then echo "error: not everything was survived; see above" >&2; fi
exit "$status"
