#!/bin/bash
# Makes the world map of the status page: admin/web/map.mjs and the packages that it uses (npm, by the lock
# file) as one script, with their licences at its head. The build runs it where npm is there.
# usage: scripts/map-bundle.sh [--optional] OUT
#   --optional   where npm cannot get the packages: an empty file and a word about it, no error
set -euo pipefail
optional=
if [ "${1:-}" = --optional ]; then
    optional=yes
    shift
fi
out="${1:?usage: scripts/map-bundle.sh [--optional] OUT}"
source="$(cd "$(dirname "$0")/../admin/web" && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkdir -p "$(dirname "$out")"

# notices FOLDER...: name, version and licence of each package.
notices() {
    local package
    for package in "$@"; do
        sed -n 's/^ *"\(name\|version\)": "\(.*\)",\{0,1\}$/\2/p' "node_modules/$package/package.json" | head -n 2 | xargs
        cat "node_modules/$package/LICENSE"
        echo
    done
}

bundle() {
    cp "$source"/{package.json,package-lock.json,map.mjs} "$work"
    cd "$work"
    npm ci --no-audit --no-fund --ignore-scripts --loglevel=error
    npx --no-install esbuild map.mjs --bundle --minify --format=iife --target=es2020 --legal-comments=none \
        --log-level=warning --outfile=code.js
    {
        echo "/* With these packages, under their licences:"
        notices d3-geo d3-array internmap topojson-client world-atlas
        echo "*/"
        cat code.js
    } >map.js
}

if (bundle) >"$work/log" 2>&1; then
    mv "$work/map.js" "$out"
elif [ -n "$optional" ]; then
    echo "map-bundle: the status page is built without its map: npm cannot get the packages" >&2
    : >"$out"
else
    cat "$work/log" >&2
    exit 1
fi
