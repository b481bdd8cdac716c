/* back_link: one connection to a server as its owner, the connection pool, sees it: where streams
 * (struct back) come from. Each codec embeds struct back_link; an HTTP/1.1 connection is a link
 * with a single slot, an HTTP/2 connection one with as many as the server allows. It must not know
 * which backend it leads to or why. Owner thread only.
 *
 * The owner's functions are called from the loop, never from inside an operation of the link or of
 * one of its streams. */
#ifndef MERIDIAN_HTTP_BACK_LINK_H
#define MERIDIAN_HTTP_BACK_LINK_H

#include "http/back.h"

struct back_link;

struct back_link_ops {
    /* A stream for one more exchange; NULL where no slot is free, or no memory is left. */
    struct back *(*take)(struct back_link *l);
    /* How many streams may be taken now; 0 too where none will ever be any more. */
    uint32_t (*slots)(const struct back_link *l);
    /* How many are taken and not given back. */
    uint32_t (*busy)(const struct back_link *l);
    /* Asks the server for a sign of life; on_slots tells of it. NULL where the protocol has no such
     * question. */
    void (*check)(struct back_link *l);
    /* Ends it; no stream is out that an exchange still listens to. Nothing is told any more. */
    void (*close)(struct back_link *l);
};

struct back_owner {
    /* What slots and busy say has changed: a stream was given back, the server's terms came.
     * keep_ms: how long the server keeps idle connections by its own word (Keep-Alive: timeout), 0
     * where it did not say. */
    void (*on_slots)(void *owner, int64_t keep_ms);
    /* Gone: closed while idle, or after its last stream. Freed after this call. ERR_OK only where a
     * stream was taken before. */
    void (*on_closed)(void *owner, enum err why);
    /* A server of HTTP/2 requires HTTP/1.1 for a request, or for all (RFC 9113 section 7). on_fail
     * of the stream follows, or on_closed, so that another attempt finds another connection. */
    void (*on_wants_h1)(void *owner);
};

struct back_link {
    const struct back_link_ops *ops;
    const struct back_owner *owner;
    void *owner_user;
};

/* Borrowed by links for their lives. */
struct back_limits {
    size_t head, fields; /* L17 */
    unsigned interim;    /* L17 */
};

#endif
