#!/bin/bash
# Writes docs/configuration.md from the program's own tables.
# usage: scripts/generate-reference.sh [BUILD FOLDER]      default: build/debug, configured where it is not
set -euo pipefail
cd "$(dirname "$0")/.."
build="${1:-build/debug}"
[ -f "$build/CMakeCache.txt" ] || cmake --preset debug -B "$build" >/dev/null
cmake --build "$build" --target conf_reference >/dev/null
page="$(mktemp)"
trap 'rm -f "$page"' EXIT
"$build/tests/tools/conf-reference" >"$page"
if cmp -s "$page" docs/configuration.md; then
    echo "docs/configuration.md is up to date"
else
    cat "$page" >docs/configuration.md
    echo "docs/configuration.md is new"
fi
