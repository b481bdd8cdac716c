/* The sticky cookie: what is written is read again with the same key, and nothing else is. */
#include "check.h"
#include "proxy/sticky.h"

static struct registry *registry;
static struct pick_pool *pool;
static struct arena arena;
static struct sticky_mark marks[3];

static struct sticky with_key(const char *key, const char *name)
{
    struct sticky s = {.cookie = SPAN("meridian"),
                       .pool = span_str(name),
                       .key = span_str(key),
                       .ttl_s = 3600,
                       .marks = marks};
    sticky_mark_members(&s, pool);
    return s;
}

static void open_pool(void)
{
    static const struct pool_site_conf site = {.name = SPAN("default")};
    static const struct pool_member_conf members[] = {
        {SPAN("a"), SPAN("10.0.0.1:80"), 0, 100, 0, false},
        {SPAN("b"), SPAN("10.0.0.2:80"), 0, 100, 0, false},
        {SPAN("b"), SPAN("10.0.0.3:80"), 0, 100, 0, true}};
    struct pool_conf conf = {.name = SPAN("api"),
                             .knobs = PICK_KNOBS_DEFAULT,
                             .sites = &site,
                             .site_count = 1,
                             .members = members,
                             .member_count = 3};
    arena_init(&arena, NULL, 4096, 0);
    registry = registry_new(16);
    CHECK(registry != NULL, "memory");
    CHECK_INT(pick_pool_new(registry, &conf, 0, &pool), ERR_OK);
}

static void close_pool(void)
{
    pick_pool_free(&pool);
    registry_free(&registry);
    arena_reset(&arena);
}

static struct sticky_found find(const struct sticky *s, struct span cookies, int64_t now_s)
{
    struct request r = {0};
    CHECK_INT(fields_put(&r.fields, &arena, FIELD_COOKIE, cookies), ERR_OK);
    return sticky_find(s, pool, &r, now_s);
}

/* "name=token" of a Set-Cookie value. */
static struct span pair_of(struct span set)
{
    struct span pair;
    (void)span_cut(set, ';', &pair);
    return pair;
}

TEST(sticky, brings_every_member_back)
{
    open_pool();
    struct sticky s = with_key("0123456789abcdef0123456789abcdef", "api");
    for (uint32_t i = 0; i < 3; i++) {
        struct span set = sticky_cookie(&s, pool->members[i].endpoint, i == 1, 1000, &arena);
        struct sticky_found found = find(&s, pair_of(set), 1000);
        CHECK(found.member == &pool->members[i] && !found.ageing, "member %u", i);
        bool secure =
            span_ends(set, SPAN("; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure"));
        bool plain = span_ends(set, SPAN("; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"));
        CHECK(i == 1 ? secure : plain, "%.*s", SPAN_FMT(set));
        CHECK(memmem(set.p, set.n, "10.0", 4) == NULL, "it names the endpoint");
    }
    close_pool();
}

TEST(sticky, ends_with_its_time)
{
    open_pool();
    struct sticky s = with_key("0123456789abcdef0123456789abcdef", "api");
    struct span pair = pair_of(sticky_cookie(&s, pool->members[0].endpoint, false, 1000, &arena));
    CHECK(!find(&s, pair, 1000 + 1800).ageing, "half of its time");
    CHECK(find(&s, pair, 1000 + 1801).ageing, "more than half");
    CHECK(find(&s, pair, 1000 + 3599).member != NULL, "the last second");
    CHECK(find(&s, pair, 1000 + 3600).member == NULL, "too old");
    close_pool();
}

TEST(sticky, believes_only_its_own)
{
    open_pool();
    struct sticky s = with_key("0123456789abcdef0123456789abcdef", "api");
    struct span pair = pair_of(sticky_cookie(&s, pool->members[0].endpoint, false, 1000, &arena));
    struct sticky same = with_key("0123456789abcdef0123456789abcdef", "api");
    CHECK(find(&same, pair, 1000).member == &pool->members[0], "another balancer's");
    struct sticky name = with_key("0123456789abcdef0123456789abcdef", "other");
    CHECK(find(&name, pair, 1000).member == NULL, "another pool's");
    struct sticky key = with_key("1123456789abcdef0123456789abcdef", "api");
    CHECK(find(&key, pair, 1000).member == NULL, "another key's");
    s = with_key("0123456789abcdef0123456789abcdef", "api");
    char text[128];
    for (size_t i = 9; i < pair.n; i++) {
        memcpy(text, pair.p, pair.n);
        text[i] = text[i] == '0' ? '1' : '0';
        CHECK(find(&s, span_of(text, pair.n), 1000).member == NULL, "digit %zu changed", i);
        CHECK(find(&s, span_sub(pair, 0, i), 1000).member == NULL, "cut at %zu", i);
    }
    close_pool();
}

TEST(sticky, is_found_among_others)
{
    open_pool();
    struct sticky s = with_key("0123456789abcdef0123456789abcdef", "api");
    struct span pair = pair_of(sticky_cookie(&s, pool->members[2].endpoint, false, 1, &arena));
    char *many = arena_printf(&arena, "meridia=1; %.*s;x=meridian=2", SPAN_FMT(pair));
    CHECK(find(&s, span_str(many), 1).member == &pool->members[2], "%s", many);
    CHECK(find(&s, SPAN("a=b"), 1).member == NULL, "there is none");
    /* Another host of the domain can set one of the same name, and comes first with a longer path.
     */
    many = arena_printf(&arena, "meridian=x; meridian=; %.*s", SPAN_FMT(pair));
    CHECK(find(&s, span_str(many), 1).member == &pool->members[2], "%s", many);
    many = arena_printf(&arena, "meridian=; meridian=; meridian=; meridian=; %.*s", SPAN_FMT(pair));
    CHECK(find(&s, span_str(many), 1).member == NULL, "not all of many are looked at");
    close_pool();
}
