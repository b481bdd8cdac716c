/* handover_impl: the lines of a hand-over: a word, numbers, a name. For handover*.c only. */
#ifndef MERIDIAN_RUN_HANDOVER_IMPL_H
#define MERIDIAN_RUN_HANDOVER_IMPL_H

#include "run/handover.h"

/* Appends " N" for each. */
void handover_put(struct buf *out, const uint64_t *numbers, size_t n);
/* "WORD rest": whether it is that word; *rest is what follows. */
bool handover_is(struct span line, const char *word, struct span *rest);
/* n numbers, then a name in *name. False: there are not so many. */
bool handover_numbers(struct span rest, uint64_t *numbers, size_t n, struct span *name);
/* Whether "pool/site" is that site. */
bool handover_is_site(const struct site_state *site, struct span key);

#endif
