/* snapshot_impl: what the files that build a snapshot share. */
#ifndef MERIDIAN_RUN_SNAPSHOT_IMPL_H
#define MERIDIAN_RUN_SNAPSHOT_IMPL_H

#include "run/snapshot.h"

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
