/* SEES: admin health http net pick base
 * What the control socket and the admin interface take as a command: whatever it is, reading ends
 * within its bounds, and what was read is a tree of what the input says: strings without NUL,
 * members with different names, numbers that are finite (L40, F30). */
#include "base/json_read.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEPTH_MOST = 64, MEMORY_MOST = 1 << 20 };

static void must(bool fine)
{
    if (!fine)
        abort();
}

static void walk(const struct json_value *v, unsigned depth)
{
    size_t count = 0;
    must(depth < DEPTH_MOST && v->type <= JSON_OBJECT);
    must(v->type != JSON_STRING || v->text.n == 0 || memchr(v->text.p, '\0', v->text.n) == NULL);
    must(v->type != JSON_NUMBER || (isfinite(v->number) && v->text.n > 0));
    for (const struct json_value *m = v->first; m != NULL; m = m->next) {
        for (const struct json_value *k = v->first; v->type == JSON_OBJECT && k != m; k = k->next)
            must(!span_eq(k->name, m->name));
        walk(m, depth + 1);
        count++;
    }
    must(count == v->count && (count == 0 || v->type >= JSON_ARRAY));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    const struct json_value *v = NULL;
    arena_init(&arena, NULL, 4096, MEMORY_MOST);
    enum err e = json_read(span_of((const char *)data, size), &arena, &v);
    must(e == ERR_OK || e == ERR_SYNTAX || e == ERR_RANGE || e == ERR_NO_MEMORY);
    if (e == ERR_OK) {
        must(v != NULL);
        walk(v, 0);
        (void)json_get_text(v, "command");
        (void)json_get_number(v, "weight");
        (void)json_get_bool(v, "force");
    }
    arena_reset(&arena);
    return 0;
}
