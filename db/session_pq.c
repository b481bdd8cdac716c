#include "base/limits.h"
#include "base/mem.h"
#include "db/backoff.h"
#include "db/feed.h"
#include "db/session.h"
#include "db/session_sql.h"
#include "db/wire_pq.h"

#define CONNECT_MS  5000
#define ANSWER_MS   7000 /* more than the statements' own time-out */
#define POLL_MS     1000
#define REREAD_MS   10000
#define WAKE_GAP_MS 20 /* between two that wake-ups ask for */

#define POLL_NAME "meridian_poll"
#define TAGS      SPAN("meridian:pool/")

/* What the session waits for. Up to BEGIN it is not up. */
enum step {
    STEP_DOWN,
    STEP_CONNECT,
    STEP_BEGIN,
    STEP_PREPARE,
    STEP_FIRST,
    STEP_POLL,
    STEP_ROWS,
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
    int64_t asked_ns; /* when the present statement was sent */
    int64_t read_ns;  /* when the rows were asked for; 0: not on this connection */
    bool woken;       /* a notification came since the last poll was asked */
    bool no_identity; /* the role may not ask who the database is */
};

static void count(_Atomic uint64_t *n, uint64_t by)
{
    atomic_fetch_add_explicit(n, by, memory_order_relaxed);
}

/* Down, and tried again later. */
static void lose(struct session *s, const char *why)
{
    if (s->backoff.failures == 0)
        log_event(s->plan.log, LOG_WARN, "database-away",
                  "reason=%s effect=\"what is known stays\"", LOG_QUOTE(span_str(why)));
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
    wire_ask(&s->wire, sent, ANSWER_MS);
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
    asked(s, STEP_POLL, PQsendQueryPrepared(s->wire.pg, POLL_NAME, 1, &since, NULL, NULL, 0));
}

static void ask_rows(struct session *s)
{
    asked(s, STEP_ROWS, PQsendQuery(s->wire.pg, SQL_ROWS));
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
        ask_rows(s);
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
    count(&f->changes, news == FEED_CHANGED);
    count(&f->resumes, s->read_ns == 0 && news != FEED_FLUSHED);
}

static void on_poll(struct session *s, const PGresult *r)
{
    enum feed_news news;
    if (PQntuples(r) != 1) {
        give_up(s, "this is a standby; the primary is needed");
        return;
    }
    struct feed_answer a = {cell(r, 0, 0), cell(r, 0, 1), cell(r, 0, 2), cell(r, 0, 3)};
    if (feed_apply(&s->feed, &a, TAGS, &news) != ERR_OK) {
        feed_forget(&s->feed);
        give_up(s, "the answer of the poll makes no sense");
        return;
    }
    note_poll(s, news);
    int64_t age_ns = loop_now_ns(s->loop) - s->read_ns;
    if (news != FEED_NOTHING || s->read_ns == 0 || age_ns > REREAD_MS * NS_PER_MS)
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
    s->read_ns = s->asked_ns;
    count(&s->plan.facts->reads, 1);
    atomic_store(&s->plan.facts->contact_ns, s->asked_ns);
    if (!atomic_exchange(&s->plan.facts->up, true))
        log_event(s->plan.log, LOG_INFO, "database-up", "rows=%zu skipped=%zu", set->count,
                  set->skipped);
    backoff_reset(&s->backoff);
    s->plan.on_rows(s->plan.user, set);
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

/* A role that may not ask for the identity (42501) polls without. */
static void on_fail(struct wire *w, const struct wire_failure *f)
{
    struct session *s = container_of(w, struct session, wire);
    bool polls = s->step == STEP_POLL || s->step == STEP_PREPARE;
    s->no_identity = s->no_identity || (polls && strcmp(f->state, "42501") == 0);
    lose(s, f->text);
}

static const struct wire_events events = {
    .on_open = on_open, .on_answer = on_answer, .on_wakeup = on_wakeup, .on_fail = on_fail};

static void on_due(struct timer *t)
{
    struct session *s = container_of(t, struct session, due);
    if (s->step == STEP_IDLE) {
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
        buf_put_text(why, span_trim(span_str(said != NULL ? said : "no memory")), 200);
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
    feed_init(&s->feed);
    rng_seed_system(&s->rng);
    timer_init(&s->due, loop, on_due);
    wire_init(&s->wire, loop, &s->plan.where, &events);
    if (db_where_copy(&s->plan.where, &plan->where) != ERR_OK) {
        session_free(out);
        return ERR_NO_MEMORY;
    }
    timer_in_ms(&s->due, 0);
    return ERR_OK;
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
    mem_free(s);
}
