/* world: a real loop and a raw socket as the other side, for the codecs' tests. The log holds what
 * the exchange and the owner were told, one word after another. */
#ifndef MERIDIAN_TESTS_HTTP_WORLD_H
#define MERIDIAN_TESTS_HTTP_WORLD_H

#include "base/buf.h"
#include "check.h"
#include "http/h1_back.h"
#include "http/h1_front.h"

struct world {
    struct loop *loop;
    struct conn_env env;
    struct timer stop;
    int fd;        /* the raw side */
    int operating; /* inside an operation of a stream: no event may come */
    struct buf log;
    char log_memory[8192];
    char got[65536]; /* what the raw side has received since world_got */
    size_t got_size;
    bool got_end;   /* it read the end of the stream */
    bool got_reset; /* or a reset */
};

void world_open(struct world *w);
void world_close(struct world *w);
/* A connected TCP pair: returns our end, the raw side is w->fd. */
int world_pair(struct world *w);
/* Turns of the loop until nothing more happens that does not need time; reads the raw side. */
void world_turn(struct world *w);
/* Turns until *flag, at most five seconds. */
void world_until(struct world *w, const bool *flag);
/* Sends from the raw side, then turns. */
void world_say(struct world *w, struct span bytes);
#define SAY(w, text) world_say(w, span_of(text, sizeof(text) - 1))
/* The raw side ends its half, or resets. */
void world_fin(struct world *w);
void world_reset(struct world *w);
/* What the raw side received since the last call, as text. */
const char *world_got(struct world *w);
void world_note(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The log since the last call, as text. */
const char *world_log(struct world *w);

#endif
