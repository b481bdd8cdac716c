/* Access-log lines: both forms, escaping, what is never written (RELIABILITY H23, L38, F32). */
#include "proxy/access_log.h"

#include "base/limits.h"
#include "check.h"

#include <stdlib.h>

static struct access_facts facts(void)
{
    return (struct access_facts){
        .wall_ns = 1795428672345678901,
        .time = "2026-11-23T10:11:12.345Z",
        .client = SPAN("198.51.100.7"),
        .peer = SPAN("192.0.2.1"),
        .listener = SPAN("web"),
        .route = SPAN("api"),
        .pool = SPAN("blue"),
        .backend = SPAN("b1"),
        .site = SPAN("fra"),
        .country = SPAN("DE"),
        .protocol = "HTTP/1.1",
        .method = SPAN("GET"),
        .authority = SPAN("shop.example"),
        .path = SPAN("/a/b"),
        .user_agent = SPAN("curl/8"),
        .referer = SPAN("https://r.example/"),
        .id = SPAN("id-1"),
        .trace = SPAN("4bf92f35"),
        .status = 200,
        .bytes_in = 120,
        .bytes_out = 4096,
        .queue_ns = 0,
        .connect_ns = 1234567,
        .first_byte_ns = 25000999,
        .total_ns = 61000000001,
        .attempts = 2,
        .end = "ok",
        .tls_version = "TLSv1.3",
        .sni = SPAN("shop.example"),
        .distance_ms = 12.25F,
    };
}

static char memory[LIMIT_LOG_LINE * 3];

static const char *written(void (*write)(const struct access_facts *, struct buf *),
                           const struct access_facts *f)
{
    struct buf b;
    buf_fixed(&b, memory, sizeof memory - 1);
    write(f, &b);
    CHECK(!b.failed, "it fits");
    memory[b.n] = '\0';
    return memory;
}

TEST(access_log, json_has_every_field)
{
    struct access_facts f = facts();
    CHECK_STR(written(access_json, &f),
              "{\"time\":\"2026-11-23T10:11:12.345Z\",\"client\":\"198.51.100.7\","
              "\"peer\":\"192.0.2.1\",\"listener\":\"web\",\"route\":\"api\",\"pool\":\"blue\","
              "\"backend\":\"b1\",\"protocol\":\"HTTP/1.1\",\"method\":\"GET\","
              "\"authority\":\"shop.example\",\"path\":\"/a/b\",\"status\":200,\"bytes_in\":120,"
              "\"bytes_out\":4096,\"queue\":0.000000,\"connect\":0.001234,"
              "\"first_byte\":0.025000,\"total\":61.000000,\"attempts\":2,\"end\":\"ok\","
              "\"country\":\"DE\",\"site\":\"fra\",\"distance_ms\":12.2,\"tls\":\"TLSv1.3\","
              "\"sni\":\"shop.example\",\"request_id\":\"id-1\",\"trace\":\"4bf92f35\"}\n");
}

TEST(access_log, json_leaves_out_what_is_not_known)
{
    struct access_facts f = {.time = "1970-01-01T00:00:00.000Z",
                             .queue_ns = -1,
                             .connect_ns = -1,
                             .first_byte_ns = -1,
                             .total_ns = 0,
                             .distance_ms = -1,
                             .end = "limit-L4"};
    CHECK_STR(written(access_json, &f),
              "{\"time\":\"1970-01-01T00:00:00.000Z\",\"status\":0,\"bytes_in\":0,"
              "\"bytes_out\":0,\"total\":0.000000,\"attempts\":0,\"end\":\"limit-L4\"}\n");
}

/* Digits are written by twos: each count of them, and where one more begins. */
TEST(access_log, json_numbers)
{
    static const struct {
        uint64_t n;
        int64_t ns;
        const char *count, *seconds;
    } rows[] = {
        {0, 0, "0", "0.000000"},
        {9, 999, "9", "0.000000"},
        {10, 1000, "10", "0.000001"},
        {99, 10000000, "99", "0.010000"},
        {100, 999999999, "100", "0.999999"},
        {999, 1000000000, "999", "1.000000"},
        {1000, 9999999000, "1000", "9.999999"},
        {65535, 10000000000, "65535", "10.000000"},
        {100000, 123456789012, "100000", "123.456789"},
        {10000000000, 99990000100000, "10000000000", "99990.000100"},
        {UINT64_MAX, INT64_MAX, "18446744073709551615", "9223372036.854775"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct access_facts f = facts();
        char want[200];
        f.bytes_in = f.bytes_out = rows[i].n;
        f.queue_ns = f.total_ns = rows[i].ns;
        snprintf(want, sizeof want,
                 "\"bytes_in\":%s,\"bytes_out\":%s,\"queue\":%s,\"connect\":0.001234,"
                 "\"first_byte\":0.025000,\"total\":%s,",
                 rows[i].count, rows[i].count, rows[i].seconds, rows[i].seconds);
        CHECK(strstr(written(access_json, &f), want) != NULL, "%s in %s", want, memory);
    }
}

/* A value is copied while it is looked at, eight bytes at once: escapes at each place of it leave
 * nothing behind of the copy. */
TEST(access_log, json_escapes_at_each_place)
{
    char text[40], want[80];
    for (size_t n = 1; n < sizeof text; n++) {
        for (size_t at = 0; at <= n; at++) {
            struct access_facts f = facts();
            memset(text, 'a', n);
            if (at < n)
                text[at] = '"';
            f.authority = span_of(text, n);
            snprintf(want, sizeof want, "\"authority\":\"%.*s%s%.*s\",\"path\"", (int)at, text,
                     at < n ? "\\\"" : "", at < n ? (int)(n - at - 1) : 0, text + at + 1);
            CHECK(strstr(written(access_json, &f), want) != NULL, "%s in %s", want, memory);
        }
    }
}

/* A buffer without room: nothing of a line that does not fit is passed on. */
TEST(access_log, json_without_room_fails)
{
    struct access_facts f = facts();
    size_t whole = strlen(written(access_json, &f));
    for (size_t size = 0; size < whole; size++) {
        struct buf b;
        buf_fixed(&b, memory, size);
        access_json(&f, &b);
        CHECK(b.failed && buf_len(&b) <= size, "%zu of %zu", size, whole);
    }
}

TEST(access_log, combined_is_the_fields_common_form)
{
    struct access_facts f = facts();
    CHECK_STR(written(access_combined, &f),
              "198.51.100.7 - - [23/Nov/2026:10:11:12 +0000] \"GET /a/b HTTP/1.1\" 200 4096 "
              "\"https://r.example/\" \"curl/8\"\n");
    f.query = SPAN("q=1");
    CHECK(strstr(written(access_combined, &f), "\"GET /a/b?q=1 HTTP/1.1\"") != NULL, "%s", memory);
    struct access_facts none = {.protocol = NULL};
    CHECK_STR(written(access_combined, &none),
              "- - - [01/Jan/1970:00:00:00 +0000] \"- - -\" 0 0 \"-\" \"-\"\n");
}

/* One line each, whatever the client sends; JSON stays JSON, quotes stay closed. */
TEST(access_log, every_byte_is_escaped)
{
    for (int c = 1; c < 256; c++) {
        char text[4] = {'x', (char)c, 'y', '\0'};
        struct access_facts f = facts();
        f.path = f.user_agent = f.referer = f.query = f.authority = f.id = span_of(text, 3);
        f.method = f.sni = f.country = span_of(text, 3);
        for (int form = 0; form < 2; form++) {
            const char *line = written(form == 0 ? access_json : access_combined, &f);
            size_t n = strlen(line), quotes = 0;
            CHECK(line[n - 1] == '\n', "its end");
            for (size_t i = 0; i + 1 < n; i++) {
                unsigned char b = (unsigned char)line[i];
                CHECK(b >= 0x20 && b < 0x7f, "byte %d of 0x%02x in form %d", b, c, form);
                if (form == 0 && b == '\\')
                    i++; /* JSON escapes one more at least */
                else
                    quotes += b == '"';
            }
            CHECK(quotes % 2 == 0, "quotes of 0x%02x in form %d", c, form);
        }
    }
}

TEST(access_log, combined_escapes_as_hex)
{
    struct access_facts f = facts();
    f.user_agent = SPAN("a\"b\\c\r\n\x1b[31m\x7f");
    f.path = SPAN("/\xc3\xa4\"");
    CHECK(strstr(written(access_combined, &f), " \"a\\x22b\\x5cc\\x0d\\x0a\\x1b[31m\\x7f\"\n") !=
              NULL,
          "%s", memory);
    CHECK(strstr(memory, "GET /\\xc3\\xa4\\x22 HTTP") != NULL, "%s", memory);
}

TEST(access_log, query_secrets_are_hidden)
{
    static const struct {
        const char *query, *shown;
    } rows[] = {
        {"a=b", "a=b"},
        {"", ""},
        {"token=abc", "token=***"},
        {"access_token=abc&x=1", "access_token=***&x=1"},
        {"a=1;token=abc;b=2&c=3", "a=1;token=***&c=3"},
        {"a=1;b=2;;c&token=ab;cd", "a=1;b=2;;c&token=***"},
        {"a;token=abc", "a;token=***"},
        {"a=1;token=;b=2;", "a=1;token=;b=2;"},
        {"x=1&API-KEY=abc", "x=1&API-KEY=***"},
        {"PassWord=p&p=q", "PassWord=***&p=q"},
        {"sig=a=b=c", "sig=***"},
        {"token=", "token="},
        {"token", "token"},
        {"&&a&", "&&a"},
        {"code=1&state=2&session_id=3", "code=***&state=2&session_id=***"},
        {"t%6fken=abc", "t%6fken=***"},
        {"%74%4F%4b%65%6E=abc", "%74%4F%4b%65%6E=***"},
        {"client_secret=a&secre=b&ssecret=c", "client_secret=***&secre=b&ssecret=***"},
        {"passwd=a&pass=b&oauth=c&aut=d", "passwd=***&pass=b&oauth=***&aut=d"},
        {"k=a&ke=b&key=c&tok=d&se=e", "k=a&ke=b&key=***&tok=d&se=e"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct access_facts f = facts();
        char want[128];
        f.query = span_str(rows[i].query);
        snprintf(want, sizeof want, "\"path\":\"/a/b?%s\"", rows[i].shown);
        CHECK(strstr(written(access_json, &f), want) != NULL, "%s in %s", want, memory);
        snprintf(want, sizeof want, "GET /a/b?%s HTTP", rows[i].shown);
        CHECK(strstr(written(access_combined, &f), want) != NULL, "%s in %s", want, memory);
    }
}

/* L38: whatever a client sends there is a line, of 8 KiB at most: nobody hides by being long. */
TEST(access_log, lines_are_bounded)
{
    static const char bytes[] = {'a', '"', '\x01', '\xe4'};
    static char big[20000];
    for (size_t i = 0; i < sizeof bytes; i++) {
        memset(big, bytes[i], sizeof big);
        struct access_facts f = facts();
        f.path = f.query = f.user_agent = f.referer = f.authority = f.id = span_of(big, sizeof big);
        f.method = f.trace = f.sni = f.path;
        CHECK(strlen(written(access_json, &f)) <= LIMIT_LOG_LINE, "json, %zu", strlen(memory));
        CHECK(strlen(written(access_combined, &f)) <= LIMIT_LOG_LINE, "%zu", strlen(memory));
        CHECK(strlen(memory) > LIMIT_LOG_URI + 2 * LIMIT_LOG_FIELD, "%zu", strlen(memory));
    }
}

/* L38: 2 KiB of a URI, 1 KiB of any other field. */
TEST(access_log, values_are_cut_at_their_bounds)
{
    static char big[4000];
    memset(big, 'a', sizeof big);
    for (size_t i = 0; i < 3; i++) { /* below, at and above */
        struct access_facts f = facts();
        size_t path = LIMIT_LOG_URI - 2 + i, agent = LIMIT_LOG_FIELD - 1 + i;
        f.path = span_of(big, path);
        f.user_agent = span_of(big, agent);
        f.query = SPAN_NONE;
        const char *line = written(access_combined, &f), *at = strstr(line, "GET ") + 4;
        CHECK_INT(strcspn(at, " "), i == 2 ? LIMIT_LOG_URI - 1 : path);
        at = strstr(at, "/\" \"") + 4;
        CHECK_INT(strcspn(at, "\""), i == 2 ? LIMIT_LOG_FIELD : agent);
    }
}

TEST(access_log, a_query_full_of_secrets_stays_whole_pairs)
{
    char query[1600];
    struct access_facts f = facts();
    for (size_t i = 0; i + 8 <= sizeof query; i += 8)
        memcpy(query + i, "token=x&", 8); /* grows when it is hidden */
    f.query = span_of(query, sizeof query);
    const char *line = written(access_combined, &f);
    CHECK(strstr(line, "=x") == NULL, "%s", line);
    line = written(access_json, &f);
    CHECK(strstr(line, "=x") == NULL && line[strlen(line) - 1] == '\n', "%s", line);
}

static const char *as_template(const char *text, const struct access_facts *f)
{
    struct arena arena;
    struct template t;
    struct span bad;
    struct buf b;
    arena_init(&arena, NULL, KIB(4), 0);
    CHECK_INT(template_parse(span_str(text), &arena, &t, &bad), ERR_OK);
    buf_fixed(&b, memory, sizeof memory - 1);
    access_template(&t, f, &b);
    CHECK(!b.failed, "it fits");
    memory[b.n] = '\0';
    arena_reset(&arena);
    return memory;
}

TEST(access_log, template_has_every_value)
{
    struct access_facts f = facts();
    f.query = SPAN("page=2&token=x");
    f.host = SPAN("shop.example");
    f.scheme = SPAN("https");
    CHECK_STR(
        as_template(
            "{time} {client.address} [{{{peer.address}] {method} {scheme}://{host}{uri} "
            "{status} {bytes_in}/{bytes_out} {queue} {connect} {first_byte} {total} {attempts} "
            "{end}",
            &f),
        "2026-11-23T10:11:12.345Z 198.51.100.7 [{192.0.2.1] GET "
        "https://shop.example/a/b?page=2&token=*** "
        "200 120/4096 0.000000 0.001234 0.025000 61.000000 2 ok\n");
    CHECK_STR(
        as_template("{listener} {route} {pool} {backend} {site} {geo.country} {protocol} "
                    "{authority} {path} "
                    "{query} {request_id} {trace} {tls} {sni} {distance_ms} {user_agent} {referer}",
                    &f),
        "web api blue b1 fra DE HTTP/1.1 shop.example /a/b page=2&token=*** id-1 4bf92f35 TLSv1.3 "
        "shop.example 12.2 curl/8 https://r.example/\n");
}

/* F32: what comes from outside neither ends the line nor a quoted part of it. */
TEST(access_log, template_escapes_and_says_what_is_not_known)
{
    struct access_facts f = facts();
    f.path = SPAN("/a\n\"b\x1b[2J");
    f.connect_ns = -1;
    f.distance_ms = -1;
    CHECK_STR(as_template("\"{path}\" {connect} {distance_ms} {sticky} {geo.continent}", &f),
              "\"/a\\x0a\\x22b\\x1b[2J\" - - - -\n");
}

/* L38: a template that asks for more than a line holds gets as much as it holds. */
TEST(access_log, template_lines_are_cut)
{
    static char big[4000], text[6000];
    memset(big, '"', sizeof big);
    struct access_facts f = facts();
    f.path = f.query = f.user_agent = span_of(big, sizeof big);
    const char *line =
        as_template("{uri} {user_agent} {uri} {user_agent} {uri} {user_agent} {uri}", &f);
    CHECK_INT(strlen(line), LIMIT_LOG_LINE);
    CHECK_INT(line[LIMIT_LOG_LINE - 1], '\n');
    memset(text, 'x', sizeof text - 1);
    snprintf(text + 5000, 900, "{uri}{uri}{uri}");
    CHECK_INT(strlen(as_template(text, &f)), LIMIT_LOG_LINE);
}
