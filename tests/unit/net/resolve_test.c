/* Names asked of a scripted name server on this loop (RELIABILITY F21). */
#include "check.h"

#include "net/resolve.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

enum script {
    SAY_TWO, /* two addresses, TTL 60 and 30 */
    SAY_NXDOMAIN,
    SAY_SERVFAIL,
    SAY_NOTHING_IN_IT,
    SAY_WRONG_ID, /* and then the truth */
    SAY_GARBAGE,
    SAY_SEVENTY, /* more than a datagram holds: asked again over TCP, where nobody is */
    SAY_CNAME_LOOP,
};

struct world {
    struct loop *loop;
    struct io server;
    struct timer end;
    enum script script;
    struct resolver *resolver;
    struct resolve *query;
    char servers[64];
    unsigned questions, answers;
    enum err result;
    size_t count;
    uint32_t ttl_s;
    bool complete, aaaa_fails;
    struct name_address addrs[LIMIT_NAME_ADDRESSES];
};

static size_t put(uint8_t *out, size_t n, const void *bytes, size_t more)
{
    memcpy(out + n, bytes, more);
    return n + more;
}

static size_t put_address(uint8_t *out, size_t n, uint8_t last, uint8_t ttl_s)
{
    const uint8_t record[] = {0xC0, 12, 0, 1, 0, 1, 0, 0, 0, ttl_s, 0, 4, 10, 0, 0, last};
    return put(out, n, record, sizeof record);
}

static size_t answer(struct world *w, uint8_t *m, size_t n, bool v4)
{
    static const uint8_t loop_record[] = {0xC0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xC0, 12};
    m[2] = 0x84;
    m[3] = 0x80;
    memset(m + 8, 0, 4);
    if (w->script == SAY_NXDOMAIN)
        m[3] |= 3;
    if (w->script == SAY_SERVFAIL || (!v4 && w->aaaa_fails))
        m[3] |= 2;
    if (w->script == SAY_CNAME_LOOP) {
        m[7] = 1;
        return put(m, n, loop_record, sizeof loop_record);
    }
    unsigned records = !v4 || (m[3] & 15) != 0          ? 0
                       : w->script == SAY_SEVENTY       ? 70
                       : w->script == SAY_NOTHING_IN_IT ? 0
                                                        : 2;
    m[7] = (uint8_t)records;
    for (unsigned i = 0; i < records; i++)
        n = put_address(m, n, (uint8_t)(i + 1), i == 0 ? 60 : 30);
    return n;
}

static void on_question(struct io *io, unsigned events)
{
    struct world *w = container_of(io, struct world, server);
    uint8_t m[2048];
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    ssize_t got = recvfrom(io->fd, m, 512, 0, (struct sockaddr *)&from, &len);
    (void)events;
    if (got < 17)
        return;
    w->questions++;
    m[11] = 0;
    size_t n = (size_t)got;
    bool v4 = m[n - 3] == 1;
    if (w->script == SAY_GARBAGE) {
        memset(m + 2, 0xFF, n - 2);
    } else {
        n = answer(w, m, n, v4);
    }
    if (w->script == SAY_WRONG_ID) {
        m[0] ^= 0x55;
        sendto(io->fd, m, n - 1, 0, (struct sockaddr *)&from, len);
        m[0] ^= 0x55;
    }
    sendto(io->fd, m, n, 0, (struct sockaddr *)&from, len);
}

static void on_end(struct timer *t)
{
    loop_stop(t->loop);
}

static void on_done(void *user, const struct name_answer *a)
{
    struct world *w = user;
    w->query = NULL;
    w->answers++;
    w->result = a->result;
    w->count = a->count;
    w->ttl_s = a->ttl_s;
    w->complete = a->complete;
    memcpy(w->addrs, a->addrs, a->count * sizeof *a->addrs);
    loop_stop(w->loop);
}

static void world_init(struct world *w, enum script script)
{
    memset(w, 0, sizeof *w);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    CHECK_INT(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    CHECK_INT(loop_ev_new(&w->loop), ERR_OK);
    w->script = script;
    io_init(&w->server, w->loop, fd, on_question);
    io_want(&w->server, IO_READ);
    timer_init(&w->end, w->loop, on_end);
    snprintf(w->servers, sizeof w->servers, "127.0.0.1:%u", ntohs(at.sin_port));
    CHECK_INT(resolver_new(w->loop, span_str(w->servers), &w->resolver), ERR_OK);
}

static void world_fini(struct world *w)
{
    resolver_free(&w->resolver);
    io_want(&w->server, 0);
    close(w->server.fd);
    timer_stop(&w->end);
    loop_free(&w->loop);
}

static void ask(struct world *w, enum resolve_what what)
{
    CHECK_INT(resolve_start(w->resolver, SPAN("api.example."), what, 8080, on_done, w, &w->query),
              ERR_OK);
    timer_in_ms(&w->end, 30000);
    loop_run(w->loop);
    timer_stop(&w->end);
    CHECK_INT(w->answers, 1);
}

TEST(resolve, addresses_with_port_and_the_least_ttl)
{
    if (!resolver_available())
        return;
    struct world w;
    char text[ADDR_TEXT];
    world_init(&w, SAY_TWO);
    ask(&w, RESOLVE_BOTH);
    CHECK_INT(w.result, ERR_OK);
    CHECK_INT(w.count, 2);
    CHECK_INT(w.ttl_s, 30);
    CHECK(w.complete, "both families have answered");
    CHECK_INT(w.questions, 2);
    text[addr_print(&w.addrs[0].addr, text)] = '\0';
    CHECK_STR(text, "10.0.0.1:8080");
    world_fini(&w);
}

TEST(resolve, what_is_no_answer_f21)
{
    if (!resolver_available())
        return;
    const struct {
        enum script script;
        enum err result;
    } rows[] = {{SAY_NXDOMAIN, ERR_NOT_FOUND},
                {SAY_NOTHING_IN_IT, ERR_NOT_FOUND},
                {SAY_SEVENTY, ERR_DEADLINE}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct world w;
        world_init(&w, rows[i].script);
        ask(&w, RESOLVE_BOTH);
        CHECK_INT(w.result, rows[i].result);
        world_fini(&w);
    }
}

TEST(resolve, broken_servers_f21)
{
    if (!resolver_available())
        return;
    static const enum script scripts[] = {SAY_SERVFAIL, SAY_GARBAGE, SAY_CNAME_LOOP};
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        struct world w;
        world_init(&w, scripts[i]);
        ask(&w, RESOLVE_IPV4);
        CHECK(w.result != ERR_OK, "script %zu: %s", i, err_name(w.result));
        world_fini(&w);
    }
}

TEST(resolve, a_wrong_id_is_not_heard_f21)
{
    if (!resolver_available())
        return;
    struct world w;
    world_init(&w, SAY_WRONG_ID);
    ask(&w, RESOLVE_IPV4);
    CHECK_INT(w.result, ERR_OK);
    CHECK_INT(w.count, 2);
    world_fini(&w);
}

TEST(resolve, one_family_that_fails_is_not_an_empty_one)
{
    if (!resolver_available())
        return;
    struct world w;
    world_init(&w, SAY_TWO);
    w.aaaa_fails = true;
    ask(&w, RESOLVE_BOTH);
    CHECK_INT(w.result, ERR_OK);
    CHECK_INT(w.count, 2);
    CHECK(!w.complete, "AAAA has failed");
    world_fini(&w);
}

TEST(resolve, cancelled_and_freed_in_between)
{
    if (!resolver_available())
        return;
    struct world w;
    world_init(&w, SAY_TWO);
    CHECK_INT(
        resolve_start(w.resolver, SPAN("one.example."), RESOLVE_BOTH, 1, on_done, &w, &w.query),
        ERR_OK);
    resolve_cancel(&w.query);
    timer_in_ms(&w.end, 300);
    loop_run(w.loop);
    CHECK(w.questions == 2 && w.answers == 0, "%u answers", w.answers);
    CHECK_INT(
        resolve_start(w.resolver, SPAN("two.example."), RESOLVE_BOTH, 1, on_done, &w, &w.query),
        ERR_OK);
    world_fini(&w);
    CHECK_INT(w.answers, 0);
}

TEST(resolve, what_cannot_be_asked)
{
    if (!resolver_available())
        return;
    struct world w;
    struct resolver *r;
    char longest[RESOLVE_NAME_MOST + 1];
    memset(longest, 'a', sizeof longest);
    world_init(&w, SAY_TWO);
    CHECK_INT(resolve_start(w.resolver, span_of(longest, sizeof longest), RESOLVE_IPV4, 1, on_done,
                            &w, &w.query),
              ERR_RANGE);
    CHECK_INT(resolver_new(w.loop, SPAN("not a server"), &r), ERR_SYNTAX);
    CHECK(r == NULL, "it is freed");
    world_fini(&w);
}
