/* challenge: a file that proves to a certificate authority who answers for a host (ACME's http-01,
 * RFC 8555 section 8.3): an exchange asks for it, somebody else reads it, and the exchange answers
 * with what was read. A worker has a few places for them, which whoever reads may use until it has
 * told; no file is touched here. Owner thread only, but what the reader fills. */
#ifndef MERIDIAN_PROXY_CHALLENGE_H
#define MERIDIAN_PROXY_CHALLENGE_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

#define CHALLENGES          8    /* at once, of one worker */
#define CHALLENGE_ROOT_MOST 255  /* bytes of the folder's path */
#define CHALLENGE_FILE_MOST 1024 /* bytes of a file: a token and a digest have about 90 */
#define CHALLENGE_WAIT_MS   5000

struct exchange;
struct proxy;

struct challenge {
    /* owner thread */
    bool busy;
    struct exchange *asker; /* NULL: gone, or nobody */
    /* the reader's, while it is busy */
    unsigned worker;
    char path[CHALLENGE_ROOT_MOST + 160];
    enum err result; /* ERR_OK, ERR_NOT_FOUND, … */
    size_t size;
    char content[CHALLENGE_FILE_MOST];
};

/* The token that the path asks for, of letters, digits, - and _; empty: it is no such path. */
struct span challenge_token(struct span path);
/* The reader has told. */
void challenge_read(struct challenge *c);

#endif
