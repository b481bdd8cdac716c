#include "db/where.h"

#include "base/mem.h"

static bool keep(char **to, const char *from)
{
    *to = from != NULL ? mem_copy_str(from, strlen(from)) : NULL;
    return from == NULL || *to != NULL;
}

enum err db_where_copy(struct db_where *to, const struct db_where *from)
{
    *to = (struct db_where){.secret = from->secret};
    if (keep(&to->conninfo, from->conninfo) && keep(&to->password, from->password) &&
        keep(&to->name_servers, from->name_servers))
        return ERR_OK;
    db_where_free(to);
    return ERR_NO_MEMORY;
}

void db_where_free(struct db_where *w)
{
    mem_free(w->conninfo);
    mem_free(w->password);
    mem_free(w->name_servers);
    *w = (struct db_where){.secret = NULL};
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool db_where_same(const struct db_where *a, const struct db_where *b)
{
    return same_text(a->conninfo, b->conninfo) && same_text(a->password, b->password) &&
           same_text(a->name_servers, b->name_servers);
}
