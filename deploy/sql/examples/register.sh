#!/bin/sh
# Runs a server and keeps it in the registry of a pool while it lives.
# usage: register.sh POOL ADDRESS COMMAND...      the database is what PGHOST, PGDATABASE and PGUSER say
set -eu
pool=$1 address=$2
shift 2
say() { psql -XqAt -v ON_ERROR_STOP=1 -v pool="$pool" -v address="$address" >/dev/null; }
"$@" &
server=$!
trap 'kill "$server" 2>/dev/null || true' INT TERM
while kill -0 "$server" 2>/dev/null; do
    echo "SELECT meridian.heartbeat(:'pool', :'address', '30 s')" | say || true
    sleep "${HEARTBEAT:-10}" & wait $! || true
done
echo "SELECT meridian.leave(:'pool', :'address')" | say
