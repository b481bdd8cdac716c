/* field: the field names that Meridian knows by number, in one list. Names not in it are
 * FIELD_OTHER and travel as they are. Knows what is hop-by-hop (RFC 9110 section 7.6.1); knows no
 * message and no policy. Pure; any thread. */
#ifndef MERIDIAN_HTTP_FIELD_H
#define MERIDIAN_HTTP_FIELD_H

#include "base/str.h"

/* X(constant, "lower-case name", flags), sorted by length: field_id_of rests on that. */
#define FIELD_LIST(X)                                                                              \
    X(TE, "te", FIELD_HOP)                                                                         \
    X(AGE, "age", 0)                                                                               \
    X(VIA, "via", FIELD_KEPT)                                                                      \
    X(DATE, "date", 0)                                                                             \
    X(ETAG, "etag", 0)                                                                             \
    X(HOST, "host", FIELD_FRAMING)                                                                 \
    X(LINK, "link", 0)                                                                             \
    X(VARY, "vary", 0)                                                                             \
    X(ALLOW, "allow", 0)                                                                           \
    X(RANGE, "range", 0)                                                                           \
    X(ACCEPT, "accept", 0)                                                                         \
    X(COOKIE, "cookie", FIELD_KEPT)                                                                \
    X(EXPECT, "expect", FIELD_FRAMING)                                                             \
    X(ORIGIN, "origin", 0)                                                                         \
    X(PRAGMA, "pragma", 0)                                                                         \
    X(PREFER, "prefer", 0)                                                                         \
    X(SERVER, "server", 0)                                                                         \
    X(ALT_SVC, "alt-svc", 0)                                                                       \
    X(EXPIRES, "expires", 0)                                                                       \
    X(REFERER, "referer", 0)                                                                       \
    X(TRAILER, "trailer", FIELD_HOP)                                                               \
    X(UPGRADE, "upgrade", FIELD_HOP)                                                               \
    X(WARNING, "warning", 0)                                                                       \
    X(IF_MATCH, "if-match", 0)                                                                     \
    X(IF_RANGE, "if-range", 0)                                                                     \
    X(LOCATION, "location", 0)                                                                     \
    X(PRIORITY, "priority", 0)                                                                     \
    X(FORWARDED, "forwarded", FIELD_KEPT)                                                          \
    X(X_REAL_IP, "x-real-ip", FIELD_KEPT)                                                          \
    X(CONNECTION, "connection", FIELD_HOP)                                                         \
    X(KEEP_ALIVE, "keep-alive", FIELD_HOP)                                                         \
    X(SET_COOKIE, "set-cookie", 0)                                                                 \
    X(TRACESTATE, "tracestate", FIELD_KEPT | FIELD_UNIQUE)                                         \
    X(USER_AGENT, "user-agent", 0)                                                                 \
    X(GRPC_STATUS, "grpc-status", 0)                                                               \
    X(RETRY_AFTER, "retry-after", 0)                                                               \
    X(TRACEPARENT, "traceparent", FIELD_KEPT | FIELD_UNIQUE)                                       \
    X(CONTENT_TYPE, "content-type", 0)                                                             \
    X(GRPC_MESSAGE, "grpc-message", 0)                                                             \
    X(GRPC_TIMEOUT, "grpc-timeout", 0)                                                             \
    X(X_REQUEST_ID, "x-request-id", FIELD_KEPT | FIELD_UNIQUE)                                     \
    X(ACCEPT_RANGES, "accept-ranges", 0)                                                           \
    X(AUTHORIZATION, "authorization", FIELD_KEPT)                                                  \
    X(CACHE_CONTROL, "cache-control", 0)                                                           \
    X(CONTENT_RANGE, "content-range", 0)                                                           \
    X(GRPC_ENCODING, "grpc-encoding", 0)                                                           \
    X(IF_NONE_MATCH, "if-none-match", 0)                                                           \
    X(LAST_MODIFIED, "last-modified", 0)                                                           \
    X(ACCEPT_CHARSET, "accept-charset", 0)                                                         \
    X(CONTENT_LENGTH, "content-length", FIELD_FRAMING)                                             \
    X(HTTP2_SETTINGS, "http2-settings", FIELD_HOP)                                                 \
    X(ACCEPT_ENCODING, "accept-encoding", 0)                                                       \
    X(ACCEPT_LANGUAGE, "accept-language", 0)                                                       \
    X(CLEAR_SITE_DATA, "clear-site-data", 0)                                                       \
    X(IDEMPOTENCY_KEY, "idempotency-key", FIELD_UNIQUE)                                            \
    X(X_FORWARDED_FOR, "x-forwarded-for", FIELD_KEPT)                                              \
    X(CONTENT_ENCODING, "content-encoding", 0)                                                     \
    X(CONTENT_LANGUAGE, "content-language", 0)                                                     \
    X(CONTENT_LOCATION, "content-location", 0)                                                     \
    X(PROXY_CONNECTION, "proxy-connection", FIELD_HOP)                                             \
    X(WWW_AUTHENTICATE, "www-authenticate", 0)                                                     \
    X(X_FORWARDED_HOST, "x-forwarded-host", FIELD_KEPT)                                            \
    X(X_FORWARDED_PORT, "x-forwarded-port", FIELD_KEPT)                                            \
    X(IF_MODIFIED_SINCE, "if-modified-since", 0)                                                   \
    X(SEC_WEBSOCKET_KEY, "sec-websocket-key", 0)                                                   \
    X(TRANSFER_ENCODING, "transfer-encoding", FIELD_HOP)                                           \
    X(X_FORWARDED_PROTO, "x-forwarded-proto", FIELD_KEPT)                                          \
    X(PROXY_AUTHENTICATE, "proxy-authenticate", 0)                                                 \
    X(CONTENT_DISPOSITION, "content-disposition", 0)                                               \
    X(IF_UNMODIFIED_SINCE, "if-unmodified-since", 0)                                               \
    X(PROXY_AUTHORIZATION, "proxy-authorization", FIELD_KEPT)                                      \
    X(SEC_WEBSOCKET_ACCEPT, "sec-websocket-accept", 0)                                             \
    X(SEC_WEBSOCKET_VERSION, "sec-websocket-version", 0)                                           \
    X(SEC_WEBSOCKET_PROTOCOL, "sec-websocket-protocol", 0)                                         \
    X(SEC_WEBSOCKET_EXTENSIONS, "sec-websocket-extensions", 0)                                     \
    X(STRICT_TRANSPORT_SECURITY, "strict-transport-security", 0)

enum field_flag {
    FIELD_HOP = 1,     /* for one connection only: never forwarded */
    FIELD_FRAMING = 2, /* consumed by the reading codec too; Connection cannot remove it (H15) */
    FIELD_KEPT = 4,    /* end to end; Connection cannot remove it (H15) */
    FIELD_UNIQUE = 8,  /* no second message has the same value */
};

/* What becomes of a field whose name has other characters than [a-z0-9-], such as "_" (H3). */
enum odd_names {
    ODD_NAMES_DROP,   /* it is left out and counted */
    ODD_NAMES_REJECT, /* the head is malformed */
    ODD_NAMES_ALLOW,  /* it stays, unless it passes for a known one (field_passes_for) */
    ODD_NAMES_KEEP,   /* it stays: of servers, whose fields nobody takes for ours */
};

enum field_id {
    FIELD_OTHER,
#define FIELD_ENUM_(id, name, flags) FIELD_##id,
    FIELD_LIST(FIELD_ENUM_)
#undef FIELD_ENUM_
        FIELD_COUNT
};

/* FIELD_OTHER where the name is not in the list. */
enum field_id field_id_of(struct span lower_name);
/* Empty for FIELD_OTHER. Lives for ever. */
struct span field_name(enum field_id id);
/* A sum of enum field_flag; 0 for FIELD_OTHER. */
unsigned field_flags(enum field_id id);
/* Connection, Transfer-Encoding, Keep-Alive and their like. */
bool field_is_hop(enum field_id id);
/* Host, Content-Length, Expect: made anew by the writing codec though not hop-by-hop. */
bool field_is_framing(enum field_id id);
/* Whether it may stand in trailers (RFC 9110 section 6.5.1): nothing that frames, routes,
 * authenticates or describes the content. */
bool field_may_trail(enum field_id id);
/* Whether it tells a digest of the content as it is (RFC 9530, RFC 3230, RFC 1864), which fits
 * nothing else; in any case. */
bool field_is_digest(struct span name);
/* Whether a Connection field that names it has no effect on it (H15). */
bool field_is_kept(enum field_id id);
/* Whether servers that see one character in place of all but letters and digits (CGI: RFC 3875
 * section 4.1.18) take a name for `lower_name`, which has no odd one; also where they are the same.
 */
bool field_passes_for(struct span name, struct span lower_name);
/* Judges a lower-case name with odd characters. ERR_OK: it stays; ERR_BAD_FIELD: the head is
 * malformed; ERR_AGAIN: it is left out, and the next one looked at. */
MUST_CHECK
enum err field_judge_odd(enum odd_names rule, struct span name);

#endif
