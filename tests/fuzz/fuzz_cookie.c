/* SEES: proxy http net pick geo base
 * Whatever a client says in Cookie fields, no endpoint comes of it but by a cookie that the key has
 * signed: one of ours is put into the input (after the first line) where the first line says so,
 * and only it, whole, may lead anywhere. */
#include "proxy/sticky.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct registry *registry;
static struct pick_pool *pool;
static struct sticky_mark marks[2];
static struct sticky sticky = {.cookie = SPAN("m"),
                               .pool = SPAN("api"),
                               .key = SPAN("0123456789abcdef0123456789abcdef"),
                               .ttl_s = 3600,
                               .marks = marks};

static void must(bool fine)
{
    if (!fine)
        abort();
}

static void open_pool(void)
{
    static const struct pool_site_conf site = {.name = SPAN("default")};
    static const struct pool_member_conf members[] = {
        {SPAN("a"), SPAN("10.0.0.1:80"), 0, 100, 0, false},
        {SPAN("b"), SPAN("10.0.0.2:80"), 0, 100, 0, false}};
    struct pool_conf conf = {.name = SPAN("api"),
                             .knobs = PICK_KNOBS_DEFAULT,
                             .sites = &site,
                             .site_count = 1,
                             .members = members,
                             .member_count = 2};
    registry = registry_new(4);
    must(registry != NULL && pick_pool_new(registry, &conf, 0, &pool) == ERR_OK);
    sticky_mark_members(&sticky, pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct request r = {0};
    struct span in = span_of((const char *)data, size), own, line, pair;
    if (pool == NULL)
        open_pool();
    arena_init(&arena, NULL, 4096, 0);
    struct span set = sticky_cookie(&sticky, pool->members[1].endpoint, false, 1000, &arena);
    must(set.p != NULL);
    (void)span_cut(set, ';', &pair);
    own = span_sub(pair, 2, pair.n);
    bool ours = size > 0 && data[0] == '!';
    in = span_sub(in, size > 0 ? 1 : 0, size);
    if (ours)
        must(fields_put(&r.fields, &arena, FIELD_COOKIE, pair) == ERR_OK);
    while (in.n > 0) {
        in = span_cut(in, '\n', &line);
        must(fields_put(&r.fields, &arena, FIELD_COOKIE, line) == ERR_OK);
    }
    struct sticky_found found = sticky_find(&sticky, pool, &r, 1000);
    bool said = size >= own.n && memmem(data, size, own.p, own.n) != NULL;
    must(found.member == NULL || ((ours || said) && found.member == &pool->members[1]));
    must(!ours || found.member != NULL);
    must(sticky_find(&sticky, pool, &r, 5000).member == NULL);
    arena_reset(&arena);
    return 0;
}
