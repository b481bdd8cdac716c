#include "base/limits.h"
#include "base/mem.h"
#include "db/backoff.h"
#include "db/feed.h"
#include "db/session.h"
#include "db/session_sql.h"
#include "db/wire_pq.h"

#define CONNECT_MS  5000
#define ANSWER_MS   7000 /* more than the statements' own time-out */
#define PATIENCE_MS 1000 /* for a poll (A4.8), while the database is as quick as that */
#define POLL_MS     1000
#define REREAD_MS   10000
#define PRUNE_MS    60000
#define PRUNE_ROWS  10000 /* of one prune: so many, and there are more */
#define WAKE_GAP_MS 20    /* between two that wake-ups ask for */
#define LOST_POLLS  2     /* in a row: then it is perhaps the poll itself that cannot be answered */

#define POLL_NAME "meridian_poll"
#define TAG       "meridian:pool/"

/* What the session waits for. Up to BEGIN it is not up. */
enum step {
    STEP_DOWN,
    STEP_CONNECT,
    STEP_BEGIN,
    STEP_PREPARE,
    STEP_FIRST,
    STEP_POLL,
    STEP_ROWS,
    STEP_PRUNE,
    STEP_IDLE
};

struct session {
    /* set once */
    struct session_plan plan;
    struct loop *loop;
    /* owner thread */
    struct wire wire;
    struct timer due; /* the next poll, or the next try to connect */
    enum step step;
    struct rng rng;
    struct backoff backoff;
    struct feed feed;
    int64_t asked_ns;    /* when the present statement was sent */
    int64_t boot_ns;     /* the last poll, by the boot clock */
    int64_t read_ns;     /* when the rows were asked for; 0: not on this connection */
    uint64_t read_at;    /* the tags' number then */
    bool stale;          /* other pools are asked for since then */
    int64_t pruned_ns;   /* 0: there is more */
    int64_t patience_ms; /* for the next poll */
    unsigned lost_polls; /* in a row: connections that ended when a poll was asked */
    uint64_t told_why;   /* hash of the last reason that was told */
    bool woken;          /* a notification came since the last poll was asked */
    bool no_identity;    /* the role may not ask who the database is */
};

static void count(_Atomic uint64_t *n, uint64_t by)
{
    atomic_fetch_add_explicit(n, by, memory_order_relaxed);
}

/* Told once, and again when it is another reason. */
static void tell_why(struct session *s, const char *why)
{
    uint64_t hash = hash_plain(span_str(why));
    if (s->backoff.failures == 0 || s->told_why != hash) {
        log_event(s->plan.log, LOG_WARN, "database-away",
                  "reason=%s effect=\"what is known stays\"", LOG_QUOTE(span_str(why)));
        s->plan.on_away(s->plan.user, why);
    }
    s->told_why = hash;
}

/* Down, and tried again later. */
static void lose(struct session *s, const char *why)
{
    tell_why(s, why);
    count(&s->plan.facts->failures, 1);
    s->step = STEP_DOWN;
    atomic_store(&s->plan.facts->up, false);
    feed_disconnected(&s->feed);
    timer_in_ms(&s->due, backoff_ms(&s->backoff, &s->rng));
}

static void give_up(struct session *s, const char *why)
{
    wire_hang_up(&s->wire);
    lose(s, why);
}

static void asked(struct session *s, enum step step, int sent)
{
    s->step = step;
    s->asked_ns = loop_now_ns(s->loop);
    timer_stop(&s->due);
    wire_ask(&s->wire, sent, step == STEP_POLL ? s->patience_ms : ANSWER_MS);
}

/* From PATIENCE_MS to ANSWER_MS: a database that is always slower than the first is followed all
 * the same, and one that is quick is given up as soon as it is not. */
static void be_patient(struct session *s, int64_t ms)
{
    s->patience_ms = ms < PATIENCE_MS ? PATIENCE_MS : ms > ANSWER_MS ? ANSWER_MS : ms;
}

static void ask_prepare(struct session *s)
{
    asked(s, STEP_PREPARE,
          PQsendPrepare(s->wire.pg, POLL_NAME, s->no_identity ? SQL_POLL_UNKNOWN : SQL_POLL, 0,
                        NULL));
}

static void ask_poll(struct session *s)
{
    const char *since = feed_snapshot(&s->feed);
    s->woken = false;
    s->boot_ns = clock_boot_ns();
    asked(s, STEP_POLL, PQsendQueryPrepared(s->wire.pg, POLL_NAME, 1, &since, NULL, NULL, 0));
}

static void ask_rows(struct session *s)
{
    const char *pools = s->plan.pools;
    s->read_at = tags_now(s->plan.tags);
    s->stale = false;
    asked(s, STEP_ROWS, PQsendQueryParams(s->wire.pg, SQL_ROWS, 1, NULL, &pools, NULL, NULL, 0));
}

static void ask_prune(struct session *s)
{
    s->pruned_ns = loop_now_ns(s->loop);
    asked(s, STEP_PRUNE, PQsendQuery(s->wire.pg, SQL_PRUNE));
}

/* A log that grows faster than one prune a minute can follow is pruned before each poll. */
static void on_pruned(struct session *s, const PGresult *r)
{
    uint64_t rows;
    if (PQntuples(r) == 1 && span_u64(span_str(PQgetvalue(r, 0, 0)), &rows) == ERR_OK &&
        rows >= PRUNE_ROWS)
        s->pruned_ns = 0;
    ask_poll(s);
}

/* Whether the rows are as they were when they were read last. */
static bool rows_hold(const struct session *s)
{
    char text[TAG_MOST];
    struct span rest = span_str(s->plan.pools), name;
    while (rest.n != 0) {
        struct buf tag;
        rest = span_cut(rest, ',', &name);
        buf_fixed(&tag, text, sizeof text);
        buf_put_str(&tag, TAG);
        buf_put_span(&tag, name);
        if (!tags_hold(s->plan.tags, s->read_at, buf_span(&tag)))
            return false;
    }
    return true;
}

/* Nothing is asked for until a wake-up or the next poll. Everybody at the database may wake us, and
 * as often as he likes. */
static void rest(struct session *s)
{
    int64_t wait_ns = s->asked_ns + WAKE_GAP_MS * NS_PER_MS - loop_now_ns(s->loop);
    s->step = STEP_IDLE;
    if (s->woken && wait_ns <= 0)
        ask_poll(s);
    else
        timer_in_ms(&s->due, s->woken ? wait_ns / NS_PER_MS + 1 : POLL_MS);
}

static struct span cell(const PGresult *r, int row, int column)
{
    return span_of(PQgetvalue(r, row, column), (size_t)PQgetlength(r, row, column));
}

static void on_first(struct session *s, const PGresult *r)
{
    bool fits = PQntuples(r) == 1;
    if (fits) {
        buf_put_span(&s->feed.at, cell(r, 0, 0));
        buf_put_char(&s->feed.at, '\0');
    }
    if (fits && !s->feed.at.failed)
        ask_poll(s);
    else
        give_up(s, "the database has no snapshot");
}

static void note_poll(struct session *s, enum feed_news news)
{
    struct session_facts *f = s->plan.facts;
    count(&f->polls, 1);
    atomic_store(&f->contact_ns, s->asked_ns);
    atomic_store(&f->poll_us, (uint32_t)((loop_now_ns(s->loop) - s->asked_ns) / NS_PER_US));
    count(&f->flushes, news == FEED_FLUSHED);
    count(&f->changes, news == FEED_CHANGED && !rows_hold(s));
    count(&f->resumes, s->read_ns == 0 && news != FEED_FLUSHED);
}

static void on_poll(struct session *s, const PGresult *r)
{
    enum feed_news news;
    if (PQntuples(r) != 1) {
        const char *standby = PQparameterStatus(s->wire.pg, "in_hot_standby");
        give_up(s, standby != NULL && strcmp(standby, "on") == 0
                       ? "this is a standby; the primary is needed"
                       : "meridian.meta must have exactly one row");
        return;
    }
    struct feed_answer a = {cell(r, 0, 0), cell(r, 0, 1), cell(r, 0, 2), cell(r, 0, 3)};
    if (feed_apply(&s->feed, &a, s->plan.tags, &news) != ERR_OK) {
        feed_forget(&s->feed);
        give_up(s, "the answer of the poll makes no sense");
        return;
    }
    s->lost_polls = 0;
    be_patient(s, 2 * (loop_now_ns(s->loop) - s->asked_ns) / NS_PER_MS);
    tags_renew(s->plan.tags, s->boot_ns);
    note_poll(s, news);
    int64_t age_ns = loop_now_ns(s->loop) - s->read_ns;
    if (s->stale || s->read_ns == 0 || age_ns > REREAD_MS * NS_PER_MS || !rows_hold(s))
        ask_rows(s);
    else
        rest(s);
}

static struct row_set *read_rows(const PGresult *r)
{
    struct row_set *set = row_set_new(ROWS_MOST);
    for (int i = 0; set != NULL && i < PQntuples(r); i++) {
        struct span columns[ROW_COLUMNS];
        for (int c = 0; c < ROW_COLUMNS; c++)
            columns[c] = cell(r, i, c);
        if (row_set_add(set, columns) != ERR_OK)
            row_set_free(&set);
    }
    if (set != NULL)
        row_set_settle(set);
    return set;
}

static void on_rows(struct session *s, const PGresult *r)
{
    struct row_set *set = PQnfields(r) == ROW_COLUMNS ? read_rows(r) : NULL;
    if (set == NULL) {
        give_up(s, "no memory for the rows of the registry");
        return;
    }
    set->after_gap = s->read_ns == 0;
    set->server = arena_copy(&set->arena, span_of(s->feed.server, s->feed.server_n));
    set->read_s = clock_wall_ns() / NS_PER_S;
    s->read_ns = s->asked_ns;
    count(&s->plan.facts->reads, 1);
    atomic_store(&s->plan.facts->contact_ns, s->asked_ns);
    if (!atomic_exchange(&s->plan.facts->up, true))
        log_event(s->plan.log, LOG_INFO, "database-up", "rows=%zu skipped=%zu", set->count,
                  set->skipped);
    backoff_reset(&s->backoff);
    s->plan.on_rows(s->plan.user, set);
    if (s->stale)
        ask_rows(s);
    else
        rest(s);
}

static void on_answer(struct wire *w, const PGresult *r)
{
    struct session *s = container_of(w, struct session, wire);
    if (s->step == STEP_BEGIN)
        ask_prepare(s);
    else if (s->step == STEP_PREPARE && feed_began(&s->feed))
        ask_poll(s);
    else if (s->step == STEP_PREPARE)
        asked(s, STEP_FIRST, PQsendQuery(w->pg, SQL_FIRST));
    else if (s->step == STEP_FIRST)
        on_first(s, r);
    else if (s->step == STEP_POLL)
        on_poll(s, r);
    else if (s->step == STEP_ROWS)
        on_rows(s, r);
    else if (s->step == STEP_PRUNE)
        on_pruned(s, r);
}

static void on_wakeup(struct wire *w, uint64_t n)
{
    struct session *s = container_of(w, struct session, wire);
    count(&s->plan.facts->wakeups, n);
    s->woken = true;
    if (s->step == STEP_IDLE)
        rest(s);
}

static void on_open(struct wire *w)
{
    struct session *s = container_of(w, struct session, wire);
    count(&s->plan.facts->connects, 1);
    s->read_ns = 0;
    s->woken = false;
    asked(s, STEP_BEGIN, PQsendQuery(w->pg, SQL_BEGIN));
}

/* A poll that is lost each time, with its connection, may be too much to ask: then the log is
 * followed anew from its present end. Not before it had all the time that there is. */
static void note_lost_poll(struct session *s)
{
    int64_t waited_ns = loop_now_ns(s->loop) - s->asked_ns;
    bool hurried = s->patience_ms < ANSWER_MS && waited_ns >= s->patience_ms * NS_PER_MS;
    be_patient(s, 2 * s->patience_ms);
    if (!hurried && ++s->lost_polls >= LOST_POLLS)
        feed_forget(&s->feed);
}

/* A role that may not ask for the identity (42501) polls without; it may also have lost the right
 * to the log itself, so each of both ways is tried in turn. */
static void on_fail(struct wire *w, const struct wire_failure *f)
{
    struct session *s = container_of(w, struct session, wire);
    bool polls = s->step == STEP_POLL || s->step == STEP_PREPARE;
    s->no_identity ^= polls && strcmp(f->state, "42501") == 0;
    if (s->step == STEP_POLL)
        note_lost_poll(s);
    lose(s, f->text);
}

static const struct wire_events events = {
    .on_open = on_open, .on_answer = on_answer, .on_wakeup = on_wakeup, .on_fail = on_fail};

static void on_due(struct timer *t)
{
    struct session *s = container_of(t, struct session, due);
    if (s->step == STEP_IDLE) {
        if (loop_now_ns(s->loop) - s->pruned_ns >= PRUNE_MS * NS_PER_MS)
            ask_prune(s);
        else
            ask_poll(s);
        return;
    }
    s->step = STEP_CONNECT;
    wire_dial(&s->wire, CONNECT_MS);
}

static enum err check_options(const PQconninfoOption *o, struct buf *why)
{
    bool name = false, address = false;
    for (; o->keyword != NULL; o++) {
        struct span key = span_str(o->keyword);
        if (o->val == NULL || o->val[0] == '\0')
            continue;
        address = address || span_eq(key, SPAN("hostaddr"));
        name = name || (span_eq(key, SPAN("host")) && o->val[0] != '/');
        if (span_eq(key, SPAN("password"))) {
            buf_put_str(why, "a password does not belong here; say with the key password where it "
                             "is, or name a file with passfile=");
            return ERR_SYNTAX;
        }
        if (span_eq(key, SPAN("service"))) {
            buf_put_str(why, "service files are not read; write the connection's words here");
            return ERR_SYNTAX;
        }
    }
    if (!name || address || resolver_available())
        return ERR_OK;
    buf_put_str(why, "this program was built without c-ares, which host names need; add hostaddr=");
    return ERR_SYNTAX;
}

enum err session_check(const char *conninfo, struct buf *why)
{
    char *said = NULL;
    PQconninfoOption *options = PQconninfoParse(conninfo, &said);
    if (options == NULL) {
        struct span line;
        (void)span_cut(span_str(said != NULL ? said : "no memory"), '\n', &line);
        buf_put_text(why, line, 200);
        PQfreemem(said);
        return ERR_SYNTAX;
    }
    enum err e = check_options(options, why);
    PQconninfoFree(options);
    return e;
}

enum err session_new(struct loop *loop, const struct session_plan *plan, struct session **out)
{
    struct session *s = mem_alloc(sizeof *s);
    *out = s;
    if (s == NULL)
        return ERR_NO_MEMORY;
    s->plan = *plan;
    s->loop = loop;
    s->patience_ms = PATIENCE_MS;
    feed_init(&s->feed);
    rng_seed_system(&s->rng);
    timer_init(&s->due, loop, on_due);
    wire_init(&s->wire, loop, &s->plan.where, &events);
    s->plan.pools = mem_copy_str(plan->pools, strlen(plan->pools));
    if (db_where_copy(&s->plan.where, &plan->where) != ERR_OK || s->plan.pools == NULL) {
        session_free(out);
        return ERR_NO_MEMORY;
    }
    timer_in_ms(&s->due, 0);
    return ERR_OK;
}

bool session_follow(struct session *s, const struct session_plan *plan)
{
    if (!db_where_same(&s->plan.where, &plan->where))
        return false;
    char *pools = mem_copy_str(plan->pools, strlen(plan->pools));
    if (pools == NULL)
        return false;
    mem_free(s->plan.pools);
    s->plan.pools = pools;
    s->stale = true;
    if (s->step == STEP_IDLE)
        ask_poll(s);
    return true;
}

void session_free(struct session **sp)
{
    struct session *s = *sp;
    *sp = NULL;
    if (s == NULL)
        return;
    timer_stop(&s->due);
    wire_fini(&s->wire);
    atomic_store(&s->plan.facts->up, false);
    feed_fini(&s->feed);
    db_where_free(&s->plan.where);
    mem_free(s->plan.pools);
    mem_free(s);
}
