/* SEES: http net base */
/* A response head and what follows it: cuts make no difference, and what is accepted is written as
 * bytes that are read as the same response again (RELIABILITY H18). The first byte says what was
 * asked. */
#include "base/limits.h"
#include "http/h1_body.h"
#include "http/h1_write.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct h1_limits limits = {
    .line = KIB(1), .head = KIB(4), .fields = 40, .field = KIB(4)};
static const struct h1_limits wide = {
    .line = KIB(8), .head = KIB(32), .fields = LIMIT_FIELDS, .field = KIB(16)};

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void same_reply(const struct reply *a, const struct reply *b)
{
    must(a->status == b->status && a->content == b->content && a->upgraded == b->upgraded);
    must(a->fields.n == b->fields.n);
    if (a->status >= 200 && a->status != 204) {
        must(a->has_length == b->has_length && a->length == b->length);
    }
    for (size_t i = 0; i < a->fields.n; i++) {
        must(span_eq(a->fields.v[i].name, b->fields.v[i].name));
        must(span_eq(a->fields.v[i].value, b->fields.v[i].value));
    }
}

static enum err parse_cut(struct span in, struct asked asked, struct arena *a, struct reply *r,
                          struct h1_head *h)
{
    struct h1_scan s;
    h1_scan_init(&s, H1_REPLY);
    for (size_t n = 0, i = 0; n < in.n; i++) {
        size_t step = 1 + ((unsigned char)in.p[i % in.n] & 7);
        n = in.n - n < step ? in.n : n + step;
        enum err e = h1_parse_reply(&s, &limits, span_of(in.p, n), asked, a, r, h);
        if (e != ERR_AGAIN) {
            return e;
        }
    }
    return ERR_AGAIN;
}

static void again(const struct reply *first, const struct h1_head *first_head, struct asked asked,
                  struct arena *a)
{
    char memory[KIB(16)];
    struct buf out;
    struct reply second;
    struct h1_head head;
    struct h1_scan s;
    struct h1_reply_form form = {.coding = first_head->coding,
                                 .to_head = asked.method == METHOD_HEAD,
                                 .close = first_head->coding == H1_CLOSE};
    buf_fixed(&out, memory, sizeof(memory));
    h1_write_reply(&out, first, &form);
    must(!out.failed);
    h1_scan_init(&s, H1_REPLY);
    must(h1_parse_reply(&s, &wide, buf_span(&out), asked, a, &second, &head) == ERR_OK);
    must(head.bytes == buf_len(&out) && head.coding == first_head->coding);
    same_reply(first, &second);
}

static void read_content(enum h1_coding coding, uint64_t length, struct span in, struct arena *a)
{
    struct h1_body b;
    struct fields trailers = {0};
    h1_body_init(&b, coding, length, a, &trailers);
    while (!h1_body_done(&b)) {
        size_t used = 0;
        struct span piece;
        if (h1_body_step(&b, in, &used, &piece) != ERR_OK) {
            return;
        }
        must(used <= in.n && piece.n <= used);
        in = span_sub(in, used, in.n);
    }
    must(coding != H1_LENGTH || b.content == length);
    must(trailers.n <= LIMIT_TRAILER_FIELDS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct asked asked = {.method = (data[0] & 1) != 0 ? METHOD_HEAD : METHOD_GET,
                          .upgrade = (data[0] & 2) != 0 ? UPGRADE_WEBSOCKET : UPGRADE_NONE};
    struct span in = span_of((const char *)data + 1, size - 1);
    struct arena a;
    struct reply whole, cut;
    struct h1_head whole_head, cut_head;
    struct h1_scan s;
    arena_init(&a, NULL, KIB(8), 0);
    h1_scan_init(&s, H1_REPLY);
    enum err e = h1_parse_reply(&s, &limits, in, asked, &a, &whole, &whole_head);
    must(e == ERR_OK || e == ERR_AGAIN || e == ERR_BACKEND_PROTOCOL ||
         e == ERR_BACKEND_HEAD_TOO_LARGE);
    must(parse_cut(in, asked, &a, &cut, &cut_head) == e);
    if (e == ERR_OK) {
        must(whole_head.bytes <= in.n && whole_head.bytes == cut_head.bytes);
        must(whole_head.coding == cut_head.coding);
        same_reply(&whole, &cut);
        again(&whole, &whole_head, asked, &a);
        read_content(whole_head.coding, whole.length, span_sub(in, whole_head.bytes, in.n), &a);
    }
    arena_reset(&a);
    return 0;
}
