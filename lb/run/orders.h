/* orders: what operators have said by hand (drain, maintenance, enable, weight, reset), so that it
 * holds for servers that come later too: another address of a name, a backend that a reload adds to
 * a pool or a site. What is known of a server itself is in its endpoint and stays there. Pure but
 * for the endpoints it is asked about. Main thread only. */
#ifndef MERIDIAN_RUN_ORDERS_H
#define MERIDIAN_RUN_ORDERS_H

#include "base/buf.h"
#include "pick/pool.h"

#define ORDERS_MOST 256 /* the oldest one gives way */

/* POOL, POOL/BACKEND, POOL/BACKEND@ADDRESS or site:NAME; views of the text. */
struct order_target {
    struct span pool, backend, address, site;
};
/* ERR_SYNTAX: none of these. */
MUST_CHECK
enum err order_target_parse(struct span text, struct order_target *out);
/* site: empty where the pool has no sites. */
bool order_target_has(const struct order_target *t, struct span pool, struct span site,
                      const struct endpoint *e);

/* Each says one of them, or both. */
struct order_what {
    bool admin_said, weight_said;
    enum endpoint_admin admin;
    uint32_t weight; /* 0: as configured */
};
void order_apply(const struct order_what *what, struct endpoint *e);

struct orders {
    struct link all; /* of struct order, in the order in which they were given */
    size_t count;
};
void orders_init(struct orders *o);
void orders_fini(struct orders *o);
/* Keeps it after all others; earlier ones for no more than its target and with nothing else to say
 * go. What says as much as no word (reset) is only kept against others that remain. ERR_NO_MEMORY.
 */
MUST_CHECK
enum err orders_add(struct orders *o, struct span target, const struct order_what *what);
/* Does with each endpoint of the pool that is new what was said of it before it was there. sited:
 * the pool has sites. */
void orders_greet(const struct orders *o, struct span name, const struct pick_pool *pool,
                  bool sited);
/* One line each, for another process: "order ADMIN WEIGHT TARGET"; "-" where nothing is said. */
void orders_write(const struct orders *o, struct buf *out);
void orders_read(struct orders *o, struct span text);

#endif
