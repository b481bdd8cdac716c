#include "net/digest.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

void digest_sha1(struct span bytes, char out[static DIGEST_SHA1])
{
    unsigned char hash[SHA_DIGEST_LENGTH];
    (void)SHA1((const unsigned char *)bytes.p, bytes.n, hash);
    memcpy(out, hash, sizeof(hash));
}

size_t digest_base64(struct span bytes, char *out)
{
    enum { MOST = 48 };
    unsigned char text[MOST / 3 * 4 + 1]; /* the library ends it with a NUL */
    assert(bytes.n <= MOST);
    int n = EVP_EncodeBlock(text, (const unsigned char *)bytes.p, (int)bytes.n);
    memcpy(out, text, (size_t)n);
    return (size_t)n;
}

void digest_mac(struct span key, struct span bytes, unsigned char out[static DIGEST_MAC])
{
    unsigned n = DIGEST_MAC;
    if (HMAC(EVP_sha256(), key.p, (int)key.n, (const unsigned char *)bytes.p, bytes.n, out, &n) ==
        NULL)
        memset(out, 0, DIGEST_MAC);
}

bool digest_same(struct span a, struct span b)
{
    return a.n == b.n && CRYPTO_memcmp(a.p, b.p, a.n) == 0;
}
