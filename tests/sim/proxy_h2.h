/* proxy_h2: what the clients and servers of proxy_sim that speak HTTP/2 share. */
#ifndef MERIDIAN_TESTS_PROXY_H2_H
#define MERIDIAN_TESTS_PROXY_H2_H

#include <nghttp2/nghttp2.h>
#include <string.h>

/* Borrowed; the library copies, and never writes there. */
static inline nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

#endif
