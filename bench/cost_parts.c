/* Parser, writer, routes, pick and the access log, each alone. */
#include "cost.h"

#include "base/limits.h"
#include "base/mem.h"
#include "http/h1_parse.h"
#include "http/h1_write.h"
#include "pick/pick.h"
#include "pick/route.h"
#include "proxy/access_log.h"

#include <stdio.h>

static const char request_text[] =
    "GET /v1/items/4711/reviews?page=2&sort=newest HTTP/1.1\r\n"
    "Host: api.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Accept-Language: en-US,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Connection: keep-alive\r\n"
    "Cookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark\r\n\r\n";

static const char reply_text[] = "HTTP/1.1 200 OK\r\n"
                                 "Content-Type: application/json; charset=utf-8\r\n"
                                 "Content-Length: 1024\r\n"
                                 "Cache-Control: private, max-age=60\r\n"
                                 "ETag: \"33a64df551425fcc55e4d42a148795d9\"\r\n\r\n";

/* --- heads --- */

struct heads {
    struct arena_cache cache;
    struct arena arena;
    struct request request;
    struct reply reply;
};

static void read_heads(struct heads *h)
{
    static const struct h1_limits limits = {.line = LIMIT_REQUEST_LINE,
                                            .head = LIMIT_HEAD,
                                            .fields = LIMIT_FIELDS,
                                            .field = LIMIT_FIELD};
    static const struct asked asked = {.method = METHOD_GET};
    struct h1_scan scan;
    struct h1_head head;
    h1_scan_init(&scan, H1_REQUEST);
    if (h1_parse_request(&scan, &limits, SPAN(request_text), &h->arena, &h->request, &head) !=
        ERR_OK)
        cost_fail("the request was refused");
    h1_scan_init(&scan, H1_REPLY);
    if (h1_parse_reply(&scan, &limits, SPAN(reply_text), asked, &h->arena, &h->reply, &head) !=
        ERR_OK)
        cost_fail("the response was refused");
}

static void *heads_begin(void)
{
    struct heads *h = mem_alloc(sizeof *h);
    if (h == NULL)
        cost_fail("no memory");
    h->cache.keep = 4;
    arena_init(&h->arena, &h->cache, 8 * 1024, 0);
    read_heads(h);
    return h;
}

static void heads_end(void *state)
{
    struct heads *h = state;
    arena_reset(&h->arena);
    arena_cache_fini(&h->cache);
    mem_free(h);
}

static void parse_work(void *state, size_t times)
{
    struct heads *h = state;
    for (size_t i = 0; i < times; i++) {
        arena_reset(&h->arena);
        read_heads(h);
    }
}

static void write_work(void *state, size_t times)
{
    struct heads *h = state;
    char memory[4096];
    struct buf out;
    struct h1_reply_form form = {.coding = H1_LENGTH,
                                 .date = SPAN("Mon, 23 Nov 2026 10:11:12 GMT")};
    buf_fixed(&out, memory, sizeof memory);
    for (size_t i = 0; i < times; i++) {
        buf_clear(&out);
        h1_write_request(&out, &h->request);
        h1_write_reply(&out, &h->reply, &form);
        if (out.failed)
            cost_fail("the heads do not fit");
    }
}

const struct cost_subject cost_parse = {"parse", heads_begin, parse_work, heads_end};
const struct cost_subject cost_write = {"write", heads_begin, write_work, heads_end};

/* --- routes --- */

enum { ROUTES = 1000, NAME = 32 };

struct routes {
    struct route_table *table;
    char names[ROUTES][NAME];
    struct route_rule rules[2 * ROUTES];
};

static void *routes_begin(void)
{
    struct routes *r = mem_alloc(sizeof *r);
    if (r == NULL)
        cost_fail("no memory");
    for (uint32_t i = 0; i < ROUTES; i++) {
        snprintf(r->names[i], NAME, "shop%u.example.com", i);
        struct span host = span_str(r->names[i]);
        r->rules[2 * i] = (struct route_rule){.host = host, .path = SPAN("/"), .index = 2 * i};
        r->rules[2 * i + 1] =
            (struct route_rule){.host = host, .path = SPAN("/v1/items"), .index = 2 * i + 1};
    }
    if (route_table_new(r->rules, sizeof r->rules / sizeof *r->rules, &r->table) != ERR_OK)
        cost_fail("the routes cannot be built");
    return r;
}

static struct span no_field(void *ctx, struct span name)
{
    (void)ctx;
    (void)name;
    return SPAN_NONE;
}

static void routes_work(void *state, size_t times)
{
    struct routes *r = state;
    for (size_t i = 0; i < times; i++) {
        uint32_t host = (uint32_t)(i * 7 % ROUTES);
        struct route_request ask = {.host = r->rules[(size_t)2 * host].host,
                                    .path = SPAN("/v1/items/4711/reviews"),
                                    .method = SPAN("GET"),
                                    .get = no_field};
        struct route_match match;
        if (route_find(r->table, &ask, &match) != ERR_OK || match.index != 2 * host + 1)
            cost_fail("the wrong route");
    }
}

static void routes_end(void *state)
{
    struct routes *r = state;
    route_table_free(&r->table);
    mem_free(r);
}

const struct cost_subject cost_route = {"route", routes_begin, routes_work, routes_end};

/* --- pick --- */

enum { MEMBERS = 100, SITES = 4 };

struct picks {
    struct registry *registry;
    struct pick_pool *pool;
    struct pool_view *view;
    struct rng rng;
    char names[MEMBERS][NAME];
};

static void *picks_begin(void)
{
    static const struct pool_site_conf sites[SITES] = {
        {.name = SPAN("a")}, {.name = SPAN("b")}, {.name = SPAN("c")}, {.name = SPAN("d")}};
    struct pool_member_conf members[MEMBERS];
    struct picks *p = mem_alloc(sizeof *p);
    if (p == NULL)
        cost_fail("no memory");
    for (uint32_t i = 0; i < MEMBERS; i++) {
        snprintf(p->names[i], NAME, "b%u", i);
        members[i] = (struct pool_member_conf){.backend = span_str(p->names[i]),
                                               .address = SPAN("192.0.2.1:80"),
                                               .site = i % SITES,
                                               .weight = 1 + i % 10};
    }
    struct pool_conf conf = {.name = SPAN("cost"),
                             .knobs = PICK_KNOBS_DEFAULT,
                             .sites = sites,
                             .site_count = SITES,
                             .members = members,
                             .member_count = MEMBERS};
    rng_seed(&p->rng, 1);
    p->registry = registry_new(MEMBERS);
    if (p->registry == NULL || pick_pool_new(p->registry, &conf, 0, &p->pool) != ERR_OK)
        cost_fail("the pool cannot be built");
    p->view = pool_view_new(p->pool, 2000);
    if (p->view == NULL)
        cost_fail("no memory");
    return p;
}

static void picks_work(void *state, size_t times)
{
    static const float distances[SITES] = {12, 40, 80, 120};
    struct picks *p = state;
    for (size_t i = 0; i < times; i++) {
        struct pick_ticket ticket;
        struct pick_request ask = {.view = p->view,
                                   .distance_ms = distances,
                                   .allowed = PICK_ALL,
                                   .now_ms = 2000,
                                   .dice = pick_dice_rng(&p->rng)};
        pool_view_refresh(p->view, 2000);
        if (pick(&ask, &ticket) != ERR_OK)
            cost_fail("nobody was picked");
        pick_note(&ticket, PICK_ANSWERED, 15, 2000);
        pick_release(&ticket);
    }
}

static void picks_end(void *state)
{
    struct picks *p = state;
    pool_view_free(&p->view);
    pick_pool_free(&p->pool);
    registry_free(&p->registry);
    mem_free(p);
}

const struct cost_subject cost_pick = {"pick", picks_begin, picks_work, picks_end};

/* --- a line of the access log --- */

static void *line_begin(void)
{
    struct buf *b = mem_alloc(sizeof *b);
    if (b == NULL)
        cost_fail("no memory");
    buf_init(b, LIMIT_LOG_LINE);
    return b;
}

static void line_work(void *state, size_t times)
{
    static const struct access_facts facts = {
        .wall_ns = 1795428672345678901,
        .time = "2026-11-23T10:11:12.345Z",
        .client = SPAN("198.51.100.7"),
        .peer = SPAN("192.0.2.1"),
        .listener = SPAN("public"),
        .route = SPAN("api"),
        .pool = SPAN("api"),
        .backend = SPAN("one"),
        .protocol = "HTTP/2",
        .method = SPAN("GET"),
        .authority = SPAN("api.example.com"),
        .path = SPAN("/v1/items/4711/reviews"),
        .query = SPAN("page=2&sort=newest"),
        .id = SPAN("6f1e0c5a9b7d4e238c1f0a5b7d9e2c43"),
        .trace = SPAN("4bf92f3577b34da6a3ce929d0e0e4736"),
        .status = 200,
        .bytes_in = 412,
        .bytes_out = 20480,
        .connect_ns = -1,
        .first_byte_ns = 25000999,
        .total_ns = 61000001,
        .attempts = 1,
        .end = "ok",
        .tls_version = "TLSv1.3",
        .sni = SPAN("api.example.com"),
        .distance_ms = -1,
    };
    struct buf *b = state;
    for (size_t i = 0; i < times; i++) {
        buf_clear(b);
        access_json(&facts, b);
        if (b->failed)
            cost_fail("the line does not fit");
    }
}

static void line_end(void *state)
{
    struct buf *b = state;
    buf_fini(b);
    mem_free(b);
}

const struct cost_subject cost_line = {"line", line_begin, line_work, line_end};
