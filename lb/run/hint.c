#include "run/hint.h"

#define PRIVILEGED                                                                                 \
    1024 /* ports below it are (unix(7): /proc/sys/net/ipv4/ip_unprivileged_port_start) */

static const char *unix_hint(enum err why)
{
    switch ((int)why) {
    case ERR_NOT_FOUND:
        return "its folder does not exist";
    case ERR_PERMISSION:
        return "permission denied; the user that Meridian runs as must be able to write its folder";
    case ERR_IN_USE:
        return "another process listens there";
    default:
        return err_phrase(why);
    }
}

static const char *port_hint(uint16_t port, enum err why)
{
    switch ((int)why) {
    case ERR_IN_USE:
        return "address already in use; `ss -tanp` shows by whom";
    case ERR_NO_PORT:
        return "this machine has no such address; `ip address` shows those that it has";
    case ERR_PERMISSION:
        if (port >= PRIVILEGED)
            break;
        return "permission denied; ports below 1024 need CAP_NET_BIND_SERVICE (meridian.service "
               "has "
               "it), or a socket of the service manager: name the port in meridian.socket and "
               "write "
               "bind: \"systemd:http\"";
    default:
        break;
    }
    return err_phrase(why);
}

void hint_listen(struct conf_messages *to, const struct conf_address *at, enum err why)
{
    if (at->family == CONF_SYSTEMD)
        conf_report(to, at->text.mark,
                    "no socket named '%.*s' was handed over; name it in the .socket file "
                    "(FileDescriptorName=) or give an address",
                    SPAN_FMT(at->path));
    else
        conf_report(to, at->text.mark, "cannot listen on %.*s: %s", SPAN_FMT(at->text.s),
                    at->family == CONF_UNIX ? unix_hint(why) : port_hint(at->port, why));
}

void hint_control(struct conf_messages *to, const struct conf_text *path, enum err why)
{
    conf_report(to, path->mark, "cannot listen on %.*s: %s", SPAN_FMT(path->s), unix_hint(why));
}
