/* The grammars of values byte by byte and at their bounds, and addresses, networks, words and
 * switches where a file has them. */
#include "base/limits.h"
#include "check.h"
#include "conf/text.h"
#include "file.h"

#include <stdio.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS  "0123456789"
#define PCHARS  "-._~!$&'()*+,=:@/"
#define TCHARS  "!#$%&'*+-.^_`|~"
#define VISIBLE LETTERS DIGITS "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

TEST(conf_grammar, every_byte)
{
    static const struct {
        const char *(*check)(struct span s);
        const char *before, *good, *behind;
    } rows[] = {
        {text_name, "a", LETTERS DIGITS "_.-", "b"},
        {text_country, "D", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", ""},
        {text_method, "A", "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS TCHARS, "B"},
        {text_host, "a", LETTERS DIGITS "_-.", "b"},
        {text_host, "[1:", DIGITS "abcdefABCDEF:.", "1]"},
        {text_target, "/a", LETTERS DIGITS PCHARS ";?", "zz"},
        {text_target, "/a%", DIGITS "abcdefABCDEF", "0"},
        {text_target, "/a%0", DIGITS "abcdefABCDEF", ""},
        {text_route_path, "/a", LETTERS DIGITS PCHARS, "z"},
        {text_prefix, "/a", LETTERS DIGITS PCHARS ";", "z"},
        {text_redirect, "/a", LETTERS DIGITS "!#$%&'()*+,-./:;=?@[]_{}~", "z"},
        {text_field_value, "a", VISIBLE " \t", "z"},
        {text_rule_field, "a", LETTERS DIGITS TCHARS, "z"},
        {text_media_type, "text/a", LETTERS DIGITS TCHARS ";", "z"},
        {text_plain_media_type, "text/a", LETTERS DIGITS TCHARS, "z"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int c = 0; c < 256; c++) {
            char text[32];
            size_t n = (size_t)snprintf(text, sizeof text, "%sX%s", rows[i].before, rows[i].behind);
            text[strlen(rows[i].before)] = (char)c;
            bool good = c != 0 && strchr(rows[i].good, c) != NULL;
            CHECK((rows[i].check(span_of(text, n)) == NULL) == good, "row %zu, byte 0x%02x", i, c);
        }
    }
}

/* Every byte but controls may stand in a path. */
TEST(conf_grammar, every_byte_of_a_file_s_name)
{
    for (int c = 0; c < 256; c++) {
        char text[] = "/aXb";
        text[2] = (char)c;
        CHECK((text_file(SPAN(text)) == NULL) == (c >= 0x20 && c != 0x7f), "byte 0x%02x", c);
    }
}

TEST(conf_grammar, bounds)
{
    static const struct {
        const char *(*check)(struct span s);
        const char *begin;
        size_t most;
    } rows[] = {{text_name, "", 63},       {text_method, "", 32},        {text_host, "", 63},
                {text_file, "/", 4095},    {text_route_path, "/", 4095}, {text_target, "/", 4095},
                {text_redirect, "/", 4095}};
    static char text[5000];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        memset(text, 'A', sizeof text);
        memcpy(text, rows[i].begin, strlen(rows[i].begin));
        for (size_t n = rows[i].most - 1; n <= rows[i].most + 1; n++)
            CHECK((rows[i].check(span_of(text, n)) == NULL) == (n <= rows[i].most),
                  "row %zu, %zu bytes", i, n);
        CHECK(rows[i].check(span_of(text, 0)) != NULL, "row %zu, nothing", i);
    }
    memset(text, 'a', sizeof text);
    for (size_t i = 60; i < sizeof text; i += 61)
        text[i] = '.';
    for (size_t n = 252; n <= 254; n++)
        CHECK((text_host(span_of(text, n)) == NULL) == (n <= 253), "%zu bytes", n);
}

struct row {
    const char *(*check)(struct span s);
    const char *text;
    bool good;
};

TEST(conf_grammar, texts)
{
    static const struct row rows[] = {
        {text_secret, "file:/x", true},
        {text_secret, "file:x", false},
        {text_secret, "credential:a", true},
        {text_secret, "credential:", false},
        {text_secret, "credential:a b", false},
        {text_secret, "${A}", true},
        {text_secret, "${A", false},
        {text_secret, "${}", false},
        {text_secret, "${A B}", false},
        {text_secret, "secret", false},
        {text_secret, "", false},
        {text_secret_file, "file:/x", true},
        {text_secret_file, "file:x", false},
        {text_secret_file, "/x", false},
        {text_access_log, "stdout", true},
        {text_access_log, "stderr", true},
        {text_access_log, "/x", true},
        {text_host, "a-", false},
        {text_host, "a..b", false},
        {text_host, "[::]", false},
        {text_host, "[::1", false},
        {text_host, "[1::1", false},
        {text_host, "::1]", false},
        {text_public_url, "https://a", true},
        {text_public_url, "http://a:80/b", true},
        {text_public_url, "https://[::1]:443", true},
        {text_public_url, "https://[::1]", true},
        {text_public_url, "https://[::1]x", false},
        {text_public_url, "https://[::1", false},
        {text_public_url, "ftp://a", false},
        {text_public_url, "https://", false},
        {text_public_url, "https:///x", false},
        {text_public_url, "https://A", false},
        {text_public_url, "https://a b", false},
        {text_public_url, "https://a:0", false},
        {text_public_url, "https://a:65535", true},
        {text_public_url, "https://a:65536", false},
        {text_public_url, "https://a:x", false},
        {text_public_url, "https://a:", false},
        {text_public_url, "https://a/", false},
        {text_public_url, "https://a/b/", false},
        {text_public_url, "https://a//b", false},
        {text_public_url, "https://a/b?c", false},
        {text_media_type, "/plain", false},
        {text_media_type, "text/", false},
        {text_plain_media_type, "text/plain", true},
        {text_plain_media_type, " text/plain", false},
        {text_plain_media_type, "text/plain;a", false},
        {text_plain_media_type, "text", false},
        {text_field_value, "a ", false},
        {text_prefix, "", false},
        {text_prefix, "/a?", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK((rows[i].check(span_str(rows[i].text)) == NULL) == rows[i].good, "'%s'",
              rows[i].text);
}

TEST(conf_grammar, services)
{
    static const struct {
        const char *text, *domain;
    } rows[] = {{"_http._tcp.a.b", "a.b"},
                {"_http._tcp.a", "a"},
                {"_http._tcp", ""},
                {"_._tcp.a", ""},
                {"http._tcp.a", ""},
                {"_http._.a", ""},
                {"_http.tcp.a", ""},
                {"_http._tcp.", ""},
                {"_ht p._tcp.a", ""},
                {"_http._tcp.-a", ""},
                {"", ""}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_SPAN(text_service_domain(span_str(rows[i].text)), rows[i].domain);
}

TEST(conf_grammar, hosts_of_urls)
{
    uint64_t port;
    CHECK_SPAN(text_url_host(SPAN("https://"), &port), "");
    CHECK_INT(port, 443);
    CHECK_SPAN(text_url_host(SPAN("http://a:81/b"), &port), "a");
    CHECK_INT(port, 81);
    CHECK_SPAN(text_url_host(SPAN("https://a:b/c"), &port), "a");
    CHECK_INT(port, 0);
}

/* --- where a file has them --- */

static bool loads(const char *const *around, const char *value)
{
    char text[1200];
    struct conf *conf = NULL;
    struct buf messages;
    int n = snprintf(text, sizeof text, "%s%s%s", around[0], value, around[1]);
    buf_init(&messages, 0);
    enum err e = conf_load_text("test.yaml", span_of(text, (size_t)n), &conf, &messages);
    conf_free(&conf);
    buf_fini(&messages);
    return e == ERR_OK;
}

#define LISTENERS "listeners: {a: {bind: \"0.0.0.0:80\"}}\n"
#define POOLS     "pools: {p: {backends: {b: {address: \"127.0.0.1:1\"}}}}\n"
#define ROUTES    "routes:\n  - {match: {path: /x}, pool: p}\n"
#define ALL       LISTENERS POOLS ROUTES
#define LONG_60   "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff"

TEST(conf_grammar, values_in_their_places)
{
    static const char *const contexts[][2] = {
        {POOLS ROUTES "listeners: {a: {bind: ", "}}\n"},
        {LISTENERS ROUTES "pools: {p: {backends: {b: {address: ", "}}}}\n"},
        {ALL "resolve: {servers: [", "]}\n"},
        {ALL "trusted_proxies: {from: [", "]}\n"},
        {ALL "admin: {http: ", "}\n"},
        {ALL "sandbox: ", "\n"},
        {LISTENERS ROUTES "pools: {p: {backends: {b: {address: \"127.0.0.1:1\"}}, retries: {on: ",
         "}}}\n"},
        {LISTENERS ROUTES "pools: {p: {backends: {b: {address: \"127.0.0.1:1\"}}, protocol: ",
         "}}\n"},
        {POOLS ROUTES "listeners: {a: {bind: \"0.0.0.0:80\", protocols: ", "}}\n"},
    };
    enum { BIND, BACKEND, SERVER, NETWORK, ADMIN, FLAG, WORDS, WORD, SOME_WORDS };
    static const struct {
        int context;
        const char *value;
        bool good;
    } rows[] = {
        {BIND, "\"1.2.3.4:80\"", true},
        {BIND, "\"[::1]:80\"", true},
        {BIND, "\"unix:/x\"", true},
        {BIND, "\"unix:x\"", false},
        {BIND, "\"unix:/" LONG_60 LONG_60 "\"", false},
        {BIND, "\"systemd:web\"", true},
        {BIND, "\"systemd:\"", false},
        {BIND, "\"1.2.3.4\"", false},
        {BIND, "\":80\"", false},
        {BIND, "\"1.2.3.4:\"", false},
        {BIND, "\"1.2.3.4:0\"", false},
        {BIND, "\"1.2.3.4:65535\"", true},
        {BIND, "\"1.2.3.4:65536\"", false},
        {BIND, "\"1.2.3.4:x\"", false},
        {BIND, "\"[1.2.3.4]:80\"", false},
        {BIND, "\"::1:80\"", false},
        {BIND, "\"[::1:80\"", false},
        {BIND, "\"[]:80\"", false},
        {BIND, "\"[" LONG_60 "::1]:80\"", false},
        {BIND, "\"1.2\\0:80\"", false},
        {BIND, "\"name:80\"", false},
        {BIND, "[1]", false},
        {BIND, "[[1]]", false},
        {BIND, "\"1.2.3.4\\0:80\"", false},
        {BACKEND, "\"a.example:80\"", true},
        {BACKEND, "\"_http._tcp.a.example\"", true},
        {BACKEND, "\"_http._tcp.a.example:80\"", false},
        {BACKEND, "\"web1:80\"", true},
        {BACKEND, "\"a.4:80\"", false},
        {BACKEND, "\"4:80\"", false},
        {BACKEND, "\"a b:80\"", false},
        {BACKEND, "\"a.example:0\"", false},
        {BACKEND, "\"a.example\"", false},
        {BACKEND, "\"unix:/x\"", true},
        {BACKEND, "\"unix:x\"", false},
        {BACKEND, "\"systemd:web\"", false},
        {BACKEND, "{a: b}", false},
        {SERVER, "\"1.2.3.4:53\"", true},
        {SERVER, "\"name:53\"", false},
        {SERVER, "[]", false},
        {NETWORK, "10.0.0.0/8", true},
        {NETWORK, "\"2001:db8::/32\"", true},
        {NETWORK, "10.0.0.1", true},
        {NETWORK, "10.0.0.1/8", false},
        {NETWORK, "\"2001:db8::1/32\"", false},
        {NETWORK, "10.0.0.0/33", false},
        {NETWORK, "10.0.0.0/x", false},
        {NETWORK, "10.0.0.0/", false},
        {NETWORK, "\"::/129\"", false},
        {NETWORK, "x/8", false},
        {NETWORK, "\"\"", false},
        {NETWORK, "{}", false},
        {ADMIN, "off", true},
        {ADMIN, "\"127.0.0.1:9\"", true},
        {ADMIN, "\"127.0.0.1\"", false},
        {ADMIN, "[]", false},
        {FLAG, "true", true},
        {FLAG, "false", true},
        {FLAG, "\"true\"", false},
        {FLAG, "\"false\"", false},
        {FLAG, "yes", false},
        {FLAG, "[]", false},
        {WORDS, "[connect, reset]", true},
        {WORDS, "[connect, connect]", false},
        {WORDS, "[nothing]", false},
        {WORDS, "[[connect]]", false},
        {WORDS, "connect", false},
        {WORDS, "[]", true},
        {WORD, "h2", true},
        {WORD, "h3", false},
        {WORD, "[h2]", false},
        {WORD, "*x", false},
        {SOME_WORDS, "[h2]", true},
        {SOME_WORDS, "[]", false},
        {SOME_WORDS, "[x]", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK(loads(contexts[rows[i].context], rows[i].value) == rows[i].good, "context %d, %s",
              rows[i].context, rows[i].value);
}

/* No word at all is printed as it is read. */
TEST(conf_grammar, no_words)
{
    struct conf *conf = load_good(LISTENERS ROUTES "pools: {p: {backends: {b: {address: "
                                                   "\"127.0.0.1:1\"}}, retries: {on: []}}}\n");
    struct buf out;
    buf_init(&out, 0);
    conf_print(conf, &out);
    buf_put_char(&out, 0);
    CHECK(strstr(out.p, "on: []\n") != NULL, "%s", out.p);
    buf_fini(&out);
    conf_free(&conf);
}

TEST(conf_grammar, content_of_a_route_is_bounded)
{
    for (size_t n = KIB(64) - 1; n <= KIB(64) + 1; n++) {
        struct conf *conf = NULL;
        struct buf text, messages;
        buf_init(&text, 0);
        buf_init(&messages, 0);
        buf_put_str(&text, ALL "  - respond:\n      status: 200\n      body: |-\n        ");
        for (size_t i = 1; i <= n; i++)
            buf_put_str(&text, i % 1024 == 0 && i < n ? "\n        " : "a");
        enum err e = conf_load_text("test.yaml", buf_span(&text), &conf, &messages);
        CHECK((e == ERR_OK) == (n <= KIB(64)), "%zu bytes: %.*s", n, SPAN_FMT(buf_span(&messages)));
        conf_free(&conf);
        buf_fini(&messages);
        buf_fini(&text);
    }
}
