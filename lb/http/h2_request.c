#include "base/buf.h"
#include "http/h2_message.h"
#include "http/h2_nv.h"
#include "http/uri.h"

static enum err read_method(struct h2_block *b, struct request *r)
{
    if (b->method.p == NULL) {
        return ERR_BAD_REQUEST;
    }
    r->method_name = b->method;
    r->method = method_parse(b->method);
    if (r->method == METHOD_CONNECT && b->protocol.p != NULL) {
        return ERR_OK; /* read_upgrade makes a GET of it */
    }
    if (!method_served(r->method)) {
        return ERR_BAD_METHOD;
    }
    return b->protocol.p != NULL ? ERR_BAD_REQUEST : ERR_OK;
}

/* H9, H8: authority and Host say the same, and one of them is there. */
static enum err read_host(struct h2_block *b, struct request *r)
{
    const struct field *host = fields_get(&b->fields, FIELD_HOST);
    struct span name = b->authority.p != NULL ? b->authority
                       : host != NULL         ? host->value
                                              : SPAN_NONE;
    struct host parsed;
    if (fields_count(&b->fields, FIELD_HOST) > 1 || name.p == NULL ||
        (host != NULL && !span_eq_nocase(host->value, name))) {
        return ERR_BAD_HOST;
    }
    char *p = arena_take(b->arena, name.n + 1);
    if (p == NULL) {
        return ERR_NO_MEMORY;
    }
    memcpy(p, name.p, name.n);
    enum err e = host_parse(p, name.n, &parsed);
    r->authority = parsed.authority;
    r->host = parsed.host;
    return e;
}

static bool scheme_known(struct span scheme)
{
    return span_eq(scheme, SPAN("https")) || span_eq(scheme, SPAN("http"));
}

/* H14: the path in its one form. */
static enum err read_path(struct h2_block *b, size_t line, struct request *r)
{
    enum { VERSION_AND_SPACES = 10 }; /* as an HTTP/1 request line would be counted */
    struct uri uri;
    if (b->path.p == NULL || !scheme_known(b->scheme)) {
        return ERR_BAD_REQUEST;
    }
    r->path = span_sub(b->path, 0, span_find(b->path, '?'));
    if (b->path.n + r->method_name.n + VERSION_AND_SPACES > line) {
        return ERR_URI_TOO_LONG;
    }
    enum err e = uri_parse(b->path, &uri);
    if (e != ERR_OK) {
        return e;
    }
    if (uri.form == URI_ASTERISK && r->method == METHOD_OPTIONS) {
        r->path = SPAN("*");
        return ERR_OK;
    }
    if (uri.form != URI_ORIGIN) {
        return ERR_BAD_TARGET;
    }
    char *p = arena_take(b->arena, uri.path.n + 1);
    if (p == NULL) {
        return ERR_NO_MEMORY;
    }
    memcpy(p, uri.path.p, uri.path.n);
    r->query = uri.query;
    e = uri_resolve(p, uri.path.n, b->arena, &r->path, &r->path_sent);
    r->path_odd = uri_is_odd(r->path);
    return e;
}

static enum err read_content(struct h2_block *b, bool end, struct request *r)
{
    size_t lengths = fields_count(&b->fields, FIELD_CONTENT_LENGTH);
    const struct field *length = fields_get(&b->fields, FIELD_CONTENT_LENGTH);
    if (lengths > 1 || (length != NULL &&
                        (span_u64(length->value, &r->length) != ERR_OK || r->length > INT64_MAX))) {
        return ERR_BAD_LENGTH;
    }
    if (end) {
        return r->length == 0 ? ERR_OK : ERR_BAD_LENGTH;
    }
    r->content = length != NULL ? CONTENT_LENGTH : CONTENT_STREAM;
    return ERR_OK;
}

static enum err read_expect(struct h2_block *b, struct request *r)
{
    const struct field *expect = fields_get(&b->fields, FIELD_EXPECT);
    if (expect != NULL && !span_eq_nocase(expect->value, SPAN("100-continue"))) {
        return ERR_BAD_EXPECT;
    }
    r->expect_continue = expect != NULL && r->content != CONTENT_NONE;
    return ERR_OK;
}

/* RFC 8441: a WebSocket's opening means what the GET of RFC 6455 means. */
static enum err read_upgrade(struct h2_block *b, bool end, struct request *r)
{
    if (r->method != METHOD_CONNECT) {
        return ERR_OK;
    }
    r->method = METHOD_GET;
    r->method_name = SPAN("GET");
    if (end || !span_eq(b->protocol, SPAN("websocket")) ||
        fields_get(&b->fields, FIELD_CONTENT_LENGTH) != NULL ||
        fields_count(&b->fields, FIELD_SEC_WEBSOCKET_VERSION) != 1) {
        return ERR_BAD_UPGRADE;
    }
    r->content = CONTENT_NONE;
    r->expect_continue = false; /* nor has CONNECT any (RFC 9110 sections 9.3.6 and 10.1.1) */
    r->upgrade = UPGRADE_WEBSOCKET;
    fields_remove(&b->fields, FIELD_SEC_WEBSOCKET_KEY); /* HTTP/1.1's proof; section 5 has none */
    return ERR_OK;
}

enum err h2_request_read(struct h2_block *b, bool end, size_t line, struct request *out)
{
    *out = (struct request){
        .method = METHOD_OTHER, .version = VERSION_2, .head_bytes = b->size, .dropped = b->dropped};
    enum err e = read_method(b, out);
    enum err where = read_path(b, line, out);
    if (b->bad != ERR_OK) {
        return b->bad;
    }
    e = e == ERR_OK ? where : e;
    e = e == ERR_OK ? read_host(b, out) : e;
    e = e == ERR_OK ? read_content(b, end, out) : e;
    e = e == ERR_OK ? read_expect(b, out) : e;
    e = e == ERR_OK ? read_upgrade(b, end, out) : e;
    out->trailers = fields_get(&b->fields, FIELD_TE) != NULL;
    fields_strip(&b->fields);
    out->fields = b->fields;
    return e;
}

static enum err write_target(const struct request *r, struct arena *a, struct span *out)
{
    *out = r->path;
    if (r->query.p == NULL) {
        return ERR_OK;
    }
    size_t n = r->path.n + 1 + r->query.n;
    char *p = arena_take(a, n);
    if (p == NULL) {
        return ERR_NO_MEMORY;
    }
    struct buf target;
    buf_fixed(&target, p, n);
    buf_put_span(&target, r->path);
    buf_put_char(&target, '?');
    buf_put_span(&target, r->query);
    *out = buf_span(&target);
    return ERR_OK;
}

enum err h2_request_write(const struct request *r, struct arena *a, struct h2_nv *out)
{
    struct span target;
    bool upgrade = r->upgrade == UPGRADE_WEBSOCKET;
    enum err e = write_target(r, a, &target);
    if (e != ERR_OK || !h2_nv_begin(out, a, &r->fields)) {
        return ERR_NO_MEMORY;
    }
    h2_nv_put(out, SPAN(":method"), upgrade ? SPAN("CONNECT") : r->method_name);
    if (upgrade) {
        h2_nv_put(out, SPAN(":protocol"), SPAN("websocket"));
    }
    h2_nv_put(out, SPAN(":scheme"), r->scheme);
    h2_nv_put(out, SPAN(":authority"), r->authority);
    h2_nv_put(out, SPAN(":path"), target);
    h2_nv_fields(out, &r->fields, upgrade);
    if (r->trailers) {
        h2_nv_put(out, SPAN("te"), SPAN("trailers"));
    }
    return r->content == CONTENT_LENGTH ? h2_nv_length(out, a, r->length) : ERR_OK;
}
