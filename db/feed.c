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

void feed_disconnected(struct feed *f)
{
    f->same = false;
}

void feed_forget(struct feed *f)
{
    buf_clear(&f->at);
    f->server_n = 0;
    f->next = 0;
    f->same = false;
}

/* "xmin:xmax:xid,xid". */
static enum err read_snapshot(struct span snapshot, uint64_t *xmin, uint64_t *xmax)
{
    struct span first, second;
    struct span rest = span_cut(snapshot, ':', &first);
    (void)span_cut(rest, ':', &second);
    enum err e = span_u64(first, xmin);
    return e == ERR_OK ? span_u64(second, xmax) : e;
}

/* False: there are too many to tell. */
static bool mark_all(struct tags *t, struct span tags)
{
    for (size_t n = 0; tags.n != 0; n++) {
        struct span tag;
        tags = span_cut(tags, '\n', &tag);
        if (n == FEED_TAGS_MOST)
            return false;
        tags_mark(t, tag);
    }
    return true;
}

/* A flush is one mark for all tags. */
static void publish(struct tags *t, struct span tags, enum feed_news *news)
{
    if (*news == FEED_NOTHING)
        return;
    if (*news == FEED_CHANGED && !mark_all(t, tags))
        *news = FEED_FLUSHED;
    if (*news == FEED_FLUSHED)
        tags_flush(t);
    tags_publish(t);
}

/* Restored from a backup, a database may be the same by name; its transactions have other numbers.
 */
static bool is_same(const struct feed *f, const struct feed_answer *a, uint64_t xmax)
{
    bool known = a->server.n != 0;
    bool eq = span_eq(a->server, span_of(f->server, f->server_n));
    return f->same ? eq || !known : eq && known && xmax >= f->next;
}

static bool goes_on(const struct feed *f, const struct feed_answer *a, uint64_t floor,
                    uint64_t xmax)
{
    uint64_t xmin, next;
    return feed_began(f) && is_same(f, a, xmax) &&
           read_snapshot(span_str(feed_snapshot(f)), &xmin, &next) == ERR_OK && xmin >= floor;
}

enum err feed_apply(struct feed *f, const struct feed_answer *a, struct tags *tags,
                    enum feed_news *news)
{
    uint64_t floor, xmin, xmax;
    if (read_snapshot(a->now_at, &xmin, &xmax) != ERR_OK || span_u64(a->floor, &floor) != ERR_OK ||
        a->server.n > FEED_SERVER_MOST)
        return ERR_SYNTAX;
    *news = !goes_on(f, a, floor, xmax) ? FEED_FLUSHED
            : a->tags.n != 0            ? FEED_CHANGED
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
    f->next = xmax;
    f->same = true;
    publish(tags, a->tags, news);
    return ERR_OK;
}
