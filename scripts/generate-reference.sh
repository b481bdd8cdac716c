#!/bin/bash
# Writes docs/configuration.md and deploy/meridian.schema.json from the program's own tables.
# usage: scripts/generate-reference.sh [BUILD FOLDER]      default: build/debug, configured where it is not
set -euo pipefail
cd "$(dirname "$0")/.."
build="${1:-build/debug}"
[ -f "$build/CMakeCache.txt" ] || cmake --preset debug -B "$build" >/dev/null
cmake --build "$build" --target conf_reference >/dev/null
page="$(mktemp)"
trap 'rm -f "$page"' EXIT

# write FILE [OPTION]: made anew where it differs.
write() {
    "$build/tests/tools/conf-reference" "${@:2}" >"$page"
    if cmp -s "$page" "$1"; then
        echo "$1 is up to date"
    else
        cat "$page" >"$1"
        echo "$1 is new"
    fi
}
write docs/configuration.md
write deploy/meridian.schema.json --json-schema
