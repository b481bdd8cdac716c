/* world: random pools in random trouble, and a naive chooser written from the words of BALANCING.md
 * sections 7 and 10, for the property tests. */
#ifndef MERIDIAN_TESTS_PICK_WORLD_H
#define MERIDIAN_TESTS_PICK_WORLD_H

#include "fixture.h"

enum { SITES = 5, MEMBERS = 6, ALL = SITES * MEMBERS };

struct world {
    struct fixture f;
    struct rng rng;
    uint32_t weights[ALL];
    uint8_t ranks[ALL];
    float distances[SITES];
    struct endpoint *tried[4];
    struct pick_request req;
};

uint32_t below(struct world *w, uint32_t bound);
struct endpoint *any_endpoint(struct world *w);
/* A pool of random shape, weights, load and trouble (percent of endpoints), and a request for it.
 * In every third world some are backups, of up to three ranks. */
void world_make(struct world *w, enum pick_algorithm algorithm, uint32_t trouble);

/* May the mode use it, and has it not been tried, and is it not full? */
bool may_serve(const struct world *w, const struct pool_member *m, enum pick_mode mode);
enum pick_mode naive_mode(const struct world *w);
/* The best tier in which somebody of an allowed site may serve; PICK_TIERS: none. */
uint32_t naive_tier(const struct world *w, enum pick_mode mode);
/* The site by PICK_NEAREST; UINT32_MAX: none. */
uint32_t naive_site(const struct world *w, enum pick_mode mode);
const struct pool_member *member_of(const struct world *w, const struct endpoint *e);

#endif
