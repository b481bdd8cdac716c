/* blame: what a server says about its own health (application/health+json, as
 * draft-inadarei-api-health-check has it): which of the things that it depends on it blames. Text
 * from a server: strict and bounded, and what cannot be read blames nobody. Pure. */
#ifndef MERIDIAN_HEALTH_BLAME_H
#define MERIDIAN_HEALTH_BLAME_H

#include "base/arena.h"

#define BLAME_MOST 16 /* names: bits of the answer */

/* Whether content of that type says so. */
bool blame_is_type(struct span content_type);
/* *out bit i: a check of the name i failed. A check is named "name" or "name:what was measured".
 * ERR_SYNTAX, ERR_RANGE, ERR_NO_MEMORY: it cannot be read, and *out is 0. */
MUST_CHECK
enum err blame_read(struct span content, const struct span *names, size_t n, uint32_t *out);

#endif
