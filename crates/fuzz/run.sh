#!/usr/bin/env bash
# Looks for inputs that break a claim of a decoder: run.sh TARGET|all SECONDS
# Needs a C++ compiler, and nothing else than the installed stable Rust: LLVM's own pass counts the coverage.
# Prints a line of the README's table for each target; exits 1 when an input broke one. What is worth keeping of
# the inputs goes into corpus/TARGET.pack.
set -euo pipefail
cd "$(dirname "$0")"

wanted=${1:?run.sh TARGET|all SECONDS}
seconds=${2:?run.sh TARGET|all SECONDS}
host=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/../../target}/fuzz"
export CARGO_INCREMENTAL=0
# What cargo-fuzz sets with --sanitizer none; flags of the stable compiler.
export RUSTFLAGS="-Cpasses=sancov-module
    -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares"

# With --target the flags are not given to build scripts, which have no libFuzzer to link to.
(cd engine && cargo build --quiet --release --locked --target "$host")
engine="$CARGO_TARGET_DIR/$host/release/fuzz-engine"

# Runs one target and packs what it kept.
run() {
    local target=$1 found="$CARGO_TARGET_DIR/found/$1" inputs="$CARGO_TARGET_DIR/inputs/$1" log least runs coverage
    log="$found/log"
    least="$CARGO_TARGET_DIR/least/$1"
    rm -rf "$least" "$found"
    mkdir -p "$inputs" "$least" "$found" corpus
    "$engine" --target="$target" --fill="$inputs"
    nice -n 10 "$engine" --target="$target" "$inputs" -max_total_time="$seconds" -max_len=16384 -timeout=10 \
        -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$found/" >"$log" 2>&1 || true
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(grep -o 'cov: [0-9]* ft: [0-9]*' "$log" | tail -1)
    if compgen -G "$found/*-*" >/dev/null; then
        grep -A3 'panicked at\|ERROR: libFuzzer' "$log" | head -8 >&2
        echo "| \`$target\` | ${runs:-?} | $seconds | $coverage | an input in $found |"
        return 1
    fi
    echo "| \`$target\` | ${runs:-?} | $seconds | $coverage | 0 |"
    "$engine" --target="$target" -merge=1 -max_len=16384 "$least" "$inputs" >/dev/null 2>&1
    "$engine" --target="$target" --pack="$least" --into="corpus/$target.pack"
}

targets=$wanted
if [[ $wanted == all ]]; then
    targets=$("$engine")
fi
failed=0
for target in $targets; do
    run "$target" || failed=1
done
exit $failed
