#include "proxy/connpool.h"

#include "base/limits.h"
#include "base/mem.h"
#include "check.h"
#include "http/h2_session.h"
#include "net/listener.h"
#include "sim.h"

/* The pool over connections of many slots, against a server that holds its answers back. */

enum { ASKERS = 60, SERVED = 16 };

struct bench;
struct asker {
    struct bench *bench;
    struct connpool_wait wait;
    struct back *b;
    struct arena arena;
    enum err why; /* ERR_AGAIN: it waits */
    enum seen seen;
};

/* A connection as the server sees it. */
struct served {
    struct bench *bench;
    struct h2_session *session;
    struct h2_limits limits;
    uint32_t streams;
};

struct held {
    struct h2_stream wire;
    struct arena arena;
    struct served *served;
};

struct bench {
    struct sim *sim;
    struct loop *loop, *server_loop;
    struct conn_env env, server_env;
    struct listener *listener;
    struct connpool *pool;
    struct worker_stats *stats;
    struct hash_key key;
    struct endpoint *endpoint;
    struct addr at;
    int fd;
    struct asker askers[ASKERS];
    unsigned asked;
    struct served served[SERVED];
    unsigned served_count;
    uint32_t streams; /* that the server allows on a connection */
    bool silent;      /* connections are taken, and nothing is said */
    bool turns_away;  /* GOAWAY comes with the SETTINGS */
};

static struct h2_stream *server_begin(void *user)
{
    struct served *v = user;
    struct held *q = mem_alloc(sizeof(*q));
    q->served = v;
    arena_init(&q->arena, NULL, KIB(4), 0);
    q->wire.arena = &q->arena;
    v->streams++;
    return &q->wire;
}

static void server_hold(struct h2_stream *st, struct h2_block *block, bool end)
{
    (void)st;
    (void)block;
    (void)end;
}

static void server_reset(struct h2_stream *st, uint32_t code, bool own)
{
    (void)code;
    (void)own;
    h2_stream_release(st);
}

static void server_free(struct h2_stream *st)
{
    struct held *q = container_of(st, struct held, wire);
    q->served->streams--;
    arena_reset(&q->arena);
    mem_free(q);
}

static void server_end(void *user, enum err why)
{
    struct served *v = user;
    (void)why;
    v->session = NULL;
}

static void server_terms(void *user)
{
    (void)user;
}

static const struct h2_events holding = {.on_begin = server_begin,
                                         .on_head = server_hold,
                                         .on_reset = server_reset,
                                         .on_free = server_free,
                                         .on_terms = server_terms,
                                         .on_end_of_session = server_end};
static size_t mute_bytes(void *user, struct conn *c, struct span bytes)
{
    (void)user;
    (void)c;
    return bytes.n;
}

static void mute_eof(void *user, struct conn *c, bool clean)
{
    (void)user;
    (void)clean;
    conn_close(&c, CONN_END_NOW);
}

static void mute_fail(void *user, struct conn *c, enum err why)
{
    (void)user;
    (void)why;
    conn_close(&c, CONN_END_NOW);
}

static const struct conn_events mute = {
    .on_bytes = mute_bytes, .on_eof = mute_eof, .on_fail = mute_fail};

static bool on_accept(void *user, int fd, const struct addr *peer)
{
    struct bench *b = user;
    CHECK(b->served_count < SERVED, "too many connections");
    struct served *v = &b->served[b->served_count++];
    struct conn *c;
    v->bench = b;
    v->limits = (struct h2_limits){.head = {.size = KIB(8), .fields = 20, .field = KIB(4)},
                                   .streams = b->streams,
                                   .head_ms = 1000};
    CHECK_INT(conn_accept(&b->server_env, fd, peer, NULL, &mute, b, &c), ERR_OK);
    if (!b->silent) {
        CHECK_INT(h2_session_new(c, true, &v->limits, &holding, v, &v->session), ERR_OK);
    }
    if (b->turns_away) {
        h2_session_kill(v->session, ERR_OK);
    }
    return true;
}

static void declare(struct bench *b, uint32_t connections, uint64_t settings, uint64_t generation)
{
    struct connpool_target t = {.endpoint = b->endpoint,
                                .address = &b->at,
                                .protocol = CONNPOOL_H2,
                                .settings = settings,
                                .connections = connections,
                                .idle = 8};
    CHECK_INT(connpool_declare(b->pool, &t, generation), ERR_OK);
}

static struct bench *bench_new(uint32_t streams, uint32_t connections)
{
    struct bench *b = mem_alloc(sizeof(*b));
    b->streams = streams;
    b->sim = sim_new(1, NULL);
    b->loop = sim_loop_new(b->sim);
    b->server_loop = sim_loop_new(b->sim);
    CHECK_INT(conn_env_init(&b->env, b->loop), ERR_OK);
    CHECK_INT(conn_env_init(&b->server_env, b->server_loop), ERR_OK);
    CHECK_INT(addr_parse(SPAN("10.0.0.1:80"), &b->at), ERR_OK);
    b->fd = b->server_loop->ops->sock_listen(b->server_loop, &b->at, true);
    CHECK(b->fd >= 0, "listen");
    CHECK_INT(listener_start(b->server_loop, b->fd, on_accept, b, &b->listener), ERR_OK);
    b->stats = mem_aligned(64, (sizeof(*b->stats) + 63) / 64 * 64);
    b->endpoint = mem_aligned(64, (sizeof(*b->endpoint) + 63) / 64 * 64);
    b->endpoint->refs = 1;
    CHECK_INT(connpool_new(&b->env, b->stats, &b->key, &b->pool), ERR_OK);
    declare(b, connections, 1, 1);
    return b;
}

static void settle(struct bench *b)
{
    sim_run_for(b->sim, 100 * NS_PER_MS);
}

static void release(struct asker *a)
{
    if (a->b != NULL) {
        a->b->ops->release(a->b);
        a->b = NULL;
        arena_reset(&a->arena);
    }
}

static void bench_free(struct bench *b)
{
    for (unsigned i = 0; i < b->asked; i++) {
        release(&b->askers[i]);
        connpool_cancel(&b->askers[i].wait);
    }
    settle(b);
    connpool_free(&b->pool);
    settle(b);
    for (unsigned i = 0; i < b->served_count; i++) {
        CHECK(b->served[i].session == NULL, "connection %u is still there", i);
    }
    listener_stop(&b->listener);
    b->server_loop->ops->sock_close(b->server_loop, b->fd, false);
    sim_run_for(b->sim, 5 * NS_PER_S);
    CHECK_INT(sim_sockets(b->sim), 0);
    conn_env_fini(&b->env);
    conn_env_fini(&b->server_env);
    loop_free(&b->loop);
    loop_free(&b->server_loop);
    sim_free(&b->sim);
    CHECK_INT(b->endpoint->refs, 1);
    mem_free(b->endpoint);
    mem_free(b->stats);
    mem_free(b);
}

static void on_interim(void *user, struct reply *r)
{
    (void)user;
    (void)r;
}

static void on_reply(void *user, struct reply *r, bool end)
{
    (void)user;
    (void)r;
    (void)end;
    CHECK(false, "the server holds its answers back");
}

static void on_body(void *user, struct span bytes)
{
    (void)user;
    (void)bytes;
}

static void on_end(void *user, const struct fields *trailers)
{
    (void)user;
    (void)trailers;
}

static void on_room(void *user)
{
    (void)user;
}

static void on_failed(void *user, enum err why, enum seen seen)
{
    struct asker *a = user;
    a->why = why;
    a->seen = seen;
    release(a);
}

static const struct back_events back_events = {on_interim, on_reply, on_body,
                                               on_end,     on_room,  on_failed};

static const struct request get = {.method = METHOD_GET,
                                   .method_name = {"GET", 3},
                                   .scheme = {"http", 4},
                                   .authority = {"a", 1},
                                   .path = {"/", 1}};

static void begin(struct asker *a, struct back *b)
{
    a->why = ERR_OK;
    a->b = b;
    arena_init(&a->arena, NULL, KIB(4), 0);
    b->arena = &a->arena;
    b->events = &back_events;
    b->user = a;
    b->ops->send_head(b, &get, true);
}

static void on_stream(void *user, struct back *b)
{
    begin(user, b);
}

static void on_no_stream(void *user, enum err why)
{
    struct asker *a = user;
    a->why = why;
}

static const struct connpool_events wait_events = {on_stream, on_no_stream};

static struct asker *ask(struct bench *b, enum connpool_age age)
{
    struct asker *a = &b->askers[b->asked++];
    struct back *stream;
    b->loop->now_ns = sim_now_ns(b->sim); /* as in an event of now */
    *a = (struct asker){.bench = b, .wait = {.events = &wait_events, .user = a}};
    a->why = connpool_get(b->pool, b->endpoint, NULL, age, 0, &a->wait, &stream);
    if (a->why == ERR_OK) {
        begin(a, stream);
    }
    return a;
}

static void ask_many(struct bench *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        ask(b, CONNPOOL_ANY);
    }
}

static unsigned count(const struct bench *b, enum err why)
{
    unsigned n = 0;
    for (unsigned i = 0; i < b->asked; i++) {
        n += b->askers[i].why == why;
    }
    return n;
}

static struct connpool_facts facts(const struct bench *b)
{
    struct connpool_facts f;
    connpool_facts(b->pool, b->endpoint, &f);
    return f;
}

TEST(connpool_h2, one_connection_for_many_who_wait)
{
    struct bench *b = bench_new(100, 8);
    ask_many(b, 50);
    CHECK_INT(count(b, ERR_AGAIN), 50);
    CHECK_INT(facts(b).open, 1);
    settle(b);
    CHECK_INT(count(b, ERR_OK), 50);
    CHECK_INT(b->served_count, 1);
    CHECK_INT(b->served[0].streams, 50);
    CHECK_INT(ask(b, CONNPOOL_ANY)->why, ERR_OK); /* at once, and so is what may not be repeated */
    CHECK_INT(ask(b, CONNPOOL_FRESH)->why, ERR_OK);
    CHECK_INT(b->stats->backend_connections, 1);
    bench_free(b);
}

TEST(connpool_h2, more_connections_when_slots_are_used_up)
{
    struct bench *b = bench_new(10, 8);
    ask_many(b, 35);
    settle(b);
    CHECK_INT(count(b, ERR_OK), 35);
    CHECK_INT(b->served_count, 4);
    CHECK_INT(ask(b, CONNPOOL_ANY)->why, ERR_OK); /* the last one has room */
    CHECK_INT(facts(b).open, 4);
    bench_free(b);
}

/* L34. */
TEST(connpool_h2, no_more_connections_than_allowed)
{
    struct bench *b = bench_new(10, 2);
    ask_many(b, 25);
    settle(b);
    CHECK_INT(count(b, ERR_OK), 20);
    CHECK_INT(b->served_count, 2);
    CHECK_INT(facts(b).waiting, 5);
    CHECK_INT(ask(b, CONNPOOL_ANY)->why, ERR_FULL);
    for (int i = 0; i < 5; i++) {
        release(&b->askers[i]);
    }
    settle(b); /* what was given back serves those who wait */
    CHECK_INT(facts(b).waiting, 0);
    CHECK_INT(count(b, ERR_AGAIN), 0);
    bench_free(b);
}

TEST(connpool_h2, those_in_use_are_used_first)
{
    struct bench *b = bench_new(10, 8);
    ask_many(b, 20);
    settle(b);
    for (int i = 0; i < 19; i++) {
        release(&b->askers[i]);
    }
    settle(b);
    CHECK_INT(facts(b).open, 2);
    CHECK_INT(facts(b).idle, 1);
    for (int i = 0; i < 9; i++) {
        CHECK_INT(ask(b, CONNPOOL_ANY)->why, ERR_OK);
    }
    CHECK_INT(facts(b).idle, 1);
    sim_run_for(b->sim, (LIMIT_BACKEND_IDLE_MS + 1000) * NS_PER_MS);
    CHECK_INT(facts(b).open, 1); /* L34: the other one grew old */
    bench_free(b);
}

/* An idle connection must prove itself before it gets what may not be repeated. */
TEST(connpool_h2, idle_connections_are_asked_first_L34)
{
    struct bench *b = bench_new(10, 8);
    ask(b, CONNPOOL_ANY);
    settle(b);
    release(&b->askers[0]);
    sim_run_for(b->sim, (LIMIT_FRESH_IDLE_MS + 500) * NS_PER_MS);
    CHECK_INT(facts(b).idle, 1);
    struct asker *a = ask(b, CONNPOOL_FRESH), *c = ask(b, CONNPOOL_FRESH);
    CHECK(a->why == ERR_AGAIN && c->why == ERR_AGAIN, "they wait");
    settle(b);
    CHECK(a->why == ERR_OK && c->why == ERR_OK, "they go");
    CHECK_INT(b->served_count, 1);
    bench_free(b);
}

TEST(connpool_h2, an_idle_connection_that_does_not_answer)
{
    struct bench *b = bench_new(10, 8);
    const struct sim_faults broken = {.reset = 10000};
    const struct sim_faults none = {0};
    ask(b, CONNPOOL_ANY);
    settle(b);
    release(&b->askers[0]);
    sim_run_for(b->sim, (LIMIT_FRESH_IDLE_MS + 500) * NS_PER_MS);
    sim_set_faults(b->sim, &broken);
    struct asker *a = ask(b, CONNPOOL_FRESH);
    while (sim_counts(b->sim)->resets == 0 && sim_step(b->sim)) {
    }
    sim_set_faults(b->sim, &none);
    settle(b);
    CHECK_INT(a->why, ERR_OK); /* on a new one */
    CHECK_INT(b->served_count, 2);
    bench_free(b);
}

TEST(connpool_h2, all_who_wait_hear_of_a_refusal)
{
    struct bench *b = bench_new(10, 8);
    const struct sim_faults refuse = {.refuse = 10000};
    sim_set_faults(b->sim, &refuse);
    ask_many(b, 30);
    settle(b);
    CHECK_INT(count(b, ERR_BACKEND_REFUSED), 30);
    CHECK_INT(facts(b).open, 0);
    bench_free(b);
}

/* L8: a server that takes connections and says nothing. */
TEST(connpool_h2, one_gives_up_and_another_connection_is_tried)
{
    struct bench *b = bench_new(10, 8);
    b->silent = true;
    struct asker *first = ask(b, CONNPOOL_ANY);
    sim_run_for(b->sim, 2 * NS_PER_S);
    struct asker *second = ask(b, CONNPOOL_ANY);
    CHECK_INT(b->served_count, 1);
    sim_run_for(b->sim, NS_PER_S);
    b->silent = false;
    connpool_give_up(&first->wait);
    settle(b);
    CHECK_INT(second->why, ERR_OK);
    CHECK_INT(b->served_count, 2);
    CHECK_INT(facts(b).open, 1);
    bench_free(b);
}

TEST(connpool_h2, a_connection_that_nobody_waits_for_must_open_in_time)
{
    struct bench *b = bench_new(10, 8);
    b->silent = true;
    struct asker *first = ask(b, CONNPOOL_ANY);
    sim_run_for(b->sim, 2 * NS_PER_S);
    connpool_cancel(&first->wait);
    CHECK_INT(facts(b).open, 1);
    sim_run_for(b->sim, LIMIT_HANDSHAKE_MS * NS_PER_MS);
    CHECK_INT(facts(b).open, 0);
    /* Those who wait decide for themselves. */
    struct asker *second = ask(b, CONNPOOL_ANY);
    sim_run_for(b->sim, 3 * LIMIT_HANDSHAKE_MS * NS_PER_MS);
    CHECK_INT(facts(b).open, 1);
    CHECK_INT(facts(b).waiting, 1);
    connpool_cancel(&second->wait);
    sim_run_for(b->sim, LIMIT_HANDSHAKE_MS * NS_PER_MS + NS_PER_S);
    CHECK_INT(facts(b).open, 0);
    bench_free(b);
}

TEST(connpool_h2, a_draining_connection_takes_no_more)
{
    struct bench *b = bench_new(10, 8);
    ask_many(b, 3);
    settle(b);
    h2_session_drain(b->served[0].session);
    settle(b);
    CHECK_INT(facts(b).open, 1);
    struct asker *a = ask(b, CONNPOOL_ANY);
    CHECK_INT(a->why, ERR_AGAIN);
    settle(b);
    CHECK_INT(a->why, ERR_OK);
    CHECK_INT(b->served_count, 2);
    CHECK_INT(count(b, ERR_OK), 4); /* nobody was disturbed */
    for (int i = 0; i < 3; i++) {
        release(&b->askers[i]);
    }
    settle(b);
    CHECK(b->served[0].session == NULL && facts(b).open == 1, "it has gone");
    bench_free(b);
}

TEST(connpool_h2, other_settings_and_the_end_of_an_endpoint)
{
    struct bench *b = bench_new(10, 8);
    ask_many(b, 2);
    settle(b);
    declare(b, 8, 2, 2);
    struct asker *a = ask(b, CONNPOOL_ANY);
    CHECK_INT(a->why, ERR_AGAIN); /* the old connection keeps its streams and gets no more */
    settle(b);
    CHECK_INT(b->served_count, 2);
    release(&b->askers[0]);
    release(&b->askers[1]);
    settle(b);
    CHECK_INT(facts(b).open, 1);
    connpool_sweep(b->pool, 3);
    CHECK_INT(facts(b).open, 1);
    release(a);
    settle(b);
    CHECK_INT(facts(b).open, 0);
    CHECK_INT(b->endpoint->refs, 1);
    bench_free(b);
}

TEST(connpool_h2, a_connection_that_breaks_fails_its_streams)
{
    struct bench *b = bench_new(10, 8);
    ask_many(b, 3);
    settle(b);
    h2_session_kill(b->served[0].session, ERR_OK);
    settle(b);
    CHECK_INT(count(b, ERR_BACKEND_RESET), 3);
    CHECK_INT(b->askers[0].seen, SEEN_MAYBE);
    CHECK_INT(facts(b).open, 0);
    bench_free(b);
}

/* GOAWAY before the first stream: nothing was processed, and that is a failure like any other. */
TEST(connpool_h2, a_server_that_turns_away_fails_those_who_wait)
{
    struct bench *b = bench_new(10, 8);
    b->turns_away = true;
    ask_many(b, 3);
    settle(b);
    CHECK_INT(count(b, ERR_BACKEND_RESET), 3);
    CHECK_INT(facts(b).open, 0);
    CHECK_INT(b->served_count, 1);
    bench_free(b);
}

/* What the server allows from now on. */
static void allow(struct served *v, uint32_t streams)
{
    v->limits.streams = streams;
    h2_session_press(v->session, false);
    settle(v->bench);
}

TEST(connpool_h2, a_connection_without_slots_has_not_opened)
{
    struct bench *b = bench_new(0, 8);
    ask_many(b, 20);
    settle(b);
    CHECK_INT(facts(b).waiting, 20);
    CHECK_INT(b->served_count, 1);
    allow(&b->served[0], 30);
    CHECK_INT(count(b, ERR_OK), 20);
    CHECK_INT(b->served_count, 1);
    bench_free(b);
}

TEST(connpool_h2, a_connection_that_ends_without_slots_fails_those_who_wait)
{
    struct bench *b = bench_new(0, 8);
    ask_many(b, 20);
    settle(b);
    h2_session_kill(b->served[0].session, ERR_OK);
    settle(b);
    CHECK_INT(count(b, ERR_BACKEND_RESET), 20);
    CHECK_INT(b->served_count, 1);
    CHECK_INT(facts(b).open, 0);
    bench_free(b);
}

TEST(connpool_h2, a_connection_without_slots_is_given_up_like_a_silent_one)
{
    struct bench *b = bench_new(0, 8);
    struct asker *a = ask(b, CONNPOOL_ANY);
    settle(b);
    connpool_give_up(&a->wait);
    settle(b);
    CHECK_INT(facts(b).open, 0);
    a = ask(b, CONNPOOL_ANY);
    settle(b);
    connpool_cancel(&a->wait);
    CHECK_INT(facts(b).open, 1);
    connpool_sweep(b->pool, 2); /* nobody waits for it */
    CHECK_INT(facts(b).open, 0);
    CHECK_INT(b->endpoint->refs, 1);
    bench_free(b);
}

/* L34, and the ends of settings and of endpoints. */
TEST(connpool_h2, a_connection_that_lost_its_slots_is_idle)
{
    for (int way = 0; way < 4; way++) {
        struct bench *b = bench_new(10, 8);
        struct asker *a = ask(b, CONNPOOL_ANY);
        settle(b);
        release(a);
        settle(b);
        allow(&b->served[0], 0);
        CHECK_INT(facts(b).idle, 1);
        if (way == 0) {
            sim_run_for(b->sim, (LIMIT_BACKEND_IDLE_MS + 1000) * NS_PER_MS);
        } else if (way == 1) {
            declare(b, 8, 2, 2);
        } else if (way == 2) {
            connpool_sweep(b->pool, 2);
        } else {
            b->streams = 10;
            CHECK_INT(ask(b, CONNPOOL_ANY)->why, ERR_AGAIN);
            settle(b);
            CHECK_INT(count(b, ERR_OK), 2);
            CHECK_INT(facts(b).idle, 0);
        }
        CHECK_INT(facts(b).open, way == 3 ? 1 : 0);
        bench_free(b);
    }
}

TEST(connpool_h2, a_new_connection_is_one_without_a_past)
{
    struct bench *b = bench_new(10, 8);
    ask_many(b, 10);
    settle(b);
    release(&b->askers[0]);
    settle(b);
    struct asker *a = ask(b, CONNPOOL_NEW);
    CHECK_INT(a->why, ERR_AGAIN); /* though there is a slot */
    release(&b->askers[1]);       /* and another one becomes free */
    settle(b);
    CHECK_INT(a->why, ERR_OK);
    CHECK_INT(b->served_count, 2);
    CHECK_INT(b->served[0].streams, 8);
    CHECK_INT(b->served[1].streams, 1);
    bench_free(b);
}

TEST(connpool_h2, a_new_connection_for_one_and_a_free_slot_for_another)
{
    struct bench *b = bench_new(2, 8);
    ask_many(b, 2);
    settle(b);
    b->silent = true;
    struct asker *a = ask(b, CONNPOOL_NEW), *c = ask(b, CONNPOOL_ANY);
    settle(b);
    release(&b->askers[0]);
    settle(b);
    CHECK_INT(a->why, ERR_AGAIN);
    CHECK(c->why != ERR_AGAIN, "the slot is for it");
    b->silent = false;
    connpool_give_up(&a->wait);
    bench_free(b);
}

TEST(connpool_h2, at_the_bound_a_new_connection_replaces_an_idle_one_L34)
{
    struct bench *b = bench_new(10, 1);
    ask(b, CONNPOOL_ANY);
    settle(b);
    CHECK_INT(ask(b, CONNPOOL_NEW)->why, ERR_OK); /* the only one is in use */
    release(&b->askers[0]);
    release(&b->askers[1]);
    settle(b);
    CHECK_INT(facts(b).idle, 1);
    CHECK_INT(ask(b, CONNPOOL_NEW)->why, ERR_AGAIN);
    settle(b);
    CHECK_INT(b->askers[2].why, ERR_OK);
    CHECK_INT(b->served_count, 2);
    CHECK_INT(facts(b).open, 1);
    bench_free(b);
}

/* Whoever is told that there is no connection may ask again at once, and in vain. */
struct again {
    struct bench *bench;
    struct connpool_wait wait;
    struct connpool_client client;
    enum err first, second;
};

static void on_none(void *user, enum err why)
{
    struct again *a = user;
    struct back *b;
    a->first = why;
    mem_fail_row(1, 2); /* the reserve's too */
    a->second = connpool_get(a->bench->pool, a->bench->endpoint, &a->client, CONNPOOL_ANY, false,
                             &a->wait, &b);
    mem_fail_at(0);
}

TEST(connpool_h2, a_client_that_asks_again_from_inside_its_failure_F16)
{
    static const struct connpool_events told = {on_stream, on_none};
    struct bench *b = bench_new(10, 8);
    struct again a = {.bench = b, .wait = {.events = &told, .user = &a}};
    struct back *stream;
    struct connpool_target t = {.endpoint = b->endpoint,
                                .address = &a.client.to,
                                .header = CONNPOOL_HEADER_V1,
                                .settings = 2,
                                .connections = 8,
                                .idle = 8};
    CHECK_INT(addr_parse(SPAN("10.0.0.9:80"), &a.client.to), ERR_OK); /* where nobody listens */
    CHECK_INT(addr_parse(SPAN("10.0.0.7:4711"), &a.client.from), ERR_OK);
    CHECK_INT(connpool_declare(b->pool, &t, 2), ERR_OK);
    CHECK_INT(connpool_get(b->pool, b->endpoint, &a.client, CONNPOOL_ANY, 0, &a.wait, &stream),
              ERR_AGAIN);
    settle(b);
    CHECK_INT(a.first, ERR_BACKEND_REFUSED);
    CHECK_INT(a.second, ERR_NO_MEMORY);
    CHECK_INT(facts(b).open, 0);
    bench_free(b);
}
