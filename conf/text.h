/* text: the grammars of text values. Each check returns NULL, or what the value must be, to
 * complete "… must be". Pure. */
#ifndef MERIDIAN_CONF_TEXT_H
#define MERIDIAN_CONF_TEXT_H

#include "base/str.h"

const char *text_name(struct span s);        /* of a listener, pool, backend, site or route */
const char *text_file(struct span s);        /* an absolute path */
const char *text_secret_file(struct span s); /* file: and an absolute path */
const char *text_access_log(struct span s);  /* stdout, stderr, off or an absolute path */
const char *text_country(struct span s);     /* ISO 3166-1 alpha-2, capitals */
const char *text_continent(struct span s);
const char *text_method(struct span s); /* RFC 9110 section 9.1, capital letters */
const char *text_host(struct span s);   /* a host name or an IP address, no port */
const char *text_target(struct span s); /* a path, with or without a query (health checks) */
/* A path that a normalised request can have and be led by, however others read it (H14). */
const char *text_route_path(struct span s);
/* Brings such a path into the form in which requests are held against it (RFC 3986 section 6.2.2):
 * escapes of what may stand there as it is are decoded, digits of the others are capital letters.
 * In place; returns the new length, at most n. */
size_t text_settle_path(char *p, size_t n);
const char *text_redirect(struct span s); /* bytes that a URL may have, and braces */
/* http(s)://host[:port], and where clients find the same paths below a common one, that. */
const char *text_public_url(struct span s);
/* The host of such a URL, and its port: 80 or 443 where it has none, 0 where it is no number. */
struct span text_url_host(struct span url, uint64_t *port);
const char *text_prefix(struct span s); /* a path as it stands in requests, more than "/" */
const char *text_field_value(struct span s);
/* A field that rules may change: none of one connection or of the framing (RFC 9110 section 7.6.1;
 * RELIABILITY H15). */
const char *text_rule_field(struct span s);
const char *text_media_type(struct span s);       /* RFC 9110 section 8.3.1 */
const char *text_plain_media_type(struct span s); /* the same without parameters */
const char *text_secret(struct span s);           /* where a secret is; never the secret itself */
const char *text_content(struct span s);          /* any text with lines */

/* RFC 9110 section 5.6.2. */
bool text_is_token(struct span s);
/* RFC 9110 section 5.5: visible characters, blanks inside. */
bool text_is_field_value(struct span s);
/* Labels of letters, digits, '-' and '_', at most 253 bytes (RFC 1123 section 2.1). */
bool text_is_host_name(struct span s);
/* "host" or "host:port", with a host of text_host; and its host, also of what is none. */
bool text_is_authority(struct span s);
struct span text_authority_host(struct span authority);
/* What follows "_service._proto." in such a name (RFC 2782); empty: it is none. */
struct span text_service_domain(struct span s);

#endif
