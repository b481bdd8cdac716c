#compdef meridianctl
# Completion of meridianctl: options, commands, and backends as the running balancer knows them.

_meridianctl_backends() {
    local -a names
    names=(${(f)"$(meridianctl --json backends 2>/dev/null | python3 -c '
import json, sys
print(*sorted({b["pool"] + "/" + b["name"] for b in json.load(sys.stdin)["backends"]}), sep="\n")' 2>/dev/null)"})
    compadd -- $names
}

_meridianctl() {
    local context state line
    local -a commands
    commands=(
        'status:the process, listeners and pools' 'pools:pools' 'backends:servers and how they are'
        'routes:routes' 'connections:connections of clients' 'certificates:certificates' 'database:the central database'
        'map:where clients are, and which sites serve them'
        'drain:no new requests' 'maintenance:no requests and no checks' 'enable:requests again'
        'weight:another weight' 'reset:end what was said by hand' 'reload:read the configuration anew'
        'explain:where a request would go' 'geo:where an address is' 'log-level:how much is logged'
        'stop:end the balancer')
    _arguments -C '(-s --socket)'{-s,--socket}'[control socket]:socket:_files' \
        '(-j --json)'{-j,--json}'[the answer as JSON]' '(-w --watch)'{-w,--watch}'[again every two seconds]' \
        '(-h --help)'{-h,--help}'[help]' '(-v --version)'{-v,--version}'[version]' \
        '--client[whose request]:address:' '(-X --method)'{-X,--method}'[method]:method:' \
        '*'{-H,--header}'[header]:header:' '--now[at once]' \
        '1:command:->command' '*:word:->word'
    case $state in
    command) _describe command commands ;;
    word)
        case ${words[(r)(drain|maintenance|enable|weight|reset|log-level)]} in
        drain | maintenance | enable | weight | reset) _meridianctl_backends ;;
        log-level) compadd error warn info debug ;;
        esac
        ;;
    esac
}

_meridianctl "$@"
