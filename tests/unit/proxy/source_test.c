/* F31: tables by the client's address, which who attacks may choose: what is looked at for one of
 * them stays little, whatever addresses the others have. Probes are counted, not time. */
#include "proxy/connpool_impl.h"

#include "base/hash.h"
#include "base/mem.h"
#include "check.h"
#include "proxy/client.h"
#include "sim.h"

enum { SOURCES = 40000, HOSTS = 300 };

static struct admission admission;
static uint8_t had[ADMISSION_SOURCES];

static void ipv6(struct addr *out, uint64_t high, uint64_t low)
{
    *out = (struct addr){.len = sizeof out->v6};
    out->any.sa_family = AF_INET6;
    for (int i = 0; i < 8; i++) {
        out->v6.sin6_addr.s6_addr[i] = (uint8_t)(high >> (56 - 8 * i));
        out->v6.sin6_addr.s6_addr[8 + i] = (uint8_t)(low >> (56 - 8 * i));
    }
}

static void ipv4(struct addr *out, uint32_t bits)
{
    *out = (struct addr){.len = sizeof out->v4};
    out->any.sa_family = AF_INET;
    out->v4.sin_addr.s_addr = htonl(bits);
}

/* Neighbouring networks; networks and addresses that differ only in their first bits. */
static void make_source(unsigned kind, uint32_t i, struct addr *out)
{
    static const uint64_t net = 0x20010db800000000U;
    if (kind == 0)
        ipv6(out, net + i, 1);
    else if (kind == 1)
        ipv6(out, (uint64_t)i << 48, 0);
    else
        ipv4(out, i << 16 | 1);
}

/* L2: a place of the table is shared by no more of them than chance has it: of 40,000 in 65,536
 * places some 29,900 are alone in place, and nine at one would be one time in thousands. */
TEST(source, chosen_addresses_spread_F31)
{
    hash_key_new(&admission.key);
    for (unsigned kind = 0; kind < 3; kind++) {
        unsigned places = 0, most = 0;
        memset(had, 0, sizeof had);
        for (uint32_t i = 0; i < SOURCES; i++) {
            struct addr a;
            make_source(kind, i, &a);
            uint8_t *n = &had[admission_source(&admission, &a)];
            places += *n == 0;
            most = ++*n > most ? *n : most;
        }
        CHECK(places > 29000 && most <= 12, "kind %u: %u places, %u at one", kind, places, most);
    }
}

/* And which ones share a place is the process's secret. */
TEST(source, who_shares_a_place_is_secret_F31)
{
    static struct admission other;
    unsigned same = 0;
    hash_key_new(&admission.key);
    hash_key_new(&other.key);
    for (uint32_t i = 0; i < SOURCES; i++) {
        struct addr a;
        make_source(2, i, &a);
        same += admission_source(&admission, &a) == admission_source(&other, &a);
    }
    CHECK(same <= 20, "%u", same);
}

/* L2: addresses of one network are one source. */
TEST(source, a_network_is_one_source_L2)
{
    struct addr a, b, other;
    hash_key_new(&admission.key);
    ipv6(&a, 7, 1);
    ipv6(&b, 7, UINT64_MAX);
    CHECK_INT(admission_source(&admission, &a), admission_source(&admission, &b));
    unsigned same = 0;
    for (uint32_t i = 0; i < 100; i++) {
        ipv6(&other, 8 + i, 1);
        same += admission_source(&admission, &a) == admission_source(&admission, &other);
    }
    CHECK(same <= 2, "%u others", same);
}

/* Addresses that hash alike without a key, in so many bits that one bucket would have them all, or
 * two (the endpoint's own part may carry). */
static void crafted(uint64_t *next, struct addr *out)
{
    for (;; ++*next) {
        const uint8_t *bytes;
        ipv6(out, 0x20010db800000000U, *next);
        size_t n = addr_bytes(out, &bytes);
        uint64_t h = hash_plain(span_of((const char *)bytes, n)) * 0xd6e8feb86659fd93u;
        if ((h >> 32 & 0x3ff) == 0x155)
            break;
    }
    ++*next;
}

static unsigned longest_chain(const struct connpool *p)
{
    unsigned most = 0;
    for (size_t b = 0; b < p->bucket_count; b++) {
        unsigned n = 0;
        for (const struct connpool_host *h = p->buckets[b]; h != NULL; h = h->next)
            n++;
        most = n > most ? n : most;
    }
    return most;
}

static void on_stream(void *user, struct back *b)
{
    (void)user, (void)b;
}

static void on_fail(void *user, enum err why)
{
    (void)user, (void)why;
}

/* Servers with a PROXY header have connections of their own for each client. */
TEST(source, connections_of_chosen_clients_spread_F31)
{
    static const struct connpool_events events = {on_stream, on_fail};
    static struct connpool_wait waits[HOSTS];
    struct sim *sim = sim_new(1, NULL);
    struct loop *loop = sim_loop_new(sim);
    struct conn_env env;
    struct hash_key key;
    struct connpool *pool;
    struct connpool_client client = {0};
    struct worker_stats *stats = mem_aligned(64, (sizeof *stats + 63) / 64 * 64);
    struct endpoint *endpoint = mem_aligned(64, (sizeof *endpoint + 63) / 64 * 64);
    endpoint->refs = 1;
    hash_key_new(&key);
    CHECK_INT(conn_env_init(&env, loop), ERR_OK);
    CHECK_INT(connpool_new(&env, stats, &key, &pool), ERR_OK);
    CHECK_INT(addr_parse(SPAN("10.0.0.9:80"), &client.to), ERR_OK);
    struct connpool_target t = {.endpoint = endpoint,
                                .address = &client.to,
                                .header = CONNPOOL_HEADER_V2,
                                .settings = 1,
                                .connections = 2 * HOSTS,
                                .idle = 8};
    CHECK_INT(connpool_declare(pool, &t, 1), ERR_OK);
    uint64_t next = 0;
    for (int i = 0; i < HOSTS; i++) {
        struct back *stream;
        crafted(&next, &client.from);
        waits[i] = (struct connpool_wait){.events = &events};
        CHECK_INT(connpool_get(pool, endpoint, &client, CONNPOOL_ANY, 0, &waits[i], &stream),
                  ERR_AGAIN);
    }
    CHECK_INT(pool->host_count, HOSTS + 1);
    CHECK(longest_chain(pool) <= 10, "%u in one bucket", longest_chain(pool));
    for (int i = 0; i < HOSTS; i++)
        connpool_cancel(&waits[i]);
    connpool_free(&pool);
    sim_run_for(sim, 5 * NS_PER_S);
    conn_env_fini(&env);
    loop_free(&loop);
    sim_free(&sim);
    mem_free(endpoint);
    mem_free(stats);
}
