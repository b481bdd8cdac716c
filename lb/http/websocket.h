/* websocket: the two keys of a WebSocket's opening over HTTP/1.1 (RFC 6455 section 4), for where
 * one side speaks HTTP/2, whose opening has none (RFC 8441 section 5). Knows no connection. Pure.
 */
#ifndef MERIDIAN_HTTP_WEBSOCKET_H
#define MERIDIAN_HTTP_WEBSOCKET_H

#include "base/str.h"

enum { WEBSOCKET_KEY = 24, WEBSOCKET_ACCEPT = 28 };

/* Sec-WebSocket-Accept for that Sec-WebSocket-Key. */
void websocket_accept(struct span key, char out[static WEBSOCKET_ACCEPT]);
/* A Sec-WebSocket-Key from two numbers that are not the same each time; it keeps nobody out. */
void websocket_key(uint64_t high, uint64_t low, char out[static WEBSOCKET_KEY]);

#endif
