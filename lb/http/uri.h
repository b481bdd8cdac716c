/* uri: request targets (RFC 9112 section 3.2) taken apart and paths brought into one form
 * (RELIABILITY H8, H14). Knows grammar only: no route, no message. Pure; any thread. */
#ifndef MERIDIAN_HTTP_URI_H
#define MERIDIAN_HTTP_URI_H

#include "base/arena.h"

enum uri_form {
    URI_ORIGIN,   /* /path?query */
    URI_ABSOLUTE, /* http://authority/path?query */
    URI_AUTHORITY /* host:port; only CONNECT has it */,
    URI_ASTERISK, /* *; only OPTIONS has it */
};

struct uri {
    enum uri_form form;
    struct span scheme;    /* as written; empty but in absolute form */
    struct span authority; /* as written; empty in origin and asterisk form */
    struct span path;      /* as written; "" where an absolute form has none; "*" */
    struct span query;     /* after "?"; p NULL where there is no "?" */
};

/* All spans point into target. ERR_BAD_TARGET: bytes <= 0x20 or >= 0x7f, '#', a scheme other than
 * http and https, bad escapes or %00 in the path. The authority is checked by host_parse. */
MUST_CHECK
enum err uri_parse(struct span target, struct uri *out);

/* Removes dot segments, "%2e" being a dot (RFC 3986 section 5.2.4), in place; path begins with "/"
 * and passed uri_parse. *out: the path now, at most n bytes; doing it twice changes nothing. *sent:
 * where that changed it, the path as it came, in the arena; else SPAN_NONE. ERR_NO_MEMORY. */
MUST_CHECK
enum err uri_resolve(char *path, size_t n, struct arena *a, struct span *out, struct span *sent);
/* The one form of a path without dot segments (RFC 3986 section 6.2.2, and "//" as "/"): escapes of
 * letters, digits and "-._~" decoded, capital letters for the digits of the others; written to
 * memory, which has path.n bytes. Doing it twice changes nothing, and makes no dot segment. */
struct span uri_canonical(struct span path, char *memory);

/* How other readers may understand a path that is forwarded as it came. */
enum uri_reading {
    URI_READ_PLAIN = 1,     /* what may stand in a path as it is, but for ';', is decoded */
    URI_READ_SLASH = 2,     /* %2f and %5c are decoded */
    URI_READ_BACKSLASH = 4, /* "\" is "/" */
    URI_READ_PARAMS = 8,    /* segments end at ";" */
    URI_READ_MERGE = 16,    /* "//" is "/" */
    URI_READ_ESCAPED = 32,  /* "%2e" is no dot */
    URI_READ_DOTS = 64,     /* dot segments stay */
    URI_READ_LATE = 128,    /* segments end at "%3b": it is decoded before they are */
    URI_READ_CUT = 256,     /* they end before anything is decoded: what is cut ends at "/" alone */
    URI_READ_AGAIN = 512,  /* where dot segments were removed, all of it once more for what is left,
                              by the next reader, who removes none */
    URI_READ_TWICE = 1024, /* with CUT, PARAMS and LATE: before anything is decoded at ";", and once
                              more at "%3b" after it, where what is cut ends at each "/" */
    URI_READ_END = 2048    /* every set of readings is below */
};

/* Whether any reading, or uri_settle, makes another path of this one. */
bool uri_is_odd(struct span path);
/* The path with capital letters for the digits of escapes, which say the same (RFC 3986 section
 * 6.2.2.1), written to memory, which has path.n bytes. It passed uri_parse. */
struct span uri_settle(struct span path, char *memory);
/* The readings that can make a difference for this path, which has no dot segments: a set with
 * others makes the same of it as the set without them. */
unsigned uri_readings(struct span path);
/* The path as a reader with these habits (a set of enum uri_reading: what works on bytes in one
 * pass, then dot segments removed, but for URI_READ_DOTS, then URI_READ_AGAIN) sees it: written to
 * memory, which has path.n bytes; with URI_READ_DOTS no more than its first `most` bytes. For every
 * set of those in uri_readings the caller looks up its route again and refuses where one differs
 * (H14). */
struct span uri_variant(struct span path, unsigned readings, size_t most, char *memory);

struct host {
    struct span authority; /* host[:port], lower case */
    struct span host;      /* without the port and without a dot at its end, which names the same
                              host (RFC 1034 section 3.1); IPv6 keeps its brackets */
    uint16_t port;         /* 0 where none is given */
};
/* host[:port] with a name of letters, digits and "-._~", an IPv4 or an [IPv6] address; no user
 * information, comma, space or empty label (H8). Lower-cases s in place; the result points into it.
 * ERR_BAD_HOST. */
MUST_CHECK
enum err host_parse(char *p, size_t n, struct host *out);

#endif
