#include "run/handover.h"

#include "base/limits.h"
#include "base/mem.h"

#define SEEN(field)        ((uint64_t)atomic_load_explicit(&e->field, memory_order_relaxed))
#define TAKE(field, value) atomic_store_explicit(&e->field, (value), memory_order_relaxed)

/* Order on the line of an endpoint. */
enum {
    HEALTH,
    ADMIN,
    WEIGHT,
    OUT_UNTIL,
    HEALTH_SINCE,
    HISTORY,
    PROBES,
    REQUESTS,
    RESPONSES,
    ERRORS,
    CONNECT_ERRORS,
    EJECTIONS,
    ENDPOINT_NUMBERS
};

static void put_numbers(struct buf *out, const uint64_t *numbers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_put_char(out, ' ');
        buf_put_u64(out, numbers[i]);
    }
}

/* Monotonic times hold: both processes are on one machine. */
static void put_endpoint(void *ctx, struct endpoint *e)
{
    struct buf *out = ctx;
    const uint64_t numbers[ENDPOINT_NUMBERS] = {
        [HEALTH] = endpoint_health(e),
        [ADMIN] = endpoint_admin(e),
        [WEIGHT] = SEEN(weight),
        [OUT_UNTIL] = SEEN(out_until),
        [HEALTH_SINCE] = SEEN(health_since),
        [HISTORY] = SEEN(history),
        [PROBES] = SEEN(probes),
        [REQUESTS] = SEEN(requests),
        [RESPONSES] = SEEN(responses),
        [ERRORS] = SEEN(errors),
        [CONNECT_ERRORS] = SEEN(connect_errors),
        [EJECTIONS] = SEEN(ejections),
    };
    buf_put_str(out, "endpoint");
    put_numbers(out, numbers, ENDPOINT_NUMBERS);
    buf_printf(out, " %s\n", endpoint_name(e));
}

static void take_endpoint(struct endpoint *e, const uint64_t *n)
{
    if (n[HEALTH] > ENDPOINT_HARD || n[ADMIN] > ENDPOINT_MAINT || n[WEIGHT] > 1000)
        return;
    TAKE(health, (uint8_t)n[HEALTH]);
    (void)endpoint_set_admin(e, (enum endpoint_admin)n[ADMIN]);
    endpoint_set_weight(e, (uint32_t)n[WEIGHT]);
    TAKE(out_until, (int64_t)n[OUT_UNTIL]);
    TAKE(health_since, (int64_t)n[HEALTH_SINCE]);
    TAKE(history, n[HISTORY]);
    TAKE(probes, n[PROBES] < 64 ? (uint32_t)n[PROBES] : 64);
    TAKE(requests, n[REQUESTS]);
    TAKE(responses, n[RESPONSES]);
    TAKE(errors, n[ERRORS]);
    TAKE(connect_errors, n[CONNECT_ERRORS]);
    TAKE(ejections, n[EJECTIONS]);
}

/* The counters of a worker that only grow. */
static counter *worker_counter(struct worker_stats *s, size_t i)
{
    counter *const all[] = {
        &s->connections,         &s->refused,        &s->handshakes_failed,
        &s->backend_connections, &s->backend_reused, &s->log_dropped,
    };
    return i < sizeof all / sizeof *all ? all[i] : NULL;
}

static counter *route_counter(struct route_stats *s, size_t i)
{
    counter *const all[] = {&s->bytes_in, &s->bytes_out, &s->attempts, &s->retries};
    struct histogram *h = i < 10 + STATS_BUCKETS + 1 ? &s->seconds : &s->first_byte;
    size_t k = i < 10 ? 0 : (i - 10) % (STATS_BUCKETS + 1);
    if (i < 6)
        return &s->classes[i];
    if (i < 10)
        return all[i - 6];
    if (i < 10 + 2 * (STATS_BUCKETS + 1))
        return k < STATS_BUCKETS ? &h->bucket[k] : &h->sum_us;
    return NULL;
}

static void put_workers(const struct stat_book *b, struct buf *out)
{
    for (size_t i = 0; worker_counter(b->by_worker[0], i) != NULL; i++) {
        uint64_t n = 0;
        for (unsigned w = 0; w < b->workers; w++)
            n += counter_get(worker_counter(b->by_worker[w], i));
        buf_printf(out, "worker %llu %zu\n", (unsigned long long)n, i);
    }
    for (int k = 0; k < ERR_COUNT; k++) {
        uint64_t n = 0;
        for (unsigned w = 0; w < b->workers; w++)
            n += counter_get(&b->by_worker[w]->ends[k]);
        if (n != 0)
            buf_printf(out, "end %llu %s\n", (unsigned long long)n, err_name((enum err)k));
    }
}

static void put_route(const struct stat_book *b, const struct stat_route *r, struct buf *out)
{
    buf_put_str(out, "route");
    for (size_t i = 0; route_counter(r->by_worker[0], i) != NULL; i++) {
        uint64_t n = 0;
        for (unsigned w = 0; w < b->workers; w++)
            n += counter_get(route_counter(r->by_worker[w], i));
        put_numbers(out, &n, 1);
    }
    buf_printf(out, " %s\n", r->name);
}

static void put_tickets(struct tls_tickets *tickets, struct buf *out)
{
    unsigned char secret[TLS_TICKETS_BYTES];
    size_t n = tls_tickets_export(tickets, secret);
    buf_put_str(out, "tickets ");
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%02x", secret[i]);
    buf_put_char(out, '\n');
    mem_wipe(secret, sizeof secret);
}

/* "192.0.2.1", of a service "192.0.2.1:80/RANK/WEIGHT". */
static void put_address(const struct name_address *a, struct buf *out)
{
    char at[ADDR_TEXT];
    bool service = addr_port(&a->addr) != 0;
    size_t n = service ? addr_print(&a->addr, at) : addr_print_host(&a->addr, at);
    buf_printf(out, " %.*s", (int)n, at);
    if (service)
        buf_printf(out, "/%u/%u", a->rank, a->weight);
}

static void put_names(const struct name_book *names, struct buf *out)
{
    list_each (e, &names->all) {
        const struct name_news *known = &container_of(e, struct name_known, link)->is;
        buf_printf(out, "name %s", known->host);
        for (size_t i = 0; i < known->count; i++) {
            put_address(&known->addrs[i], out);
        }
        buf_put_char(out, '\n');
    }
}

void handover_write(const struct handover *h, struct buf *out)
{
    put_tickets(h->tickets, out);
    put_names(h->names, out);
    registry_each(h->registry, put_endpoint, out);
    put_workers(h->stats, out);
    list_each (e, &h->stats->routes)
        put_route(h->stats, container_of(e, struct stat_route, link), out);
}

/* "WORD rest": whether it is that word; *rest is what follows. */
static bool is_kind(struct span line, const char *word, struct span *rest)
{
    struct span first;
    *rest = span_cut(line, ' ', &first);
    return span_eq(first, span_str(word));
}

/* n numbers, then a name in *name. */
static bool read_numbers(struct span rest, uint64_t *numbers, size_t n, struct span *name)
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

void handover_read_tickets(struct tls_tickets *tickets, struct span text)
{
    unsigned char secret[TLS_TICKETS_BYTES];
    while (text.n != 0) {
        struct span line, hex;
        size_t n = 0;
        text = span_cut(text, '\n', &line);
        if (!is_kind(line, "tickets", &hex) || hex.n > 2 * sizeof secret)
            continue;
        for (; n < hex.n / 2; n++)
            secret[n] = (unsigned char)(ascii_hex(hex.p[2 * n]) * 16 + ascii_hex(hex.p[2 * n + 1]));
        tls_tickets_import(tickets, secret, n);
        mem_wipe(secret, sizeof secret);
    }
}

static bool read_address(struct span word, struct name_address *out)
{
    struct span at, rank;
    uint64_t ranked, weight;
    struct span rest = span_cut(word, '/', &at);
    if (rest.n == 0)
        return addr_parse_host(at, &out->addr) == ERR_OK;
    rest = span_cut(rest, '/', &rank);
    if (addr_parse(at, &out->addr) != ERR_OK || span_u64(rank, &ranked) != ERR_OK ||
        ranked >= LIMIT_RANKS || span_u64(rest, &weight) != ERR_OK || weight > LIMIT_WEIGHT)
        return false;
    out->rank = (uint8_t)ranked;
    out->weight = (uint16_t)weight;
    return true;
}

/* False: it is none, or what it says makes no sense. */
static bool read_name(struct span line, struct name_news *out)
{
    struct span rest, host, word;
    if (!is_kind(line, "name", &rest))
        return false;
    rest = span_cut(rest, ' ', &host);
    *out = (struct name_news){.count = 0};
    if (host.n == 0 || host.n > RESOLVE_NAME_MOST)
        return false;
    memcpy(out->host, host.p, host.n);
    while (rest.n != 0 && out->count < LIMIT_NAME_ADDRESSES) {
        rest = span_cut(rest, ' ', &word);
        if (!read_address(word, &out->addrs[out->count++]))
            return false;
    }
    return true;
}

void handover_read_names(struct name_book *names, struct span text)
{
    while (text.n != 0) {
        struct name_news news;
        struct span line;
        text = span_cut(text, '\n', &line);
        if (read_name(line, &news))
            (void)!name_book_take(names, &news); /* without memory it is asked for */
    }
}

static void read_end(const struct stat_book *b, struct span name, uint64_t n)
{
    for (int k = 0; k < ERR_COUNT; k++) {
        if (span_eq(name, span_str(err_name((enum err)k))))
            counter_add(&b->by_worker[0]->ends[k], n);
    }
}

static void read_route(const struct stat_book *b, struct span rest)
{
    uint64_t numbers[10 + 2 * (STATS_BUCKETS + 1)];
    struct span name;
    size_t count = sizeof numbers / sizeof *numbers;
    if (!read_numbers(rest, numbers, count, &name))
        return;
    list_each (e, &b->routes) {
        struct stat_route *r = container_of(e, struct stat_route, link);
        for (size_t i = 0; span_eq(span_str(r->name), name) && i < count; i++)
            counter_add(route_counter(r->by_worker[0], i), numbers[i]);
    }
}

static void read_line(const struct handover *h, struct span line)
{
    uint64_t numbers[ENDPOINT_NUMBERS], index;
    struct span rest, name;
    if (is_kind(line, "endpoint", &rest)) {
        struct endpoint *e = read_numbers(rest, numbers, ENDPOINT_NUMBERS, &name)
                                 ? registry_find(h->registry, name)
                                 : NULL;
        if (e != NULL)
            take_endpoint(e, numbers);
    } else if (is_kind(line, "worker", &rest) && read_numbers(rest, numbers, 1, &name)) {
        counter *c = span_u64(name, &index) == ERR_OK
                         ? worker_counter(h->stats->by_worker[0], (size_t)index)
                         : NULL;
        if (c != NULL)
            counter_add(c, numbers[0]);
    } else if (is_kind(line, "end", &rest) && read_numbers(rest, numbers, 1, &name)) {
        read_end(h->stats, name, numbers[0]);
    } else if (is_kind(line, "route", &rest)) {
        read_route(h->stats, rest);
    }
}

void handover_read(const struct handover *h, struct span text)
{
    while (text.n != 0) {
        struct span line;
        text = span_cut(text, '\n', &line);
        read_line(h, line);
    }
}
