/* Choosing a route (SURFACE.md, "Choosing a route"): by table, and random tables against a naive
 * reading of the same words. */
#include "pick/route.h"

#include "base/mem.h"
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>

struct fields {
    const struct route_header *list;
    size_t count;
};

static struct span get_field(void *ctx, struct span name)
{
    const struct fields *f = ctx;
    for (size_t i = 0; i < f->count; i++)
        if (span_eq_nocase(f->list[i].name, name))
            return f->list[i].value;
    return SPAN_NONE;
}

static const struct span get_head[] = {SPAN("GET"), SPAN("HEAD")};
static const struct span post[] = {SPAN("POST")};
static const struct route_header gold[] = {{SPAN("X-Plan"), SPAN("gold")}};
static const struct route_header gold_beta[] = {{SPAN("X-Plan"), SPAN("gold")},
                                                {SPAN("X-Beta"), SPAN("1")}};

#define RULE(host_, path_, ...)                                                                    \
    {                                                                                              \
        .host = SPAN(host_), .path = SPAN(path_), __VA_ARGS__                                      \
    }

static const struct route_rule rules[] = {
    RULE("", "", .index = 0),
    RULE("api.example.com", "/v1", .index = 1),
    RULE("api.example.com", "/v1/users/", .index = 2),
    RULE("api.example.com", "/v1/users/me", .exact = true, .index = 3),
    RULE("api.example.com", "/v2", .methods = get_head, .method_count = 2, .index = 4),
    RULE("api.example.com", "/v2/in", .methods = post, .method_count = 1, .index = 5),
    RULE("*.example.com", "/", .index = 6),
    RULE("*.eu.example.com", "/x", .index = 7),
    RULE("plan.example.com", "/p", .index = 8),
    RULE("plan.example.com", "/p", .headers = gold, .header_count = 1, .index = 9),
    RULE("plan.example.com", "/p", .headers = gold_beta, .header_count = 2, .index = 10),
    RULE("plan.example.com", "/p", .index = 11),
    RULE("plan.example.com", "/only", .headers = gold, .header_count = 1, .methods = post,
         .method_count = 1, .index = 12),
    RULE("plan.example.com", "/vi", .index = 13),
    RULE("plan.example.com", "/vip", .exact = true, .index = 14),
    RULE("plan.example.com", "/vip", .index = 15, .headers = gold, .header_count = 1),
};

struct lookup {
    const char *host, *path, *method;
    const struct route_header *fields;
    size_t field_count;
    int want; /* an index, or minus the error */
};

static const struct lookup lookups[] = {
    {"other.org", "/", "GET", NULL, 0, 0},
    {"other.org", "*", "OPTIONS", NULL, 0, 0},
    {"", "/a/b", "GET", NULL, 0, 0},
    {"api.example.com", "/v1", "GET", NULL, 0, 1},
    {"api.example.com", "/v1/", "GET", NULL, 0, 1},
    {"api.example.com", "/v1x", "GET", NULL, 0, -ERR_NO_ROUTE}, /* not a segment border */
    {"api.example.com", "/v1/users", "GET", NULL, 0, 1},
    {"api.example.com", "/v1/users/", "GET", NULL, 0, 2},
    {"api.example.com", "/v1/users/7/x", "GET", NULL, 0, 2},
    {"api.example.com", "/v1/users/me", "GET", NULL, 0, 3},
    {"api.example.com", "/v1/users/me/", "GET", NULL, 0, 2},
    {"api.example.com", "/v1/users/men", "GET", NULL, 0, 2},
    {"api.example.com", "/V1", "GET", NULL, 0, -ERR_NO_ROUTE},
    {"api.example.com", "/", "GET", NULL, 0, -ERR_NO_ROUTE}, /* the host is final */
    {"api.example.com", "/v2", "HEAD", NULL, 0, 4},
    {"api.example.com", "/v2", "POST", NULL, 0, -ERR_BAD_METHOD},
    {"api.example.com", "/v2", "get", NULL, 0, -ERR_BAD_METHOD}, /* methods have a case */
    {"api.example.com", "/v2/in", "POST", NULL, 0, 5},
    {"api.example.com", "/v2/in", "GET", NULL, 0, 4}, /* the longest with all conditions true */
    {"x.example.com", "/anything", "GET", NULL, 0, 6},
    {"a.b.example.com", "/", "GET", NULL, 0, 6},
    {"example.com", "/", "GET", NULL, 0, 0}, /* a wildcard needs a label */
    {"xexample.com", "/", "GET", NULL, 0, 0},
    {"a.eu.example.com", "/x/y", "GET", NULL, 0, 7},
    {"a.eu.example.com", "/y", "GET", NULL, 0, -ERR_NO_ROUTE},
    {"eu.example.com", "/y", "GET", NULL, 0, 6},
    {"plan.example.com", "/p", "GET", NULL, 0, 8}, /* then the order in the file */
    {"plan.example.com", "/p", "GET", gold, 1, 9},
    {"plan.example.com", "/p", "GET", gold_beta, 2, 10},          /* more conditions first */
    {"plan.example.com", "/only", "GET", NULL, 0, -ERR_NO_ROUTE}, /* not only the method failed */
    {"plan.example.com", "/only", "GET", gold, 1, -ERR_BAD_METHOD},
    {"plan.example.com", "/only", "POST", gold, 1, 12},
    {"plan.example.com", "/vi", "GET", NULL, 0, 13},
    {"plan.example.com", "/v", "GET", NULL, 0, -ERR_NO_ROUTE},
    {"plan.example.com", "/vip", "GET", gold, 1, 14}, /* exact before prefix */
    {"plan.example.com", "/vip/x", "GET", gold, 1, 15},
    {"plan.example.com", "/vip/x", "GET", NULL, 0, -ERR_NO_ROUTE},
    {"plan.example.com.", "/p", "GET", NULL, 0, 0},
    {".example.com", "/p", "GET", NULL, 0, 6},
    {"..", "/p", "GET", NULL, 0, 0},
};

static int find(const struct route_table *t, const struct lookup *l, struct route_match *match)
{
    struct fields fields = {l->fields, l->field_count};
    struct route_request req = {.host = span_str(l->host),
                                .path = span_str(l->path),
                                .method = span_str(l->method),
                                .get = get_field,
                                .ctx = &fields};
    enum err err = route_find(t, &req, match);
    return err == ERR_OK ? (int)match->index : -(int)err;
}

TEST(route, the_table_of_look_ups)
{
    struct route_table *t = NULL;
    struct route_match match;
    CHECK(route_table_new(rules, sizeof rules / sizeof *rules, &t) == ERR_OK, "built");
    for (size_t i = 0; i < sizeof lookups / sizeof *lookups; i++) {
        int got = find(t, &lookups[i], &match);
        CHECK(got == lookups[i].want, "%s%s: %d, want %d", lookups[i].host, lookups[i].path, got,
              lookups[i].want);
    }
    route_table_free(&t);
}

TEST(route, a_wrong_method_is_told_what_is_allowed)
{
    struct route_table *t = NULL;
    struct route_match match;
    struct lookup l = {"api.example.com", "/v2/in", "PUT", NULL, 0, 0};
    CHECK(route_table_new(rules, sizeof rules / sizeof *rules, &t) == ERR_OK, "built");
    CHECK_INT(find(t, &l, &match), -ERR_BAD_METHOD);
    CHECK_INT(match.allow_count, 3);
    CHECK_SPAN(match.allow[0], "POST");
    CHECK_SPAN(match.allow[1], "GET");
    CHECK_SPAN(match.allow[2], "HEAD");
    route_table_free(&t);
}

/* Where GET is served so is HEAD (RFC 9110 section 9.1), by the same rule unless one of the same
 * path and as many conditions names it. */
TEST(route, a_rule_for_GET_is_one_for_HEAD)
{
    static const struct span get[] = {SPAN("GET")}, head[] = {SPAN("HEAD")};
    static const struct route_rule list[] = {
        RULE("", "/", .index = 0),
        RULE("", "/a", .methods = get, .method_count = 1, .index = 1),
        RULE("", "/a", .methods = head, .method_count = 1, .index = 2),
        RULE("", "/b", .methods = get, .method_count = 1, .index = 3),
        RULE("", "/b", .index = 4),
        RULE("", "/c", .methods = get, .method_count = 1, .headers = gold, .header_count = 1,
             .index = 5),
        RULE("", "/c", .methods = head, .method_count = 1, .index = 6),
        RULE("", "/d", .methods = post, .method_count = 1, .index = 7),
        RULE("only", "/", .methods = get, .method_count = 1, .index = 8),
    };
    static const struct lookup rows[] = {
        {"x", "/a", "GET", NULL, 0, 1},
        {"x", "/a", "HEAD", NULL, 0, 2},
        {"x", "/b", "HEAD", NULL, 0, 3},
        {"x", "/b", "POST", NULL, 0, 4},
        {"x", "/c", "HEAD", gold, 1, 5}, /* more conditions first */
        {"x", "/c", "HEAD", NULL, 0, 6},
        {"x", "/d", "HEAD", NULL, 0, 0},
        {"only", "/", "HEAD", NULL, 0, 8},
        {"only", "/", "head", NULL, 0, -ERR_BAD_METHOD},
        {"only", "/", "POST", NULL, 0, -ERR_BAD_METHOD},
    };
    struct route_table *t = NULL;
    struct route_match match;
    CHECK(route_table_new(list, sizeof list / sizeof *list, &t) == ERR_OK, "built");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int got = find(t, &rows[i], &match);
        CHECK(got == rows[i].want, "row %zu: %d, want %d", i, got, rows[i].want);
    }
    CHECK_INT(match.allow_count, 2);
    CHECK_SPAN(match.allow[0], "GET");
    CHECK_SPAN(match.allow[1], "HEAD");
    route_table_free(&t);
}

/* Countries are one condition; who is nowhere is in none. */
TEST(route, countries)
{
    static const struct span here[] = {SPAN("DE"), SPAN("AT")};
    static const struct route_rule by_country[] = {
        RULE("", "/", .index = 0),
        RULE("", "/", .countries = here, .country_count = 2, .index = 1),
        RULE("", "/", .countries = here, .country_count = 1, .methods = post, .method_count = 1,
             .index = 2),
        RULE("", "/only", .countries = here, .country_count = 2, .index = 3),
    };
    static const struct {
        const char *path, *method, *country;
        uint32_t want;
    } rows[] = {
        {"/", "GET", "DE", 1},     {"/", "GET", "AT", 1},     {"/", "GET", "CH", 0},
        {"/", "GET", "", 0},       {"/", "POST", "DE", 2},    {"/", "POST", "AT", 1},
        {"/only", "GET", "AT", 3}, {"/only", "GET", "CH", 0}, {"/only", "GET", "", 0},
    };
    struct route_table *t;
    CHECK_INT(route_table_new(by_country, 4, &t), ERR_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct route_match match;
        struct route_request req = {.path = span_str(rows[i].path),
                                    .method = span_str(rows[i].method),
                                    .country = span_str(rows[i].country)};
        CHECK_INT(route_find(t, &req, &match), ERR_OK);
        CHECK_INT(match.index, rows[i].want);
    }
    route_table_free(&t);
}

TEST(route, an_empty_table_has_no_route)
{
    struct route_table *t = NULL;
    struct route_match match;
    struct lookup l = {"example.com", "/", "GET", NULL, 0, 0};
    CHECK(route_table_new(NULL, 0, &t) == ERR_OK, "built");
    CHECK_INT(find(t, &l, &match), -ERR_NO_ROUTE);
    route_table_free(&t);
}

TEST(route, tables_out_of_range_are_refused)
{
    static char path[ROUTE_PATH_MOST + 1];
    struct route_table *t = NULL;
    memset(path, '/', sizeof path);
    struct route_rule bad = {.path = span_of(path, sizeof path)};
    CHECK_INT(route_table_new(&bad, 1, &t), ERR_RANGE);
    bad.path = SPAN("v1");
    CHECK_INT(route_table_new(&bad, 1, &t), ERR_RANGE);
    bad = (struct route_rule){.host = SPAN("*.")};
    CHECK_INT(route_table_new(&bad, 1, &t), ERR_RANGE);
    CHECK_INT(route_table_new(&bad, ROUTE_RULES_MOST + 1, &t), ERR_FULL);
    CHECK(t == NULL, "nothing was made");
}

TEST(route, survives_without_memory)
{
    struct route_table *t = NULL;
    enum err err = ERR_NO_MEMORY;
    uint64_t n = 0;
    while (err != ERR_OK) {
        mem_fail_at(++n);
        err = route_table_new(rules, sizeof rules / sizeof *rules, &t);
        mem_fail_at(0);
        CHECK(err == ERR_OK ? t != NULL : err == ERR_NO_MEMORY && t == NULL, "at %d", (int)n);
    }
    CHECK(n > 2, "it was tried %d times", (int)n);
    route_table_free(&t);
}

/* Random tables of few words, so that much coincides. */

enum { RULES = 24, TEXT = 40 };

struct text {
    char bytes[RULES][2][TEXT];
};

static void random_path(struct rng *rng, char *out, bool request)
{
    static const char *const parts[] = {"/", "/a", "/ab", "/b", "/a/", "/abc"};
    size_t n = rng_below(rng, 4);
    out[0] = '\0';
    for (size_t i = 0; i < n; i++)
        strcat(out, parts[rng_below(rng, 6)]);
    if (request && n == 0)
        strcpy(out, rng_below(rng, 8) == 0 ? "*" : "/");
}

static const char *random_host(struct rng *rng, bool request)
{
    static const char *const hosts[] = {"a.c", "b.a.c", "c", "x.b.a.c", "", "*.a.c", "*.c", "*"};
    return hosts[rng_below(rng, request ? 5 : 8)];
}

static void random_rule(struct rng *rng, struct text *text, uint32_t i, struct route_rule *out)
{
    static const struct span methods[] = {SPAN("GET"), SPAN("POST"), SPAN("HEAD")};
    random_path(rng, text->bytes[i][0], false);
    size_t first = rng_below(rng, 3);
    *out = (struct route_rule){.host = span_str(random_host(rng, false)),
                               .path = span_str(text->bytes[i][0]),
                               .methods = methods + first,
                               .method_count = rng_below(rng, 4 - first),
                               .headers = gold_beta,
                               .header_count = rng_below(rng, 3),
                               .index = i};
    out->exact = out->path.n > 0 && rng_below(rng, 4) == 0;
}

static bool has_host(const struct route_rule *r, struct span host, size_t *rank)
{
    if (r->host.n == 0 || span_eq(r->host, SPAN("*"))) {
        *rank = 1;
        return true;
    }
    if (span_starts(r->host, SPAN("*."))) {
        struct span suffix = span_sub(r->host, 1, r->host.n); /* with its dot */
        *rank = 1 + suffix.n;
        return host.n >= suffix.n && span_ends(host, suffix);
    }
    *rank = 10000;
    return span_eq(r->host, host);
}

static size_t path_length(const struct route_rule *r)
{
    return !r->exact && r->path.n == 1 ? 0 : r->path.n;
}

static bool has_path(const struct route_rule *r, struct span path)
{
    size_t n = path_length(r);
    if (r->exact)
        return span_eq(r->path, path);
    if (n == 0)
        return true;
    return span_starts(path, r->path) &&
           (path.n == n || path.p[n] == '/' || r->path.p[n - 1] == '/');
}

static bool has_headers(const struct route_rule *r, const struct fields *fields)
{
    return r->header_count <= fields->count; /* both are the first of gold_beta */
}

static bool names_method(const struct route_rule *r, struct span method)
{
    for (size_t i = 0; i < r->method_count; i++)
        if (span_eq(r->methods[i], method))
            return true;
    return r->method_count == 0;
}

static bool has_method(const struct route_rule *r, struct span method)
{
    return names_method(r, method) ||
           (span_eq(method, SPAN("HEAD")) && names_method(r, SPAN("GET")));
}

/* Is a tried before b, both of one host and for the method? */
static bool goes_before(const struct route_rule *a, const struct route_rule *b, struct span method)
{
    size_t na = a->header_count + (a->method_count > 0),
           nb = b->header_count + (b->method_count > 0);
    if (path_length(a) != path_length(b))
        return path_length(a) > path_length(b);
    if (a->exact != b->exact)
        return a->exact;
    if (na != nb)
        return na > nb;
    bool a_names = names_method(a, method), b_names = names_method(b, method);
    return a_names != b_names ? a_names : a->index < b->index;
}

static int naive_find(const struct route_rule *list, const struct route_request *req)
{
    size_t best_rank = 0, rank;
    const struct route_rule *best = NULL;
    bool wrong_method = false;
    for (size_t i = 0; i < RULES; i++)
        if (has_host(&list[i], req->host, &rank) && rank > best_rank)
            best_rank = rank;
    for (size_t i = 0; i < RULES; i++) {
        const struct route_rule *r = &list[i];
        if (!has_host(r, req->host, &rank) || rank != best_rank || !has_path(r, req->path) ||
            !has_headers(r, req->ctx))
            continue;
        if (!has_method(r, req->method))
            wrong_method = true;
        else if (best == NULL || goes_before(r, best, req->method))
            best = r;
    }
    if (best != NULL)
        return (int)best->index;
    return wrong_method ? -ERR_BAD_METHOD : -ERR_NO_ROUTE;
}

static void compare_once(struct rng *rng, const struct route_table *t,
                         const struct route_rule *list, uint32_t *seen)
{
    static const char *const methods[] = {"GET", "POST", "HEAD", "DELETE"};
    struct route_match match;
    char path[TEXT];
    random_path(rng, path, true);
    struct fields fields = {gold_beta, rng_below(rng, 3)};
    struct route_request req = {.host = span_str(random_host(rng, true)),
                                .path = span_str(path),
                                .method = span_str(methods[rng_below(rng, 4)]),
                                .get = get_field,
                                .ctx = &fields};
    int want = naive_find(list, &req);
    enum err err = route_find(t, &req, &match);
    int got = err == ERR_OK ? (int)match.index : -(int)err;
    CHECK(got == want, "%.*s%s %.*s: %d, want %d", SPAN_FMT(req.host), path, SPAN_FMT(req.method),
          got, want);
    CHECK((err == ERR_BAD_METHOD) == (match.allow_count > 0 && err != ERR_OK),
          "Allow goes with 405");
    seen[err == ERR_OK ? 0 : err == ERR_BAD_METHOD ? 1 : 2]++;
}

TEST(route, random_tables_agree_with_a_naive_reading)
{
    static struct text text;
    struct route_rule list[RULES];
    struct rng rng;
    uint32_t seen[3] = {0};
    seed_of("route", &rng);
    for (size_t n = cases(FULL_CASES); n > 0; n--) {
        struct route_table *t = NULL;
        for (uint32_t i = 0; i < RULES; i++)
            random_rule(&rng, &text, i, &list[i]);
        CHECK(route_table_new(list, RULES, &t) == ERR_OK, "built");
        for (int i = 0; i < 20; i++)
            compare_once(&rng, t, list, seen);
        route_table_free(&t);
    }
    CHECK(seen[0] > 0 && seen[1] > 0 && seen[2] > 0, "all endings were seen");
}
