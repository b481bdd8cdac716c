#include "net/buf_store.h"

#include "base/limits.h"
#include "base/mem.h"

/* One TLS record with all that is put around it fits into the middle class. */
static const struct {
    size_t size;
    size_t keep;
} classes[] = {{KIB(4), 256}, {KIB(17), 128}, {KIB(64), 32}};

#define CLASSES (sizeof classes / sizeof classes[0])

struct buf_store {
    struct chunk *free[CLASSES];
    size_t count[CLASSES];
};

enum err buf_store_new(struct buf_store **out)
{
    *out = mem_alloc(sizeof **out);
    return *out != NULL ? ERR_OK : ERR_NO_MEMORY;
}

void buf_store_free(struct buf_store **s)
{
    if (*s == NULL)
        return;
    for (size_t i = 0; i < CLASSES; i++) {
        while ((*s)->free[i] != NULL) {
            struct chunk *c = (*s)->free[i];
            (*s)->free[i] = c->next;
            mem_free(c);
        }
    }
    mem_free(*s);
    *s = NULL;
}

static size_t class_of(size_t size)
{
    size_t i = 0;
    while (i < CLASSES && classes[i].size < size)
        i++;
    return i;
}

struct chunk *buf_store_take(struct buf_store *s, size_t size)
{
    size_t i = class_of(size);
    size_t cap = i < CLASSES ? classes[i].size : size;
    struct chunk *c = i < CLASSES ? s->free[i] : NULL;
    if (c != NULL) {
        s->free[i] = c->next;
        s->count[i]--;
        __builtin_prefetch(c->next, 1);
    } else {
        /* Not mem_alloc: that would zero what is about to be written. */
        c = mem_resize(NULL, sizeof *c + cap);
        if (c == NULL)
            return NULL;
    }
    c->next = NULL;
    c->at = c->n = 0;
    c->cap = cap;
    return c;
}

struct chunk *buf_store_take_lent(struct buf_store *s, struct reserve *r, size_t size)
{
    struct chunk *c = buf_store_take(s, size);
    return c == NULL && reserve_lend(r, size) ? buf_store_take(s, size) : c;
}

void buf_store_give(struct buf_store *s, struct chunk **c)
{
    struct chunk *given = *c;
    *c = NULL;
    if (given == NULL)
        return;
    size_t i = class_of(given->cap);
    if (i >= CLASSES || s->count[i] >= classes[i].keep) {
        mem_free(given);
        return;
    }
    given->next = s->free[i];
    s->free[i] = given;
    s->count[i]++;
}

size_t buf_store_kept(const struct buf_store *s)
{
    size_t sum = 0;
    for (size_t i = 0; i < CLASSES; i++)
        sum += s->count[i] * classes[i].size;
    return sum;
}

/* Of n bytes that come at once: the largest class that they fill, or nearly. A class too large
 * would take far more memory than they are. */
static size_t piece_of(size_t n)
{
    size_t i = CLASSES - 1;
    while (i > 0 && n < classes[i].size / 4 * 3)
        i--;
    return n < classes[i].size ? n : classes[i].size;
}

static void fill(struct chunk *c, struct span *bytes)
{
    size_t room = c->cap - c->n, n = bytes->n < room ? bytes->n : room;
    if (n == 0)
        return;
    memcpy(c->bytes + c->n, bytes->p, n);
    c->n += n;
    *bytes = span_sub(*bytes, n, bytes->n);
}

static void append(struct chain *c, struct chunk *more)
{
    c->room += (uint32_t)(sizeof *more + more->cap);
    if (c->last != NULL)
        c->last->next = more;
    else
        c->first = more;
    c->last = more;
}

/* What does not fit into the last chunk. All or nothing. */
static bool put_more(struct chain *c, struct buf_store *s, struct span bytes)
{
    struct chain more = {0};
    size_t n = bytes.n, room = c->last != NULL ? c->last->cap - c->last->n : 0;
    struct span rest = span_sub(bytes, room, bytes.n);
    while (rest.n > 0) {
        struct chunk *piece = buf_store_take(s, piece_of(rest.n));
        if (piece == NULL) {
            chain_clear(&more, s);
            return false;
        }
        fill(piece, &rest);
        append(&more, piece);
    }
    if (c->last != NULL)
        fill(c->last, &bytes);
    if (more.first != NULL) {
        uint32_t all = c->room + more.room;
        append(c, more.first);
        c->last = more.last;
        c->room = all;
    }
    c->bytes += (uint32_t)n;
    return true;
}

bool chain_put(struct chain *c, struct buf_store *s, struct span bytes)
{
    struct chunk *last = c->last;
    if (last == NULL || last->cap - last->n < bytes.n)
        return put_more(c, s, bytes);
    if (bytes.n > 0)
        memcpy(last->bytes + last->n, bytes.p, bytes.n);
    last->n += bytes.n;
    c->bytes += (uint32_t)bytes.n;
    return true;
}

bool chain_put_lent(struct chain *c, struct buf_store *s, struct reserve *r, struct span bytes)
{
    return chain_put(c, s, bytes) || (reserve_lend(r, bytes.n) && chain_put(c, s, bytes));
}

void chain_take(struct chain *c, struct buf_store *s, size_t n)
{
    c->bytes -= (uint32_t)n;
    while (n > 0) {
        struct chunk *first = c->first;
        size_t here = first->n - first->at;
        if (n < here) {
            first->at += n;
            return;
        }
        n -= here;
        c->first = first->next;
        if (c->first == NULL)
            c->last = NULL;
        c->room -= (uint32_t)(sizeof *first + first->cap);
        buf_store_give(s, &first);
    }
}

void chain_clear(struct chain *c, struct buf_store *s)
{
    while (c->first != NULL) {
        struct chunk *first = c->first;
        c->first = first->next;
        buf_store_give(s, &first);
    }
    c->last = NULL;
    c->bytes = c->room = 0;
}

int chain_iov(const struct chain *c, struct iovec *iov, int most)
{
    int count = 0;
    for (struct chunk *k = c->first; k != NULL && count < most; k = k->next) {
        struct span s = chunk_span(k);
        iov[count++] = (struct iovec){.iov_base = (void *)s.p, .iov_len = s.n};
    }
    return count;
}
