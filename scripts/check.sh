#!/bin/bash
# The fast checks: everything that needs no compiler. All run, also after one has failed.
set -uo pipefail
cd "$(dirname "$0")" || exit 1
failed=0
for check in check-format.sh check-size.py check-arrows.py check-seam.py check-words.sh; do
    "./$check" || failed=1
done
[ $failed -eq 0 ] && echo "all checks passed"
exit $failed
