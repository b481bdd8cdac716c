#!/bin/bash
# Shows Meridian at work: installs what is missing, builds a release, and runs the balancer with TLS on
# https://localhost:8443 before three demo backends in Frankfurt, Virginia and Singapore. Prints what to
# try. Ctrl-C ends everything. Safe to run again; the certificate and the build are kept in build/.
# usage: scripts/demo.sh [--database] [--check]
#   --check      does itself what it would print, checks the answers, and ends (0: all as expected)
#   --database   shows servers that join and leave by SQL instead (needs a PostgreSQL server)
# MERIDIAN_DEMO_BUILD names a build folder with the programs in it; then nothing is installed or built.
set -euo pipefail
cd "$(dirname "$0")/.."

check=
case "${1:-}" in
--check) check=yes ;;
--database) exec scripts/demo-database.sh "${@:2}" ;;
'') ;;
*)
    sed -n '5,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac

. scripts/demo-lib.sh

port="${MERIDIAN_DEMO_PORT:-8443}"
admin="${MERIDIAN_DEMO_ADMIN:-9977}"
read -r frankfurt virginia singapore <<<"${MERIDIAN_DEMO_BACKENDS:-9001 9002 9003}"
need_ports "$port" "$admin" "$frankfurt" "$virginia" "$singapore"

build="${MERIDIAN_DEMO_BUILD:-}"
if [ -z "$build" ]; then
    build=build/release
    say "Installing what is missing ..."
    scripts/install-packages.sh build demo
    say "Building a release ..."
    cmake --preset release -DMERIDIAN_DEMO_TOOLS=ON >/dev/null
    cmake --build --preset release -j "$(nproc)" --target meridian meridianctl origin mmdb_write | tail -n 1
fi
for program in meridian meridianctl bench/origin tests/tools/mmdb-write; do
    [ -x "$build/$program" ] || fail "$build/$program is not there"
done
build="$(cd "$build" && pwd)"

# The certificate is kept, everything else lives in a folder that goes away.
keep="$PWD/build/demo"
mkdir -p "$keep"
work="$(mktemp -d "${TMPDIR:-/tmp}/meridian-demo.XXXXXX")"
pids=()
finish() {
    trap - EXIT INT TERM
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT
trap 'echo; exit 0' INT TERM

if [ ! -s "$keep/localhost.pem" ]; then
    say "Making a self-signed certificate in build/demo ..."
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 825 -subj /CN=localhost \
        -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' -keyout "$keep/localhost.key" \
        -out "$keep/localhost.pem" 2>"$work/openssl" || fail "openssl: $(cat "$work/openssl")"
fi

# --- where clients are ---

# Example networks, one city per continent: network, country, continent, subdivision, place, accuracy in km.
cat >"$work/places.csv" <<'EOF'
5.1.0.0/16,FR,EU,IDF,48.86,2.35,10
5.2.0.0/16,US,NA,NY,40.71,-74.01,20
5.3.0.0/16,BR,SA,SP,-23.55,-46.63,50
5.4.0.0/16,KE,AF,30,-1.29,36.82,100
5.5.0.0/16,JP,AS,13,35.68,139.69,5
5.6.0.0/16,AU,OC,NSW,-33.87,151.21,30
EOF
"$build/tests/tools/mmdb-write" "$work/places.csv" "$work/places.mmdb"
databases="$work/places.mmdb"
if [ -z "$check" ] && [ -x scripts/geo-database.sh ] && command -v npm >/dev/null; then
    # The example networks come first, the whole world behind them.
    [ -s build/geo/country.mmdb ] || say "Fetching a country database (some MB by npm, free for any use) into build/geo ..."
    if world="$(scripts/geo-database.sh | tail -n 1)" && [ -s "$world" ]; then
        databases="$databases, $world"
    else
        say "Without it only the example networks are known."
    fi
fi

# --- backends ---

# start_backend NAME PORT: sets $backend to its process.
start_backend() {
    "$build/bench/origin" --name "$1" --json --port "$2" &
    backend=$!
    pids+=("$backend")
    need_server "$1" "$backend" "$2"
}
start_backend frankfurt "$frankfurt"
frankfurt_pid=$backend
start_backend virginia "$virginia"
start_backend singapore "$singapore"

cat >"$work/meridian.yaml" <<EOF
geo: {databases: [$databases]}
trusted_proxies: {from: [127.0.0.0/8], header: x-forwarded-for}   # lets curl say where it is
sites:
  fra: {location: [50.11, 8.68], country: DE}
  iad: {location: [39.04, -77.49], country: US}
  sin: {location: [1.35, 103.82], country: SG}
listeners:
  public:
    bind: "127.0.0.1:$port"
    tls: {certificates: [{chain: $keep/localhost.pem, key: $keep/localhost.key}]}
pools:
  api:
    backends:
      frankfurt: {address: "127.0.0.1:$frankfurt", site: fra}
      virginia: {address: "127.0.0.1:$virginia", site: iad}
      singapore: {address: "127.0.0.1:$singapore", site: sin}
    health: {http: {path: /healthz}}
routes:
  - pool: api
log: {access: {path: $work/access.log}}
admin: {socket: $work/control.sock, http: "127.0.0.1:$admin"}
state: $work
EOF

"$build/meridian" -c "$work/meridian.yaml" 2>"$work/meridian.log" &
balancer=$!
pids+=("$balancer")
url="https://localhost:$port/"
ask() { curl -sS --max-time 5 --cacert "$keep/localhost.pem" "$@"; }
for _ in $(seq 100); do
    kill -0 "$balancer" 2>/dev/null || fail "meridian did not start: $(cat "$work/meridian.log")"
    ask -o "$work/answer" "$url" 2>/dev/null && break
    sleep 0.1
done
[ -s "$work/answer" ] || fail "no answer on $url: $(cat "$work/meridian.log")"

places=(Paris:5.1.0.9:frankfurt 'New York:5.2.0.9:virginia' 'Sao Paulo:5.3.0.9:virginia' Nairobi:5.4.0.9:frankfurt
    Tokyo:5.5.0.9:singapore Sydney:5.6.0.9:singapore)

# A change of the configuration: Singapore leaves the pool.
change="sed -i '/^      singapore:/d' $work/meridian.yaml"

# --- as a test ---

expect() {
    local what="$1" wanted="$2" got="$3"
    [[ "$got" == *"$wanted"* ]] || fail "$what: '$wanted' expected, '$got' came"
    echo "ok: $what: $wanted"
}

# wait_for WANTED COMMAND...: until the command's output holds it, at most 45 s (slow start included).
wait_for() {
    local wanted="$1"
    shift
    for _ in $(seq 90); do
        [[ "$("$@")" == *"$wanted"* ]] && return 0
        sleep 0.5
    done
    return 1
}

run_check() {
    local place name address site failed
    for place in "${places[@]}"; do
        IFS=: read -r name address site <<<"$place"
        expect "a client in $name" "\"$site\"" "$(ask -H "X-Forwarded-For: $address" "$url")"
    done
    local paris=(ask -H "X-Forwarded-For: 5.1.0.9" "$url")
    kill "$frankfurt_pid"
    for _ in $(seq 20); do
        expect "Paris without Frankfurt" '"virginia"' "$("${paris[@]}")"
    done
    start_backend frankfurt "$frankfurt"
    frankfurt_pid=$backend
    wait_for '"frankfurt"' "${paris[@]}" || fail "Frankfurt did not come back"
    echo "ok: Frankfurt is back"
    bash -c "$change"
    "$build/meridianctl" -s "$work/control.sock" reload
    failed="$(ask -H 'X-Forwarded-For: 5.5.0.9' "$url")"
    [[ "$failed" != *'"singapore"'* ]] || fail "Singapore still serves after the reload"
    echo "ok: Tokyo after Singapore was removed: $failed"
    expect "status" "meridian" "$("$build/meridianctl" -s "$work/control.sock" status | tr '[:upper:]' '[:lower:]')"
    expect "the status page" "<html" "$(curl -sS --max-time 5 "http://127.0.0.1:$admin/")"
    expect "metrics" "meridian_" "$(curl -sS --max-time 5 "http://127.0.0.1:$admin/metrics")"
    kill "$balancer"
    wait "$balancer" || fail "meridian ended with status $?"
    echo "The demo works."
}

if [ -n "$check" ]; then
    run_check
    exit 0
fi

# --- for people ---

ctl="$build/meridianctl -s $work/control.sock"
cacert="--cacert $keep/localhost.pem"
say "Meridian runs on $url, before backends in Frankfurt, Virginia and Singapore."
echo
echo "The nearest site answers (a trusted header says where the client is):"
for place in "${places[@]}"; do
    IFS=: read -r name address site <<<"$place"
    printf "  curl -s %s -H 'X-Forwarded-For: %s' %s   # %s: %s\n" "$cacert" "$address" "$url" "$name" "$site"
done
cat <<EOF

Why there, and what the others would have cost:
  $ctl explain --client 5.1.0.9 $url

A backend dies under load, no request fails, and it comes back:
  h2load --h1 -t1 -c8 -D20 -H 'X-Forwarded-For: 5.1.0.9' $url
  kill $frankfurt_pid                                             # Frankfurt is gone: Virginia answers
  $ctl backends
  $build/bench/origin --name frankfurt --json --port $frankfurt   # and back (Ctrl-C ends it)

The same over HTTP/2. A connection ends after 10,000 requests (limits.requests_per_connection), and h2load does not
open another one: at most 80,000 with its eight.
  h2load -t1 -c8 -m10 -n40000 -H 'X-Forwarded-For: 5.1.0.9' $url

Take Singapore out of the configuration and reload, while traffic flows; Tokyo is served from elsewhere then:
  $change
  $ctl reload

What is going on, with charts and a map in a browser at http://127.0.0.1:$admin/ :
  $ctl status
  curl -s http://127.0.0.1:$admin/metrics
  tail -f $work/access.log

Ctrl-C ends the demo and leaves nothing behind but build/.
EOF
wait "$balancer" || fail "meridian ended: $(tail -n 20 "$work/meridian.log")"
