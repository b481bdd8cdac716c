# Completion of meridianctl: options, commands, and backends as the running balancer knows them.
function __meridianctl_backends
    meridianctl --json backends 2>/dev/null | python3 -c '
import json, sys
print(*sorted({b["pool"] + "/" + b["name"] for b in json.load(sys.stdin)["backends"]}), sep="\n")' 2>/dev/null
end

set -l commands status pools backends routes connections certificates database map drain maintenance enable weight \
    reset reload explain geo log-level stop
set -l one "not __fish_seen_subcommand_from $commands"
complete -c meridianctl -f
complete -c meridianctl -n $one -a "$commands"
complete -c meridianctl -n "__fish_seen_subcommand_from drain maintenance enable weight reset" \
    -a "(__meridianctl_backends)"
complete -c meridianctl -n "__fish_seen_subcommand_from log-level" -a "error warn info debug"
complete -c meridianctl -n "__fish_seen_subcommand_from stop" -l now -d "at once"
complete -c meridianctl -n "__fish_seen_subcommand_from explain" -l client -x -d "whose request"
complete -c meridianctl -n "__fish_seen_subcommand_from explain" -s X -l method -x -d "method"
complete -c meridianctl -n "__fish_seen_subcommand_from explain" -s H -l header -x -d "header"
complete -c meridianctl -s s -l socket -r -F -d "control socket"
complete -c meridianctl -s j -l json -d "the answer as JSON"
complete -c meridianctl -s w -l watch -d "again every two seconds"
complete -c meridianctl -s h -l help -d "help"
complete -c meridianctl -s v -l version -d "version"
