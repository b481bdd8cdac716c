/* The counters of a hand-over. They are added, so that what a process counts after it has told can
 * be told once more: the first telling is taken away, the second one added. */
#include "run/handover_impl.h"

#include "geo/country.h"

#include <stddef.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define SEEN(at)        atomic_load_explicit(at, memory_order_relaxed)
#define ADD(at, n)      atomic_fetch_add_explicit(at, n, memory_order_relaxed)

/* What is added to, or taken away from. */
struct tally {
    const struct handover *h;
    bool away;
};

static uint64_t sign(const struct tally *t, uint64_t n)
{
    return t->away ? 0 - n : n;
}

void handover_put(struct buf *out, const uint64_t *numbers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_put_char(out, ' ');
        buf_put_u64(out, numbers[i]);
    }
}

bool handover_is(struct span line, const char *word, struct span *rest)
{
    struct span first;
    *rest = span_cut(line, ' ', &first);
    return span_eq(first, span_str(word));
}

bool handover_numbers(struct span rest, uint64_t *numbers, size_t n, struct span *name)
{
    for (size_t i = 0; i < n; i++) {
        struct span word;
        rest = span_cut(rest, ' ', &word);
        if (span_u64(word, &numbers[i]) != ERR_OK)
            return false;
    }
    *name = rest;
    return true;
}

bool handover_is_site(const struct site_state *site, struct span key)
{
    struct span pool = span_str(site->pool->name);
    return key.n > pool.n && key.p[pool.n] == '/' && span_starts(key, pool) &&
           span_eq(span_sub(key, pool.n + 1, key.n), span_str(site->name));
}

/* --- of workers: those that only grow --- */

static const struct {
    const char *name;
    size_t offset;
} worker_counters[] = {
    {"connections", offsetof(struct worker_stats, connections)},
    {"refused", offsetof(struct worker_stats, refused)},
    {"handshakes-failed", offsetof(struct worker_stats, handshakes_failed)},
    {"backend-connections", offsetof(struct worker_stats, backend_connections)},
    {"backend-reused", offsetof(struct worker_stats, backend_reused)},
    {"log-dropped", offsetof(struct worker_stats, log_dropped)},
    {"spans-dropped", offsetof(struct worker_stats, spans_dropped)},
    {"fields-dropped", offsetof(struct worker_stats, fields_dropped)},
};

static counter *at_offset(struct worker_stats *s, size_t offset)
{
    return (counter *)(void *)((char *)s + offset);
}

static void put_workers(const struct stat_book *b, struct buf *out)
{
    for (size_t i = 0; i < COUNT_OF(worker_counters); i++) {
        uint64_t n = 0;
        for (unsigned w = 0; w < b->slots; w++)
            n += counter_get(at_offset(b->by_worker[w], worker_counters[i].offset));
        buf_printf(out, "worker %llu %s\n", (unsigned long long)n, worker_counters[i].name);
    }
    for (int k = 0; k < ERR_COUNT; k++) {
        uint64_t n = 0;
        for (unsigned w = 0; w < b->slots; w++)
            n += counter_get(&b->by_worker[w]->ends[k]);
        if (n != 0)
            buf_printf(out, "end %llu %s\n", (unsigned long long)n, err_name((enum err)k));
    }
}

static void add_worker(const struct tally *t, const uint64_t *n, struct span name)
{
    const struct stat_book *b = t->h->stats;
    for (size_t i = 0; i < COUNT_OF(worker_counters); i++)
        if (span_eq(name, span_str(worker_counters[i].name)))
            counter_add(at_offset(b->by_worker[b->workers], worker_counters[i].offset),
                        sign(t, n[0]));
}

static void add_end(const struct tally *t, const uint64_t *n, struct span name)
{
    const struct stat_book *b = t->h->stats;
    for (int k = 0; k < ERR_COUNT; k++)
        if (span_eq(name, span_str(err_name((enum err)k))))
            counter_add(&b->by_worker[b->workers]->ends[k], sign(t, n[0]));
}

/* --- of routes and listeners --- */

/* In the order of the line, to whose end new ones go; NULL: no more. */
static counter *route_counter(struct route_stats *s, size_t i)
{
    counter *const all[] = {
        &s->classes[0],      &s->classes[1],    &s->classes[2], &s->classes[3],
        &s->classes[4],      &s->classes[5],    &s->bytes_in,   &s->bytes_out,
        &s->attempts,        &s->retries,       &s->hedges,     &s->hedges_won,
        &s->hedges_refused,  &s->sticks_broken, &s->mirrors,    &s->mirrors_ended,
        &s->mirrors_dropped,
    };
    if (i < COUNT_OF(all))
        return all[i];
    i -= COUNT_OF(all);
    struct histogram *h = i < STATS_BUCKETS + 1 ? &s->seconds : &s->first_byte;
    if (i >= (size_t)2 * (STATS_BUCKETS + 1))
        return NULL;
    i %= STATS_BUCKETS + 1;
    return i < STATS_BUCKETS ? &h->bucket[i] : &h->sum_us;
}

static void put_route(const struct stat_book *b, const struct stat_route *r, struct buf *out)
{
    size_t count = 0;
    while (route_counter(r->by_worker[0], count) != NULL)
        count++;
    buf_printf(out, "route %zu", count);
    for (size_t i = 0; i < count; i++) {
        uint64_t n = 0;
        for (unsigned w = 0; w < b->slots; w++)
            n += counter_get(route_counter(r->by_worker[w], i));
        handover_put(out, &n, 1);
    }
    buf_printf(out, " %s\n", r->name);
}

static struct stat_route *find_route(const struct stat_book *b, struct span name)
{
    list_each (e, &b->routes) {
        struct stat_route *r = container_of(e, struct stat_route, link);
        if (span_eq(span_str(r->name), name))
            return r;
    }
    return NULL;
}

/* As many numbers as the line says it has: more or fewer than are known here. */
static void add_route(const struct tally *t, const uint64_t *n, struct span numbers)
{
    const struct stat_book *b = t->h->stats;
    struct span name = numbers;
    uint64_t value;
    for (uint64_t i = 0; i < n[0]; i++)
        if (!handover_numbers(name, &value, 1, &name))
            return;
    struct stat_route *r = find_route(b, name);
    for (size_t i = 0; r != NULL && i < n[0]; i++) {
        counter *c = route_counter(r->by_worker[b->workers], i);
        if (c == NULL || !handover_numbers(numbers, &value, 1, &numbers))
            return;
        counter_add(c, sign(t, value));
    }
}

static void put_listener(const struct stat_book *b, const struct stat_listener *l, struct buf *out)
{
    uint64_t n = 0;
    for (unsigned w = 0; w < b->slots; w++)
        n += counter_get(&l->by_worker[w].accepted);
    buf_printf(out, "listener %llu %s\n", (unsigned long long)n, l->name);
}

static void add_listener(const struct tally *t, const uint64_t *n, struct span name)
{
    const struct stat_book *b = t->h->stats;
    list_each (e, &b->listeners) {
        struct stat_listener *l = container_of(e, struct stat_listener, link);
        if (span_eq(span_str(l->name), name))
            counter_add(&l->by_worker[b->workers].accepted, sign(t, n[0]));
    }
}

/* --- of servers, sites and pools: atomics that several threads add to --- */

enum { REQUESTS, RESPONSES, ERRORS, CONNECT_ERRORS, EJECTIONS, SERVER_NUMBERS };

static void put_server(void *ctx, struct endpoint *e)
{
    const uint64_t numbers[SERVER_NUMBERS] = {
        [REQUESTS] = SEEN(&e->requests),   [RESPONSES] = SEEN(&e->responses),
        [ERRORS] = SEEN(&e->errors),       [CONNECT_ERRORS] = SEEN(&e->connect_errors),
        [EJECTIONS] = SEEN(&e->ejections),
    };
    buf_put_str(ctx, "server");
    handover_put(ctx, numbers, SERVER_NUMBERS);
    buf_printf(ctx, " %s\n", endpoint_name(e));
}

static void add_server(const struct tally *t, const uint64_t *n, struct span name)
{
    struct endpoint *e = registry_find(t->h->registry, name);
    if (e == NULL)
        return;
    ADD(&e->requests, sign(t, n[REQUESTS]));
    ADD(&e->responses, sign(t, n[RESPONSES]));
    ADD(&e->errors, sign(t, n[ERRORS]));
    ADD(&e->connect_errors, sign(t, n[CONNECT_ERRORS]));
    ADD(&e->ejections, sign(t, n[EJECTIONS]));
}

/* Clients are told by their country's code, "-" for those of none. */
static void put_site(void *ctx, struct site_state *s)
{
    buf_printf(ctx, "redirects %llu %s/%s\n", (unsigned long long)SEEN(&s->redirects),
               s->pool->name, s->name);
    for (unsigned i = 0; i < SITE_CLIENTS; i++) {
        const struct country *c = i > 0 ? country_at(i - 1) : NULL;
        uint32_t n = SEEN(&s->clients[i]);
        if (n != 0)
            buf_printf(ctx, "clients %u %.2s %s/%s\n", n, c != NULL ? c->code : "-", s->pool->name,
                       s->name);
    }
}

struct for_site {
    const struct tally *t;
    struct span key;
    uint64_t n;
    int country; /* of clients; -1: redirects */
};

static void add_to_site(void *ctx, struct site_state *s)
{
    const struct for_site *f = ctx;
    if (!handover_is_site(s, f->key))
        return;
    if (f->country < 0)
        ADD(&s->redirects, sign(f->t, f->n));
    else
        ADD(&s->clients[f->country], (uint32_t)sign(f->t, f->n));
}

static void add_redirects(const struct tally *t, const uint64_t *n, struct span key)
{
    struct for_site f = {t, key, n[0], -1};
    registry_each_site(t->h->registry, add_to_site, &f);
}

static void add_clients(const struct tally *t, const uint64_t *n, struct span rest)
{
    struct for_site f = {.t = t, .n = n[0]};
    struct span code;
    char letters[2] = {0};
    f.key = span_cut(rest, ' ', &code);
    if (code.n == sizeof letters)
        memcpy(letters, code.p, sizeof letters);
    f.country = (int)country_number(letters);
    registry_each_site(t->h->registry, add_to_site, &f);
}

static void put_pool(void *ctx, struct pool_state *p)
{
    buf_printf(ctx, "faults %llu %s\n", (unsigned long long)SEEN(&p->faults), p->name);
}

struct for_pool {
    const struct tally *t;
    struct span name;
    uint64_t n;
};

static void add_to_pool(void *ctx, struct pool_state *p)
{
    const struct for_pool *f = ctx;
    if (span_eq(span_str(p->name), f->name))
        ADD(&p->faults, sign(f->t, f->n));
}

static void add_faults(const struct tally *t, const uint64_t *n, struct span name)
{
    struct for_pool f = {t, name, n[0]};
    registry_each_pool(t->h->registry, add_to_pool, &f);
}

/* --- of the process --- */

static void put_totals(const struct handover *h, struct buf *out)
{
    for (size_t i = 0; i < h->total_count; i++)
        buf_printf(out, "total %llu %s\n", (unsigned long long)SEEN(h->totals[i].at),
                   h->totals[i].name);
}

static void add_total(const struct tally *t, const uint64_t *n, struct span name)
{
    for (size_t i = 0; i < t->h->total_count; i++)
        if (span_eq(name, span_str(t->h->totals[i].name)))
            ADD(t->h->totals[i].at, sign(t, n[0]));
}

/* --- of loops --- */

enum { TURNS_NUMBERS = LOOP_TURN_BUCKETS + 1 }; /* the buckets, and the sum */

static void put_turns(const struct loop_turns *turns, struct buf *out)
{
    uint64_t numbers[TURNS_NUMBERS] = {[LOOP_TURN_BUCKETS] = SEEN(&turns->sum_ns)};
    for (size_t i = 0; i < LOOP_TURN_BUCKETS; i++)
        numbers[i] = SEEN(&turns->bucket[i]);
    buf_put_str(out, "turns");
    handover_put(out, numbers, TURNS_NUMBERS);
    buf_put_str(out, " workers\n");
}

static void add_turns(const struct tally *t, const uint64_t *n, struct span name)
{
    (void)name;
    for (size_t i = 0; i < LOOP_TURN_BUCKETS; i++)
        ADD(&t->h->turns_before->bucket[i], sign(t, n[i]));
    ADD(&t->h->turns_before->sum_ns, sign(t, n[LOOP_TURN_BUCKETS]));
}

/* --- all --- */

void handover_write_counts(const struct handover *h, struct buf *out)
{
    put_workers(h->stats, out);
    list_each (e, &h->stats->routes)
        put_route(h->stats, container_of(e, struct stat_route, link), out);
    list_each (l, &h->stats->listeners)
        put_listener(h->stats, container_of(l, struct stat_listener, link), out);
    registry_each(h->registry, put_server, out);
    registry_each_site(h->registry, put_site, out);
    registry_each_pool(h->registry, put_pool, out);
    put_totals(h, out);
    put_turns(&h->turns, out);
}

static const struct {
    const char *word;
    size_t numbers;
    void (*add)(const struct tally *t, const uint64_t *n, struct span name);
} kinds[] = {
    {"worker", 1, add_worker},
    {"end", 1, add_end},
    {"route", 1, add_route},
    {"listener", 1, add_listener},
    {"server", SERVER_NUMBERS, add_server},
    {"redirects", 1, add_redirects},
    {"clients", 1, add_clients},
    {"faults", 1, add_faults},
    {"total", 1, add_total},
    {"turns", TURNS_NUMBERS, add_turns},
};

#define NUMBERS_MOST 8
_Static_assert((int)TURNS_NUMBERS <= NUMBERS_MOST && (int)SERVER_NUMBERS <= NUMBERS_MOST,
               "room for the numbers of every kind");

static void count_line(const struct tally *t, struct span line)
{
    uint64_t numbers[NUMBERS_MOST];
    struct span rest, name;
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (handover_is(line, kinds[i].word, &rest) &&
            handover_numbers(rest, numbers, kinds[i].numbers, &name))
            kinds[i].add(t, numbers, name);
}

void handover_count(const struct handover *h, struct span text, bool away)
{
    const struct tally t = {h, away};
    while (text.n != 0) {
        struct span line;
        text = span_cut(text, '\n', &line);
        count_line(&t, line);
    }
}
