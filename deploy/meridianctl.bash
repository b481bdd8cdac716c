# Completion of meridianctl: options, commands, and backends as the running balancer knows them.
_meridianctl() {
    local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD - 1]}"
    local commands='status pools backends routes connections certificates database map drain maintenance enable weight
        reset reload explain geo log-level stop'
    case "$before" in
    -s | --socket)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    drain | maintenance | enable | weight | reset)
        mapfile -t COMPREPLY < <(compgen -W "$(meridianctl --json backends 2>/dev/null | python3 -c '
import json, sys
print(*sorted({b["pool"] + "/" + b["name"] for b in json.load(sys.stdin)["backends"]}))' 2>/dev/null)" -- "$word")
        return
        ;;
    log-level)
        mapfile -t COMPREPLY < <(compgen -W 'error warn info debug' -- "$word")
        return
        ;;
    stop)
        mapfile -t COMPREPLY < <(compgen -W '--now' -- "$word")
        return
        ;;
    esac
    if [[ "$word" == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '--socket --json --watch --help --version --client --method --header' -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word")
    fi
}
complete -F _meridianctl meridianctl
