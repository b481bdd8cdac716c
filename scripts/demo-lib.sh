# What both demos share; read by scripts/demo.sh and scripts/demo-database.sh, not run.

say() { printf '\033[1m%s\033[0m\n' "$*"; }
fail() {
    echo "demo: $*" >&2
    exit 1
}

# need_ports PORT...: ends where somebody listens at one of them, whom the demo would talk to by mistake.
need_ports() {
    local port
    for port in "$@"; do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            fail "port $port is taken; end what has it (ss -tanp tells)"
        fi
    done
}

# need_server NAME PROCESS PORT: waits until it listens, at most 5 s; ends where it has ended instead.
need_server() {
    for _ in $(seq 50); do
        kill -0 "$2" 2>/dev/null || fail "server $1 could not begin on port $3: what it says is above"
        (exec 3<>"/dev/tcp/127.0.0.1/$3") 2>/dev/null && return 0
        sleep 0.1
    done
    fail "server $1 does not listen on port $3"
}
