#include "run/handover_impl.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"

#define SEEN(field)        ((uint64_t)atomic_load_explicit(&e->field, memory_order_relaxed))
#define TAKE(field, value) atomic_store_explicit(&e->field, (value), memory_order_relaxed)

/* Order on the line of an endpoint. */
enum { HEALTH, ADMIN, WEIGHT, OUT_UNTIL, HEALTH_SINCE, HISTORY, PROBES, ENDPOINT_NUMBERS };

/* Order on the line of a site; the first three are doubles as bits. */
enum { LOAD_T, LOAD_N, LOAD_A, LOAD_SAMPLES, LOAD_NUMBERS };

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
    };
    buf_put_str(out, "endpoint");
    handover_put(out, numbers, ENDPOINT_NUMBERS);
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

/* How the site answers, so that the next process need not learn it anew. */
static void put_load(void *ctx, struct site_state *site)
{
    struct buf *out = ctx;
    const struct site_load load = site_load(site);
    uint64_t numbers[LOAD_NUMBERS] = {[LOAD_SAMPLES] = load.samples};
    memcpy(&numbers[LOAD_T], &load.t_ms, sizeof load.t_ms);
    memcpy(&numbers[LOAD_N], &load.n_ms, sizeof load.n_ms);
    memcpy(&numbers[LOAD_A], &load.a, sizeof load.a);
    buf_put_str(out, "load");
    handover_put(out, numbers, LOAD_NUMBERS);
    buf_printf(out, " %s/%s\n", site->pool->name, site->name);
}

void handover_write(const struct handover *h, struct buf *out)
{
    put_tickets(h->tickets, out);
    put_names(h->names, out);
    orders_write(h->orders, out);
    registry_each(h->registry, put_endpoint, out);
    registry_each_site(h->registry, put_load, out);
    handover_write_counts(h, out);
}

void handover_read_tickets(struct tls_tickets *tickets, struct span text)
{
    unsigned char secret[TLS_TICKETS_BYTES];
    while (text.n != 0) {
        struct span line, hex;
        size_t n = 0;
        text = span_cut(text, '\n', &line);
        if (!handover_is(line, "tickets", &hex) || hex.n > 2 * sizeof secret)
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
    if (!handover_is(line, "name", &rest))
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

struct known_load {
    struct span key;
    struct site_load load;
    int64_t now_ms;
};

static void take_load(void *ctx, struct site_state *site)
{
    const struct known_load *k = ctx;
    if (handover_is_site(site, k->key))
        site_set(site, &k->load, k->now_ms);
}

static bool is_sane(double v)
{
    return v >= 0 && v < 1e9; /* false where it is no number */
}

static void read_load(const struct handover *h, struct span rest)
{
    uint64_t numbers[LOAD_NUMBERS];
    struct known_load k = {.now_ms = clock_mono_ns() / NS_PER_MS};
    if (!handover_numbers(rest, numbers, LOAD_NUMBERS, &k.key))
        return;
    memcpy(&k.load.t_ms, &numbers[LOAD_T], sizeof k.load.t_ms);
    memcpy(&k.load.n_ms, &numbers[LOAD_N], sizeof k.load.n_ms);
    memcpy(&k.load.a, &numbers[LOAD_A], sizeof k.load.a);
    k.load.samples = numbers[LOAD_SAMPLES];
    if (is_sane(k.load.t_ms) && is_sane(k.load.n_ms) && is_sane(k.load.a))
        registry_each_site(h->registry, take_load, &k);
}

static void read_endpoint(const struct handover *h, struct span rest)
{
    uint64_t numbers[ENDPOINT_NUMBERS];
    struct span name;
    if (!handover_numbers(rest, numbers, ENDPOINT_NUMBERS, &name))
        return;
    struct endpoint *e = registry_find(h->registry, name);
    if (e != NULL)
        take_endpoint(e, numbers);
}

void handover_read(const struct handover *h, struct span text)
{
    struct span left = text;
    while (left.n != 0) {
        struct span line, rest;
        left = span_cut(left, '\n', &line);
        if (handover_is(line, "endpoint", &rest))
            read_endpoint(h, rest);
        else if (handover_is(line, "load", &rest))
            read_load(h, rest);
    }
    handover_count(h, text, false);
}
