/* Residency is never violated (BALANCING.md section 4): 1,000,000 random requests through the rules
 * and the real choice, with failures, retries, ejections, panic, sticks, keys, backups, drains and
 * reloads that change rules, sites and algorithm while requests are under way. An oracle of its own
 * says who may serve. 1 % of the requests unless MERIDIAN_CASES says otherwise. */
#include "check.h"
#include "pick/pick.h"
#include "proxy/residency.h"

#include <stdlib.h>

enum { SITES = 6, MEMBERS = 24, RULES = 5, ATTEMPTS = 4, UNDER_WAY = 64, RELOAD_EVERY = 300 };

static const struct {
    const char *country, *continent, *subdivision;
    bool eu, eea;
} places[] = {
    {"DE", "EU", "HE", true, true},   {"FR", "EU", "IDF", true, true},
    {"NO", "EU", "", false, true},    {"CH", "EU", "", false, false},
    {"GB", "EU", "", false, false},   {"US", "NA", "CA", false, false},
    {"US", "NA", "NY", false, false}, {"BR", "SA", "SP", false, false},
    {"JP", "AS", "", false, false},   {"CY", "AS", "", true, true},
    {"KE", "AF", "", false, false},   {"AU", "OC", "", false, false},
    {"", "", "", false, false},       {"", "EU", "", false, false},
};
enum { PLACES = sizeof places / sizeof *places };

/* One rule in words; the text of subdivisions is static. */
struct words {
    bool eu, eea, unknown;
    const char *country, *continent, *subdivision; /* NULL: not named */
    uint64_t sites;
    enum err refusal;
};

struct world {
    struct rng rng;
    struct registry *registry;
    struct pick_pool *pool;
    struct pool_view *view;
    struct words words[RULES];
    struct residency_rule rules[RULES];
    struct span subdivisions[RULES];
    struct residency residency;
    struct pick_ticket under_way[UNDER_WAY];
    struct endpoint *tried[ATTEMPTS]; /* by the present request */
    int64_t now_ms;
    uint64_t served, refused, nobody, retries;
};

static uint32_t below(struct world *w, uint32_t n)
{
    return (uint32_t)rng_below(&w->rng, n);
}

/* Whom the rules let go where, without looking at residency.c. */
static enum err oracle(const struct world *w, uint32_t place, uint64_t *sites)
{
    const char *country = places[place].country, *continent = places[place].continent;
    for (uint32_t i = 0; i < w->residency.count; i++) {
        const struct words *r = &w->words[i];
        bool named = r->eu || r->eea || r->unknown || r->country || r->continent || r->subdivision;
        bool hit =
            !named || (r->eu && places[place].eu) || (r->eea && places[place].eea) ||
            (r->unknown && country[0] == '\0') ||
            (r->country && strcmp(r->country, country) == 0) ||
            (r->continent && strcmp(r->continent, continent) == 0) ||
            (r->subdivision && strncmp(r->subdivision, country, 2) == 0 && country[0] != '\0' &&
             strcmp(r->subdivision + 3, places[place].subdivision) == 0);
        if (!hit)
            continue;
        *sites = r->sites;
        return r->refusal;
    }
    *sites = PICK_ALL;
    return country[0] != '\0' || w->residency.unknown_allowed ? ERR_OK : ERR_RESIDENCY;
}

static void make_rule(struct world *w, uint32_t i)
{
    static const char *const subdivisions[] = {"US-CA", "US-NY", "DE-HE", "BR-SP"};
    struct words *r = &w->words[i];
    struct residency_rule *to = &w->rules[i];
    uint32_t place = below(w, PLACES);
    *r = (struct words){
        .eu = below(w, 4) == 0, .eea = below(w, 6) == 0, .unknown = below(w, 6) == 0};
    if (below(w, 2) == 0 && places[place].country[0] != '\0')
        r->country = places[place].country;
    if (below(w, 5) == 0 && places[place].continent[0] != '\0')
        r->continent = places[place].continent;
    if (below(w, 5) == 0)
        r->subdivision = subdivisions[below(w, 4)];
    r->refusal = below(w, 5) != 0 ? ERR_OK : below(w, 2) == 0 ? ERR_RESIDENCY : ERR_FORBIDDEN;
    r->sites = r->refusal == ERR_OK ? 1 + below(w, (1 << SITES) - 1) : 0;
    *to = (struct residency_rule){.unknown = r->unknown, .sites = r->sites, .refusal = r->refusal};
    if (r->eu)
        residency_add_group(&to->countries, SPAN("eu"));
    if (r->eea)
        residency_add_group(&to->countries, SPAN("eea"));
    if (r->country)
        residency_add_group(&to->countries, span_str(r->country));
    if (r->continent)
        to->continents = residency_continent(r->continent);
    if (r->subdivision) {
        w->subdivisions[i] = span_str(r->subdivision);
        to->subdivisions = &w->subdivisions[i];
        to->subdivision_count = 1;
    }
    to->everybody =
        !(r->eu || r->eea || r->unknown || r->country || r->continent || r->subdivision);
}

/* Another configuration of the same pool: what is under way goes on. */
static void reload(struct world *w)
{
    static const char names[MEMBERS][4] = {"a", "b", "c", "d", "e", "f", "g", "h",
                                           "i", "j", "k", "l", "m", "n", "o", "p",
                                           "q", "r", "s", "t", "u", "v", "w", "x"};
    static const char site_names[SITES][4] = {"s0", "s1", "s2", "s3", "s4", "s5"};
    struct pool_site_conf sites[SITES];
    struct pool_member_conf members[MEMBERS];
    struct pick_pool *old = w->pool;
    uint32_t turn = below(w, SITES); /* bit i is another site each time */
    for (uint32_t i = 0; i < SITES; i++)
        sites[i] = (struct pool_site_conf){.name = span_str(site_names[(i + turn) % SITES])};
    for (uint32_t i = 0; i < MEMBERS; i++)
        members[i] = (struct pool_member_conf){.backend = span_str(names[i]),
                                               .address = SPAN("x"),
                                               .site = (i + turn) % SITES,
                                               .weight = 1 + below(w, 200),
                                               .max_inflight = below(w, 3) == 0 ? 3 : 0,
                                               .rank = below(w, 6) == 0};
    struct pool_conf conf = {.name = SPAN("p"),
                             .knobs = PICK_KNOBS_DEFAULT,
                             .sites = sites,
                             .site_count = SITES,
                             .members = members,
                             .member_count = MEMBERS};
    conf.knobs.algorithm = (enum pick_algorithm)below(w, PICK_CONSISTENT_HASH + 1);
    conf.knobs.keyed = conf.knobs.algorithm != PICK_CONSISTENT_HASH && below(w, 3) == 0;
    conf.knobs.redirect = conf.knobs.algorithm == PICK_NEAREST && below(w, 3) == 0;
    CHECK_INT(pick_pool_new(w->registry, &conf, w->now_ms, &w->pool), ERR_OK);
    pool_view_free(&w->view);
    pick_pool_free(&old);
    w->view = pool_view_new(w->pool, w->now_ms);
    CHECK(w->view != NULL, "view");
    w->residency = (struct residency){
        .rules = w->rules, .count = below(w, RULES + 1), .unknown_allowed = below(w, 2) == 0};
    for (uint32_t i = 0; i < w->residency.count; i++)
        make_rule(w, i);
}

/* Servers fall and rise, now and then all of a site or all there are. */
static void disturb(struct world *w)
{
    uint32_t from = below(w, MEMBERS), n = below(w, 8) == 0 ? MEMBERS : 1 + below(w, 4);
    enum endpoint_health health = (enum endpoint_health)below(w, 3);
    for (uint32_t i = 0; i < n; i++) {
        struct endpoint *e = w->pool->members[(from + i) % MEMBERS].endpoint;
        endpoint_set_health(e, health, w->now_ms);
        if (below(w, 10) == 0)
            endpoint_set_admin(e, (enum endpoint_admin)below(w, 3));
        else if (endpoint_admin(e) != ENDPOINT_ACTIVE)
            endpoint_set_admin(e, ENDPOINT_ACTIVE);
    }
}

/* Held for a while, over reloads too. */
static void keep(struct world *w, struct pick_ticket *t)
{
    struct pick_ticket *place = &w->under_way[below(w, UNDER_WAY)];
    pick_done(place, (enum pick_outcome)below(w, PICK_ABORTED + 1), 5 + below(w, 50), w->now_ms);
    *place = *t;
}

static void redirect(struct world *w, struct pick_request *req, uint64_t sites)
{
    uint32_t site;
    if (pick_site(req, &site) != ERR_OK) {
        w->nobody++;
        return;
    }
    CHECK((sites >> site & 1) != 0, "sent to site %u, allowed %llx", site,
          (unsigned long long)sites);
    w->served++;
}

static void serve(struct world *w, struct pick_request *req, uint64_t sites)
{
    while (req->tried_count < ATTEMPTS) {
        struct pick_ticket t;
        pool_view_refresh(w->view, w->now_ms);
        if (pick(req, &t) != ERR_OK) {
            w->nobody++;
            return;
        }
        CHECK((sites >> t.site_index & 1) != 0, "site %u, allowed %llx, attempt %zu", t.site_index,
              (unsigned long long)sites, req->tried_count);
        if (below(w, 3) != 0) {
            w->served++;
            keep(w, &t);
            return;
        }
        w->retries++;
        w->tried[req->tried_count++] = t.endpoint;
        req->no_last_resort = t.mode == PICK_LAST_RESORT;
        pick_done(&t, below(w, 2) == 0 ? PICK_CONNECT_FAILED : PICK_FAILED, 1, w->now_ms);
    }
}

static void request(struct world *w)
{
    uint32_t at = below(w, PLACES);
    struct place place = {.known = places[at].country[0] != '\0'};
    uint64_t allowed, sites;
    float distances[SITES];
    memcpy(place.country, places[at].country, strlen(places[at].country) + 1);
    memcpy(place.continent, places[at].continent, strlen(places[at].continent) + 1);
    memcpy(place.subdivision, places[at].subdivision, strlen(places[at].subdivision) + 1);
    enum err want = oracle(w, at, &sites), e = residency_sites(&w->residency, &place, &allowed);
    CHECK(e == want, "place %u: %s instead of %s", at, err_name(e), err_name(want));
    if (e != ERR_OK) {
        w->refused++;
        return;
    }
    CHECK(allowed == sites, "place %u", at);
    for (uint32_t i = 0; i < SITES; i++)
        distances[i] = (float)below(w, 200);
    struct pick_request req = {.view = w->view,
                               .distance_ms = distances,
                               .allowed = allowed,
                               .tried = w->tried,
                               .key = below(w, 50),
                               .has_key = below(w, 2) == 0,
                               .now_ms = w->now_ms,
                               .dice = pick_dice_rng(&w->rng)};
    if (below(w, 2) == 0)
        req.stick = &w->pool->members[below(w, MEMBERS)]; /* where it was, allowed or not */
    pool_view_refresh(w->view, w->now_ms);
    if (w->pool->knobs.redirect)
        redirect(w, &req, sites);
    else
        serve(w, &req, sites);
}

static void seed(struct rng *rng)
{
    const char *given = getenv("MERIDIAN_SEED");
    uint64_t n;
    if (given == NULL || span_u64(span_str(given), &n) != ERR_OK) {
        rng_seed_system(rng);
        n = rng_u64(rng) >> 1;
    }
    printf("residency: MERIDIAN_SEED=%llu\n", (unsigned long long)n);
    rng_seed(rng, n);
}

static uint64_t requests(void)
{
    const char *percent = getenv("MERIDIAN_CASES");
    uint64_t scale = 1;
    if (percent != NULL && span_u64(span_str(percent), &scale) != ERR_OK)
        scale = 1;
    return UINT64_C(10000) * (scale > 0 ? scale : 1);
}

TEST(residency_random, never_violated)
{
    static struct world w;
    uint64_t n = requests();
    seed(&w.rng);
    w.now_ms = 1000000;
    w.registry = registry_new(MEMBERS);
    CHECK(w.registry != NULL, "registry");
    for (uint64_t i = 0; i < n; i++) {
        if (i % RELOAD_EVERY == 0)
            reload(&w);
        if (below(&w, 40) == 0)
            disturb(&w);
        w.now_ms += below(&w, 20);
        request(&w);
    }
    printf("residency: %llu requests, %llu served, %llu refused, %llu without a server, %llu "
           "retries, 0 violations\n",
           (unsigned long long)n, (unsigned long long)w.served, (unsigned long long)w.refused,
           (unsigned long long)w.nobody, (unsigned long long)w.retries);
    CHECK(w.served > n / 4 && w.refused > n / 50 && w.nobody > n / 100 && w.retries > n / 20,
          "each of them happens");
    for (uint32_t i = 0; i < UNDER_WAY; i++)
        pick_release(&w.under_way[i]);
    for (uint32_t i = 0; i < SITES; i++)
        CHECK_INT(atomic_load(&w.pool->sites[i].state->inflight), 0);
    pool_view_free(&w.view);
    pick_pool_free(&w.pool);
    registry_free(&w.registry);
}
