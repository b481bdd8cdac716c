#!/bin/bash
# Installs the Debian packages of the named groups of scripts/packages.txt, only those that are missing.
# usage: scripts/install-packages.sh GROUP...
set -euo pipefail
list="$(dirname "$0")/packages.txt"

fail() {
    echo "install-packages: $*" >&2
    exit 1
}

[ $# -gt 0 ] || fail "which groups? There are: $(grep -v '^#' "$list" | awk '{print $1}' | sort -u | xargs)"

wanted=()
for group in "$@"; do
    while read -r package command; do
        [ -n "$command" ] && type -P "$command" >/dev/null || wanted+=("$package")
    done < <(awk -v g="$group" '$1 == g {print $2, $3}' "$list")
    grep -q "^$group[[:space:]]" "$list" || fail "no group '$group' in $list"
done

missing=()
for package in $(printf '%s\n' "${wanted[@]}" | sort -u); do
    status="$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)"
    [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

command -v apt-get >/dev/null || fail "no apt-get here; install by hand: ${missing[*]}"
root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "run as root or install sudo; missing: ${missing[*]}"
    root=(sudo)
fi

apt() {
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 \
        -o DPkg::Lock::Timeout=300 "$@"
}

install() {
    apt install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1
}

log="$(mktemp)"
trap 'rm -f "$log"' EXIT
echo "installing ${missing[*]}"
# The package lists of a fresh machine are empty or stale: fetch them only where that is so.
if ! install; then
    if ! { apt update >>"$log" 2>&1 && install; }; then
        tail -n 20 "$log" >&2
        fail "apt-get could not install: ${missing[*]}"
    fi
fi
