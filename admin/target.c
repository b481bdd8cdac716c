#include "admin/admin_impl.h"

#include "base/near.h"

/* What somebody meant who named a server, a pool or a site that is none. */

/* A name that is looked for among those that there are. */
struct sought {
    struct near near;
    bool found;
};

static struct sought sought(struct span name)
{
    return (struct sought){.near = near_to(name)};
}

static void compare(struct sought *s, struct span name)
{
    s->found = s->found || span_eq(s->near.wanted, name);
    near_offer(&s->near, name);
}

static void put_name(struct buf *message, const char *before, struct span name)
{
    buf_put_str(message, before);
    buf_put_text(message, name, LIMIT_LOG_FIELD);
}

static void compare_pool(void *user, const struct admin_pool *p)
{
    compare(user, p->name);
}

static bool no_pool(const struct admin *a, struct span pool, const char *hint, struct buf *message)
{
    struct sought s = sought(pool);
    if (a->ops->pools == NULL)
        return false;
    a->ops->pools(a->ctx, compare_pool, &s);
    if (s.found)
        return false;
    put_name(message, "no pool ", pool);
    buf_put_str(message, hint);
    buf_put_str(message, "; meridianctl pools lists them");
    near_put(&s.near, message);
    return true;
}

bool target_no_pool(const struct admin *a, struct span pool, struct buf *message)
{
    return no_pool(a, pool, "", message);
}

static void compare_site(void *user, const struct admin_backend *b)
{
    compare(user, b->site);
}

struct sought_backend {
    struct span pool;
    struct sought backend, address;
};

static void compare_backend(void *user, const struct admin_backend *b)
{
    struct sought_backend *s = user;
    if (!span_eq(s->pool, b->pool))
        return;
    compare(&s->backend, b->name);
    if (span_eq(s->backend.near.wanted, b->name))
        compare(&s->address, b->address);
}

static void no_backend(const struct admin *a, struct span pool, struct span rest,
                       struct buf *message)
{
    struct span backend, address = span_cut(rest, '@', &backend);
    struct sought_backend s = {
        .pool = pool, .backend = sought(backend), .address = sought(address)};
    a->ops->backends(a->ctx, pool, compare_backend, &s);
    if (rest.n == 0) {
        put_name(message, "nobody is in pool ", pool);
        return;
    }
    if (s.backend.found) {
        put_name(message, "no address ", address);
        put_name(message, " of backend ", backend);
        put_name(message, " in pool ", pool);
    } else {
        put_name(message, "no backend ", backend);
        put_name(message, " in pool ", pool);
    }
    put_name(message, "; meridianctl backends ", pool);
    buf_put_str(message, " lists them");
    near_put(s.backend.found ? &s.address.near : &s.backend.near, message);
}

void target_unknown(const struct admin *a, struct span target, struct buf *message)
{
    struct span pool, rest = span_cut(target, '/', &pool);
    if (span_starts(target, SPAN("site:"))) {
        struct sought s = sought(span_sub(target, sizeof "site:" - 1, target.n));
        if (a->ops->backends != NULL)
            a->ops->backends(a->ctx, SPAN_NONE, compare_site, &s);
        put_name(message, "no server is at site ", s.near.wanted);
        near_put(&s.near, message);
    } else if (!no_pool(a, pool, rest.n == 0 ? "; a backend is written POOL/BACKEND" : "",
                        message) &&
               a->ops->backends != NULL) {
        no_backend(a, pool, rest, message);
    }
}
