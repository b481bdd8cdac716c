#include "http/msg.h"

enum { FIELDS_FIRST = 16 };

enum err fields_grow(struct fields *f, struct arena *a)
{
    size_t cap = f->cap == 0 ? FIELDS_FIRST : f->cap * 2;
    struct field *v = arena_take(a, cap * sizeof(*v));
    if (v == NULL) {
        return ERR_NO_MEMORY;
    }
    if (f->n > 0) {
        memcpy(v, f->v, f->n * sizeof(*v));
    }
    f->v = v;
    f->cap = cap;
    return ERR_OK;
}

enum err fields_put(struct fields *f, struct arena *a, enum field_id id, struct span value)
{
    return fields_add(f, a, id, field_name(id), value);
}

const struct field *fields_get(const struct fields *f, enum field_id id)
{
    for (size_t i = 0; i < f->n; i++) {
        if (f->v[i].id == id) {
            return &f->v[i];
        }
    }
    return NULL;
}

const struct field *fields_find(const struct fields *f, struct span lower_name)
{
    enum field_id id = field_id_of(lower_name);
    if (id != FIELD_OTHER) {
        return fields_get(f, id);
    }
    for (size_t i = 0; i < f->n; i++) {
        if (f->v[i].id == FIELD_OTHER && span_eq(f->v[i].name, lower_name)) {
            return &f->v[i];
        }
    }
    return NULL;
}

size_t fields_count(const struct fields *f, enum field_id id)
{
    size_t count = 0;
    for (size_t i = 0; i < f->n; i++) {
        count += f->v[i].id == id;
    }
    return count;
}

void fields_remove(struct fields *f, enum field_id id)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->n; i++) {
        if (f->v[i].id != id) {
            f->v[kept++] = f->v[i];
        }
    }
    f->n = kept;
}

void fields_strip(struct fields *f)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->n; i++) {
        enum field_id id = f->v[i].id;
        if (f->v[i].name.n > 0 && !field_is_hop(id) && !field_is_framing(id)) {
            f->v[kept++] = f->v[i];
        }
    }
    f->n = kept;
}

void fields_keep_trailers(struct fields *f)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->n; i++) {
        if (field_may_trail(f->v[i].id)) {
            f->v[kept++] = f->v[i];
        }
    }
    f->n = kept;
}

bool fields_have_digest(const struct fields *f)
{
    for (size_t i = 0; i < f->n; i++) {
        if (f->v[i].id == FIELD_OTHER && field_is_digest(f->v[i].name)) {
            return true;
        }
    }
    return false;
}

bool fields_promise_digest(const struct fields *f)
{
    for (size_t i = 0; i < f->n; i++) {
        struct span rest = f->v[i].value, name;
        if (f->v[i].id != FIELD_TRAILER) {
            continue;
        }
        while (rest.n > 0) {
            rest = span_cut(rest, ',', &name);
            if (field_is_digest(span_trim(name))) {
                return true;
            }
        }
    }
    return false;
}

enum method method_parse(struct span name)
{
    static const struct span names[METHOD_OTHER] = {
        [METHOD_GET] = {"GET", 3},         [METHOD_HEAD] = {"HEAD", 4},
        [METHOD_POST] = {"POST", 4},       [METHOD_PUT] = {"PUT", 3},
        [METHOD_PATCH] = {"PATCH", 5},     [METHOD_DELETE] = {"DELETE", 6},
        [METHOD_OPTIONS] = {"OPTIONS", 7}, [METHOD_CONNECT] = {"CONNECT", 7},
        [METHOD_TRACE] = {"TRACE", 5},
    };
    for (unsigned m = 0; m < METHOD_OTHER; m++) {
        if (span_eq(names[m], name)) {
            return (enum method)m;
        }
    }
    return METHOD_OTHER;
}
