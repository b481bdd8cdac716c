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
