#include "http/h1_fields.h"
#include "http/h1_parse.h"
#include "http/uri.h"

/* What the reader of one request works on. */
struct reading {
    const struct h1_scan *s;
    char *copy; /* the head in the arena */
    enum odd_names odd_names;
    struct arena *arena;
    struct request *r;
    struct h1_head *head;
    struct h1_facts facts;
    struct span target;
};

/* The request line, as far as it has been scanned. */
static void read_line(struct reading *g)
{
    const struct h1_scan *s = g->s;
    if (s->target == 0) {
        return;
    }
    g->r->method_name = span_of(g->copy + s->start, s->target - 1 - s->start);
    g->r->method = method_parse(g->r->method_name);
    if (s->version == 0) {
        return;
    }
    g->target = span_of(g->copy + s->target, s->version - 1 - s->target);
    /* For the log, until the target has been understood. */
    g->r->path = span_sub(g->target, 0, span_find(g->target, '?'));
    if (s->first != 0) {
        g->r->version = g->copy[s->version + 7] == '1' ? VERSION_1_1 : VERSION_1_0;
    }
}

static enum err check_method(const struct reading *g)
{
    return method_served(g->r->method) ? ERR_OK : ERR_BAD_METHOD;
}

/* H4, H5: what delimits the content. */
static enum err read_framing(struct reading *g)
{
    const struct h1_facts *facts = &g->facts;
    struct request *r = g->r;
    if (facts->codings > 0) {
        if (facts->lengths > 0 || r->version == VERSION_1_0) {
            return ERR_BAD_FRAMING;
        }
        if (!h1_is_chunked(facts)) {
            return ERR_BAD_CODING;
        }
        g->head->coding = H1_CHUNKED;
        r->content = CONTENT_STREAM;
        return ERR_OK;
    }
    if (facts->lengths > 0) {
        enum err e = h1_length(facts, &r->length);
        if (e != ERR_OK) {
            return e;
        }
        g->head->coding = r->length > 0 ? H1_LENGTH : H1_NONE;
        r->content = r->length > 0 ? CONTENT_LENGTH : CONTENT_NONE;
    }
    return ERR_OK;
}

/* H7: HTTP/1.0 cannot expect (RFC 9110 section 10.1.1). */
static enum err read_expect(struct reading *g)
{
    const struct request *r = g->r;
    for (size_t i = 0; i < r->fields.n && g->facts.expect != NULL; i++) {
        const struct field *f = &r->fields.v[i];
        if (f->id == FIELD_EXPECT && !span_eq_nocase(f->value, SPAN("100-continue"))) {
            return ERR_BAD_EXPECT;
        }
    }
    g->r->expect_continue =
        g->facts.expect != NULL && r->version == VERSION_1_1 && r->content != CONTENT_NONE;
    return ERR_OK;
}

static enum err take_host(struct reading *g, struct span authority)
{
    struct host host;
    enum err e = host_parse(g->copy + (authority.p - g->copy), authority.n, &host);
    g->r->authority = host.authority;
    g->r->host = host.host;
    return e;
}

/* H8: Host must be sound even where the target's authority replaces it. */
static enum err read_host(struct reading *g, const struct uri *uri)
{
    size_t hosts = g->facts.hosts;
    if (hosts > 1 || (hosts == 0 && g->r->version != VERSION_1_0)) {
        return ERR_BAD_HOST;
    }
    if (hosts == 1) {
        enum err e = take_host(g, g->facts.host->value);
        if (e != ERR_OK) {
            return e;
        }
    }
    return uri->form == URI_ABSOLUTE ? take_host(g, uri->authority) : ERR_OK;
}

static bool is_asterisk(const struct uri *uri, enum method m)
{
    /* RFC 9112 section 3.2.4: an absolute form without path and query means the server itself. */
    bool bare = uri->form == URI_ABSOLUTE && uri->path.n == 0 && uri->query.p == NULL;
    return m == METHOD_OPTIONS && (uri->form == URI_ASTERISK || bare);
}

/* H14: the path in its one form. */
static enum err read_path(struct reading *g, const struct uri *uri)
{
    struct request *r = g->r;
    r->query = uri->query;
    if (is_asterisk(uri, r->method)) {
        r->path = SPAN("*");
        return ERR_OK;
    }
    if (uri->form == URI_ASTERISK || uri->form == URI_AUTHORITY) {
        return ERR_BAD_TARGET;
    }
    if (uri->path.n == 0) {
        r->path = SPAN("/");
        return ERR_OK;
    }
    char *path = g->copy + (uri->path.p - g->copy);
    enum err e = uri_resolve(path, uri->path.n, g->arena, &r->path, &r->path_sent);
    r->path_odd = uri_is_odd(r->path);
    return e;
}

static enum err read_target(struct reading *g)
{
    struct uri uri;
    enum err e = uri_parse(g->target, &uri);
    if (e == ERR_OK) {
        e = read_host(g, &uri);
    }
    return e == ERR_OK ? read_path(g, &uri) : e;
}

/* H21: anything but a WebSocket's complete opening is an ordinary request. */
static enum err read_upgrade(struct reading *g)
{
    struct request *r = g->r;
    if (g->facts.upgrade == NULL || !g->facts.upgrading || r->method != METHOD_GET ||
        r->version != VERSION_1_1 || !span_eq_nocase(g->facts.upgrade->value, SPAN("websocket")) ||
        fields_count(&r->fields, FIELD_SEC_WEBSOCKET_KEY) != 1 ||
        fields_count(&r->fields, FIELD_SEC_WEBSOCKET_VERSION) != 1) {
        return ERR_OK;
    }
    r->upgrade = UPGRADE_WEBSOCKET;
    return r->content == CONTENT_NONE ? ERR_OK : ERR_BAD_UPGRADE;
}

static enum err read_meaning(struct reading *g)
{
    static enum err (*const readers[])(struct reading *) = {read_framing, read_expect, read_target,
                                                            read_upgrade};
    for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++) {
        enum err e = readers[i](g);
        if (e != ERR_OK) {
            return e;
        }
    }
    const struct h1_facts *facts = &g->facts;
    const struct field *te = fields_get(&g->r->fields, FIELD_TE);
    g->r->trailers = te != NULL && span_eq_nocase(te->value, SPAN("trailers"));
    g->head->keep_alive = !facts->close && (g->r->version == VERSION_1_1 || facts->keep_alive);
    return ERR_OK;
}

static enum err read_request(struct reading *g)
{
    const struct h1_scan *s = g->s;
    enum err e = check_method(g);
    if (e != ERR_OK) {
        return e;
    }
    e = h1_fields_read(g->copy + s->first, s->at - 2 - s->first, s->fields, g->odd_names, g->arena,
                       &g->r->fields, &g->r->dropped);
    if (e == ERR_OK) {
        e = h1_facts_gather(&g->r->fields, &g->facts);
    }
    if (e == ERR_OK) {
        e = read_meaning(g);
    }
    fields_strip(&g->r->fields);
    return e;
}

enum err h1_parse_request(struct h1_scan *s, const struct h1_limits *l, struct span in,
                          struct arena *a, struct request *out, struct h1_head *head)
{
    enum err e = h1_scan_run(s, l, in);
    if (e == ERR_AGAIN) {
        return e;
    }
    *out = (struct request){.method = METHOD_OTHER, .version = VERSION_1_1, .head_bytes = s->at};
    *head = (struct h1_head){.bytes = s->at};
    char *copy = arena_take(a, s->at + 1);
    if (copy == NULL) {
        return ERR_NO_MEMORY;
    }
    memcpy(copy, in.p, s->at);
    copy[s->at] = '\0';
    struct reading g = {
        .s = s, .copy = copy, .odd_names = l->odd_names, .arena = a, .r = out, .head = head};
    read_line(&g);
    return e == ERR_OK ? read_request(&g) : e;
}
