#include "run/totals.h"

#include "run/balancer.h"

#include <stdio.h>

struct list {
    struct handover_total *out;
    size_t n;
};

static void put(struct list *l, const char *name, struct span of, _Atomic uint64_t *at)
{
    if (l->n == TOTALS_MOST)
        return;
    struct handover_total *t = &l->out[l->n++];
    snprintf(t->name, sizeof t->name, "%s%.*s", name, SPAN_FMT(of));
    t->at = at;
}

void totals_lost(struct totals *t, struct log_writer *w)
{
    if (w != NULL)
        atomic_fetch_add(&t->lines_lost, log_writer_take_lost(w));
}

static void add_turns(struct loop_turns *to, const struct loop_turns *turns)
{
    for (size_t i = 0; i < LOOP_TURN_BUCKETS; i++)
        to->bucket[i] += atomic_load_explicit(&turns->bucket[i], memory_order_relaxed);
    to->sum_ns += atomic_load_explicit(&turns->sum_ns, memory_order_relaxed);
}

void totals_turns(const struct balancer *b, struct loop_turns *sum)
{
    *sum = (struct loop_turns){0};
    add_turns(sum, &b->totals.turns);
    for (unsigned w = 0; w < b->worker_count; w++)
        add_turns(sum, worker_turns(b->workers[w]));
}

static void put_threads(struct list *l, struct balancer *b)
{
    struct health_counts *checks = health_thread_counts(b->health);
    struct name_counts *names = health_thread_name_counts(b->health);
    put(l, "checks-good", SPAN(""), &checks->good);
    put(l, "checks-bad", SPAN(""), &checks->bad);
    put(l, "checks-local", SPAN(""), &checks->local);
    put(l, "health-changes", SPAN(""), &checks->changes);
    put(l, "names-good", SPAN(""), &names->good);
    put(l, "names-bad", SPAN(""), &names->bad);
    put(l, "spans-sent", SPAN(""), &b->totals.spans.sent);
    put(l, "spans-lost", SPAN(""), &b->totals.spans.lost);
    put(l, "lines-lost", SPAN(""), &b->totals.lines_lost);
}

static void put_main(struct list *l, struct balancer *b)
{
    put(l, "reloads", SPAN(""), &b->reloads);
    put(l, "reloads-failed", SPAN(""), &b->reloads_failed);
    put(l, "certificates-good", SPAN(""), &b->watch.certs_good);
    put(l, "certificates-bad", SPAN(""), &b->watch.certs_bad);
    put(l, "geo-good", SPAN(""), &b->watch.geo_good);
    put(l, "geo-bad", SPAN(""), &b->watch.geo_bad);
    for (unsigned t = OVERLOAD_NONE + 1; t < OVERLOAD_TIERS; t++)
        put(l, "overload-", span_str(overload_name((enum overload)t)), &b->pressure.entered[t]);
    put(l, "overload-resets", SPAN(""), &b->pressure.resets);
}

static void put_database(struct list *l, struct balancer *b)
{
    struct session_facts *f = &b->central.facts;
    put(l, "database-connects", SPAN(""), &f->connects);
    put(l, "database-failures", SPAN(""), &f->failures);
    put(l, "database-polls", SPAN(""), &f->polls);
    put(l, "database-wakeups", SPAN(""), &f->wakeups);
    put(l, "database-changes", SPAN(""), &f->changes);
    put(l, "database-flushes", SPAN(""), &f->flushes);
    put(l, "database-reads", SPAN(""), &f->reads);
    put(l, "database-resumes", SPAN(""), &f->resumes);
    put(l, "registry-saves", SPAN(""), &b->central.saves);
    put(l, "registry-saves-failed", SPAN(""), &b->central.saves_failed);
    put(l, "registry-mass-expiries", SPAN(""), &b->central.leases.brakes);
}

static void put_dependencies(struct list *l, struct balancer *b)
{
    const struct conf *conf = b->current->conf;
    for (size_t i = 0; i < conf->dependency_count; i++) {
        struct dependency_facts *f = &b->central.dependencies[i].facts;
        put(l, "dependency-good-", conf->dependencies[i].name.s, &f->good);
        put(l, "dependency-bad-", conf->dependencies[i].name.s, &f->bad);
    }
}

size_t totals_of(struct balancer *b, struct handover_total out[TOTALS_MOST])
{
    struct list l = {.out = out};
    if (b->current->log != NULL)
        totals_lost(&b->totals, b->current->log->writer);
    put_threads(&l, b);
    put_main(&l, b);
    put_database(&l, b);
    put_dependencies(&l, b);
    return l.n;
}
