/* SEES: http net base */
/* A header block, as lines "name: value": what is accepted means the same after it was written as
 * HTTP/1.1 and read again, and as HTTP/2 and read again: no seam between the versions (RELIABILITY
 * H9, H13). */
#include "base/limits.h"
#include "http/h1_parse.h"
#include "http/h1_write.h"
#include "http/h2_message.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct h2_block_limits limits = {.size = KIB(4), .fields = 40, .field = KIB(2)};
static const struct h2_block_limits wide = {
    .size = KIB(64), .fields = 2 * LIMIT_FIELDS, .field = KIB(16)};

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
        must(a->v[i].id == b->v[i].id && span_eq(a->v[i].name, b->v[i].name));
        must(span_eq(a->v[i].value, b->v[i].value));
        must(!field_is_hop(a->v[i].id) && !field_is_framing(a->v[i].id));
    }
}

static void same_request(const struct request *a, const struct request *b)
{
    must(a->method == b->method && span_eq(a->method_name, b->method_name));
    must(a->upgrade == b->upgrade && a->path_odd == b->path_odd && span_eq(a->path, b->path));
    must((a->query.p == NULL) == (b->query.p == NULL) && span_eq(a->query, b->query));
    must(span_eq(a->authority, b->authority) && span_eq(a->host, b->host));
    same_fields(&a->fields, &b->fields);
}

static bool is_end(const struct request *r)
{
    return r->content == CONTENT_NONE && r->upgrade == UPGRADE_NONE;
}

static void through_h1(const struct request *r, struct arena *a)
{
    const struct h1_limits h1 = {.line = KIB(16),
                                 .head = KIB(64),
                                 .fields = 2 * LIMIT_FIELDS,
                                 .field = KIB(16),
                                 .odd_names = ODD_NAMES_ALLOW};
    char memory[KIB(32)];
    struct buf out;
    struct request second;
    struct h1_head head;
    struct h1_scan s;
    buf_fixed(&out, memory, sizeof(memory));
    h1_write_request(&out, r);
    must(!out.failed);
    h1_scan_init(&s, H1_REQUEST);
    must(h1_parse_request(&s, &h1, buf_span(&out), a, &second, &head) == ERR_OK);
    must(head.bytes == buf_len(&out) && second.dropped == 0);
    must(second.content == r->content || (r->content == CONTENT_LENGTH && r->length == 0));
    must(second.length == r->length);
    same_request(r, &second);
}

static void through_h2(const struct request *r, struct arena *a)
{
    struct h2_nv nv;
    struct h2_block block;
    struct request second;
    must(h2_request_write(r, a, &nv) == ERR_OK);
    h2_block_begin(&block, a, H2_BLOCK_REQUEST, ODD_NAMES_ALLOW);
    for (size_t i = 0; i < nv.n; i++) {
        h2_block_add(&block, &wide, span_of((const char *)nv.v[i].name, nv.v[i].namelen),
                     span_of((const char *)nv.v[i].value, nv.v[i].valuelen));
    }
    h2_block_finish(&block);
    must(h2_request_read(&block, is_end(r), KIB(16), &second) == ERR_OK);
    must(second.content == r->content && second.length == r->length);
    must(second.dropped == 0 && second.trailers == r->trailers);
    same_request(r, &second);
}

static void read_block(struct span in, struct arena *a, enum h2_block_kind kind, enum odd_names odd,
                       struct h2_block *out)
{
    h2_block_begin(out, a, kind, odd);
    while (in.n > 0) {
        struct span line;
        in = span_cut(in, '\n', &line);
        size_t colon = line.n > 0 ? 1 + span_find(span_sub(line, 1, line.n), ':') : 0;
        h2_block_add(out, &limits, span_sub(line, 0, colon),
                     colon + 2 < line.n ? span_sub(line, colon + 2, line.n) : SPAN(""));
    }
    h2_block_finish(out);
}

static void request(struct span in, bool end)
{
    struct arena a;
    struct h2_block block;
    struct request r;
    arena_init(&a, NULL, KIB(16), 0);
    read_block(in, &a, H2_BLOCK_REQUEST, ODD_NAMES_ALLOW, &block);
    if (h2_request_read(&block, end, 512, &r) == ERR_OK) {
        r.scheme = SPAN("https");
        if (r.upgrade == UPGRADE_NONE) {
            through_h1(&r, &a);
        }
        through_h2(&r, &a);
    }
    arena_reset(&a);
}

static void reply(struct span in, bool end)
{
    struct arena a;
    struct h2_block block;
    struct asked asked = {.method = METHOD_GET};
    struct reply r;
    struct h2_nv nv;
    arena_init(&a, NULL, KIB(16), 0);
    read_block(in, &a, H2_BLOCK_RESPONSE, ODD_NAMES_KEEP, &block);
    if (h2_reply_read(&block, asked, end, &r) == ERR_OK) {
        must(r.status >= 100 && r.status != 101 && r.status <= 599 && !r.upgraded);
        must(h2_reply_write(&r, SPAN("date"), &a, &nv) == ERR_OK);
    }
    arena_reset(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct span in = span_of((const char *)data + 1, size - 1);
    bool end = (data[0] & 1) != 0;
    if ((data[0] & 2) != 0) {
        reply(in, end);
    } else {
        request(in, end);
    }
    return 0;
}
