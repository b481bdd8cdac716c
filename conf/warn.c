/* warn: settings that are allowed and probably not meant. Works on a configuration that has passed
 * all checks, and changes nothing. */
#include "conf/source.h"

#include "base/mem.h"
#include "base/near.h"
#include "base/template.h"

#include <stdlib.h>

#define COMPARED_MOST 64 /* earlier routes of one host and path that a route is held against */

/* Addresses that only this machine or its own networks reach (RFC 1122, 1918, 3927, 4193, 4291). */
static bool is_private(const struct conf_address *a)
{
    const uint8_t *b = a->bytes;
    if (a->family == CONF_IPV4)
        return b[0] == 127 || b[0] == 10 || (b[0] == 172 && b[1] >> 4 == 1) ||
               (b[0] == 192 && b[1] == 168) || (b[0] == 169 && b[1] == 254);
    static const uint8_t loopback[16] = {[15] = 1};
    if (a->family == CONF_IPV6)
        return memcmp(b, loopback, sizeof loopback) == 0 || (b[0] & 0xFE) == 0xFC ||
               (b[0] == 0xFE && b[1] >> 6 == 2);
    return true; /* the file system or the service manager decides */
}

/* Whoever is believed about the client's address decides about access, rates and residency. */
static void warn_trust(const struct conf_cidr *from, size_t count, struct conf_messages *m)
{
    for (size_t i = 0; i < count; i++)
        if (from[i].bits == 0)
            conf_warn(m, from[i].text.mark,
                      "everybody is believed about the client's address, so that access, rate "
                      "limits and residency hold for nobody; name the proxies");
}

static void warn_listeners(const struct conf *conf, struct conf_messages *m)
{
    for (size_t i = 0; i < conf->listener_count; i++) {
        const struct conf_listener *l = &conf->listeners[i];
        warn_trust(l->proxy_protocol.from, l->proxy_protocol.from_count, m);
        bool plain = !l->tls.set && !l->redirect_to_https && conf->trusted.from_count == 0;
        for (size_t j = 0; plain && j < l->bind_count; j++)
            if (!is_private(&l->binds[j]))
                conf_warn(m, l->binds[j].text.mark,
                          "plain HTTP on an address that others may reach; set tls, or "
                          "redirect_to_https, or trusted_proxies where a proxy in front has it");
    }
}

static bool is_open(const struct conf_listener *l)
{
    if (l->tls.client_ca.s.p != NULL || l->redirect_to_https)
        return false;
    for (size_t i = 0; i < l->bind_count; i++)
        if (!is_private(&l->binds[i]))
            return true;
    return false;
}

/* Routes hold for every listener, so that what one asks for is not asked where another is open
 * (RELIABILITY H8). */
static void warn_client_ca(const struct conf *conf, struct conf_messages *m)
{
    const struct conf_listener *open = NULL;
    for (size_t i = 0; i < conf->listener_count; i++)
        if (open == NULL && is_open(&conf->listeners[i]))
            open = &conf->listeners[i];
    for (size_t i = 0; open != NULL && i < conf->listener_count; i++) {
        const struct conf_text *ca = &conf->listeners[i].tls.client_ca;
        if (ca->s.p != NULL)
            conf_warn(m, ca->mark,
                      "all routes are served without a client's certificate at listener '%.*s'; "
                      "let another process serve what is only for those who have one",
                      SPAN_FMT(open->name.s));
    }
}

static void warn_name(const struct conf_text *name, struct conf_messages *m)
{
    for (size_t i = 0; i < name->s.n; i++) {
        char c = name->s.p[i];
        if (ascii_alpha(c) || ascii_digit(c) || c == '-')
            continue;
        conf_warn(m, name->mark,
                  "no request has '%.*s': fields with such names are left out; use one without "
                  "'%c', or set odd_header_names: allow for a listener",
                  SPAN_FMT(name->s), c);
        return;
    }
}

static void warn_key(const struct conf_key *key, struct conf_messages *m)
{
    if (key->kind == CONF_KEY_HEADER)
        warn_name(&key->name, m);
}

/* What is looked for in requests that never have it (H3). */
static void warn_odd_names(const struct conf *conf, struct conf_messages *m)
{
    for (size_t i = 0; i < conf->listener_count; i++)
        if (conf->listeners[i].odd_header_names == CONF_ODD_ALLOW)
            return;
    for (size_t i = 0; i < conf->route_count; i++) {
        const struct conf_route *route = &conf->routes[i];
        for (size_t j = 0; j < route->match.header_count; j++)
            warn_name(&route->match.headers[j].name, m);
        warn_key(&route->rate_limit.per, m);
        warn_key(&route->split_by, m);
    }
    for (size_t i = 0; i < conf->pool_count; i++) {
        warn_key(&conf->pools[i].balance.hash.by, m);
        warn_key(&conf->pools[i].sticky.by, m);
    }
}

static void warn_admin(const struct conf *conf, struct conf_messages *m)
{
    const struct conf_admin *a = &conf->admin;
    if (a->http_on && !is_private(&a->http))
        conf_warn(m, a->http.text.mark,
                  "whoever reaches this address reads what the balancer does%s; keep it behind a "
                  "firewall",
                  a->token.s.p != NULL ? ", and the token crosses the network in the clear" : "");
}

/* Marks the pools that a route leads to; NULL without memory. */
static bool *used_pools(const struct conf *conf)
{
    bool *used = mem_array(conf->pool_count + 1, sizeof *used);
    for (size_t i = 0; used != NULL && i < conf->route_count; i++) {
        const struct conf_route *route = &conf->routes[i];
        if (route->pool != NULL)
            used[route->pool - conf->pools] = true;
        for (size_t j = 0; j < route->share_count; j++)
            used[route->shares[j].pool - conf->pools] = true;
        if (route->mirror.pool != NULL)
            used[route->mirror.pool - conf->pools] = true;
    }
    return used;
}

static bool names_no_place(const struct conf_residency_rule *rule)
{
    return rule->group_count + rule->country_count + rule->continent_count +
                   rule->subdivision_count ==
               0 &&
           !rule->unknown;
}

static void warn_residency(const struct conf_residency *residency, struct conf_messages *m)
{
    for (size_t i = 0; i + 1 < residency->rule_count; i++)
        if (names_no_place(&residency->rules[i])) {
            conf_warn(m, residency->rules[i + 1].mark,
                      "the rule is never reached; the one of line %u is for everybody",
                      (unsigned)residency->rules[i].mark.line);
            return;
        }
}

static int by_address(const void *x, const void *y)
{
    const struct conf_backend *a = *(const struct conf_backend *const *)x,
                              *b = *(const struct conf_backend *const *)y;
    int order = span_cmp(a->address.text.s, b->address.text.s);
    return order != 0 ? order : (a > b) - (a < b);
}

/* As they are written: two ways to write one address are a rare slip, a copied line is not. */
static void warn_twice(const struct conf_pool *pool, struct conf_messages *m)
{
    const struct conf_backend **sorted = mem_array(pool->backend_count + 1, sizeof *sorted);
    if (sorted == NULL)
        return;
    for (size_t i = 0; i < pool->backend_count; i++)
        sorted[i] = &pool->backends[i];
    qsort(sorted, pool->backend_count, sizeof *sorted, by_address);
    for (size_t i = 1; i < pool->backend_count; i++) {
        const struct conf_address *one = &sorted[i - 1]->address, *two = &sorted[i]->address;
        if (span_eq(one->text.s, two->text.s))
            conf_warn(m, two->text.mark,
                      "'%.*s' has two shares of pool '%.*s', and is checked twice: it is backend "
                      "'%.*s' at %.*s:%u:%u too; one with a higher weight does the same",
                      SPAN_FMT(two->text.s), SPAN_FMT(pool->name.s),
                      SPAN_FMT(sorted[i - 1]->name.s),
                      SPAN_FMT(source_name(m->source, &one->text.mark)),
                      (unsigned)one->text.mark.line, (unsigned)one->text.mark.column);
    }
    mem_free(sorted);
}

static void warn_pool(const struct conf_pool *pool, struct conf_messages *m)
{
    warn_residency(&pool->residency, m);
    warn_twice(pool, m);
    if (pool->health.probe == CONF_PROBE_OFF && pool->backend_count > 1)
        conf_warn(m, pool->name.mark,
                  "pool '%.*s' has no health check; a server that is down keeps its share until "
                  "requests fail",
                  SPAN_FMT(pool->name.s));
    if (pool->tls.set && !pool->tls.verify)
        conf_warn(m, pool->tls.mark,
                  "certificates of pool '%.*s' are not verified; whoever is between may read and "
                  "change all",
                  SPAN_FMT(pool->name.s));
}

static bool is_loopback(const struct conf_address *a)
{
    static const uint8_t six[16] = {[15] = 1};
    return a->family == CONF_IPV4 ? a->bytes[0] == 127
                                  : a->family == CONF_IPV6 && memcmp(a->bytes, six, 16) == 0;
}

static bool is_any(const struct conf_address *a)
{
    static const uint8_t any[16] = {0};
    return (a->family == CONF_IPV4 || a->family == CONF_IPV6) && memcmp(a->bytes, any, 16) == 0;
}

/* Whether what is sent to the address arrives at the listener: only what is sure. */
static bool leads_back(const struct conf_address *to, const struct conf_address *bind)
{
    if (to->family == CONF_UNIX)
        return bind->family == CONF_UNIX && span_eq(to->path, bind->path);
    if (to->port != bind->port)
        return false;
    if (to->family != bind->family)
        return false; /* a listener is for one family */
    return (is_loopback(to) && is_any(bind)) || memcmp(to->bytes, bind->bytes, 16) == 0;
}

static void warn_own(const struct conf *conf, const struct conf_backend *b, struct conf_messages *m)
{
    for (size_t i = 0; i < conf->listener_count; i++) {
        const struct conf_listener *l = &conf->listeners[i];
        for (size_t k = 0; k < l->bind_count; k++)
            if (leads_back(&b->address, &l->binds[k]))
                conf_warn(m, b->address.text.mark,
                          "'%.*s' is listener '%.*s' of this balancer; requests would come back to "
                          "it",
                          SPAN_FMT(b->address.text.s), SPAN_FMT(l->name.s));
    }
}

static void warn_pools(const struct conf *conf, struct conf_messages *m)
{
    bool *used = used_pools(conf);
    for (size_t i = 0; used != NULL && i < conf->pool_count; i++) {
        const struct conf_pool *pool = &conf->pools[i];
        if (!used[i])
            conf_warn(m, pool->name.mark, "no route leads to pool '%.*s'; remove it, or add one",
                      SPAN_FMT(pool->name.s));
        warn_pool(pool, m);
        for (size_t k = 0; pool->mode == CONF_PROXY && k < pool->backend_count; k++)
            warn_own(conf, &pool->backends[k], m);
    }
    mem_free(used);
}

static bool has_text(const struct conf_text *v, size_t n, struct span s)
{
    for (size_t i = 0; i < n; i++)
        if (span_eq(v[i].s, s))
            return true;
    return false;
}

/* Whether a condition on one of `all` holds wherever one on `some` does; none is no condition. */
static bool covers_texts(const struct conf_text *all, size_t all_count,
                         const struct conf_text *some, size_t some_count)
{
    for (size_t i = 0; i < some_count && all_count > 0; i++)
        if (!has_text(all, all_count, some[i].s))
            return false;
    return all_count == 0 || some_count > 0;
}

static bool covers_headers(const struct conf_match *wide, const struct conf_match *narrow)
{
    for (size_t i = 0; i < wide->header_count; i++) {
        bool same = false;
        for (size_t j = 0; j < narrow->header_count && !same; j++)
            same = span_eq(wide->headers[i].name.s, narrow->headers[j].name.s) &&
                   span_eq(wide->headers[i].value.s, narrow->headers[j].value.s);
        if (!same)
            return false;
    }
    return true;
}

static size_t conditions(const struct conf_match *m)
{
    return (m->method_count > 0) + m->header_count + (m->country_count > 0);
}

/* Of the routes of one host and path, the one with more conditions is tried first, then the one
 * that stands first: only with as many conditions can an earlier one take all of a later one. */
static bool hides(const struct conf_match *early, const struct conf_match *late)
{
    return conditions(early) == conditions(late) && covers_headers(early, late) &&
           covers_texts(early->methods, early->method_count, late->methods, late->method_count) &&
           covers_texts(early->countries, early->country_count, late->countries,
                        late->country_count);
}

static int by_place(const struct conf_match *a, const struct conf_match *b)
{
    int order = span_cmp(a->host.s, b->host.s);
    if (order == 0)
        order = span_cmp(a->path.s, b->path.s);
    return order != 0 ? order : (int)a->exact - (int)b->exact;
}

static int by_place_and_order(const void *x, const void *y)
{
    const struct conf_route *a = *(const struct conf_route *const *)x,
                            *b = *(const struct conf_route *const *)y;
    int order = by_place(&a->match, &b->match);
    return order != 0 ? order : (a > b) - (a < b);
}

static void warn_hidden(const struct conf *conf, struct conf_messages *m)
{
    const struct conf_route **sorted = mem_array(conf->route_count + 1, sizeof *sorted);
    if (sorted == NULL)
        return;
    for (size_t i = 0; i < conf->route_count; i++)
        sorted[i] = &conf->routes[i];
    qsort(sorted, conf->route_count, sizeof *sorted, by_place_and_order);
    for (size_t i = 1; i < conf->route_count; i++) {
        size_t back = i < COMPARED_MOST ? i : COMPARED_MOST;
        for (size_t j = i; back-- > 0 && by_place(&sorted[--j]->match, &sorted[i]->match) == 0;)
            if (hides(&sorted[j]->match, &sorted[i]->match)) {
                const struct conf_mark *by = &sorted[j]->mark;
                conf_warn(m, sorted[i]->mark,
                          "the route is never chosen; the one at %.*s:%u:%u takes all that it "
                          "matches",
                          SPAN_FMT(source_name(m->source, by)), (unsigned)by->line,
                          (unsigned)by->column);
                break;
            }
    }
    mem_free(sorted);
}

/* What codecs refuse before any route is looked for (H2); a test holds the list against them. */
static bool is_served(struct span method, struct near *near)
{
    static const char *const served[] = {"GET",   "HEAD",   "POST",   "PUT",
                                         "PATCH", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < sizeof served / sizeof *served; i++) {
        if (span_eq(method, span_str(served[i])))
            return true;
        near_offer(near, span_str(served[i]));
    }
    return false;
}

static void warn_method(const struct conf_text *method, struct conf_messages *m)
{
    char memory[64];
    struct buf meant;
    struct near near = near_to(method->s);
    if (is_served(method->s, &near))
        return;
    buf_fixed(&meant, memory, sizeof memory);
    near_put(&near, &meant);
    conf_warn(m, method->mark,
              "'%.*s' is answered with 405 whatever a route says; only GET, HEAD, POST, PUT, "
              "PATCH, DELETE and OPTIONS are served%.*s",
              SPAN_FMT(method->s), SPAN_FMT(buf_span(&meant)));
}

static void warn_methods(const struct conf *conf, struct conf_messages *m)
{
    for (size_t i = 0; i < conf->route_count; i++) {
        const struct conf_match *match = &conf->routes[i].match;
        for (size_t k = 0; k < match->method_count; k++)
            warn_method(&match->methods[k], m);
    }
}

/* Other programs have patterns there. */
static void warn_stars(const struct conf *conf, struct conf_messages *m)
{
    for (size_t i = 0; i < conf->route_count; i++) {
        const struct conf_text *path = &conf->routes[i].match.path;
        if (path->mark.line != 0 && span_find(path->s, '*') != path->s.n)
            conf_warn(m, path->mark,
                      "'*' is a letter like any other in a path; a path is the beginning of all "
                      "that lie below it as it is: leave '*' out");
    }
}

static bool needs_database(enum template_name name)
{
    switch ((int)name) {
    case TEMPLATE_GEO_COUNTRY:
    case TEMPLATE_GEO_CONTINENT:
    case TEMPLATE_GEO_SUBDIVISION:
    case TEMPLATE_GEO_CITY:
    case TEMPLATE_GEO_ASN:
    case TEMPLATE_GEO_ORGANIZATION:
    case TEMPLATE_GEO_FIELD:
        return true;
    default:
        return false;
    }
}

/* One for each template, of its first such name. */
static void warn_template(const struct conf_text *text, struct conf_messages *m)
{
    struct arena arena;
    struct template t;
    struct span bad;
    arena_init(&arena, NULL, KIB(1), 0);
    bool good = template_parse(text->s, &arena, &t, &bad) == ERR_OK;
    for (size_t i = 0; good && i < t.count; i++)
        if (needs_database(t.pieces[i].name)) {
            conf_warn(m, text->mark,
                      "'{%s}' is empty for everybody without a database; set geo.databases",
                      template_name(t.pieces[i].name));
            break;
        }
    arena_reset(&arena);
}

static void warn_field_templates(const struct conf_field_rules *rules, struct conf_messages *m)
{
    for (size_t i = 0; i < rules->set_count; i++)
        warn_template(&rules->set[i].value, m);
    for (size_t i = 0; i < rules->add_count; i++)
        warn_template(&rules->add[i].value, m);
}

/* What decides by places without a database is an error; what only tells of them is empty. */
static void warn_templates(const struct conf *conf, struct conf_messages *m)
{
    if (conf->database_count > 0)
        return;
    if (conf->log.access_line.format == CONF_LOG_TEMPLATE)
        warn_template(&conf->log.access_line.template, m);
    for (size_t i = 0; i < conf->route_count; i++) {
        const struct conf_route *route = &conf->routes[i];
        warn_field_templates(&route->request_headers, m);
        warn_field_templates(&route->response_headers, m);
        if (route->redirect.set)
            warn_template(&route->redirect.to, m);
    }
}

void conf_warnings(const struct conf *conf, struct buf *out)
{
    struct conf_messages m;
    conf_messages_init(&m, conf, out);
    warn_trust(conf->trusted.from, conf->trusted.from_count, &m);
    warn_listeners(conf, &m);
    warn_client_ca(conf, &m);
    warn_odd_names(conf, &m);
    warn_admin(conf, &m);
    warn_pools(conf, &m);
    warn_hidden(conf, &m);
    warn_methods(conf, &m);
    warn_stars(conf, &m);
    warn_templates(conf, &m);
}
