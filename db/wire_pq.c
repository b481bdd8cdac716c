#include "db/wire_pq.h"

#include "base/limits.h"
#include "base/mem.h"
#include "net/sock.h"

#define ANSWER_MOST MIB(64) /* bytes: libpq keeps all of an answer */
#define SECRET_MOST KIB(4)

static void stop_lookup(struct wire *w)
{
    resolve_cancel(&w->query);
    resolver_free(&w->resolver);
    db_target_fini(&w->target);
}

void wire_hang_up(struct wire *w)
{
    timer_stop(&w->deadline);
    timer_stop(&w->next);
    resolve_cancel(&w->query);
    io_want(&w->io, 0);
    PQclear(w->result);
    w->result = NULL;
    if (w->pg != NULL)
        PQfinish(w->pg);
    w->pg = NULL;
    w->step = WIRE_DOWN;
}

/* With PQERRORS_VERBOSE a server's error has its state: "FATAL:  57P03: the database …". */
static void find_state(const char *text, char state[6])
{
    state[0] = '\0';
    for (const char *p = strstr(text, ":  "); p != NULL; p = strstr(p + 1, ":  ")) {
        size_t n = strspn(p + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");
        if (n != 5 || p[8] != ':')
            continue;
        memcpy(state, p + 3, 5);
        state[5] = '\0';
        return;
    }
}

/* The text of libpq may have several lines. */
static void fail_with(struct wire *w, const char *why, const char *state, bool asked_secret)
{
    char said[256];
    struct buf b;
    struct span first;
    buf_fixed(&b, said, sizeof said - 1);
    (void)span_cut(span_trim(span_str(why)), '\n', &first);
    buf_put_text(&b, first, 200);
    said[b.n] = '\0';
    wire_hang_up(w);
    struct wire_failure f = {.text = said, .state = state, .asked_secret = asked_secret};
    w->events->on_fail(w, &f);
}

static void fail(struct wire *w, const char *why)
{
    fail_with(w, why, "", false);
}

static void fail_pg(struct wire *w)
{
    char state[6];
    const char *text = PQerrorMessage(w->pg);
    find_state(text, state);
    fail_with(w, text, state, PQconnectionNeedsPassword(w->pg) || PQconnectionUsedPassword(w->pg));
}

/* Sends what libpq holds; its socket may have no room. */
static void flush(struct wire *w)
{
    int left = PQflush(w->pg);
    if (left < 0)
        fail_pg(w);
    else
        io_want(&w->io, IO_READ | (left > 0 ? IO_WRITE : 0u));
}

void wire_ask(struct wire *w, int sent, int64_t within_ms)
{
    w->step = WIRE_ASKED;
    w->heard = sock_received(PQsocket(w->pg));
    timer_in_ms(&w->deadline, within_ms);
    if (sent == 1)
        flush(w);
    else
        fail_pg(w);
}

static void answered(struct wire *w)
{
    PGresult *r = w->result;
    ExecStatusType status = r != NULL ? PQresultStatus(r) : PGRES_FATAL_ERROR;
    w->result = NULL;
    w->step = WIRE_IDLE;
    timer_stop(&w->deadline);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        w->events->on_answer(w, r);
    } else if (r == NULL) {
        fail_pg(w);
    } else {
        const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
        fail_with(w, PQresultErrorMessage(r), state != NULL ? state : "", false);
    }
    PQclear(r);
}

/* The last result counts, or the first error. A statement is over when none is left. */
static void take_results(struct wire *w)
{
    while (w->step == WIRE_ASKED && !PQisBusy(w->pg)) {
        PGresult *r = PQgetResult(w->pg);
        if (r == NULL) {
            answered(w);
            return;
        }
        bool failed = w->result != NULL && PQresultStatus(w->result) == PGRES_FATAL_ERROR;
        PQclear(failed ? r : w->result);
        w->result = failed ? w->result : r;
    }
}

static void take_wakeups(struct wire *w)
{
    PGnotify *n;
    uint64_t count = 0;
    while (w->pg != NULL && (n = PQnotifies(w->pg)) != NULL) {
        PQfreemem(n);
        count++;
    }
    if (count != 0 && w->events->on_wakeup != NULL)
        w->events->on_wakeup(w, count);
}

static void opened(struct wire *w)
{
    timer_stop(&w->deadline);
    PQsetErrorVerbosity(w->pg, PQERRORS_DEFAULT);
    if (PQsetnonblocking(w->pg, 1) != 0) {
        fail_pg(w);
        return;
    }
    w->step = WIRE_IDLE;
    w->events->on_open(w);
}

static void on_ready(struct io *io, unsigned events);

/* libpq may open another socket inside; the old one must not be watched then. */
static void go_on_connecting(struct wire *w)
{
    io_want(&w->io, 0);
    PostgresPollingStatusType p = PQconnectPoll(w->pg);
    if (p == PGRES_POLLING_FAILED || PQsocket(w->pg) < 0) {
        fail_pg(w);
        return;
    }
    io_init(&w->io, w->loop, PQsocket(w->pg), on_ready);
    if (p != PGRES_POLLING_OK) {
        io_want(&w->io, p == PGRES_POLLING_READING ? IO_READ : IO_WRITE);
        return;
    }
    io_want(&w->io, IO_READ);
    opened(w);
}

static void on_ready(struct io *io, unsigned events)
{
    struct wire *w = container_of(io, struct wire, io);
    if (sock_received(io->fd) > w->heard + ANSWER_MOST) {
        fail(w, "the answer is too large");
        return;
    }
    if (w->step == WIRE_CONNECT) {
        go_on_connecting(w);
        return;
    }
    if ((events & IO_READ) != 0 && PQconsumeInput(w->pg) == 0) {
        fail_pg(w);
        return;
    }
    flush(w);
    if (w->pg != NULL)
        take_results(w);
    take_wakeups(w);
}

static void be_silent(void *user, const PGresult *r)
{
    (void)user;
    (void)r;
}

/* Appends the password with a NUL; p stays NULL where there is none. */
static enum err read_password(const struct wire *w, struct buf *out)
{
    if (w->where->password == NULL)
        return ERR_OK;
    enum err e = w->where->secret(w->where->password, out);
    buf_put_char(out, '\0');
    return e == ERR_OK && out->failed ? ERR_FULL : e;
}

/* The words win over what stands before them, and what stands behind wins over the words. */
static PGconn *start(const struct wire *w, const char *password)
{
    bool looked_up = w->target.entries != 0;
    const char *const keys[] = {"application_name",
                                "keepalives_idle",
                                "keepalives_interval",
                                "keepalives_count",
                                "tcp_user_timeout",
                                "gssencmode",
                                "dbname",
                                password != NULL ? "password" : "client_encoding",
                                looked_up ? "host" : NULL,
                                "hostaddr",
                                "port",
                                NULL};
    const char *const values[] = {"meridian",
                                  "10",
                                  "3",
                                  "3",
                                  "10000",
                                  "disable",
                                  w->where->conninfo,
                                  password != NULL ? password : "UTF8",
                                  w->target.host.p,
                                  w->target.hostaddr.p,
                                  w->target.port.p,
                                  NULL};
    return PQconnectStartParams(keys, values, 1);
}

static void connect_now(struct wire *w)
{
    struct buf password;
    buf_init(&password, SECRET_MOST);
    enum err e = read_password(w, &password);
    if (e == ERR_OK)
        w->pg = start(w, password.p);
    if (password.p != NULL)
        mem_wipe(password.p, password.n);
    buf_fini(&password);
    stop_lookup(w);
    if (e != ERR_OK || w->pg == NULL) {
        fail(w, e != ERR_OK ? "the password cannot be read" : "no memory");
        return;
    }
    if (PQstatus(w->pg) == CONNECTION_BAD || PQsocket(w->pg) < 0) {
        fail_pg(w);
        return;
    }
    PQsetErrorVerbosity(w->pg, PQERRORS_VERBOSE);
    PQsetNoticeReceiver(w->pg, be_silent, NULL);
    w->heard = 0;
    w->step = WIRE_CONNECT;
    io_init(&w->io, w->loop, PQsocket(w->pg), on_ready);
    io_want(&w->io, IO_WRITE);
}

static void look_up_next(struct wire *w);

static void on_addresses(void *user, const struct name_answer *answer)
{
    struct wire *w = user;
    w->query = NULL;
    for (size_t i = 0; answer->result == ERR_OK && i < answer->count; i++)
        db_target_add(&w->target, w->host, &answer->addrs[i].addr);
    w->host++;
    look_up_next(w);
}

/* The resolver may not be freed inside its own callback: connecting begins in the next turn. */
static void looked_up(struct wire *w)
{
    if (db_target_close(&w->target) == ERR_OK)
        timer_in_ms(&w->next, 0);
    else
        fail(w, "the host's name has no address");
}

static void look_up_next(struct wire *w)
{
    enum err e = ERR_OK;
    while (w->host < w->target.host_count && !w->target.hosts[w->host].lookup)
        db_target_add(&w->target, w->host++, NULL);
    if (w->host == w->target.host_count) {
        looked_up(w);
        return;
    }
    e = resolve_start(w->resolver, span_str(w->target.hosts[w->host].name), RESOLVE_BOTH, 0,
                      on_addresses, w, &w->query);
    if (e != ERR_OK)
        fail(w, err_phrase(e));
}

static void on_next(struct timer *t)
{
    connect_now(container_of(t, struct wire, next));
}

static void on_deadline(struct timer *t)
{
    struct wire *w = container_of(t, struct wire, deadline);
    fail(w, w->step == WIRE_ASKED ? "no answer in time" : "no connection in time");
}

/* What the words say, or where they are silent what libpq would take. */
static const char *option(const PQconninfoOption *said, const PQconninfoOption *defaults,
                          const char *key)
{
    const PQconninfoOption *const both[] = {said, defaults};
    for (size_t i = 0; i < 2; i++) {
        for (const PQconninfoOption *o = both[i]; o != NULL && o->keyword != NULL; o++) {
            if (strcmp(o->keyword, key) == 0 && o->val != NULL && o->val[0] != '\0')
                return o->val;
        }
    }
    return NULL;
}

/* Without a host's name, libpq finds its way by itself. */
static enum err read_hosts(struct wire *w)
{
    PQconninfoOption *said = PQconninfoParse(w->where->conninfo, NULL);
    PQconninfoOption *defaults = PQconndefaults();
    enum err e = said != NULL && defaults != NULL ? ERR_OK : ERR_NO_MEMORY;
    const char *host = option(said, defaults, "host");
    bool lookup = false;
    if (e == ERR_OK && option(said, defaults, "hostaddr") == NULL)
        e = db_target_init(&w->target, host, option(said, defaults, "port"));
    for (size_t i = 0; i < w->target.host_count; i++)
        lookup = lookup || w->target.hosts[i].lookup;
    if (!lookup)
        db_target_fini(&w->target);
    PQconninfoFree(said);
    PQconninfoFree(defaults);
    return e;
}

void wire_dial(struct wire *w, int64_t within_ms)
{
    stop_lookup(w);
    w->step = WIRE_LOOKUP;
    w->host = 0;
    timer_in_ms(&w->deadline, within_ms);
    enum err e = read_hosts(w);
    if (e == ERR_OK && w->target.host_count != 0)
        e = resolver_new(w->loop,
                         span_str(w->where->name_servers != NULL ? w->where->name_servers : ""),
                         &w->resolver);
    if (e != ERR_OK)
        fail(w, err_phrase(e));
    else if (w->target.host_count != 0)
        look_up_next(w);
    else
        connect_now(w);
}

void wire_init(struct wire *w, struct loop *loop, const struct db_where *where,
               const struct wire_events *events)
{
    *w = (struct wire){.loop = loop, .where = where, .events = events};
    timer_init(&w->deadline, loop, on_deadline);
    timer_init(&w->next, loop, on_next);
    io_init(&w->io, loop, -1, on_ready);
}

void wire_fini(struct wire *w)
{
    wire_hang_up(w);
    stop_lookup(w);
}
