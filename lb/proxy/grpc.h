/* grpc: the little that an intermediary must know of gRPC over HTTP/2: which requests are calls,
 * their deadline, and how a failed call is told (trailers-only responses). Source: gRPC's
 * "PROTOCOL-HTTP2" and "http-grpc-status-mapping". Knows no connection and no exchange. Pure. */
#ifndef MERIDIAN_PROXY_GRPC_H
#define MERIDIAN_PROXY_GRPC_H

#include "http/msg.h"

/* application/grpc, with or without a suffix or parameters. */
bool grpc_is_type(struct span content_type);
/* By its Content-Type. */
bool grpc_is_call(const struct request *r);
/* grpc-timeout in nanoseconds; 0: none, or not well-formed. At most a day. */
int64_t grpc_timeout_ns(const struct request *r);
/* The field's value for what is left, never more than that but for a time too short for it; out has
 * room for GRPC_TIMEOUT_ROOM bytes. Returns its length. */
#define GRPC_TIMEOUT_ROOM 24
size_t grpc_print_timeout(char *out, int64_t left_ns);
/* The status code that a call ends with where Meridian ends it. */
unsigned grpc_status(enum err why);

#endif
