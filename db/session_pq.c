#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "db/backoff.h"
#include "db/feed.h"
#include "db/session.h"
#include "db/session_sql.h"
#include "net/sock.h"

#include <libpq-fe.h>

#define CONNECT_MS  5000
#define ANSWER_MS   7000 /* more than the statements' own time-out */
#define POLL_MS     1000
#define REREAD_MS   10000
#define WAKE_GAP_MS 20      /* between two that wake-ups ask for */
#define ANSWER_MOST MIB(64) /* bytes: libpq keeps all of an answer */

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
    char *conninfo;
    struct loop *loop;
    /* owner thread */
    PGconn *pg;
    struct io io;
    struct timer due; /* the step's deadline, the next poll, or the next try to connect */
    enum step step;
    struct rng rng;
    struct backoff backoff;
    struct feed feed;
    PGresult *result; /* of the present statement */
    int64_t asked_ns; /* when it was sent */
    uint64_t heard;   /* bytes that the connection had received then */
    int64_t read_ns;  /* when the rows were asked for; 0: not on this connection */
    bool woken;       /* a notification came while something else was asked */
    bool no_identity; /* the role may not ask who the database is */
};

static void count(_Atomic uint64_t *n)
{
    atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
}

static void hang_up(struct session *s)
{
    io_want(&s->io, 0);
    PQclear(s->result);
    s->result = NULL;
    if (s->pg != NULL)
        PQfinish(s->pg);
    s->pg = NULL;
    s->step = STEP_DOWN;
    atomic_store(&s->plan.facts->up, false);
}

/* The text of libpq may have several lines and end with one. */
static void fail(struct session *s, const char *why)
{
    char said[256];
    struct buf b;
    buf_fixed(&b, said, sizeof said - 1);
    buf_put_text(&b, span_trim(span_str(why)), 200);
    if (s->backoff.failures == 0)
        log_event(s->plan.log, LOG_WARN, "database-away",
                  "reason=\"%.*s\" effect=\"what is known stays\"", SPAN_FMT(buf_span(&b)));
    count(&s->plan.facts->failures);
    hang_up(s);
    timer_in_ms(&s->due, backoff_ms(&s->backoff, &s->rng));
}

static void fail_pg(struct session *s)
{
    fail(s, PQerrorMessage(s->pg));
}

/* Sends what libpq holds; its socket may have no room. */
static void flush(struct session *s)
{
    int left = PQflush(s->pg);
    if (left < 0)
        fail_pg(s);
    else
        io_want(&s->io, IO_READ | (left > 0 ? IO_WRITE : 0u));
}

static void asked(struct session *s, enum step step, int sent)
{
    s->step = step;
    s->asked_ns = loop_now_ns(s->loop);
    s->heard = sock_received(PQsocket(s->pg));
    timer_in_ms(&s->due, ANSWER_MS);
    if (sent == 1)
        flush(s);
    else
        fail_pg(s);
}

static void ask_prepare(struct session *s)
{
    asked(s, STEP_PREPARE,
          PQsendPrepare(s->pg, POLL_NAME, s->no_identity ? SQL_POLL_UNKNOWN : SQL_POLL, 0, NULL));
}

static void ask_poll(struct session *s)
{
    const char *since = feed_snapshot(&s->feed);
    s->woken = false;
    asked(s, STEP_POLL, PQsendQueryPrepared(s->pg, POLL_NAME, 1, &since, NULL, NULL, 0));
}

static void ask_rows(struct session *s)
{
    asked(s, STEP_ROWS, PQsendQuery(s->pg, SQL_ROWS));
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

static void on_first(struct session *s)
{
    bool fits = PQntuples(s->result) == 1;
    if (fits) {
        buf_put_span(&s->feed.at, cell(s->result, 0, 0));
        buf_put_char(&s->feed.at, '\0');
    }
    if (fits && !s->feed.at.failed)
        ask_rows(s);
    else
        fail(s, "the database has no snapshot");
}

static void on_poll(struct session *s)
{
    enum feed_news news;
    if (PQntuples(s->result) != 1) {
        fail(s, "this is a standby; the primary is needed");
        return;
    }
    struct feed_answer a = {cell(s->result, 0, 0), cell(s->result, 0, 1), cell(s->result, 0, 2),
                            cell(s->result, 0, 3)};
    if (feed_apply(&s->feed, &a, TAGS, &news) != ERR_OK) {
        feed_forget(&s->feed);
        fail(s, "the answer of the poll makes no sense");
        return;
    }
    int64_t now_ns = loop_now_ns(s->loop);
    count(&s->plan.facts->polls);
    atomic_store(&s->plan.facts->contact_ns, s->asked_ns);
    atomic_store(&s->plan.facts->poll_us, (uint32_t)((now_ns - s->asked_ns) / NS_PER_US));
    if (news == FEED_FLUSHED)
        count(&s->plan.facts->flushes);
    if (news == FEED_CHANGED)
        count(&s->plan.facts->changes);
    if (news != FEED_NOTHING || s->read_ns == 0 || now_ns - s->read_ns > REREAD_MS * NS_PER_MS)
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

static void on_rows(struct session *s)
{
    struct row_set *set = PQnfields(s->result) == ROW_COLUMNS ? read_rows(s->result) : NULL;
    if (set == NULL) {
        fail(s, "no memory for the rows of the registry");
        return;
    }
    set->after_gap = s->read_ns == 0;
    s->read_ns = s->asked_ns;
    count(&s->plan.facts->reads);
    atomic_store(&s->plan.facts->contact_ns, s->asked_ns);
    if (!atomic_exchange(&s->plan.facts->up, true))
        log_event(s->plan.log, LOG_INFO, "database-up", "rows=%zu skipped=%zu", set->count,
                  set->skipped);
    backoff_reset(&s->backoff);
    s->plan.on_rows(s->plan.user, set);
    rest(s);
}

/* A role that may not ask for the identity (42501) polls without. */
static bool identity_denied(const struct session *s)
{
    const char *state = s->result != NULL ? PQresultErrorField(s->result, PG_DIAG_SQLSTATE) : NULL;
    return !s->no_identity && (s->step == STEP_POLL || s->step == STEP_PREPARE) && state != NULL &&
           strcmp(state, "42501") == 0;
}

static void answered(struct session *s)
{
    ExecStatusType status = s->result != NULL ? PQresultStatus(s->result) : PGRES_FATAL_ERROR;
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        s->no_identity = s->no_identity || identity_denied(s);
        fail(s, s->result != NULL ? PQresultErrorMessage(s->result) : PQerrorMessage(s->pg));
        return;
    }
    if (s->step == STEP_BEGIN)
        ask_prepare(s);
    else if (s->step == STEP_PREPARE && feed_began(&s->feed))
        ask_poll(s);
    else if (s->step == STEP_PREPARE)
        asked(s, STEP_FIRST, PQsendQuery(s->pg, SQL_FIRST));
    else if (s->step == STEP_FIRST)
        on_first(s);
    else if (s->step == STEP_POLL)
        on_poll(s);
    else if (s->step == STEP_ROWS)
        on_rows(s);
}

/* The last result counts, or the first error. A statement is over when none is left. */
static void take_results(struct session *s)
{
    while (s->pg != NULL && s->step != STEP_IDLE && !PQisBusy(s->pg)) {
        PGresult *r = PQgetResult(s->pg);
        if (r == NULL) {
            answered(s);
            PQclear(s->result);
            s->result = NULL;
            return;
        }
        bool failed = s->result != NULL && PQresultStatus(s->result) == PGRES_FATAL_ERROR;
        PQclear(failed ? r : s->result);
        s->result = failed ? s->result : r;
    }
}

static void take_wakeups(struct session *s)
{
    PGnotify *n;
    while (s->pg != NULL && (n = PQnotifies(s->pg)) != NULL) {
        PQfreemem(n);
        s->woken = true;
        count(&s->plan.facts->wakeups);
    }
    if (s->pg != NULL && s->step == STEP_IDLE && s->woken)
        rest(s);
}

static void connected(struct session *s)
{
    count(&s->plan.facts->connects);
    s->read_ns = 0;
    s->woken = false;
    if (PQsetnonblocking(s->pg, 1) != 0)
        fail_pg(s);
    else
        asked(s, STEP_BEGIN, PQsendQuery(s->pg, SQL_BEGIN));
}

static void on_ready(struct io *io, unsigned events);

/* libpq may open another socket inside; the old one must not be watched then. */
static void go_on_connecting(struct session *s)
{
    io_want(&s->io, 0);
    PostgresPollingStatusType p = PQconnectPoll(s->pg);
    if (p == PGRES_POLLING_FAILED || PQsocket(s->pg) < 0) {
        fail_pg(s);
        return;
    }
    io_init(&s->io, s->loop, PQsocket(s->pg), on_ready);
    if (p == PGRES_POLLING_OK)
        connected(s);
    else
        io_want(&s->io, p == PGRES_POLLING_READING ? IO_READ : IO_WRITE);
}

static void on_ready(struct io *io, unsigned events)
{
    struct session *s = container_of(io, struct session, io);
    if (sock_received(io->fd) > s->heard + ANSWER_MOST) {
        fail(s, "the answer is too large");
        return;
    }
    if (s->step == STEP_CONNECT) {
        go_on_connecting(s);
        return;
    }
    if ((events & IO_READ) != 0 && PQconsumeInput(s->pg) == 0) {
        fail_pg(s);
        return;
    }
    flush(s);
    if (s->pg != NULL)
        take_results(s);
    take_wakeups(s);
}

static void be_silent(void *user, const PGresult *r)
{
    (void)user;
    (void)r;
}

static void begin(struct session *s)
{
    /* The plan's own words come after the defaults and win over them. */
    const char *const keys[] = {"application_name",
                                "keepalives_idle",
                                "keepalives_interval",
                                "keepalives_count",
                                "tcp_user_timeout",
                                "gssencmode",
                                "dbname",
                                NULL};
    const char *const values[] = {"meridian", "10",      "3",         "3",
                                  "10000",    "disable", s->conninfo, NULL};
    s->pg = PQconnectStartParams(keys, values, 1);
    if (s->pg == NULL || PQstatus(s->pg) == CONNECTION_BAD || PQsocket(s->pg) < 0) {
        fail(s, s->pg != NULL ? PQerrorMessage(s->pg) : "no memory");
        return;
    }
    PQsetNoticeReceiver(s->pg, be_silent, NULL);
    s->heard = 0;
    s->step = STEP_CONNECT;
    timer_in_ms(&s->due, CONNECT_MS);
    io_init(&s->io, s->loop, PQsocket(s->pg), on_ready);
    io_want(&s->io, IO_WRITE);
}

static void on_due(struct timer *t)
{
    struct session *s = container_of(t, struct session, due);
    if (s->step == STEP_DOWN)
        begin(s);
    else if (s->step == STEP_IDLE)
        ask_poll(s);
    else
        fail(s, s->step == STEP_CONNECT ? "no connection in time" : "no answer in time");
}

/* A name would be looked up by libpq, which blocks; a password does not belong in this file. */
static enum err check_options(const PQconninfoOption *o, struct buf *why)
{
    bool host = false, address = false;
    for (; o->keyword != NULL; o++) {
        struct span key = span_str(o->keyword);
        struct addr parsed;
        if (o->val == NULL || o->val[0] == '\0')
            continue;
        if (span_eq(key, SPAN("hostaddr")))
            address = true;
        if (span_eq(key, SPAN("host")))
            host = o->val[0] != '/' && addr_parse_host(span_str(o->val), &parsed) != ERR_OK;
        if (span_eq(key, SPAN("password"))) {
            buf_put_str(why, "a password does not belong here; name a file with passfile=");
            return ERR_SYNTAX;
        }
        if (span_eq(key, SPAN("service"))) {
            buf_put_str(why, "service files are not read; write the connection's words here");
            return ERR_SYNTAX;
        }
    }
    if (!host || address)
        return ERR_OK;
    buf_put_str(why, "host is a name; add hostaddr= with its address, or give an address or the "
                     "folder of a unix socket");
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
    io_init(&s->io, loop, -1, on_ready);
    s->conninfo = mem_copy_str(plan->conninfo, strlen(plan->conninfo));
    if (s->conninfo == NULL) {
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
    hang_up(s);
    feed_fini(&s->feed);
    mem_free(s->conninfo);
    mem_free(s);
}
