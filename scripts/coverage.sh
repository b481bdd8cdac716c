#!/bin/bash
# Builds the cover preset, runs all tests in it (units, simulation, corpora, end to end) and prints what they cover.
# usage: scripts/coverage.sh [-k PART]...      with -k: only these end-to-end tests
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
build=build/cover
mkdir -p build/logs
cmake --preset cover >build/logs/cover-build.log && cmake --build --preset cover -j "$(nproc)" >>build/logs/cover-build.log || {
    tail -n 40 build/logs/cover-build.log >&2
    exit 1
}
find "$build" -name '*.gcda' -delete
failed=0
ctest --test-dir "$build" -j "$(nproc)" >build/logs/cover-unit.log 2>&1 || failed=1
python3 tests/e2e/run.py --build "$build" "$@" >build/logs/cover-e2e.log 2>&1 || failed=1
tail -n 1 build/logs/cover-e2e.log
scripts/coverage.py "$build"
exit $failed
