#!/bin/bash
# Fails where a C file is not as clang-format would write it. With --fix, writes it so.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t files < <(git ls-files '*.c' '*.h')
[ ${#files[@]} -gt 0 ] || exit 0
if [ "${1:-}" = --fix ]; then
    clang-format -i "${files[@]}"
else
    clang-format --dry-run -Werror --ferror-limit=1 "${files[@]}"
fi
