/* sticky_keys: what signs the cookies of pools with `sticky.cookie`: read from the file that the
 * pool names, else kept in the state folder and made there once. Belongs to one snapshot;
 * immutable. Blocking: never on a worker. */
#ifndef MERIDIAN_RUN_STICKY_KEYS_H
#define MERIDIAN_RUN_STICKY_KEYS_H

#include "conf/conf.h"

struct sticky_keys;

/* What cannot be had is reported at its place. `make`: the key of the state folder is made where it
 * is not there; without it (a check) its absence is no error. *out is NULL on failure. */
MUST_CHECK
enum err sticky_keys_load(const struct conf *conf, bool make, struct conf_messages *to,
                          struct sticky_keys **out);
void sticky_keys_free(struct sticky_keys **keys);
/* By the index of the pool; lives as long as the keys. */
struct span sticky_keys_get(const struct sticky_keys *keys, size_t pool);

#endif
