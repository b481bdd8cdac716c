/* What is compressed, what its head says, and that it can be read again. */
#include "proxy/compress.h"

#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"
#include "check.h"

#include <zlib.h>

static struct arena arena;
static const struct span types[] = {SPAN("application/json"), SPAN("text/html")};
static const struct compress_rule rule = {types, 2, 1000};

struct given {
    const char *type, *accept, *name, *value; /* name: one more field of the answer */
    uint16_t status;
    uint64_t length;
    enum compress_verdict want;
};

static void add(struct fields *f, const char *name, const char *value)
{
    if (name != NULL && value != NULL)
        CHECK_INT(
            fields_add(f, &arena, field_id_of(span_str(name)), span_str(name), span_str(value)),
            ERR_OK);
}

static struct reply reply_of(const struct given *g)
{
    struct reply r = {.status = g->status != 0 ? g->status : 200,
                      .has_length = true,
                      .length = g->length != 0 ? g->length : 1000,
                      .content = CONTENT_LENGTH};
    add(&r.fields, "content-type", g->type);
    add(&r.fields, g->name, g->value);
    return r;
}

static struct request request_of(const char *accept)
{
    struct request r = {.version = VERSION_1_1};
    add(&r.fields, "accept-encoding", accept);
    return r;
}

TEST(compress, who_gets_it)
{
    static const struct given rows[] = {
        {"application/json", "gzip", .want = COMPRESS_YES},
        {"Application/JSON; charset=utf-8", "br, GZIP;q=0.5", .want = COMPRESS_YES},
        {"text/html", "*", .want = COMPRESS_YES},
        {"text/html", "x-gzip", .want = COMPRESS_YES},
        {"text/html", "gzip", .status = 404, .want = COMPRESS_YES},
        {"text/html", "gzip;q=0", .want = COMPRESS_VARY},
        {"text/html", "gzip; q=0.000, *", .want = COMPRESS_VARY},
        {"text/html", "*;q=0", .want = COMPRESS_VARY},
        {"text/html", "deflate, identity", .want = COMPRESS_VARY},
        {"text/html", "gzipped", .want = COMPRESS_VARY},
        {"text/html", NULL, .want = COMPRESS_VARY},
        {"text/htm", "gzip", .want = COMPRESS_NO},
        {NULL, "gzip", .want = COMPRESS_NO},
        {"text/html", "gzip", .length = 999, .want = COMPRESS_NO},
        {"text/html", "gzip", .status = 206, .want = COMPRESS_NO},
        {"text/html", "gzip", .status = 304, .want = COMPRESS_SAME},
        {NULL, "gzip", .status = 304, .want = COMPRESS_SAME},
        {NULL, NULL, .status = 304, .want = COMPRESS_VARY},
        {"text/htm", "gzip", .status = 304, .want = COMPRESS_NO},
        {NULL, "gzip", "cache-control", "no-transform", .status = 304, .want = COMPRESS_NO},
        {"text/html", "gzip", "content-encoding", "br", .want = COMPRESS_NO},
        {"text/html", "gzip", "cache-control", "max-age=1, No-Transform", .want = COMPRESS_NO},
        {"text/html", "gzip", "repr-digest", "sha-256=:x:", .want = COMPRESS_NO},
        {"text/html", "gzip", "content-md5", "x", .want = COMPRESS_NO},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        arena_init(&arena, NULL, 4096, 0);
        struct reply r = reply_of(&rows[i]);
        struct request in = request_of(rows[i].accept);
        enum coding coding;
        CHECK(compress_judge(&rule, &in, &r, &coding) == rows[i].want, "row %zu", i);
        arena_reset(&arena);
    }
}

TEST(compress, what_cannot_have_it)
{
    static const struct given good = {"text/html", "gzip", .want = COMPRESS_YES};
    arena_init(&arena, NULL, 4096, 0);
    struct reply r = reply_of(&good);
    struct request in = request_of("gzip");
    enum coding coding;
    in.version = VERSION_1_0;
    CHECK_INT(compress_judge(&rule, &in, &r, &coding), COMPRESS_VARY);
    in.version = VERSION_2;
    CHECK_INT(compress_judge(&rule, &in, &r, &coding), COMPRESS_YES);
    r.content = CONTENT_NONE; /* HEAD */
    CHECK_INT(compress_judge(&rule, &in, &r, &coding), COMPRESS_VARY);
    r.content = CONTENT_STREAM;
    r.has_length = false;
    r.length = 0;
    CHECK_INT(compress_judge(&rule, &in, &r, &coding), COMPRESS_YES);
    r.digest_follows = true;
    CHECK_INT(compress_judge(&rule, &in, &r, &coding), COMPRESS_NO);
    r.digest_follows = false;
    r.upgraded = true;
    CHECK_INT(compress_judge(&rule, &in, &r, &coding), COMPRESS_NO);
    arena_reset(&arena);
}

static struct span value(const struct reply *r, const char *name)
{
    const struct field *f = fields_find(&r->fields, span_str(name));
    return f != NULL ? f->value : SPAN("-");
}

/* RFC 9110 section 15.4.5: caches must find the answer that they have. */
TEST(compress, a_304_says_what_the_answer_said)
{
    static const struct given given = {NULL, "gzip", "etag", "\"a\"", .status = 304};
    arena_init(&arena, NULL, 4096, 0);
    struct reply r = reply_of(&given);
    CHECK_INT(compress_same_head(&r, &arena), ERR_OK);
    CHECK_SPAN(value(&r, "vary"), "Accept-Encoding");
    CHECK_SPAN(value(&r, "etag"), "W/\"a\"");
    CHECK_SPAN(value(&r, "content-encoding"), "-");
    CHECK_INT(compress_same_head(&r, &arena), ERR_OK);
    CHECK_INT(fields_count(&r.fields, FIELD_VARY), 1);
    arena_reset(&arena);
}

TEST(compress, the_head_says_so)
{
    static const struct given given = {"text/html", "gzip", "etag", "\"a\"", .want = COMPRESS_YES};
    arena_init(&arena, NULL, 4096, 0);
    struct reply r = reply_of(&given);
    add(&r.fields, "accept-ranges", "bytes");
    struct compress_store store = {0};
    struct compress_stream *stream = compress_begin(&store, CODING_GZIP, NULL);
    CHECK_INT(compress_head(&r, stream, &arena), ERR_OK);
    CHECK(!r.has_length && r.content == CONTENT_STREAM, "its length is told");
    CHECK_SPAN(value(&r, "content-encoding"), "gzip");
    CHECK_SPAN(value(&r, "vary"), "Accept-Encoding");
    CHECK_SPAN(value(&r, "etag"), "W/\"a\"");
    CHECK_SPAN(value(&r, "accept-ranges"), "-");
    CHECK_INT(compress_head(&r, NULL, &arena), ERR_OK);
    CHECK_INT(fields_count(&r.fields, FIELD_VARY), 1);
    r = reply_of(&given);
    add(&r.fields, "vary", "Origin, accept-encoding");
    CHECK_INT(compress_head(&r, NULL, &arena), ERR_OK);
    CHECK(r.has_length && r.content == CONTENT_LENGTH, "an answer as it is has lost its length");
    CHECK_SPAN(value(&r, "content-encoding"), "-");
    CHECK_SPAN(value(&r, "vary"), "Origin, accept-encoding");
    CHECK_SPAN(value(&r, "etag"), "\"a\"");
    compress_end(&store, &stream);
    compress_store_fini(&store);
    arena_reset(&arena);
}

struct reader {
    z_stream z;
    unsigned char out[KIB(256)];
    int result;
};

static void inflate_piece(void *user, struct span bytes)
{
    struct reader *r = user;
    CHECK(bytes.n > 0, "an empty piece");
    r->z.next_in = (z_const Bytef *)(uintptr_t)bytes.p;
    r->z.avail_in = (unsigned)bytes.n;
    r->result = inflate(&r->z, Z_SYNC_FLUSH);
    CHECK(r->result == Z_OK || r->result == Z_STREAM_END, "inflate says %d", r->result);
}

static struct reader *reader_new(void)
{
    struct reader *r = mem_alloc(sizeof *r);
    CHECK(r != NULL, "no memory");
    r->z.next_out = r->out;
    r->z.avail_out = sizeof r->out;
    CHECK_INT(inflateInit2(&r->z, 15 + 16), Z_OK);
    return r;
}

static void reader_free(struct reader *r)
{
    inflateEnd(&r->z);
    mem_free(r);
}

/* Each piece can be read at once, whatever its size, and the same stream serves again. */
TEST(compress, pieces_arrive)
{
    static char text[KIB(64)];
    static const size_t sizes[] = {1, 17, 4096, 0, KIB(40), KIB(16)};
    struct compress_store store = {0};
    struct rng rng;
    rng_seed(&rng, 1);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i < KIB(32) ? 'a' : (int)rng_below(&rng, 256)); /* half cannot shrink */
    for (int round = 0; round < 3; round++) {
        struct reader *r = reader_new();
        struct compress_stream *s = compress_begin(&store, CODING_GZIP, NULL);
        size_t at = 0;
        CHECK(s != NULL && store.used == 1 && store.kept == 0, "no stream");
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            struct span piece = span_of(text + at, sizes[i]);
            CHECK_INT(compress_put(s, piece, inflate_piece, r), ERR_OK);
            CHECK_INT(compress_flush(s, false, inflate_piece, r), ERR_OK);
            CHECK(!compress_waits(s), "a piece waits");
            at += sizes[i];
            CHECK_INT(r->z.total_out, at);
        }
        CHECK_INT(compress_flush(s, true, inflate_piece, r), ERR_OK);
        CHECK_INT(r->result, Z_STREAM_END);
        CHECK(memcmp(r->out, text, at) == 0, "another text");
        compress_end(&store, &s);
        CHECK(s == NULL && store.used == 0 && store.kept == 1, "the stream is not kept");
        reader_free(r);
    }
    compress_store_fini(&store);
    CHECK_INT(store.kept, 0);
}

/* Every coding that was built: something leaves with each piece, and a stream ends once. */
static void count_piece(void *user, struct span bytes)
{
    *(size_t *)user += bytes.n;
}

TEST(compress, every_coding_gives_pieces_at_once)
{
    static char text[KIB(40)];
    struct compress_store store = {0};
    memset(text, 'a', sizeof text);
    for (int c = 0; c < CODING_COUNT; c++) {
        if (coding_ops((enum coding)c)->library == NULL)
            continue;
        for (int round = 0; round < 3; round++) {
            struct compress_stream *s = compress_begin(&store, (enum coding)c, NULL);
            size_t all = 0;
            CHECK(s != NULL, "%s", coding_ops((enum coding)c)->name);
            for (int i = 0; i < 4; i++) {
                size_t before = all;
                struct span piece = span_of(text, i == 2 ? 1 : sizeof text);
                CHECK_INT(compress_put(s, piece, count_piece, &all), ERR_OK);
                CHECK_INT(compress_flush(s, false, count_piece, &all), ERR_OK);
                CHECK(all > before, "%s keeps a piece", coding_ops((enum coding)c)->name);
            }
            CHECK_INT(compress_flush(s, true, count_piece, &all), ERR_OK);
            CHECK(all < sizeof text / 10, "%s: %zu bytes", coding_ops((enum coding)c)->name, all);
            compress_end(&store, &s);
        }
    }
    CHECK_INT(store.used, 0);
    compress_store_fini(&store);
}

/* To make each of a thousand bytes readable by itself takes far more than they are. */
TEST(compress, small_pieces_leave_together)
{
    static char text[2 * COMPRESS_GATHER];
    struct compress_store store = {0};
    memset(text, 'a', sizeof text);
    for (int c = 0; c < CODING_COUNT; c++) {
        if (coding_ops((enum coding)c)->library == NULL)
            continue;
        struct compress_stream *s = compress_begin(&store, (enum coding)c, NULL);
        size_t all = 0;
        CHECK(s != NULL && !compress_waits(s), "%s", coding_ops((enum coding)c)->name);
        for (size_t i = 0; i < sizeof text; i++)
            CHECK_INT(compress_put(s, span_of(text + i, 1), count_piece, &all), ERR_OK);
        CHECK(compress_waits(s), "nothing waits");
        CHECK_INT(compress_flush(s, true, count_piece, &all), ERR_OK);
        CHECK(all < 200, "%s: %zu bytes", coding_ops((enum coding)c)->name, all);
        compress_end(&store, &s);
    }
    compress_store_fini(&store);
}

/* What waits in its order, before a piece that is large and goes as it comes. */
TEST(compress, pieces_keep_their_order)
{
    static char text[KIB(48)];
    static const size_t sizes[] = {10, KIB(16), 3000, 1096, 1, 4095, 1, KIB(5), 200};
    struct compress_store store = {0};
    struct rng rng;
    rng_seed(&rng, 2);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)rng_below(&rng, 256);
    struct reader *r = reader_new();
    struct compress_stream *s = compress_begin(&store, CODING_GZIP, NULL);
    size_t at = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; at += sizes[i++])
        CHECK_INT(compress_put(s, span_of(text + at, sizes[i]), inflate_piece, r), ERR_OK);
    CHECK_INT(compress_flush(s, true, inflate_piece, r), ERR_OK);
    CHECK_INT(r->result, Z_STREAM_END);
    CHECK(r->z.total_out == at && memcmp(r->out, text, at) == 0, "another text");
    compress_end(&store, &s);
    reader_free(r);
    compress_store_fini(&store);
}

TEST(compress, trailers_lose_digests_of_what_was)
{
    struct fields trailers = {0}, kept;
    arena_init(&arena, NULL, 4096, 0);
    add(&trailers, "x-a", "1");
    CHECK(!fields_have_digest(&trailers), "none");
    add(&trailers, "content-digest", "sha-256=:x:");
    add(&trailers, "content-md5", "x");
    add(&trailers, "etag", "\"a\"");
    CHECK(fields_have_digest(&trailers), "some");
    CHECK_INT(compress_trailers(&trailers, &arena, &kept), ERR_OK);
    CHECK_INT(kept.n, 2);
    CHECK_SPAN(kept.v[0].name, "x-a");
    CHECK_SPAN(kept.v[1].name, "etag");
    arena_reset(&arena);
}

/* What a client likes best; "-": as it is. */
TEST(compress, the_coding_that_is_liked_best)
{
    static const struct {
        const char *accept, *all, *gzip_only;
    } rows[] = {{"gzip, deflate, br, zstd", "zstd", "gzip"},
                {"gzip, deflate, br", "br", "gzip"},
                {"br;q=0.9, gzip", "gzip", "gzip"},
                {"zstd;q=0.8, br;q=0.85, gzip;q=0.5", "br", "gzip"},
                {"gzip;q=0.5, identity", "-", "-"},
                {"gzip;q=1.000, identity;q=1", "gzip", "gzip"},
                {"*", "gzip", "gzip"},
                {"gzip;q=0, *", "-", "-"},
                {"br;q=0, zstd;q=0.001", "zstd", "-"},
                {"identity;q=0, BR", "br", "-"},
                {"x-gzip", "gzip", "gzip"},
                {"", "-", "-"},
                {";q=1, ,gzip;q", "gzip", "gzip"}};
    bool all = coding_zstd.library != NULL && coding_brotli.library != NULL;
    bool none = coding_zstd.library == NULL && coding_brotli.library == NULL;
    for (size_t i = 0; (all || none) && i < sizeof rows / sizeof *rows; i++) {
        arena_init(&arena, NULL, 4096, 0);
        struct request in = request_of(rows[i].accept);
        enum coding c = coding_accepted(&in.fields);
        const char *got = c != CODING_COUNT ? coding_ops(c)->name : "-";
        CHECK(strcmp(got, all ? rows[i].all : rows[i].gzip_only) == 0, "%s: %s", rows[i].accept,
              got);
        arena_reset(&arena);
    }
}

TEST(compress, streams_have_a_bound)
{
    static struct compress_stream *all[COMPRESS_MOST];
    struct compress_store store = {0};
    for (size_t i = 0; i < COMPRESS_MOST; i++) {
        all[i] = compress_begin(&store, CODING_GZIP, NULL);
        CHECK(all[i] != NULL, "stream %zu", i);
    }
    CHECK(compress_begin(&store, CODING_GZIP, NULL) == NULL, "one more than the bound");
    for (size_t i = 0; i < COMPRESS_MOST; i++)
        compress_end(&store, &all[i]);
    CHECK(store.used == 0 && store.kept == COMPRESS_KEPT, "%u kept", store.kept);
    compress_store_fini(&store);
}

static void drop_piece(void *user, struct span bytes)
{
    (void)user;
    (void)bytes;
}

static void fell(void *owner)
{
    (void)owner;
}

/* What a stream takes is known before it begins, and counts towards its client's connection. */
TEST(compress, what_a_stream_takes_is_booked_G11)
{
    static char text[KIB(96)];
    struct compress_store store = {0};
    struct rng rng;
    rng_seed(&rng, 1);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i < KIB(32) ? 'a' + (int)rng_below(&rng, 4) : (int)rng_below(&rng, 256));
    for (int c = 0; c < CODING_COUNT; c++) {
        const struct coding_ops *ops = coding_ops((enum coding)c);
        struct allowance purse;
        allowance_init(&purse, 0, fell, NULL);
        for (int round = 0; ops->library != NULL && round < 2; round++) {
            struct compress_stream *s = compress_begin(&store, (enum coding)c, &purse);
            const size_t takes = ops->takes + COMPRESS_GATHER;
            CHECK(s != NULL && purse.all.used == takes, "%s: %zu", ops->name, purse.all.used);
            for (size_t n = 1; n <= sizeof text; n = 2 * n + 1000)
                CHECK_INT(compress_put(s, span_of(text, n), drop_piece, NULL), ERR_OK);
            CHECK(purse.all.used == takes, "%s has %zu", ops->name, purse.all.used);
            purse.all.used = LIMIT_H2_HOLDS;
            CHECK(compress_begin(&store, (enum coding)c, &purse) == NULL, "no room");
            purse.all.used = takes;
            compress_end(&store, &s);
            CHECK_INT(purse.all.used, 0);
        }
    }
    compress_store_fini(&store);
}

TEST(compress, goes_without_where_memory_is_short)
{
    struct compress_store store = {0};
    for (uint64_t n = 1;; n++) {
        mem_fail_at(n);
        struct compress_stream *s = compress_begin(&store, CODING_GZIP, NULL);
        mem_fail_at(0);
        if (s != NULL) {
            CHECK(n > 3, "it needs more memory than that");
            compress_end(&store, &s);
            break;
        }
        CHECK_INT(store.used, 0);
    }
    compress_store_fini(&store);
}
