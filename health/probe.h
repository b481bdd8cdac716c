/* probe: one check of one address over a connection of its own, from its beginning to its one end
 * with one reason. What is spoken after the connection is open is a table of stages: probe_tcp.c,
 * probe_http.c, probe_h2.c. Knows no endpoint, no verdict and no schedule. Owner thread only. */
#ifndef MERIDIAN_HEALTH_PROBE_H
#define MERIDIAN_HEALTH_PROBE_H

#include "health/health.h"

struct probe;

struct probe_job {
    const struct health_check *check; /* borrowed until the end */
    const struct health_page *page;   /* of it */
    const struct addr *addr;          /* borrowed until the end */
    struct span host;                 /* HTTP: where the check names none; borrowed */
    struct span server_name;          /* as in struct conn_target; borrowed until the end */
    uint64_t session_key;             /* as there */
};

/* Each is called for one stage and may end the probe; bytes may be NULL where it expects none. */
struct probe_stages {
    void (*open)(struct probe *p);
    size_t (*bytes)(struct probe *p, struct span bytes);
    void (*eof)(struct probe *p, bool clean);
    void (*close)(struct probe *p); /* gives `talk` back; NULL: there is none */
    enum conn_end good_end;         /* how the connection ends after a good answer */
};
extern const struct probe_stages probe_tcp, probe_tls, probe_http, probe_h2;

struct probe {
    struct probe_job job;
    const struct probe_stages *stages;
    struct conn *conn; /* NULL: not running */
    struct timer deadline;
    void *talk; /* the stages' own */
    bool open;
    bool unready;        /* its status was a bad one, and says enough; its content is waited for */
    bool seeks;          /* its status was a good one; its content decides */
    uint32_t blamed;     /* what such a server says of its dependencies: bits */
    int64_t open_ns;     /* when it was, TLS included */
    int64_t connect_ns;  /* how long TCP took: about one round trip */
    int64_t answered_ns; /* when the answer's first bytes came; 0: none have */
    void (*on_done)(struct probe *p, enum err why);
};

/* Starts; on_done comes once, later, unless probe_cancel is called. ERR_OK is a good answer,
 * ERR_BACKEND_* says what was wrong, others are this side's failures (B2). The check's kind must
 * not be HEALTH_OFF. */
MUST_CHECK
enum err probe_start(struct probe *p, struct conn_env *env, const struct probe_job *job,
                     void (*on_done)(struct probe *p, enum err why));
static inline bool probe_running(const struct probe *p)
{
    return p->conn != NULL;
}
/* Ends it without on_done; one that does not run is left alone. */
void probe_cancel(struct probe *p);

/* For the stages: the one end. */
void probe_end(struct probe *p, enum err why);
/* What Host says. */
struct span probe_host(const struct probe *p);
/* Whether the content of an answer with that status and type is read: a server that is not ready
 * may say whose fault it is, and a good answer may have to contain something. True: p->unready or
 * p->seeks is set. */
bool probe_wants_content(struct probe *p, uint64_t status, struct span type);
/* That content, or what has come of it: ends the probe unless it may decide with more. */
void probe_content(struct probe *p, struct span content, bool whole);
/* How many bytes of it are read. */
size_t probe_content_most(const struct probe *p);
/* Whether the status is a good one. */
bool probe_status_good(const struct probe *p, uint64_t status);

#endif
