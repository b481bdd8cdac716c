/* query_hide: a query as logs may have it (H23): values of parameters that sound secret are
 * replaced. Pure. */
#ifndef MERIDIAN_PROXY_QUERY_HIDE_H
#define MERIDIAN_PROXY_QUERY_HIDE_H

#include "base/buf.h"

/* Appends it. */
void query_hide(struct span query, struct buf *out);

#endif
