#include "base/mem.h"
#include "db/probe.h"
#include "db/wire_pq.h"

#include <stdatomic.h>
#include <stdio.h>

#define SOON_GAP_MS 100 /* between two that are asked for */

struct db_probe {
    /* set once */
    struct db_probe_plan plan;
    struct loop *loop;
    /* owner thread */
    struct wire wire;
    struct timer due, deadline;
    struct rng rng;
    int64_t began_ns;
    bool running, again;
};

/* A standby that has replayed all that it has received is not behind, however long nobody writes.
 */
#define SQL_LAG                                                                                    \
    "SELECT CASE WHEN NOT pg_is_in_recovery() "                                                    \
    "OR pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0 "                              \
    "ELSE greatest(ceil(extract(epoch FROM now() - pg_last_xact_replay_timestamp()) * 1000)"       \
    "::bigint, 0) END"

static const char *const statements[] = {
    [DB_ACCEPT] = "",
    [DB_QUERY] = "SELECT 1",
    [DB_PRIMARY] = "SELECT CASE WHEN pg_is_in_recovery() THEN 1 ELSE 0 END",
    [DB_LAG] = SQL_LAG,
};

static void wait_next(struct db_probe *p)
{
    int64_t ms = p->plan.interval_ms * 4 / 5 +
                 (int64_t)rng_below(&p->rng, (uint64_t)(p->plan.interval_ms * 2 / 5) + 1);
    int64_t at_ns = p->began_ns + (p->again ? SOON_GAP_MS : ms) * NS_PER_MS;
    int64_t now_ns = loop_now_ns(p->loop);
    timer_aim(&p->due, at_ns > now_ns ? at_ns : now_ns + 1);
}

static void end(struct db_probe *p, const char *why)
{
    struct db_result r = {.good = why == NULL,
                          .began_ns = p->began_ns,
                          .took_ns = loop_now_ns(p->loop) - p->began_ns,
                          .why = why != NULL ? why : ""};
    timer_stop(&p->deadline);
    p->running = false;
    if (why != NULL || p->plan.level == DB_ACCEPT)
        wire_hang_up(&p->wire);
    wait_next(p);
    p->plan.on_result(p->plan.user, &r); /* from inside which db_probe_soon may be called */
}

static void ask(struct db_probe *p)
{
    wire_ask(&p->wire, PQsendQuery(p->wire.pg, statements[p->plan.level]), p->plan.timeout_ms);
}

static void on_open(struct wire *w)
{
    struct db_probe *p = container_of(w, struct db_probe, wire);
    if (p->plan.level == DB_ACCEPT)
        end(p, NULL);
    else
        ask(p);
}

static void on_answer(struct wire *w, const PGresult *r)
{
    struct db_probe *p = container_of(w, struct db_probe, wire);
    char why[64];
    uint64_t n;
    if (PQntuples(r) != 1 || span_u64(span_str(PQgetvalue(r, 0, 0)), &n) != ERR_OK) {
        end(p, "the answer makes no sense");
    } else if (p->plan.level == DB_PRIMARY && n != 0) {
        end(p, "this is a standby");
    } else if (p->plan.level == DB_LAG && n > (uint64_t)p->plan.max_lag_ms) {
        snprintf(why, sizeof why, "it is behind by %llu ms", (unsigned long long)n);
        end(p, why);
    } else {
        end(p, NULL);
    }
}

/* Whoever is asked for a password, or turned away by name, has found a server that takes
 * connections. 57P03: it is starting or stopping. */
static bool accepts(const struct wire_failure *f)
{
    bool spoke = f->state[0] != '\0' && strcmp(f->state, "57P03") != 0;
    return spoke || f->asked_secret;
}

static void on_fail(struct wire *w, const struct wire_failure *f)
{
    struct db_probe *p = container_of(w, struct db_probe, wire);
    if (!p->running) /* it was closed between two probes: the next one finds out why */
        return;
    end(p, p->plan.level == DB_ACCEPT && accepts(f) ? NULL : f->text);
}

static const struct wire_events events = {
    .on_open = on_open, .on_answer = on_answer, .on_fail = on_fail};

static void on_deadline(struct timer *t)
{
    end(container_of(t, struct db_probe, deadline), "no answer in time");
}

/* Whether somebody else has had an answer since the last probe. */
static bool answered(const struct db_probe *p)
{
    return p->plan.level == DB_QUERY && p->plan.answered_ns != NULL && !p->again &&
           atomic_load_explicit(p->plan.answered_ns, memory_order_relaxed) > p->began_ns;
}

static void begin(struct db_probe *p)
{
    if (answered(p)) {
        p->began_ns = atomic_load_explicit(p->plan.answered_ns, memory_order_relaxed);
        end(p, NULL);
        return;
    }
    p->began_ns = loop_now_ns(p->loop);
    p->running = true;
    p->again = false;
    timer_in_ms(&p->deadline, p->plan.timeout_ms);
    if (p->wire.step == WIRE_IDLE)
        ask(p);
    else
        wire_dial(&p->wire, p->plan.timeout_ms);
}

static void on_due(struct timer *t)
{
    begin(container_of(t, struct db_probe, due));
}

void db_probe_soon(struct db_probe *p)
{
    p->again = true;
    if (!p->running)
        wait_next(p);
}

enum err db_probe_new(struct loop *loop, const struct db_probe_plan *plan, struct db_probe **out)
{
    struct db_probe *p = mem_alloc(sizeof *p);
    *out = p;
    if (p == NULL)
        return ERR_NO_MEMORY;
    p->plan = *plan;
    p->loop = loop;
    rng_seed_system(&p->rng);
    timer_init(&p->due, loop, on_due);
    timer_init(&p->deadline, loop, on_deadline);
    wire_init(&p->wire, loop, &p->plan.where, &events);
    if (db_where_copy(&p->plan.where, &plan->where) != ERR_OK) {
        db_probe_free(out);
        return ERR_NO_MEMORY;
    }
    timer_in_ms(&p->due, 0);
    return ERR_OK;
}

void db_probe_free(struct db_probe **pp)
{
    struct db_probe *p = *pp;
    *pp = NULL;
    if (p == NULL)
        return;
    timer_stop(&p->due);
    timer_stop(&p->deadline);
    wire_fini(&p->wire);
    db_where_free(&p->plan.where);
    mem_free(p);
}
