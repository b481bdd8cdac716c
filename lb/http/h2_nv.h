/* h2_nv: the list of names and values that a header block is made of. Used by the writers of
 * h2_message, and by h2_back for what its connection's compression learns. Pure. */
#ifndef MERIDIAN_HTTP_H2_NV_H
#define MERIDIAN_HTTP_H2_NV_H

#include "http/h2_message.h"

/* Room for the fields and what comes before and after them; false without memory. */
bool h2_nv_begin(struct h2_nv *to, struct arena *a, const struct fields *fields);
/* name lives for ever. */
void h2_nv_put(struct h2_nv *to, struct span name, struct span value);
/* All but those that belong to one connection, and of tunnels HTTP/1's WebSocket keys (RFC 8441
 * section 5). */
void h2_nv_fields(struct h2_nv *to, const struct fields *fields, bool tunnel);
/* Lets the compression's table have the names of what every request brings with a value of its own:
 * those that follow refer to them while they are there. The values go in with them, so not for each
 * request. */
void h2_nv_teach(struct h2_nv *nv);
MUST_CHECK
enum err h2_nv_length(struct h2_nv *to, struct arena *a, uint64_t length);

#endif
