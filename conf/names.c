#include "conf/check.h"

#include "base/near.h"

#include <stdlib.h>

bool names_init(struct names *names, struct reader *r, size_t room)
{
    *names = (struct names){.room = room};
    names->entries = reader_zero(r, room + 1, sizeof *names->entries);
    return names->entries != NULL;
}

void names_add(struct names *names, struct span name, const void *thing,
               const struct conf_mark *mark)
{
    if (names->count < names->room)
        names->entries[names->count++] = (struct names_entry){name, thing, mark};
}

static int compare(const void *x, const void *y)
{
    const struct names_entry *a = x, *b = y;
    int by_name = span_cmp(a->name, b->name);
    if (by_name != 0)
        return by_name;
    if (a->mark->file != b->mark->file)
        return a->mark->file < b->mark->file ? -1 : 1;
    if (a->mark->line != b->mark->line)
        return a->mark->line < b->mark->line ? -1 : 1;
    return (a->mark->column > b->mark->column) - (a->mark->column < b->mark->column);
}

void names_sort(struct names *names)
{
    qsort(names->entries, names->count, sizeof *names->entries, compare);
}

static int compare_name(const void *key, const void *entry)
{
    const struct span *name = key;
    return span_cmp(*name, ((const struct names_entry *)entry)->name);
}

const void *names_find(const struct names *names, struct span name)
{
    const struct names_entry *e =
        bsearch(&name, names->entries, names->count, sizeof *names->entries, compare_name);
    return e != NULL ? e->thing : NULL;
}

struct span names_near(const struct names *names, struct span wanted)
{
    struct near near = near_to(wanted);
    for (size_t i = 0; i < names->count; i++)
        near_offer(&near, names->entries[i].name);
    return near.best;
}
