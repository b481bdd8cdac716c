/* digest: the two encodings of bytes that HTTP needs and the TLS library has: SHA-1 (where a
 * protocol names it; it protects nothing) and base64 (RFC 4648). Pure; any thread. */
#ifndef MERIDIAN_NET_DIGEST_H
#define MERIDIAN_NET_DIGEST_H

#include "base/str.h"

enum { DIGEST_SHA1 = 20 };

void digest_sha1(struct span bytes, char out[static DIGEST_SHA1]);
/* At most 48 bytes, with padding; out has 4 for each 3 begun. Returns how many were written. */
size_t digest_base64(struct span bytes, char *out);

#endif
