/* address: types of network addresses, as bytes. Names stay names. */
#include "conf/advice.h"
#include "conf/reader.h"
#include "conf/text.h"

#include <arpa/inet.h>

_Static_assert(offsetof(struct conf_address, text) == 0 && offsetof(struct conf_cidr, text) == 0,
               "both are printed as their text");

#define UNIX_PATH_BYTES 107 /* sun_path without its NUL (unix(7)) */

static bool parse_ip(struct span s, enum conf_family *family, uint8_t bytes[16])
{
    char text[64];
    if (s.n == 0 || s.n >= sizeof text || memchr(s.p, '\0', s.n) != NULL)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    *family = memchr(s.p, ':', s.n) != NULL ? CONF_IPV6 : CONF_IPV4;
    return inet_pton(*family == CONF_IPV6 ? AF_INET6 : AF_INET, text, bytes) == 1;
}

static bool parse_port(struct span s, uint16_t *port)
{
    uint64_t value;
    if (span_u64(s, &value) != ERR_OK || value == 0 || value > UINT16_MAX)
        return false;
    *port = (uint16_t)value;
    return true;
}

/* Splits "host:port" and "[host]:port" at the last colon; the brackets go. */
static bool split_port(struct span s, struct span *host, struct span *port)
{
    size_t colon = s.n;
    while (colon > 0 && s.p[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return false;
    *port = span_sub(s, colon, s.n);
    *host = span_sub(s, 0, colon - 1);
    bool bracketed = host->n > 2 && host->p[0] == '[' && host->p[host->n - 1] == ']';
    if (bracketed)
        *host = span_sub(*host, 1, host->n - 1);
    return bracketed == (memchr(host->p, ':', host->n) != NULL);
}

static bool parse_ip_port(struct span s, struct conf_address *a)
{
    struct span host, port;
    return split_port(s, &host, &port) && parse_ip(host, &a->family, a->bytes) &&
           parse_port(port, &a->port);
}

/* Whatever ends in a label of digits was meant for an address (RFC 1123 section 2.1). */
static bool ends_in_number(struct span host)
{
    size_t n = host.n;
    while (n > 0 && ascii_digit(host.p[n - 1]))
        n--;
    return n < host.n && (n == 0 || host.p[n - 1] == '.');
}

/* "name:port", with a name that a resolver could know. */
static bool parse_name_port(struct span s, struct conf_address *a)
{
    struct span host, port;
    if (!split_port(s, &host, &port) || !text_is_host_name(host) || !parse_port(port, &a->port) ||
        ends_in_number(host) || text_service_domain(host).n != 0)
        return false;
    a->family = CONF_NAME;
    a->path = host;
    return true;
}

/* "_service._proto.name": the answer brings the ports (RFC 2782). */
static bool parse_service(struct span s, struct conf_address *a)
{
    if (text_service_domain(s).n == 0)
        return false;
    *a = (struct conf_address){.family = CONF_SERVICE, .path = s};
    return true;
}

static void keep(struct reader *r, const struct node *n, struct conf_address *a, void *at)
{
    a->text = reader_text(r, n->text, n->mark);
    if (a->path.p != NULL)
        a->path = span_of(a->text.s.p + (a->path.p - n->text.p), a->path.n);
    memcpy(at, a, sizeof *a);
}

/* "unix:/path" or "systemd:NAME": whether s is one; *good: whether it is well-formed. */
static bool parse_local(struct span s, struct conf_address *a, bool *good)
{
    if (span_starts(s, SPAN("unix:"))) {
        a->family = CONF_UNIX;
        a->path = span_sub(s, 5, s.n);
        *good = text_file(a->path) == NULL && a->path.n <= UNIX_PATH_BYTES;
        return true;
    }
    a->path = span_sub(s, 8, s.n);
    a->family = CONF_SYSTEMD;
    *good = text_name(a->path) == NULL;
    return span_starts(s, SPAN("systemd:"));
}

static void bind_read(struct reader *r, const struct schema_field *f, const struct node *n,
                      void *at)
{
    struct span s;
    struct conf_address a = {0};
    bool good = false;
    if (!reader_scalar(r, n, f->type->allowed, &s))
        return;
    if (!parse_local(s, &a, &good)) {
        a = (struct conf_address){0};
        good = parse_ip_port(s, &a);
    }
    if (good)
        keep(r, n, &a, at);
    else
        reader_advise(r, n, f->type->allowed, advice_bind(s));
}

static void backend_read(struct reader *r, const struct schema_field *f, const struct node *n,
                         void *at)
{
    struct span s;
    struct conf_address a = {0};
    bool good = false;
    if (!reader_scalar(r, n, f->type->allowed, &s))
        return;
    bool local = parse_local(s, &a, &good) && a.family == CONF_UNIX;
    if (!local) {
        a = (struct conf_address){0};
        good = parse_ip_port(s, &a);
    }
    if (!local && !good) {
        a = (struct conf_address){0};
        good = parse_name_port(s, &a) || parse_service(s, &a);
    }
    if (good)
        keep(r, n, &a, at);
    else
        reader_advise(r, n, f->type->allowed, advice_backend(s));
}

static void server_read(struct reader *r, const struct schema_field *f, const struct node *n,
                        void *at)
{
    struct span s;
    struct conf_address a = {0};
    if (!reader_scalar(r, n, f->type->allowed, &s))
        return;
    if (parse_ip_port(s, &a))
        keep(r, n, &a, at);
    else
        reader_must_be(r, n, f->type->allowed);
}

const struct schema_type type_bind = {
    .name = "address",
    .allowed = "\"IPv4:port\", \"[IPv6]:port\", \"unix:/path\" or \"systemd:NAME\"",
    .read = bind_read,
    .present = schema_text_present,
    .write = schema_text_write,
};

const struct schema_type type_backend_address = {
    .name = "address",
    .allowed = "\"IPv4:port\", \"[IPv6]:port\", \"name:port\", \"_service._proto.name\" "
               "(SRV records) or \"unix:/path\"",
    .read = backend_read,
    .present = schema_text_present,
    .write = schema_text_write,
};

const struct schema_type type_name_server = {
    .name = "address",
    .allowed = "an address and port: \"IPv4:port\" or \"[IPv6]:port\"",
    .read = server_read,
    .present = schema_text_present,
    .write = schema_text_write,
};

/* Zeroes the bits after the first `bits`; whether any of them was set. */
static bool clear_host_bits(struct conf_cidr *c)
{
    bool any = false;
    for (unsigned i = 0; i < sizeof c->bytes; i++) {
        unsigned kept = c->bits > i * 8 ? c->bits - i * 8 : 0;
        uint8_t mask = (uint8_t)(kept >= 8 ? 0xFF : (0xFF00u >> kept) & 0xFF);
        any = any || (c->bytes[i] & ~mask & 0xFF) != 0;
        c->bytes[i] = (uint8_t)(c->bytes[i] & mask);
    }
    return any;
}

static void cidr_read(struct reader *r, const struct schema_field *f, const struct node *n,
                      void *at)
{
    struct span s, host;
    struct conf_cidr c = {0};
    if (!reader_scalar(r, n, f->type->allowed, &s))
        return;
    bool whole = span_find(s, '/') == s.n;
    struct span bits = span_cut(s, '/', &host);
    uint64_t count = 0;
    bool good = parse_ip(host, &c.family, c.bytes);
    uint64_t most = c.family == CONF_IPV6 ? 128 : 32;
    if (whole)
        count = most;
    else
        good = good && span_u64(bits, &count) == ERR_OK && count <= most;
    c.bits = (uint8_t)(good ? count : 0);
    if (!good) {
        reader_must_be(r, n, f->type->allowed);
    } else if (clear_host_bits(&c)) {
        char network[INET6_ADDRSTRLEN] = "";
        (void)inet_ntop(c.family == CONF_IPV6 ? AF_INET6 : AF_INET, c.bytes, network,
                        sizeof network);
        reader_report(r, n->mark, "'%.*s' has bits set beyond its length; the network is '%s/%u'",
                      SPAN_FMT(s), network, c.bits);
    } else {
        c.text = reader_text(r, s, n->mark);
        memcpy(at, &c, sizeof c);
    }
}

const struct schema_type type_cidr = {
    .name = "network",
    .allowed = "an address or a network, such as 10.0.0.0/8 or 2001:db8::/32",
    .read = cidr_read,
    .present = schema_text_present,
    .write = schema_text_write,
};

/* The field's struct is conf_admin: the switch and the address are two members. */
static void admin_http_preset(const struct schema_field *f, void *at)
{
    struct conf_admin *admin = at;
    admin->http_on = parse_ip_port(span_str(f->text), &admin->http);
    admin->http.text.s = span_str(f->text);
}

static void admin_http_read(struct reader *r, const struct schema_field *f, const struct node *n,
                            void *at)
{
    struct conf_admin *admin = at;
    struct span s;
    struct conf_address a = {0};
    if (!reader_scalar(r, n, f->type->allowed, &s))
        return;
    if (span_eq(s, SPAN("off"))) {
        admin->http_on = false;
        admin->http = a;
        admin->http.text.mark = n->mark;
        return;
    }
    if (!parse_ip_port(s, &a))
        reader_must_be(r, n, f->type->allowed);
    else
        keep(r, n, &a, &admin->http);
}

static void admin_http_write(struct writer *w, const struct schema_field *f, const void *at)
{
    (void)f;
    const struct conf_admin *admin = at;
    write_value(w, admin->http_on ? admin->http.text.s : SPAN("off"));
}

const struct schema_type type_admin_http = {
    .name = "address",
    .allowed = "an address and port, such as \"127.0.0.1:9977\", or off",
    .preset = admin_http_preset,
    .read = admin_http_read,
    .write = admin_http_write,
};
