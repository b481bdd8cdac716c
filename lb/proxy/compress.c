#include "proxy/compress.h"

#include "base/mem.h"

struct compress_stream {
    enum coding coding;
    void *stream;                 /* the library's */
    struct allowance *purse;      /* of the client, while it serves; NULL: it has none */
    size_t booked;                /* there */
    struct compress_stream *next; /* in the store */
    size_t gathered;
    char gather[COMPRESS_GATHER];
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

static bool has_type(const struct compress_rule *rule, const struct reply *r)
{
    const struct field *field = fields_get(&r->fields, FIELD_CONTENT_TYPE);
    struct span type;
    if (field == NULL)
        return r->status == 304; /* which need not repeat it */
    (void)span_cut(field->value, ';', &type);
    for (size_t i = 0; i < rule->type_count; i++) {
        if (span_eq_nocase(span_trim(type), rule->types[i]))
            return true;
    }
    return false;
}

enum compress_verdict compress_judge(const struct compress_rule *rule, const struct request *in,
                                     const struct reply *r, enum coding *coding)
{
    const struct fields *f = &r->fields;
    bool bare = r->status < 200 || r->status == 204 || r->status == 206, same = r->status == 304;
    bool small = !same && r->has_length && r->length < rule->minimum;
    if (bare || small || r->upgraded || !has_type(rule, r))
        return COMPRESS_NO;
    if (fields_get(f, FIELD_CONTENT_ENCODING) != NULL || fields_have_digest(f) ||
        r->digest_follows || has_token(f, FIELD_CACHE_CONTROL, SPAN("no-transform")))
        return COMPRESS_NO;
    bool can = (same || r->content != CONTENT_NONE) && in->version != VERSION_1_0;
    *coding = can ? coding_accepted(&in->fields) : CODING_COUNT;
    if (*coding == CODING_COUNT)
        return COMPRESS_VARY;
    return same ? COMPRESS_SAME : COMPRESS_YES;
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

static enum err put_vary(struct fields *f, struct arena *arena)
{
    if (has_token(f, FIELD_VARY, SPAN("accept-encoding")) || has_token(f, FIELD_VARY, SPAN("*")))
        return ERR_OK;
    return fields_put(f, arena, FIELD_VARY, SPAN("Accept-Encoding"));
}

enum err compress_same_head(struct reply *r, struct arena *arena)
{
    enum err e = put_vary(&r->fields, arena);
    return e == ERR_OK ? weaken_etag(&r->fields, arena) : e;
}

enum err compress_head(struct reply *r, const struct compress_stream *s, struct arena *arena)
{
    struct fields *f = &r->fields;
    enum err e = put_vary(f, arena);
    if (e != ERR_OK || s == NULL)
        return e;
    r->has_length = false;
    r->content = CONTENT_STREAM;
    fields_remove(f, FIELD_ACCEPT_RANGES);
    e = weaken_etag(f, arena);
    struct span name = span_str(coding_ops(s->coding)->name);
    return e == ERR_OK ? fields_put(f, arena, FIELD_CONTENT_ENCODING, name) : e;
}

static struct compress_stream *new_stream(enum coding coding)
{
    struct compress_stream *s = mem_alloc(sizeof *s);
    if (s == NULL)
        return NULL;
    s->coding = coding;
    s->stream = coding_ops(coding)->begin();
    if (s->stream != NULL)
        return s;
    mem_free(s);
    return NULL;
}

/* More than it has, if need be: it takes the rest when the first pieces come. */
static void book(struct compress_stream *s)
{
    const struct coding_ops *ops = coding_ops(s->coding);
    size_t has = ops->bytes(s->stream);
    allowance_book_coding(s->purse, &s->booked,
                          sizeof s->gather + (has > ops->takes ? has : ops->takes));
}

struct compress_stream *compress_begin(struct compress_store *store, enum coding coding,
                                       struct allowance *purse)
{
    struct compress_stream *s = store->spare[coding];
    if (store->used >= COMPRESS_MOST ||
        !allowance_may_code(purse, COMPRESS_GATHER + coding_ops(coding)->takes))
        return NULL;
    if (s != NULL) {
        store->spare[coding] = s->next;
        store->kept--;
    } else {
        s = new_stream(coding);
    }
    if (s == NULL)
        return NULL;
    store->used++;
    s->purse = purse;
    s->gathered = 0;
    book(s);
    return s;
}

static enum err encode(struct compress_stream *s, struct span bytes, bool last,
                       void (*put)(void *user, struct span bytes), void *user)
{
    struct coding_out out = {put, user};
    bool done = coding_ops(s->coding)->put(s->stream, bytes, last, &out);
    book(s);
    return done ? ERR_OK : ERR_INTERNAL;
}

enum err compress_put(struct compress_stream *s, struct span bytes,
                      void (*put)(void *user, struct span bytes), void *user)
{
    enum err e = ERR_OK;
    if (bytes.n > sizeof s->gather - s->gathered)
        e = compress_flush(s, false, put, user);
    if (e != ERR_OK || bytes.n == 0)
        return e;
    if (bytes.n >= sizeof s->gather)
        return encode(s, bytes, false, put, user);
    memcpy(s->gather + s->gathered, bytes.p, bytes.n);
    s->gathered += bytes.n;
    return ERR_OK;
}

bool compress_waits(const struct compress_stream *s)
{
    return s->gathered > 0;
}

enum err compress_flush(struct compress_stream *s, bool last,
                        void (*put)(void *user, struct span bytes), void *user)
{
    struct span waiting = span_of(s->gather, s->gathered);
    if (waiting.n == 0 && !last)
        return ERR_OK;
    s->gathered = 0;
    return encode(s, waiting, last, put, user);
}

enum err compress_trailers(const struct fields *trailers, struct arena *arena, struct fields *out)
{
    enum err e = ERR_OK;
    *out = (struct fields){0};
    for (size_t i = 0; i < trailers->n && e == ERR_OK; i++) {
        const struct field *one = &trailers->v[i];
        if (!field_is_digest(one->name))
            e = fields_add(out, arena, one->id, one->name, one->value);
    }
    return e;
}

static void free_stream(struct compress_stream *s)
{
    coding_ops(s->coding)->end(s->stream);
    mem_free(s);
}

void compress_end(struct compress_store *store, struct compress_stream **sp)
{
    struct compress_stream *s = *sp;
    *sp = NULL;
    if (s == NULL)
        return;
    store->used--;
    allowance_book_coding(s->purse, &s->booked, 0);
    s->purse = NULL;
    if (store->kept >= COMPRESS_KEPT || !coding_ops(s->coding)->reset(s->stream)) {
        free_stream(s);
        return;
    }
    s->next = store->spare[s->coding];
    store->spare[s->coding] = s;
    store->kept++;
}

void compress_store_fini(struct compress_store *store)
{
    for (int i = 0; i < CODING_COUNT; i++) {
        while (store->spare[i] != NULL) {
            struct compress_stream *s = store->spare[i];
            store->spare[i] = s->next;
            free_stream(s);
        }
    }
    store->kept = 0;
}
