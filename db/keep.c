#include "db/keep.h"

#include "base/hash.h"

#define KEEP_HEAD "meridian-pools 1 "

/* One server a line: pool, address, weight, site, desired, with tabs between them; none of them can
 * hold a tab. Before them a line with the checksum of all that follows. */
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
    enum err e = set != NULL ? ERR_OK : ERR_NO_MEMORY;
    while (e == ERR_OK && body.n != 0) {
        struct span line;
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
