#include "conf/text.h"

#include "base/limits.h"

#define NAME_BYTES 63
#define HOST_BYTES 253
#define PATH_BYTES 4095

static bool all_of(struct span s, bool (*allowed)(char c))
{
    for (size_t i = 0; i < s.n; i++)
        if (!allowed(s.p[i]))
            return false;
    return true;
}

static bool label_character(char c)
{
    return ascii_alpha(c) || ascii_digit(c) || c == '_' || c == '-';
}

static bool name_character(char c)
{
    return label_character(c) || c == '.';
}

static bool token_character(char c)
{
    return ascii_alpha(c) || ascii_digit(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7F;
}

static bool visible(char c)
{
    return c > 0x20 && c < 0x7F;
}

bool text_is_token(struct span s)
{
    return s.n > 0 && all_of(s, token_character);
}

static bool field_character(char c)
{
    return visible(c) || c == ' ' || c == '\t';
}

bool text_is_field_value(struct span s)
{
    return s.n > 0 && all_of(s, field_character) && span_trim(s).n == s.n;
}

const char *text_name(struct span s)
{
    bool good = s.n >= 1 && s.n <= NAME_BYTES && all_of(s, name_character);
    return good ? NULL : "1 to 63 letters, digits, '_', '.' or '-'";
}

const char *text_secret(struct span s)
{
    static const char *const allowed =
        "file:/…, credential:NAME or ${NAME}: the secret itself does "
        "not belong here";
    struct span name = SPAN_NONE;
    if (span_starts(s, SPAN("file:")))
        return text_file(span_sub(s, 5, s.n)) == NULL ? NULL : allowed;
    if (span_starts(s, SPAN("credential:")))
        name = span_sub(s, 11, s.n);
    else if (span_starts(s, SPAN("${")) && s.p[s.n - 1] == '}')
        name = span_sub(s, 2, s.n - 1);
    return name.n != 0 && text_name(name) == NULL ? NULL : allowed;
}

const char *text_file(struct span s)
{
    bool good = s.n > 1 && s.n <= PATH_BYTES && s.p[0] == '/';
    for (size_t i = 0; good && i < s.n; i++)
        good = !control(s.p[i]);
    return good ? NULL : "an absolute path, such as /etc/meridian/file";
}

const char *text_secret_file(struct span s)
{
    bool good = span_starts(s, SPAN("file:")) && text_file(span_sub(s, 5, s.n)) == NULL;
    return good ? NULL : "file: and an absolute path, such as \"file:/etc/meridian/admin.token\"";
}

const char *text_access_log(struct span s)
{
    if (span_eq(s, SPAN("stdout")) || span_eq(s, SPAN("stderr")) || span_eq(s, SPAN("off")))
        return NULL;
    return text_file(s) == NULL ? NULL : "stdout, stderr, off or an absolute path";
}

static bool capital(char c)
{
    return c >= 'A' && c <= 'Z';
}

const char *text_country(struct span s)
{
    return s.n == 2 && all_of(s, capital) ? NULL : "two capital letters of ISO 3166-1, such as DE";
}

const char *text_continent(struct span s)
{
    static const char *const codes[] = {"AF", "AN", "AS", "EU", "NA", "OC", "SA"};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (span_eq(s, span_str(codes[i])))
            return NULL;
    return "AF, AN, AS, EU, NA, OC or SA";
}

const char *text_method(struct span s)
{
    bool letters = text_is_token(s) && s.n <= 32;
    for (size_t i = 0; letters && i < s.n; i++)
        letters = s.p[i] == ascii_lower(s.p[i]) ? !ascii_alpha(s.p[i]) : true;
    return letters ? NULL : "a method in capital letters, such as GET";
}

static bool label_is_good(struct span label)
{
    return label.n > 0 && label.n <= NAME_BYTES && label.p[0] != '-' &&
           label.p[label.n - 1] != '-' && all_of(label, label_character);
}

bool text_is_host_name(struct span s)
{
    if (s.n == 0 || s.n > HOST_BYTES)
        return false;
    struct span rest = s, label = SPAN_NONE;
    for (;;) {
        bool last = span_find(rest, '.') == rest.n;
        rest = span_cut(rest, '.', &label);
        if (!label_is_good(label))
            return false;
        if (last)
            return true;
    }
}

struct span text_service_domain(struct span s)
{
    struct span service, proto;
    struct span domain = span_cut(span_cut(s, '.', &service), '.', &proto);
    bool good = service.n > 1 && service.p[0] == '_' && proto.n > 1 && proto.p[0] == '_' &&
                text_is_host_name(s) && text_is_host_name(domain);
    return good ? domain : SPAN_NONE;
}

static bool address_character(char c)
{
    return ascii_hex(c) >= 0 || c == ':' || c == '.';
}

const char *text_host(struct span s)
{
    bool literal = s.n > 4 && s.p[0] == '[' && s.p[s.n - 1] == ']' &&
                   all_of(span_sub(s, 1, s.n - 1), address_character);
    return literal || text_is_host_name(s) ? NULL : "a host name or an address without a port";
}

/* RFC 3986 section 3.3: pchar and '/'. */
static bool is_path(struct span s, const char *more)
{
    if (s.n == 0 || s.n > PATH_BYTES || s.p[0] != '/')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%' && (s.n - i < 3 || ascii_hex(s.p[i + 1]) < 0 || ascii_hex(s.p[i + 2]) < 0))
            return false;
        bool good = ascii_alpha(c) || ascii_digit(c) ||
                    (c != '\0' && strchr("-._~!$&'()*+,;=:@/%", c) != NULL);
        if (!good && (c == '\0' || strchr(more, c) == NULL))
            return false;
    }
    return true;
}

const char *text_target(struct span s)
{
    return is_path(s, "?") ? NULL : "a path from '/', with a query or without";
}

static bool has_dot_segment(struct span s)
{
    struct span segment = SPAN_NONE;
    for (size_t at = 0; at <= s.n; at += segment.n + 1) {
        span_cut(span_sub(s, at, s.n), '/', &segment);
        if (span_eq(segment, SPAN(".")) || span_eq(segment, SPAN("..")))
            return true;
    }
    return false;
}

static const char *plain_path(struct span s)
{
    bool good = is_path(s, "") && !has_dot_segment(s);
    return good ? NULL : "a path from '/' without query, '{', '.' or '..' segments";
}

/* s passed is_path. A request with NUL is refused; one with the others is led only to where all
 * readings of its path lead, and there is one in which it has them no more (RELIABILITY H14). */
static bool has_two_readings(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        struct span escape = span_sub(s, i, i + 3 < s.n ? i + 3 : s.n);
        if (s.p[i] == ';' || span_starts(span_sub(s, i, s.n), SPAN("//")) ||
            span_eq(escape, SPAN("%00")) || span_eq_nocase(escape, SPAN("%2f")) ||
            span_eq_nocase(escape, SPAN("%3b")) || span_eq_nocase(escape, SPAN("%5c")))
            return true;
    }
    return false;
}

const char *text_route_path(struct span s)
{
    const char *must = plain_path(s);
    if (must != NULL || !has_two_readings(s))
        return must;
    return "a path that can lead a request: without '//', ';', %00, %2F, %3B and %5C";
}

/* ';' is left: some readers end a segment there (RELIABILITY H14). */
static bool needs_no_escape(char c)
{
    return ascii_alpha(c) || ascii_digit(c) || (c != '\0' && strchr("-._~!$&'()*+,=:@", c) != NULL);
}

size_t text_settle_path(char *p, size_t n)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t out = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned high = p[i] == '%' ? (unsigned)ascii_hex(p[i + 1]) : 0;
        unsigned low = p[i] == '%' ? (unsigned)ascii_hex(p[i + 2]) : 0;
        if (p[i] != '%') {
            p[out++] = p[i];
            continue;
        }
        i += 2;
        if (needs_no_escape((char)(high * 16 + low))) {
            p[out++] = (char)(high * 16 + low);
            continue;
        }
        p[out++] = '%';
        p[out++] = digits[high];
        p[out++] = digits[low];
    }
    return out;
}

const char *text_redirect(struct span s)
{
    bool good = s.n > 0 && s.n <= PATH_BYTES;
    for (size_t i = 0; good && i < s.n; i++)
        good = visible(s.p[i]) && strchr("\"<>\\^`|", s.p[i]) == NULL;
    return good ? NULL : "an https:// or http:// address, or a path from '/', without blanks";
}

static struct span url_authority(struct span url)
{
    struct span authority;
    bool https = span_starts(url, SPAN("https://"));
    span_cut(span_sub(url, https ? 8 : 7, url.n), '/', &authority);
    return authority;
}

struct span text_authority_host(struct span authority)
{
    bool literal = authority.n > 0 && authority.p[0] == '[';
    return span_sub(authority, 0,
                    literal ? span_find(authority, ']') + 1 : span_find(authority, ':'));
}

bool text_is_authority(struct span s)
{
    uint64_t number = 1;
    struct span host = text_authority_host(s), port = span_sub(s, host.n, s.n);
    bool good =
        port.n == 0 || (port.p[0] == ':' && span_u64(span_sub(port, 1, port.n), &number) == ERR_OK);
    return text_host(host) == NULL && good && number > 0 && number <= UINT16_MAX;
}

struct span text_url_host(struct span url, uint64_t *port)
{
    struct span authority = url_authority(url);
    struct span host = text_authority_host(authority);
    *port = span_starts(url, SPAN("https:")) ? 443 : 80;
    if (host.n < authority.n &&
        span_u64(span_sub(authority, host.n + 1, authority.n), port) != ERR_OK)
        *port = 0;
    return host;
}

/* In small letters. */
static bool is_url_authority(struct span authority)
{
    struct span host = text_authority_host(authority);
    for (size_t i = 0; i < host.n; i++)
        if (ascii_lower(host.p[i]) != host.p[i])
            return false;
    return text_is_authority(authority);
}

const char *text_public_url(struct span s)
{
    bool http = span_starts(s, SPAN("http://")) || span_starts(s, SPAN("https://"));
    struct span authority = http ? url_authority(s) : SPAN_NONE;
    struct span path = SPAN_NONE;
    if (authority.n > 0)
        path = span_sub(s, (size_t)(authority.p - s.p) + authority.n, s.n);
    bool good = authority.n > 0 && is_url_authority(authority) &&
                (path.n == 0 || (text_prefix(path) == NULL && path.p[path.n - 1] != '/'));
    return good ? NULL
                : "https://host or http://host in small letters, with a port or a path if need be, "
                  "without '/' at its end";
}

const char *text_prefix(struct span s)
{
    return s.n > 1 && plain_path(s) == NULL && !span_starts(s, SPAN("//"))
               ? NULL
               : "a path prefix such as /v1, longer than '/'";
}

const char *text_field_value(struct span s)
{
    return text_is_field_value(s) ? NULL
                                  : "a field value of visible characters (RFC 9110 section 5.5)";
}

const char *text_rule_field(struct span s)
{
    static const char *const names[] = {
        "connection",     "content-length",    "expect",           "host",
        "http2-settings", "keep-alive",        "proxy-connection", "te",
        "trailer",        "transfer-encoding", "upgrade"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (span_eq_nocase(s, span_str(names[i])))
            return "a field that is not of one connection or of the message's framing";
    return text_is_token(s) ? NULL : "a field name, which is a token (RFC 9110 section 5.1)";
}

const char *text_media_type(struct span s)
{
    struct span type, subtype;
    struct span parameters = span_cut(s, ';', &type);
    subtype = span_cut(span_trim(type), '/', &type);
    bool good = text_is_token(type) && text_is_token(subtype) &&
                (parameters.n == 0 || text_is_field_value(span_trim(parameters)));
    return good ? NULL : "a media type, such as text/plain";
}

const char *text_plain_media_type(struct span s)
{
    bool good = text_media_type(s) == NULL && span_find(s, ';') == s.n && span_trim(s).n == s.n;
    return good ? NULL : "a media type without parameters, such as application/json";
}

const char *text_content(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (control(s.p[i]) && s.p[i] != '\n' && s.p[i] != '\t' && s.p[i] != '\r')
            return "text without control characters";
    return NULL;
}
