/* template: text with {name} in it: its grammar, and the one list of names. `{{` is a brace, any
 * other brace that opens must name something from the list. Made once, when the configuration is
 * read; what a name stands for is known to whoever expands it. Pure; any thread. */
#ifndef MERIDIAN_BASE_TEMPLATE_H
#define MERIDIAN_BASE_TEMPLATE_H

#include "base/arena.h"

/* X(constant, "name", TEMPLATE_… kind of its value, "what it stands for") */
#define TEMPLATE_NAMES(X)                                                                          \
    X(HOST, "host", HOST_PART, "host that the request is for, without port")                       \
    X(AUTHORITY, "authority", HOST_PART, "the same with the port, where one was written")          \
    X(METHOD, "method", WORD, "request method")                                                    \
    X(SCHEME, "scheme", HOST_PART, "`http` or `https`")                                            \
    X(PATH, "path", PATH_PART, "path as the client sent it, without '.' and '..' segments")        \
    X(QUERY, "query", ANY, "what follows `?`")                                                     \
    X(URI, "uri", PATH_PART, "path, and `?` and query where there is one")                         \
    X(CLIENT_ADDRESS, "client.address", WORD, "client's address after trusted proxies")            \
    X(PEER_ADDRESS, "peer.address", WORD, "address that the connection comes from")                \
    X(GEO_COUNTRY, "geo.country", HOST_PART, "client's country, two letters")                      \
    X(GEO_CONTINENT, "geo.continent", HOST_PART, "client's continent, two letters")                \
    X(GEO_SUBDIVISION, "geo.subdivision", HOST_PART, "part of the country (ISO 3166-2)")           \
    X(GEO_CITY, "geo.city", ANY, "client's city, by its English name")                             \
    X(GEO_ASN, "geo.asn", HOST_PART, "number of the client's network (AS), from an ASN database")  \
    X(GEO_ORGANIZATION, "geo.organization", ANY, "who runs that network")                          \
    X(GEO_FIELD, "geo:PATH", ANY,                                                                  \
      "any field of the databases by its path: `{geo:location.time_zone}`, "                       \
      "`{geo:subdivisions.0.names.de}`")                                                           \
    X(REQUEST_ID, "request_id", WORD, "request's identifier, as in X-Request-Id")                  \
    X(LISTENER, "listener", HOST_PART, "name of the listener")                                     \
    X(ROUTE, "route", ANY, "name of the route")                                                    \
    X(DEADLINE, "deadline", HOST_PART, "milliseconds that are left for the answer; empty: any")    \
    X(TIME, "time", LOGGED, "end of the request, UTC")                                             \
    X(POOL, "pool", LOGGED, "name of the pool")                                                    \
    X(BACKEND, "backend", LOGGED, "name of the backend that answered, or was tried last")          \
    X(SITE, "site", LOGGED, "its site")                                                            \
    X(PROTOCOL, "protocol", LOGGED, "`HTTP/1.1`, for instance")                                    \
    X(STATUS, "status", LOGGED, "status of the response; 0: none was sent")                        \
    X(BYTES_IN, "bytes_in", LOGGED, "bytes from the client, heads included")                       \
    X(BYTES_OUT, "bytes_out", LOGGED, "bytes to the client, heads included")                       \
    X(QUEUE, "queue", LOGGED, "seconds that it waited for a free backend")                         \
    X(CONNECT, "connect", LOGGED, "seconds that it waited for a connection")                       \
    X(FIRST_BYTE, "first_byte", LOGGED, "seconds to the first byte of the response")               \
    X(TOTAL, "total", LOGGED, "seconds to its end")                                                \
    X(ATTEMPTS, "attempts", LOGGED, "backends tried")                                              \
    X(END, "end", LOGGED, "end reason")                                                            \
    X(DISTANCE_MS, "distance_ms", LOGGED, "milliseconds to the site, by distance")                 \
    X(STICKY, "sticky", LOGGED, "`made`, `kept` or `broken`")                                      \
    X(HEDGE, "hedge", LOGGED, "`won` or `lost`: the second attempt that ran beside the first")     \
    X(TLS, "tls", LOGGED, "TLS version")                                                           \
    X(SNI, "sni", LOGGED, "name that the client asked for by SNI")                                 \
    X(TRACE, "trace", LOGGED, "identifier of the trace")                                           \
    X(USER_AGENT, "user_agent", LOGGED, "User-Agent")                                              \
    X(REFERER, "referer", LOGGED, "Referer")

enum template_name {
    TEMPLATE_TEXT, /* no name: the piece's text */
#define TEMPLATE_ENUM_(id, name, kind, help) TEMPLATE_##id,
    TEMPLATE_NAMES(TEMPLATE_ENUM_)
#undef TEMPLATE_ENUM_
        TEMPLATE_NAME_COUNT
};

/* What the bytes of a value can be. */
enum template_kind {
    TEMPLATE_ANY,       /* any that a target or a name may have */
    TEMPLATE_WORD,      /* nothing that ends a part of a URL */
    TEMPLATE_HOST_PART, /* nothing that a host may not have */
    TEMPLATE_PATH_PART, /* begins with '/' */
    TEMPLATE_LOGGED,    /* known at a request's end only: for the access log */
};

struct template_piece {
    enum template_name name;
    struct span text; /* TEMPLATE_TEXT, or the path of TEMPLATE_GEO_FIELD; borrowed from what was
                         parsed */
};

struct template
{
    const struct template_piece *pieces;
    size_t count;
};

/* Pieces are in the arena. ERR_SYNTAX: *bad is the part of s that is wrong: an unknown name without
 * its braces, or the rest from a brace that nothing closes. ERR_NO_MEMORY. */
MUST_CHECK
enum err template_parse(struct span s, struct arena *arena, struct template *out, struct span *bad);

/* By its name; TEMPLATE_TEXT: there is none. */
enum template_name template_find(struct span name);
/* "host", and the help; "" for TEMPLATE_TEXT. */
const char *template_name(enum template_name name);
const char *template_help(enum template_name name);
enum template_kind template_kind(enum template_name name);

/* Whether a Location made of it leads where the template says, whatever the values are: to a path
 * of this host, or to an http(s) address whose host no foreign bytes can change (RELIABILITY H17).
 * A leading "//" that values make is for whoever expands it. */
bool template_is_location(const struct template *t);

#endif
