/* schema_sticky: keys of `sticky`: what brings a client back to the backend that served it. */
#include "conf/reader.h"
#include "conf/text.h"

#define DAY_MS ((int64_t)24 * 3600 * 1000)

/* RFC 6265: a token. */
static const char *text_cookie(struct span s)
{
    bool good = s.n > 0 && s.n <= 64;
    for (size_t i = 0; good && i < s.n; i++)
        good = ascii_alpha(s.p[i]) || ascii_digit(s.p[i]) || s.p[i] == '_' || s.p[i] == '-';
    return good ? NULL : "the name of a cookie: letters, digits, - and _, at most 64";
}

static const struct schema_field fields[] = {
    {.key = "cookie",
     .type = &type_text,
     .offset = offsetof(struct conf_sticky, cookie),
     .check = text_cookie,
     .fallback = "none",
     .help = "Meridian sets a signed cookie of this name (HttpOnly, SameSite=Lax, Secure over TLS) "
             "that brings the client back to its backend. Each pool of a host needs another name."},
    {.key = "by",
     .type = &type_key,
     .offset = offsetof(struct conf_sticky, by),
     .fallback = "none",
     .help = "Without a cookie of Meridian's own: requests with the same `client`, \"header NAME\" "
             "or \"cookie NAME\" go to the same backend of their site; without it by the client's "
             "address. At most 10000 backends."},
    {.key = "ttl",
     .type = &type_duration,
     .offset = offsetof(struct conf_sticky, ttl_ms),
     .initial = 3600000,
     .least = 1000,
     .most = 365 * DAY_MS,
     .help = "How long the cookie is good after its last renewal; it is renewed when half of the "
             "time has passed."},
    {.key = "key",
     .type = &type_text,
     .offset = offsetof(struct conf_sticky, key),
     .check = text_file,
     .fallback = "`sticky.key` in the state folder, made when it is first needed",
     .help = "File with 32 bytes or more that sign the cookie. Balancers that share clients need "
             "the same one."},
};

static const char *const ways[] = {"cookie", "by", NULL};

const struct schema_map schema_sticky = {SCHEMA_FIELDS(fields), .one_of = ways, .one_needed = true,
                                         .optional = true};
