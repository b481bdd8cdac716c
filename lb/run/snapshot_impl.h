/* snapshot_impl: what the files that build a snapshot share. */
#ifndef MERIDIAN_RUN_SNAPSHOT_IMPL_H
#define MERIDIAN_RUN_SNAPSHOT_IMPL_H

#include "run/snapshot.h"

/* A row that serves, and where it stands. */
struct snapshot_row {
    const struct row *row;
    const struct conf_site *site; /* NULL: the pool has no sites */
};
struct snapshot_rows {
    struct snapshot_row *v; /* in the snapshot's arena */
    size_t count;
    bool file; /* the file's own backends serve too */
};
/* The rows of the registry that serve in the pool (snapshot_rows.c). ERR_NO_MEMORY. */
enum err snapshot_rows(const struct snapshot_context *c, struct snapshot *s,
                       const struct conf_pool *pool, struct snapshot_rows *out);
enum err snapshot_build_pools(const struct snapshot_context *c, struct snapshot *s);
enum err snapshot_build_routes(const struct snapshot_context *c, struct snapshot *s);
/* The target of one route, and what it asks for (snapshot_shape.c). ERR_NO_MEMORY. */
enum err snapshot_route_action(struct snapshot *s, const struct conf_route *from,
                               struct policy_route *to);
enum err snapshot_route_shape(struct snapshot *s, const struct conf_route *from,
                              struct policy_route *to);
struct key_rule snapshot_key(const struct conf_key *from);
enum err snapshot_pages(struct snapshot *s, const struct conf_pages *from, struct policy_pages *to);
enum err snapshot_build_listeners(const struct snapshot_context *c, struct snapshot *s,
                                  struct conf_messages *to);

#endif
