/* descriptors: how many connections of clients the descriptors that the process may have are enough
 * for (L1), and whether a configuration asks for more. It knows the limit and what is kept aside;
 * it must not know who uses them. Main thread. */
#ifndef MERIDIAN_RUN_DESCRIPTORS_H
#define MERIDIAN_RUN_DESCRIPTORS_H

#include "base/buf.h"
#include "conf/conf.h"

/* L1 where the configuration says auto: half of the descriptors beyond the reserve. Raises the
 * limit as far as it may be raised, so it comes before the first check. */
uint32_t descriptors_connections(void);
/* ERR_NO_DESCRIPTOR and why: the configuration asks for more connections than can be had. */
MUST_CHECK
enum err descriptors_check(const struct conf *conf, struct buf *messages);

#endif
