#include "http/h1_write.h"

#include "base/limits.h"

/* One look at the room for all of the line. */
static inline void put_line(struct buf *out, struct span name, struct span value)
{
    size_t need = name.n + value.n + 4;
    if (out->failed || !buf_reserve(out, need)) {
        return;
    }
    char *p = out->p + out->n;
    span_copy(p, name);
    memcpy(p + name.n, ": ", 2);
    span_copy(p + name.n + 2, value);
    memcpy(p + need - 2, "\r\n", 2);
    out->n += need;
}

static void put_length(struct buf *out, uint64_t n)
{
    buf_put_str(out, "content-length: ");
    buf_put_u64(out, n);
    buf_put(out, "\r\n", 2);
}

static void put_fields(struct buf *out, const struct fields *f)
{
    for (size_t i = 0; i < f->n; i++) {
        const struct field *one = &f->v[i];
        if (!field_is_hop(one->id) && !field_is_framing(one->id)) {
            put_line(out, one->name, one->value);
        }
    }
}

static void put_upgrade(struct buf *out)
{
    buf_put_str(out, "connection: upgrade\r\nupgrade: websocket\r\n");
}

/* RFC 9110 section 8.6: a method that means to send content says so when there is none. */
static bool expects_content(enum method m)
{
    return m == METHOD_POST || m == METHOD_PUT || m == METHOD_PATCH;
}

static void put_request_framing(struct buf *out, const struct request *r)
{
    if (r->content == CONTENT_LENGTH) {
        put_length(out, r->length);
    } else if (r->content == CONTENT_STREAM) {
        put_line(out, SPAN("transfer-encoding"), SPAN("chunked"));
    } else if (expects_content(r->method)) {
        put_length(out, 0);
    }
    if (r->upgrade == UPGRADE_WEBSOCKET) {
        put_upgrade(out);
    }
}

void h1_write_request(struct buf *out, const struct request *r)
{
    buf_put_span(out, r->method_name);
    buf_put_char(out, ' ');
    buf_put_span(out, r->path);
    if (r->query.p != NULL) {
        buf_put_char(out, '?');
        buf_put_span(out, r->query);
    }
    buf_put_str(out, " HTTP/1.1\r\n");
    put_line(out, SPAN("host"), r->authority);
    put_fields(out, &r->fields);
    put_request_framing(out, r);
    buf_put(out, "\r\n", 2);
}

static void put_status(struct buf *out, unsigned status)
{
    const char digits[3] = {(char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10),
                            (char)('0' + status % 10)};
    buf_put_str(out, "HTTP/1.1 ");
    buf_put(out, digits, sizeof(digits));
    buf_put_char(out, ' ');
    buf_put_str(out, status_phrase(status));
    buf_put(out, "\r\n", 2);
}

static void put_reply_framing(struct buf *out, const struct reply *r,
                              const struct h1_reply_form *form)
{
    if (r->upgraded) {
        put_upgrade(out);
        return;
    }
    if (r->status < 200 || r->status == 204) {
        return; /* RFC 9112 section 6.1: none of them has framing */
    }
    if (form->coding == H1_CHUNKED) {
        put_line(out, SPAN("transfer-encoding"), SPAN("chunked"));
    } else if (r->has_length || form->coding == H1_LENGTH) {
        put_length(out, r->length);
    } else if (form->coding == H1_NONE && r->status != 304 && !form->to_head) {
        put_length(out, 0);
    }
}

void h1_write_reply(struct buf *out, const struct reply *r, const struct h1_reply_form *form)
{
    put_status(out, r->status);
    put_fields(out, &r->fields);
    put_reply_framing(out, r, form);
    if (r->status >= 200) {
        if (form->date.n > 0 && fields_get(&r->fields, FIELD_DATE) == NULL) {
            put_line(out, field_name(FIELD_DATE), form->date);
        }
        if (form->close) {
            put_line(out, SPAN("connection"), SPAN("close"));
        } else if (form->keep_alive) {
            put_line(out, SPAN("connection"), SPAN("keep-alive"));
        }
    }
    buf_put(out, "\r\n", 2);
}

void h1_write_last_chunk(struct buf *out, const struct fields *trailers)
{
    buf_put(out, "0\r\n", 3);
    if (trailers != NULL) {
        put_fields(out, trailers);
    }
    buf_put(out, "\r\n", 2);
}
