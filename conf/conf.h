/* conf: the configuration as plain, checked structs. It reads one YAML file, reports everything
 * that is wrong with it, and hands out values that need no further check but those of the outside
 * world (do the certificates exist, is the port free), which the caller reports through conf_report
 * with the mark of the value. Knows no thread, no socket, no OpenSSL; addresses are bytes.
 * Everything is owned by `struct conf` and lives until conf_free. Any thread, one at a time per
 * object. */
#ifndef MERIDIAN_CONF_CONF_H
#define MERIDIAN_CONF_CONF_H

#include "base/limits.h"
#include "base/log.h"
#include "conf/conf_listener.h"
#include "conf/conf_pool.h"
#include "conf/conf_route.h"

struct conf_limits {
    int64_t connections; /* 0: auto */
    int64_t connections_per_source, handshakes;
    int64_t request_rate, response_rate; /* bytes per second */
    int64_t requests_per_connection;
    int64_t request_line, head, fields, field; /* bytes, but fields: a count */
    int64_t body;                              /* bytes; 0: no limit */
    int64_t streams;
    int64_t backend_connections, backend_idle;
    int64_t memory; /* bytes; 0: auto */
};

struct conf_drain {
    int64_t requests_ms, tunnels_ms;
};

enum conf_log_format { CONF_LOG_JSON, CONF_LOG_COMBINED, CONF_LOG_TEMPLATE };

struct conf_log_line {
    enum conf_log_format format;
    struct conf_text template; /* CONF_LOG_TEMPLATE */
};

enum conf_events { CONF_EVENTS_TEXT, CONF_EVENTS_JSON };

struct conf_log {
    struct conf_text access_path; /* "stdout", "stderr", "off" or an absolute path */
    struct conf_log_line access_line;
    bool access_decision;
    enum conf_events events; /* form of their lines */
    enum log_level level;
};

struct conf_tracing {
    bool set;
    struct conf_mark mark;
    struct conf_address collector;
    struct conf_text path, service;
    int64_t sample_percent; /* of the traces that begin here */
};

struct conf_admin {
    struct conf_text socket;  /* path; mark.line 0: the default, another one may stand in for it */
    bool http_on;             /* false: `http: off` */
    struct conf_address http; /* loopback unless allow_remote; text.mark.line 0: the default */
    bool allow_remote;
    struct conf_text *hosts; /* names that Host may have besides */
    size_t host_count;
    struct conf_text token; /* "file:/path"; s.p NULL: none */
};

struct conf_source;

struct conf {
    struct conf_text *includes; /* none: files are read before keys are (include.h) */
    size_t include_count;
    int64_t workers; /* 0: auto */
    bool sandbox;
    struct conf_location here;
    struct conf_text *databases; /* paths of geolocation databases, in order of search */
    size_t database_count;
    struct conf_trusted trusted;
    struct conf_address *name_servers; /* whom host names are asked of; none: the system's */
    size_t name_server_count;
    struct conf_site *sites;
    size_t site_count;
    struct conf_data_source *sources;
    size_t source_count;
    struct conf_dependency *dependencies;
    size_t dependency_count;
    struct conf_listener *listeners;
    size_t listener_count;
    struct conf_pool *pools;
    size_t pool_count;
    struct conf_route *routes; /* in the order of the file */
    size_t route_count;
    struct conf_pages pages;
    size_t page_count; /* of all, those of routes too */
    struct conf_timeouts timeouts;
    struct conf_limits limits;
    struct conf_drain drain;
    struct conf_log log;
    struct conf_tracing tracing;
    struct conf_admin admin;
    struct conf_text
        state; /* a folder; mark.line 0: the default, another one may stand in for it */

    struct conf_source *source; /* owns all of the above; conf's own */
};

/* Reads and checks the file. Messages (`file:line:column: error: …`, the line, a caret) are
 * appended to *messages, also where loading fails. *out is NULL on failure. ERR_SYNTAX: the
 * messages say what; ERR_NO_MEMORY; a file that cannot be read is a message too and ERR_NOT_FOUND,
 * ERR_PERMISSION or ERR_SYSTEM. The caller frees *out with conf_free. */
MUST_CHECK
enum err conf_load(const char *path, struct conf **out, struct buf *messages);
/* The same for text in memory; name stands for the file in messages. */
MUST_CHECK
enum err conf_load_text(const char *name, struct span text, struct conf **out,
                        struct buf *messages);
void conf_free(struct conf **conf);

/* Appends the effective configuration as YAML: defaults filled in, secrets hidden. It loads again
 * to the same configuration. */
void conf_print(const struct conf *conf, struct buf *out);
/* Where the registry of all pools is that have one in force; NULL: none has. */
const struct conf_data_source *conf_registry_source(const struct conf *conf);

/* A place to report to. After loading, callers make one of their own for what only they can check.
 */
struct conf_messages {
    const struct conf_source *source; /* borrowed */
    struct buf *out;                  /* borrowed */
    size_t errors, warnings;          /* reported, those beyond the cap of 50 included */
};
void conf_messages_init(struct conf_messages *m, const struct conf *conf, struct buf *out);
/* Appends `file:line:column: error: <text>`, the line and a caret; without a line (mark.line 0)
 * only `file: error: <text>`. The text is "what is wrong; what is allowed". */
void conf_report(struct conf_messages *m, struct conf_mark mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for what is allowed and probably not meant: `file:line:column: warning: <text>`. */
void conf_warn(struct conf_messages *m, struct conf_mark mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Appends a warning for each setting that is risky or has no effect: plain HTTP on a public
 * address, servers without checks, routes that are never chosen, pools that nobody uses, templates
 * with places and no database that knows them. */
void conf_warnings(const struct conf *conf, struct buf *out);
/* Appends what differs between the two, one line each ("  ~ pools.api.queue.limit: 10 -> 20"), at
 * most 40; secrets hidden. Returns how many there are, shown or not. */
size_t conf_changes(const struct conf *old, const struct conf *new, struct buf *out);

/* Appends the reference of all keys as Markdown (docs/configuration.md). */
void conf_reference(struct buf *out);
/* Appends the JSON Schema (draft-07) of the file, for editors (deploy/meridian.schema.json). */
void conf_json_schema(struct buf *out);

#endif
