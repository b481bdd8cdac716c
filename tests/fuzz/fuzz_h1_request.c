/* SEES: http net base */
/* A request head: the verdict does not depend on how the bytes are cut, and what is accepted is
 * written as bytes that are read as the same request again (RELIABILITY H13, P2). */
#include "base/limits.h"
#include "http/h1_parse.h"
#include "http/h1_write.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct h1_limits limits = {
    .line = 512, .head = KIB(4), .fields = 40, .field = KIB(2), .odd_names = ODD_NAMES_ALLOW};
static const struct h1_limits wide = {.line = KIB(8),
                                      .head = KIB(32),
                                      .fields = LIMIT_FIELDS,
                                      .field = KIB(16),
                                      .odd_names = ODD_NAMES_ALLOW};

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void same_fields(const struct fields *a, const struct fields *b)
{
    must(a->n == b->n);
    for (size_t i = 0; i < a->n; i++) {
        must(span_eq(a->v[i].name, b->v[i].name) && span_eq(a->v[i].value, b->v[i].value));
        must(a->v[i].id == b->v[i].id);
        must(!field_is_hop(a->v[i].id) && !field_is_framing(a->v[i].id));
    }
}

static void same_request(const struct request *a, const struct request *b)
{
    must(a->method == b->method && span_eq(a->method_name, b->method_name));
    must(a->content == b->content && a->length == b->length && a->upgrade == b->upgrade);
    must(a->path_odd == b->path_odd && span_eq(a->path, b->path));
    must((a->query.p == NULL) == (b->query.p == NULL) && span_eq(a->query, b->query));
    must(span_eq(a->authority, b->authority) && span_eq(a->host, b->host));
    same_fields(&a->fields, &b->fields);
}

/* Hands the input over in growing pieces, the steps taken from its own bytes. */
static enum err parse_cut(struct span in, struct arena *a, struct request *r, struct h1_head *h)
{
    struct h1_scan s;
    h1_scan_init(&s, H1_REQUEST);
    for (size_t n = 0, i = 0; n < in.n; i++) {
        size_t step = 1 + ((unsigned char)in.p[i % in.n] & 7);
        n = in.n - n < step ? in.n : n + step;
        enum err e = h1_parse_request(&s, &limits, span_of(in.p, n), a, r, h);
        if (e != ERR_AGAIN) {
            return e;
        }
    }
    return ERR_AGAIN;
}

static void again(const struct request *first, struct arena *a)
{
    char memory[KIB(16)];
    struct buf out;
    struct request wanted = *first, second;
    struct h1_head head;
    struct h1_scan s;
    if (wanted.authority.n == 0) {
        must(wanted.version == VERSION_1_0);
        wanted.authority = wanted.host = SPAN("none");
    }
    buf_fixed(&out, memory, sizeof(memory));
    h1_write_request(&out, &wanted);
    must(!out.failed);
    h1_scan_init(&s, H1_REQUEST);
    must(h1_parse_request(&s, &wide, buf_span(&out), a, &second, &head) == ERR_OK);
    must(head.bytes == buf_len(&out) && second.dropped == 0 && head.keep_alive);
    same_request(&wanted, &second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of((const char *)data, size);
    struct arena a;
    struct request whole, cut;
    struct h1_head whole_head, cut_head;
    struct h1_scan s;
    arena_init(&a, NULL, KIB(8), 0);
    h1_scan_init(&s, H1_REQUEST);
    enum err e = h1_parse_request(&s, &limits, in, &a, &whole, &whole_head);
    must(parse_cut(in, &a, &cut, &cut_head) == e);
    if (e == ERR_OK) {
        must(whole_head.bytes <= size && whole_head.bytes == cut_head.bytes);
        must(whole_head.coding == cut_head.coding);
        must(whole_head.keep_alive == cut_head.keep_alive);
        same_request(&whole, &cut);
        again(&whole, &a);
    }
    arena_reset(&a);
    return 0;
}
