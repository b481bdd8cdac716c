/* snapshot: one published configuration: the policy for the request path, the listeners' plan for
 * the workers, the plan for the health thread, and the ownership of all that belongs to it. Built
 * by the main thread from checked material, immutable afterwards, freed by the main thread when
 * every worker has let go. lb/run alone turns conf's structs into what the layers below read. */
#ifndef MERIDIAN_RUN_SNAPSHOT_H
#define MERIDIAN_RUN_SNAPSHOT_H

#include "admin/admin.h"
#include "db/row.h"
#include "health/health.h"
#include "proxy/proxy.h"
#include "run/log_writer.h"
#include "run/material.h"
#include "run/name_book.h"
#include "run/sockets.h"
#include "run/stat_book.h"
#include "run/tracer.h"

/* The access log's writer, shared by the snapshots that name the same path; main thread only. */
struct log_share {
    struct log_writer *writer;
    char *path;
    uint32_t refs;
};

struct snapshot_listener {
    struct span name;
    const struct conf_listener *conf;
    struct bound **bounds; /* as conf's binds */
    struct tls_server **servers;
    struct stat_listener *counts;
    struct proxy_listener settings; /* what a worker copies into its own */
};

struct snapshot {
    struct policy policy; /* first: an edition's policy is found again as its snapshot */
    struct arena arena;
    struct material_share *material; /* owns the next four */
    const struct conf *conf;
    const struct material_front *fronts;
    struct tls_client ***clients;
    const struct pages *pages;
    const struct sticky_keys *sticky_keys;
    struct admin_access admin; /* for the admin interface while this is the current one */
    struct geo_share *geo;
    struct log_share *log; /* NULL: no access log */
    struct tracer *tracer; /* NULL: no spans */
    enum access_format access;
    struct template access_line; /* ACCESS_TEMPLATE */
    struct snapshot_listener *listeners;
    size_t listener_count;
    size_t rows_used, rows_skipped; /* of the registry: serving; not allowed here */
    struct row_idle *idle;          /* rows that serve nobody, the first of them */
    size_t idle_count;
    unsigned workers;
    struct stat_book *book;
    struct stat_route **stat_routes; /* as policy.routes */
    unsigned holders;                /* workers that have not let go */
    struct link link;                /* main's list of old ones */
};

struct snapshot_context {
    unsigned workers;
    uint64_t generation;
    int64_t now_ms;
    bool reload;
    struct registry *registry;
    const struct name_book *names;
    struct sockets *sockets;
    struct stat_book *stats;
    struct material_share *material; /* the present one; NULL: none */
    const struct row_set *rows;      /* of the registry; NULL: none */
    struct geo_share *geo;           /* the present one; NULL: none */
    struct log_share *log;
    struct tracer *tracer; /* the present one; NULL: none */
    struct tracer_counts *spans;
    struct log *events;
};

/* Takes what it needs out of the material (also on failure); NULL: the same configuration again.
 * messages: what is wrong, for people. ERR_IN_USE and the like: a socket could not be had. */
MUST_CHECK
enum err snapshot_new(const struct snapshot_context *c, struct material *m, struct snapshot **out,
                      struct buf *messages);
void snapshot_free(struct snapshot **s);
/* What the health thread is to check from now on. The plan is the caller's. */
MUST_CHECK
enum err snapshot_health(struct snapshot *s, struct health_plan **out);

#endif
