#!/bin/bash
# Builds the fuzz targets and runs them, as many at once as there are CPUs.
# usage: scripts/fuzz.sh [--seconds N | --runs N] [TARGET...]      default: --seconds 60, all targets
#
# New inputs that reach new code (edges, not counts of them: corpora stay small) are added to tests/fuzz/corpus/TARGET, inputs that fail to
# tests/fuzz/regression/TARGET; executions and findings are summed in tests/fuzz/ledger.csv.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
    sed -n '2,3s/^# //p' "$0" >&2
    exit 2
}

export LIMIT="-max_total_time=60"
while [ $# -gt 0 ]; do
    case "$1" in
    --seconds | --runs)
        [[ "${2:-}" =~ ^[0-9]+$ ]] || usage
        [ "$1" = --runs ] && LIMIT="-runs=$2" || LIMIT="-max_total_time=$2"
        shift 2
        ;;
    -*) usage ;;
    *) break ;;
    esac
done

export BUILD=build/fuzz WORK=build/fuzz/work
mkdir -p "$WORK"
cmake --preset fuzz >"$WORK/build.log" && cmake --build --preset fuzz --target fuzz_targets >>"$WORK/build.log" || {
    tail -n 40 "$WORK/build.log" >&2
    exit 1
}

targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cd tests/fuzz && ls fuzz_*.c 2>/dev/null | sed 's/^fuzz_//; s/\.c$//')
[ ${#targets[@]} -gt 0 ] || {
    echo "fuzz: there is no target" >&2
    exit 1
}

count_files() {
    find "$1" -type f | wc -l
}

# Runs one target, merges what it found, leaves "target executions coverage findings" in $WORK/NAME.row.
run_target() {
    local name="$1" corpus="tests/fuzz/corpus/$1" regression="tests/fuzz/regression/$1"
    local program="$BUILD/tests/fuzz/fuzz_$1" found="$WORK/$1.new" log="$WORK/$1.log" options=()
    [ -x "$program" ] || {
        echo "fuzz: no target $name" >&2
        return 1
    }
    rm -rf "$found"
    mkdir -p "$found" "$corpus" "$regression"
    [ -f "tests/fuzz/$name.dict" ] && options+=("-dict=tests/fuzz/$name.dict")
    local before
    before=$(count_files "$regression")
    "$program" "$LIMIT" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$regression/" "${options[@]}" "$found" "$corpus" >"$log" 2>&1 || true
    "$program" -merge=1 -use_counters=0 -timeout=10 -artifact_prefix="$regression/" "$corpus" "$found" \
        >"$WORK/$name.merge.log" 2>&1 || true
    local executions coverage findings
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
    coverage=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1 | cut -d ' ' -f 2 || true)
    findings=$(($(count_files "$regression") - before))
    echo "$name ${executions:-0} ${coverage:-0} $findings" >"$WORK/$name.row"
    rmdir "$regression" 2>/dev/null || true
}
export -f run_target count_files

rm -f "$WORK"/*.row
export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c 'run_target {}'

# The ledger: the sums over all runs, one line per target.
touch tests/fuzz/ledger.csv
awk -F '[ ,]' '
    $1 == "target" || NF < 3 { next }
    FILENAME ~ /\.csv$/ { runs[$1] = $2; bad[$1] = $3; next }
    { runs[$1] += $2; bad[$1] += $4 }
    END { for (t in runs) printf "%s,%d,%d\n", t, runs[t], bad[t] }
' tests/fuzz/ledger.csv "$WORK"/*.row | sort >"$WORK/ledger"
{ echo target,executions,findings && cat "$WORK/ledger"; } >tests/fuzz/ledger.csv

printf '%-20s %14s %9s %9s %16s\n' target executions coverage findings "executions ever"
failed=0
while read -r name executions coverage findings; do
    ever=$(awk -F , -v t="$name" '$1 == t { print $2 }' tests/fuzz/ledger.csv)
    printf '%-20s %14d %9d %9d %16d\n' "$name" "$executions" "$coverage" "$findings" "$ever"
    if [ "$findings" -gt 0 ] || [ "$executions" -eq 0 ]; then
        failed=1
        tail -n 30 "$WORK/$name.log" >&2
    fi
done < <(cat "$WORK"/*.row)
exit $failed
