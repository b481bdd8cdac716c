/* query_hide: queries and URLs as logs may have them (H23): values of parameters that sound secret
 * are replaced, and so is who a URL names before "@". Pure. */
#ifndef MERIDIAN_PROXY_QUERY_HIDE_H
#define MERIDIAN_PROXY_QUERY_HIDE_H

#include "base/buf.h"

/* Appends it. */
void query_hide(struct span query, struct buf *out);

/* Appends a URL, its first `most` bytes behind what is hidden of its authority. */
void url_hide(struct span url, size_t most, struct buf *out);
/* The same of the target of a request that has been refused for it, which is no URL by any rule:
 * nothing before the last "@" of it is shown. It has no query. */
void target_hide(struct span target, size_t most, struct buf *out);

#endif
