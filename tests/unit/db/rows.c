#include "rows.h"

struct row_set *rows_of(const char *lines)
{
    struct row_set *set = row_set_new(100);
    struct span rest = span_str(lines);
    enum err e = set != NULL ? ERR_OK : ERR_NO_MEMORY;
    while (e == ERR_OK && rest.n != 0) {
        struct span line, c[ROW_COLUMNS];
        rest = span_cut(rest, '\n', &line);
        for (int i = 0; i < ROW_COLUMNS; i++)
            line = span_cut(line, ' ', &c[i]);
        e = row_set_add(set, c);
    }
    if (e != ERR_OK)
        row_set_free(&set);
    else
        row_set_settle(set);
    return set;
}
