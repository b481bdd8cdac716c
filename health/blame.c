#include "health/blame.h"

#include "base/json_read.h"
#include "base/limits.h"

#define MEMORY_MOST MIB(1) /* of LIMIT_CHECK_BODY_MOST, unless it is nothing but brackets */

bool blame_is_type(struct span content_type)
{
    struct span type;
    (void)span_cut(content_type, ';', &type);
    return span_eq_nocase(span_trim(type), SPAN("application/health+json"));
}

/* Section 3.1 of the draft, with the aliases that it names. */
static bool is_failure(struct span status)
{
    return span_eq_nocase(status, SPAN("fail")) || span_eq_nocase(status, SPAN("error")) ||
           span_eq_nocase(status, SPAN("down"));
}

static bool is_named(struct span key, struct span name)
{
    return span_eq(key, name) || (span_starts(key, name) && key.n > name.n && key.p[name.n] == ':');
}

/* The value of a check is a list of measurements, one for each node; one that fails suffices. */
static bool fails(const struct json_value *check)
{
    if (check->type != JSON_ARRAY)
        return is_failure(json_get_text(check, "status"));
    for (const struct json_value *v = check->first; v != NULL; v = v->next) {
        if (is_failure(json_get_text(v, "status")))
            return true;
    }
    return false;
}

static uint32_t read_checks(const struct json_value *checks, const struct span *names, size_t n)
{
    uint32_t blamed = 0;
    if (checks == NULL || checks->type != JSON_OBJECT)
        return 0;
    for (const struct json_value *c = checks->first; c != NULL; c = c->next) {
        for (size_t i = 0; i < n && i < BLAME_MOST; i++) {
            if (is_named(c->name, names[i]) && fails(c))
                blamed |= UINT32_C(1) << i;
        }
    }
    return blamed;
}

enum err blame_read(struct span content, const struct span *names, size_t n, uint32_t *out)
{
    struct arena arena;
    const struct json_value *root;
    *out = 0;
    arena_init(&arena, NULL, KIB(4), MEMORY_MOST);
    enum err e = json_read(content, &arena, &root);
    if (e == ERR_OK)
        *out = read_checks(json_get(root, "checks"), names, n);
    arena_reset(&arena);
    return e;
}
