/* client: accepted connections, with all that Meridian holds for them. */
#include "proxy/client.h"

#include "base/limits.h"
#include "net/listener.h"
#include "scene.h"

static struct scene s;

enum { CLIENTS = 8 };

struct door {
    struct proxy_listener settings;
    struct addr at;
    int fd;
    struct listener *listener;
    struct conn *outside[CLIENTS];
    unsigned answers;
};

static bool on_accept(void *user, int fd, const struct addr *peer)
{
    struct door *d = user;
    return proxy_accept(s.proxy, &d->settings, fd, peer);
}

static void door_open(struct door *d)
{
    *d = (struct door){.settings = {.name = SPAN("l"),
                                    .speaks_h1 = true,
                                    .handshake_ms = 10000,
                                    .limits = {.request_line = LIMIT_REQUEST_LINE,
                                               .head = LIMIT_HEAD,
                                               .fields = LIMIT_FIELDS,
                                               .field = LIMIT_FIELD,
                                               .requests = 100,
                                               .head_ms = 10000,
                                               .idle_ms = 60000,
                                               .send_ms = LIMIT_SEND_MS,
                                               .age_ms = 3600000}}};
    atomic_store(&s.admission->connections_most, 100);
    atomic_store(&s.admission->handshakes_most, 100);
    atomic_store(&s.admission->source_most, 100);
    CHECK_INT(addr_parse(SPAN("10.0.0.1:80"), &d->at), ERR_OK);
    d->fd = s.loop->ops->sock_listen(s.loop, &d->at, false);
    CHECK(d->fd >= 0, "listen");
    CHECK_INT(listener_start(s.loop, d->fd, on_accept, d, &d->listener), ERR_OK);
}

static void door_close(struct door *d)
{
    for (int i = 0; i < CLIENTS; i++) {
        conn_close(&d->outside[i], CONN_END_NOW);
    }
    scene_pass(&s, 1000);
    CHECK(list_empty(&s.proxy->clients), "all have ended");
    CHECK_INT(d->settings.clients, 0);
    listener_stop(&d->listener);
    s.loop->ops->sock_close(s.loop, d->fd, false);
}

static void ask(void *user, struct conn *c)
{
    (void)user;
    conn_write(c, SPAN("GET /fixed HTTP/1.1\r\nHost: a\r\n\r\n"));
}

static size_t on_answer(void *user, struct conn *c, struct span bytes)
{
    struct door *d = user;
    (void)c;
    d->answers += span_starts(bytes, SPAN("HTTP/1.1 418 "));
    return bytes.n;
}

static void on_end(void *user, struct conn *c, bool clean)
{
    (void)user, (void)c;
    CHECK(false, "no end was expected, clean %d", clean);
}

static void on_fail(void *user, struct conn *c, enum err why)
{
    (void)user, (void)c;
    CHECK(false, "%s", err_name(why));
}

static const struct conn_events outside_events = {
    .on_open = ask,
    .on_bytes = on_answer,
    .on_eof = on_end,
    .on_room = conn_ignore,
    .on_fail = on_fail,
};

/* L19: what one holds between two requests; the heap's and the loop's own part comes to it
 * (bench/memory.py). */
TEST(client, an_idle_one_holds_little_L19)
{
    struct door d;
    struct conn_target to = {.addr = &d.at};
    unsigned seen = 0;
    scene_new(&s);
    scene_start(&s);
    door_open(&d);
    for (int i = 0; i < CLIENTS; i++) {
        CHECK_INT(conn_connect(&s.server_env, &to, &outside_events, &d, &d.outside[i]), ERR_OK);
    }
    scene_pass(&s, 1000);
    CHECK_INT(d.answers, CLIENTS);
    list_each (e, &s.proxy->clients) {
        struct client *c = container_of(e, struct client, link);
        size_t holds = sizeof *c + c->codec->ops->bytes(c->codec);
        CHECK(c->codec->ops->idle_ns(c->codec) != FRONT_NOT_IDLE, "idle");
        CHECK(holds <= 1024, "%zu bytes", holds);
        seen++;
    }
    CHECK_INT(seen, CLIENTS);
    door_close(&d);
    scene_close(&s);
}
