#include "proxy/compress.h"

#include "base/buf.h"
#include "base/mem.h"

#include <zlib.h>

/* Together 96 KiB of memory for a stream (zlib.h, "memory requirements"). */
#define WINDOW_BITS (14 + 16) /* 16: with the header and trailer of gzip */
#define MEMORY      6
#define LEVEL       1
#define PIECE       4096

struct compress_stream {
    z_stream z;
    struct compress_stream *next; /* in the store */
};

static bool has_token(const struct fields *f, enum field_id id, struct span token)
{
    for (size_t i = 0; i < f->n; i++) {
        struct span rest = f->v[i].value, item;
        if (f->v[i].id != id)
            continue;
        while (rest.n > 0) {
            rest = span_cut(rest, ',', &item);
            if (span_eq_nocase(span_trim(item), token))
                return true;
        }
    }
    return false;
}

static bool has_digest(const struct fields *f)
{
    static const char *const names[] = {"content-md5", "digest", "content-digest", "repr-digest"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (fields_find(f, span_str(names[i])) != NULL)
            return true;
    }
    return false;
}

static bool has_type(const struct compress_rule *rule, const struct fields *f)
{
    const struct field *field = fields_get(f, FIELD_CONTENT_TYPE);
    struct span type;
    if (field == NULL)
        return false;
    (void)span_cut(field->value, ';', &type);
    for (size_t i = 0; i < rule->type_count; i++) {
        if (span_eq_nocase(span_trim(type), rule->types[i]))
            return true;
    }
    return false;
}

/* "gzip;q=0" and its like refuse. */
static bool refused(struct span parameters)
{
    struct span one, name;
    while (parameters.n > 0) {
        parameters = span_cut(parameters, ';', &one);
        struct span value = span_trim(span_cut(span_trim(one), '=', &name));
        if (!span_eq_nocase(span_trim(name), SPAN("q")))
            continue;
        size_t i = 0;
        while (i < value.n && (value.p[i] == '0' || value.p[i] == '.'))
            i++;
        return i == value.n;
    }
    return false;
}

/* RFC 9110 section 12.5.3: gzip by name, else by "*". */
static bool accepts_gzip(const struct fields *f)
{
    bool any = false;
    for (size_t i = 0; i < f->n; i++) {
        struct span rest = f->v[i].value, item, coding;
        if (f->v[i].id != FIELD_ACCEPT_ENCODING)
            continue;
        while (rest.n > 0) {
            rest = span_cut(rest, ',', &item);
            struct span parameters = span_cut(item, ';', &coding);
            coding = span_trim(coding);
            if (span_eq_nocase(coding, SPAN("gzip")) || span_eq_nocase(coding, SPAN("x-gzip")))
                return !refused(parameters);
            any = any || (span_eq(coding, SPAN("*")) && !refused(parameters));
        }
    }
    return any;
}

enum compress_verdict compress_judge(const struct compress_rule *rule, const struct request *in,
                                     const struct reply *r)
{
    const struct fields *f = &r->fields;
    bool bare = r->status < 200 || r->status == 204 || r->status == 206 || r->status == 304;
    if (bare || r->upgraded || !has_type(rule, f) || (r->has_length && r->length < rule->minimum))
        return COMPRESS_NO;
    if (fields_get(f, FIELD_CONTENT_ENCODING) != NULL || has_digest(f) ||
        has_token(f, FIELD_CACHE_CONTROL, SPAN("no-transform")))
        return COMPRESS_NO;
    bool can = r->content != CONTENT_NONE && in->version != VERSION_1_0;
    return can && accepts_gzip(&in->fields) ? COMPRESS_YES : COMPRESS_VARY;
}

static enum err weaken_etag(struct fields *f, struct arena *arena)
{
    const struct field *etag = fields_get(f, FIELD_ETAG);
    if (etag == NULL || span_starts(etag->value, SPAN("W/")))
        return ERR_OK;
    char *weak = arena_printf(arena, "W/%.*s", SPAN_FMT(etag->value));
    if (weak == NULL)
        return ERR_NO_MEMORY;
    fields_remove(f, FIELD_ETAG);
    return fields_put(f, arena, FIELD_ETAG, span_str(weak));
}

enum err compress_head(struct reply *r, enum compress_verdict verdict, struct arena *arena)
{
    struct fields *f = &r->fields;
    enum err e = ERR_OK;
    if (!has_token(f, FIELD_VARY, SPAN("accept-encoding")) && !has_token(f, FIELD_VARY, SPAN("*")))
        e = fields_put(f, arena, FIELD_VARY, SPAN("Accept-Encoding"));
    if (e != ERR_OK || verdict != COMPRESS_YES)
        return e;
    r->has_length = false;
    r->content = CONTENT_STREAM;
    fields_remove(f, FIELD_ACCEPT_RANGES);
    e = weaken_etag(f, arena);
    return e == ERR_OK ? fields_put(f, arena, FIELD_CONTENT_ENCODING, SPAN("gzip")) : e;
}

static void *take_memory(void *user, unsigned count, unsigned size)
{
    (void)user;
    return mem_array(count, size);
}

static void give_memory(void *user, void *p)
{
    (void)user;
    mem_free(p);
}

static struct compress_stream *new_stream(void)
{
    struct compress_stream *s = mem_alloc(sizeof *s);
    if (s == NULL)
        return NULL;
    s->z.zalloc = take_memory;
    s->z.zfree = give_memory;
    if (deflateInit2(&s->z, LEVEL, Z_DEFLATED, WINDOW_BITS, MEMORY, Z_DEFAULT_STRATEGY) == Z_OK)
        return s;
    mem_free(s);
    return NULL;
}

struct compress_stream *compress_begin(struct compress_store *store)
{
    struct compress_stream *s = store->spare;
    if (store->used >= COMPRESS_MOST)
        return NULL;
    if (s != NULL) {
        store->spare = s->next;
        store->kept--;
    } else {
        s = new_stream();
    }
    store->used += s != NULL;
    return s;
}

enum err compress_put(struct compress_stream *s, struct span bytes, bool last,
                      void (*put)(void *user, struct span bytes), void *user)
{
    char piece[PIECE];
    s->z.next_in = (z_const Bytef *)(uintptr_t)bytes.p;
    s->z.avail_in = (unsigned)bytes.n;
    do {
        s->z.next_out = (Bytef *)piece;
        s->z.avail_out = sizeof piece;
        int result = deflate(&s->z, last ? Z_FINISH : Z_SYNC_FLUSH);
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
            return ERR_INTERNAL;
        if (s->z.avail_out < sizeof piece)
            put(user, span_of(piece, sizeof piece - s->z.avail_out));
    } while (s->z.avail_out == 0);
    return ERR_OK;
}

static void free_stream(struct compress_stream *s)
{
    (void)deflateEnd(&s->z);
    mem_free(s);
}

void compress_end(struct compress_store *store, struct compress_stream **sp)
{
    struct compress_stream *s = *sp;
    *sp = NULL;
    if (s == NULL)
        return;
    store->used--;
    if (store->kept >= COMPRESS_KEPT || deflateReset(&s->z) != Z_OK) {
        free_stream(s);
        return;
    }
    s->next = store->spare;
    store->spare = s;
    store->kept++;
}

void compress_store_fini(struct compress_store *store)
{
    while (store->spare != NULL) {
        struct compress_stream *s = store->spare;
        store->spare = s->next;
        free_stream(s);
    }
    store->kept = 0;
}

const char *compress_library_version(void)
{
    return zlibVersion();
}
