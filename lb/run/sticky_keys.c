#include "run/sticky_keys.h"

#include "base/hash.h"
#include "base/mem.h"
#include "run/places.h"
#include "run/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { KEY_LEAST = 32, PATH_BYTES = 4096 };

struct sticky_keys {
    size_t count;
    struct secret *v[]; /* by pool; NULL: it has no cookie */
};

/* 32 bytes as digits, so that the file can be copied to another balancer by hand. */
static enum err make_text(char out[static 65])
{
    unsigned char bytes[32];
    enum err e = random_bytes(bytes, sizeof bytes);
    for (size_t i = 0; e == ERR_OK && i < sizeof bytes; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    return e;
}

/* Written beside and renamed: it is there whole or not at all. */
static enum err make_key(const char *path)
{
    char beside[PATH_BYTES], text[65];
    enum err e = make_text(text);
    if (e != ERR_OK)
        return e;
    if (snprintf(beside, sizeof beside, "%s.new", path) >= (int)sizeof beside)
        return ERR_RANGE;
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_from_errno(errno);
    text[64] = '\n';
    bool done = write(fd, text, 65) == 65 && fsync(fd) == 0;
    int failed = errno;
    done = close(fd) == 0 && done;
    if (done && rename(beside, path) == 0)
        return ERR_OK;
    enum err why = err_from_errno(done ? errno : failed);
    (void)unlink(beside);
    return why;
}

static void report(struct conf_messages *to, const struct conf_pool *pool, const char *path,
                   enum err e)
{
    bool named = pool->sticky.key.s.p != NULL;
    struct conf_mark mark = named ? pool->sticky.key.mark : pool->sticky.mark;
    if (e == ERR_RANGE)
        conf_report(to, mark, "the key '%s' must have %d to %d bytes", path, KEY_LEAST,
                    SECRET_MOST - 1);
    else if (named)
        conf_report(to, mark, "cannot read the key '%s': %s", path, err_phrase(e));
    else
        conf_report(to, mark,
                    "cannot keep the key of the cookie in '%s': %s; set state to a folder that can "
                    "be written, or sticky.key to a file",
                    path, err_phrase(e));
}

static enum err load(const struct conf *conf, const struct conf_pool *pool, bool make,
                     struct conf_messages *to, struct secret *out)
{
    char own[PATH_BYTES];
    const char *path = pool->sticky.key.s.p;
    if (path == NULL) {
        places_state(conf->state.mark.line != 0 ? conf->state.s.p : NULL, "sticky.key", own,
                     sizeof own);
        path = own;
    }
    enum err e = secret_read(path, KEY_LEAST, out);
    if (path == own && e == ERR_NOT_FOUND && !make)
        return ERR_OK;
    if (path == own && e == ERR_NOT_FOUND) {
        e = make_key(path);
        e = e == ERR_OK ? secret_read(path, KEY_LEAST, out) : e;
    }
    if (e != ERR_OK)
        report(to, pool, path, e);
    return e;
}

enum err sticky_keys_load(const struct conf *conf, bool make, struct conf_messages *to,
                          struct sticky_keys **out)
{
    enum err e = ERR_OK;
    size_t n = conf->pool_count;
    struct sticky_keys *keys = *out = mem_alloc(sizeof *keys + n * sizeof(struct secret *));
    if (keys == NULL)
        return ERR_NO_MEMORY;
    keys->count = n;
    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        if (!conf->pools[i].sticky.set || conf->pools[i].sticky.cookie.s.p == NULL)
            continue;
        keys->v[i] = mem_alloc(sizeof *keys->v[i]);
        e = keys->v[i] != NULL ? load(conf, &conf->pools[i], make, to, keys->v[i]) : ERR_NO_MEMORY;
    }
    if (e != ERR_OK)
        sticky_keys_free(out);
    return e;
}

void sticky_keys_free(struct sticky_keys **kp)
{
    struct sticky_keys *keys = *kp;
    *kp = NULL;
    if (keys == NULL)
        return;
    for (size_t i = 0; i < keys->count; i++)
        secret_free(&keys->v[i]);
    mem_free(keys);
}

struct span sticky_keys_get(const struct sticky_keys *keys, size_t pool)
{
    const struct secret *key = keys->v[pool];
    return key != NULL ? span_of(key->bytes, key->n) : SPAN_NONE;
}
