#!/usr/bin/env bash
# Runs seeds, a process for each, and says which failed.
#
#   crates/sim/seeds.sh FIRST COUNT [HOURS] [--ledger]
#
# HOURS are simulated hours of faults for each seed, 0.1 where nothing is said. JOBS processes run at a time, as many
# as there are processors. With --ledger a line is added to LEDGER.md beside this script. What a failed seed printed is
# kept in the folder that the last line names. Exit code 1 when a seed failed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
first=${1:?the first seed}
count=${2:?how many seeds}
shift 2
hours=0.1
ledger=false
for word in "$@"; do
    case $word in
    --ledger) ledger=true ;;
    *) hours=$word ;;
    esac
done
jobs=${JOBS:-$(nproc)}
cd "$here/../.."
if [ -z "${SIM:-}" ]; then
    cargo build --quiet --profile sim -p sim
    SIM=${CARGO_TARGET_DIR:-target}/sim/sim
fi
kept=$(mktemp -d)
export SIM hours kept
seq "$first" $((first + count - 1)) | xargs -P "$jobs" -I{} bash -c '
    if ! timeout 1200 "$SIM" --seed {} --hours "$hours" >"$kept/{}.txt" 2>&1; then
        echo "seed {} failed: $(grep -m1 "^violation" "$kept/{}.txt" || tail -n 1 "$kept/{}.txt")"
        cp "$kept/{}.txt" "$kept/failed-{}.txt"
    fi
    tail -n 1 "$kept/{}.txt" >>"$kept/lines"
    [ -e "$kept/failed-{}.txt" ] || rm "$kept/{}.txt"
'
failed=$(find "$kept" -name 'failed-*' | wc -l)
total=$(awk '$1 == "seed" { sum += $4 } END { printf "%.2f", sum }' "$kept/lines")
echo "$count seeds, $total simulated hours, $failed failed, kept in $kept"
if "$ledger"; then
    commit=$(git rev-parse --short HEAD)
    echo "| $(date -u +%F) | $commit | $first to $((first + count - 1)) | $total | $failed |" >>"$here/LEDGER.md"
fi
[ "$failed" -eq 0 ]
