#include "run/gather.h"

#include "base/mem.h"

void gather_fill(struct look *l, const struct proxy *p)
{
    l->count = sight_take(p, l->rows, GATHER_ROWS);
    l->total = proxy_clients(p);
}

static void show(const struct look *l, struct admin_connection *rows)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct sight *s = &l->rows[i];
        rows[i] = (struct admin_connection){
            .listener = span_str(s->listener),
            .client = span_str(s->client),
            .worker = l->worker,
            .protocol = s->protocol,
            .tls = s->tls,
            .state = s->state,
            .pool = span_str(s->pool),
            .backend = span_str(s->backend),
            .age_ms = s->age_ms,
            .requests = s->requests,
            .bytes_in = s->bytes_in,
            .bytes_out = s->bytes_out,
        };
    }
}

static void answer(struct gather *g, const struct admin_connection *rows, size_t n, uint64_t total)
{
    for (unsigned i = 0; i < g->job_count; i++) {
        if (rows == NULL)
            admin_job_done(g->jobs[i], ERR_NO_MEMORY, SPAN_NONE);
        else
            admin_job_connections(g->jobs[i], rows, n, total);
    }
    g->job_count = 0;
}

static void finish(struct gather *g)
{
    size_t n = 0;
    uint64_t total = 0;
    for (unsigned w = 0; w < LIMIT_WORKERS; w++)
        n += g->looks[w] != NULL ? g->looks[w]->count : 0;
    struct admin_connection *rows = mem_array(n + 1, sizeof *rows);
    n = 0;
    for (unsigned w = 0; w < LIMIT_WORKERS && rows != NULL; w++) {
        if (g->looks[w] == NULL)
            continue;
        show(g->looks[w], rows + n);
        n += g->looks[w]->count;
        total += g->looks[w]->total;
    }
    answer(g, rows, n, total);
    mem_free(rows);
    gather_fini(g);
}

static void settle(struct gather *g, unsigned worker)
{
    if (!g->pending[worker])
        return;
    g->pending[worker] = false;
    if (--g->waiting == 0)
        finish(g);
}

void gather_answered(struct gather *g, struct look *l)
{
    settle(g, l->worker);
}

void gather_worker_gone(struct gather *g, unsigned worker)
{
    g->gone[worker] = true;
    settle(g, worker);
}

/* A worker whose mailbox is full is left out. */
static void ask(struct gather *g, struct worker *w, unsigned index)
{
    struct look *l = mem_alloc(sizeof *l);
    if (l == NULL)
        return;
    l->worker = index;
    if (worker_post(w, (struct mail){.kind = WORKER_LOOK, .p = l}) != ERR_OK) {
        mem_free(l);
        return;
    }
    g->looks[index] = l;
    g->pending[index] = true;
    g->waiting++;
}

void gather_begin(struct gather *g, struct worker **workers, unsigned count, struct admin_job *job)
{
    if (g->job_count == GATHER_JOBS) {
        admin_job_done(job, ERR_FULL, SPAN("too many ask for the connections at once"));
        return;
    }
    g->jobs[g->job_count++] = job;
    if (g->waiting != 0)
        return;
    for (unsigned w = 0; w < count; w++) {
        if (!g->gone[w])
            ask(g, workers[w], w);
    }
    if (g->waiting == 0)
        finish(g);
}

void gather_fini(struct gather *g)
{
    for (unsigned w = 0; w < LIMIT_WORKERS; w++) {
        mem_free(g->looks[w]);
        g->looks[w] = NULL;
    }
}
