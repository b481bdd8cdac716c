#!/bin/bash
# Shows servers that join and leave a pool by SQL: a PostgreSQL of its own in a private folder, on a unix
# socket, Meridian before one server of the file, and servers that register themselves. Ctrl-C ends all.
# usage: scripts/demo.sh --database [--check]
#   --check   does itself what it would print, checks the answers, and ends (0: all as expected)
# MERIDIAN_DEMO_BUILD names a build folder with the programs in it; then nothing is installed or built.
set -euo pipefail
cd "$(dirname "$0")/.."

check=
[ "${1:-}" != --check ] || check=yes

. scripts/demo-lib.sh

port="${MERIDIAN_DEMO_PORT:-8080}"
read -r seed second third <<<"${MERIDIAN_DEMO_BACKENDS:-9001 9002 9003}"
need_ports "$port" "$seed" "$second" "$third"

build="${MERIDIAN_DEMO_BUILD:-}"
if [ -z "$build" ]; then
    build=build/release
    say "Installing what is missing ..."
    scripts/install-packages.sh build demo database
    say "Building a release ..."
    cmake --preset release -DMERIDIAN_DEMO_TOOLS=ON >/dev/null
    cmake --build --preset release -j "$(nproc)" --target meridian meridianctl origin | tail -n 1
fi
for program in meridian meridianctl bench/origin; do
    [ -x "$build/$program" ] || fail "$build/$program is not there"
done
build="$(cd "$build" && pwd)"
postgres="$(find /usr/lib/postgresql -name initdb 2>/dev/null | sort -V | tail -n 1)"
[ -n "$postgres" ] || fail "there is no PostgreSQL server; install postgresql"
postgres="$(dirname "$postgres")"

work="$(mktemp -d "${TMPDIR:-/tmp}/meridian-demo.XXXXXX")"
pids=()
finish() {
    trap - EXIT INT TERM
    for pid in "${pids[@]}"; do kill -INT "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT
trap 'echo; exit 0' INT TERM

# --- a database: PostgreSQL refuses to run as root ---

as=()
if [ "$(id -u)" -eq 0 ]; then
    as=(setpriv --reuid postgres --regid postgres --clear-groups)
    install -d -o postgres "$work/pg"
    chmod 755 "$work"
else
    mkdir "$work/pg"
fi
(cd "$work/pg" && "${as[@]}" "$postgres/initdb" -D "$work/pg/data" -U meridian -A trust --no-sync >/dev/null)
start_database() {
    (cd "$work/pg" && exec "${as[@]}" "$postgres/postgres" -D "$work/pg/data" -k "$work/pg" -c listen_addresses= \
        >>"$work/postgres.log" 2>&1) &
    database=$!
    pids+=("$database")
    for _ in $(seq 100); do
        "$postgres/pg_isready" -q -h "$work/pg" && return 0
        sleep 0.1
    done
    fail "the database did not start: $(tail -n 5 "$work/postgres.log")"
}
start_database
sql() { "$postgres/psql" -XqAt -v ON_ERROR_STOP=1 -h "$work/pg" -U meridian postgres -c "$1"; }
"$postgres/psql" -Xq -v ON_ERROR_STOP=1 -1 -h "$work/pg" -U meridian postgres -f deploy/sql/meridian.sql >/dev/null

# --- servers and Meridian ---

start_server() {
    "$build/bench/origin" --name "$1" --json --port "$2" &
    pids+=("$!")
    need_server "$1" "$!" "$2"
}
start_server seed "$seed"
start_server second "$second"
start_server third "$third"

cat >"$work/meridian.yaml" <<EOF
data_sources:
  main: {postgres: "host=$work/pg dbname=postgres user=meridian"}
dependencies:
  db: {data_source: main}
listeners:
  public: {bind: "127.0.0.1:$port"}
pools:
  api:
    backends: {seed: {address: "127.0.0.1:$seed"}}
    health: {http: {path: /healthz}, interval: 500ms, timeout: 400ms}
    registry: {source: main, mode: merge, allow: [127.0.0.0/8]}
    depends_on: [db]
routes:
  - pool: api
log: {access: {path: $work/access.log}}
admin: {socket: $work/control.sock, http: off}
state: $work
EOF
"$build/meridian" -c "$work/meridian.yaml" -t --with-database || fail "the configuration is refused"
"$build/meridian" -c "$work/meridian.yaml" 2>"$work/meridian.log" &
balancer=$!
pids+=("$balancer")
url="http://127.0.0.1:$port/"
ask() { curl -sS --max-time 5 "$url"; }
for _ in $(seq 100); do
    kill -0 "$balancer" 2>/dev/null || fail "meridian did not start: $(cat "$work/meridian.log")"
    ask >/dev/null 2>&1 && break
    sleep 0.1
done
ctl=("$build/meridianctl" -s "$work/control.sock")

# --- as a test ---

# wait_for WANTED COMMAND...: until the command's output holds it; with "!" before it: no more.
wait_for() {
    local wanted="$1" got
    shift
    for _ in $(seq 300); do
        got="$("$@" 2>&1)" || true
        if [[ "$wanted" == !* ]]; then
            [[ "$got" == *"${wanted#!}"* ]] || return 0
        elif [[ "$got" == *"$wanted"* ]]; then
            return 0
        fi
        sleep 0.1
    done
    fail "'$wanted' did not come: $got"
}
several() { for _ in $(seq 20); do ask; done; }

run_check() {
    sql "SELECT meridian.heartbeat('api', '127.0.0.1:$second', '30 s')"
    wait_for "127.0.0.1:$second" "${ctl[@]}" backends api
    wait_for '"second"' several
    echo "ok: a server has joined by SQL and gets requests"
    sql "UPDATE meridian.pool_server SET desired = 'drain'"
    wait_for "!127.0.0.1:$second" "${ctl[@]}" backends api
    echo "ok: it is drained"
    sql "UPDATE meridian.pool_server SET desired = 'active'"
    sql "INSERT INTO meridian.pool_server (pool, address) VALUES ('api', '127.0.0.1:$third')"
    wait_for "127.0.0.1:$third" "${ctl[@]}" backends api
    sql "SELECT meridian.leave('api', '127.0.0.1:$second')"
    wait_for "!127.0.0.1:$second" "${ctl[@]}" backends api
    [[ "$(several)" != *'"second"'* ]] || fail "it still gets requests"
    echo "ok: it has left by SQL, another one has come"
    kill -QUIT "$database"
    wait_for away "${ctl[@]}" database
    wait_for '"third"' several
    echo "ok: without the database everything stays as it is"
    start_database
    wait_for "!away" "${ctl[@]}" database
    echo "ok: the database is back"
    kill "$balancer"
    wait "$balancer" || fail "meridian ended with status $?"
    echo "The demo works."
}

if [ -n "$check" ]; then
    run_check
    exit 0
fi

# --- for people ---

count="for i in \$(seq 20); do curl -s $url; done | sort | uniq -c"
psql="$postgres/psql -Xq -h $work/pg -U meridian postgres"
say "Meridian runs on $url, before one server of its file. Two more wait for being named in the database."
cat <<EOF

A server joins (this is what it says itself, at start and every 10 s), and leaves. A new one gets requests after its
first good checks, a few seconds later, and grows to its share in slow start; the second line counts who answers:
  $psql -c "SELECT meridian.heartbeat('api', '127.0.0.1:$second', '30 s')"
  sleep 5; $count
  $psql -c "SELECT meridian.leave('api', '127.0.0.1:$second')"

An operator adds one, drains it, removes it; count again after each:
  $psql -c "INSERT INTO meridian.pool_server (pool, address) VALUES ('api', '127.0.0.1:$third')"
  sleep 5; $count
  $psql -c "UPDATE meridian.pool_server SET desired = 'drain'"
  sleep 1; $count; ${ctl[*]} backends api
  $psql -c "DELETE FROM meridian.pool_server"

The database goes away, and nothing happens:
  kill -QUIT $database
  ${ctl[*]} database
  curl -s $url

What is going on:
  ${ctl[*]} backends api
  ${ctl[*]} database
  cat $work/meridian.log

Ctrl-C ends the demo and leaves nothing behind but build/.
EOF
wait "$balancer" || fail "meridian ended: $(tail -n 20 "$work/meridian.log")"
