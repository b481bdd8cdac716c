/* conf_value: what single values of the configuration are read into: text with its place,
 * addresses, networks, places on earth, sets of statuses. Part of conf.h, which says who owns them.
 */
#ifndef MERIDIAN_CONF_CONF_VALUE_H
#define MERIDIAN_CONF_CONF_VALUE_H

#include "base/buf.h"

/* Where a value stands in the file, for messages; line 0: not written, a default. */
struct conf_mark {
    uint32_t line, column; /* from 1; columns count characters */
    uint32_t width;        /* characters, for the caret */
    uint32_t file;         /* 0: the one that was asked for, else an included one */
};

/* Text with its place; a NUL follows s. s.p is NULL where nothing was written and no default is. */
struct conf_text {
    struct span s;
    struct conf_mark mark;
};

enum conf_family {
    CONF_NO_ADDRESS,
    CONF_IPV4,
    CONF_IPV6,
    CONF_UNIX,
    CONF_SYSTEMD,
    CONF_NAME,
    CONF_SERVICE
};

struct conf_address {
    struct conf_text text; /* as written; first, as in all that is written as one text */
    enum conf_family family;
    uint16_t port;     /* CONF_IPV4, CONF_IPV6 and CONF_NAME */
    uint8_t bytes[16]; /* network order; IPv4 is in the first four */
    struct span path;  /* CONF_UNIX: the path, CONF_SYSTEMD: the name; a NUL follows. CONF_NAME: the
                          host name; CONF_SERVICE: the name of SRV records */
};

/* Whether a name server says what the address is. */
static inline bool conf_address_is_name(const struct conf_address *a)
{
    return a->family == CONF_NAME || a->family == CONF_SERVICE;
}

struct conf_cidr {
    struct conf_text text;   /* first, as in struct conf_address */
    enum conf_family family; /* CONF_IPV4 or CONF_IPV6 */
    uint8_t bits;            /* 0..32 or 0..128; the address bits beyond them are zero */
    uint8_t bytes[16];
};

/* Degrees; latitude -90..90, longitude -180..180. */
struct conf_location {
    bool set;
    double latitude, longitude;
    struct conf_mark mark;
};

/* A set of HTTP statuses 100..599. */
struct conf_statuses {
    uint64_t bits[10];
};
static inline bool conf_statuses_has(const struct conf_statuses *set, int status)
{
    return status >= 100 && status < 600 &&
           (set->bits[(unsigned)status / 64] >> ((unsigned)status % 64) & 1) != 0;
}

/* What tells requests apart. NONE: nothing was written. */
enum conf_key_kind {
    CONF_KEY_NONE,
    CONF_KEY_CLIENT,
    CONF_KEY_ROUTE,
    CONF_KEY_HEADER,
    CONF_KEY_COOKIE,
    CONF_KEY_PATH,
    CONF_KEY_QUERY
};

struct conf_key {
    enum conf_key_kind kind;
    struct conf_text name; /* of the header, lower case, of the cookie, or of the parameter of the
                              query, absent: all of it */
};

#endif
