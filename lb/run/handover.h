/* handover: what one process tells the one that takes its place, beside the sockets: health and
 * orders by hand of every endpoint, how sites answer, the addresses of host names, the keys of TLS
 * tickets, the counters. One text, a line each; lines that are not understood are skipped, so that
 * neighbouring versions understand each other. Pure but for the registry and counters that it reads
 * and fills. Main thread only. */
#ifndef MERIDIAN_RUN_HANDOVER_H
#define MERIDIAN_RUN_HANDOVER_H

#include "base/buf.h"
#include "net/loop.h"
#include "net/tls_ctx.h"
#include "pick/registry.h"
#include "run/name_book.h"
#include "run/orders.h"
#include "run/stat_book.h"

/* A counter of the process as a whole; any thread may add to it. */
struct handover_total {
    char name[96];
    _Atomic uint64_t *at;
};

struct handover {
    struct tls_tickets *tickets;
    struct registry *registry;
    struct stat_book *stats;
    struct name_book *names;
    const struct handover_total *totals;
    size_t total_count;
    struct orders *orders;
    struct loop_turns turns;         /* what is told */
    struct loop_turns *turns_before; /* what is read is added here */
};

/* Appends to out; its first line holds secrets. */
void handover_write(const struct handover *h, struct buf *out);
/* The keys alone: before certificates are loaded nothing else is there. */
void handover_read_tickets(struct tls_tickets *tickets, struct span text);
/* The addresses of names: before the first configuration makes endpoints of them. Orders by hand
 * are read by orders_read. */
void handover_read_names(struct name_book *names, struct span text);
/* All but these, into what the first configuration has made: endpoints and routes that it does
 * not name are left out. */
void handover_read(const struct handover *h, struct span text);

/* The counters alone. Those of workers are added to the main thread's own, so at any time. */
void handover_write_counts(const struct handover *h, struct buf *out);
/* away: takes away what the same text has added before. */
void handover_count(const struct handover *h, struct span text, bool away);

#endif
