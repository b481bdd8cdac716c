/* account: the end of every exchange in figures and one line (docs/architecture.md, "One request").
 */
#include "proxy/access_log.h"
#include "proxy/exchange_impl.h"
#include "proxy/query_hide.h"
#include "proxy/span_json.h"

#include "base/limits.h"

static const char *protocol_name(enum version v)
{
    return v == VERSION_1_0 ? "HTTP/1.0" : v == VERSION_1_1 ? "HTTP/1.1" : "HTTP/2";
}

static struct span value_of(const struct exchange *x, enum field_id id)
{
    const struct field *f = fields_get(&x->request->fields, id);
    return f != NULL ? f->value : SPAN_NONE;
}

static void count(struct exchange *x, int64_t total_ns)
{
    struct proxy *p = x->proxy;
    struct route_stats *s = x->stats;
    if (x->client != NULL) {
        x->client->bytes_in += x->front->bytes_in;
        x->client->bytes_out += x->front->bytes_out;
    }
    if (s == NULL && x->edition != NULL)
        s = x->edition->policy->unrouted[p->worker];
    counter_add(&p->stats->ends[x->end], 1);
    if (x->client != NULL && x->request->dropped > 0)
        counter_add(&p->stats->fields_dropped, x->request->dropped);
    if (s == NULL)
        return;
    if (x->hedge_end == HEDGE_WON)
        counter_add(&s->hedges_won, 1);
    counter_add(&s->classes[x->status / 100 < 6 ? x->status / 100 : 0], 1);
    counter_add(&s->bytes_in, x->front->bytes_in);
    counter_add(&s->bytes_out, x->front->bytes_out);
    histogram_add(&s->seconds, total_ns / NS_PER_US);
}

static void who(const struct exchange *x, struct access_facts *f, struct conn_tls_info *tls)
{
    const struct client *c = x->client;
    if (c == NULL)
        return;
    const struct origin *o = x->origin != NULL ? x->origin : &c->peer;
    f->client = span_of(o->text, o->text_size);
    f->country = span_str(o->place.country);
    f->continent = span_str(o->place.continent);
    f->subdivision = span_str(o->place.subdivision);
    f->peer = span_of(c->peer.text, c->peer.text_size);
    f->listener = c->listener->name;
    const struct conn *conn = x->front->ops->conn(x->front);
    if (conn == NULL)
        return;
    conn_tls(conn, tls);
    f->tls_version = tls->version;
    f->sni = tls->sni;
}

static void where(const struct exchange *x, struct access_facts *f)
{
    const struct endpoint *e = x->ticket.endpoint;
    f->backend = e != NULL ? e->backend : x->last_backend;
    f->site = e != NULL ? span_str(x->ticket.site->name) : x->last_site;
    bool chosen = f->backend.n != 0 || f->site.n != 0; /* a site alone: the client was sent there */
    if (chosen && x->pool != NULL)
        f->pool = x->pool->name;
    else if (e != NULL)
        f->pool = span_str(e->pool->name);
    if (x->stats != NULL)
        f->route = span_str(x->stats->name);
    if (x->distance_ms < 0)
        f->site = SPAN_NONE; /* a pool without sites has one that nobody named */
    f->distance_ms = chosen ? x->distance_ms : -1;
}

/* Memory for what is not shown as it came. */
struct shown {
    struct conn_tls_info tls;
    char target[LIMIT_LOG_URI + 64], referer[LIMIT_LOG_FIELD * 2];
};

/* What only some forms of a line have. */
static void aside(const struct exchange *x, struct shown *shown, struct access_facts *f)
{
    struct buf referer;
    f->user_agent = value_of(x, FIELD_USER_AGENT);
    f->referer = value_of(x, FIELD_REFERER);
    if (span_find(f->referer, '@') == f->referer.n && span_find(f->referer, '?') == f->referer.n)
        return;
    buf_fixed(&referer, shown->referer, sizeof shown->referer);
    url_hide(f->referer, LIMIT_LOG_FIELD, &referer);
    f->referer = buf_span(&referer);
}

/* What has been understood is a path. What has not may name a user, and a password. */
static struct span path_shown(struct span path, struct shown *shown)
{
    struct buf target;
    if (path.n == 0 || path.p[0] == '/')
        return path;
    buf_fixed(&target, shown->target, sizeof shown->target);
    target_hide(path, LIMIT_LOG_URI, &target);
    return buf_span(&target);
}

static void asked(const struct exchange *x, struct shown *shown, struct access_facts *f)
{
    const struct request *r = x->request;
    f->protocol = protocol_name(r->version);
    f->method = r->method_name;
    f->scheme = r->scheme;
    f->host = r->host;
    f->authority = r->authority;
    f->path = path_shown(r->path, shown);
    f->query = r->query;
    f->id = x->id;
    f->trace = trace_id(&x->trace);
}

/* What there is to say of a request that has ended. f is zeroed. */
static void tell(const struct exchange *x, int64_t total_ns, struct shown *shown,
                 struct access_facts *f)
{
    static const char *const sticks[] = {NULL, "made", "kept", "broken"};
    static const char *const hedges[] = {NULL, "lost", "won"};
    struct proxy *p = x->proxy;
    f->wall_ns = loop_wall_ns(p->loop);
    f->time = loop_stamp(p->loop);
    f->status = x->status;
    f->bytes_in = x->front->bytes_in;
    f->bytes_out = x->front->bytes_out;
    f->queue_ns = x->queue_ns;
    f->connect_ns = x->connect_ns;
    f->first_byte_ns = x->first_byte_ns != 0 ? x->first_byte_ns - x->begun_ns : -1;
    f->total_ns = total_ns;
    f->attempts = x->attempts;
    f->sticky = sticks[x->stick_end];
    f->hedge = hedges[x->hedge_end];
    f->decision = x->decision;
    f->end = err_name(x->end);
    asked(x, shown, f);
    if (p->access != ACCESS_JSON || x->trace.sampled)
        aside(x, shown, f);
    who(x, f, &shown->tls);
    where(x, f);
}

static void put_line(struct proxy *p, const struct access_facts *f)
{
    buf_clear(&p->line);
    if (p->access == ACCESS_JSON)
        access_json(f, &p->line);
    else if (p->access == ACCESS_TEMPLATE)
        access_template(p->access_line, f, &p->line);
    else
        access_combined(f, &p->line);
    if (p->line.failed)
        counter_add(&p->stats->log_dropped, 1);
    else
        p->hooks.log_line(p->hooks.user, buf_span(&p->line));
}

static void put_span(struct proxy *p, const struct access_facts *f, const struct trace *t)
{
    buf_clear(&p->line);
    span_json(f, t, &p->line);
    if (p->line.failed)
        counter_add(&p->stats->spans_dropped, 1);
    else
        p->hooks.span_line(p->hooks.user, buf_span(&p->line));
}

void exchange_account(struct exchange *x)
{
    struct proxy *p = x->proxy;
    int64_t total_ns = loop_now_ns(p->loop) - x->begun_ns;
    count(x, total_ns);
    if (x->client == NULL || (p->access == ACCESS_OFF && !x->trace.sampled))
        return;
    struct shown shown;
    struct access_facts f = {0};
    tell(x, total_ns, &shown, &f);
    if (p->access != ACCESS_OFF)
        put_line(p, &f);
    if (x->trace.sampled)
        put_span(p, &f, &x->trace);
}
