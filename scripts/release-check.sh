#!/bin/bash
# What a release must have passed before it goes out: T1 and T2 (scripts/test.sh --long, which runs all that a
# change runs and more), then T3: every goal G1-G14 measured, the table of docs/reliability.md written anew. Takes hours.
# usage: scripts/release-check.sh [--goals | --short]
#   --goals   the goals alone, on builds that are there (build/debug, release-check, plain, tsan)
#   --short   what measures them, each in a second or two, without judging times; writes nothing
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

case "${1:-}" in
'') scripts/test.sh --long || exit 1 ;;
--goals) ;;
--short) exec scripts/release-report.py --short ;;
*)
    sed -n '4,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
exec scripts/release-report.py --write
