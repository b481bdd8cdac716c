#include "net/proxy_proto.h"

#include "base/limits.h"

#define V2_HEAD 16

static const char signature[12] = {'\r', '\n', '\r', '\n', '\0', '\r',
                                   '\n', 'Q',  'U',  'I',  'T',  '\n'};

/* --- version 1: one line of text --- */

/* The next word up to one blank; the last one has none after it. */
static bool next_word(struct span *rest, struct span *word, bool last)
{
    size_t blank = span_find(*rest, ' ');
    if (last != (blank == rest->n))
        return false;
    *rest = span_cut(*rest, ' ', word);
    return word->n > 0;
}

static bool read_port(struct span s, uint16_t *port)
{
    uint64_t n;
    if (s.n > 5 || (s.n > 1 && s.p[0] == '0') || span_u64(s, &n) != ERR_OK || n > UINT16_MAX)
        return false;
    *port = (uint16_t)n;
    return true;
}

static bool read_address(struct span s, sa_family_t family, uint16_t port, struct addr *out)
{
    if (span_find(s, '[') < s.n || addr_parse_host(s, out) != ERR_OK ||
        out->any.sa_family != family)
        return false;
    if (family == AF_INET)
        out->v4.sin_port = htons(port);
    else
        out->v6.sin6_port = htons(port);
    return true;
}

static enum err read_line(struct span line, struct proxy_proto *out)
{
    struct span rest = line, word, from, to, ports[2];
    uint16_t from_port, to_port;
    if (span_eq(rest, SPAN("UNKNOWN")) || span_starts(rest, SPAN("UNKNOWN "))) {
        out->local = true;
        return ERR_OK;
    }
    if (!next_word(&rest, &word, false) || !next_word(&rest, &from, false) ||
        !next_word(&rest, &to, false) || !next_word(&rest, &ports[0], false) ||
        !next_word(&rest, &ports[1], true))
        return ERR_SYNTAX;
    bool v4 = span_eq(word, SPAN("TCP4")), v6 = span_eq(word, SPAN("TCP6"));
    sa_family_t family = v4 ? AF_INET : AF_INET6;
    bool good = (v4 || v6) && read_port(ports[0], &from_port) && read_port(ports[1], &to_port) &&
                read_address(from, family, from_port, &out->from) &&
                read_address(to, family, to_port, &out->to);
    return good ? ERR_OK : ERR_SYNTAX;
}

static enum err parse_v1(struct span in, struct proxy_proto *out)
{
    struct span prefix = SPAN("PROXY ");
    size_t end = span_find(span_sub(in, 0, PROXY_PROTO_V1_MOST), '\n');
    if (end == in.n && in.n < PROXY_PROTO_V1_MOST)
        return ERR_AGAIN;
    if (end >= PROXY_PROTO_V1_MOST || in.p[end - 1] != '\r')
        return ERR_SYNTAX;
    out->bytes = end + 1;
    return read_line(span_sub(in, prefix.n, end - 1), out);
}

/* --- version 2: binary --- */

static uint16_t u16_at(struct span s, size_t at)
{
    return (uint16_t)((uint8_t)s.p[at] << 8 | (uint8_t)s.p[at + 1]);
}

/* What is added is passed over, but must fill its place exactly. */
static bool additions_fit(struct span s)
{
    while (s.n >= 3) {
        size_t value = u16_at(s, 1);
        if (value > s.n - 3)
            return false;
        s = span_sub(s, 3 + value, s.n);
    }
    return s.n == 0;
}

static struct addr address_v4(const char *bytes, uint16_t port)
{
    struct addr a = {.len = sizeof a.v4};
    a.v4.sin_family = AF_INET;
    a.v4.sin_port = htons(port);
    memcpy(&a.v4.sin_addr, bytes, 4);
    return a;
}

static struct addr address_v6(const char *bytes, uint16_t port)
{
    struct addr a = {.len = sizeof a.v6};
    a.v6.sin6_family = AF_INET6;
    a.v6.sin6_port = htons(port);
    memcpy(&a.v6.sin6_addr, bytes, 16);
    return a;
}

/* The address block; its size where it is one of TCP over IP, or of a stream socket. */
static enum err read_block(uint8_t family, struct span rest, struct proxy_proto *out, size_t *size)
{
    enum { UNSPECIFIED = 0x00, TCP4 = 0x11, TCP6 = 0x21, UNIX_STREAM = 0x31 };
    *size = family == TCP4 ? 12 : family == TCP6 ? 36 : family == UNIX_STREAM ? 216 : 0;
    if (*size == 0 && family != UNSPECIFIED)
        return ERR_SYNTAX;
    if (rest.n < *size)
        return ERR_SYNTAX;
    out->local = family == UNSPECIFIED || family == UNIX_STREAM;
    if (family == TCP4) {
        out->from = address_v4(rest.p, u16_at(rest, 8));
        out->to = address_v4(rest.p + 4, u16_at(rest, 10));
    } else if (family == TCP6) {
        out->from = address_v6(rest.p, u16_at(rest, 32));
        out->to = address_v6(rest.p + 16, u16_at(rest, 34));
    }
    return ERR_OK;
}

static enum err parse_v2(struct span in, struct proxy_proto *out)
{
    enum { LOCAL = 0x20, PROXY = 0x21 };
    size_t block;
    if (in.n < V2_HEAD)
        return ERR_AGAIN;
    uint8_t command = (uint8_t)in.p[12], family = (uint8_t)in.p[13];
    size_t length = u16_at(in, 14);
    if ((command != LOCAL && command != PROXY) || V2_HEAD + length > PROXY_PROTO_V2_MOST)
        return ERR_SYNTAX;
    if (in.n < V2_HEAD + length)
        return ERR_AGAIN;
    struct span rest = span_sub(in, V2_HEAD, V2_HEAD + length);
    out->bytes = V2_HEAD + length;
    if (command == LOCAL) { /* the block is to be ignored, whatever it is */
        out->local = true;
        return ERR_OK;
    }
    enum err e = read_block(family, rest, out, &block);
    if (e != ERR_OK || family == 0)
        return e;
    return additions_fit(span_sub(rest, block, rest.n)) ? ERR_OK : ERR_SYNTAX;
}

enum err proxy_proto_parse(struct span in, struct proxy_proto *out)
{
    struct span v1 = SPAN("PROXY "), v2 = span_of(signature, sizeof signature);
    *out = (struct proxy_proto){0};
    if (span_starts(in, v1))
        return parse_v1(in, out);
    if (span_starts(in, v2))
        return parse_v2(in, out);
    return span_starts(v1, in) || span_starts(v2, in) ? ERR_AGAIN : ERR_SYNTAX;
}

/* --- writing --- */

static bool one_family(const struct addr *a, const struct addr *b)
{
    sa_family_t family = a->len != 0 ? a->any.sa_family : AF_UNSPEC;
    return (family == AF_INET || family == AF_INET6) && b->len != 0 && b->any.sa_family == family;
}

void proxy_proto_put_v1(struct buf *out, const struct addr *from, const struct addr *to)
{
    char a[ADDR_TEXT], b[ADDR_TEXT];
    if (!one_family(from, to)) {
        buf_put_str(out, "PROXY UNKNOWN\r\n");
        return;
    }
    struct span x = span_of(a, addr_print_host(from, a)), y = span_of(b, addr_print_host(to, b));
    buf_printf(out, "PROXY TCP%c %.*s %.*s %u %u\r\n", from->any.sa_family == AF_INET ? '4' : '6',
               SPAN_FMT(x), SPAN_FMT(y), (unsigned)addr_port(from), (unsigned)addr_port(to));
}

static void put_u16(struct buf *out, uint16_t n)
{
    buf_put_char(out, (char)(n >> 8));
    buf_put_char(out, (char)(n & 0xff));
}

static void put_ip(struct buf *out, const struct addr *a)
{
    const uint8_t *bytes;
    size_t n = addr_bytes(a, &bytes);
    buf_put(out, (const char *)bytes, n);
}

void proxy_proto_put_v2(struct buf *out, const struct addr *from, const struct addr *to)
{
    bool known = one_family(from, to), v4 = known && from->any.sa_family == AF_INET;
    buf_put(out, signature, sizeof signature);
    buf_put_char(out, known ? 0x21 : 0x20);
    buf_put_char(out, (char)(!known ? 0x00 : v4 ? 0x11 : 0x21));
    put_u16(out, (uint16_t)(!known ? 0 : v4 ? 12 : 36));
    if (!known)
        return;
    put_ip(out, from);
    put_ip(out, to);
    put_u16(out, addr_port(from));
    put_u16(out, addr_port(to));
}
