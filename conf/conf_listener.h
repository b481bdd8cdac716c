/* conf_listener: where clients connect, and whom to believe who they are. Part of conf.h, which
 * says who owns it. */
#ifndef MERIDIAN_CONF_CONF_LISTENER_H
#define MERIDIAN_CONF_CONF_LISTENER_H

#include "conf/conf_value.h"

enum conf_forwarded { CONF_X_FORWARDED_FOR, CONF_FORWARDED, CONF_FORWARDED_NONE };

struct conf_trusted {
    struct conf_cidr *from;
    size_t from_count;
    enum conf_forwarded header;
};

struct conf_certificate {
    struct conf_mark mark;
    struct conf_text chain, key; /* paths */
};

enum conf_tls_version { CONF_TLS_1_2, CONF_TLS_1_3 };

struct conf_front_tls {
    bool set;
    struct conf_mark mark;
    struct conf_certificate *certificates; /* at least one where set */
    size_t certificate_count;
    enum conf_tls_version minimum;
    struct conf_text client_ca; /* path; where written, clients must show a certificate */
};

#define CONF_PROTOCOL_H1 1u /* bits of `protocols` */
#define CONF_PROTOCOL_H2 2u

/* Who begins each connection with a PROXY header. */
struct conf_proxy_protocol {
    bool set;
    struct conf_mark mark;
    struct conf_cidr *from; /* at least one where set */
    size_t from_count;
};

/* Of header fields whose names have other characters than letters, digits and "-". */
enum conf_odd_names { CONF_ODD_DROP, CONF_ODD_REJECT, CONF_ODD_ALLOW };

struct conf_listener {
    struct conf_text name;
    struct conf_address *binds; /* at least one */
    size_t bind_count;
    struct conf_front_tls tls;
    uint32_t protocols; /* CONF_PROTOCOL_* */
    struct conf_proxy_protocol proxy_protocol;
    enum conf_odd_names odd_header_names;
    bool redirect_to_https;
    struct conf_text acme_challenges; /* a folder; s.p NULL: none */
};

#endif
