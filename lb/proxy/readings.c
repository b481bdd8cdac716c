#include "proxy/readings.h"

#include "base/limits.h"
#include "http/uri.h"

/* The cost doubles with each kind of reading that matters: a long path of many kinds, which nobody
 * sends who means it, would keep a worker busy for milliseconds. (URI_READ_TWICE adds an eighth.)
 */
static bool is_costly(struct span path, unsigned useful)
{
    return path.n << __builtin_popcount(useful & ~(unsigned)URI_READ_TWICE) > LIMIT_READINGS;
}

/* Whether the reading is the same as one without something of it. */
static bool is_idle(unsigned readings)
{
    const unsigned twice = URI_READ_CUT | URI_READ_PARAMS | URI_READ_LATE;
    if ((readings & URI_READ_TWICE) != 0 && (readings & twice) != twice)
        return true;
    if ((readings & URI_READ_ESCAPED) != 0 && (readings & (URI_READ_DOTS | URI_READ_PLAIN)) != 0)
        return true;
    return (readings & URI_READ_AGAIN) != 0 && (readings & URI_READ_DOTS) != 0;
}

/* more: readings beyond those that matter for every path. */
static enum err agree(const struct route_table *table, const struct route_request *req,
                      const struct route_match *chosen, unsigned more, char *memory)
{
    unsigned useful = uri_readings(req->path) | more;
    struct route_request other = *req;
    if (is_costly(req->path, useful))
        return ERR_BAD_TARGET;
    for (unsigned readings = 1; readings <= useful; readings++) {
        struct route_match match;
        if ((readings & ~useful) != 0 || is_idle(readings))
            continue;
        other.path = uri_variant(req->path, readings, route_longest(table) + 1, memory);
        if (route_find(table, &other, &match) != ERR_OK || match.index != chosen->index)
            return ERR_BAD_TARGET;
    }
    return ERR_OK;
}

enum err readings_find(const struct route_table *table, const struct route_request *req,
                       struct arena *arena, struct route_match *match)
{
    struct route_request settled = *req;
    char *memory = arena_take(arena, 2 * req->path.n);
    if (memory == NULL)
        return ERR_NO_MEMORY;
    settled.path = uri_settle(req->path, memory);
    enum err e = route_find(table, &settled, match);
    return e == ERR_OK ? agree(table, &settled, match, 0, memory + req->path.n) : e;
}

/* Whoever removes no dot segments, or not those that are escaped, is led there as well: a path
 * below a route that is closed is none of the open one that its dots lead to. */
static enum err keep(const struct route_table *table, const struct route_request *req,
                     const struct route_match *chosen, struct span sent, struct arena *arena)
{
    struct route_request settled = *req;
    char *memory = arena_take(arena, 2 * sent.n);
    if (memory == NULL)
        return ERR_NO_MEMORY;
    settled.path = uri_settle(sent, memory);
    return agree(table, &settled, chosen, URI_READ_ESCAPED | URI_READ_DOTS, memory + sent.n);
}

/* SPAN_NONE without memory. */
static struct span canonical(struct span path, struct arena *arena)
{
    char *memory = arena_take(arena, path.n);
    return memory != NULL ? uri_canonical(path, memory) : SPAN_NONE;
}

static enum err normalise(const struct route_table *table, const struct route_request *req,
                          const struct route_match *chosen, struct request *r, struct arena *arena)
{
    struct route_request again = *req;
    struct route_match match;
    again.path = canonical(r->path, arena);
    if (again.path.p == NULL)
        return ERR_NO_MEMORY;
    enum err e = readings_find(table, &again, arena, &match);
    if (e != ERR_OK || match.index != chosen->index)
        return e == ERR_NO_MEMORY ? e : ERR_BAD_TARGET;
    r->path = again.path;
    r->path_odd = uri_is_odd(r->path);
    return ERR_OK;
}

static enum err reject(struct span path, struct arena *arena)
{
    struct span one = canonical(path, arena);
    if (one.p == NULL)
        return ERR_NO_MEMORY;
    return span_eq(one, path) && span_find(path, '\\') == path.n ? ERR_OK : ERR_BAD_TARGET;
}

enum err readings_rule(enum path_rule rule, const struct route_table *table,
                       const struct route_request *req, const struct route_match *chosen,
                       struct request *r, struct arena *arena)
{
    bool had_dots = r->path_sent.p != NULL;
    if (rule == PATHS_KEEP && had_dots)
        return keep(table, req, chosen, r->path_sent, arena);
    if (rule == PATHS_REJECT && had_dots)
        return ERR_BAD_TARGET;
    if (!r->path_odd)
        return ERR_OK;
    if (rule == PATHS_NORMALISE)
        return normalise(table, req, chosen, r, arena);
    return rule == PATHS_REJECT ? reject(r->path, arena) : ERR_OK;
}
