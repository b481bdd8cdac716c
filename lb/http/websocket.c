#include "http/websocket.h"

#include "net/digest.h"

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

void websocket_accept(struct span key, char out[static WEBSOCKET_ACCEPT])
{
    char hash[DIGEST_SHA1], joined[WEBSOCKET_KEY + sizeof(GUID)] = {0};
    size_t n = key.n < WEBSOCKET_KEY ? key.n : WEBSOCKET_KEY;
    if (n > 0) {
        memcpy(joined, key.p, n);
    }
    memcpy(joined + n, GUID, sizeof(GUID) - 1);
    digest_sha1(span_of(joined, n + sizeof(GUID) - 1), hash);
    (void)digest_base64(span_of(hash, sizeof(hash)), out);
}

void websocket_key(uint64_t high, uint64_t low, char out[static WEBSOCKET_KEY])
{
    const uint64_t random[2] = {high, low};
    (void)digest_base64(span_of((const char *)random, sizeof(random)), out);
}
