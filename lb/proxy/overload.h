/* overload: in which order service is given up when memory or descriptors run out (RELIABILITY
 * section 5). Pure: how full it is goes in, the tier comes out; what each tier does is done
 * elsewhere (relief.h, exchange.c, client.c). */
#ifndef MERIDIAN_PROXY_OVERLOAD_H
#define MERIDIAN_PROXY_OVERLOAD_H

#include <stddef.h>
#include <stdint.h>

enum overload {
    OVERLOAD_NONE,
    OVERLOAD_SAVE,   /* 80 %: no keep-alive, idle connections 5 s, 10 streams, narrow windows */
    OVERLOAD_REFUSE, /* 90 %: new requests 503, 64 connections per source, the longest idle close */
    OVERLOAD_RESET,  /* 95 %: nobody is accepted, the source that holds most memory is reset */
    OVERLOAD_TIERS
};

/* One thing of which there is a bounded amount. */
struct overload_load {
    uint64_t used, most; /* most 0: no bound */
};

/* The next tier: that of the fuller one. It is entered at its mark and left 5 points below. */
enum overload overload_next(enum overload now, const struct overload_load *loads, size_t n);
/* In hundredths of the bound, rounded down; 0 without one. */
unsigned overload_percent(const struct overload_load *load);
/* For logs and metrics: "none", "save", "refuse", "reset". */
const char *overload_name(enum overload o);

#endif
