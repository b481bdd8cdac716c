/* session_sql: the statements of a session, whose objects deploy/sql/meridian.sql makes. */
#ifndef MERIDIAN_DB_SESSION_SQL_H
#define MERIDIAN_DB_SESSION_SQL_H

#define SQL_BEGIN                                                                                  \
    "SET statement_timeout = '5s'; SET lock_timeout = '2s'; SET DateStyle = 'ISO'; "               \
    "SET search_path = pg_catalog; LISTEN meridian"

/* At most that many tags are worth telling apart (db/feed.h), and none that is longer than tags may
 * be: so an answer has a bound, whatever is in the log. */
#define SQL_TAG_ "CASE WHEN octet_length(tag) > 200 THEN '*' ELSE tag END"
#define SQL_MOST " LIMIT 100001"

#define SQL_FIRST "SELECT pg_current_snapshot()::text"

/* One statement is one snapshot, so that now_at and tags agree. No row comes from a standby. */
#define SQL_POLL_(identity)                                                                        \
    "SELECT pg_current_snapshot()::text, " identity ", m.floor::text, array_to_string("            \
    "ARRAY(SELECT DISTINCT " SQL_TAG_                                                              \
    " FROM meridian.change WHERE xid >= pg_snapshot_xmax($1)" SQL_MOST                             \
    ") || ARRAY(SELECT DISTINCT " SQL_TAG_ " FROM meridian.change "                                \
    "WHERE xid = ANY (ARRAY(SELECT pg_snapshot_xip($1)))" SQL_MOST "), chr(10)) "                  \
    "FROM meridian.meta m WHERE NOT pg_is_in_recovery()"
#define SQL_POLL                                                                                   \
    SQL_POLL_("(SELECT system_identifier FROM pg_control_system())::text || '/' || "               \
              "left(pg_walfile_name(pg_current_wal_lsn()), 8) || '/' || m.generation || '/' || "   \
              "(SELECT oid FROM pg_database WHERE datname = current_database())")
/* Where the functions above are not permitted: then a connection cannot be resumed. */
#define SQL_POLL_UNKNOWN SQL_POLL_("''")

/* Leases are bounded before they are added, or one hostile row would make the whole read fail. NULL
 * is no lease; greatest and least pass over it, so it is asked for by itself. */
#define SQL_TTL_  "least(greatest(ttl, interval '0'), interval '1 day')"
#define SQL_SEEN_ "greatest(least(seen_at, now() + interval '1 day'), timestamptz '2000-01-01')"
/* $1: pools. One column may not fill the answer: what is cut off would not be taken anyway. One row
 * more than a pool may have, so that it can be counted. */
#define SQL_ROWS                                                                                   \
    "SELECT pool, left(address, 300), weight, left(site, 100), left(desired, 100), "               \
    "CASE WHEN ttl IS NULL THEN 0 ELSE ceil(extract(epoch FROM " SQL_TTL_                          \
    ") * 1000)::bigint END, "                                                                      \
    "ttl IS NOT NULL AND " SQL_SEEN_ " + " SQL_TTL_ " < now(), "                                   \
    "ttl IS NOT NULL AND " SQL_SEEN_ " + 10 * " SQL_TTL_ " < now() "                               \
    "FROM (SELECT *, row_number() OVER (PARTITION BY pool ORDER BY address) AS nth "               \
    "FROM meridian.pool_server WHERE pool = ANY (string_to_array($1, ','))) p "                    \
    "WHERE nth <= 10001 ORDER BY pool, address"

/* The log of changes stays short, whichever balancer sees to it (A4.10). A role that may not is no
 * reason to hang up. Says how many rows went. */
#define SQL_PRUNE                                                                                  \
    "DO $$ DECLARE n bigint := 0; BEGIN BEGIN n := meridian.prune('1 hour'); "                     \
    "EXCEPTION WHEN OTHERS THEN NULL; END; "                                                       \
    "PERFORM set_config('meridian.pruned', n::text, false); END $$; "                              \
    "SELECT current_setting('meridian.pruned')"

#endif
