/* What cost.c counts: fixed pieces of work on fixed inputs, each made ready before it is counted.
 * Nothing in them depends on a clock, an address or chance, so that the same program takes the same
 * instructions each time. */
#ifndef BENCH_COST_H
#define BENCH_COST_H

#include <stddef.h>

struct cost_subject {
    const char *name;
    void *(*begin)(void);
    void (*work)(void *state, size_t times);
    void (*end)(void *state);
};

extern const struct cost_subject cost_parse, cost_write, cost_pick, cost_route, cost_line,
    cost_exchange, cost_logged;

/* Ends the program with a message. */
_Noreturn void cost_fail(const char *what);

#endif
