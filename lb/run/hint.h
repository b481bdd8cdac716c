/* hint: why nobody can listen at an address, in words that say how to mend it. Pure. */
#ifndef MERIDIAN_RUN_HINT_H
#define MERIDIAN_RUN_HINT_H

#include "conf/conf.h"

/* Reports it at the address. */
void hint_listen(struct conf_messages *to, const struct conf_address *at, enum err why);
/* The same for the control socket, which is a path. */
void hint_control(struct conf_messages *to, const struct conf_text *path, enum err why);

#endif
