/* db_probe_soon from inside a result: the next probe comes at once, not when the regular one would.
 */
#include "db/probe.h"

#include "check.h"

struct asker {
    struct loop *loop;
    struct db_probe *probe;
    struct timer end;
    unsigned results;
};

static void on_result(void *user, const struct db_result *r)
{
    struct asker *a = user;
    CHECK(!r->good, "nobody listens there");
    a->results++;
    if (a->results == 1)
        db_probe_soon(a->probe);
    else
        loop_stop(a->loop);
}

static void on_end(struct timer *t)
{
    loop_stop(t->loop);
}

TEST(probe, is_asked_for_from_inside_a_result)
{
    struct asker a = {.results = 0};
    char words[] = "host=127.0.0.1 port=1 user=nobody dbname=none";
    struct db_probe_plan plan = {.where = {.conninfo = words},
                                 .level = DB_ACCEPT,
                                 .interval_ms = 3600000,
                                 .timeout_ms = 10000,
                                 .on_result = on_result,
                                 .user = &a};
    CHECK_INT(loop_ev_new(&a.loop), ERR_OK);
    enum err e = db_probe_new(a.loop, &plan, &a.probe);
    if (e == ERR_OK) { /* else this build has no database */
        timer_init(&a.end, a.loop, on_end);
        timer_in_ms(&a.end, 20000);
        loop_run(a.loop);
        timer_stop(&a.end);
        CHECK_INT(a.results, 2);
        db_probe_free(&a.probe);
    } else {
        CHECK_INT(e, ERR_UNSUPPORTED);
    }
    loop_free(&a.loop);
}
