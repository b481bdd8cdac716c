/* cost: what pieces of the request path take, in instructions. cost.py runs it under callgrind,
 * which counts inside cost_measured and writes a file each time that returns. On its own it only
 * checks that the warm path allocates nothing. */
#include "cost.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

enum { WARM = 300, TIMES = 1000 };

/* In the order of cost.py's list. */
static const struct cost_subject *const subjects[] = {
    &cost_parse, &cost_write, &cost_route, &cost_pick, &cost_line, &cost_exchange, &cost_logged};

void cost_fail(const char *what)
{
    fprintf(stderr, "cost: %s\n", what);
    exit(1);
}

__attribute__((noinline, used)) void cost_measured(const struct cost_subject *s, void *state);
void cost_measured(const struct cost_subject *s, void *state)
{
    s->work(state, TIMES);
}

int main(void)
{
    int bad = 0;
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        const struct cost_subject *s = subjects[i];
        void *state = s->begin();
        s->work(state, WARM);
        uint64_t before = mem_count();
        cost_measured(s, state);
        uint64_t made = mem_count() - before;
        printf("%s %d times: %llu allocations\n", s->name, TIMES, (unsigned long long)made);
        bad += made != 0;
        s->end(state);
    }
    return bad != 0;
}
