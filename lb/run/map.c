/* Where clients are and which sites serve them: rows for the map, added up over all pools when
 * somebody looks. */
#include "geo/country.h"
#include "run/balancer.h"

static void add_site(const struct pool_site *site, int64_t now_ms, struct admin_site *row)
{
    row->endpoints += site->count;
    row->inflight += site_load(site->state).inflight;
    for (uint32_t i = 0; i < site->count; i++)
        row->usable += endpoint_usable(site->members[i].endpoint, now_ms);
}

/* Calls each for every site of that name; an empty name is that of pools without sites. */
static void each_site_named(const struct policy *p, struct span name,
                            void (*each)(void *user, const struct pool_site *site), void *user)
{
    for (uint32_t i = 0; i < p->pool_count; i++) {
        const struct policy_pool *pool = &p->pools[i];
        for (uint32_t s = 0; s < pool->pick->site_count; s++) {
            const struct pool_site *site = &pool->pick->sites[s];
            if (span_eq(pool->sites != NULL ? span_str(site->name) : SPAN(""), name))
                each(user, site);
        }
    }
}

struct site_sum {
    struct admin_site row;
    int64_t now_ms;
};

static void sum_site(void *user, const struct pool_site *site)
{
    struct site_sum *sum = user;
    add_site(site, sum->now_ms, &sum->row);
}

void balancer_sites(void *ctx, void (*each)(void *user, const struct admin_site *s), void *user)
{
    const struct balancer *b = ctx;
    const struct conf *conf = b->current->conf;
    for (size_t i = 0; i < conf->site_count; i++) {
        const struct conf_site *s = &conf->sites[i];
        struct site_sum sum = {.now_ms = loop_now_ms(b->loop),
                               .row = {.name = s->name.s,
                                       .located = s->location.set,
                                       .latitude = s->location.latitude,
                                       .longitude = s->location.longitude}};
        each_site_named(&b->current->policy, s->name.s, sum_site, &sum);
        each(user, &sum.row);
    }
}

static void sum_clients(void *user, const struct pool_site *site)
{
    uint64_t *counts = user;
    for (unsigned i = 0; i < SITE_CLIENTS; i++)
        counts[i] += atomic_load_explicit(&site->state->clients[i], memory_order_relaxed);
}

static void put_clients(const struct policy *p, struct span site,
                        void (*each)(void *user, const struct admin_clients *c), void *user)
{
    uint64_t counts[SITE_CLIENTS] = {0};
    each_site_named(p, site, sum_clients, counts);
    for (unsigned i = 0; i < SITE_CLIENTS; i++) {
        const struct country *c = i > 0 ? country_at(i - 1) : NULL;
        struct admin_clients row = {.site = site, .clients = counts[i]};
        if (c != NULL)
            row = (struct admin_clients){span_of(c->code, 2),  site,     true, (double)c->latitude,
                                         (double)c->longitude, counts[i]};
        if (counts[i] != 0)
            each(user, &row);
    }
}

void balancer_clients(void *ctx, void (*each)(void *user, const struct admin_clients *c),
                      void *user)
{
    const struct balancer *b = ctx;
    const struct conf *conf = b->current->conf;
    for (size_t i = 0; i < conf->site_count; i++)
        put_clients(&b->current->policy, conf->sites[i].name.s, each, user);
    put_clients(&b->current->policy, SPAN(""), each, user);
}
