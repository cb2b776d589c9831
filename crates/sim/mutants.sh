#!/usr/bin/env bash
# Plants bugs, one after the other, and says which seed finds each.
#
#   crates/sim/mutants.sh [NAME...] [--seeds N] [--hours H] [--table]
#
# Without a name every bug of `sim --mutants` is planted. For each, seeds are run from 1 on until one is violated, N at
# most, 100 where nothing is said. HOURS are simulated hours of faults for each seed; where nothing is said, as many as
# the bug needs. JOBS seeds run at a time, one where nothing is said. With --table what was found is written to
# MUTANTS.md beside this script. Exit code 1 when a bug was not found.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
seeds=100
hours=""
table=false
names=()
while [ $# -gt 0 ]; do
    case $1 in
    --seeds) seeds=${2:?how many seeds} && shift ;;
    --hours) hours=${2:?how many hours} && shift ;;
    --table) table=true ;;
    *) names+=("$1") ;;
    esac
    shift
done
jobs=${JOBS:-1}
cd "$here/../.."
if [ -z "${SIM:-}" ]; then
    cargo build --quiet --profile sim -p sim --features mutants
    SIM=${CARGO_TARGET_DIR:-target}/sim/sim
fi
list=$("$SIM" --mutants)
if [ ${#names[@]} -eq 0 ]; then
    mapfile -t names < <(cut -f1 <<<"$list")
fi
kept=$(mktemp -d)
export SIM kept

# Runs one seed of a planted bug, unless an earlier one has found it.
one() {
    local name=$1 hours=$2 seed=$3 out="$kept/$1-$3.txt" code=0
    [ -e "$kept/found-$name" ] && return 0
    timeout 600 "$SIM" --seed "$seed" --hours "$hours" --mutant "$name" >"$out" 2>&1 || code=$?
    echo "$seed" >>"$kept/ran-$name"
    if [ "$code" -eq 1 ] && grep -q '^violation' "$out"; then
        echo "$seed" >>"$kept/found-$name"
    else
        [ "$code" -eq 0 ] || echo "$name: seed $seed ended with code $code: $(tail -n 1 "$out")" >&2
        rm "$out"
    fi
}
export -f one

commit=$(git rev-parse --short HEAD)
missed=0
: >"$kept/took"
: >"$kept/rows"
for name in "${names[@]}"; do
    row=$(grep -P "^$name\t" <<<"$list") || { echo "no planted bug is called $name" >&2 && exit 2; }
    of_bug=${hours:-$(cut -f2 <<<"$row" | awk '{ print $1 / 60 }')}
    seq 1 "$seeds" | xargs -P "$jobs" -I{} bash -c 'one "$@"' _ "$name" "$of_bug" {}
    if [ -e "$kept/found-$name" ]; then
        seed=$(sort -n "$kept/found-$name" | head -n 1)
        out="$kept/$name-$seed.txt"
        rule=$(sed -n 's/^violation: //p' "$out" | head -n 1)
        of_cell=$(sed -n 's/^ *rule: //p' "$out" | head -n 1)
        [ "$rule" != "the rules of the cell" ] || rule=$of_cell
        echo "$name found by seed $seed after $(wc -l <"$kept/ran-$name") seeds: $rule"
        echo "$seed" >>"$kept/took"
        echo "| $name | $(cut -f3 <<<"$row") | $seed | $rule | $commit |" >>"$kept/rows"
    else
        echo "$name NOT FOUND in $seeds seeds"
        echo "$((seeds + 1))" >>"$kept/took"
        echo "| $name | $(cut -f3 <<<"$row") | not in $seeds | | $commit |" >>"$kept/rows"
        missed=$((missed + 1))
    fi
done
median=$(sort -n "$kept/took" | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }')
echo "${#names[@]} planted, $missed not found, median $median seeds, kept in $kept"
if "$table"; then
    file="$here/MUTANTS.md"
    {
        sed '/^| --- /q' "$file"
        # Rows of other bugs stay as they are.
        {
            sed '1,/^| --- /d' "$file" | grep -vFf <(cut -d'|' -f1,2 "$kept/rows" | sed 's/$/|/') || true
            cat "$kept/rows"
        } | sort
    } >"$kept/table"
    cp "$kept/table" "$file"
fi
[ "$missed" -eq 0 ]
