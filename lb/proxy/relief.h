/* relief: what one worker gives up under overload (RELIABILITY section 5), several times a second
 * while it lasts: idle connections, the longest idle, the source that holds most. It knows clients
 * and exchanges of its worker; how full memory is, it is told. Owner thread only, but for the
 * weights. */
#ifndef MERIDIAN_PROXY_RELIEF_H
#define MERIDIAN_PROXY_RELIEF_H

#include "proxy/proxy.h"

/* Takes the tier for all that follows, and does what it asks for now: connections idle for
 * LIMIT_IDLE_PRESSED_MS end from OVERLOAD_SAVE on, the longest idle ones from OVERLOAD_REFUSE on.
 */
void relief_apply(struct proxy *p, enum overload tier);
/* Adds what each source of this worker holds to the table that all workers share. */
void relief_weigh(const struct proxy *p);
/* Ends all that a source runs here, visibly. */
void relief_reset(struct proxy *p, uint16_t source);

/* Main thread: the table as nobody has weighed. */
void relief_clear(struct admission *a);
/* Main thread: who holds most; false: nobody holds anything. */
bool relief_heaviest(const struct admission *a, uint16_t *source, uint64_t *bytes);

#endif
