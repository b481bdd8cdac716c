#include "proxy/redirect.h"

bool redirect_path(const struct request *r, struct span *rest)
{
    size_t run = 0;
    while (run < r->path.n && (r->path.p[run] == '/' || r->path.p[run] == '\\'))
        run++;
    *rest = span_sub(r->path, run, r->path.n);
    return run > 0;
}

bool redirect_arrived(const struct policy_pool *pool, const struct request *r)
{
    uint64_t port = 0;
    struct span rest = span_sub(r->authority, r->host.n, r->authority.n);
    rest = span_sub(rest, span_find(rest, ':'), rest.n); /* a dot may stand before it */
    bool told = rest.n > 0 && span_u64(span_sub(rest, 1, rest.n), &port) == ERR_OK;
    for (uint32_t i = 0; i < pool->pick->site_count; i++) {
        const struct policy_target *t = &pool->targets[i];
        bool same = told ? port == t->port : t->port == 80 || t->port == 443;
        if (same && span_eq(t->host, r->host))
            return true;
    }
    return false;
}

enum err redirect_location(const struct policy_target *t, const struct request *r,
                           struct arena *arena, struct span *out)
{
    struct span path;
    if (!redirect_path(r, &path))
        return ERR_BAD_TARGET;
    char *to = arena_printf(arena, "%.*s/%.*s%s%.*s", SPAN_FMT(t->url), SPAN_FMT(path),
                            r->query.p != NULL ? "?" : "", SPAN_FMT(r->query));
    *out = to != NULL ? span_str(to) : SPAN_NONE;
    return to != NULL ? ERR_OK : ERR_NO_MEMORY;
}
