/* Built without libpq: a configuration that needs it is refused. */
#include "db/lint.h"
#include "db/probe.h"
#include "db/session.h"
#include "db/version.h"

int db_library_version(void)
{
    return 0;
}

enum err session_check(const char *conninfo, struct buf *why)
{
    (void)conninfo;
    buf_put_str(why, "this program was built without libpq, which data sources need");
    return ERR_UNSUPPORTED;
}

enum err session_new(struct loop *loop, const struct session_plan *plan, struct session **out)
{
    (void)loop;
    (void)plan;
    *out = NULL;
    return ERR_UNSUPPORTED;
}

bool session_follow(struct session *s, const struct session_plan *plan)
{
    (void)s;
    (void)plan;
    return false;
}

void session_free(struct session **s)
{
    *s = NULL;
}

enum err db_probe_new(struct loop *loop, const struct db_probe_plan *plan, struct db_probe **out)
{
    (void)loop;
    (void)plan;
    *out = NULL;
    return ERR_UNSUPPORTED;
}

void db_probe_free(struct db_probe **p)
{
    *p = NULL;
}

void db_probe_soon(struct db_probe *p)
{
    (void)p;
}

enum err db_lint(const struct db_where *where, bool registry,
                 void (*say)(void *user, bool fatal, const char *text), void *user)
{
    (void)where;
    (void)registry;
    (void)say;
    (void)user;
    return ERR_UNSUPPORTED;
}
