#include "conf/check.h"

#include <stdlib.h>

#define LABEL_BYTES 100 /* of a label that is made; written ones are shorter */

static int compare_text(const void *x, const void *y)
{
    return span_cmp(((const struct conf_text *)x)->s, ((const struct conf_text *)y)->s);
}

static int compare_header(const void *x, const void *y)
{
    return span_cmp(((const struct conf_header *)x)->name.s,
                    ((const struct conf_header *)y)->name.s);
}

/* What makes two matches one, the order of methods, fields and countries apart. SPAN_NONE without
 * memory. */
static struct span match_key(struct reader *r, const struct conf_match *match)
{
    struct buf key;
    buf_init(&key, LIMIT_CONF_BYTES * 2);
    buf_put_span(&key, match->host.s);
    buf_put_str(&key, match->exact ? "\n=" : "\n");
    buf_put_span(&key, match->path.s);
    for (size_t i = 0; i < match->method_count; i++) {
        buf_put_char(&key, '\n');
        buf_put_span(&key, match->methods[i].s);
    }
    for (size_t i = 0; i < match->header_count; i++) {
        buf_put_str(&key, "\n:");
        buf_put_span(&key, match->headers[i].name.s);
        buf_put_char(&key, ':');
        buf_put_span(&key, match->headers[i].value.s);
    }
    for (size_t i = 0; i < match->country_count; i++) {
        buf_put_str(&key, "\n@");
        buf_put_span(&key, match->countries[i].s);
    }
    struct span copy = key.failed ? SPAN_NONE : arena_copy(r->arena, buf_span(&key));
    if (copy.p == NULL)
        r->no_memory = true;
    buf_fini(&key);
    return copy;
}

/* A second route with the same match can never be chosen. */
static void check_same_match(struct reader *r, const struct conf *conf)
{
    struct names names;
    if (!names_init(&names, r, conf->route_count))
        return;
    for (size_t i = 0; i < conf->route_count; i++) {
        struct conf_route *route = &conf->routes[i];
        if (route->match.method_count > 1)
            qsort(route->match.methods, route->match.method_count, sizeof(struct conf_text),
                  compare_text);
        if (route->match.country_count > 1)
            qsort(route->match.countries, route->match.country_count, sizeof(struct conf_text),
                  compare_text);
        if (route->match.header_count > 1)
            qsort(route->match.headers, route->match.header_count, sizeof(struct conf_header),
                  compare_header);
        if (route->mark.width > 0)
            names_add(&names, match_key(r, &route->match), route, &route->mark);
    }
    names_sort(&names);
    for (size_t i = 1, first = 0; i < names.count; i++) {
        if (!span_eq(names.entries[i].name, names.entries[first].name)) {
            first = i;
            continue;
        }
        const struct conf_mark *same = names.entries[first].mark;
        conf_report(r->m, *names.entries[i].mark,
                    "the route is never chosen; the one at %.*s:%u:%u has "
                    "the same match",
                    SPAN_FMT(source_name(r->m->source, same)), (unsigned)same->line,
                    (unsigned)same->column);
    }
}

/* "host/path", or the pool's name where the route is for everything. */
static struct span made_label(struct reader *r, const struct conf_route *route)
{
    const struct conf_match *match = &route->match;
    bool all = match->host.s.n == 0 && match->path.s.n == 1 && route->pool != NULL;
    char *label =
        all ? arena_printf(r->arena, "%.*s", SPAN_FMT(route->pool->name.s))
            : arena_printf(r->arena, "%.*s%.*s", SPAN_FMT(match->host.s), SPAN_FMT(match->path.s));
    if (label == NULL)
        r->no_memory = true;
    return span_sub(span_str(label), 0, LABEL_BYTES);
}

static struct conf_route *route_of(struct conf *conf, const struct names_entry *entry)
{
    return &conf->routes[(const struct conf_route *)entry->thing - conf->routes];
}

static bool is_written(const struct conf_route *route)
{
    return route->name.mark.line > 0;
}

/* Routes with one label: of those that were written there may be one, which keeps it; the made ones
 * get a number, except where one stands alone or first. */
static void tell_apart(struct reader *r, struct conf *conf, const struct names_entry *same,
                       size_t count)
{
    const struct conf_route *written = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct conf_route *route = route_of(conf, &same[i]);
        if (written != NULL && is_written(route))
            conf_report(
                r->m, route->name.mark, "the name '%.*s' is given twice, first at %.*s:%u:%u",
                SPAN_FMT(route->name.s), SPAN_FMT(source_name(r->m->source, &written->name.mark)),
                (unsigned)written->name.mark.line, (unsigned)written->name.mark.column);
        else if (is_written(route))
            written = route;
    }
    for (size_t i = written != NULL ? 0 : 1; i < count; i++) {
        struct conf_route *route = route_of(conf, &same[i]);
        char *numbered = NULL;
        if (!is_written(route))
            numbered = arena_printf(r->arena, "%.*s#%zu", SPAN_FMT(route->name.s), i + 1);
        if (numbered != NULL)
            route->name.s = span_str(numbered);
    }
}

static void label_routes(struct reader *r, struct conf *conf)
{
    struct names names;
    if (!names_init(&names, r, conf->route_count))
        return;
    for (size_t i = 0; i < conf->route_count; i++) {
        struct conf_route *route = &conf->routes[i];
        if (route->name.s.p == NULL)
            route->name.s = made_label(r, route);
        names_add(&names, route->name.s, route, &route->mark);
    }
    names_sort(&names);
    for (size_t i = 0, n = 0; i < names.count; i += n) {
        for (n = 1; i + n < names.count; n++)
            if (!span_eq(names.entries[i + n].name, names.entries[i].name))
                break;
        tell_apart(r, conf, &names.entries[i], n);
    }
}

/* Those that hold before a route is chosen are the global ones; the others were inherited by key.
 */
static void inherit(const struct conf *conf, struct conf_route *route)
{
    struct conf_timeouts *own = &route->timeouts;
    schema_inherit(conf, &schema_route, route);
    own->handshake_ms = conf->timeouts.handshake_ms;
    own->request_head_ms = conf->timeouts.request_head_ms;
    own->idle_ms = conf->timeouts.idle_ms;
    own->connection_age_ms = conf->timeouts.connection_age_ms;
}

static void number_pages(struct conf *conf, struct conf_pages *pages)
{
    for (size_t i = 0; i < pages->count; i++)
        pages->v[i].index = conf->page_count++;
}

void check_routes(struct reader *r, struct conf *conf, const struct names *pools)
{
    for (size_t i = 0; i < conf->route_count; i++) {
        struct conf_route *route = &conf->routes[i];
        inherit(conf, route);
        check_action(r, conf, route, pools);
        number_pages(conf, &route->pages);
    }
    number_pages(conf, &conf->pages);
    check_same_match(r, conf);
    label_routes(r, conf);
}
