/* The grammars of text values, and how values are printed. */
#include "check.h"
#include "conf/scalar.h"
#include "conf/schema.h"
#include "conf/text.h"

struct row {
    const char *(*check)(struct span s);
    const char *text;
    bool good;
};

TEST(conf_text, grammars)
{
    static const struct row rows[] = {
        {text_name, "a", true},
        {text_name, "A-z_0.9", true},
        {text_name, "", false},
        {text_name, "a b", false},
        {text_name, "a/b", false},
        {text_file, "/a", true},
        {text_file, "/", false},
        {text_file, "a", false},
        {text_file, "/a\tb", false},
        {text_access_log, "off", true},
        {text_access_log, "syslog", false},
        {text_country, "DE", true},
        {text_country, "de", false},
        {text_country, "DEU", false},
        {text_continent, "OC", true},
        {text_continent, "XX", false},
        {text_method, "GET", true},
        {text_method, "M-SEARCH", true},
        {text_method, "Get", false},
        {text_method, "", false},
        {text_method, "A B", false},
        {text_host, "a", true},
        {text_host, "a-1.b_c.example", true},
        {text_host, "127.0.0.1", true},
        {text_host, "[::1]", true},
        {text_host, "[::g]", false},
        {text_host, "::1", false},
        {text_host, "a.", false},
        {text_host, ".a", false},
        {text_host, "-a", false},
        {text_host, "a:80", false},
        {text_host, "*.a", false},
        {text_target, "/", true},
        {text_target, "/a?b=c&d", true},
        {text_target, "*", false},
        {text_target, "/a#b", false},
        {text_route_path, "/", true},
        {text_route_path, "/v1/", true},
        {text_route_path, "/a%20b", true},
        {text_route_path, "/a%2", false},
        {text_route_path, "/a/..", false},
        {text_route_path, "/./a", false},
        {text_route_path, "/a..b/.c", true},
        {text_route_path, "/a?b", false},
        {text_route_path, "/a//b", false},
        {text_route_path, "//", false},
        {text_route_path, "/a;b", false},
        {text_route_path, "/a%00", false},
        {text_route_path, "/a%2Fb", false},
        {text_route_path, "/a%5cb", false},
        {text_route_path, "/a%3Bb", false},
        {text_route_path, "/a%22b%01", true},
        {text_prefix, "/a;b", true},
        {text_route_path, "/\xC3\xA9", false},
        {text_redirect, "/new", true},
        {text_redirect, "https://a.example/x?y#z", true},
        {text_redirect, "http://a", true},
        {text_redirect, "https://{host}{uri}", true},
        {text_redirect, "", false},
        {text_redirect, "https://a/\r\nX: y", false},
        {text_redirect, "/a b", false},
        {text_redirect, "/a<", false},
        {text_prefix, "/v1", true},
        {text_prefix, "/v1/", true},
        {text_prefix, "/", false},
        {text_prefix, "//v1", false},
        {text_prefix, "v1", false},
        {text_prefix, "/a/../b", false},
        {text_rule_field, "X-Country", true},
        {text_rule_field, "Set-Cookie", true},
        {text_rule_field, "Content-Length", false},
        {text_rule_field, "host", false},
        {text_rule_field, "TE", false},
        {text_rule_field, "a b", false},
        {text_field_value, "max-age=31536000; preload", true},
        {text_field_value, " a", false},
        {text_field_value, "a\r\nb", false},
        {text_field_value, "", false},
        {text_media_type, "text/plain", true},
        {text_media_type, "text/plain; charset=utf-8", true},
        {text_media_type, "text", false},
        {text_media_type, "text/plain; a\r\nb", false},
        {text_content, "", true},
        {text_content, "a\n\tb\r\n", true},
        {text_content, "a\x1B[0m", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *must = rows[i].check(span_str(rows[i].text));
        CHECK((must == NULL) == rows[i].good, "row %zu, '%s': %s", i, rows[i].text,
              must != NULL ? must : "good");
    }
}

TEST(conf_text, paths_have_one_form_H14)
{
    static const struct {
        const char *path, *want;
    } rows[] = {
        {"/", "/"},
        {"/%7Eu/%61%2D", "/~u/a-"},
        {"/%40fs/a%3ab%28", "/@fs/a:b("},
        {"/caf%c3%a9/%2f%5c%3b", "/caf%C3%A9/%2F%5C%3B"},
        {"/a%20b%25", "/a%20b%25"},
        {"/%31%39%00", "/19%00"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char path[64];
        size_t n = strlen(rows[i].path);
        memcpy(path, rows[i].path, n);
        n = text_settle_path(path, n);
        CHECK_SPAN(span_of(path, n), rows[i].want);
        CHECK_INT(text_settle_path(path, n), n);
        CHECK_SPAN(span_of(path, n), rows[i].want);
    }
}

TEST(conf_text, decimals)
{
    static const struct {
        const char *text, *printed; /* NULL: refused */
    } rows[] = {
        {"0", "0.0"},
        {"1", "1.0"},
        {"1.5", "1.5"},
        {"-77.49", "-77.49"},
        {"0.000001", "0.000001"},
        {"179.999999", "179.999999"},
        {"1.50", "1.5"},
        {"", NULL},
        {"-", NULL},
        {".5", NULL},
        {"5.", NULL},
        {"+1", NULL},
        {"1e5", NULL},
        {"0x1", NULL},
        {"1.2345678", NULL},
        {"1.2.3", NULL},
        {"nan", NULL},
        {"--1", NULL},
        {"12345678", NULL},
        {"1 ", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char memory[64];
        struct buf out;
        double value = 0;
        bool good = scalar_real(span_str(rows[i].text), &value);
        CHECK(good == (rows[i].printed != NULL), "'%s' is %d", rows[i].text, good);
        if (!good)
            continue;
        buf_fixed(&out, memory, sizeof memory);
        scalar_put_real(&out, value);
        CHECK_SPAN(buf_span(&out), rows[i].printed);
    }
}

TEST(conf_text, quotes_where_another_reader_would_err)
{
    static const struct {
        const char *text, *printed;
    } rows[] = {
        {"abc", "abc"},     {"/a/b.c-d", "/a/b.c-d"}, {"", "\"\""},       {"true", "\"true\""},
        {"No", "\"No\""},   {"12", "\"12\""},         {"1.5", "\"1.5\""}, {"0x1f", "\"0x1f\""},
        {"1e5", "\"1e5\""}, {"10m", "10m"},           {"-a", "\"-a\""},   {"a b", "\"a b\""},
        {"a:b", "\"a:b\""}, {"a\n", "\"a\\n\""},      {"\"", "\"\\\"\""}, {"*a", "\"*a\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out;
        buf_init(&out, 0);
        struct writer w = {.out = &out};
        write_text(&w, span_str(rows[i].text));
        CHECK_SPAN(buf_span(&out), rows[i].printed);
        buf_fini(&out);
    }
}

TEST(conf_text, secrets_are_hidden)
{
    static const struct schema_field fields[] = {
        {.key = "user", .type = &type_text},
        {.key = "password",
         .type = &type_text,
         .offset = sizeof(struct conf_text),
         .flags = SCHEMA_SECRET},
    };
    static const struct schema_map map = {SCHEMA_FIELDS(fields)};
    const struct conf_text values[] = {{.s = SPAN("me")}, {.s = SPAN("swordfish")}};
    struct buf out;
    buf_init(&out, 0);
    struct writer w = {.out = &out};
    schema_write(&w, &map, values);
    CHECK_SPAN(buf_span(&out), "user: me\npassword: \"(hidden)\"\n");
    buf_fini(&out);
}

/* What a pool sends as Host: the host of it is whom a certificate is for. */
TEST(conf_text, authorities)
{
    static const struct {
        const char *text, *host; /* NULL: it is none */
    } rows[] = {
        {"a.b", "a.b"},
        {"a.b:80", "a.b"},
        {"192.0.2.1:65535", "192.0.2.1"},
        {"[2001:db8::1]", "[2001:db8::1]"},
        {"[2001:db8::1]:8443", "[2001:db8::1]"},
        {"", NULL},
        {":80", NULL},
        {"a:", NULL},
        {"a:0", NULL},
        {"a:65536", NULL},
        {"a:8x", NULL},
        {"a:80:80", NULL},
        {"2001:db8::1", NULL},
        {"[2001:db8::1", NULL},
        {"[2001:db8::1]8443", NULL},
        {"[2001:db8::1]:", NULL},
        {"a b:80", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct span s = span_str(rows[i].text);
        CHECK(text_is_authority(s) == (rows[i].host != NULL), "'%s'", rows[i].text);
        if (rows[i].host != NULL)
            CHECK_SPAN(text_authority_host(s), rows[i].host);
    }
}
