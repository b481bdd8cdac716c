/* schema_listener: keys of listeners. */
#include "conf/schema.h"
#include "conf/text.h"

static const struct schema_field certificate_fields[] = {
    {.key = "chain",
     .type = &type_text,
     .offset = offsetof(struct conf_certificate, chain),
     .check = text_file,
     .flags = SCHEMA_REQUIRED,
     .help =
         "PEM file with the certificate and its intermediates, leaf first, 16 at most; an absolute "
         "path. The names in it decide by SNI which certificate a client gets. Watched: read "
         "again when replaced."},
    {.key = "key",
     .type = &type_text,
     .offset = offsetof(struct conf_certificate, key),
     .check = text_file,
     .flags = SCHEMA_REQUIRED,
     .help = "PEM file with the certificate's private key; an absolute path."},
};

static const struct schema_map certificate_map = {SCHEMA_FIELDS(certificate_fields),
                                                  .marked = true};

static const struct schema_field certificate = {.type = &type_map, .map = &certificate_map};

static const struct schema_word tls_versions[] = {
    {"1.2", CONF_TLS_1_2},
    {"1.3", CONF_TLS_1_3},
    {NULL, 0},
};

static const struct schema_field tls_fields[] = {
    {.key = "certificates",
     .type = &type_list,
     .offset = offsetof(struct conf_front_tls, certificates),
     .count_offset = offsetof(struct conf_front_tls, certificate_count),
     .element = &certificate,
     .element_size = sizeof(struct conf_certificate),
     .least = 1,
     .flags = SCHEMA_REQUIRED,
     .help = "Certificates and their keys. The first one is for clients that name none of them."},
    {.key = "minimum",
     .type = &type_word,
     .offset = offsetof(struct conf_front_tls, minimum),
     .words = tls_versions,
     .initial = CONF_TLS_1_2,
     .help = "Oldest TLS version that is spoken."},
    {.key = "client_ca",
     .type = &type_text,
     .offset = offsetof(struct conf_front_tls, client_ca),
     .check = text_file,
     .fallback = "none",
     .help =
         "PEM file with authorities. Where it is given, a client must show a certificate that one "
         "of them has signed."},
};

static const struct schema_map tls_map = {SCHEMA_FIELDS(tls_fields), .optional = true};

static const struct schema_word protocols[] = {
    {"h2", CONF_PROTOCOL_H2},
    {"http/1.1", CONF_PROTOCOL_H1},
    {NULL, 0},
};

static const struct schema_field network = {.type = &type_cidr};

static const struct schema_field proxy_protocol_fields[] = {
    {.key = "from",
     .type = &type_list,
     .offset = offsetof(struct conf_proxy_protocol, from),
     .count_offset = offsetof(struct conf_proxy_protocol, from_count),
     .element = &network,
     .element_size = sizeof(struct conf_cidr),
     .least = 1,
     .flags = SCHEMA_REQUIRED,
     .help = "Addresses and networks of the load balancers in front; nobody else may connect."},
};

static const struct schema_map proxy_protocol_map = {SCHEMA_FIELDS(proxy_protocol_fields),
                                                     .optional = true};

static const struct schema_field bind = {.type = &type_bind};

static const struct schema_word odd_names[] = {
    {"drop", CONF_ODD_DROP},
    {"reject", CONF_ODD_REJECT},
    {"allow", CONF_ODD_ALLOW},
    {NULL, 0},
};

static const struct schema_field fields[] = {
    {.key = "bind",
     .type = &type_list,
     .offset = offsetof(struct conf_listener, binds),
     .count_offset = offsetof(struct conf_listener, bind_count),
     .element = &bind,
     .element_size = sizeof(struct conf_address),
     .least = 1,
     .flags = SCHEMA_REQUIRED | SCHEMA_SINGLE,
     .help =
         "Where to listen: \"IPv4:port\", \"[IPv6]:port\", \"unix:/path\", or \"systemd:NAME\" for "
         "a socket that the service manager hands over under that name."},
    {.key = "tls",
     .type = &type_map,
     .offset = offsetof(struct conf_listener, tls),
     .map = &tls_map,
     .fallback = "plain text",
     .help = "Terminate TLS."},
    {.key = "protocols",
     .type = &type_words,
     .offset = offsetof(struct conf_listener, protocols),
     .words = protocols,
     .least = 1,
     .fallback = "[h2, http/1.1] with tls, else [http/1.1]",
     .help = "Protocols that are spoken with clients: with TLS, offered by ALPN; without, `h2` is "
             "for clients that know it beforehand."},
    {.key = "proxy_protocol",
     .type = &type_map,
     .offset = offsetof(struct conf_listener, proxy_protocol),
     .map = &proxy_protocol_map,
     .fallback = "none",
     .help = "Each connection begins with a header of the PROXY protocol, version 1 or 2, before "
             "TLS; one without it is closed. Its source is the client for all that follows. Who "
             "reaches a unix socket may send one."},
    {.key = "odd_header_names",
     .type = &type_word,
     .offset = offsetof(struct conf_listener, odd_header_names),
     .words = odd_names,
     .initial = CONF_ODD_DROP,
     .help =
         "What becomes of request fields whose names have other characters than letters, digits "
         "and '-', such as `X_Id`, which some servers take for `X-Id`: `drop` leaves them out "
         "and counts them, `reject` answers 400, `allow` forwards them but for those that pass for "
         "a field that Meridian knows, or that the route's `request_headers` set or remove."},
    {.key = "redirect_to_https",
     .type = &type_flag,
     .offset = offsetof(struct conf_listener, redirect_to_https),
     .help =
         "Answer every request with 308 and the same address under https, at the first port of a "
         "listener with tls; 404 where no route is for its host."},
    {.key = "acme_challenges",
     .type = &type_text,
     .offset = offsetof(struct conf_listener, acme_challenges),
     .check = text_file,
     .most = 250,
     .fallback = "none",
     .help = "Folder whose files below .well-known/acme-challenge/ are served under that path, as "
             "certbot --webroot writes them, before the redirect and before routes. At most 1 KiB "
             "each."},
};

/* What is spoken where nothing was written. */
static void set_protocols(struct reader *r, const struct node *n, void *at)
{
    struct conf_listener *l = at;
    (void)r;
    (void)n;
    if (l->protocols == 0)
        l->protocols = l->tls.set ? CONF_PROTOCOL_H2 | CONF_PROTOCOL_H1 : CONF_PROTOCOL_H1;
}

const struct schema_map schema_listener = {SCHEMA_FIELDS(fields), .done = set_protocols};
