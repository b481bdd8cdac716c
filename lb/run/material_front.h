/* material_front: the part of the material that faces clients: certificates and the TLS contexts
 * made of them. Private to material*.c; what the rest needs is in material.h. */
#ifndef MERIDIAN_RUN_MATERIAL_FRONT_H
#define MERIDIAN_RUN_MATERIAL_FRONT_H

#include "run/material.h"

struct conf_messages;

/* Reports what the TLS layer said, at the value it said it about. */
void material_report(struct conf_messages *to, struct conf_mark mark, struct buf *said, enum err e);
/* Fills m->fronts; what is wrong is reported. Blocking. */
bool material_fronts_load(struct material *m, struct conf_messages *to, struct buf *said);
void material_fronts_free(struct material *m, size_t listeners);

#endif
