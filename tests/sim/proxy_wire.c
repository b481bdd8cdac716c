/* HTTP/1 on the wire as the simulated clients and servers read and write it, and the saying of what
 * they plan. */
#include "proxy_world.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>

/* The value of "name: digits" in a head, or -1. Names are lower case on the wire here. */
static long long number_in(struct span head, const char *name)
{
    char text[64];
    int n = snprintf(text, sizeof text, "\r\n%s: ", name);
    const char *p = memmem(head.p, head.n, text, (size_t)n);
    if (p == NULL)
        return -1;
    long long value = 0;
    for (p += n; p < head.p + head.n && ascii_digit(*p); p++)
        value = value * 10 + (*p - '0');
    return value;
}

bool wire_has(struct span s, const char *text)
{
    return memmem(s.p, s.n, text, strlen(text)) != NULL;
}

void wire_accept(const struct world *w, struct span head, char out[static WIRE_ACCEPT])
{
    static const char name[] = "\r\nsec-websocket-key: ";
    static const char more[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    enum { KEY = 24 };
    char text[KEY + sizeof more];
    unsigned char digest[SHA_DIGEST_LENGTH];
    const char *at = memmem(head.p, head.n, name, sizeof name - 1);
    need(w, at != NULL, "a tunnel without a key", 0);
    memcpy(text, at + sizeof name - 1, KEY);
    memcpy(text + KEY, more, sizeof more);
    SHA1((const unsigned char *)text, KEY + sizeof more - 1, digest);
    EVP_EncodeBlock((unsigned char *)out, digest, sizeof digest);
}

static unsigned count(struct span s, const char *text)
{
    unsigned n = 0;
    const char *p;
    while ((p = memmem(s.p, s.n, text, strlen(text))) != NULL) {
        s = span_sub(s, (size_t)(p - s.p) + 1, s.n);
        n++;
    }
    return n;
}

struct head wire_head(const struct world *w, struct span s)
{
    struct head h = {.bytes = 0, .length = -1, .wish = -1};
    const char *end = memmem(s.p, s.n, "\r\n\r\n", 4);
    if (end == NULL)
        return h;
    h.bytes = (size_t)(end - s.p) + 4;
    h.text = span_sub(s, 0, h.bytes);
    if (span_starts(s, SPAN("HTTP/1.")) && s.n > 12)
        h.status = (unsigned)((s.p[9] - '0') * 100 + (s.p[10] - '0') * 10 + (s.p[11] - '0'));
    h.length = number_in(h.text, "content-length");
    h.wish = number_in(h.text, "x-wish");
    h.chunked = wire_has(h.text, "\r\ntransfer-encoding: chunked\r\n");
    h.close = wire_has(h.text, "\r\nconnection: close\r\n");
    unsigned framings = count(h.text, "\r\ncontent-length:") + count(h.text, "\r\ntransfer-");
    need(w, framings <= 1, "a head with several framings", h.wish);
    need(w, h.wish < REQUESTS, "a request that nobody made", h.wish);
    return h;
}

void wire_letters(struct world *w)
{
    struct rng rng;
    rng_seed(&rng, 1);
    for (size_t k = 0; k < LETTERS; k++)
        w->letters[k] = (char)('a' + rng_below(&rng, 26));
}

/* Content from byte k on, as far as it goes in one piece. */
static struct span letters(const struct world *w, unsigned i, size_t k)
{
    size_t at = (k + i * 131) % LETTERS;
    return span_of(w->letters + at, LETTERS - at);
}

void wire_check(const struct world *w, struct span s, unsigned i, size_t from)
{
    while (s.n > 0) {
        struct span want = letters(w, i, from);
        size_t n = s.n < want.n ? s.n : want.n;
        need(w, memcmp(s.p, want.p, n) == 0, "wrong bytes", i);
        s = span_sub(s, n, s.n);
        from += n;
    }
}

size_t wire_chunked(const struct world *w, struct span s, unsigned i, size_t *content)
{
    size_t at = 0;
    *content = 0;
    for (;;) {
        const char *line = memmem(s.p + at, s.n - at, "\r\n", 2);
        if (line == NULL)
            return 0;
        uint64_t size;
        need(w, span_hex_u64(span_sub(s, at, (size_t)(line - s.p)), &size) == ERR_OK, "a chunk", i);
        at = (size_t)(line - s.p) + 2;
        size_t here = s.n - at < size ? s.n - at : (size_t)size;
        wire_check(w, span_sub(s, at, at + here), i, *content);
        *content += here;
        if (s.n < at + size + 2)
            return 0;
        need(w, memcmp(s.p + at + size, "\r\n", 2) == 0, "the end of a chunk", i);
        at += size + 2;
        if (size == 0)
            return at;
    }
}

static void put_range(const struct world *w, struct buf *out, unsigned i, size_t from, size_t n)
{
    while (n > 0) {
        struct span s = letters(w, i, from);
        size_t here = n < s.n ? n : s.n;
        buf_put(out, s.p, here);
        from += here;
        n -= here;
    }
}

void wire_put(const struct world *w, struct buf *out, unsigned i, size_t n)
{
    put_range(w, out, i, 0, n);
}

void wire_put_chunked(struct world *w, struct buf *out, unsigned i, size_t n)
{
    for (size_t at = 0; at < n;) {
        size_t most = one_in(w, 2) ? 20000 : 700;
        size_t size = 1 + (size_t)rng_below(&w->rng, n - at < most ? n - at : most);
        buf_printf(out, "%zx\r\n", size);
        put_range(w, out, i, at, size);
        buf_put_str(out, "\r\n");
        at += size;
    }
    buf_put_str(out, "0\r\n\r\n");
}

/* --- saying what is planned --- */

static void finish(struct peer *p)
{
    enum ending then = p->then;
    p->then = THEN_STAY;
    p->shut = p->shut || then == THEN_SHUTDOWN;
    if (then == THEN_SHUTDOWN)
        conn_shutdown(p->c);
    else if (then == THEN_CLOSE)
        peer_close(p, CONN_END_FLUSH);
    else if (then == THEN_RESET)
        peer_close(p, CONN_END_RESET);
}

void peer_say(struct peer *p)
{
    struct world *w = p->w;
    size_t left = buf_len(&p->plan);
    if (p->c == NULL)
        return;
    if (left > 0 && p->dribble && conn_pending(p->c) <= LIMIT_FLOW_HIGH) {
        size_t most = left < 9000 ? left : 9000;
        left = 1 + (size_t)rng_below(&w->rng, most);
    }
    if (left > 0 && (!p->dribble || conn_pending(p->c) <= LIMIT_FLOW_HIGH)) {
        conn_write(p->c, span_sub(buf_span(&p->plan), 0, left));
        buf_take(&p->plan, left);
    }
    if (buf_len(&p->plan) == 0)
        finish(p);
    else
        timer_in_ms(&p->pump, 1 + (int64_t)rng_below(&w->rng, 40));
}

static void on_pump(struct timer *t)
{
    peer_say(container_of(t, struct peer, pump));
}

void peer_init(struct peer *p, struct world *w, struct loop *l)
{
    p->w = w;
    buf_init(&p->in, 0);
    buf_init(&p->plan, 0);
    timer_init(&p->pump, l, on_pump);
}

void peer_close(struct peer *p, enum conn_end how)
{
    timer_stop(&p->pump);
    buf_clear(&p->plan);
    if (p->c != NULL)
        conn_close(&p->c, how);
}

void peer_fini(struct peer *p)
{
    peer_close(p, CONN_END_NOW);
    buf_fini(&p->in);
    buf_fini(&p->plan);
}
