/* The origin server's replies: what a path asks for and the bytes that answer it. Knows no socket.
 */
#ifndef BENCH_ORIGIN_H
#define BENCH_ORIGIN_H

#include "h1.h"

enum { REPLY_HEAD_MAX = 512, REPLY_PATTERN = 64 * 1024, NAME_MAX_BYTES = 64, SLOTS_MAX = 64 };

/* One listening port and how it behaves. */
struct personality {
    /* set once */
    int fd;
    uint16_t port;
    uint64_t body_bytes, delay_ms, jitter_ms;
    char name[NAME_MAX_BYTES + 1];
    bool json;
    int status;   /* of plain answers */
    int journal;  /* descriptor that each request's target is written to; negative: none */
    size_t slots; /* delayed answers in work at once; 0: any number */
    size_t room;  /* delayed answers that may be in work or wait; beyond: 503 at once; 0: any */
    /* running */
    bool ill; /* /healthz answers 503 */
    uint64_t slot_free_ns[SLOTS_MAX];
    uint64_t connections, requests, aborted, broken;
    size_t inside; /* delayed answers that have not left */
    /* the answer to a plain GET, ready to send */
    size_t ready_len;
    char *ready;
};

/* One answer: `head` (or the personality's ready bytes), then `body` bytes of the pattern. */
struct reply {
    const char *data;
    size_t data_len;
    uint64_t body;
    uint64_t delay_us;
    char head[REPLY_HEAD_MAX];
};

/* Builds the ready answer. Call once all options are known. */
void origin_reply_prepare(struct personality *who);

/* The answer to `head`; /bytes/N, /delay/MS, /status/NNN and /healthz are understood. */
void origin_reply(struct reply *reply, const struct personality *who, const struct h1_head *head);

#endif
