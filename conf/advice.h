/* advice: what somebody meant who wrote an address that is none. Pure. */
#ifndef MERIDIAN_CONF_ADVICE_H
#define MERIDIAN_CONF_ADVICE_H

#include "base/str.h"

/* How to mend it; NULL: nothing comes to mind. */
const char *advice_bind(struct span s);
const char *advice_backend(struct span s);

#endif
