#include "proxy/rewrite.h"

#include "base/buf.h"

/* What follows the prefix: empty, or from a slash on; false: the path does not begin with it. */
static bool strip(struct span path, struct span prefix, struct span *rest)
{
    *rest = span_sub(path, prefix.n, path.n);
    return prefix.n > 0 && span_starts(path, prefix) && (rest->n == 0 || rest->p[0] == '/');
}

static struct span without_slashes(struct span s)
{
    size_t n = 0;
    while (n < s.n && (s.p[n] == '/' || s.p[n] == '\\'))
        n++;
    return span_sub(s, n, s.n);
}

enum err rewrite_path(const struct rewrite *w, struct span path, struct arena *arena,
                      struct span *out)
{
    struct span rest;
    *out = path;
    if (path.n == 0 || path.p[0] != '/')
        return ERR_OK;
    bool stripped = strip(path, w->strip, &rest);
    if (!stripped && w->add.n == 0)
        return ERR_OK;
    struct span tail = stripped ? without_slashes(rest) : path;
    bool slash = stripped && (rest.n > 0 || w->add.n == 0);
    struct buf b;
    char *p = arena_take(arena, w->add.n + tail.n + 1);
    if (p == NULL)
        return ERR_NO_MEMORY;
    buf_fixed(&b, p, w->add.n + tail.n + 1);
    buf_put_span(&b, w->add);
    buf_put_str(&b, slash ? "/" : "");
    buf_put_span(&b, tail);
    *out = buf_span(&b);
    return ERR_OK;
}
