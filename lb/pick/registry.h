/* registry: where snapshots find the runtime state of pools, sites and endpoints again. Knows keys;
 * knows no configuration. Main thread only: others read and update what it hands out, never the
 * registry. Bounded: `most` endpoints, and as many sites. */
#ifndef MERIDIAN_PICK_REGISTRY_H
#define MERIDIAN_PICK_REGISTRY_H

#include "pick/site.h"

struct registry;

/* NULL without memory. */
struct registry *registry_new(size_t most);
/* All references must have been given back and no request may be in flight. */
void registry_free(struct registry **r);

/* Each finds or creates, and returns with one reference for the caller. ERR_NO_MEMORY, ERR_FULL. */
MUST_CHECK
enum err registry_pool(struct registry *r, struct span name, struct pool_state **out);
MUST_CHECK
enum err registry_site(struct registry *r, struct pool_state *pool, struct span name,
                       struct site_state **out);
/* slow_from_ms: the start of slow start for one that is new (added by a reload); 0: none (process
 * start). A known one keeps everything. */
MUST_CHECK
enum err registry_endpoint(struct registry *r, struct pool_state *pool, struct span backend,
                           struct span address, int64_t slow_from_ms, struct endpoint **out);

void pool_state_unref(struct pool_state **pool);

/* Looks up "pool/backend@address"; borrowed, NULL where there is none. */
struct endpoint *registry_find(const struct registry *r, struct span key);

/* Frees what has neither a reference nor a request in flight; returns how many endpoints went. */
size_t registry_sweep(struct registry *r);

size_t registry_count(const struct registry *r);
/* Calls each(ctx, endpoint) for all endpoints, in order of creation. */
void registry_each(struct registry *r, void (*each)(void *ctx, struct endpoint *e), void *ctx);
/* The same for pools and for sites. */
void registry_each_pool(struct registry *r, void (*each)(void *ctx, struct pool_state *p),
                        void *ctx);
void registry_each_site(struct registry *r, void (*each)(void *ctx, struct site_state *s),
                        void *ctx);

#endif
