#!/bin/bash
# The fast checks: everything that needs no compiler. All run, also after one has failed.
set -uo pipefail
cd "$(dirname "$0")" || exit 1
passed=0 failed=0
for check in check-format.sh check-size.py check-arrows.py check-seam.py check-rows.py check-words.sh; do
    if "./$check"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
