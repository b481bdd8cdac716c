#include "conf/advice.h"

#define EVERYBODY "\"0.0.0.0:PORT\" listens for everybody, \"127.0.0.1:PORT\" for this machine only"

static bool has(struct span s, const char *text)
{
    struct span want = span_str(text);
    for (size_t i = 0; i + want.n <= s.n; i++)
        if (span_eq(span_sub(s, i, i + want.n), want))
            return true;
    return false;
}

static bool is_digits(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!ascii_digit(s.p[i]))
            return false;
    return s.n != 0;
}

/* What is in front of the last colon, and behind it; false: there is none. */
static bool split(struct span s, struct span *host, struct span *port)
{
    size_t colon = s.n;
    while (colon > 0 && s.p[colon - 1] != ':')
        colon--;
    *host = span_sub(s, 0, colon > 0 ? colon - 1 : s.n);
    *port = span_sub(s, colon > 0 ? colon : s.n, s.n);
    return colon > 0;
}

static bool is_port(struct span s)
{
    uint64_t n;
    return span_u64(s, &n) == ERR_OK && n > 0 && n <= UINT16_MAX;
}

/* What goes wrong with either. */
static const char *advice(struct span s)
{
    struct span host, port;
    if (span_starts(s, SPAN("unix:")))
        return "a path begins with '/'";
    if (span_starts(s, SPAN("_")) || span_starts(s, SPAN("systemd:")))
        return NULL;
    if (has(s, "://"))
        return "leave out what is before the host: `tls` makes it HTTPS";
    if (span_find(s, '/') != s.n)
        return "leave out the path";
    if (!split(s, &host, &port))
        return "the port is missing";
    if (is_digits(port) && !is_port(port))
        return "a port is 1 to 65535";
    if (has(host, ":") && host.p[0] != '[')
        return "an IPv6 address is put in brackets, and the port behind it";
    return NULL;
}

const char *advice_bind(struct span s)
{
    struct span host, port;
    const char *common = advice(s);
    if (is_digits(s) && is_port(s))
        return EVERYBODY;
    if (common != NULL)
        return common;
    return split(s, &host, &port) && is_port(port) && span_find(host, '[') == host.n ? EVERYBODY
                                                                                     : NULL;
}

const char *advice_backend(struct span s)
{
    struct span host, port;
    if (split(s, &host, &port) && host.n == 0)
        return "the host is missing";
    return advice(s);
}
