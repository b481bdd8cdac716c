/* scalar: decimal numbers, shared by the types that hold them. Pure. */
#ifndef MERIDIAN_CONF_SCALAR_H
#define MERIDIAN_CONF_SCALAR_H

#include "base/buf.h"

/* [-]digits[.digits], at most six before and after the point. Whatever the locale. */
bool scalar_real(struct span s, double *out);
/* At most six decimals, at least one. */
void scalar_put_real(struct buf *out, double value);

#endif
