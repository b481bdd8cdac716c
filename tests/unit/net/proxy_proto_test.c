/* The PROXY protocol's header: what is one, how long it is, and that it is read as it is written
 * (RELIABILITY H16). */
#include "net/proxy_proto.h"

#include "check.h"

static struct addr address(const char *text)
{
    struct addr a;
    CHECK_INT(addr_parse(span_str(text), &a), ERR_OK);
    return a;
}

TEST(proxy_proto, lines)
{
    static const struct {
        const char *text;
        enum err e;
        const char *from; /* NULL: local */
        size_t bytes;
    } rows[] = {
        {"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\nGET", ERR_OK, "192.0.2.7:4711", 40},
        {"PROXY TCP6 2001:db8::7 ::1 1 65535\r\n", ERR_OK, "[2001:db8::7]:1", 36},
        {"PROXY UNKNOWN\r\n", ERR_OK, NULL, 15},
        {"PROXY UNKNOWN ffff::1 anything at all\r\nX", ERR_OK, NULL, 39},
        {"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r", ERR_AGAIN, NULL, 0},
        {"PRO", ERR_AGAIN, NULL, 0},
        {"", ERR_AGAIN, NULL, 0},
        {"GET / HTTP/1.1\r\n", ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\n", ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4  192.0.2.7 10.0.0.1 4711 443\r\n", ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443 \r\n", ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4 192.0.2.7 10.0.0.1 4711\r\n", ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443 1\r\n", ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4 192.0.2.7 10.0.0.1 04711 443\r\n", ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4 192.0.2.7 10.0.0.1 4711 65536\r\n", ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4 192.0.2.7 10.0.0.1 4711 123456\r\n", ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4 192.0.2.7 10.0.0.1 0 0\r\n", ERR_OK, "192.0.2.7:0", 35},
        {"PROXY TCP4 192.0.2.7 ::1 4711 443\r\n", ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4 192.0.2.7 host 4711 443\r\n", ERR_SYNTAX, NULL, 0},
        {"PROXY TCP6 ::1 [::2] 4711 443\r\n", ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4\r\n", ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4 192.0.2.7\r\n", ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4 192.0.2.7 10.0.0.1\r\n", ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4 192.0.2.7 10.0.0.1 -1 443\r\n", ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4 2001:db8::7 ::1 4711 443\r\n", ERR_SYNTAX, NULL, 0},
        {"PROXY TCP6 [2001:db8::7] ::1 4711 443\r\n", ERR_SYNTAX, NULL, 0},
        {"PROXY TCP6 192.0.2.7 10.0.0.1 4711 443\r\n", ERR_SYNTAX, NULL, 0},
        {"PROXY UDP4 192.0.2.7 10.0.0.1 4711 443\r\n", ERR_SYNTAX, NULL, 0},
        {"PROXY UNKNOWNX\r\n", ERR_SYNTAX, NULL, 0},
        {"PROXY \r\n", ERR_SYNTAX, NULL, 0},
        {"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\rX\r\n", ERR_SYNTAX, NULL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct proxy_proto got;
        enum err e = proxy_proto_parse(span_str(rows[i].text), &got);
        CHECK(e == rows[i].e, "%s: %s", rows[i].text, err_name(e));
        if (e != ERR_OK)
            continue;
        CHECK(got.bytes == rows[i].bytes, "%s: %zu bytes", rows[i].text, got.bytes);
        CHECK(got.local == (rows[i].from == NULL), "%s: local", rows[i].text);
        struct addr from = rows[i].from != NULL ? address(rows[i].from) : (struct addr){0};
        CHECK(got.local || addr_eq(&got.from, &from), "%s: from", rows[i].text);
    }
}

TEST(proxy_proto, a_line_has_a_bound)
{
    char line[200];
    struct proxy_proto got;
    memset(line, 'x', sizeof line);
    memcpy(line, "PROXY UNKNOWN ", 14);
    CHECK_INT(proxy_proto_parse(span_of(line, PROXY_PROTO_V1_MOST - 1), &got), ERR_AGAIN);
    CHECK_INT(proxy_proto_parse(span_of(line, PROXY_PROTO_V1_MOST), &got), ERR_SYNTAX);
    memcpy(line + PROXY_PROTO_V1_MOST - 2, "\r\n", 2);
    CHECK_INT(proxy_proto_parse(span_of(line, sizeof line), &got), ERR_OK);
    CHECK_INT(got.bytes, PROXY_PROTO_V1_MOST);
}

/* A version 2 header of these bytes; add: what follows the addresses, in its length. */
static struct span header(char *out, unsigned command, unsigned family, size_t block,
                          struct span add)
{
    size_t length = block + add.n;
    memcpy(out, "\r\n\r\n\0\r\nQUIT\n", 12);
    out[12] = (char)command;
    out[13] = (char)family;
    out[14] = (char)(length >> 8);
    out[15] = (char)(length & 0xff);
    for (size_t i = 0; i < block; i++)
        out[16 + i] = (char)(i + 1);
    if (add.n > 0)
        memcpy(out + 16 + block, add.p, add.n);
    return span_of(out, 16 + length);
}

TEST(proxy_proto, binary_headers)
{
    struct span none = SPAN(""), tlv = span_of("\x04\x00\x03"
                                               "abc"
                                               "\x20\x00\x00",
                                               9);
    struct span cut = span_of("\x04\x00\x09"
                              "abc",
                              6),
                stray = span_of("\x04\x00", 2);
    const struct {
        unsigned command, family;
        size_t block;
        struct span add;
        enum err e;
        bool local;
    } rows[] = {
        {0x21, 0x11, 12, none, ERR_OK, false},      {0x21, 0x21, 36, none, ERR_OK, false},
        {0x21, 0x11, 12, tlv, ERR_OK, false},       {0x21, 0x21, 36, tlv, ERR_OK, false},
        {0x21, 0x31, 216, none, ERR_OK, true},      {0x21, 0x00, 0, none, ERR_OK, true},
        {0x21, 0x00, 5, none, ERR_OK, true},        {0x20, 0x00, 0, none, ERR_OK, true},
        {0x20, 0x11, 3, none, ERR_OK, true},        {0x21, 0x11, 12, cut, ERR_SYNTAX, false},
        {0x21, 0x11, 12, stray, ERR_SYNTAX, false}, {0x21, 0x11, 11, none, ERR_SYNTAX, false},
        {0x21, 0x21, 12, none, ERR_SYNTAX, false},  {0x21, 0x12, 12, none, ERR_SYNTAX, false},
        {0x22, 0x11, 12, none, ERR_SYNTAX, false},  {0x11, 0x11, 12, none, ERR_SYNTAX, false},
        {0x20, 0x11, 2100, none, ERR_SYNTAX, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char bytes[2200];
        struct proxy_proto got;
        struct span in = header(bytes, rows[i].command, rows[i].family, rows[i].block, rows[i].add);
        enum err e = proxy_proto_parse(in, &got);
        CHECK(e == rows[i].e, "row %zu: %s", i, err_name(e));
        for (size_t n = 0; e == ERR_OK && n < in.n; n++) {
            struct proxy_proto part;
            CHECK_INT(proxy_proto_parse(span_sub(in, 0, n), &part), ERR_AGAIN);
        }
        CHECK(e != ERR_OK || (got.bytes == in.n && got.local == rows[i].local), "row %zu", i);
    }
}

TEST(proxy_proto, what_is_written_is_read)
{
    static const struct {
        const char *from, *to;
    } rows[] = {{"192.0.2.7:4711", "10.0.0.1:443"},
                {"[2001:db8::7]:1", "[::1]:65535"},
                {"192.0.2.7:4711", "[::1]:443"},
                {"[::1]:443", "192.0.2.7:4711"},
                {"unix:/x", "unix:/y"},
                {NULL, "192.0.2.7:4711"},
                {"192.0.2.7:4711", NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct addr from = rows[i].from != NULL ? address(rows[i].from) : (struct addr){0};
        struct addr to = rows[i].to != NULL ? address(rows[i].to) : (struct addr){0};
        for (int version = 1; version <= 2; version++) {
            char memory[PROXY_PROTO_V1_MOST];
            struct buf b;
            struct proxy_proto got;
            buf_fixed(&b, memory, sizeof memory);
            (version == 1 ? proxy_proto_put_v1 : proxy_proto_put_v2)(&b, &from, &to);
            CHECK(!b.failed && proxy_proto_parse(buf_span(&b), &got) == ERR_OK, "row %zu", i);
            CHECK_INT(got.bytes, buf_len(&b));
            CHECK(got.local == (i >= 2), "row %zu", i);
            CHECK(got.local || (addr_eq(&got.from, &from) && addr_eq(&got.to, &to)), "row %zu", i);
        }
    }
}
