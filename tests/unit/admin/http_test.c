#include "base/mem.h"
#include "check.h"

#include "desk.h"

#include <stdio.h>

static struct desk desk;

static struct span get(const char *method, const char *path, const char *host)
{
    char text[512];
    snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", method,
             path, host);
    return desk_ask(&desk, &desk.http, text);
}

static bool has(struct span s, const char *what)
{
    return memmem(s.p, s.n, what, strlen(what)) != NULL;
}

static int count_of(struct span s, const char *what)
{
    int n = 0;
    size_t length = strlen(what);
    for (const char *p = s.p;
         s.n > 0 && (p = memmem(p, (size_t)(s.p + s.n - p), what, length)) != NULL; p += length)
        n++;
    return n;
}

static int status_of(struct span answer)
{
    uint64_t status = 0;
    CHECK(span_starts(answer, SPAN("HTTP/1.1 ")), "%.*s", SPAN_FMT(answer));
    CHECK_INT(span_u64(span_sub(answer, 9, 12), &status), ERR_OK);
    return (int)status;
}

TEST(http, resources)
{
    static const struct {
        const char *path, *type, *content;
    } rows[] = {
        {"/", "text/html", "<title>Meridian</title>"},
        {"/status.css", "text/css", "prefers-color-scheme"},
        {"/status.js", "text/javascript", "'use strict'"},
        {"/icon.svg", "image/svg+xml", "<svg "},
        {"/metrics", "text/plain; version=0.0.4", "\nmeridian_ready 1\n"},
        {"/healthz", "text/plain", "\r\n\r\nok\n"},
        {"/readyz", "text/plain", "\r\n\r\nready\n"},
        {"/v1/status", "application/json", "\r\n\r\n{\"ok\":true,\"command\":\"status\""},
        {"/v1/pools", "application/json", "\"pools\":[{\"name\":\"api\""},
        {"/v1/backends", "application/json", "\"address\":\"10.1.0.11:8080\""},
        {"/v1/routes", "application/json", "\"routes\":["},
        {"/v1/certificates", "application/json", "\"left_seconds\":-86400"},
    };
    desk_init(&desk);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct span got = get("GET", rows[i].path, "localhost");
        CHECK_INT(status_of(got), 200);
        CHECK(has(got, rows[i].type) && has(got, rows[i].content), "%s: %.*s", rows[i].path,
              SPAN_FMT(got));
        CHECK(has(got, "no-store"), "%s", rows[i].path);
        got = get("HEAD", rows[i].path, "localhost");
        CHECK(status_of(got) == 200 && span_ends(got, SPAN("\r\n\r\n")), "%s: no content to HEAD",
              rows[i].path);
    }
    desk_fini(&desk);
}

TEST(http, not_ready)
{
    desk_init(&desk);
    desk.view.not_ready = "draining";
    struct span got = get("GET", "/readyz", "x");
    CHECK(status_of(got) == 503 && span_ends(got, SPAN("draining\n")), "%.*s", SPAN_FMT(got));
    CHECK_INT(status_of(get("GET", "/healthz", "x")), 200);
    desk_fini(&desk);
}

/* L40: a page in somebody's browser must not read what is behind a name that was bent to here. */
TEST(http, host)
{
    static const struct {
        const char *host;
        int status;
    } rows[] = {
        {"localhost", 200},      {"LOCALHOST", 200},      {"localhost:9977", 200},
        {"127.0.0.1", 200},      {"127.0.0.1:9977", 200}, {"[::1]", 200},
        {"[::1]:9977", 200},     {"evil.example", 421},   {"localhost.evil.example", 421},
        {"127.0.0.1.evil", 421}, {"127.0.0.2", 421},      {"[::2]", 421},
    };
    desk_init(&desk);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int status = status_of(get("GET", "/v1/status", rows[i].host));
        CHECK(status == rows[i].status, "%s: %d", rows[i].host, status);
        CHECK_INT(status_of(get("GET", "/metrics", rows[i].host)), rows[i].status);
        CHECK_INT(status_of(get("GET", "/healthz", rows[i].host)), 200);
    }
    desk_fini(&desk);
}

/* L40: the page loads nothing from elsewhere, and names in it are text. */
TEST(http, page)
{
    desk_init(&desk);
    struct span got = get("GET", "/", "localhost");
    CHECK(has(got, "default-src 'none'; style-src 'self'; script-src 'self'"), "%.*s",
          SPAN_FMT(got));
    CHECK(has(got, "frame-ancestors 'none'") && has(got, "nosniff"), "%.*s", SPAN_FMT(got));
    CHECK(has(got, "o&quot;d\\d ") && !has(got, "o\"d"), "%.*s", SPAN_FMT(got));
    CHECK(has(got, "1 of 2 usable") && has(got, "10.1.0.11:8080"), "%.*s", SPAN_FMT(got));
    CHECK(has(got, "(expired)"), "%.*s", SPAN_FMT(got));
    /* Connections that could not be made are in the errors already. */
    CHECK(has(got, "<td class=n>10</td><td class=n>2</td>"), "%.*s", SPAN_FMT(got));
    CHECK(!has(got, "style=") && !has(got, "onclick") && !has(got, "http://") &&
              !has(got, "https://"),
          "%.*s", SPAN_FMT(got));
    CHECK_INT(status_of(get("GET", "/", "evil.example")), 421);
    desk.view.backend_copies = 400;
    got = get("GET", "/", "localhost");
    CHECK(has(got, " more: meridianctl backends"), "bounded");
    desk_fini(&desk);
}

/* P8: of a database that is away one sees that, and what serves meanwhile. */
TEST(http, page_tells_of_the_database)
{
    desk_init(&desk);
    CHECK(!has(get("GET", "/", "localhost"), "Central database"), "none is configured");
    desk.view.dependency_count = 3;
    struct span got = get("GET", "/", "localhost");
    CHECK(has(got, "Central database") && !has(got, "rows that serve"), "it is only probed");
    CHECK(has(got, "<th scope=row>db</th><td>query</td><td class=good>up</td><td class=n>2 h</td>"),
          "%.*s", SPAN_FMT(got));
    CHECK(has(got, "<td class=bad>down</td><td class=n>1 min</td><td>it is a &lt;standby&gt;</td>"),
          "%.*s", SPAN_FMT(got));
    CHECK(has(got, "<td class=wait>unknown</td><td class=n></td><td>–</td>"), "%.*s",
          SPAN_FMT(got));
    desk.view.dependency_count = 0;
    desk.view.database = (struct admin_database){.followed = true,
                                                 .why = SPAN("could not <connect>"),
                                                 .origin = "file",
                                                 .contact_ms = -1,
                                                 .rows = 7,
                                                 .used = 6};
    got = get("GET", "/", "localhost");
    CHECK(has(got, "<dd class=bad>down</dd>") && has(got, "<dd>kept file</dd>"), "%.*s",
          SPAN_FMT(got));
    CHECK(has(got, "could not &lt;connect&gt;") && !has(got, "its last answer"), "%.*s",
          SPAN_FMT(got));
    CHECK(has(got, "<dt>rows that serve</dt><dd>6</dd>") && !has(got, "What servers depend on"),
          "%.*s", SPAN_FMT(got));
    desk.view.database.up = true;
    desk.view.database.origin = "database";
    desk.view.database.contact_ms = 250;
    got = get("GET", "/", "localhost");
    CHECK(has(got, "<dd class=good>up</dd>") && has(got, "its last answer</dt><dd>0 s</dd>") &&
              !has(got, "could not"),
          "%.*s", SPAN_FMT(got));
    desk_fini(&desk);
}

TEST(http, refusals)
{
    desk_init(&desk);
    struct span got = get("DELETE", "/metrics", "localhost");
    CHECK(status_of(got) == 405 && (has(got, "allow: GET, HEAD") || has(got, "Allow: GET, HEAD")),
          "%.*s", SPAN_FMT(got));
    CHECK_INT(status_of(get("GET", "/nothing", "localhost")), 404);
    CHECK_INT(status_of(get("GET", "/v1/stop", "localhost")), 404);
    CHECK_INT(status_of(get("GET", "/v1/reload", "localhost")), 404);
    CHECK_INT(status_of(desk_ask(&desk, &desk.http, "GET / HTTP/1.1\nHost: x\n\n")), 400);
    CHECK_INT(status_of(desk_ask(&desk, &desk.http,
                                 "POST /v1/status HTTP/1.1\r\nHost: localhost\r\n"
                                 "Content-Length: 5\r\n\r\nhello")),
              405);
    CHECK(desk.view.stops == 0 && desk.view.job == NULL, "nothing was done");
    desk_fini(&desk);
}

TEST(http, keep_alive)
{
    struct desk_client c;
    desk_init(&desk);
    desk_connect(&desk, &desk.http, &c);
    desk_send(&c,
              "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(!desk_run(&desk, 100), "it stays open");
    CHECK(has(buf_span(&c.got), "ok\nHTTP/1.1 200"), "%.*s", SPAN_FMT(buf_span(&c.got)));
    admin_free(&desk.admin);
    CHECK(desk_run(&desk, 20000), "until there is no admin side");
    desk_close(&c);
    desk_fini(&desk);
}

/* L40: what a client asks for on and does not read fills no memory: its next request begins when it
 * has taken enough of the answers before. */
TEST(http, reader_that_does_not_read)
{
    enum { ASKED = 40 };
    struct desk_client c;
    struct buf flood;
    desk_init(&desk);
    desk.view.backend_copies = 300;
    size_t one = get("GET", "/v1/backends", "localhost").n;
    CHECK(one > KIB(256), "%zu bytes", one);
    buf_init(&flood, 0);
    for (int i = 0; i < ASKED; i++) {
        buf_put_str(&flood, "GET /v1/backends HTTP/1.1\r\nHost: localhost\r\n");
        buf_put_str(&flood, i < ASKED - 1 ? "\r\n" : "Connection: close\r\n\r\n");
    }
    desk_connect(&desk, &desk.http, &c);
    conn_want_read(c.c, false);
    conn_write(c.c, buf_span(&flood));
    uint64_t before = mem_used();
    desk_run(&desk, 300);
    uint64_t held = mem_used() - before;
    CHECK(held < MIB(4), "%llu bytes are held", (unsigned long long)held);
    conn_want_read(c.c, true);
    CHECK(desk_run(&desk, 60000), "the end");
    CHECK(c.got.n > (ASKED - 1) * one, "%zu bytes of answers of %zu", c.got.n, one);
    desk_close(&c);
    buf_fini(&flood);
    desk_fini(&desk);
}

static bool spent(struct loop *l)
{
    (void)l;
    return true;
}

/* One who asks for a thousand heads at once, which leave nothing to wait for, holds up nobody. */
TEST(http, one_who_asks_much_at_once_has_others_go_on)
{
    enum { ASKED = 200 };
    struct desk_client many, one;
    struct loop_ops ops;
    struct buf flood;
    desk_init(&desk);
    ops = *desk.loop->ops;
    ops.turn_spent = spent;
    desk.loop->ops = &ops;
    buf_init(&flood, 0);
    for (int i = 0; i < ASKED; i++)
        buf_put_str(&flood, "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    desk_connect(&desk, &desk.http, &many);
    conn_write(many.c, buf_span(&flood));
    desk_connect(&desk, &desk.http, &one);
    desk_send(&one, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for (int wait = 0; wait < 20000 && one.got.n == 0; wait++)
        desk_run(&desk, 1);
    size_t before = many.got.n;
    CHECK(has(buf_span(&one.got), "ok"), "answered");
    for (int wait = 0; wait < 20000 && count_of(buf_span(&many.got), "HTTP/1.1 200") < ASKED;
         wait++)
        desk_run(&desk, 1);
    CHECK_INT(count_of(buf_span(&many.got), "HTTP/1.1 200"), ASKED);
    CHECK(before < many.got.n / 2, "%zu of %zu bytes had come before", before, many.got.n);
    desk_close(&many);
    desk_close(&one);
    buf_fini(&flood);
    desk_fini(&desk);
}

TEST(http, bounded)
{
    struct desk_client c[17];
    desk_init(&desk);
    for (int i = 0; i < 17; i++) {
        desk_connect(&desk, &desk.http, &c[i]);
        desk_run(&desk, 10);
    }
    desk_run(&desk, 50);
    CHECK(c[16].ended && !c[15].ended, "the seventeenth is refused");
    struct span got = desk_ask(&desk, &desk.control, "{\"command\":\"pools\"}\n");
    CHECK(got.n > 0, "the control socket has its own places");
    for (int i = 0; i < 17; i++) {
        desk_close(&c[i]);
    }
    desk_fini(&desk);
}

/* Those that are kept open by browsers and scrapers give way, the longest idle one first. */
TEST(http, idle_ones_make_room)
{
    struct desk_client c[18];
    desk_init(&desk);
    for (int i = 0; i < 18; i++) {
        desk_connect(&desk, &desk.http, &c[i]);
        if (i != 1) {
            desk_send(&c[i], "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        }
        desk_run(&desk, 10);
    }
    desk_run(&desk, 50);
    CHECK(has(buf_span(&c[16].got), "ok") && has(buf_span(&c[17].got), "ok"), "new ones");
    CHECK(c[0].ended && !c[1].ended && c[2].ended && !c[3].ended, "0 and 2 have been idle longest");
    CHECK(!c[16].ended && !c[17].ended, "new ones stay");
    for (int i = 0; i < 18; i++) {
        desk_close(&c[i]);
    }
    desk_fini(&desk);
}
