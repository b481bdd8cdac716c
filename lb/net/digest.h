/* digest: what HTTP needs of the TLS library's arithmetic: SHA-1 (where a protocol names it; it
 * protects nothing), base64 (RFC 4648) and signatures by a shared key. Pure; any thread. */
#ifndef MERIDIAN_NET_DIGEST_H
#define MERIDIAN_NET_DIGEST_H

#include "base/str.h"

enum { DIGEST_SHA1 = 20, DIGEST_MAC = 32 };

void digest_sha1(struct span bytes, char out[static DIGEST_SHA1]);
/* At most 48 bytes, with padding; out has 4 for each 3 begun. Returns how many were written. */
size_t digest_base64(struct span bytes, char *out);
/* HMAC-SHA-256 (RFC 2104). The key has at most 4096 bytes. */
void digest_mac(struct span key, struct span bytes, unsigned char out[static DIGEST_MAC]);
/* Compares in a time that tells nothing about where they differ. */
bool digest_same(struct span a, struct span b);

#endif
