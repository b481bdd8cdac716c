#include "proxy/readings.h"

#include "http/uri.h"

enum err readings_agree(const struct route_table *table, const struct route_request *req,
                        const struct route_match *chosen, struct arena *arena)
{
    unsigned useful = uri_readings(req->path);
    char *memory = arena_take(arena, req->path.n);
    struct route_request other = *req;
    if (memory == NULL)
        return ERR_NO_MEMORY;
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
