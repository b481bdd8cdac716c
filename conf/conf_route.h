/* conf_route: which requests a route is for and what becomes of them. Part of conf.h, which says
 * who owns it. */
#ifndef MERIDIAN_CONF_CONF_ROUTE_H
#define MERIDIAN_CONF_CONF_ROUTE_H

#include "conf/conf_pool.h"

struct conf_header {
    struct conf_text name; /* lower case */
    struct conf_text value;
};

struct conf_match {
    struct conf_text host; /* lower case; absent: any; "*.example.com": every name below it */
    struct conf_text path; /* never absent; "/" where not written */
    bool exact;            /* the whole path, else a prefix that ends at a segment border */
    struct conf_text *methods;
    size_t method_count; /* 0: all */
    struct conf_header *headers;
    size_t header_count;
    struct conf_text *countries;
    size_t country_count; /* 0: everywhere */
};

struct conf_timeouts {
    int64_t handshake_ms, request_head_ms, idle_ms, request_body_ms, send_ms;
    int64_t connect_ms, first_byte_ms, response_body_ms, backend_send_ms;
    int64_t tunnel_idle_ms, connection_age_ms;
    int64_t total_ms; /* 0: none */
};

struct conf_respond {
    bool set;
    struct conf_mark mark;
    int64_t status;
    struct conf_text body; /* may be empty, never absent */
    struct conf_text type; /* Content-Type */
};

struct conf_redirect {
    bool set;
    struct conf_mark mark;
    struct conf_text to; /* a template: an absolute http(s) URL or a path from "/" */
    int status;          /* 301, 302, 303, 307 or 308 */
};

/* One part of a split. */
struct conf_share {
    struct conf_text name;
    int64_t weight;
    const struct conf_pool *pool;
};

struct conf_rate_limit {
    bool set;
    struct conf_mark mark;
    struct conf_key per;
    int64_t rate_per_hour;
    int64_t burst; /* requests at once, at least 1 */
};

struct conf_access {
    bool set;
    struct conf_mark mark;
    struct conf_cidr *allow, *deny;
    size_t allow_count, deny_count;
    struct conf_text *allow_countries, *deny_countries;
    size_t allow_country_count, deny_country_count;
};

/* Changes of header fields; names are lower case, values are templates. */
struct conf_field_rules {
    bool written;
    struct conf_mark mark;
    struct conf_header *set, *add;
    size_t set_count, add_count;
    struct conf_text *remove;
    size_t remove_count;
};

struct conf_rewrite {
    bool set;
    struct conf_mark mark;
    struct conf_text strip_prefix, add_prefix; /* may be absent, one of them is there */
};

struct conf_compress {
    bool set;
    struct conf_mark mark;
    struct conf_text *types; /* at least one where set */
    size_t type_count;
    int64_t minimum_bytes;
};

/* A page in place of Meridian's own for one status. */
struct conf_page {
    int64_t status; /* 400..599 */
    struct conf_text path;
    size_t index; /* in the order of all pages of the configuration */
};

struct conf_pages {
    struct conf_page *v;
    size_t count;
};

/* Copies of requests to another pool, whose answers nobody sees. */
struct conf_mirror {
    bool set;
    struct conf_mark mark;
    struct conf_text pool_name;
    const struct conf_pool *pool;
    int64_t share_percent, inflight, content_bytes;
};

enum conf_priority { CONF_PRIORITY_HIGH, CONF_PRIORITY_NORMAL, CONF_PRIORITY_LOW };

/* Of paths that are not in their one form. */
enum conf_paths { CONF_PATHS_RESOLVE, CONF_PATHS_KEEP, CONF_PATHS_NORMALISE, CONF_PATHS_REJECT };

enum conf_action { CONF_NO_ACTION, CONF_TO_POOL, CONF_SPLIT, CONF_RESPOND, CONF_REDIRECT };

struct conf_route {
    struct conf_mark mark;
    struct conf_text
        name; /* unique label for logs and metrics; made from the match if not written */
    struct conf_match match;
    enum conf_action action;
    struct conf_text pool_name;
    const struct conf_pool *pool; /* CONF_TO_POOL */
    struct conf_share *shares;    /* CONF_SPLIT: at least one weighs something */
    size_t share_count;
    struct conf_key split_by; /* NONE: by chance */
    struct conf_respond respond;
    struct conf_redirect redirect;
    struct conf_access access;
    struct conf_rate_limit rate_limit;
    struct conf_field_rules request_headers, response_headers;
    struct conf_rewrite rewrite;
    enum conf_paths paths;
    struct conf_compress compress;
    struct conf_mirror mirror;
    struct conf_pages pages;
    struct conf_timeouts timeouts; /* the global ones with the route's own put over them */
    int64_t body_bytes;            /* largest request content; 0: no limit */
    int64_t request_rate;          /* its least mean rate, bytes per second; 0: none */
    enum conf_priority priority;   /* among requests that wait for a server */
    bool websocket;
    bool streaming; /* every answer counts as a stream */
};

#endif
