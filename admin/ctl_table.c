#include "admin/ctl_table.h"

#define GAP       2
#define CUT_LEAST 8
#define INDENT    4 /* of what stands below its row */

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

static void put_char(struct buf *out, struct span s, size_t bytes, bool lines)
{
    if (is_control(s) && !(lines && s.p[0] == '\n')) {
        buf_put_char(out, '?');
    } else {
        buf_put(out, s.p, bytes);
    }
}

void ctl_put_clean(struct buf *out, struct span s, bool lines)
{
    while (s.n > 0) {
        size_t bytes = char_bytes(s);
        put_char(out, s, bytes, lines);
        s = span_sub(s, bytes, s.n);
    }
}

/* At most `most` characters. Where there are more, an ellipsis stands for those in the middle:
 * names and addresses differ at their ends. */
static void put_cut(struct buf *out, struct span s, size_t most)
{
    size_t n = char_count(s), left_out = n > most ? n - most + 1 : 0, from = (n - left_out) / 2;
    for (size_t i = 0; s.n > 0; i++) {
        size_t bytes = char_bytes(s);
        if (left_out != 0 && i == from) {
            buf_put_str(out, "…");
        }
        if (i < from || i >= from + left_out) {
            put_char(out, s, bytes, false);
        }
        s = span_sub(s, bytes, s.n);
    }
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

/* Takes columns of one kind out of the lines, the last ones first. Returns the rest's width. */
static size_t take_out(const struct ctl_table *t, enum ctl_fit kind, size_t *widths, size_t total,
                       size_t width)
{
    for (size_t i = t->column_count; i-- > 0 && width != 0 && total > width;) {
        if (t->columns[i].fit == kind && widths[i] > 0 && widths[i] + GAP < total) {
            total -= widths[i] + GAP;
            widths[i] = 0;
        }
    }
    return total;
}

static void cut(const struct ctl_table *t, size_t *widths, size_t total, size_t width)
{
    while (width != 0 && total > width) {
        size_t *widest = NULL;
        for (size_t i = 0; i < t->column_count; i++) {
            if (t->columns[i].fit == CTL_CUT && widths[i] > CUT_LEAST &&
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
        if (n == 0) {
            blanks += pad + GAP;
            continue;
        }
        put_blanks(out, blanks + (t->columns[i].right ? pad : 0));
        put_cut(out, cells[i], widths[i]);
        /* Blanks are written only before something that follows. */
        blanks = GAP + (t->columns[i].right ? 0 : pad);
    }
    buf_put_char(out, '\n');
}

/* Words in lines of at most `width` characters; a longer word has a line of its own. */
static void put_words(struct span words, size_t width, struct buf *out)
{
    size_t at = 0;
    while (words.n > 0) {
        struct span word;
        words = span_cut(words, ' ', &word);
        size_t n = char_count(word);
        bool fits = at != 0 && at + 1 + n <= width;
        if (!fits) {
            buf_put_str(out, at != 0 ? "\n" : "");
            put_blanks(out, INDENT);
            at = INDENT;
        } else {
            buf_put_char(out, ' ');
            at++;
        }
        ctl_put_clean(out, word, false);
        at += n;
    }
    buf_put_char(out, '\n');
}

static void put_below(const struct ctl_table *t, const struct ctl_row *r, const size_t *widths,
                      size_t width, struct buf *out)
{
    for (size_t i = 0; i < t->column_count; i++) {
        if (t->columns[i].fit == CTL_BELOW && widths[i] == 0 && r->cells[i].n > 0) {
            put_words(r->cells[i], width, out);
        }
    }
}

void ctl_table_print(const struct ctl_table *t, size_t width, struct buf *out)
{
    size_t widths[CTL_COLUMNS];
    struct span titles[CTL_COLUMNS];
    size_t total = measure(t, widths);
    total = take_out(t, CTL_BELOW, widths, total, width);
    total = take_out(t, CTL_SPARE, widths, total, width);
    cut(t, widths, total, width);
    for (size_t i = 0; i < t->column_count; i++) {
        titles[i] = span_str(t->columns[i].title);
    }
    put_line(t, titles, widths, out);
    for (const struct ctl_row *r = t->first; r != NULL; r = r->next) {
        put_line(t, r->cells, widths, out);
        put_below(t, r, widths, width, out);
    }
}
