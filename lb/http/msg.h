/* msg: a request head and a response head without a version: what HTTP means (RFC 9110), not how it
 * was written. The reading codec has consumed the framing and hop-by-hop fields (Content-Length,
 * Transfer-Encoding, Connection and what it names, Keep-Alive, TE, Trailer, Upgrade, Host, Expect,
 * HTTP2-Settings, Proxy-Connection); the writing codec makes its own from body, length and upgrade.
 * Memory is the exchange's arena. Knows no connection. */
#ifndef MERIDIAN_HTTP_MSG_H
#define MERIDIAN_HTTP_MSG_H

#include "base/arena.h"
#include "base/str.h"
#include "http/field.h"

enum method {
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_PATCH,
    METHOD_DELETE,
    METHOD_OPTIONS,
    METHOD_CONNECT,
    METHOD_TRACE,
    METHOD_OTHER,
};

/* GET HEAD OPTIONS PUT DELETE (H22; TRACE is not served). */
static inline bool method_idempotent(enum method m)
{
    return m == METHOD_GET || m == METHOD_HEAD || m == METHOD_OPTIONS || m == METHOD_PUT ||
           m == METHOD_DELETE;
}

/* The others get 405 before any route is looked for (H2). */
static inline bool method_served(enum method m)
{
    return m != METHOD_CONNECT && m != METHOD_TRACE && m != METHOD_OTHER;
}

/* RFC 9110 section 9.2.1: nothing is changed by asking. */
static inline bool method_safe(enum method m)
{
    return m == METHOD_GET || m == METHOD_HEAD || m == METHOD_OPTIONS;
}

enum content {
    CONTENT_NONE,   /* there is none */
    CONTENT_LENGTH, /* exactly `length` bytes */
    CONTENT_STREAM, /* until its end is told (chunked, h2 without content-length, close-delimited)
                     */
};

enum upgrade { UPGRADE_NONE, UPGRADE_WEBSOCKET };

enum version { VERSION_1_0 = 10, VERSION_1_1 = 11, VERSION_2 = 20 };

struct field {
    struct span name; /* lower case */
    struct span value;
    enum field_id id; /* FIELD_OTHER for names we do not know */
};

struct fields {
    struct field *v;
    size_t n, cap;
};

struct request {
    enum method method;
    enum version version; /* of the front, for the log only */
    enum content content;
    enum upgrade upgrade;
    uint64_t length;
    bool expect_continue;
    bool trailers; /* the client takes trailers (TE) */
    bool path_odd; /* other readers could see another path in it (H14): see uri_variant */
    struct span method_name;
    struct span scheme;    /* "http" or "https" */
    struct span authority; /* host[:port], host in lower case; may be empty with VERSION_1_0 */
    struct span host;      /* authority without port */
    struct span path;      /* starts with "/", dot segments removed; or "*" */
    struct span path_sent; /* the path as it came, where dot segments were removed; else p NULL */
    struct span query;     /* after "?", p NULL where there is no "?" */
    struct fields fields;
    size_t head_bytes; /* as received */
    unsigned dropped;  /* fields left out for their names (H3) */
};

/* What was asked decides how the answer is read: what a codec keeps of a request for that. */
struct asked {
    enum method method;
    enum upgrade upgrade;
};

struct reply {
    uint16_t status;
    enum version version; /* of the back */
    enum content content; /* what follows on this connection: CONTENT_NONE for HEAD, 204, 304 */
    bool has_length;     /* a Content-Length was given, also where no content follows (HEAD, 304) */
    bool upgraded;       /* 101, or 2xx to an extended CONNECT: a tunnel follows */
    bool digest_follows; /* its trailers are to tell a digest of its content (Trailer) */
    uint64_t length;
    struct fields fields;
    size_t head_bytes;
};

/* ERR_NO_MEMORY. name must be lower case; both are borrowed. */
MUST_CHECK
enum err fields_grow(struct fields *f, struct arena *a);
MUST_CHECK
static inline enum err fields_add(struct fields *f, struct arena *a, enum field_id id,
                                  struct span name, struct span value)
{
    enum err e = f->n == f->cap ? fields_grow(f, a) : ERR_OK;
    if (e == ERR_OK)
        f->v[f->n++] = (struct field){.name = name, .value = value, .id = id};
    return e;
}
/* For known names. */
MUST_CHECK
enum err fields_put(struct fields *f, struct arena *a, enum field_id id, struct span value);
/* The first with that id, or NULL. */
const struct field *fields_get(const struct fields *f, enum field_id id);
const struct field *fields_find(const struct fields *f, struct span lower_name);
/* How many have that id. */
size_t fields_count(const struct fields *f, enum field_id id);
/* Removes all with that id, keeping the order. */
void fields_remove(struct fields *f, enum field_id id);
/* Removes hop-by-hop and framing fields, and those with empty names. */
void fields_strip(struct fields *f);
/* Keeps what may stand in trailers. */
void fields_keep_trailers(struct fields *f);
/* Whether one of them is a digest of the content (field_is_digest). */
bool fields_have_digest(const struct fields *f);
/* Whether Trailer says that one comes behind the content; before fields_strip. */
bool fields_promise_digest(const struct fields *f);

enum method method_parse(struct span name);
/* RFC 9110's reason phrase for HTTP/1.1, "" where there is none. */
const char *status_phrase(unsigned status);

#endif
