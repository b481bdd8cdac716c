#include "db/lint.h"

#include "base/limits.h"
#include "base/mem.h"

#include <libpq-fe.h>
#include <stdio.h>

#define SECRET_MOST KIB(4)
#define OLDEST      140000 /* PostgreSQL 14 */

struct lint {
    PGconn *pg;
    void (*say)(void *user, bool fatal, const char *text);
    void *user;
};

/* One row for each thing that is wrong: is it fatal, and what to say. It looks into the catalogue
 * alone, which everybody may read. */
static const char missing[] =
    "WITH have AS (SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n "
    "ON n.oid = c.relnamespace WHERE n.nspname = 'meridian'), "
    "wanted (relname) AS (VALUES ('meta'), ('change'), ('pool_server')) "
    "SELECT true, 'there is no table meridian.' || w.relname || '; load deploy/sql/meridian.sql' "
    "FROM wanted w WHERE NOT EXISTS (SELECT FROM have h WHERE h.relname = w.relname) "
    "UNION ALL SELECT true, 'the role ' || current_user || ' may not use the schema meridian; "
    "GRANT USAGE ON SCHEMA meridian' FROM pg_namespace n WHERE n.nspname = 'meridian' "
    "AND NOT has_schema_privilege(n.oid, 'USAGE') "
    "UNION ALL SELECT true, 'the role ' || current_user || ' may not read meridian.' || h.relname "
    "|| "
    "'; GRANT SELECT ON ALL TABLES IN SCHEMA meridian' FROM have h JOIN wanted w USING (relname) "
    "WHERE NOT has_table_privilege(h.oid, 'SELECT') "
    "UNION ALL SELECT true, 'the trigger pool_changed of meridian.pool_server is missing or "
    "disabled; "
    "changes would be seen late' FROM have h WHERE h.relname = 'pool_server' AND NOT EXISTS "
    "(SELECT FROM pg_trigger t WHERE t.tgrelid = h.oid AND t.tgname = 'pool_changed' "
    "AND t.tgenabled IN ('O', 'A')) "
    "UNION ALL SELECT false, 'the role ' || current_user || ' may not execute ' || p.proname || "
    "'(); then each new connection counts as a change of everything' FROM pg_proc p "
    "WHERE p.pronamespace = 'pg_catalog'::regnamespace "
    "AND p.proname IN ('pg_control_system', 'pg_walfile_name') "
    "AND NOT has_function_privilege(p.oid, 'EXECUTE') "
    "UNION ALL SELECT false, 'the role ' || current_user || ' may not execute meridian.prune(); "
    "then "
    "the log of changes grows unless something else calls it' FROM pg_proc p "
    "JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname = 'meridian' "
    "WHERE p.proname = 'prune' AND NOT has_function_privilege(p.oid, 'EXECUTE') "
    "UNION ALL SELECT true, 'this is a standby; the registry needs the primary' "
    "WHERE pg_is_in_recovery()";

static const char version[] = "SELECT version FROM meridian.meta";

static void say_failure(const struct lint *l, const char *what, const char *why)
{
    char text[320];
    struct span first;
    (void)span_cut(span_trim(span_str(why)), '\n', &first);
    snprintf(text, sizeof text, "%s: %.*s", what, (int)(first.n < 240 ? first.n : 240), first.p);
    l->say(l->user, true, text);
}

/* NULL: it has been said what is wrong. */
static PGresult *ask(const struct lint *l, const char *statement)
{
    PGresult *r = PQexec(l->pg, statement);
    if (PQresultStatus(r) == PGRES_TUPLES_OK)
        return r;
    say_failure(l, "the database does not answer", PQerrorMessage(l->pg));
    PQclear(r);
    return NULL;
}

static bool check_objects(const struct lint *l)
{
    PGresult *r = ask(l, missing);
    bool fatal = r == NULL;
    for (int i = 0; r != NULL && i < PQntuples(r); i++) {
        bool bad = PQgetvalue(r, i, 0)[0] == 't';
        fatal = fatal || bad;
        l->say(l->user, bad, PQgetvalue(r, i, 1));
    }
    PQclear(r);
    return !fatal;
}

static void check_version(const struct lint *l)
{
    char text[160];
    uint64_t n;
    PGresult *r = ask(l, version);
    if (r == NULL)
        return;
    if (PQntuples(r) != 1 || span_u64(span_str(PQgetvalue(r, 0, 0)), &n) != ERR_OK) {
        l->say(l->user, true,
               "meridian.meta must have exactly one row; load deploy/sql/meridian.sql");
    } else if (n != DB_VERSION) {
        snprintf(text, sizeof text, "its objects have version %llu, this program is made for %d%s",
                 (unsigned long long)n, DB_VERSION,
                 n < DB_VERSION ? "; run deploy/sql/upgrade.sql" : "; it may lack something");
        l->say(l->user, false, text);
    }
    PQclear(r);
}

static void check_all(const struct lint *l, bool registry)
{
    if (PQstatus(l->pg) != CONNECTION_OK)
        say_failure(l, "the database cannot be reached", PQerrorMessage(l->pg));
    else if (PQserverVersion(l->pg) < OLDEST)
        l->say(l->user, true, "the database is older than PostgreSQL 14");
    else if (registry && check_objects(l))
        check_version(l);
}

static PGconn *dial(const struct db_where *where, const char *password)
{
    const char *const keys[] = {"connect_timeout",
                                "application_name",
                                "gssencmode",
                                "dbname",
                                password != NULL ? "password" : NULL,
                                NULL};
    const char *const values[] = {"5", "meridian-lint", "disable", where->conninfo, password, NULL};
    return PQconnectdbParams(keys, values, 1);
}

enum err db_lint(const struct db_where *where, bool registry,
                 void (*say)(void *user, bool fatal, const char *text), void *user)
{
    struct buf password;
    buf_init(&password, SECRET_MOST);
    enum err e = where->password != NULL ? where->secret(where->password, &password) : ERR_OK;
    if (e == ERR_OK && where->password != NULL)
        buf_put_char(&password, '\0');
    if (e == ERR_OK && !password.failed) {
        struct lint l = {dial(where, password.p), say, user};
        check_all(&l, registry);
        PQfinish(l.pg);
    }
    if (password.p != NULL)
        mem_wipe(password.p, password.n);
    e = e == ERR_OK && password.failed ? ERR_FULL : e;
    buf_fini(&password);
    return e;
}
