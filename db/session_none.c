/* Built without libpq: a configuration that needs it is refused. */
#include "base/buf.h"
#include "db/session.h"

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

void session_free(struct session **s)
{
    *s = NULL;
}
