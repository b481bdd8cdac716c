#!/bin/bash
# Runs clang-tidy over the product's C files, or those that are named. Needs a configured debug build.
# usage: scripts/tidy.sh [FILE...]
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

files=("$@")
[ ${#files[@]} -gt 0 ] || mapfile -t files < <(git ls-files 'lb/*.c' 'health/*.c' 'geo/*.c' 'conf/*.c' 'db/*.c' 'admin/*.c')
[ -f build/debug/compile_commands.json ] || cmake --preset debug >/dev/null || exit 2
failed=$(printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -I{} \
    sh -c 'clang-tidy -p build/debug --quiet "$1" 2>/dev/null || echo "failed: $1"' tidy {} | tee /dev/stderr | grep -c '^failed: ')
echo "$((${#files[@]} - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
