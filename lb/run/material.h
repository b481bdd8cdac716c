/* material: all that a new configuration needs from the outside world, loaded and checked off the
 * hot path: the file, certificates as TLS contexts per worker, CA files, the geo database.
 * Everything blocking is here (helper thread at a reload, main thread at start and for -t). It must
 * not touch what runs. Errors are messages with file, line and column. */
#ifndef MERIDIAN_RUN_MATERIAL_H
#define MERIDIAN_RUN_MATERIAL_H

#include "conf/conf.h"
#include "geo/geo.h"
#include "net/tls_ctx.h"

struct log;
struct pages;
struct stamp;
struct secret;
struct sticky_keys;

/* A database set shared by snapshots; main thread only. */
struct geo_share {
    struct geo_db *db;
    uint32_t refs;
};
void geo_share_put(struct geo_share **g);

struct material_share;

struct material_front {
    struct tls_cert **certs; /* as conf's certificates */
    size_t cert_count;
    struct tls_server **servers; /* one per worker; NULL: plain */
    struct stamp *stamps; /* of what was read: chain and key of each certificate, then client_ca */
};

struct material {
    /* asked */
    const char *path;
    unsigned workers;                /* 0: from the file */
    struct tls_tickets *tickets;     /* borrowed; NULL: check only */
    const struct geo_share *present; /* used again where its files are unchanged; NULL: none */
    /* given */
    enum err result;
    struct buf messages;         /* errors, or the warnings of a good one */
    struct material_share *base; /* who owns conf, clients, pages and keys; NULL: this one */
    struct conf *conf;
    struct material_front *fronts; /* as conf->listeners */
    struct tls_client **
        *clients; /* as conf->pools: one per worker and one for health; NULL: plain */
    struct pages *pages;
    struct sticky_keys *sticky_keys;
    struct secret *admin_token; /* NULL: none */
    struct geo_db *geo;         /* NULL: none configured, or the present one is kept */
    bool geo_kept;
};

/* Fills *m; m->result says how it went and m->messages why. Never partly usable: on failure all
 * that was loaded is released but the messages. */
void material_load(struct material *m);
/* Releases what has not been taken out. */
void material_fini(struct material *m);
/* How many files material_front has stamps of. */
size_t material_front_files(const struct conf_listener *l);
/* A listener's certificates once more, where their files are others than they were (C3): each
 * alone, and the present one stays where the new one cannot be used or is expired while the present
 * is not. Reads files; logs what it read and refused. *good and *bad count certificates; *out is
 * filled where it returns true, which is when something is to be used. */
bool material_front_renew(const struct material *of, size_t listener, struct log *log,
                          struct material_front *out, unsigned *good, unsigned *bad);
/* The same contexts once more. False: no memory. */
bool material_front_share(const struct material *of, size_t listener, struct material_front *out);
unsigned material_workers(const struct conf *conf);

/* What snapshots of the same configuration share; main thread only. `what` holds the file's values,
 * TLS contexts and pages. */
struct material_share {
    struct material what;
    uint32_t refs;
};
/* Takes them out of *m, one reference. NULL without memory. */
struct material_share *material_share_new(struct material *m);
void material_share_put(struct material_share **s);

#endif
