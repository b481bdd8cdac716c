#include "db/feed.h"

#include "base/limits.h"

void feed_init(struct feed *f)
{
    *f = (struct feed){.server_n = 0};
    buf_init(&f->at, FEED_SNAPSHOT_MOST);
}

void feed_fini(struct feed *f)
{
    buf_fini(&f->at);
}

const char *feed_snapshot(const struct feed *f)
{
    return f->at.p + f->at.at;
}

void feed_forget(struct feed *f)
{
    buf_clear(&f->at);
    f->server_n = 0;
}

/* xmin of "xmin:xmax:xid,xid". */
static enum err oldest(struct span snapshot, uint64_t *out)
{
    struct span head, xmax;
    struct span rest = span_cut(snapshot, ':', &head);
    uint64_t most;
    (void)span_cut(rest, ':', &xmax);
    enum err e = span_u64(head, out);
    return e == ERR_OK ? span_u64(xmax, &most) : e;
}

/* A tag is meant by itself and by a wildcard above it. */
static bool means(struct span tag, struct span prefix)
{
    if (tag.n == 0)
        return false;
    return tag.p[tag.n - 1] == '*'
               ? span_starts(prefix, span_sub(tag, 0, tag.n - 1)) || span_starts(tag, prefix)
               : span_starts(tag, prefix);
}

static bool any_meant(struct span tags, struct span prefix)
{
    while (tags.n != 0) {
        struct span tag;
        tags = span_cut(tags, '\n', &tag);
        if (means(tag, prefix))
            return true;
    }
    return false;
}

static bool resumes(const struct feed *f, const struct feed_answer *a, uint64_t floor)
{
    uint64_t xmin;
    return feed_began(f) && a->server.n != 0 &&
           span_eq(a->server, span_of(f->server, f->server_n)) &&
           oldest(span_str(feed_snapshot(f)), &xmin) == ERR_OK && xmin >= floor;
}

enum err feed_apply(struct feed *f, const struct feed_answer *a, struct span prefix,
                    enum feed_news *news)
{
    uint64_t floor, xmin;
    if (oldest(a->now_at, &xmin) != ERR_OK || span_u64(a->floor, &floor) != ERR_OK ||
        a->server.n > FEED_SERVER_MOST)
        return ERR_SYNTAX;
    *news = !resumes(f, a, floor)        ? FEED_FLUSHED
            : any_meant(a->tags, prefix) ? FEED_CHANGED
                                         : FEED_NOTHING;
    buf_clear(&f->at);
    buf_put_span(&f->at, a->now_at);
    buf_put_char(&f->at, '\0');
    if (f->at.failed) {
        feed_forget(f);
        return ERR_NO_MEMORY;
    }
    if (a->server.n != 0)
        memcpy(f->server, a->server.p, a->server.n);
    f->server_n = a->server.n;
    return ERR_OK;
}
