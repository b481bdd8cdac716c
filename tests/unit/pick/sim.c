#include "sim.h"

#include "base/mem.h"
#include "fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { SLOTS = 64, INSTANCES = 64, ATTEMPTS = 3, START_MS = 1000000 };

#define SERVICE_MEAN_MS 20.0
#define SERVICE_SIGMA   1.0
#define NEAR_MS         5.0
#define SICK_MS         1.0
#define HARD_AFTER_MS   3000.0 /* health checks: 2 s, then two of 0.5 s */
#define UP_AFTER_MS     2000.0
#define CHECK_MS        1000.0 /* of redirect mode */

/* Round trips between Frankfurt, Virginia, San Francisco, Sao Paulo, Singapore and Sydney. */
static const float rtt_ms[SIM_SITES][SIM_SITES] = {
    {5, 113, 157, 168, 176, 280}, {113, 5, 69, 133, 264, 267},  {157, 69, 5, 178, 232, 204},
    {168, 133, 178, 5, 272, 228}, {176, 264, 232, 272, 5, 110}, {280, 267, 204, 228, 110, 5}};

struct server {
    double free_ms[SLOTS]; /* when each slot will be free */
    uint32_t slots, inside;
    bool down;
};

/* A balancer with counters of its own. */
struct instance {
    struct registry *registry;
    struct pick_pool *pool;
    struct pool_view *view;
};

struct event {
    double at_ms;
    struct pick_ticket ticket; /* empty in the reference */
    double x_ms;
    enum pick_outcome outcome;
    uint32_t server; /* UINT32_MAX: did not get inside */
};

struct sim {
    const struct sim_conf *conf;
    bool reference;
    struct rng arrivals, picks;
    struct server servers[SIM_SERVERS];
    struct instance instances[INSTANCES];
    uint32_t instance_count;
    struct event *heap; /* by at_ms */
    size_t count, room;
    float *latencies;
    size_t latency_count, latency_room;
    double now_ms, end_ms, check_ms;
    uint32_t next_checked;
    enum { BEFORE, MARKED, WELL } outage; /* as health checks see it */
    struct sim_result *out;
};

static void *more(void *p, size_t *room, size_t size)
{
    *room = *room > 0 ? *room * 2 : 1024;
    void *out = mem_resize(p, *room * size);
    CHECK(out != NULL, "memory");
    return out;
}

static void push(struct sim *s, struct event e)
{
    if (s->count == s->room)
        s->heap = more(s->heap, &s->room, sizeof e);
    size_t at = s->count++;
    for (; at > 0 && s->heap[(at - 1) / 2].at_ms > e.at_ms; at = (at - 1) / 2)
        s->heap[at] = s->heap[(at - 1) / 2];
    s->heap[at] = e;
}

static struct event pop(struct sim *s)
{
    struct event first = s->heap[0], last = s->heap[--s->count];
    size_t at = 0, child;
    while ((child = at * 2 + 1) < s->count) {
        if (child + 1 < s->count && s->heap[child + 1].at_ms < s->heap[child].at_ms)
            child++;
        if (s->heap[child].at_ms >= last.at_ms)
            break;
        s->heap[at] = s->heap[child];
        at = child;
    }
    s->heap[at] = last;
    return first;
}

static uint32_t grade(const struct sim_conf *conf, uint32_t server)
{
    return conf->graded ? 1U << server % 3 : 1;
}

static int64_t clock_ms(const struct sim *s)
{
    return START_MS + (int64_t)s->now_ms;
}

static void make_instance(struct sim *s, struct instance *i)
{
    const struct sim_conf *conf = s->conf;
    struct pool_site_conf sites[SIM_SITES];
    struct pool_member_conf members[SIM_SERVERS];
    char names[SIM_SERVERS][8];
    for (uint32_t k = 0; k < conf->sites * conf->servers; k++) {
        snprintf(names[k], sizeof names[k], "b%u", k % 100);
        if (k < conf->sites) /* sites are named after the first servers */
            sites[k] = (struct pool_site_conf){.name = span_str(names[k])};
        members[k] = (struct pool_member_conf){.backend = span_str(names[k]),
                                               .address = SPAN("x"),
                                               .site = k / conf->servers,
                                               .weight = conf->weight * grade(conf, k)};
    }
    struct pool_conf pool = {.name = SPAN("p"),
                             .knobs = PICK_KNOBS_DEFAULT,
                             .sites = sites,
                             .site_count = conf->sites,
                             .members = members,
                             .member_count = (size_t)conf->sites * conf->servers};
    pool.knobs.redirect = conf->redirect;
    i->registry = registry_new(SIM_SERVERS);
    CHECK(i->registry != NULL && pick_pool_new(i->registry, &pool, 0, &i->pool) == ERR_OK, "pool");
    i->view = pool_view_new(i->pool, clock_ms(s));
    CHECK(i->view != NULL, "view");
}

static void begin(struct sim *s, uint64_t seed)
{
    const struct sim_conf *conf = s->conf;
    rng_seed(&s->arrivals, seed);
    rng_seed(&s->picks, seed + 1000);
    s->end_ms = (conf->warm_s + conf->run_s) * 1000;
    for (uint32_t k = 0; k < conf->sites * conf->servers; k++)
        s->servers[k].slots = conf->slots * grade(conf, k);
    s->instance_count = conf->instances > 0 ? conf->instances * conf->sites : 1;
    for (uint32_t k = 0; k < s->instance_count; k++)
        make_instance(s, &s->instances[k]);
}

static void end(struct sim *s)
{
    for (uint32_t k = 0; k < s->instance_count; k++) {
        pool_view_free(&s->instances[k].view);
        pick_pool_free(&s->instances[k].pool);
        registry_free(&s->instances[k].registry);
    }
    mem_free(s->heap);
    mem_free(s->latencies);
}

static bool measured(const struct sim *s)
{
    return s->now_ms >= s->conf->warm_s * 1000;
}

static double normal_draw(struct rng *rng)
{
    double u = 1 - rng_unit(rng), v = rng_unit(rng);
    return sqrt(-2 * log(u)) * cos(2 * 3.14159265358979323846 * v);
}

static double service_draw(struct sim *s)
{
    double mu = log(SERVICE_MEAN_MS) - SERVICE_SIGMA * SERVICE_SIGMA / 2;
    return exp(mu + SERVICE_SIGMA * normal_draw(&s->arrivals));
}

static double *first_free(struct server *server)
{
    double *best = &server->free_ms[0];
    for (uint32_t i = 1; i < server->slots; i++)
        if (server->free_ms[i] < *best)
            best = &server->free_ms[i];
    return best;
}

static bool is_sick(const struct sim *s, uint32_t server)
{
    return s->conf->sick_status != 0 && server == 0 && measured(s);
}

static bool is_full(const struct sim *s, uint32_t server)
{
    const struct server *v = &s->servers[server];
    return s->conf->queue != 0 && v->inside >= v->slots + s->conf->queue;
}

/* Books a request that the clients see; latency < 0: an error. */
static void book(struct sim *s, uint32_t region, uint32_t server, double latency_ms)
{
    struct sim_result *out = s->out;
    if (!measured(s))
        return;
    bool cross = server / s->conf->servers != region;
    out->requests++;
    out->region0 += region == 0;
    if (latency_ms < 0) {
        out->errors++;
        return;
    }
    out->cross += cross;
    out->region0_cross += cross && region == 0;
    out->served[server]++;
    out->good_in_time += s->now_ms + latency_ms <= s->end_ms;
    out->within_1s += latency_ms <= 1000;
    if (s->latency_count == s->latency_room)
        s->latencies = more(s->latencies, &s->latency_room, sizeof *s->latencies);
    s->latencies[s->latency_count++] = (float)latency_ms;
}

/* The server takes the request, or answers at once that it is sick or full. */
static void serve(struct sim *s, uint32_t region, uint32_t server, double service_ms,
                  double lost_ms, struct pick_ticket ticket)
{
    struct event e = {.ticket = ticket, .x_ms = SICK_MS, .server = UINT32_MAX};
    double rtt = (double)rtt_ms[region][server / s->conf->servers];
    if (is_sick(s, server) || is_full(s, server)) {
        e.outcome = pick_outcome_of_status(is_full(s, server) ? 503 : s->conf->sick_status);
        book(s, region, server, -1);
    } else {
        double *slot = first_free(&s->servers[server]);
        double start = *slot > s->now_ms ? *slot : s->now_ms;
        *slot = start + service_ms;
        s->servers[server].inside++;
        e.x_ms = *slot - s->now_ms;
        e.server = server;
        e.outcome = PICK_ANSWERED;
        book(s, region, server, lost_ms + rtt + e.x_ms);
    }
    e.at_ms = s->now_ms + e.x_ms + rtt;
    push(s, e);
}

static void refuse(struct sim *s, uint32_t region)
{
    book(s, region, region * s->conf->servers, -1);
}

static void request_by_reference(struct sim *s, uint32_t region, double service_ms)
{
    uint32_t best = UINT32_MAX;
    double best_ms = INFINITY;
    for (uint32_t k = 0; k < s->conf->sites * s->conf->servers; k++) {
        if (s->servers[k].down || is_sick(s, k) || is_full(s, k))
            continue;
        double free_ms = *first_free(&s->servers[k]);
        double ms = (double)rtt_ms[region][k / s->conf->servers] + fmax(0, free_ms - s->now_ms);
        if (ms < best_ms) {
            best = k;
            best_ms = ms;
        }
    }
    if (best == UINT32_MAX)
        refuse(s, region);
    else
        serve(s, region, best, service_ms, 0, (struct pick_ticket){0});
}

static uint32_t server_of(const struct instance *i, const struct endpoint *e)
{
    uint32_t k = 0;
    while (i->pool->members[k].endpoint != e)
        k++;
    return k;
}

/* Connect failures are tried again elsewhere, twice (RELIABILITY L30). */
static void request_by_pick(struct sim *s, uint32_t region, double service_ms)
{
    uint32_t own = s->conf->instances;
    struct instance *i =
        &s->instances[own > 0 ? region * own + (uint32_t)rng_below(&s->picks, own) : 0];
    struct endpoint *tried[ATTEMPTS];
    struct pick_request req = {.view = i->view,
                               .distance_ms = rtt_ms[region],
                               .allowed = PICK_ALL,
                               .tried = tried,
                               .now_ms = clock_ms(s),
                               .dice = pick_dice_rng(&s->picks)};
    double lost_ms = 0;
    while (req.tried_count < ATTEMPTS) {
        struct pick_ticket t;
        pool_view_refresh(i->view, req.now_ms);
        if (pick(&req, &t) != ERR_OK)
            break;
        uint32_t server = server_of(i, t.endpoint);
        if (!s->servers[server].down) {
            serve(s, region, server, service_ms, lost_ms, t);
            return;
        }
        lost_ms += (double)rtt_ms[region][t.site_index];
        tried[req.tried_count++] = t.endpoint;
        pick_done(&t, PICK_CONNECT_FAILED, 0, req.now_ms);
    }
    refuse(s, region);
}

/* The site has a balancer of its own, which knows its servers. */
static uint32_t freest_server(const struct sim *s, uint32_t site)
{
    uint32_t best = site * s->conf->servers;
    for (uint32_t k = best + 1; k < (site + 1) * s->conf->servers; k++)
        if (s->servers[k].inside < s->servers[best].inside)
            best = k;
    return best;
}

static void request_by_redirect(struct sim *s, uint32_t region, double service_ms)
{
    struct instance *i = &s->instances[0];
    struct pick_request req = {.view = i->view,
                               .distance_ms = rtt_ms[region],
                               .allowed = PICK_ALL,
                               .now_ms = clock_ms(s),
                               .dice = pick_dice_rng(&s->picks)};
    uint32_t site;
    pool_view_refresh(i->view, req.now_ms);
    if (pick_site(&req, &site) != ERR_OK)
        refuse(s, region);
    else
        serve(s, region, freest_server(s, site), service_ms, 0, (struct pick_ticket){0});
}

/* A check is a request that its server puts at the end of its line. */
static void check_server(struct sim *s, uint32_t k)
{
    double wait_ms = fmax(0, *first_free(&s->servers[k]) - s->now_ms);
    site_checked(s->instances[0].pool->sites[k / s->conf->servers].state, wait_ms + service_draw(s),
                 s->conf->servers, (int64_t)CHECK_MS, clock_ms(s));
}

/* One server of each site in turn. */
static uint32_t next_to_check(struct sim *s)
{
    uint32_t turn = s->next_checked++, sites = s->conf->sites, servers = s->conf->servers;
    return turn % sites * servers + turn / sites % servers;
}

/* Spread over the interval. */
static void step_checks(struct sim *s)
{
    uint32_t all = s->conf->sites * s->conf->servers;
    for (; s->conf->redirect && s->now_ms >= s->check_ms; s->check_ms += CHECK_MS / all)
        check_server(s, next_to_check(s));
}

static void finish(struct sim *s)
{
    struct event e = pop(s);
    s->now_ms = e.at_ms;
    if (e.server != UINT32_MAX)
        s->servers[e.server].inside--;
    pick_done(&e.ticket, e.outcome, e.x_ms, clock_ms(s));
}

static void mark_site(struct sim *s, enum endpoint_health health)
{
    for (uint32_t i = 0; i < s->instance_count; i++)
        for (uint32_t k = 0; k < s->conf->servers; k++)
            endpoint_set_health(s->instances[i].pool->members[k].endpoint, health, clock_ms(s));
}

static void step_outage(struct sim *s)
{
    double since = s->now_ms - s->conf->warm_s * 1000, back = s->conf->run_s * 500;
    if (!s->conf->outage || since < 0)
        return;
    for (uint32_t k = 0; k < s->conf->servers; k++)
        s->servers[k].down = since < back;
    if (s->outage < MARKED && since >= HARD_AFTER_MS) {
        mark_site(s, ENDPOINT_HARD);
        s->outage = MARKED;
    }
    if (s->outage == MARKED && since >= back + UP_AFTER_MS) {
        mark_site(s, ENDPOINT_UP);
        s->outage = WELL;
    }
}

/* Requests per ms of one region. */
static double rate_of(const struct sim *s, uint32_t region)
{
    double slots = 0;
    for (uint32_t k = 0; k < s->conf->servers; k++)
        slots += s->servers[k].slots;
    double surge = region == 0 && s->conf->surge > 0 && measured(s) ? s->conf->surge : 1;
    return surge * s->conf->utilisation * slots / SERVICE_MEAN_MS;
}

static void arrive(struct sim *s, const double *rates, double sum)
{
    double at = rng_unit(&s->arrivals) * sum;
    uint32_t region = 0;
    while (region + 1 < s->conf->sites && at >= rates[region])
        at -= rates[region++];
    double service_ms = service_draw(s);
    step_outage(s);
    step_checks(s);
    if (s->reference)
        request_by_reference(s, region, service_ms);
    else if (s->conf->redirect)
        request_by_redirect(s, region, service_ms);
    else
        request_by_pick(s, region, service_ms);
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

void sim_run(const struct sim_conf *conf, uint64_t seed, bool reference, struct sim_result *out)
{
    struct sim *s = mem_alloc(sizeof *s);
    CHECK(s != NULL, "memory");
    *out = (struct sim_result){0};
    s->conf = conf;
    s->reference = reference;
    s->out = out;
    begin(s, seed);
    for (double next = 0; next < s->end_ms;) {
        double rates[SIM_SITES], sum = 0;
        while (s->count > 0 && s->heap[0].at_ms <= next)
            finish(s);
        s->now_ms = next;
        for (uint32_t r = 0; r < conf->sites; r++)
            sum += rates[r] = rate_of(s, r);
        arrive(s, rates, sum);
        next += -log(1 - rng_unit(&s->arrivals)) / sum;
    }
    while (s->count > 0)
        finish(s);
    qsort(s->latencies, s->latency_count, sizeof *s->latencies, compare_floats);
    out->p99_ms = (double)s->latencies[(size_t)((double)s->latency_count * 0.99)];
    end(s);
    mem_free(s);
}
