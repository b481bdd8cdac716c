#include "admin/ctl_table.h"

#define GAP        2
#define FLEX_LEAST 8

void ctl_table_init(struct ctl_table *t, struct arena *arena, const struct ctl_column *columns,
                    size_t count)
{
    *t = (struct ctl_table){.arena = arena, .columns = columns, .column_count = count};
    t->last = &t->first;
}

struct span *ctl_table_row(struct ctl_table *t)
{
    struct ctl_row *row = arena_zero(t->arena, sizeof *row);
    if (row == NULL) {
        return NULL;
    }
    *t->last = row;
    t->last = &row->next;
    return row->cells;
}

/* The length of the UTF-8 sequence at s, 1 where there is none. */
static size_t char_bytes(struct span s)
{
    unsigned char c = (unsigned char)s.p[0];
    size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
    return n <= s.n ? n : 1;
}

static size_t char_count(struct span s)
{
    size_t n = 0;
    for (; s.n > 0; s = span_sub(s, char_bytes(s), s.n)) {
        n++;
    }
    return n;
}

/* C0, DEL and C1. */
static bool is_control(struct span s)
{
    unsigned char c = (unsigned char)s.p[0];
    return c < 0x20 || c == 0x7f || (c == 0xc2 && s.n > 1 && (unsigned char)s.p[1] < 0xa0);
}

/* At most `most` characters; the last is an ellipsis where there are more. */
static void put_cut(struct buf *out, struct span s, size_t most, bool lines)
{
    for (size_t n = 0; s.n > 0; n++) {
        size_t bytes = char_bytes(s);
        if (n + 1 == most && s.n > bytes) {
            buf_put_str(out, "…");
            return;
        }
        if (is_control(s) && !(lines && s.p[0] == '\n')) {
            buf_put_char(out, '?');
        } else {
            buf_put(out, s.p, bytes);
        }
        s = span_sub(s, bytes, s.n);
    }
}

void ctl_put_clean(struct buf *out, struct span s, bool lines)
{
    put_cut(out, s, SIZE_MAX, lines);
}

/* widths[i] 0: the column is empty and not shown. */
static size_t measure(const struct ctl_table *t, size_t *widths)
{
    size_t total = 0;
    for (size_t i = 0; i < t->column_count; i++) {
        widths[i] = 0;
        for (const struct ctl_row *r = t->first; r != NULL; r = r->next) {
            size_t n = char_count(r->cells[i]);
            widths[i] = n > widths[i] ? n : widths[i];
        }
        size_t title = strlen(t->columns[i].title);
        if (widths[i] > 0 || t->first == NULL) {
            widths[i] = widths[i] > title ? widths[i] : title;
            total += widths[i] + (total > 0 ? GAP : 0);
        }
    }
    return total;
}

static void shrink(const struct ctl_table *t, size_t *widths, size_t total, size_t width)
{
    while (width != 0 && total > width) {
        size_t *widest = NULL;
        for (size_t i = 0; i < t->column_count; i++) {
            if (t->columns[i].flex && widths[i] > FLEX_LEAST &&
                (widest == NULL || widths[i] > *widest)) {
                widest = &widths[i];
            }
        }
        if (widest == NULL) {
            return;
        }
        --*widest;
        total--;
    }
}

static void put_blanks(struct buf *out, size_t n)
{
    buf_printf(out, "%*s", (int)n, "");
}

static void put_line(const struct ctl_table *t, const struct span *cells, const size_t *widths,
                     struct buf *out)
{
    size_t blanks = 0;
    for (size_t i = 0; i < t->column_count; i++) {
        if (widths[i] == 0) {
            continue;
        }
        size_t n = char_count(cells[i]);
        size_t pad = n < widths[i] ? widths[i] - n : 0;
        put_blanks(out, blanks + (t->columns[i].right ? pad : 0));
        put_cut(out, cells[i], widths[i], false);
        /* Blanks are written only before something that follows. */
        blanks = GAP + (t->columns[i].right ? 0 : pad);
    }
    buf_put_char(out, '\n');
}

void ctl_table_print(const struct ctl_table *t, size_t width, struct buf *out)
{
    size_t widths[CTL_COLUMNS];
    struct span titles[CTL_COLUMNS];
    shrink(t, widths, measure(t, widths), width);
    for (size_t i = 0; i < t->column_count; i++) {
        titles[i] = span_str(t->columns[i].title);
    }
    put_line(t, titles, widths, out);
    for (const struct ctl_row *r = t->first; r != NULL; r = r->next) {
        put_line(t, r->cells, widths, out);
    }
}
