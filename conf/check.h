/* check: what keys mean together: references, choices that exclude each other, things named twice.
 * Runs after reading, also where reading found errors, and fills in what follows from other keys.
 * Pure but for its messages. */
#ifndef MERIDIAN_CONF_CHECK_H
#define MERIDIAN_CONF_CHECK_H

#include "conf/reader.h"

void check_conf(struct reader *r, struct conf *conf);
/* Routes: part of check_conf (check_route.c). Pools must be resolvable by name already. */
struct names;
void check_routes(struct reader *r, struct conf *conf, const struct names *pools);
/* What one route does with its requests (check_action.c). */
void check_action(struct reader *r, const struct conf *conf, struct conf_route *route,
                  const struct names *pools);

/* An index of things that have a name, sorted. Borrows them. */
struct names_entry {
    struct span name;
    const void *thing;
    const struct conf_mark *mark;
};
struct names {
    struct names_entry *entries;
    size_t count, room;
};

/* False without memory. */
bool names_init(struct names *names, struct reader *r, size_t room);
void names_add(struct names *names, struct span name, const void *thing,
               const struct conf_mark *mark);
/* To be called once, after the last names_add. */
void names_sort(struct names *names);
const void *names_find(const struct names *names, struct span name);
/* The name that was meant, or SPAN_NONE. */
struct span names_near(const struct names *names, struct span wanted);

/* check_central.c: what is asked of the central database, as a whole and by one pool. */
void check_sources(struct reader *r, struct conf *conf);
void check_central(struct reader *r, const struct conf *conf, struct conf_pool *pool);

/* check_redirect.c */
/* Takes the URL of a site apart. */
void check_public_url(struct conf_site *site);
/* `mode: redirect`: what it needs, and that nothing is written that it would ignore. */
void check_redirect_pool(struct reader *r, const struct conf *conf, const struct conf_pool *pool);
void check_redirect_route(struct reader *r, const struct conf_route *route);

/* check_residency.c */
void check_residency(struct reader *r, const struct conf *conf, struct conf_pool *pool,
                     const struct names *sites);

#endif
