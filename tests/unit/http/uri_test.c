#include "check.h"
#include "http/uri.h"

#include <stdlib.h>

enum {
    TWICE = URI_READ_PARAMS | URI_READ_LATE | URI_READ_BACKSLASH | URI_READ_MERGE | URI_READ_CUT |
            URI_READ_TWICE
};

TEST(uri, forms)
{
    static const struct {
        const char *target;
        enum uri_form form;
        const char *authority, *path, *query; /* query NULL: none */
    } rows[] = {
        {"/", URI_ORIGIN, "", "/", NULL},
        {"/a/b?c=d?e", URI_ORIGIN, "", "/a/b", "c=d?e"},
        {"/a?", URI_ORIGIN, "", "/a", ""},
        {"//host/a", URI_ORIGIN, "", "//host/a", NULL},
        {"/http://x", URI_ORIGIN, "", "/http://x", NULL},
        {"/a?%", URI_ORIGIN, "", "/a", "%"},
        {"*", URI_ASTERISK, "", "*", NULL},
        {"http://h/p?q", URI_ABSOLUTE, "h", "/p", "q"},
        {"HTTPS://h:1", URI_ABSOLUTE, "h:1", "", NULL},
        {"http://h?q/r", URI_ABSOLUTE, "h", "", "q/r"},
        {"http://", URI_ABSOLUTE, "", "", NULL},
        {"http:///p", URI_ABSOLUTE, "", "/p", NULL},
        {"h:80", URI_AUTHORITY, "h:80", "", NULL},
        {"h", URI_AUTHORITY, "h", "", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct uri u;
        CHECK(uri_parse(span_str(rows[i].target), &u) == ERR_OK, "%s", rows[i].target);
        CHECK_INT(u.form, rows[i].form);
        CHECK_SPAN(u.authority, rows[i].authority);
        CHECK_SPAN(u.path, rows[i].path);
        CHECK((u.query.p == NULL) == (rows[i].query == NULL), "%s", rows[i].target);
        CHECK_SPAN(u.query, rows[i].query != NULL ? rows[i].query : "");
    }
}

TEST(uri, refused_H14)
{
    static const char *const rows[] = {
        "",       "/a b",       "/a#b",   "/#",     "/%",       "/%0",          "/%g0",
        "/%0g",   "/a%2",       "/%00",   "/a%00b", "ftp://h/", "http+x://h/",  "://h/",
        "/a?b#c", "/\x7f",      "/\xff",  "/\t",    "/a?\x80",  "http://h/%zz", "javascript://x",
        "h#",     "http://h/#", "/a?b c",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct uri u;
        CHECK(uri_parse(span_str(rows[i]), &u) == ERR_BAD_TARGET, "%s", rows[i]);
    }
    for (int c = 0; c < 256; c++) {
        const char target[] = {'/', (char)c, 'a'};
        struct uri u;
        bool ok = c > 0x20 && c < 0x7f && c != '#' && c != '%';
        CHECK((uri_parse(span_of(target, sizeof(target)), &u) == ERR_OK) == ok, "byte %d", c);
    }
}

TEST(uri, dot_segments_H14)
{
    static const struct {
        const char *path, *want;
    } rows[] = {
        {"/", "/"},           {"/a/b", "/a/b"},      {"/a/./b", "/a/b"},
        {"/a/../b", "/b"},    {"/a/..", "/"},        {"/a/b/..", "/a/"},
        {"/a/b/.", "/a/b/"},  {"/.", "/"},           {"/..", "/"},
        {"/../..", "/"},      {"/../a", "/a"},       {"/a/../../b", "/b"},
        {"/%2e/a", "/a"},     {"/a/%2E%2e/b", "/b"}, {"/a/.%2e/b", "/b"},
        {"/a/%2e./b", "/b"},  {"/...", "/..."},      {"/.a", "/.a"},
        {"/a.", "/a."},       {"/..a/b", "/..a/b"},  {"/%2e%2e%2e", "/%2e%2e%2e"},
        {"/a//../b", "/a/b"}, {"//..", "/"},         {"//", "//"},
        {"/./", "/"},         {"/a/./", "/a/"},      {"/a/b/c/./../../g", "/a/g"},
        {"/..;/a", "/..;/a"}, {"/%2fa/..", "/"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char memory[64];
        size_t n = strlen(rows[i].path);
        bool changes = strcmp(rows[i].path, rows[i].want) != 0;
        struct span got, sent;
        struct arena a;
        arena_init(&a, NULL, 256, 256);
        memcpy(memory, rows[i].path, n);
        CHECK_INT(uri_resolve(memory, n, &a, &got, &sent), ERR_OK);
        CHECK_SPAN(got, rows[i].want);
        CHECK((sent.p != NULL) == changes, "%s", rows[i].path);
        CHECK_SPAN(sent, changes ? rows[i].path : "");
        CHECK_INT(uri_resolve(memory, got.n, &a, &got, &sent), ERR_OK);
        CHECK_SPAN(got, rows[i].want);
        CHECK(sent.p == NULL, "%s", rows[i].path);
        arena_reset(&a);
    }
}

TEST(uri, no_memory_for_the_path_as_it_came)
{
    char path[] = "/a/../b";
    struct span got, sent;
    struct arena a;
    arena_init(&a, NULL, 4, 4);
    CHECK_INT(uri_resolve(path, strlen(path), &a, &got, &sent), ERR_NO_MEMORY);
    arena_reset(&a);
}

TEST(uri, canonical_paths_H14)
{
    static const char *const rows[][2] = {
        {"/", "/"},
        {"/a/b", "/a/b"},
        {"//a///b//", "/a/b/"},
        {"/%7eu/%61%2D%2e%5Fz", "/~u/a-._z"},
        {"/a%2fb%5c;x=%3b", "/a%2Fb%5C;x=%3B"},
        {"/%40%3a@:", "/%40%3A@:"},
        {"/a%252f", "/a%252f"},
        {"/%c3%a4%20", "/%C3%A4%20"},
        {"/a\\b|", "/a\\b|"},
        {"/%2541", "/%2541"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char memory[64], again[64];
        struct span got = uri_canonical(span_str(rows[i][0]), memory);
        CHECK_SPAN(got, rows[i][1]);
        CHECK_SPAN(uri_canonical(got, again), rows[i][1]);
    }
}

TEST(uri, odd_paths_H14)
{
    static const char *const odd[] = {
        "/a//b",    "//a",   "/a%2fb", "/a%5Cb", "/a\\b",   "/a;b",    "/%61",
        "/a%2e",    "/%7e",  "/a%2D",  "/;",     "/a/;x=y", "/%5c",    "/a//",
        "/%41%00x", "/%40b", "/a%3A",  "/a%28b", "/%c3%A4", "/%C3%a4", "/a%3Bb"};
    static const char *const even[] = {"/",      "/a/b/", "/a%20b", "/a%C3%A4", "/a:b@c(d)",
                                       "/a%22b", "/%25",  "*",      "/a%2",     "/%xy"};
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        CHECK(uri_is_odd(span_str(odd[i])), "%s", odd[i]);
    }
    for (size_t i = 0; i < sizeof(even) / sizeof(even[0]); i++) {
        CHECK(!uri_is_odd(span_str(even[i])), "%s", even[i]);
    }
}

TEST(uri, readings_H14)
{
    static const struct {
        const char *path;
        unsigned readings;
        const char *want;
    } rows[] = {
        {"/a//b///c", URI_READ_MERGE, "/a/b/c"},
        {"/a//b", URI_READ_PARAMS, "/a//b"},
        {"/a%2fb", URI_READ_SLASH, "/a/b"},
        {"/a%5cb", URI_READ_SLASH, "/a\\b"},
        {"/a%5cb", URI_READ_SLASH | URI_READ_BACKSLASH, "/a/b"},
        {"/a\\..\\b", URI_READ_BACKSLASH, "/b"},
        {"/a;x/b;y", URI_READ_PARAMS, "/a/b"},
        {"/a/..;/b", URI_READ_PARAMS, "/b"},
        {"/a;x/b%3bc/%3B..", URI_READ_PARAMS, "/a/b%3bc/%3B.."},
        {"/a;x/b%3bc/..%3B;/d", URI_READ_LATE, "/a;x/d"},
        {"/a;x/b%3b;c%2fd", URI_READ_PARAMS | URI_READ_LATE | URI_READ_SLASH, "/a/b/d"},
        {"/x;%2fy/..%2fz", URI_READ_PARAMS | URI_READ_SLASH, "/x/z"},
        {"/x;%2fy/..%2fz", URI_READ_PARAMS | URI_READ_SLASH | URI_READ_CUT, "/z"},
        {"/x%3b\\y/..%2fz", URI_READ_LATE | URI_READ_SLASH | URI_READ_CUT, "/z"},
        {"/a/b/..;/..%2f..%2fz;x", URI_READ_SLASH, "/a/z;x"},
        {"/;\\a/%3b\\z", TWICE & ~(unsigned)URI_READ_TWICE, "/"},
        {"/;\\a/%3b\\z", TWICE, "/z"},
        {"/%3b;\\a/%3b%3b\\z", TWICE, "/z"},
        {"/a/b/..;/..%2f..%2fz;x", URI_READ_SLASH | URI_READ_AGAIN, "/a/z"},
        {"/x/..;/z%2f..%2fy", URI_READ_PARAMS | URI_READ_AGAIN, "/z/../y"},
        {"/z%2f..%2fy", URI_READ_PARAMS | URI_READ_AGAIN, "/z%2f..%2fy"},
        {"/%61dmin", URI_READ_PLAIN, "/admin"},
        {"/%40a%3ab%3b", URI_READ_PLAIN, "/@a:b%3b"},
        {"/x/..%2fadmin", URI_READ_SLASH, "/admin"},
        {"/x/%2e%2e%5cadmin", URI_READ_SLASH | URI_READ_BACKSLASH, "/admin"},
        {"/x/;/..", URI_READ_PARAMS, "/x/"},
        {"/x/;/admin", URI_READ_PARAMS | URI_READ_MERGE, "/x/admin"},
        {"/a%2", URI_READ_SLASH, "/a%2"},
        {"/a/../b/.", URI_READ_DOTS, "/a/../b/."},
        {"/a//../b", URI_READ_MERGE | URI_READ_DOTS, "/a/../b"},
        {"/a/%2e%2e/x/../b", URI_READ_ESCAPED, "/a/%2e%2e/b"},
        {"/a/../%2e", URI_READ_ESCAPED, "/%2e"},
        {"", URI_READ_SLASH, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t n = strlen(rows[i].path);
        char *memory = malloc(n + 1);
        CHECK(memory != NULL, "memory");
        CHECK_SPAN(uri_variant(span_of(rows[i].path, n), rows[i].readings, SIZE_MAX, memory),
                   rows[i].want);
        free(memory);
    }
}

TEST(uri, readings_that_matter_H14)
{
    static const struct {
        const char *path;
        unsigned want;
    } rows[] = {
        {"/a.b", 0},
        {"/%61", URI_READ_PLAIN},
        {"/%2ea", URI_READ_PLAIN},
        {"/a//b", URI_READ_MERGE},
        {"/a//b.c", URI_READ_MERGE},
        {"/a//.b", URI_READ_MERGE},
        {"/a//b.", URI_READ_MERGE},
        {"/a//...", URI_READ_MERGE},
        {"/a//.;", URI_READ_MERGE | URI_READ_PARAMS | URI_READ_DOTS | URI_READ_AGAIN},
        {"/a%2f..", URI_READ_SLASH | URI_READ_MERGE | URI_READ_DOTS | URI_READ_AGAIN},
        {"/a%2f.%2E%3b", URI_READ_PLAIN | URI_READ_SLASH | URI_READ_MERGE | URI_READ_DOTS |
                             URI_READ_ESCAPED | URI_READ_LATE | URI_READ_AGAIN},
        {"/a;b/c%2fd", URI_READ_PARAMS | URI_READ_SLASH | URI_READ_MERGE},
        {"/a;b%2fd", URI_READ_PARAMS | URI_READ_SLASH | URI_READ_MERGE | URI_READ_CUT},
        {"/a;b", URI_READ_PARAMS | URI_READ_MERGE},
        {"/a%3Bb.", URI_READ_LATE | URI_READ_MERGE},
        {"/;\\a%3b", TWICE},
        {"/a\\..", URI_READ_BACKSLASH | URI_READ_MERGE | URI_READ_DOTS | URI_READ_AGAIN},
        {"/a%5c%2e", URI_READ_PLAIN | URI_READ_SLASH | URI_READ_BACKSLASH | URI_READ_MERGE |
                         URI_READ_ESCAPED | URI_READ_DOTS | URI_READ_AGAIN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK(uri_readings(span_str(rows[i].path)) == rows[i].want, "%s", rows[i].path);
}

TEST(uri, escapes_have_one_form_H14)
{
    char memory[32];
    CHECK_SPAN(uri_settle(SPAN("/ab%c3%a4%2f%7ec"), memory), "/ab%C3%A4%2F%7Ec");
    CHECK_SPAN(uri_settle(SPAN("/%C3%a4"), memory), "/%C3%A4");
    CHECK_SPAN(uri_settle(SPAN("/%25ab"), memory), "/%25ab");
}

TEST(uri, hosts_H8)
{
    static const struct {
        const char *in, *host;
        unsigned port;
    } good[] = {
        {"Example.COM", "example.com", 0},
        {"example.com:80", "example.com", 80},
        {"a:0", "a", 0},
        {"a:65535", "a", 65535},
        {"a:00080", "a", 80},
        {"1.2.3.4:5", "1.2.3.4", 5},
        {"[::1]", "[::1]", 0},
        {"[2001:DB8::1]:443", "[2001:db8::1]", 443},
        {"[::ffff:1.2.3.4]", "[::ffff:1.2.3.4]", 0},
        {"a_b-c~d", "a_b-c~d", 0},
        {"Example.com.", "example.com", 0}, /* the same host, and so the same route */
        {"example.com.:80", "example.com", 80},
        {"1.2.3.4.", "1.2.3.4", 0},
        {"a.b.c.", "a.b.c", 0},
    };
    static const char *const bad[] = {
        "",
        ":80",
        "a:",
        "a:65536",
        "a:1:2",
        "a:+1",
        "a:-1",
        "a: 1",
        "a b",
        "a,b",
        "u@h",
        "u:p@h",
        "a/b",
        "[::1",
        "::1",
        "[::1]x",
        "[::1]:",
        "[1.2.3.4]",
        "[fe80::1%25eth0]",
        "[]",
        "[:]",
        "[::1]:99999",
        "a:123456",
        "a\tb",
        "a?b",
        "a#b",
        "a%41",
        "\xc3\xa4",
        "a;b",
        "a\\b",
        "*",
        ".",
        ".:80",
        "..",
        ".a",
        "a..",
        "a..:80",
        "a...",
        "a..b",
        "1.2.3.4..",
        "[::1].",
        "a:8a",
        "[::1]80",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char copy[64] = {0};
        struct host h;
        memcpy(copy, good[i].in, strlen(good[i].in));
        CHECK(host_parse(copy, strlen(copy), &h) == ERR_OK, "%s", good[i].in);
        CHECK_SPAN(h.host, good[i].host);
        CHECK_INT(h.port, good[i].port);
        CHECK_INT(h.authority.n, strlen(good[i].in));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char copy[64] = {0};
        struct host h;
        memcpy(copy, bad[i], strlen(bad[i]));
        CHECK(host_parse(copy, strlen(copy), &h) == ERR_BAD_HOST, "%s", bad[i]);
    }
    char longest[256];
    struct host h;
    memset(longest, 'a', sizeof(longest));
    CHECK_INT(host_parse(longest, 255, &h), ERR_OK);
    CHECK_INT(host_parse(longest, 256, &h), ERR_BAD_HOST);
}

/* What is not among the useful readings changes nothing: paths of all the bytes that matter. */
TEST(uri, readings_that_make_no_difference)
{
    static const char *const parts[] = {"/",   "a",   ".",   "..",  ";",   ";x",
                                        "\\",  "%2f", "%5c", "%2e", "%61", "%20",
                                        "%3b", "//",  "%2F", "%c3", "%40"};
    uint64_t random = 1;
    for (int i = 0; i < 1500; i++) {
        char path[64] = "/", with[64], without[64];
        size_t n = 1;
        for (int k = 0; k < 8; k++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            const char *part = parts[(random >> 33) % (sizeof(parts) / sizeof(parts[0]))];
            memcpy(path + n, part, strlen(part));
            n += strlen(part);
        }
        struct span s, sent;
        struct arena a;
        arena_init(&a, NULL, 128, 0);
        CHECK_INT(uri_resolve(path, n, &a, &s, &sent), ERR_OK);
        arena_reset(&a);
        unsigned useful = uri_readings(s);
        for (unsigned r = 1; r < URI_READ_END; r++) {
            struct span one = uri_variant(s, r, SIZE_MAX, with),
                        two = uri_variant(s, r & useful, SIZE_MAX, without);
            CHECK(span_eq(one, two), "%.*s: %u of %u", SPAN_FMT(s), r, useful);
        }
    }
}
