/* json_read: a small strict reader of JSON (RFC 8259) into a tree in an arena: control requests,
 * replies in meridianctl, and what servers say of their health. It refuses what the grammar does
 * not have, names given twice, NUL and lone surrogates in strings. Bounds: depth, members per
 * object, and the arena's limit. Pure. */
#ifndef MERIDIAN_BASE_JSON_READ_H
#define MERIDIAN_BASE_JSON_READ_H

#include "base/arena.h"

#define JSON_DEPTH   16
#define JSON_MEMBERS 64

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_value {
    enum json_type type;
    bool truth;
    double number;
    struct span text; /* of a string; of a number as it was written */
    struct span name; /* of a member */
    size_t count;     /* of elements or members */
    struct json_value *first, *next;
};

/* One value and nothing but blanks around it. Text lives in the arena. ERR_SYNTAX, ERR_RANGE (too
 * deep, too many members, a number of more than 63 characters or too large), ERR_NO_MEMORY. */
MUST_CHECK
enum err json_read(struct span in, struct arena *a, const struct json_value **out);

/* The member, or NULL where there is none or v is not an object (or NULL). */
const struct json_value *json_get(const struct json_value *v, const char *name);
/* The string member's text; p NULL where there is none. */
struct span json_get_text(const struct json_value *v, const char *name);
/* The number member; 0 where there is none. */
double json_get_number(const struct json_value *v, const char *name);
bool json_get_bool(const struct json_value *v, const char *name);

#endif
