/* What operators have said holds for servers that come later (SURFACE: runtime overrides). */
#include "check.h"

#include "run/orders.h"

#include <stdio.h>

struct world {
    struct registry *registry;
    struct orders orders;
    struct pick_pool *pool;
};

/* Pool "api" of backends a (two addresses) and b at site fra, and c at iad. */
static void build(struct world *w, bool all)
{
    static const struct pool_site_conf sites[] = {{.name = SPAN("fra")}, {.name = SPAN("iad")}};
    static const struct pool_member_conf members[] = {
        {.backend = SPAN("a"), .address = SPAN("10.0.0.1:80"), .weight = 100},
        {.backend = SPAN("c"), .address = SPAN("10.0.0.4:80"), .weight = 100, .site = 1},
        {.backend = SPAN("a"), .address = SPAN("10.0.0.2:80"), .weight = 100},
        {.backend = SPAN("b"), .address = SPAN("10.0.0.3:80"), .weight = 100},
    };
    struct pool_conf conf = {.name = SPAN("api"),
                             .knobs = PICK_KNOBS_DEFAULT,
                             .sites = sites,
                             .site_count = 2,
                             .members = members,
                             .member_count = all ? 4 : 2};
    struct pick_pool *pool;
    CHECK_INT(pick_pool_new(w->registry, &conf, 0, &pool), ERR_OK);
    orders_greet(&w->orders, SPAN("api"), pool, true);
    pick_pool_free(&w->pool);
    w->pool = pool;
}

static const struct endpoint *at(const struct world *w, const char *key)
{
    return registry_find(w->registry, span_str(key));
}

static void say(struct world *w, const char *target, int admin, int weight)
{
    struct order_what what = {.admin_said = admin >= 0, .weight_said = weight >= 0};
    what.admin = admin >= 0 ? (enum endpoint_admin)admin : ENDPOINT_ACTIVE;
    what.weight = weight >= 0 ? (uint32_t)weight : 0;
    CHECK_INT(orders_add(&w->orders, span_str(target), &what), ERR_OK);
}

static void begin(struct world *w)
{
    *w = (struct world){.registry = registry_new(16)};
    orders_init(&w->orders);
    build(w, false);
}

static void end(struct world *w)
{
    pick_pool_free(&w->pool);
    registry_sweep(w->registry);
    registry_free(&w->registry);
    orders_fini(&w->orders);
}

TEST(orders, targets)
{
    static const struct {
        const char *text;
        bool good;
    } rows[] = {{"api", true},      {"api/a", true},  {"api/a@10.0.0.1:80", true},
                {"site:fra", true}, {"", false},      {"/a", false},
                {"api/", false},    {"site:", false}, {"api/@1.2.3.4:5", false},
                {"api/a@", false},  {"api/a/b", true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct order_target t;
        CHECK((order_target_parse(span_str(rows[i].text), &t) == ERR_OK) == rows[i].good, "%s",
              rows[i].text);
    }
}

TEST(orders, the_last_word_holds_for_those_that_come)
{
    struct world w;
    begin(&w);
    say(&w, "api/a", ENDPOINT_DRAIN, -1);
    say(&w, "site:fra", -1, 7);
    say(&w, "api", ENDPOINT_MAINT, -1);
    say(&w, "api/b", ENDPOINT_ACTIVE, 0);
    build(&w, true);
    CHECK_INT(endpoint_admin(at(&w, "api/a@10.0.0.2:80")), ENDPOINT_MAINT);
    CHECK_INT(at(&w, "api/a@10.0.0.2:80")->weight, 7);
    CHECK_INT(endpoint_admin(at(&w, "api/b@10.0.0.3:80")), ENDPOINT_ACTIVE);
    CHECK_INT(at(&w, "api/b@10.0.0.3:80")->weight, 0);
    CHECK_INT(endpoint_admin(at(&w, "api/a@10.0.0.1:80")),
              ENDPOINT_ACTIVE); /* it was there before */
    end(&w);
}

TEST(orders, of_one_address_only_it)
{
    struct world w;
    begin(&w);
    say(&w, "api/a@10.0.0.1:80", ENDPOINT_DRAIN, -1);
    say(&w, "site:iad", ENDPOINT_DRAIN, -1);
    build(&w, true);
    CHECK_INT(endpoint_admin(at(&w, "api/a@10.0.0.2:80")), ENDPOINT_ACTIVE);
    CHECK_INT(endpoint_admin(at(&w, "api/b@10.0.0.3:80")), ENDPOINT_ACTIVE);
    end(&w);
}

TEST(orders, are_bounded_and_replaced)
{
    struct world w;
    begin(&w);
    for (int i = 0; i < 1000; i++)
        say(&w, "api/a", 1 + i % 2, -1);
    CHECK_INT(w.orders.count, 1);
    say(&w, "api/a", -1, 5); /* says something else: both hold */
    CHECK_INT(w.orders.count, 2);
    say(&w, "api/a", ENDPOINT_ACTIVE, 0);
    CHECK_INT(w.orders.count, 0);
    for (int i = 0; i < 1000; i++) {
        char target[32];
        snprintf(target, sizeof target, "api/b%d", i);
        say(&w, target, ENDPOINT_DRAIN, -1);
    }
    CHECK_INT(w.orders.count, ORDERS_MOST);
    end(&w);
}

/* What is reset takes no place from what holds, unless it is said against a wider word. */
TEST(orders, resets_outdo_and_are_kept_against_others_only)
{
    struct world w;
    begin(&w);
    say(&w, "api/b", ENDPOINT_MAINT, -1);
    for (int i = 0; i < 2 * ORDERS_MOST; i++) {
        char target[32];
        snprintf(target, sizeof target, "api/x%d", i);
        say(&w, target, ENDPOINT_DRAIN, -1);
        say(&w, target, ENDPOINT_ACTIVE, 0);
    }
    say(&w, "other", ENDPOINT_ACTIVE, 0);
    CHECK_INT(w.orders.count, 1);
    build(&w, true);
    CHECK_INT(endpoint_admin(at(&w, "api/b@10.0.0.3:80")), ENDPOINT_MAINT);
    say(&w, "api/b@10.0.0.9:80", ENDPOINT_ACTIVE, 0);
    CHECK_INT(w.orders.count, 2);
    say(&w, "api", ENDPOINT_ACTIVE, -1); /* not the word about weights */
    CHECK_INT(w.orders.count, 2);
    say(&w, "site:fra", ENDPOINT_DRAIN, -1);
    say(&w, "api", ENDPOINT_ACTIVE, 0);
    CHECK_INT(w.orders.count, 2);
    say(&w, "site:iad", ENDPOINT_ACTIVE, 0);
    CHECK_INT(w.orders.count, 3); /* some of it may be in the pool */
    end(&w);
}

TEST(orders, there_and_back)
{
    struct world w;
    struct orders again;
    struct buf text, twice;
    begin(&w);
    buf_init(&text, 0);
    buf_init(&twice, 0);
    orders_init(&again);
    say(&w, "site:fra", ENDPOINT_MAINT, -1);
    say(&w, "api/a", -1, 5);
    say(&w, "api", ENDPOINT_ACTIVE, 0);
    orders_write(&w.orders, &text);
    orders_read(&again, SPAN("order 3 - api\norder 1\norder - 1001 api\nname x\norder 1 - /\n"));
    CHECK_INT(again.count, 0);
    orders_read(&again, buf_span(&text));
    orders_write(&again, &twice);
    CHECK(again.count == 2 && span_eq(buf_span(&text), buf_span(&twice)), "%.*s",
          SPAN_FMT(buf_span(&twice)));
    buf_fini(&text);
    buf_fini(&twice);
    orders_fini(&again);
    end(&w);
}
