#include "net/tls_mem.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/poison.h"

#include <openssl/crypto.h>
#include <string.h>
#include <sys/resource.h>

#define SECRETS_MOST  MIB(32) /* of address space; pages that are not used take no memory */
#define SECRETS_LEAST MIB(1)
#define SECRET_LEAST  64 /* bytes of the smallest piece */
/* What is larger than the one and not than the other holds a record as it travels. */
#define RECORD_LEAST KIB(16)
#define RECORD_MOST  KIB(17)

/* The process's, as the memory is; set once, before there are other threads. */
static char *secrets;
static size_t secrets_bytes;
static bool locked;

/* What the present thread takes is secret. */
static _Thread_local bool secret;
/* Where it keeps small pieces. */
static _Thread_local struct tls_pieces *kept;
static _Thread_local bool lets_go;

static bool is_secret(const void *p)
{
    const char *at = p;
    return secrets != NULL && at >= secrets && at < secrets + secrets_bytes;
}

static void *take_kept(size_t n)
{
    if (n <= RECORD_LEAST || n > RECORD_MOST)
        return small_take(&kept->small, n);
    if (kept->count == 0)
        return mem_resize(NULL, RECORD_MOST);
    void *p = kept->records[--kept->count];
    ASAN_UNPOISON_MEMORY_REGION(p, RECORD_MOST);
    return p;
}

static void give_kept(void *p)
{
    size_t room = mem_room(p);
    if (room < RECORD_MOST || room >= 2 * RECORD_MOST || kept->count == TLS_RECORDS_KEPT) {
        small_give(&kept->small, p);
        return;
    }
    kept->records[kept->count++] = p;
    ASAN_POISON_MEMORY_REGION(p, RECORD_MOST);
}

static void *take_plain(size_t n)
{
    return kept != NULL ? take_kept(n) : mem_resize(NULL, n);
}

/* Whether it is worth another try where the heap has refused n bytes. */
static bool lends(size_t n)
{
    return kept != NULL && kept->reserve != NULL && reserve_lend(kept->reserve, n);
}

static void *take(size_t n, const char *file, int line)
{
    void *p = secret && secrets != NULL ? CRYPTO_secure_malloc(n, file, line) : NULL;
    if (p == NULL)
        p = take_plain(n);
    return p == NULL && lends(n) ? take_plain(n) : p;
}

static void give(void *p, const char *file, int line)
{
    if (is_secret(p))
        CRYPTO_secure_clear_free(p, CRYPTO_secure_actual_size(p), file, line);
    else if (kept != NULL && p != NULL && !lets_go)
        give_kept(p);
    else
        mem_free(p);
}

/* A secret stays one, also where what grows is the business of a thread that has none. */
static void *move_secret(void *p, size_t n, const char *file, int line)
{
    size_t had = CRYPTO_secure_actual_size(p);
    void *q = n <= had ? p : CRYPTO_secure_malloc(n, file, line);
    if (q == NULL || q == p)
        return q;
    memcpy(q, p, had);
    give(p, file, line);
    return q;
}

/* Nothing left is how OpenSSL gives back. */
static void *resize(void *p, size_t n, const char *file, int line)
{
    if (n == 0) {
        give(p, file, line);
        return NULL;
    }
    if (p == NULL)
        return take(n, file, line);
    if (is_secret(p))
        return move_secret(p, n, file, line);
    if (kept == NULL)
        return mem_resize(p, n);
    void *q = small_resize(&kept->small, p, n);
    return q == NULL && lends(n) ? small_resize(&kept->small, p, n) : q;
}

/* A power of two that may be locked. */
static size_t room(void)
{
    struct rlimit limit;
    size_t bytes = SECRETS_MOST;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
        return bytes;
    while (bytes > SECRETS_LEAST && bytes > limit.rlim_cur)
        bytes /= 2;
    return bytes;
}

/* OpenSSL does not say where the room is, only of a place whether it is in it. To ask that for each
 * piece that is given back would take its lock each time. */
static void find_secrets(size_t bytes)
{
    char *some = CRYPTO_secure_malloc(SECRET_LEAST, __FILE__, __LINE__);
    size_t below = 0, out = bytes; /* so far below `some` is in it, is not */
    if (some == NULL)
        return;
    while (out - below > 1) {
        size_t middle = below + (out - below) / 2;
        if (CRYPTO_secure_allocated(some - middle) == 1)
            below = middle;
        else
            out = middle;
    }
    secrets = some - below;
    secrets_bytes = bytes;
    CRYPTO_secure_free(some, __FILE__, __LINE__);
}

enum err tls_mem_begin(void)
{
    size_t bytes = room();
    if (CRYPTO_set_mem_functions(take, resize, give) != 1)
        return ERR_INTERNAL;
    int got = CRYPTO_secure_malloc_init(bytes, SECRET_LEAST);
    locked = got == 1;
    if (got != 0)
        find_secrets(bytes);
    return ERR_OK;
}

void tls_mem_secret(bool on)
{
    secret = on;
}

void tls_mem_keep(struct tls_pieces *pieces)
{
    kept = pieces;
}

void tls_mem_let_go(bool on)
{
    lets_go = on;
}

void tls_pieces_fini(struct tls_pieces *pieces)
{
    small_store_fini(&pieces->small);
    while (pieces->count > 0) {
        void *p = pieces->records[--pieces->count];
        ASAN_UNPOISON_MEMORY_REGION(p, RECORD_MOST);
        mem_free(p);
    }
}

bool tls_mem_locked(void)
{
    return locked;
}
