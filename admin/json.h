/* json: writes JSON (RFC 8259) into a buf, on one line. Knows no value's meaning. Commas are its
 * business; whether keys and brackets match is the caller's. key NULL: an element of an array, or
 * the outermost value. */
#ifndef MERIDIAN_ADMIN_JSON_H
#define MERIDIAN_ADMIN_JSON_H

#include "base/buf.h"

struct json {
    struct buf *out;
    bool comma; /* before the next element */
};

void json_init(struct json *j, struct buf *out);
void json_object(struct json *j, const char *key);
void json_object_end(struct json *j);
void json_array(struct json *j, const char *key);
void json_array_end(struct json *j);
/* Bytes that are not valid UTF-8 are replaced as buf_put_json does. */
void json_span(struct json *j, const char *key, struct span s);
/* NULL writes null. */
void json_str(struct json *j, const char *key, const char *s);
void json_bool(struct json *j, const char *key, bool v);
void json_u64(struct json *j, const char *key, uint64_t v);
void json_i64(struct json *j, const char *key, int64_t v);
/* At most `digits` behind the point; what is not finite writes null. */
void json_double(struct json *j, const char *key, double v, int digits);

#endif
