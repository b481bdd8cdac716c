/* What one process tells the next (RELIABILITY G4): there and back, and text from other versions.
 */
#include "check.h"

#include "base/limits.h"
#include "geo/country.h"
#include "run/handover.h"

struct side {
    struct handover h;
    struct stat_book book;
    struct name_book names;
    struct orders orders;
    struct pool_state *pool;
    struct endpoint *endpoint;
    struct site_state *site;
    struct stat_route *route;
    struct stat_listener *listener;
    _Atomic uint64_t reloads;
    struct handover_total total;
    struct loop_turns turns;
};

static void side_init(struct side *s, unsigned workers)
{
    CHECK_INT(tls_tickets_new(&s->h.tickets), ERR_OK);
    CHECK_INT(stat_book_init(&s->book, workers), ERR_OK);
    s->h.stats = &s->book;
    s->h.names = &s->names;
    name_book_init(&s->names);
    s->h.orders = &s->orders;
    orders_init(&s->orders);
    s->h.registry = registry_new(16);
    CHECK_INT(registry_pool(s->h.registry, SPAN("api"), &s->pool), ERR_OK);
    CHECK_INT(registry_endpoint(s->h.registry, s->pool, SPAN("a"), SPAN("unix:/with blank"), 0,
                                &s->endpoint),
              ERR_OK);
    CHECK_INT(registry_site(s->h.registry, s->pool, SPAN("fra"), &s->site), ERR_OK);
    s->route = stat_book_route(&s->book, SPAN("the route"));
    s->listener = stat_book_listener(&s->book, SPAN("public"));
    s->reloads = 0;
    s->total = (struct handover_total){"reloads", &s->reloads};
    s->h.totals = &s->total;
    s->h.total_count = 1;
    s->turns = s->h.turns = (struct loop_turns){0};
    s->h.turns_before = &s->turns;
}

static void side_fini(struct side *s)
{
    stat_book_put(&s->book, &s->route);
    stat_book_put_listener(&s->book, &s->listener);
    site_state_unref(&s->site);
    stat_book_fini(&s->book);
    name_book_fini(&s->names);
    orders_fini(&s->orders);
    endpoint_unref(&s->endpoint);
    pool_state_unref(&s->pool);
    registry_sweep(s->h.registry);
    registry_free(&s->h.registry);
    tls_tickets_free(&s->h.tickets);
}

TEST(handover, there_and_back)
{
    struct side from, to;
    struct buf text;
    unsigned char keys[2][TLS_TICKETS_BYTES];
    buf_init(&text, MIB(1));
    side_init(&from, 2);
    side_init(&to, 3);
    (void)endpoint_set_health(from.endpoint, ENDPOINT_HARD, 77);
    (void)endpoint_set_admin(from.endpoint, ENDPOINT_DRAIN);
    endpoint_set_weight(from.endpoint, 7);
    endpoint_probed(from.endpoint, false);
    endpoint_eject(from.endpoint, 123456, true);
    counter_add(&from.book.by_worker[1]->ends[ERR_NO_ROUTE], 4);
    counter_add(&from.book.by_worker[0]->connections, 2);
    counter_add(&from.book.by_worker[1]->connections, 3);
    counter_add(&from.route->by_worker[1]->classes[2], 9);
    counter_add(&from.route->by_worker[0]->first_byte.sum_us, 11);
    site_set(from.site, &(struct site_load){20.5, 10.25, 3, 99, 0}, 1000);
    CHECK_INT(tls_tickets_rotate(from.h.tickets), ERR_OK);
    handover_write(&from.h, &text);
    handover_read_tickets(to.h.tickets, buf_span(&text));
    handover_read(&to.h, buf_span(&text));
    CHECK_INT(endpoint_health(to.endpoint), ENDPOINT_HARD);
    CHECK_INT(endpoint_admin(to.endpoint), ENDPOINT_DRAIN);
    CHECK_INT(atomic_load(&to.endpoint->weight), 7);
    CHECK_INT(atomic_load(&to.endpoint->probes), 1);
    CHECK(endpoint_out(to.endpoint, 123455) && !endpoint_out(to.endpoint, 123456), "ejection");
    CHECK_INT(counter_get(&to.book.by_worker[3]->ends[ERR_NO_ROUTE]), 4);
    CHECK_INT(counter_get(&to.book.by_worker[3]->connections), 5);
    CHECK_INT(counter_get(&to.route->by_worker[3]->classes[2]), 9);
    CHECK_INT(counter_get(&to.route->by_worker[3]->first_byte.sum_us), 11);
    struct site_load load = site_load(to.site);
    CHECK(load.t_ms == 20.5 && load.n_ms == 10.25 && load.a == 3 && load.samples == 99, "load");
    CHECK_INT(tls_tickets_export(from.h.tickets, keys[0]), TLS_TICKETS_BYTES);
    CHECK_INT(tls_tickets_export(to.h.tickets, keys[1]), TLS_TICKETS_BYTES);
    CHECK(memcmp(keys[0], keys[1], sizeof keys[0]) == 0, "the same keys");
    buf_fini(&text);
    side_fini(&from);
    side_fini(&to);
}

static uint64_t requests_of(const struct side *s)
{
    return counter_get(&s->route->by_worker[s->book.workers]->classes[2]);
}

/* All kinds, in two tellings: the second one has the first one in it. */
TEST(handover, counters_are_told_twice)
{
    struct side from, to;
    struct buf first, second;
    buf_init(&first, MIB(1));
    buf_init(&second, MIB(1));
    side_init(&from, 2);
    side_init(&to, 1);
    unsigned france = country_number("FR");
    for (unsigned round = 1; round <= 2; round++) {
        counter_add(&from.route->by_worker[1]->classes[2], 9);
        counter_add(&from.route->by_worker[0]->mirrors_dropped, 2);
        counter_add(&from.route->by_worker[0]->first_byte.sum_us, 3);
        counter_add(&from.listener->by_worker[1].accepted, 4);
        counter_add(&from.book.by_worker[0]->spans_dropped, 5);
        counter_add(&from.book.by_worker[2]->ends[ERR_NO_ROUTE], 6);
        atomic_fetch_add(&from.endpoint->requests, 7);
        atomic_fetch_add(&from.site->redirects, 8);
        atomic_fetch_add(&from.site->clients[france], 10);
        atomic_fetch_add(&from.site->clients[0], 11);
        atomic_fetch_add(&from.pool->faults, 12);
        from.reloads += 13;
        from.h.turns.bucket[LOOP_TURN_BUCKETS - 1] += 14;
        from.h.turns.sum_ns += 15;
        handover_write_counts(&from.h, round == 1 ? &first : &second);
    }
    counter_add(&to.route->by_worker[0]->classes[2], 100); /* what the new one counts itself */
    handover_read(&to.h, buf_span(&first));
    CHECK_INT(requests_of(&to), 9);
    handover_count(&to.h, buf_span(&first), true);
    handover_count(&to.h, buf_span(&second), false);
    CHECK_INT(requests_of(&to), 18);
    CHECK_INT(counter_get(&to.route->by_worker[0]->classes[2]), 100);
    CHECK_INT(counter_get(&to.route->by_worker[1]->mirrors_dropped), 4);
    CHECK_INT(counter_get(&to.route->by_worker[1]->first_byte.sum_us), 6);
    CHECK_INT(counter_get(&to.listener->by_worker[1].accepted), 8);
    CHECK_INT(counter_get(&to.book.by_worker[1]->spans_dropped), 10);
    CHECK_INT(counter_get(&to.book.by_worker[1]->ends[ERR_NO_ROUTE]), 12);
    CHECK_INT(atomic_load(&to.endpoint->requests), 14);
    CHECK_INT(atomic_load(&to.site->redirects), 16);
    CHECK_INT(atomic_load(&to.site->clients[france]), 20);
    CHECK_INT(atomic_load(&to.site->clients[0]), 22);
    CHECK_INT(atomic_load(&to.pool->faults), 24);
    CHECK_INT(to.reloads, 26);
    CHECK_INT(to.turns.bucket[LOOP_TURN_BUCKETS - 1], 28);
    CHECK_INT(to.turns.sum_ns, 30);
    buf_fini(&first);
    buf_fini(&second);
    side_fini(&from);
    side_fini(&to);
}

TEST(handover, addresses_of_names)
{
    struct side from, to;
    struct buf text;
    const struct name_address *addrs;
    struct name_news news = {.host = "api.test", .count = 2}, none = {.host = "unknown.test"};
    struct name_news service = {.host = "_http._tcp.test", .count = 1};
    buf_init(&text, MIB(1));
    side_init(&from, 1);
    side_init(&to, 1);
    CHECK_INT(addr_parse_host(SPAN("192.0.2.1"), &news.addrs[0].addr), ERR_OK);
    CHECK_INT(addr_parse_host(SPAN("2001:db8::1"), &news.addrs[1].addr), ERR_OK);
    CHECK_INT(name_book_take(from.h.names, &news), ERR_OK);
    CHECK_INT(name_book_take(from.h.names, &none), ERR_OK);
    CHECK_INT(addr_parse(SPAN("[2001:db8::2]:81"), &service.addrs[0].addr), ERR_OK);
    service.addrs[0].rank = 2;
    service.addrs[0].weight = 70;
    CHECK_INT(name_book_take(from.h.names, &service), ERR_OK);
    handover_write(&from.h, &text);
    handover_read_names(to.h.names, buf_span(&text));
    CHECK_INT(name_book_find(to.h.names, SPAN("api.test"), &addrs), 2);
    CHECK(addr_eq(&addrs[0].addr, &news.addrs[0].addr) &&
              addr_eq(&addrs[1].addr, &news.addrs[1].addr),
          "addresses");
    CHECK_INT(name_book_find(to.h.names, SPAN("_http._tcp.test"), &addrs), 1);
    CHECK(addr_eq(&addrs[0].addr, &service.addrs[0].addr) && addrs[0].rank == 2 &&
              addrs[0].weight == 70,
          "of a service");
    CHECK_INT(name_book_find(to.h.names, SPAN("unknown.test"), &addrs), 0);
    buf_fini(&text);
    side_fini(&from);
    side_fini(&to);
}

/* Of a neighbouring version, or damaged: what is not understood is left out. */
TEST(handover, strange_lines)
{
    static const char *const lines[] = {
        "",
        "\n\n \n",
        "endpoint",
        "endpoint 1 2 3\n",
        "endpoint 9 0 0 0 0 0 0 api/a@unix:/with blank\n",
        "endpoint 2 9 0 0 0 0 0 api/a@unix:/with blank\n",
        "endpoint 2 0 1001 0 0 0 0 api/a@unix:/with blank\n",
        "endpoint 2 0 0 0 0 0 0 api/unknown@1.2.3.4:5\n",
        "worker 5 strange\nworker x connections\nworker 5\n",
        "route 2 1 the route\nroute 1 x the route\nroute 99999999999999999999 1 the route\n",
        "route 1 7 another\nlistener 3 another\nserver 1 2 3 4 5 api/unknown@1.2.3.4:5\n",
        "load 18446744073709551615 1 1 1 api/fra\nload 1 1 api/fra\nload 1 1 1 1 api\n",
        "clients 1 FR api\nclients 1\nredirects 1 apifra\nfaults 1 other\ntotal 1 other\n",
        "end 5 no-such-reason\nend\n",
        "turns 1 2 3 workers\nturns\nturns 1 2 3 4 5 x workers\n",
        "route\nroute 1\n",
        "name\nname \nname x 1.2.3\nname y 1.2.3.4 -\n",
        "tickets \ntickets 00\ntickets zz\nfuture words of all kinds\n",
    };
    struct side s;
    unsigned char before[TLS_TICKETS_BYTES], after[TLS_TICKETS_BYTES];
    side_init(&s, 1);
    size_t n = tls_tickets_export(s.h.tickets, before);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        handover_read_tickets(s.h.tickets, span_str(lines[i]));
        handover_read_names(s.h.names, span_str(lines[i]));
        handover_read(&s.h, span_str(lines[i]));
    }
    CHECK(list_empty(&s.names.all), "no names");
    CHECK_INT(endpoint_health(s.endpoint), ENDPOINT_UP);
    CHECK_INT(atomic_load(&s.endpoint->weight), 0);
    CHECK_INT(counter_get(&s.route->by_worker[1]->classes[0]), 0);
    CHECK_INT(counter_get(&s.book.by_worker[1]->connections), 0);
    CHECK_INT(counter_get(&s.listener->by_worker[1].accepted), 0);
    CHECK_INT(site_load(s.site).samples, 0);
    CHECK_INT(atomic_load(&s.site->redirects), 0);
    CHECK_INT(s.reloads, 0);
    CHECK_INT(s.turns.bucket[0] + s.turns.sum_ns, 0);
    /* a later version, which has more to tell of a route */
    handover_read(&s.h, SPAN("route 3 1 2 3 the route\n"));
    CHECK_INT(counter_get(&s.route->by_worker[1]->classes[2]), 3);
    CHECK_INT(tls_tickets_export(s.h.tickets, after), n);
    CHECK(memcmp(before, after, n) == 0, "the keys stay");
    side_fini(&s);
}
