#include "admin/http_impl.h"

#include "admin/assets.h"
#include "base/mem.h"
#include "http/h1_front.h"

#define IDLE_MS LIMIT_IDLE_MS /* also for a client that reads slowly */

static const struct front_limits limits = {
    .request_line = LIMIT_REQUEST_LINE,
    .head = LIMIT_HEAD,
    .fields = LIMIT_FIELDS,
    .field = LIMIT_FIELD,
    .requests = LIMIT_REQUESTS_CONNECTION,
    .head_ms = LIMIT_REQUEST_HEAD_MS,
    .idle_ms = IDLE_MS,
    .send_ms = IDLE_MS,
    .age_ms = LIMIT_CONNECTION_AGE_MS,
};

void http_text(struct answer *out, int status, const char *text)
{
    buf_clear(&out->body);
    out->status = status;
    out->type = "text/plain; charset=utf-8";
    buf_put_str(&out->body, text);
    buf_put_char(&out->body, '\n');
}

static void get_metrics(struct admin *a, const struct request *r, struct answer *out)
{
    (void)r;
    out->type = "text/plain; version=0.0.4; charset=utf-8";
    families_write(a, &out->body);
}

static void get_health(struct admin *a, const struct request *r, struct answer *out)
{
    (void)a;
    (void)r;
    http_text(out, 200, "ok");
}

static void get_ready(struct admin *a, const struct request *r, struct answer *out)
{
    (void)r;
    struct admin_server s = {.not_ready = "starting"};
    if (a->ops->server != NULL) {
        a->ops->server(a->ctx, &s);
    }
    if (s.not_ready == NULL) {
        http_text(out, 200, "ready");
    } else {
        http_text(out, 503, s.not_ready);
    }
}

static void get_page(struct admin *a, const struct request *r, struct answer *out)
{
    (void)r;
    out->type = "text/html; charset=utf-8";
    page_write(a, &out->body);
}

static void get_style(struct admin *a, const struct request *r, struct answer *out)
{
    (void)a;
    (void)r;
    out->type = "text/css; charset=utf-8";
    buf_put(&out->body, asset_status_css, asset_status_css_bytes);
}

static void get_script(struct admin *a, const struct request *r, struct answer *out)
{
    (void)a;
    (void)r;
    out->type = "text/javascript; charset=utf-8";
    buf_put(&out->body, asset_status_js, asset_status_js_bytes);
}

static void get_map(struct admin *a, const struct request *r, struct answer *out)
{
    (void)a;
    (void)r;
    out->type = "text/javascript; charset=utf-8";
    buf_put(&out->body, asset_map_js, asset_map_js_bytes);
}

static void get_icon(struct admin *a, const struct request *r, struct answer *out)
{
    (void)a;
    (void)r;
    out->type = "image/svg+xml";
    buf_put(&out->body, asset_icon_svg, asset_icon_svg_bytes);
}

/* The same objects as the control socket's answers. */
static void get_command(struct admin *a, const struct request *r, struct answer *out)
{
    char line[64];
    struct buf ask;
    struct span name = span_sub(r->path, sizeof "/v1/" - 1, r->path.n);
    buf_fixed(&ask, line, sizeof line);
    buf_put_str(&ask, "{\"command\":");
    buf_put_json(&ask, name, sizeof line);
    buf_put_char(&ask, '}');
    out->type = "application/json";
    if (command_run(a, NULL, buf_span(&ask), &out->body) != ERR_OK) {
        out->status = 503;
    }
    buf_put_char(&out->body, '\n');
}

static const struct {
    const char *path;
    bool local; /* only for a Host that names this machine: a page in a browser cannot read it */
    void (*get)(struct admin *a, const struct request *r, struct answer *out);
} resources[] = {
    {"/", true, get_page},
    {"/status.css", true, get_style},
    {"/status.js", true, get_script},
    {"/map.js", true, get_map},
    {"/icon.svg", true, get_icon},
    {"/metrics", true, get_metrics},
    {"/healthz", false, get_health},
    {"/readyz", false, get_ready},
    {"/v1/status", true, get_command},
    {"/v1/pools", true, get_command},
    {"/v1/backends", true, get_command},
    {"/v1/routes", true, get_command},
    {"/v1/certificates", true, get_command},
    {"/v1/database", true, get_command},
    {"/v1/map", true, get_command},
};

static bool is_ip(struct span host)
{
    struct addr at;
    return addr_parse_host(host, &at) == ERR_OK;
}

/* A page in a browser reaches this listener by a name of its own maker's (DNS rebinding), never by
 * an address. */
static bool host_is_ours(const struct admin *a, struct span host)
{
    char text[ADDR_TEXT];
    size_t n = addr_print_host(&a->http.at, text);
    struct span bare = host.n > 2 && host.p[0] == '[' ? span_sub(host, 1, host.n - 1) : host;
    bool named = false;
    for (size_t i = 0; i < a->access.host_count; i++)
        named = named || span_eq_nocase(host, a->access.hosts[i]);
    return named || (a->access.remote && is_ip(host)) || span_eq(host, SPAN("localhost")) ||
           span_eq(host, SPAN("127.0.0.1")) || span_eq(bare, SPAN("::1")) ||
           span_eq(bare, span_of(text, n));
}

static void find_answer(struct admin *a, const struct request *r, struct answer *out)
{
    for (size_t i = 0; i < sizeof resources / sizeof *resources; i++) {
        if (!span_eq(r->path, span_str(resources[i].path))) {
            continue;
        }
        if (resources[i].local && !host_is_ours(a, r->host)) {
            http_text(out, 421,
                      "this listener does not answer for that name; admin.hosts lists those it "
                      "answers for");
        } else if (r->method != METHOD_GET && r->method != METHOD_HEAD) {
            http_text(out, 405, "only GET and HEAD are served here");
        } else {
            resources[i].get(a, r, out);
        }
        return;
    }
    http_text(out, 404, "nothing is here");
}

/* Nothing but our own files, in nobody's frame: what a name in a table says is never run. */
static const struct {
    struct span name, value;
} guards[] = {
    {SPAN("content-security-policy"),
     SPAN("default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
          "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")},
    {SPAN("x-content-type-options"), SPAN("nosniff")},
    {SPAN("referrer-policy"), SPAN("no-referrer")},
};

static enum err reply_fields(struct reply *reply, struct arena *arena, const struct answer *answer)
{
    enum err e = fields_put(&reply->fields, arena, FIELD_CONTENT_TYPE, span_str(answer->type));
    if (e == ERR_OK) {
        e = fields_put(&reply->fields, arena, FIELD_CACHE_CONTROL, SPAN("no-store"));
    }
    for (size_t i = 0; e == ERR_OK && i < sizeof guards / sizeof *guards; i++) {
        e = fields_add(&reply->fields, arena, FIELD_OTHER, guards[i].name, guards[i].value);
    }
    if (e == ERR_OK && answer->status == 405) {
        e = fields_put(&reply->fields, arena, FIELD_ALLOW, SPAN("GET, HEAD"));
    }
    if (e == ERR_OK && answer->status == 401) {
        e = fields_add(&reply->fields, arena, FIELD_OTHER, SPAN("www-authenticate"),
                       SPAN("Bearer"));
    }
    return e;
}

void http_send(struct front *f, const struct request *r, struct answer *answer)
{
    if (answer->body.failed)
        http_text(answer, 503, err_phrase(ERR_NO_MEMORY));
    if (answer->body.failed) {
        f->ops->abort(f, ERR_NO_MEMORY);
        return;
    }
    struct reply reply = {
        .status = (uint16_t)answer->status,
        .content = r->method == METHOD_HEAD ? CONTENT_NONE : CONTENT_LENGTH,
        .has_length = true,
        .length = buf_len(&answer->body),
    };
    if (reply_fields(&reply, f->arena, answer) != ERR_OK) {
        f->ops->abort(f, ERR_NO_MEMORY);
        return;
    }
    if (r->content != CONTENT_NONE) {
        f->ops->keep(f, false); /* unread content cannot be passed over */
    }
    bool end = reply.content == CONTENT_NONE;
    f->ops->reply_head(f, &reply, end);
    if (!end) {
        f->ops->reply_body(f, buf_span(&answer->body));
        f->ops->reply_end(f, NULL);
    }
}

static void on_body(void *user, struct span bytes)
{
    /* Content is never asked for. */
    (void)user;
    (void)bytes;
}

static void on_end(void *user, const struct fields *trailers)
{
    (void)user;
    (void)trailers;
}

static void on_room(void *user)
{
    (void)user;
}

static void on_gone(void *user, enum err why, bool answerable)
{
    (void)user;
    (void)why;
    (void)answerable;
}

static const struct front_events events = {
    .on_body = on_body,
    .on_end = on_end,
    .on_room = on_room,
    .on_gone = on_gone,
};

static void on_request(void *owner, struct front *f, struct request *r, enum err bad)
{
    struct http_conn *c = owner;
    struct answer answer = {.status = 200};
    f->events = &events;
    f->user = c;
    c->answered = true;
    bool command = bad == ERR_OK && http_post_takes(c->admin, r);
    if (command && host_is_ours(c->admin, r->host)) {
        http_post(c, f, r);
        return;
    }
    buf_init(&answer.body, ADMIN_REPLY_MOST);
    if (bad != ERR_OK) {
        http_text(&answer, err_status(bad) != 0 ? err_status(bad) : 400, err_phrase(bad));
    } else if (command) {
        http_text(&answer, 421, "this listener does not answer for that name");
    } else {
        find_answer(c->admin, r, &answer);
    }
    http_send(f, r, &answer);
    buf_fini(&answer.body);
    f->ops->release(f);
}

static void on_closed(void *owner, enum err why)
{
    (void)why;
    struct http_conn *c = owner;
    if (c->admin != NULL) {
        list_remove(&c->link);
        c->admin->http.open--;
    }
    mem_free(c);
}

static const struct front_owner owner = {.on_request = on_request, .on_closed = on_closed};

/* A connection that is kept for a next request gives way to a new one, the one that has been idle
 * for longest first: browsers that show the page must not keep probes and scrapes out. Whoever has
 * asked nothing yet has the time for it. False: there is none. */
static bool make_room(struct admin *a)
{
    struct front_codec *longest = NULL;
    int64_t since_ns = FRONT_NOT_IDLE;
    list_each (e, &a->http.conns) {
        const struct http_conn *c = container_of(e, struct http_conn, link);
        int64_t idle_ns = c->codec->ops->idle_ns(c->codec);
        if (c->answered && idle_ns < since_ns) {
            longest = c->codec;
            since_ns = idle_ns;
        }
    }
    if (longest != NULL)
        longest->ops->kill(longest, ERR_FULL);
    return longest != NULL;
}

static const struct conn_events no_events;

bool http_accept(void *user, int fd, const struct addr *peer)
{
    struct admin *a = user;
    struct conn *conn;
    bool full = a->http.open >= LIMIT_ADMIN_CONNECTIONS;
    if (!(full && make_room(a)) && !admin_socket_admit(a, &a->http, fd)) {
        return true;
    }
    if (conn_accept(a->env, fd, peer, NULL, &no_events, NULL, &conn) != ERR_OK) {
        return true;
    }
    struct http_conn *c = mem_alloc(sizeof *c);
    if (c == NULL) {
        conn_close(&conn, CONN_END_NOW);
        return true;
    }
    c->admin = a;
    if (h1_front_new(conn, false, &limits, NULL, &owner, c, &c->codec) != ERR_OK) {
        conn_close(&conn, CONN_END_NOW);
        mem_free(c);
        return true;
    }
    list_append(&a->http.conns, &c->link);
    a->http.open++;
    return true;
}

void http_close_all(struct admin *a)
{
    list_each (e, &a->http.conns) {
        struct front_codec *codec = container_of(e, struct http_conn, link)->codec;
        codec->ops->kill(codec, ERR_SHUTDOWN);
    }
}
