/* What routes do with paths of more than one form (RELIABILITY H14). */
#include "proxy/readings.h"

#include "base/buf.h"
#include "check.h"
#include "http/uri.h"

static const struct route_rule rules[] = {
    {.path = SPAN("/"), .index = 0},
    {.path = SPAN("/closed/"), .index = 1},
    {.path = SPAN("/open/"), .index = 2},
};

static struct span no_field(void *ctx, struct span name)
{
    (void)ctx;
    (void)name;
    return SPAN_NONE;
}

/* What becomes of a path at the route it leads to. full: no memory is left by then. */
static enum err ask(enum path_rule rule, const char *path, bool full, struct arena *a,
                    struct request *r, uint32_t *index)
{
    struct route_table *table;
    struct route_match match;
    CHECK_INT(route_table_new(rules, sizeof rules / sizeof *rules, &table), ERR_OK);
    arena_init(a, NULL, 4096, 0);
    char *copy = arena_take(a, strlen(path) + 1);
    CHECK(copy != NULL, "memory");
    memcpy(copy, path, strlen(path));
    *r = (struct request){.method = METHOD_GET};
    CHECK_INT(uri_resolve(copy, strlen(path), a, &r->path, &r->path_sent), ERR_OK);
    r->path_odd = uri_is_odd(r->path);
    struct route_request req = {.path = r->path, .method = SPAN("GET"), .get = no_field};
    enum err e =
        r->path_odd ? readings_find(table, &req, a, &match) : route_find(table, &req, &match);
    a->limit = full ? a->used : 0;
    while (full && arena_take(a, 1) != NULL)
        continue;
    if (e == ERR_OK)
        e = readings_rule(rule, table, &req, &match, r, a);
    *index = match.index;
    route_table_free(&table);
    return e;
}

TEST(readings, rules_of_routes_H14)
{
    static const struct {
        enum path_rule rule;
        const char *path, *now; /* NULL: refused */
        uint32_t index;
    } rows[] = {
        {PATHS_RESOLVE, "/open/%7ea/./b", "/open/%7ea/b", 2},
        {PATHS_RESOLVE, "/closed%2f..", NULL, 0},
        {PATHS_RESOLVE, "/open/x%5C..%5C%2e.", NULL, 0},
        {PATHS_KEEP, "/open/%7ea/./b", "/open/%7ea/b", 2},
        {PATHS_NORMALISE, "/open/%7ea/./b", "/open/~a/b", 2},
        {PATHS_REJECT, "/open/%7ea/./b", NULL, 0},
        {PATHS_NORMALISE, "/open//x", "/open/x", 2},
        {PATHS_NORMALISE, "/open/%c3%a4%2d%40", "/open/%C3%A4-%40", 2},
        {PATHS_NORMALISE, "/open/a%2fb", "/open/a%2Fb", 2},
        {PATHS_NORMALISE, "/open/a;b", "/open/a;b", 2},
        {PATHS_NORMALISE, "//closed/x", NULL, 0},
        {PATHS_NORMALISE, "/%63losed/x", NULL, 0},
        {PATHS_NORMALISE, "*", "*", 0},
        {PATHS_REJECT, "/open/x", "/open/x", 2},
        {PATHS_REJECT, "/open/.x/..y", "/open/.x/..y", 2},
        {PATHS_REJECT, "/open/a%2Fb;c", "/open/a%2Fb;c", 2},
        {PATHS_REJECT, "/open/%40", "/open/%40", 2},
        {PATHS_REJECT, "/open/%C3%A4", "/open/%C3%A4", 2},
        {PATHS_REJECT, "/open/%c3%a4", NULL, 0},
        {PATHS_REJECT, "/open//x", NULL, 0},
        {PATHS_REJECT, "/open/%61", NULL, 0},
        {PATHS_REJECT, "/open/a\\b", NULL, 0},
        {PATHS_REJECT, "/open/..", NULL, 0},
        {PATHS_REJECT, "/open/%2e", NULL, 0},
        {PATHS_KEEP, "/open/x", "/open/x", 2},
        {PATHS_KEEP, "/open/./x", "/open/x", 2},
        {PATHS_KEEP, "/open/a/../x", "/open/x", 2},
        {PATHS_KEEP, "/open/%2e%2E/open/x", "/open/x", 2},
        {PATHS_KEEP, "/x/../y", "/y", 0},
        /* whoever leaves dots sees a path of the route that is closed */
        {PATHS_KEEP, "/closed/../open/x", NULL, 0},
        {PATHS_KEEP, "/closed/../y", NULL, 0},
        {PATHS_KEEP, "/open/../y", NULL, 0},
        {PATHS_KEEP, "/./open/x", NULL, 0},
        /* nor may those be led there that see no dot in "%2e" */
        {PATHS_KEEP, "/open/a/../../closed/%2e%2e/open/b", NULL, 0},
        /* nor those that see one slash in two before they look for dots */
        {PATHS_KEEP, "/open//../closed/x", NULL, 0},
        {PATHS_KEEP, "/open//../closed/../x", NULL, 0},
        {PATHS_KEEP, "/open/..;/./x", NULL, 0},
        {PATHS_KEEP, "/open/.%2f./../x", NULL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena a;
        struct request r;
        uint32_t index;
        enum err e = ask(rows[i].rule, rows[i].path, false, &a, &r, &index);
        CHECK(e == (rows[i].now != NULL ? ERR_OK : ERR_BAD_TARGET), "%zu: %s: %s", i, rows[i].path,
              err_name(e));
        if (rows[i].now != NULL) {
            CHECK_SPAN(r.path, rows[i].now);
            CHECK_INT(index, rows[i].index);
            CHECK(r.path_odd == uri_is_odd(r.path), "%s", rows[i].path);
        }
        arena_reset(&a);
    }
}

/* F16: a path that cannot be judged ends one request. */
TEST(readings, no_memory_to_judge_a_path)
{
    static const struct {
        enum path_rule rule;
        const char *path;
    } rows[] = {
        {PATHS_KEEP, "/open/./%7e"}, {PATHS_NORMALISE, "/open/%7e"}, {PATHS_REJECT, "/%7e"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena a;
        struct request r;
        uint32_t index;
        enum err e = ask(rows[i].rule, rows[i].path, true, &a, &r, &index);
        CHECK(e == ERR_NO_MEMORY, "%s: %s", rows[i].path, err_name(e));
        arena_reset(&a);
    }
}

/* A path of 7 KiB in 64 readings took milliseconds. */
TEST(readings, long_paths_of_many_readings_are_refused_H14)
{
    static const struct {
        const char *piece;
        size_t bytes;
        enum err want;
    } rows[] = {
        {"/x;y//%2fa%5cb\\c.%40", 40, ERR_OK},
        {"/x;y//%2fa%5cb\\c.%40", 7000, ERR_BAD_TARGET},
        {"/x;y", 7000, ERR_OK},
        {"/%41", 7000, ERR_OK},
        {"/%2F", 7000, ERR_OK},
    };
    struct route_table *table;
    const struct route_rule all = {.path = SPAN("/"), .index = 0};
    CHECK_INT(route_table_new(&all, 1, &table), ERR_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena a;
        struct buf path;
        struct route_match match;
        arena_init(&a, NULL, 32768, 0);
        buf_init(&path, 0);
        while (buf_len(&path) < rows[i].bytes)
            buf_put_str(&path, rows[i].piece);
        struct route_request req = {
            .path = buf_span(&path), .method = SPAN("GET"), .get = no_field};
        CHECK(readings_find(table, &req, &a, &match) == rows[i].want, "row %zu", i);
        arena_reset(&a);
        buf_fini(&path);
    }
    route_table_free(&table);
}
