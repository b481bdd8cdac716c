/* The status page as HTML, whole without JavaScript: the script only replaces what is in #live by
 * what this file writes a little later. */
#include "admin/admin_impl.h"
#include "admin/assets.h"

#define ROWS_MOST 500 /* of backends: a page is for people */
#define DAY_S     86400

#define CLIENTS_SHOWN 20

struct page {
    struct admin *admin;
    struct buf *out;
    struct span pool; /* of the backends that are written */
    size_t rows;
    uint64_t others; /* rows beyond the bound */
};

static void text(struct buf *b, struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '<')
            buf_put_str(b, "&lt;");
        else if (c == '>')
            buf_put_str(b, "&gt;");
        else if (c == '&')
            buf_put_str(b, "&amp;");
        else if (c == '"')
            buf_put_str(b, "&quot;");
        else
            buf_put_char(b, (unsigned char)c < 0x20 ? ' ' : c);
    }
}

static void figure(struct buf *b, const char *name, uint64_t n)
{
    buf_printf(b, "<div><dt>%s</dt><dd>%llu</dd></div>", name, (unsigned long long)n);
}

/* In the largest unit of which there is one. */
static void put_time(struct buf *b, int64_t ms)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"min", 60000}, {"s", 1000}};
    size_t i = 0;
    while (i + 1 < sizeof units / sizeof *units && ms < units[i].ms)
        i++;
    buf_printf(b, "%lld %s", (long long)(ms / units[i].ms), units[i].name);
}

static void time_figure(struct buf *b, const char *name, int64_t ms)
{
    buf_printf(b, "<div><dt>%s</dt><dd>", name);
    put_time(b, ms);
    buf_put_str(b, "</dd></div>");
}

static void cell(struct buf *b, struct span s)
{
    buf_put_str(b, "<td>");
    text(b, s);
    buf_put_str(b, "</td>");
}

static void number(struct buf *b, uint64_t n)
{
    buf_printf(b, "<td class=n>%llu</td>", (unsigned long long)n);
}

/* A table's beginning; columns that begin with '#' are numbers. */
static void table(struct buf *b, const char *caption, const char *const *columns, size_t n)
{
    buf_printf(b,
               "<div class=wide tabindex=0 role=region aria-label=\"%s\"><table><caption>%s"
               "</caption><thead><tr>",
               caption, caption);
    for (size_t i = 0; i < n; i++) {
        bool right = columns[i][0] == '#';
        buf_printf(b, "<th scope=col%s>%s</th>", right ? " class=n" : "", columns[i] + right);
    }
    buf_put_str(b, "</tr></thead><tbody>");
}

static void table_end(struct buf *b)
{
    buf_put_str(b, "</tbody></table></div>");
}

#define TABLE(b, caption, ...)                                                                     \
    table(b, caption, (const char *const[]){__VA_ARGS__},                                          \
          sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void server(struct page *p, const struct admin_server *s)
{
    struct buf *b = p->out;
    buf_put_str(b, "<section class=card aria-label=Service><dl class=figures><div><dt>state</dt>");
    if (s->not_ready == NULL)
        buf_put_str(b, "<dd class=good>ready</dd></div>");
    else
        buf_printf(b, "<dd class=bad>%s</dd></div>", s->not_ready);
    figure(b, "requests running", s->requests_running);
    figure(b, "requests", s->requests_total);
    figure(b, "connections", s->connections);
    figure(b, "generation", s->generation);
    figure(b, "older ones in use", s->generations_old);
    figure(b, "reloads", s->reloads);
    figure(b, "reloads refused", s->reloads_failed);
    figure(b, "workers", s->workers);
    time_figure(b, "up", s->uptime_ms);
    buf_put_str(b, "</dl>");
    if (s->last_reload_failed)
        buf_put_str(b, "<p class=bad>The last reload was refused; the configuration before it is "
                       "in force.</p>");
    buf_put_str(b, "</section>");
}

/* Runs of equal results as one rectangle each, so that thousands of checks stay a small page. */
static void runs(struct buf *b, const struct admin_backend *e, uint32_t n, bool good)
{
    buf_printf(b, "<path class=%s d=\"", good ? "good" : "bad");
    for (uint32_t i = 0, from; i < n; i++) {
        for (from = i; i < n && ((e->history >> (n - 1 - i) & 1) != 0) == good; i++)
            ;
        if (i != from)
            buf_printf(b, "M%u %uh%uv%uh-%uz", (64 - n + from) * 3, good ? 4u : 0u, (i - from) * 3,
                       good ? 10u : 14u, (i - from) * 3);
    }
    buf_put_str(b, "\"/>");
}

static void history(struct buf *b, const struct admin_backend *e)
{
    uint32_t n = e->probes < 64 ? e->probes : 64, good = 0;
    for (uint32_t i = 0; i < n; i++)
        good += (e->history >> i & 1) != 0;
    buf_printf(b,
               "<td><svg class=history viewBox=\"0 0 192 14\" role=img aria-label=\"%u of the last "
               "%u checks good\">",
               good, n);
    runs(b, e, n, true);
    runs(b, e, n, false);
    buf_put_str(b, "</svg></td>");
}

static void state(struct buf *b, const struct admin_backend *e)
{
    const char *word = backend_state(e);
    bool up = e->admin == ENDPOINT_ACTIVE && e->health == ENDPOINT_UP && e->out_ms <= 0;
    bool chosen = e->admin != ENDPOINT_ACTIVE;
    buf_printf(b, "<td class=%s>%s%s",
               up       ? "good"
               : chosen ? "wait"
                        : "bad",
               word, e->admin_forced ? "*" : "");
    char memory[256];
    struct buf why;
    buf_fixed(&why, memory, sizeof memory);
    backend_reason(&why, e);
    if (!chosen && buf_len(&why) != 0)
        buf_printf(b, " <span class=soft>%.*s</span>", SPAN_FMT(buf_span(&why)));
    buf_put_str(b, "</td>");
}

static void each_backend(void *user, const struct admin_backend *e)
{
    struct page *p = user;
    struct buf *b = p->out;
    if (p->rows++ >= ROWS_MOST) {
        p->others++;
        return;
    }
    buf_put_str(b, "<tr><th scope=row>");
    text(b, e->name);
    buf_put_str(b, "</th>");
    state(b, e);
    history(b, e);
    number(b, e->inflight);
    buf_printf(b, "<td class=n>%u%s</td>", e->weight, e->weight_forced ? "*" : "");
    number(b, e->requests);
    number(b, e->errors);
    if (e->recent_ms > 0)
        buf_printf(b, "<td class=n>%.1f</td>", e->recent_ms);
    else
        buf_put_str(b, "<td class=n>–</td>");
    cell(b, e->site);
    cell(b, e->address);
    buf_put_str(b, "</tr>");
}

static void each_pool(void *user, const struct admin_pool *pool)
{
    struct page *p = user;
    struct buf *b = p->out;
    buf_put_str(b, "<h3>");
    text(b, pool->name);
    buf_printf(b, " <span class=%s>%u of %u usable</span></h3>",
               pool->usable == pool->endpoints ? "good"
               : pool->usable != 0             ? "wait"
                                               : "bad",
               pool->usable, pool->endpoints);
    if (pool->waiting != 0)
        buf_printf(b, "<p class=wait>%u requests wait for a free server</p>", pool->waiting);
    if (pool->panic)
        buf_put_str(b, "<p class=bad>panic: too few servers pass, checks are ignored</p>");
    if (admin_has_fault(&pool->fault)) {
        buf_put_str(b, "<p class=bad>dependency down: ");
        text(b, pool->fault.dependency);
        buf_printf(b, " (%s); servers that are not ready stay%s</p>", pool->fault.reason,
                   pool->fault.fail_fast ? ", requests are refused" : "");
    }
    if (p->rows >= ROWS_MOST || p->admin->ops->backends == NULL) {
        p->others += pool->endpoints;
        return;
    }
    TABLE(b, "Backends of the pool", "backend", "state", "last 64 checks", "#running", "#weight",
          "#requests", "#errors", "#ms", "site", "address");
    p->admin->ops->backends(p->admin->ctx, pool->name, each_backend, p);
    table_end(b);
}

static void each_end(void *user, enum err reason, uint64_t n)
{
    struct page *p = user;
    buf_printf(p->out, "<tr><th scope=row>%s</th>", err_name(reason));
    number(p->out, n);
    buf_printf(p->out, "<td>%s</td></tr>", err_phrase(reason));
}

static void each_certificate(void *user, const struct admin_certificate *c)
{
    struct page *p = user;
    int64_t days = c->left_s >= 0 ? c->left_s / DAY_S : -((-c->left_s + DAY_S - 1) / DAY_S);
    buf_put_str(p->out, "<tr><th scope=row>");
    text(p->out, span_sub(c->names, 0, 200));
    buf_printf(p->out, "</th><td class=\"n %s\">%lld%s</td>",
               days >= 14  ? "good"
               : days >= 0 ? "wait"
                           : "bad",
               (long long)days, days < 0 ? " (expired)" : "");
    cell(p->out, c->listener);
    cell(p->out, c->path);
    buf_put_str(p->out, "</tr>");
}

/* Rows with the most clients, most first. */
struct top {
    struct admin_clients rows[CLIENTS_SHOWN];
    size_t n;
};

static void each_clients(void *user, const struct admin_clients *c)
{
    struct top *top = user;
    size_t at = top->n < CLIENTS_SHOWN ? top->n++ : CLIENTS_SHOWN - 1;
    if (at == CLIENTS_SHOWN - 1 && top->rows[at].clients >= c->clients)
        return;
    for (; at > 0 && top->rows[at - 1].clients < c->clients; at--)
        top->rows[at] = top->rows[at - 1];
    top->rows[at] = *c;
}

static void places(struct page *p)
{
    const struct admin_ops *ops = p->admin->ops;
    struct top top = {.n = 0};
    if (ops->clients == NULL)
        return;
    ops->clients(p->admin->ctx, each_clients, &top);
    buf_put_str(p->out, "<section class=card><h2>Where clients are</h2>");
    TABLE(p->out, "Clients by country, and the site that serves them", "country", "site",
          "#clients");
    for (size_t i = 0; i < top.n; i++) {
        const struct admin_clients *c = &top.rows[i];
        buf_put_str(p->out, "<tr><th scope=row>");
        text(p->out, c->country.n != 0 ? c->country : SPAN("not known"));
        buf_put_str(p->out, "</th>");
        cell(p->out, c->site.n != 0 ? c->site : SPAN("–"));
        number(p->out, c->clients);
        buf_put_str(p->out, "</tr>");
    }
    table_end(p->out);
    buf_put_str(p->out, "</section>");
}

static void pools(struct page *p)
{
    const struct admin_ops *ops = p->admin->ops;
    buf_put_str(p->out, "<section class=card><h2>Pools and backends</h2>");
    if (ops->pools != NULL)
        ops->pools(p->admin->ctx, each_pool, p);
    if (p->others != 0)
        buf_printf(p->out, "<p class=soft>%llu more: meridianctl backends</p>",
                   (unsigned long long)p->others);
    buf_put_str(p->out, "<p class=soft>* set by hand</p></section>");
}

static void ends_and_certificates(struct page *p)
{
    const struct admin_ops *ops = p->admin->ops;
    if (ops->ends != NULL) {
        buf_put_str(p->out, "<section class=card><h2>How requests ended</h2>");
        TABLE(p->out, "Requests by end reason", "reason", "#requests", "meaning");
        ops->ends(p->admin->ctx, each_end, p);
        table_end(p->out);
        buf_put_str(p->out, "</section>");
    }
    if (ops->certificates != NULL) {
        buf_put_str(p->out, "<section class=card><h2>Certificates</h2>");
        TABLE(p->out, "Certificates", "names", "#days left", "listener", "file");
        ops->certificates(p->admin->ctx, each_certificate, p);
        table_end(p->out);
        buf_put_str(p->out, "</section>");
    }
}

static void each_dependency(void *user, const struct admin_dependency *d)
{
    struct buf *b = ((struct page *)user)->out;
    buf_put_str(b, "<tr><th scope=row>");
    text(b, d->name);
    buf_printf(b, "</th><td>%s</td><td class=%s>%s</td><td class=n>", d->level,
               !d->known ? "wait"
               : d->down ? "bad"
                         : "good",
               !d->known ? "unknown"
               : d->down ? "down"
                         : "up");
    if (d->known)
        put_time(b, d->since_ms);
    buf_put_str(b, "</td>");
    cell(b, d->down ? d->why : SPAN("–"));
    buf_put_str(b, "</tr>");
}

/* The session, and where the rows in force come from: what is left when it has none. */
static void session(struct buf *b, const struct admin_database *d)
{
    static const char *const words[][2] = {
        {"none", "configuration"}, {"file", "kept file"}, {"database", "database"}};
    const char *from = d->origin;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(d->origin, words[i][0]) == 0)
            from = words[i][1];
    }
    buf_printf(b, "<dl class=figures><div><dt>connection</dt><dd class=%s>%s</dd></div>",
               d->up ? "good" : "bad", d->up ? "up" : "down");
    if (d->contact_ms >= 0)
        time_figure(b, "since its last answer", d->contact_ms);
    buf_printf(b, "<div><dt>servers are from the</dt><dd>%s</dd></div>", from);
    figure(b, "rows", d->rows);
    figure(b, "rows that serve", d->used);
    figure(b, "rows skipped", d->skipped);
    figure(b, "leases over, servers kept", d->suspects);
    figure(b, "changes seen", d->changes);
    buf_put_str(b, "</dl>");
    if (!d->up && d->why.n != 0) {
        buf_put_str(b, "<p class=bad>");
        text(b, d->why);
        buf_put_str(b, "</p>");
    }
}

/* Where the configuration names one; its rows are in meridianctl database. */
static void central(struct page *p)
{
    const struct admin_ops *ops = p->admin->ops;
    struct admin_database d = {0};
    struct buf rows, *out = p->out;
    if (ops->database != NULL)
        ops->database(p->admin->ctx, &d);
    buf_init(&rows, KIB(64));
    p->out = &rows;
    if (ops->dependencies != NULL)
        ops->dependencies(p->admin->ctx, each_dependency, p);
    p->out = out;
    if (d.followed || buf_len(&rows) != 0)
        buf_put_str(out, "<section class=card id=database><h2>Central database</h2>");
    if (d.followed)
        session(out, &d);
    if (buf_len(&rows) != 0) {
        TABLE(out, "What servers depend on", "dependency", "asked for", "state", "#for", "reason");
        buf_put_span(out, buf_span(&rows));
        table_end(out);
    }
    if (d.followed || buf_len(&rows) != 0)
        buf_put_str(out, "</section>");
    buf_fini(&rows);
}

static const char head[] =
    "<!doctype html><html lang=en><head><meta charset=utf-8><title>Meridian</title>"
    "<meta name=viewport content=\"width=device-width,initial-scale=1\">"
    "<noscript><meta http-equiv=refresh content=5></noscript>"
    "<link rel=icon href=/icon.svg><link rel=stylesheet href=/status.css>"
    "<script src=/status.js defer></script></head><body><header><h1>Meridian</h1><p class=soft>";

static void chart(struct buf *b, const char *id, const char *name, unsigned lines)
{
    buf_printf(b,
               "<figure id=%s><figcaption>%s <strong></strong></figcaption>"
               "<svg viewBox=\"0 0 100 30\" preserveAspectRatio=none role=img "
               "aria-label=\"%s, the last five minutes\">",
               id, name, name);
    for (unsigned i = 0; i < lines; i++)
        buf_put_str(b, "<path/>");
    buf_put_str(b, "</svg><small></small></figure>");
}

/* Where the program is built with it: shown when there is something to show. */
static const char map[] =
    "<section class=card id=map hidden><h2>Clients and the sites that serve them</h2>"
    "<div class=world></div><ul class=key></ul></section><script src=/map.js defer></script>";

void page_write(struct admin *a, struct buf *out)
{
    struct page p = {.admin = a, .out = out};
    struct admin_server s = {.version = "", .config = "", .not_ready = "starting"};
    if (a->ops->server != NULL)
        a->ops->server(a->ctx, &s);
    buf_put_str(out, head);
    buf_printf(out, "%s, process %d, ", s.version, s.pid);
    text(out, span_str(s.config));
    buf_put_str(out, "</p><p class=soft id=fresh role=status></p></header><main>"
                     "<section class=card id=charts hidden aria-label=Charts><div class=charts>");
    chart(out, "rate", "Requests", 1);
    chart(out, "times", "Response time of 50, 90, 99 %", 3);
    chart(out, "failed", "Requests without a good end", 1);
    buf_put_str(out, "</div><p id=reasons class=bad></p></section>");
    buf_put_str(out, "<div id=live>");
    server(&p, &s);
    pools(&p);
    places(&p);
    central(&p);
    ends_and_certificates(&p);
    buf_put_str(out, "</div>");
    if (asset_map_js_bytes != 0)
        buf_put_str(out, map);
    buf_put_str(out, "</main><footer>The same for programs: <a href=/metrics>/metrics</a>, "
                     "<a href=/v1/status>/v1/status</a>, <a href=/v1/backends>/v1/backends</a>"
                     "</footer></body></html>\n");
}
