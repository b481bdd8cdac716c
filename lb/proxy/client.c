#include "proxy/client.h"

#include "base/limits.h"
#include "base/mem.h"
#include "http/h1_front.h"
#include "http/h2_front.h"
#include "net/proxy_proto.h"
#include "proxy/exchange.h"
#include "proxy/forward.h"

uint16_t admission_source(const struct admission *a, const struct addr *peer)
{
    const uint8_t *bytes;
    size_t n = addr_bytes(peer, &bytes);
    if (n == 16)
        n = 8; /* IPv6: the /64 (L2) */
    return (uint16_t)hash_keyed(&a->key, span_of((const char *)bytes, n));
}

/* L2: takes one place for the source; false: it has too many. Unix peers have no source. */
static bool source_take(struct proxy *p, uint16_t slot, const struct addr *peer)
{
    struct admission *a = p->admission;
    uint32_t most = atomic_load_explicit(&a->source_most, memory_order_relaxed);
    if (peer->any.sa_family == AF_UNIX)
        most = UINT16_MAX;
    else if (p->overload >= OVERLOAD_REFUSE && most > LIMIT_SOURCE_PRESSED)
        most = LIMIT_SOURCE_PRESSED;
    uint16_t was = atomic_fetch_add_explicit(&a->sources[slot], 1, memory_order_relaxed);
    if (was < most)
        return true;
    atomic_fetch_sub_explicit(&a->sources[slot], 1, memory_order_relaxed);
    return false;
}

static void source_give(struct admission *a, uint16_t slot)
{
    atomic_fetch_sub_explicit(&a->sources[slot], 1, memory_order_relaxed);
}

/* L2 is not for proxies: behind them are many. */
static bool is_proxy(const struct proxy *p, const struct addr *peer)
{
    const struct policy *policy = p->current != NULL ? p->current->policy : NULL;
    return policy != NULL && cidrs_have(policy->trusted, policy->trusted_count, peer);
}

static void handshake_done(struct client *c)
{
    if (!c->handshaking)
        return;
    c->handshaking = false;
    list_remove(&c->shaking);
    atomic_fetch_sub_explicit(&c->proxy->admission->handshakes, 1, memory_order_relaxed);
}

static void client_free(struct client *c)
{
    struct proxy *p = c->proxy;
    handshake_done(c);
    list_remove(&c->link);
    c->listener->clients--;
    if (c->listener->counts != NULL)
        listener_stats_give(c->listener->counts);
    atomic_fetch_sub_explicit(&p->admission->connections, 1, memory_order_relaxed);
    if (c->counted)
        source_give(p->admission, c->source);
    counter_add(&p->stats->connections_open, (uint64_t)-1);
    mem_free(c->peer.distance_ms);
    origin_let_go(&c->behind);
    mem_free(c);
}

static void on_request(void *owner, struct front *f, struct request *r, enum err bad)
{
    struct client *c = owner;
    c->requests++;
    exchange_begin(c->proxy, c, f, r, bad);
}

static void on_closed(void *owner, enum err why)
{
    struct client *c = owner;
    (void)why;
    client_free(c);
}

static const struct front_owner front_owner = {.on_request = on_request, .on_closed = on_closed};

/* From here on the codec has the connection and ends the client through on_closed. */
static enum err start_codec(struct client *c, bool tls, bool h2)
{
    struct conn *conn = c->conn;
    const struct front_limits *limits = &c->listener->limits;
    struct arena_cache *arenas = &c->proxy->arenas;
    c->conn = NULL;
    conn_rest(conn); /* L3 is kept: what follows has its own times */
    c->protocol = h2 ? "h2" : "http/1.1";
    enum err e = h2 ? h2_front_new(conn, tls, limits, arenas, &front_owner, c, &c->codec)
                    : h1_front_new(conn, tls, limits, arenas, &front_owner, c, &c->codec);
    if (e != ERR_OK)
        conn_close(&conn, CONN_END_NOW);
    else if (c->proxy->draining || c->listener->gone)
        c->codec->ops->last(c->codec);
    else
        client_press(c, c->proxy->overload != OVERLOAD_NONE);
    return e;
}

/* Without a connection that a codec could have. */
static void handshake_ended(struct client *c)
{
    counter_add(&c->proxy->stats->handshakes_failed, 1);
    client_free(c);
}

static void handshake_failed(struct client *c)
{
    conn_close(&c->conn, CONN_END_NOW);
    handshake_ended(c);
}

static void on_open(void *user, struct conn *conn)
{
    struct client *c = user;
    struct conn_tls_info tls;
    conn_tls(conn, &tls);
    c->tls = tls.version;
    bool h2 = span_eq(tls.alpn, SPAN("h2"));
    if (!h2 && !c->listener->speaks_h1) { /* RFC 9113 section 3.2: only by ALPN */
        handshake_failed(c);
        return;
    }
    handshake_done(c);
    if (start_codec(c, true, h2) != ERR_OK)
        client_free(c);
}

/* Plain text, and the listener speaks both: HTTP/2 begins with a preface that no request of
 * HTTP/1.1 begins with (RFC 9113 section 3.4). Nothing is taken here; the codec gets it all. */
static size_t on_bytes(void *user, struct conn *conn, struct span bytes)
{
    struct client *c = user;
    struct span preface = SPAN("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    bool h2 = span_starts(bytes, preface);
    if (c->handshaking || (!h2 && span_starts(preface, bytes))) {
        conn_acknowledge(conn);
        return 0;
    }
    if (start_codec(c, false, h2) != ERR_OK) {
        client_free(c);
        return bytes.n;
    }
    return 0;
}

static void on_eof(void *user, struct conn *conn, bool clean)
{
    (void)conn;
    (void)clean;
    handshake_failed(user);
}

/* Who asks in clear where TLS is spoken learns it. */
static void on_fail(void *user, struct conn *conn, enum err why)
{
    static const char answer[] =
        "HTTP/1.1 400 Bad Request\r\n"
        "content-type: text/plain\r\n"
        "content-length: 67\r\n"
        "connection: close\r\n\r\n"
        "A plain HTTP request was sent to a port that speaks TLS: use https\n";
    struct client *c = user;
    if (why != ERR_CLIENT_TLS || !conn_spoke_text(conn)) {
        handshake_failed(c);
        return;
    }
    conn_write_clear(conn, span_of(answer, sizeof answer - 1));
    conn_close(&c->conn, CONN_END_FLUSH);
    handshake_ended(c);
}

/* L3; also without a handshake, while a PROXY header or the version is not known. */
static void on_late(void *user, struct conn *conn)
{
    (void)conn;
    handshake_failed(user);
}

static const struct conn_events handshake_events = {
    .on_open = on_open,
    .on_bytes = on_bytes,
    .on_eof = on_eof,
    .on_room = conn_ignore,
    .on_fail = on_fail,
    .on_time = on_late,
};

/* L3: beyond it the one that has taken longest makes room. Whoever means it is done long before it
 * is the oldest; to stop accepting would let the silent ones keep all others out. Where all of them
 * are other workers', one more is let in. */
static void make_room(struct proxy *p)
{
    const struct admission *a = p->admission;
    bool full = atomic_load_explicit(&a->handshakes, memory_order_relaxed) >=
                atomic_load_explicit(&a->handshakes_most, memory_order_relaxed);
    if (full && !list_empty(&p->handshakes))
        handshake_failed(container_of(p->handshakes.next, struct client, shaking));
}

static void begin_handshake(struct client *c)
{
    struct proxy *p = c->proxy;
    make_room(p);
    c->handshaking = true;
    list_append(&p->handshakes, &c->shaking);
    atomic_fetch_add_explicit(&p->admission->handshakes, 1, memory_order_relaxed);
}

static bool knows_version(const struct proxy_listener *l)
{
    return l->tls == NULL && !(l->speaks_h1 && l->speaks_h2);
}

/* Nothing in front of the first byte of HTTP any more. */
static enum err start_plain(struct client *c)
{
    if (!knows_version(c->listener))
        return ERR_OK; /* on_bytes sees which */
    return start_codec(c, false, c->listener->speaks_h2);
}

/* L2, for the peer as it is known now. False: it has too many. */
static bool take_source(struct client *c)
{
    struct proxy *p = c->proxy;
    c->source = admission_source(p->admission, &c->peer.addr);
    c->counted = !is_proxy(p, &c->peer.addr) && source_take(p, c->source, &c->peer.addr);
    return c->counted || is_proxy(p, &c->peer.addr);
}

/* A source's connections have their turns together, however many they are. A proxy has many clients
 * behind it, and its connections are apart. */
static void share_turns(struct client *c)
{
    if (c->counted && c->peer.addr.any.sa_family != AF_UNIX)
        conn_set_party(c->conn, c->source);
}

/* The source of a PROXY header is the peer for all that follows (H16). */
static enum err take_header(struct client *c, const struct proxy_proto *header)
{
    if (!header->local)
        origin_set(&c->peer, &header->from);
    if (!take_source(c)) {
        counter_add(&c->proxy->stats->refused, 1);
        return ERR_TOO_MANY;
    }
    share_turns(c);
    if (c->listener->gone)
        return ERR_SHUTDOWN;
    conn_set_events(c->conn, &handshake_events, c);
    if (c->listener->tls == NULL)
        return start_plain(c);
    begin_handshake(c);
    return conn_begin_tls(c->conn, c->listener->tls);
}

static size_t on_header(void *user, struct conn *conn, struct span bytes)
{
    struct client *c = user;
    struct proxy_proto header;
    enum err e = proxy_proto_parse(bytes, &header);
    if (e == ERR_AGAIN || (e == ERR_OK && header.bytes == bytes.n))
        conn_acknowledge(conn);
    if (e == ERR_AGAIN)
        return 0;
    if (e == ERR_OK)
        e = take_header(c, &header);
    if (e == ERR_OK)
        return header.bytes;
    if (c->conn != NULL)
        handshake_failed(c);
    else
        client_free(c);
    return bytes.n;
}

static const struct conn_events header_events = {
    .on_open = on_open,
    .on_bytes = on_header,
    .on_eof = on_eof,
    .on_room = conn_ignore,
    .on_fail = on_fail,
    .on_time = on_late,
};

static enum err client_start(struct client *c, int fd, const struct addr *peer)
{
    struct proxy *p = c->proxy;
    bool header = c->listener->spoken_for != NULL;
    enum err e = conn_accept(p->env, fd, peer, header ? NULL : c->listener->tls,
                             header ? &header_events : &handshake_events, c, &c->conn);
    if (e != ERR_OK)
        return e;
    share_turns(c);
    if (!header && knows_version(c->listener))
        return start_plain(c);
    conn_aim(c->conn, c->begun_ns + c->listener->handshake_ms * NS_PER_MS);
    if (!header && c->listener->tls != NULL)
        begin_handshake(c);
    return ERR_OK;
}

/* Who may begin with a PROXY header; a unix socket is guarded by its permissions. A socket of the
 * service manager may be for both families, and then tells IPv4 addresses as IPv6. */
static bool may_come(const struct proxy_listener *l, const struct addr *peer)
{
    if (l->spoken_for == NULL || peer->any.sa_family == AF_UNIX)
        return true;
    struct addr from = *peer;
    addr_unmap(&from);
    return cidrs_have(l->spoken_for, l->spoken_for_count, &from);
}

enum err client_new(struct proxy *p, struct proxy_listener *l, int fd, const struct addr *peer)
{
    struct client *c = may_come(l, peer) ? reserve_alloc(&p->env->reserve, sizeof *c) : NULL;
    if (c == NULL) {
        p->loop->ops->sock_close(p->loop, fd, false);
        return may_come(l, peer) ? ERR_NO_MEMORY : ERR_FORBIDDEN;
    }
    c->proxy = p;
    c->peer.refs = 1;
    origin_set(&c->peer, peer);
    if (l->spoken_for == NULL && !take_source(c)) {
        mem_free(c);
        p->loop->ops->sock_close(p->loop, fd, false);
        return ERR_TOO_MANY;
    }
    list_init(&c->shaking);
    atomic_fetch_add_explicit(&p->admission->connections, 1, memory_order_relaxed);
    counter_add(&p->stats->connections, 1);
    counter_add(&p->stats->connections_open, 1);
    c->listener = l;
    c->begun_ns = loop_now_ns(p->loop);
    l->clients++;
    if (l->counts != NULL)
        listener_stats_take(l->counts);
    list_append(&p->clients, &c->link);
    enum err e = client_start(c, fd, peer);
    if (e != ERR_OK)
        client_free(c);
    return e;
}

void client_kill(struct client *c, enum err why)
{
    if (c->codec != NULL)
        c->codec->ops->kill(c->codec, why);
    else
        handshake_failed(c);
}

void client_press(struct client *c, bool on)
{
    if (c->codec != NULL && c->pressed != on)
        c->codec->ops->press(c->codec, on);
    c->pressed = on;
}

void client_last(struct client *c)
{
    if (c->codec != NULL)
        c->codec->ops->last(c->codec);
}

void client_drain(struct client *c)
{
    if (c->codec != NULL)
        c->codec->ops->drain(c->codec);
    else
        handshake_failed(c);
}

bool client_trusted(const struct client *c, const struct policy *policy)
{
    return policy->forwarded != POLICY_FORWARDED_NONE &&
           cidrs_have(policy->trusted, policy->trusted_count, &c->peer.addr);
}

static struct origin *behind(struct client *c, const struct addr *a)
{
    if (c->behind != NULL && addr_eq(&c->behind->addr, a))
        return c->behind;
    if (c->behind == NULL || c->behind->refs > 1) {
        struct origin *another = mem_alloc(sizeof *another);
        if (another == NULL)
            return NULL;
        another->refs = 1;
        origin_let_go(&c->behind);
        c->behind = another;
    }
    origin_set(c->behind, a);
    return c->behind;
}

struct origin *client_origin(struct client *c, const struct policy *policy, const struct request *r)
{
    struct origin *o = &c->peer;
    if (client_trusted(c, policy)) {
        struct forward_trust trust = {
            .from = policy->trusted,
            .count = policy->trusted_count,
            .field =
                policy->forwarded == POLICY_FORWARDED ? FIELD_FORWARDED : FIELD_X_FORWARDED_FOR,
        };
        struct addr a;
        forward_client(r, &trust, &c->peer.addr, &a);
        if (!addr_eq(&a, &c->peer.addr))
            o = behind(c, &a);
    }
    if (o != NULL)
        origin_place(o, policy);
    return origin_hold(o);
}
