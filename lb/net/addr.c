#include "net/addr.h"

#include <arpa/inet.h>
#include <stdio.h>

static void set_v4(struct addr *out, struct in_addr ip, uint16_t port)
{
    memset(out, 0, sizeof *out);
    out->v4.sin_family = AF_INET;
    out->v4.sin_addr = ip;
    out->v4.sin_port = htons(port);
    out->len = sizeof out->v4;
}

static void set_v6(struct addr *out, const struct in6_addr *ip, uint16_t port)
{
    memset(out, 0, sizeof *out);
    out->v6.sin6_family = AF_INET6;
    out->v6.sin6_addr = *ip;
    out->v6.sin6_port = htons(port);
    out->len = sizeof out->v6;
}

/* An IP address alone, without brackets; zone identifiers are not taken. */
static enum err parse_ip(struct span s, uint16_t port, struct addr *out)
{
    char text[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;
    if (s.n == 0 || s.n >= sizeof text || memchr(s.p, '\0', s.n) != NULL)
        return ERR_SYNTAX;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    if (inet_pton(AF_INET, text, &v4) == 1)
        set_v4(out, v4, port);
    else if (inet_pton(AF_INET6, text, &v6) == 1)
        set_v6(out, &v6, port);
    else
        return ERR_SYNTAX;
    return ERR_OK;
}

static enum err parse_unix(struct span path, struct addr *out)
{
    if (path.n == 0 || path.p[0] != '/' || memchr(path.p, '\0', path.n) != NULL)
        return ERR_SYNTAX;
    if (path.n >= sizeof out->un.sun_path)
        return ERR_RANGE;
    memset(out, 0, sizeof *out);
    out->un.sun_family = AF_UNIX;
    memcpy(out->un.sun_path, path.p, path.n);
    out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + 1);
    return ERR_OK;
}

/* Splits "host:port" at its last colon; an IPv6 host must stand in brackets. */
static enum err split_port(struct span s, struct span *host, uint16_t *port)
{
    size_t colon = s.n;
    uint64_t number;
    while (colon > 0 && s.p[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return ERR_SYNTAX;
    enum err e = span_u64(span_sub(s, colon, s.n), &number);
    if (e != ERR_OK)
        return e;
    if (number > UINT16_MAX)
        return ERR_RANGE;
    *host = span_sub(s, 0, colon - 1);
    *port = (uint16_t)number;
    return ERR_OK;
}

static bool bracketed(struct span s)
{
    return s.n >= 2 && s.p[0] == '[' && s.p[s.n - 1] == ']';
}

enum err addr_parse(struct span s, struct addr *out)
{
    struct span host;
    uint16_t port = 0;
    if (span_starts(s, SPAN("unix:")))
        return parse_unix(span_sub(s, 5, s.n), out);
    enum err e = split_port(s, &host, &port);
    if (e != ERR_OK)
        return e;
    bool colons = span_find(host, ':') < host.n;
    if (colons != bracketed(host))
        return ERR_SYNTAX;
    return parse_ip(colons ? span_sub(host, 1, host.n - 1) : host, port, out);
}

enum err addr_parse_host(struct span s, struct addr *out)
{
    if (!bracketed(s))
        return parse_ip(s, 0, out);
    s = span_sub(s, 1, s.n - 1);
    return span_find(s, ':') < s.n ? parse_ip(s, 0, out) : ERR_SYNTAX;
}

static size_t unix_path_length(const struct addr *a)
{
    size_t head = offsetof(struct sockaddr_un, sun_path);
    return a->len > head ? strnlen(a->un.sun_path, a->len - head) : 0;
}

static size_t copy_text(char out[ADDR_HOST_TEXT], const char *text)
{
    size_t n = strlen(text);
    memcpy(out, text, n + 1);
    return n;
}

size_t addr_print_host(const struct addr *a, char out[ADDR_HOST_TEXT])
{
    out[0] = '\0';
    if (a->len == 0)
        return 0;
    if (a->any.sa_family == AF_UNIX)
        return copy_text(out, "unix:");
    const void *ip = a->any.sa_family == AF_INET ? (const void *)&a->v4.sin_addr
                                                 : (const void *)&a->v6.sin6_addr;
    /* "" where it is of another family. */
    (void)!inet_ntop(a->any.sa_family, ip, out, ADDR_HOST_TEXT);
    return strlen(out);
}

size_t addr_print(const struct addr *a, char out[ADDR_TEXT])
{
    char host[ADDR_HOST_TEXT];
    int n;
    if (a->len == 0) {
        out[0] = '\0';
        return 0;
    }
    if (a->any.sa_family == AF_UNIX) {
        n = snprintf(out, ADDR_TEXT, "unix:%.*s", (int)unix_path_length(a), a->un.sun_path);
        return (size_t)n;
    }
    addr_print_host(a, host);
    n = a->any.sa_family == AF_INET6
            ? snprintf(out, ADDR_TEXT, "[%.46s]:%u", host, (unsigned)addr_port(a))
            : snprintf(out, ADDR_TEXT, "%.46s:%u", host, (unsigned)addr_port(a));
    return (size_t)n;
}

uint16_t addr_port(const struct addr *a)
{
    if (a->len == 0)
        return 0;
    if (a->any.sa_family == AF_INET)
        return ntohs(a->v4.sin_port);
    return a->any.sa_family == AF_INET6 ? ntohs(a->v6.sin6_port) : 0;
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
    if (a->len == 0 || b->len == 0)
        return a->len == b->len;
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_UNIX) {
        size_t n = unix_path_length(a);
        return n == unix_path_length(b) && memcmp(a->un.sun_path, b->un.sun_path, n) == 0;
    }
    if (a->any.sa_family == AF_INET)
        return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr && a->v4.sin_port == b->v4.sin_port;
    return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0 &&
           a->v6.sin6_port == b->v6.sin6_port;
}

void addr_unmap(struct addr *a)
{
    if (a->len == 0 || a->any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr))
        return;
    struct in_addr v4;
    memcpy(&v4, a->v6.sin6_addr.s6_addr + 12, sizeof v4);
    set_v4(a, v4, ntohs(a->v6.sin6_port));
}

size_t addr_bytes(const struct addr *a, const uint8_t **out)
{
    if (a->len != 0 && a->any.sa_family == AF_INET) {
        *out = (const uint8_t *)&a->v4.sin_addr;
        return 4;
    }
    if (a->len != 0 && a->any.sa_family == AF_INET6) {
        *out = a->v6.sin6_addr.s6_addr;
        return 16;
    }
    *out = NULL;
    return 0;
}

enum err cidr_parse(struct span s, struct cidr *out)
{
    struct span host;
    struct addr a;
    const uint8_t *ip;
    uint64_t bits;
    struct span rest = span_cut(s, '/', &host);
    enum err e = parse_ip(host, 0, &a);
    if (e != ERR_OK)
        return e;
    size_t n = addr_bytes(&a, &ip);
    bits = n * 8;
    if (host.n < s.n && (e = span_u64(rest, &bits)) != ERR_OK)
        return e;
    if (bits > n * 8)
        return ERR_RANGE;
    memset(out, 0, sizeof *out);
    out->family = (uint8_t)a.any.sa_family;
    out->bits = (uint8_t)bits;
    memcpy(out->bytes, ip, n);
    return ERR_OK;
}

bool cidr_has(const struct cidr *c, const struct addr *a)
{
    const uint8_t *ip;
    size_t n = addr_bytes(a, &ip), whole = c->bits / 8;
    if (n == 0 || a->any.sa_family != c->family || memcmp(ip, c->bytes, whole) != 0)
        return false;
    unsigned rest = c->bits % 8;
    return rest == 0 || (ip[whole] ^ c->bytes[whole]) >> (8 - rest) == 0;
}

bool cidrs_have(const struct cidr *set, size_t n, const struct addr *a)
{
    for (size_t i = 0; i < n; i++)
        if (cidr_has(&set[i], a))
            return true;
    return false;
}
