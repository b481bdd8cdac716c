/* access_log: one line per request, as facts in and text out. Pure. It must not know where lines
 * go; escapes all that came from outside and never writes credentials, cookies or query secrets
 * (RELIABILITY H23, L38). */
#ifndef MERIDIAN_PROXY_ACCESS_LOG_H
#define MERIDIAN_PROXY_ACCESS_LOG_H

#include "base/buf.h"
#include "base/template.h"

/* Spans may be empty: the field is then left out (JSON) or "-" (combined). Durations in ns,
 * negative: not reached. */
struct access_facts {
    int64_t wall_ns;  /* end of the request */
    const char *time; /* the same as RFC 3339 has it, 24 bytes (clock_print_rfc3339) */
    struct span client, peer, listener, route, pool, backend, site, country, continent, subdivision;
    const char *protocol; /* "HTTP/1.1" */
    struct span method, scheme, host, authority, path, query, user_agent, referer, id, trace;
    unsigned status; /* 0: none was sent */
    uint64_t bytes_in, bytes_out;
    int64_t queue_ns, connect_ns, first_byte_ns, total_ns;
    unsigned attempts;
    const char *end;
    const char *tls_version; /* NULL: plain */
    struct span sni;
    float distance_ms;    /* negative: not known */
    const char *sticky;   /* "kept", "broken", "made"; NULL: no cookie */
    struct span decision; /* JSON */
    const char *hedge;    /* "won", "lost"; NULL: no second attempt ran beside the first */
};

void access_json(const struct access_facts *f, struct buf *out);
/* The "combined" format of the field's other servers. */
void access_combined(const struct access_facts *f, struct buf *out);
/* As the template says; what is not known is "-". */
void access_template(const struct template *t, const struct access_facts *f, struct buf *out);

#endif
