/* resolve: host names to addresses, asked of name servers without blocking (c-ares on the loop's
 * descriptors and timers). It asks once and tells what came; when to ask again and what to believe
 * is net/name_set.h. The system's hosts file is read at each question, so it belongs on the health
 * thread or another that serves no request. A resolver belongs to one loop and its thread. */
#ifndef MERIDIAN_NET_RESOLVE_H
#define MERIDIAN_NET_RESOLVE_H

#include "net/loop.h"
#include "net/name_set.h"

#define RESOLVE_NAME_MOST LIMIT_NAME_BYTES

/* What is asked for: addresses, or those of the targets of the name's SRV records (RFC 2782), with
 * the ports, ranks and weights of these. */
enum resolve_what { RESOLVE_BOTH, RESOLVE_IPV4, RESOLVE_IPV6, RESOLVE_SERVICE };

struct resolver;
struct resolve;

/* Called once, at the end of a loop turn, and never after resolve_cancel. The answer is borrowed
 * for the call. Its result: ERR_NOT_FOUND (no such name, or it has no address), ERR_FULL (more than
 * LIMIT_NAME_ADDRESSES, also of records), ERR_DEADLINE (no server has answered), ERR_CORRUPT
 * (nonsense came), ERR_SYSTEM (servers refuse or fail), ERR_NO_MEMORY. */
typedef void resolve_done(void *user, const struct name_answer *answer);

/* Whether this build can resolve names. */
bool resolver_available(void);
/* The version of the library that does it; NULL: this build has none. */
const char *resolver_library_version(void);
/* servers: "192.0.2.1", "192.0.2.1:5353,[2001:db8::1]:53"; empty: those of the system, as they are
 * configured now. ERR_SYNTAX (of servers), ERR_NO_MEMORY, ERR_UNSUPPORTED, ERR_SYSTEM. */
MUST_CHECK
enum err resolver_new(struct loop *loop, struct span servers, struct resolver **out);
/* Cancels what runs. Not inside a resolve_done. */
void resolver_free(struct resolver **r);
/* Asks for all addresses of the name; they come with that port, those of a service with its own.
 * *out is valid until done is called or it is cancelled. ERR_RANGE (the name is too long or empty),
 * ERR_NO_MEMORY. */
MUST_CHECK
enum err resolve_start(struct resolver *r, struct span name, enum resolve_what what, uint16_t port,
                       resolve_done *done, void *user, struct resolve **out);
void resolve_cancel(struct resolve **q);

#endif
