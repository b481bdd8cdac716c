/* proxy_h2: what the clients and servers of proxy_sim that speak HTTP/2 share. */
#ifndef MERIDIAN_TESTS_PROXY_H2_H
#define MERIDIAN_TESTS_PROXY_H2_H

#include "proxy_world.h"

#include <nghttp2/nghttp2.h>
#include <string.h>

/* Borrowed; the library copies, and never writes there. */
static inline nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

/* All of it is frames: the other side is Meridian. */
static inline void session_read(const struct world *w, nghttp2_session *s, struct span bytes)
{
    ssize_t n = nghttp2_session_mem_recv(s, (const uint8_t *)bytes.p, bytes.n);
    need(w, n == (ssize_t)bytes.n, "frames that are none", (long long)n);
}

static inline bool session_over(nghttp2_session *s)
{
    return nghttp2_session_want_read(s) == 0 && nghttp2_session_want_write(s) == 0;
}

#endif
