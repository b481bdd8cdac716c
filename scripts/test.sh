#!/bin/bash
# Runs everything that tests Meridian and installs the Debian packages it needs. Safe to run again.
# usage: scripts/test.sh [--long]
#   --long   also: timed fuzzing (FUZZ_SECONDS per target, 60), everything under valgrind, clang-tidy, the
#            long end-to-end tests, all cases of the randomised ones, 5 minutes of soak, idle memory
# A test that fails may run a second time; one that passes then is named as unsteady, unless a
# sanitizer has reported something.
# The logs of the steps are in build/logs. The last line is "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

long=
case "${1:-}" in
--long) long=--long && export MERIDIAN_CASES="${MERIDIAN_CASES:-100}" ;;
'') ;;
*)
    sed -n '3,5s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac

export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1:strict_string_checks=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"
export TSAN_OPTIONS="${TSAN_OPTIONS:-second_deadlock_stack=1}"
export CTEST_OUTPUT_ON_FAILURE=1
jobs=$(nproc)
suites=$((3 * jobs)) # of unit tests at a time: some of them wait for most of their time
logs=build/logs
mkdir -p "$logs"
rm -f "$logs"/*.log
number=0 passed=0 failed=0
failed_steps=()

# What of a failed step's log to read: each end-to-end test that failed with what it said, and the end.
show() {
    echo "--- of $1"
    sed -n '/^FAIL /,/^\(ok\|skip\) /{/^\(ok\|skip\) /!p}' "$1" | head -n "${FAIL_LINES:-400}"
    echo "--- the end of $1" && tail -n "${TAIL_LINES:-60}" "$1" && echo "---"
}

# step NAME COMMAND...: runs it with its output in a log; its tests are added to the sums. False where
# it failed.
step() {
    local name="$1" log start=$SECONDS status=0 counts
    shift
    number=$((number + 1))
    log="$logs/$(printf '%02d' "$number")-${name//[^a-z0-9]/-}.log"
    printf '%-44s' "$name"
    "$@" >"$log" 2>&1 </dev/null || status=$?
    read -ra counts < <(scripts/sum-tests.py "$log" "$status")
    passed=$((passed + counts[0])) failed=$((failed + counts[1]))
    if [ "$status" -eq 0 ] && [ "${counts[1]}" -eq 0 ]; then
        printf 'ok %5d s' $((SECONDS - start))
        [ "${counts[0]}" -gt 0 ] && printf ' %6d passed' "${counts[0]}"
        printf '%s\n' "$(tail -n 1 "$log" | grep -o ', [0-9]* skipped')"
        grep -hE '^unsteady: |Test +#.*\*\*\*' "$log"
        return 0
    fi
    printf 'FAILED %d s, %d passed, %d failed, status %d\n' $((SECONDS - start)) "${counts[@]}" "$status"
    show "$log"
    failed_steps+=("$name")
    return 1
}

build() {
    local preset="$1"
    shift
    cmake --preset "$preset" && cmake --build --preset "$preset" -j "$jobs" "$@"
}

# The release as users build it, in a folder of its own, where a warning is an error.
build_release() {
    cmake --preset release -B build/release-check -DMERIDIAN_WERROR=ON &&
        cmake --build build/release-check -j "$jobs" 2>&1 | tee "$logs/release.out" &&
        ! grep -i 'warning:' "$logs/release.out"
}

# ThreadSanitizer's shadow memory and a widely randomised address space do not go together.
steady() {
    if setarch -R true 2>/dev/null; then
        setarch -R "$@"
    else
        "$@"
    fi
}

# Each fuzz target once over each input kept.
replay() {
    local program name folders all=0
    for program in build/fuzz/tests/fuzz/fuzz_*; do
        [ -f "$program" ] && [ -x "$program" ] || continue
        name="${program##*/fuzz_}" folders=()
        for kind in corpus regression; do
            [ -d "tests/fuzz/$kind/$name" ] && folders+=("tests/fuzz/$kind/$name")
        done
        [ ${#folders[@]} -gt 0 ] || { echo "no corpus for $name" && return 1; }
        echo "== $name" && "$program" -runs=0 "${folders[@]}" || return 1
        all=$((all + 1))
    done
    echo "$all passed, 0 failed"
}

# The program without the central database, which is optional: what it has left works.
bare() {
    cmake --preset debug -B build/bare -DMERIDIAN_DATABASE=OFF && cmake --build build/bare -j "$jobs" &&
        python3 tests/e2e/run.py --build build/bare -k test_basic
}

step "packages" scripts/install-packages.sh build test ${long:+long}
step "checks: format, size, arrows, seams, words" scripts/check.sh
if step "build debug (asan, ubsan)" build debug; then
    step "unit tests (asan, ubsan)" ctest --test-dir build/debug -V -j "$suites" --repeat until-pass:2
    [ -f tests/e2e/run.py ] &&
        step "end to end (asan, ubsan)" python3 tests/e2e/run.py --build build/debug --again $long
    [ -n "$long" ] && step "clang-tidy" scripts/tidy.sh
fi
if step "build tsan" build tsan; then
    step "unit tests (tsan)" steady ctest --test-dir build/tsan -V -j "$suites" --repeat until-pass:2
    [ -f tests/e2e/run.py ] &&
        step "end to end (tsan)" steady python3 tests/e2e/run.py --build build/tsan --tsan --again
fi
if step "build fuzz (clang)" build fuzz --target fuzz_targets; then
    step "fuzz corpora, once" replay
    [ -n "$long" ] && step "fuzz, ${FUZZ_SECONDS:-60} s each" scripts/fuzz.sh --seconds "${FUZZ_SECONDS:-60}"
fi
step "simulation, ${SIM_SEEDS:-2000} seeds" scripts/simulate.py --seeds "${SIM_SEEDS:-2000}"
if step "build release (hardened, lto)" build_release; then
    step "hardening of the programs" scripts/check-binary.py build/release-check
    step "instructions of fixed inputs" python3 bench/cost.py --build build/release-check
    step "what measures the goals, in short" scripts/release-check.sh --short
fi
[ -n "$long" ] && step "build without libpq" bare
if [ -n "$long" ] && [ -x build/release-check/meridian ]; then
    step "changes under load (G3, G4, G5)" python3 bench/change.py --build build/release-check
    step "cost of a scrape" python3 bench/scrape.py --build build/release-check
    step "soak, ${SOAK_SECONDS:-300} s" python3 bench/soak.py --build build/release-check --seconds "${SOAK_SECONDS:-300}"
    step "failover (G6, G7)" python3 bench/failover.py --build build/release-check
    step "a crowd (F14)" python3 bench/crowd.py --build build/release-check
    step "geographic routing" python3 bench/geo_routing.py --build build/release-check
    step "memory of idle connections" python3 bench/memory.py --build build/release-check
fi
if [ -n "$long" ] && step "build plain" build plain; then
    step "unit tests (valgrind)" scripts/under.py valgrind --programs
    step "end to end (valgrind)" scripts/under.py valgrind --e2e
fi

if [ "$failed" -eq 0 ]; then
    echo "All went well in $((SECONDS / 60)) min $((SECONDS % 60)) s."
else
    printf 'Failed in %d min %d s:' $((SECONDS / 60)) $((SECONDS % 60))
    printf ' %s;' "${failed_steps[@]}"
    echo " see $logs"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
