#include "proxy/sticky.h"

#include "base/buf.h"
#include "proxy/request_key.h"

#include <stdio.h>
#include <stdlib.h>

/* id, end of its time in seconds since 1970, and what signs both, in hexadecimal digits. */
enum { ID = 16, END = 16, MAC = 32, TOKEN = ID + END + MAC };

/* Another host of the domain may have set one of the same name; the first good one counts. */
#define COOKIES_MOST 4

static uint64_t id_of(const struct sticky *s, const struct endpoint *e)
{
    unsigned char mac[DIGEST_MAC];
    uint64_t id;
    digest_mac(s->key, span_str(endpoint_name(e)), mac);
    memcpy(&id, mac, sizeof id);
    return __builtin_bswap64(id);
}

static int by_id(const void *a, const void *b)
{
    const struct sticky_mark *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

void sticky_mark_members(struct sticky *s, const struct pick_pool *pool)
{
    s->count = pool->member_count;
    for (uint32_t i = 0; i < s->count; i++)
        s->marks[i] = (struct sticky_mark){id_of(s, pool->members[i].endpoint), i};
    qsort(s->marks, s->count, sizeof *s->marks, by_id);
}

/* The first half of the MAC over the pool's name and what is said, as digits. The name comes last,
 * after texts of fixed size: two pairs never read alike. */
static bool sign(const struct sticky *s, struct span said, char out[static MAC])
{
    char memory[ID + END + 256];
    unsigned char mac[DIGEST_MAC];
    struct buf b;
    buf_fixed(&b, memory, sizeof memory);
    buf_put_span(&b, said);
    buf_put_char(&b, '@');
    buf_put_span(&b, s->pool);
    if (b.failed)
        return false;
    digest_mac(s->key, buf_span(&b), mac);
    for (size_t i = 0; i < MAC / 2; i++) {
        out[2 * i] = "0123456789abcdef"[mac[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[mac[i] & 15];
    }
    return true;
}

static const struct pool_member *member_of(const struct sticky *s, const struct pick_pool *pool,
                                           uint64_t id)
{
    struct sticky_mark wanted = {.id = id};
    const struct sticky_mark *mark = bsearch(&wanted, s->marks, s->count, sizeof *s->marks, by_id);
    return mark != NULL ? &pool->members[mark->member] : NULL;
}

/* Whether it is ours and still good. */
static bool read_token(const struct sticky *s, struct span token, int64_t now_s, uint64_t *id,
                       int64_t *left)
{
    char mac[MAC];
    uint64_t end;
    struct span said = span_sub(token, 0, ID + END);
    if (token.n != TOKEN || span_hex_u64(span_sub(said, 0, ID), id) != ERR_OK ||
        span_hex_u64(span_sub(said, ID, ID + END), &end) != ERR_OK || !sign(s, said, mac) ||
        !digest_same(span_of(mac, MAC), span_sub(token, ID + END, TOKEN)))
        return false;
    *left = end <= INT64_MAX ? (int64_t)end - now_s : 0;
    return *left > 0;
}

struct sticky_found sticky_find(const struct sticky *s, const struct pick_pool *pool,
                                const struct request *r, int64_t now_s)
{
    uint64_t id;
    int64_t left;
    for (unsigned i = 0; i < COOKIES_MOST; i++) {
        struct span token = request_cookie(r, s->cookie, i);
        if (token.p == NULL)
            break;
        if (read_token(s, token, now_s, &id, &left))
            return (struct sticky_found){member_of(s, pool, id), left < s->ttl_s / 2};
    }
    return (struct sticky_found){0};
}

struct span sticky_cookie(const struct sticky *s, const struct endpoint *e, bool secure,
                          int64_t now_s, struct arena *arena)
{
    char said[ID + END + 1], mac[MAC];
    (void)snprintf(said, sizeof said, "%016llx%016llx", (unsigned long long)id_of(s, e),
                   (unsigned long long)(now_s + s->ttl_s));
    if (!sign(s, span_of(said, ID + END), mac))
        return SPAN_NONE;
    char *text = arena_printf(arena, "%.*s=%s%.*s; Path=/; Max-Age=%lld; HttpOnly; SameSite=Lax%s",
                              SPAN_FMT(s->cookie), said, (int)MAC, mac, (long long)s->ttl_s,
                              secure ? "; Secure" : "");
    return text != NULL ? span_str(text) : SPAN_NONE;
}
