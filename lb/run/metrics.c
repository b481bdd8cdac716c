/* The workers' counters, summed when somebody asks. */
#include "run/balancer.h"

static uint64_t worker_sum(const struct balancer *b, size_t offset)
{
    uint64_t n = 0;
    for (unsigned w = 0; w < b->stats.slots; w++) {
        const char *at = (const char *)b->stats.by_worker[w] + offset;
        n += counter_get((const counter *)(const void *)at);
    }
    return n;
}

static const struct {
    const char *name, *help;
    enum metric_type type;
    size_t offset;
} totals[] = {
    {"connections_refused_total", "Connections closed at once because a bound was reached.",
     METRIC_COUNTER, offsetof(struct worker_stats, refused)},
    {"tls_handshakes_failed_total", "TLS handshakes with clients that failed or took too long.",
     METRIC_COUNTER, offsetof(struct worker_stats, handshakes_failed)},
    {"tunnels", "Tunnels (WebSocket) open now.", METRIC_GAUGE,
     offsetof(struct worker_stats, tunnels_open)},
    {"requests_waiting", "Requests that wait for a free server now.", METRIC_GAUGE,
     offsetof(struct worker_stats, waiting)},
    {"backend_connections_opened_total", "Connections opened to servers.", METRIC_COUNTER,
     offsetof(struct worker_stats, backend_connections)},
    {"backend_connections_reused_total", "Requests sent on a connection used before.",
     METRIC_COUNTER, offsetof(struct worker_stats, backend_reused)},
    {"request_fields_dropped_total",
     "Fields of requests that were left out for their names, which have other characters than "
     "letters, digits and `-`.",
     METRIC_COUNTER, offsetof(struct worker_stats, fields_dropped)},
};

static void put_totals(const struct balancer *b, struct metrics *m)
{
    for (size_t i = 0; i < sizeof totals / sizeof *totals; i++) {
        metrics_family(m, totals[i].name, totals[i].type, totals[i].help);
        metrics_u64(m, NULL, 0, worker_sum(b, totals[i].offset));
    }
}

void balancer_ends(void *ctx, void (*each)(void *user, enum err reason, uint64_t n), void *user)
{
    for (unsigned i = 0; i < ERR_COUNT; i++) {
        uint64_t n = worker_sum(ctx, offsetof(struct worker_stats, ends) + i * sizeof(counter));
        if (n != 0 || i == ERR_OK)
            each(user, (enum err)i, n);
    }
}

static void put_end(void *user, enum err why, uint64_t n)
{
    struct metric_label reason = {"reason", span_str(err_name(why))};
    metrics_u64(user, &reason, 1, n);
}

static void put_ends(struct balancer *b, struct metrics *m)
{
    metrics_family(m, "requests_ended_total", METRIC_COUNTER,
                   "Requests by the reason of their end.");
    balancer_ends(b, put_end, m);
}

/* Each series of a route: by_worker is what a policy_route has. */
struct series {
    struct span name;
    struct route_stats **by_worker;
};

static struct series series_at(const struct balancer *b, uint32_t i)
{
    const struct policy *p = &b->current->policy;
    if (i < p->route_count)
        return (struct series){p->routes[i].name, p->routes[i].stats};
    return (struct series){span_str(b->stats.unrouted->name), b->stats.unrouted->by_worker};
}

static uint64_t route_sum(const struct balancer *b, const struct series *s, size_t offset)
{
    uint64_t n = 0;
    for (unsigned w = 0; w < b->stats.slots; w++)
        n += counter_get((const counter *)(const void *)((const char *)s->by_worker[w] + offset));
    return n;
}

static void put_classes(const struct balancer *b, struct metrics *m)
{
    static const char *const codes[6] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
    metrics_family(m, "requests_total", METRIC_COUNTER,
                   "Requests by route and status class of the response.");
    for (uint32_t i = 0; i <= b->current->policy.route_count; i++) {
        struct series s = series_at(b, i);
        for (size_t c = 0; c < 6; c++) {
            struct metric_label labels[2] = {{"route", s.name}, {"code", span_str(codes[c])}};
            uint64_t n =
                route_sum(b, &s, offsetof(struct route_stats, classes) + c * sizeof(counter));
            if (n != 0 || c == 2)
                metrics_u64(m, labels, 2, n);
        }
    }
}

static void put_route_total(const struct balancer *b, struct metrics *m, const char *name,
                            const char *help, size_t offset)
{
    metrics_family(m, name, METRIC_COUNTER, help);
    for (uint32_t i = 0; i <= b->current->policy.route_count; i++) {
        struct series s = series_at(b, i);
        struct metric_label route = {"route", s.name};
        metrics_u64(m, &route, 1, route_sum(b, &s, offset));
    }
}

static void put_histogram(const struct balancer *b, struct metrics *m, const char *name,
                          const char *help, size_t offset)
{
    double bounds[STATS_BUCKETS - 1];
    uint64_t counts[STATS_BUCKETS];
    for (size_t i = 0; i < STATS_BUCKETS - 1; i++)
        bounds[i] = (double)stats_bucket_us[i] / 1e6;
    metrics_family(m, name, METRIC_HISTOGRAM, help);
    for (uint32_t i = 0; i <= b->current->policy.route_count; i++) {
        struct series s = series_at(b, i);
        struct metric_label route = {"route", s.name};
        for (size_t k = 0; k < STATS_BUCKETS; k++)
            counts[k] =
                route_sum(b, &s, offset + offsetof(struct histogram, bucket) + k * sizeof(counter));
        uint64_t us = route_sum(b, &s, offset + offsetof(struct histogram, sum_us));
        metrics_histogram(m, &route, 1, bounds, STATS_BUCKETS - 1, counts, (double)us / 1e6);
    }
}

static void each_site(const struct balancer *b, struct metrics *m,
                      void (*put)(struct metrics *m, const struct metric_label labels[2],
                                  const struct site_state *site))
{
    const struct policy *p = &b->current->policy;
    for (uint32_t i = 0; i < p->pool_count; i++) {
        const struct pick_pool *pool = p->pools[i].pick;
        for (uint32_t s = 0; s < pool->site_count; s++) {
            struct metric_label labels[2] = {{"pool", p->pools[i].name},
                                             {"site", span_str(pool->sites[s].name)}};
            put(m, labels, pool->sites[s].state);
        }
    }
}

static void put_redirects(struct metrics *m, const struct metric_label labels[2],
                          const struct site_state *site)
{
    metrics_u64(m, labels, 2, atomic_load(&site->redirects));
}

static void put_way(struct metrics *m, const struct metric_label labels[2],
                    const struct site_state *site)
{
    metrics_double(m, labels, 2, site_way(site) / 1e3);
}

static void put_sites(const struct balancer *b, struct metrics *m)
{
    metrics_family(m, "site_redirects_total", METRIC_COUNTER,
                   "Clients sent to a site by pools with mode: redirect.");
    each_site(b, m, put_redirects);
    metrics_family(m, "site_round_trip_seconds", METRIC_GAUGE,
                   "The least time of connects in checks of the last 10 minutes; 0: not known.");
    each_site(b, m, put_way);
}

static void put_checks(const struct balancer *b, struct metrics *m)
{
    const struct health_counts *c = health_thread_counts(b->health);
    struct metric_label good = {"result", SPAN("good")}, bad = {"result", SPAN("bad")};
    struct metric_label local = {"result", SPAN("none")};
    metrics_family(m, "health_checks_total", METRIC_COUNTER, "Health checks by result.");
    metrics_u64(m, &good, 1, atomic_load(&c->good));
    metrics_u64(m, &bad, 1, atomic_load(&c->bad));
    metrics_u64(m, &local, 1, atomic_load(&c->local));
    metrics_family(m, "health_changes_total", METRIC_COUNTER, "Changes of a server's health.");
    metrics_u64(m, NULL, 0, atomic_load(&c->changes));
}

static void put_names(const struct balancer *b, struct metrics *m)
{
    const struct name_counts *c = health_thread_name_counts(b->health);
    struct metric_label good = {"result", SPAN("good")}, bad = {"result", SPAN("bad")};
    metrics_family(m, "name_answers_total", METRIC_COUNTER,
                   "Look-ups of servers' host names by result.");
    metrics_u64(m, &good, 1, atomic_load(&c->good));
    metrics_u64(m, &bad, 1, atomic_load(&c->bad));
    metrics_family(m, "names", METRIC_GAUGE, "Host names that are looked up.");
    metrics_u64(m, NULL, 0, atomic_load(&c->names));
    metrics_family(m, "names_unknown", METRIC_GAUGE, "Host names without any address so far.");
    metrics_u64(m, NULL, 0, atomic_load(&c->unknown));
    metrics_family(m, "name_addresses_held", METRIC_GAUGE,
                   "Addresses that answers lack and that are kept for a while.");
    metrics_u64(m, NULL, 0, atomic_load(&c->held));
}

static void put_log(struct balancer *b, struct metrics *m)
{
    if (b->current->log != NULL)
        totals_lost(&b->totals, b->current->log->writer);
    metrics_family(m, "access_log_lines_dropped_total", METRIC_COUNTER,
                   "Access-log lines that found no room, or could not be written.");
    metrics_u64(m, NULL, 0,
                worker_sum(b, offsetof(struct worker_stats, log_dropped)) +
                    counter_get(&b->totals.lines_lost));
}

static void put_spans(const struct balancer *b, struct metrics *m)
{
    const struct tracer_counts *c = &b->totals.spans;
    struct metric_label sent = {"result", SPAN("sent")}, dropped = {"result", SPAN("dropped")};
    uint64_t lost = worker_sum(b, offsetof(struct worker_stats, spans_dropped));
    metrics_family(m, "trace_spans_total", METRIC_COUNTER,
                   "Spans of sampled requests: sent to the collector, or dropped.");
    metrics_u64(m, &sent, 1, counter_get(&c->sent));
    metrics_u64(m, &dropped, 1, lost + counter_get(&c->lost));
}

static void put_files(const struct balancer *b, struct metrics *m)
{
    const struct watch *w = &b->watch;
    const struct {
        const char *file, *result;
        uint64_t n;
    } rows[] = {{"certificate", "good", w->certs_good},
                {"certificate", "bad", w->certs_bad},
                {"geo", "good", w->geo_good},
                {"geo", "bad", w->geo_bad}};
    metrics_family(m, "watched_files_read_total", METRIC_COUNTER,
                   "Replaced files that were read again by themselves, by result.");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct metric_label labels[2] = {{"file", span_str(rows[i].file)},
                                         {"result", span_str(rows[i].result)}};
        metrics_u64(m, labels, 2, rows[i].n);
    }
}

/* Where the servers of each pool with a registry come from: the database, the file that was kept,
 * or the configuration's own until either is there. */
static void put_registry(const struct balancer *b, struct metrics *m)
{
    const struct conf *conf = b->current->conf;
    const struct central *c = &b->central;
    const char *source = c->rows == NULL || c->origin == CENTRAL_NONE ? "seed"
                         : c->origin == CENTRAL_FILE                  ? "snapshot"
                                                                      : "database";
    metrics_family(m, "registry_source", METRIC_GAUGE,
                   "1 for where the servers of a pool with a registry come from.");
    for (size_t i = 0; i < conf->pool_count; i++) {
        const struct conf_registry *r = &conf->pools[i].registry;
        struct metric_label labels[2] = {{"pool", conf->pools[i].name.s},
                                         {"source", span_str(source)}};
        if (r->set && r->mode != CONF_REGISTRY_OFF)
            metrics_u64(m, labels, 2, 1);
    }
}

static void put_gauge(struct metrics *m, const char *name, const char *help, uint64_t value)
{
    metrics_family(m, name, METRIC_GAUGE, help);
    metrics_u64(m, NULL, 0, value);
}

static void put_overload(const struct balancer *b, struct metrics *m)
{
    const struct pressure *p = &b->pressure;
    put_gauge(m, "memory_bytes", "Memory of connections, requests and what they need.",
              p->memory.used);
    put_gauge(m, "memory_limit_bytes", "What limits.memory allows.", p->memory.most);
    put_gauge(m, "descriptors", "Open descriptors.", p->descriptors.used);
    put_gauge(m, "descriptors_limit", "Descriptors that may be open; 0: no bound.",
              p->descriptors.most);
    put_gauge(m, "overload_tier", "0: none, 1: save, 2: refuse, 3: reset.", p->tier);
    metrics_family(m, "overload_entered_total", METRIC_COUNTER, "Times that a tier was entered.");
    for (unsigned t = OVERLOAD_NONE + 1; t < OVERLOAD_TIERS; t++) {
        struct metric_label tier = {"tier", span_str(overload_name((enum overload)t))};
        metrics_u64(m, &tier, 1, p->entered[t]);
    }
    metrics_family(m, "overload_resets_total", METRIC_COUNTER,
                   "Times that the source that held most memory was reset.");
    metrics_u64(m, NULL, 0, p->resets);
}

/* G14. */
static void put_turns(const struct balancer *b, struct metrics *m)
{
    double bounds[LOOP_TURN_BUCKETS - 1];
    uint64_t counts[LOOP_TURN_BUCKETS];
    struct loop_turns sum;
    totals_turns(b, &sum);
    for (size_t i = 0; i < LOOP_TURN_BUCKETS - 1; i++)
        bounds[i] = loop_turn_ms[i] / 1e3;
    for (size_t i = 0; i < LOOP_TURN_BUCKETS; i++)
        counts[i] = sum.bucket[i];
    metrics_family(m, "turn_seconds", METRIC_HISTOGRAM,
                   "Turns of the workers' loops: how long one works before it looks again.");
    metrics_histogram(m, NULL, 0, bounds, LOOP_TURN_BUCKETS - 1, counts, (double)sum.sum_ns / 1e9);
}

void balancer_metrics(void *ctx, struct metrics *out)
{
    struct balancer *b = ctx;
    put_totals(b, out);
    put_turns(b, out);
    put_overload(b, out);
    put_ends(b, out);
    put_classes(b, out);
    put_route_total(b, out, "received_bytes_total", "Bytes received from clients.",
                    offsetof(struct route_stats, bytes_in));
    put_route_total(b, out, "sent_bytes_total", "Bytes sent to clients.",
                    offsetof(struct route_stats, bytes_out));
    put_route_total(b, out, "attempts_total", "Requests sent to servers, retries included.",
                    offsetof(struct route_stats, attempts));
    put_route_total(b, out, "retries_total", "Attempts after the first.",
                    offsetof(struct route_stats, retries));
    put_route_total(b, out, "hedges_total", "Second attempts beside a first that was slow.",
                    offsetof(struct route_stats, hedges));
    put_route_total(b, out, "hedges_won_total", "Those that answered first.",
                    offsetof(struct route_stats, hedges_won));
    put_route_total(b, out, "hedges_refused_total",
                    "Second attempts that the budget of the pool did not allow.",
                    offsetof(struct route_stats, hedges_refused));
    put_route_total(b, out, "sticky_broken_total",
                    "Requests with a sticky cookie that another server had to answer.",
                    offsetof(struct route_stats, sticks_broken));
    put_route_total(b, out, "mirrored_total", "Copies of requests sent to the route's mirror.",
                    offsetof(struct route_stats, mirrors));
    put_route_total(b, out, "mirror_dropped_total",
                    "Copies that were not sent: too many at once, or too large.",
                    offsetof(struct route_stats, mirrors_dropped));
    put_histogram(b, out, "request_seconds", "First byte of the request to end of the response.",
                  offsetof(struct route_stats, seconds));
    put_histogram(b, out, "first_byte_seconds",
                  "Dispatch to the first byte of the server's response.",
                  offsetof(struct route_stats, first_byte));
    put_sites(b, out);
    put_checks(b, out);
    put_names(b, out);
    put_files(b, out);
    put_log(b, out);
    put_spans(b, out);
    put_registry(b, out);
}
