#include "http/websocket.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

static void base64(const unsigned char *in, int n, char *out, size_t size)
{
    unsigned char text[64];
    (void)EVP_EncodeBlock(text, in, n);
    memcpy(out, text, size);
}

void websocket_accept(struct span key, char out[static WEBSOCKET_ACCEPT])
{
    unsigned char hash[SHA_DIGEST_LENGTH];
    char joined[WEBSOCKET_KEY + sizeof(GUID)] = {0};
    size_t n = key.n < WEBSOCKET_KEY ? key.n : WEBSOCKET_KEY;
    if (n > 0) {
        memcpy(joined, key.p, n);
    }
    memcpy(joined + n, GUID, sizeof(GUID) - 1);
    (void)SHA1((const unsigned char *)joined, n + sizeof(GUID) - 1, hash);
    base64(hash, SHA_DIGEST_LENGTH, out, WEBSOCKET_ACCEPT);
}

void websocket_key(uint64_t high, uint64_t low, char out[static WEBSOCKET_KEY])
{
    unsigned char random[16];
    memcpy(random, &high, sizeof(high));
    memcpy(random + sizeof(high), &low, sizeof(low));
    base64(random, sizeof(random), out, WEBSOCKET_KEY);
}
