#include "db/keep.h"

#include "base/hash.h"

#define KEEP_HEAD "meridian-pools 2 "

/* After a line with the checksum of all that follows: which database has said it, and when; then
 * one server a line: pool, address, weight, site, desired, with tabs between them. None of them can
 * hold a tab. */
static void print_rows(const struct row_set *set, struct buf *out)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct row *r = &set->rows[i];
        buf_printf(out, "%.*s\t%.*s\t%u\t%.*s\t%s\n", SPAN_FMT(r->pool), SPAN_FMT(r->address),
                   r->weight, SPAN_FMT(r->site), row_desired_name(r->desired));
    }
}

void keep_print(const struct row_set *set, struct buf *out)
{
    struct buf body;
    buf_init(&body, KEEP_MOST);
    buf_printf(&body, "%.*s\t%lld\n", SPAN_FMT(set->server), (long long)set->read_s);
    print_rows(set, &body);
    buf_printf(out, KEEP_HEAD "%016llx\n", (unsigned long long)hash_plain(buf_span(&body)));
    buf_put_span(out, buf_span(&body));
    out->failed = out->failed || body.failed;
    buf_fini(&body);
}

static enum err read_line(struct row_set *set, struct span line)
{
    struct span c[ROW_COLUMNS];
    for (int i = COLUMN_POOL; i <= COLUMN_DESIRED; i++)
        line = span_cut(line, '\t', &c[i]);
    c[COLUMN_TTL_MS] = SPAN("0");
    c[COLUMN_LAPSED] = c[COLUMN_EXPIRED] = SPAN("f");
    return row_set_add(set, c);
}

static enum err read_origin(struct row_set *set, struct span line)
{
    struct span server;
    uint64_t read_s;
    struct span rest = span_cut(line, '\t', &server);
    if (span_u64(rest, &read_s) != ERR_OK || read_s > INT64_MAX)
        return ERR_CORRUPT;
    set->read_s = (int64_t)read_s;
    set->server = server.n != 0 ? arena_copy(&set->arena, server) : SPAN("");
    return set->server.p != NULL ? ERR_OK : ERR_NO_MEMORY;
}

enum err keep_read(struct span text, struct row_set **out)
{
    struct span head;
    struct span body = span_cut(text, '\n', &head);
    uint64_t sum;
    *out = NULL;
    if (!span_starts(head, SPAN(KEEP_HEAD)) ||
        span_hex_u64(span_sub(head, sizeof KEEP_HEAD - 1, head.n), &sum) != ERR_OK ||
        sum != hash_plain(body))
        return ERR_CORRUPT;
    struct row_set *set = row_set_new(ROWS_MOST);
    struct span line;
    body = span_cut(body, '\n', &line);
    enum err e = set != NULL ? read_origin(set, line) : ERR_NO_MEMORY;
    while (e == ERR_OK && body.n != 0) {
        body = span_cut(body, '\n', &line);
        e = read_line(set, line);
    }
    if (e != ERR_OK) {
        row_set_free(&set);
        return e;
    }
    row_set_settle(set);
    *out = set;
    return ERR_OK;
}
