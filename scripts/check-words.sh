#!/bin/bash
# "Upstream" and "downstream" mean opposite things in different projects: the words are front and back.
set -euo pipefail
cd "$(dirname "$0")/.."
if git grep -n -i -E '(up|down)stream' -- lb health geo conf db admin; then
    echo "check-words: say front (the client's side) and back (the server's)" >&2
    exit 1
fi
