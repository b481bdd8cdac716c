/* err: every way in which something can end, each with one name. The name is the same in the access
 * log, in metric labels and in the admin interface (RELIABILITY A12), and one column says which
 * HTTP status the client gets when Meridian itself must answer. This module knows no socket, no
 * message and no configuration; foreign errors (errno, OpenSSL, libmaxminddb) are translated where
 * they arise. */
#ifndef MERIDIAN_BASE_ERR_H
#define MERIDIAN_BASE_ERR_H

#define MUST_CHECK __attribute__((warn_unused_result))

/* X(constant, "name", HTTP status or 0 where none can be sent, "phrase for people") */
#define ERR_LIST(X)                                                                                \
    X(OK, "ok", 0, "no error")                                                                     \
    X(AGAIN, "again", 0, "not now: wait for the next event")                                       \
    /* resources of this process */                                                                \
    X(NO_MEMORY, "no-memory", 503, "no memory could be had")                                       \
    X(NO_DESCRIPTOR, "no-descriptor", 503, "no file descriptor could be had")                      \
    X(NO_PORT, "no-port", 503, "no local port could be had")                                       \
    X(FULL, "full", 503, "a fixed bound has been reached")                                         \
    X(SYSTEM, "system", 500, "the operating system refused")                                       \
    X(INTERNAL, "internal", 500, "a defect in this program")                                       \
    X(SHUTDOWN, "shutdown", 503, "the balancer is stopping")                                       \
    /* files and settings */                                                                       \
    X(NOT_FOUND, "not-found", 0, "it does not exist")                                              \
    X(PERMISSION, "permission", 0, "permission denied")                                            \
    X(SYMLINK, "symlink", 0,                                                                       \
      "a symbolic link leads in a circle, or may not stand there; `namei PATH` shows it")          \
    X(SYNTAX, "syntax", 0, "malformed")                                                            \
    X(RANGE, "range", 0, "out of range")                                                           \
    X(EXISTS, "exists", 0, "there already")                                                        \
    X(IN_USE, "in-use", 0, "address already in use")                                               \
    X(CORRUPT, "corrupt", 0, "damaged or of another format")                                       \
    X(UNSUPPORTED, "unsupported", 0, "not supported")                                              \
    /* client side: malformed or refused requests (RELIABILITY H rules, L limits) */               \
    X(CLIENT_ABORT, "client-abort", 499, "the client went away")                                   \
    X(CLIENT_CLOSED, "client-closed", 0, "the client closed an idle connection")                   \
    X(CLIENT_TLS, "client-tls", 0, "the TLS handshake with the client failed")                     \
    X(BAD_REQUEST, "bad-request", 400, "the request is malformed")                                 \
    X(BAD_LINE_END, "bad-line-end", 400, "a line does not end with CR LF")                         \
    X(BAD_METHOD, "bad-method", 405, "the method is not served here")                              \
    X(BAD_TARGET, "bad-target", 400, "the request target is malformed")                            \
    X(BAD_VERSION, "bad-version", 505, "the HTTP version is not spoken here")                      \
    X(BAD_FIELD, "bad-field", 400, "a header field is malformed")                                  \
    X(BAD_HOST, "bad-host", 400, "the Host field is missing, repeated or malformed")               \
    X(BAD_LENGTH, "bad-length", 400, "Content-Length is malformed or repeated")                    \
    X(BAD_CODING, "bad-coding", 501, "the transfer coding is not supported")                       \
    X(BAD_FRAMING, "bad-framing", 400, "the framing of the message is ambiguous")                  \
    X(BAD_CHUNK, "bad-chunk", 400, "the chunked body is malformed")                                \
    X(BAD_EXPECT, "bad-expect", 417, "the expectation cannot be met")                              \
    X(BAD_UPGRADE, "bad-upgrade", 400, "the upgrade request is malformed")                         \
    X(URI_TOO_LONG, "limit-L12", 414, "the request line is too long")                              \
    X(HEAD_TOO_LARGE, "limit-L13", 431, "the header fields are too large")                         \
    X(TRAILERS_TOO_LARGE, "limit-L14", 400, "the trailers are too large")                          \
    X(CHUNK_OVERHEAD, "limit-L15", 400, "the chunk framing is too large")                          \
    X(BODY_TOO_LARGE, "limit-L16", 413, "the request content is too large")                        \
    X(HEAD_TIMEOUT, "limit-L4", 408, "the request head came too slowly")                           \
    X(IDLE_TIMEOUT, "limit-L5", 0, "the connection was idle too long")                             \
    X(BODY_TIMEOUT, "limit-L6", 408, "the request content came too slowly")                        \
    X(SEND_TIMEOUT, "limit-L7", 0, "the client took the response too slowly")                      \
    X(TOO_MANY, "limit-L2", 503, "too many connections from one source")                           \
    X(HELD, "limit-L18", 503, "the client's connection makes too much be held already")            \
    X(TUNNEL_IDLE, "limit-L10", 0, "the tunnel or stream was idle too long")                       \
    X(H2_PROTOCOL, "h2-protocol", 0, "the client broke the HTTP/2 protocol")                       \
    X(H2_FLOOD, "h2-flood", 0, "too many resets, control or empty frames on one connection")       \
    /* this side's decisions */                                                                    \
    X(NO_ROUTE, "no-route", 404, "no route matches")                                               \
    X(FORBIDDEN, "forbidden", 403, "access is not allowed")                                        \
    X(RESIDENCY, "residency", 451, "not available where the client is")                            \
    X(RATE_LIMIT, "rate-limit", 429, "too many requests")                                          \
    X(REDIRECTED, "redirected", 307, "answered with a redirect")                                   \
    X(REDIRECT_LOOP, "redirect-loop", 508, "the request is where it would be redirected to")       \
    X(NO_BACKEND, "no-backend", 503, "no server can serve this now")                               \
    X(DEPENDENCY_DOWN, "dependency-down", 503, "what the servers depend on is down")               \
    X(QUEUE_FULL, "queue-full", 503, "too many requests wait already")                             \
    X(OVERLOAD, "overload", 503, "memory or descriptors are short")                                \
    X(OVERLOAD_HEAVIEST, "overload-heaviest", 0, "its source held most memory when it ran short")  \
    X(SHED, "shed", 503, "given up for more important requests")                                   \
    X(QUEUE_TIMEOUT, "limit-L9", 503, "no server became free in time")                             \
    X(DEADLINE, "deadline", 504, "the request's total time is used up")                            \
    X(TUNNEL_REFUSED, "tunnel-refused", 403, "upgrades are not allowed on this route")             \
    /* backend side */                                                                             \
    X(BACKEND_REFUSED, "backend-refused", 502, "the server refused the connection")                \
    X(BACKEND_UNREACHABLE, "backend-unreachable", 502, "the server cannot be reached")             \
    X(BACKEND_CONNECT_TIMEOUT, "backend-connect-timeout", 504,                                     \
      "the server did not accept in time")                                                         \
    X(BACKEND_TLS, "backend-tls", 502, "the TLS handshake with the server failed")                 \
    X(BACKEND_RESET, "backend-reset", 502, "the server closed the connection")                     \
    X(BACKEND_PROTOCOL, "backend-protocol", 502, "the server broke the protocol")                  \
    X(BACKEND_HEAD_TOO_LARGE, "limit-L17", 502, "the server's response head is too large")         \
    X(BACKEND_TIMEOUT, "backend-timeout", 504, "the server did not answer in time")                \
    X(BACKEND_BODY_TIMEOUT, "backend-body-timeout", 504, "the server stopped inside its response") \
    X(BACKEND_SEND_TIMEOUT, "backend-send-timeout", 504, "the server stopped taking the request")  \
    X(BACKEND_TRUNCATED, "backend-truncated", 502, "the server's response ended early")            \
    X(BACKEND_NO_TUNNEL, "backend-no-tunnel", 502, "the server takes no WebSocket over HTTP/2")    \
    X(BACKEND_WANTS_H1, "backend-wants-h1", 502, "the server requires HTTP/1.1")                   \
    X(BACKEND_UNHEALTHY, "backend-unhealthy", 502, "the server's answer is not the expected one")

enum err {
#define ERR_ENUM_(id, name, status, phrase) ERR_##id,
    ERR_LIST(ERR_ENUM_)
#undef ERR_ENUM_
        ERR_COUNT
};

/* The stable lower-case name, e.g. "backend-reset". Never NULL. Any thread. */
const char *err_name(enum err e);
/* A phrase for people, without punctuation at its end. Never NULL. Any thread. */
const char *err_phrase(enum err e);
/* The HTTP status (RFC 9110 section 15) that Meridian answers with; 0 where no answer is possible.
 */
int err_status(enum err e);
/* Translates an errno value. Any thread. */
enum err err_from_errno(int errnum);

#endif
