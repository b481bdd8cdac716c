/* ctl_table: rows of text in columns, for people. Cells come from a server: control bytes are
 * replaced, so that no name steers the terminal (RELIABILITY F32). Pure. */
#ifndef MERIDIAN_ADMIN_CTL_TABLE_H
#define MERIDIAN_ADMIN_CTL_TABLE_H

#include "base/arena.h"
#include "base/buf.h"

#define CTL_COLUMNS 12

/* What becomes of a column where the table is too wide. */
enum ctl_fit {
    CTL_WHOLE,
    CTL_BELOW, /* words: each on a line of its own below its row; these go first */
    CTL_SPARE, /* then these are left out; programs have them in the JSON */
    CTL_CUT,   /* and these are cut in their middle */
};

struct ctl_column {
    const char *title;
    bool right; /* numbers */
    enum ctl_fit fit;
};

struct ctl_row {
    struct ctl_row *next;
    struct span cells[CTL_COLUMNS];
};

struct ctl_table {
    struct arena *arena; /* of rows; cells are borrowed or in it too */
    const struct ctl_column *columns;
    size_t column_count; /* at most CTL_COLUMNS */
    struct ctl_row *first, **last;
};

void ctl_table_init(struct ctl_table *t, struct arena *arena, const struct ctl_column *columns,
                    size_t count);
/* The cells of a new row, all empty; NULL without memory. */
struct span *ctl_table_row(struct ctl_table *t);
/* Writes it without columns that are empty in all rows, as its columns say where lines would have
 * more than `width` characters (0: no bound); of those that are cut the widest first. */
void ctl_table_print(const struct ctl_table *t, size_t width, struct buf *out);

/* s without control characters; line feeds stay where `lines`. */
void ctl_put_clean(struct buf *out, struct span s, bool lines);

#endif
