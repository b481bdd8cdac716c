/* choose: the choice itself, without taking anything (BALANCING.md sections 7 and 10). Inside
 * lb/pick only: pick.c takes what is chosen here, explain.c shows how it came about. */
#ifndef MERIDIAN_PICK_CHOOSE_H
#define MERIDIAN_PICK_CHOOSE_H

#include "pick/pick.h"

/* The items of a site that the mode allows: [from, to). */
struct choose_range {
    uint32_t from, to;
    uint64_t weight_before, weight; /* sums: of the items before, and in the range */
};

struct choose_candidate {
    uint32_t item;
    uint32_t q; /* its in-flight when it was drawn */
};

struct choice {
    const struct pick_request *req;
    enum pick_mode mode;
    uint64_t open;  /* sites that may still be chosen */
    double base_ms; /* least N of the sites with enough samples; 0: none */
    bool full;      /* somebody was passed over only because of max_inflight */
    /* the result */
    uint32_t site;
    const struct view_item *item; /* NULL: nobody */
    uint32_t candidate_count;
    struct choose_candidate candidates[PICK_CHOICES_MOST]; /* in draw order */
};

/* Bits of the sites that the pool has and the request may use. */
uint64_t choose_mask(const struct pick_request *req);
struct choose_range choose_range(const struct view_site *site, enum pick_mode mode);

struct choose_cost {
    double cost_ms, distance_ms, load_ms;
    uint64_t q, weight;
};
struct choose_cost choose_cost(const struct choice *c, uint32_t site);
/* a is to be preferred to b, which comes earlier in configuration order. */
bool choose_better(const struct choose_cost *a, const struct choose_cost *b);

/* Decides the mode and the base; ERR_NO_BACKEND where nobody is left to choose from. */
MUST_CHECK
enum err choose_begin(struct choice *c, const struct pick_request *req);
/* Fills the result. ERR_NO_BACKEND, ERR_FULL. */
MUST_CHECK
enum err choose(struct choice *c);

/* explain.c */
void explain_choice(const struct choice *c, struct pick_explain *out);

#endif
