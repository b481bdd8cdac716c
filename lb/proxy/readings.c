#include "proxy/readings.h"

#include "http/uri.h"

static enum err agree(const struct route_table *table, const struct route_request *req,
                      const struct route_match *chosen, char *memory)
{
    unsigned useful = uri_readings(req->path);
    struct route_request other = *req;
    for (unsigned readings = 1; readings < URI_READ_END; readings++) {
        struct route_match match;
        if ((readings & ~useful) != 0)
            continue; /* the same as without */
        other.path = uri_variant(req->path, readings, memory);
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
    return e == ERR_OK ? agree(table, &settled, match, memory + req->path.n) : e;
}
