/* ctl_print: a control reply as text for people: tables of at most `width` characters, or
 * sentences. Pure. */
#ifndef MERIDIAN_ADMIN_CTL_PRINT_H
#define MERIDIAN_ADMIN_CTL_PRINT_H

#include "base/buf.h"
#include "base/json_read.h"

/* The reply to `command`. width 0: no bound. */
void ctl_print(const struct json_value *reply, struct span command, size_t width,
               struct arena *arena, struct buf *out);

/* ctl_print_explain.c */
void ctl_print_explain(const struct json_value *reply, size_t width, struct arena *arena,
                       struct buf *out);
void ctl_print_place(const struct json_value *place, struct buf *out);
/* ctl_print_geo.c */
void ctl_print_geo(const struct json_value *reply, size_t width, struct arena *arena,
                   struct buf *out);

/* Cells. Empty where the member is missing; "" without memory. */
struct span ctl_cell(const struct json_value *row, const char *name);
/* A number with `digits` behind the point and a unit. */
struct span ctl_cell_unit(struct arena *arena, const struct json_value *row, const char *name,
                          int digits, const char *unit);

#endif
