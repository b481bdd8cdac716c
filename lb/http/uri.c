#include "http/uri.h"

#include "base/eight.h"
#include "net/addr.h"

#include <sys/socket.h>

enum { HOST_LONGEST = 255 };

/* Bytes that may be more than themselves in a path: the others need no second look. */
static const bool telling[256] = {['%'] = true, ['/'] = true, [';'] = true, ['\\'] = true};

/* Bytes of a host's name. */
static const bool name_bytes[256] = {
    ['-'] = true,         ['.'] = true,         ['_'] = true,         ['~'] = true,
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true,
};

static bool is_target_byte(char c)
{
    return c > 0x20 && c < 0x7f && c != '#';
}

static bool is_target(struct span s)
{
    size_t i = 0;
    for (; s.n - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
        uint64_t x = eight_at(s.p + i);
        if ((eight_below(x, 0x21) | eight_equal(x, 0x7f) | eight_equal(x, '#') | eight_high(x)) !=
            0) {
            return false;
        }
    }
    while (i < s.n && is_target_byte(s.p[i])) {
        i++;
    }
    return i == s.n;
}

/* The byte that s[at] = '%' begins to spell, or -1 where it does not. */
static int escaped(struct span s, size_t at)
{
    if (s.n - at < 3) {
        return -1;
    }
    int high = ascii_hex(s.p[at + 1]), low = ascii_hex(s.p[at + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool path_is_sound(struct span path)
{
    for (size_t i = span_find(path, '%'); i < path.n; i++) {
        if (path.p[i] == '%' && escaped(path, i) <= 0) {
            return false;
        }
    }
    return true;
}

static struct span cut_query(struct span s, struct span *query)
{
    size_t at = span_find(s, '?');
    *query = at < s.n ? span_sub(s, at + 1, s.n) : SPAN_NONE;
    return span_sub(s, 0, at);
}

/* scheme "://" authority [path] ["?" query]; the caller has seen what parts the first two. */
static enum err parse_absolute(struct span s, struct uri *out)
{
    size_t colon = span_find(s, ':');
    out->scheme = span_sub(s, 0, colon);
    if (!span_eq_nocase(out->scheme, SPAN("http")) && !span_eq_nocase(out->scheme, SPAN("https"))) {
        return ERR_BAD_TARGET;
    }
    struct span rest = cut_query(span_sub(s, colon + 3, s.n), &out->query);
    size_t slash = span_find(rest, '/');
    out->form = URI_ABSOLUTE;
    out->authority = span_sub(rest, 0, slash);
    out->path = span_sub(rest, slash, rest.n);
    return path_is_sound(out->path) ? ERR_OK : ERR_BAD_TARGET;
}

static enum err parse_origin(struct span s, struct uri *out)
{
    out->form = URI_ORIGIN;
    out->path = cut_query(s, &out->query);
    return path_is_sound(out->path) ? ERR_OK : ERR_BAD_TARGET;
}

enum err uri_parse(struct span target, struct uri *out)
{
    *out = (struct uri){.form = URI_AUTHORITY};
    if (target.n == 0 || !is_target(target)) {
        return ERR_BAD_TARGET;
    }
    if (target.p[0] == '/') {
        return parse_origin(target, out);
    }
    if (span_eq(target, SPAN("*"))) {
        out->form = URI_ASTERISK;
        out->path = target;
        return ERR_OK;
    }
    struct span after = span_sub(target, span_find(target, ':'), target.n);
    if (span_starts(after, SPAN("://"))) {
        return parse_absolute(target, out);
    }
    out->authority = target;
    return ERR_OK;
}

/* The length of the dot that s begins with ("." or, where escapes are read, "%2e"), or 0. */
static size_t dot_length(struct span s, bool escapes)
{
    if (s.n >= 1 && s.p[0] == '.') {
        return 1;
    }
    return escapes && s.n >= 3 && s.p[0] == '%' && escaped(s, 0) == '.' ? 3 : 0;
}

/* 1 for ".", 2 for "..", 0 for every other segment. */
static unsigned dots_of(struct span segment, bool escapes)
{
    size_t first = dot_length(segment, escapes);
    if (first == 0) {
        return 0;
    }
    struct span rest = span_sub(segment, first, segment.n);
    if (rest.n == 0) {
        return 1;
    }
    size_t second = dot_length(rest, escapes);
    return second != 0 && second == rest.n ? 2 : 0;
}

/* Not where this says no. */
static bool may_have_dots(struct span path)
{
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] == '/' && dot_length(span_sub(path, i + 1, path.n), true) != 0) {
            return true;
        }
    }
    return false;
}

/* Drops the last segment of p[0..n), with its slash. */
static size_t drop_last(const char *p, size_t n)
{
    while (n > 0 && p[n - 1] != '/') {
        n--;
    }
    return n > 0 ? n - 1 : 0;
}

static size_t remove_dots(char *path, size_t n, bool escapes)
{
    size_t out = 0;
    for (size_t at = 0; at < n;) {
        struct span rest = span_of(path + at + 1, n - at - 1);
        struct span segment = span_sub(rest, 0, span_find(rest, '/'));
        bool last = segment.n == rest.n;
        unsigned dots = dots_of(segment, escapes);
        at += 1 + segment.n;
        if (dots == 2) {
            out = drop_last(path, out);
        }
        if (dots == 0) {
            memmove(path + out, segment.p - 1, segment.n + 1);
            out += segment.n + 1;
        } else if (last) {
            path[out++] = '/';
        }
    }
    return out;
}

enum err uri_resolve(char *path, size_t n, struct arena *a, struct span *out, struct span *sent)
{
    *out = span_of(path, n);
    *sent = SPAN_NONE;
    if (!may_have_dots(*out)) {
        return ERR_OK;
    }
    struct span copy = arena_copy(a, *out);
    out->n = remove_dots(path, n, true);
    if (out->n != n) {
        *sent = copy;
    }
    return copy.p != NULL ? ERR_OK : ERR_NO_MEMORY;
}

/* What a path may have as it is (RFC 3986 section 3.3), but for ';' and '/'. */
static const bool plain_bytes[256] = {
    ['!'] = true, ['$'] = true,         ['&' ... '*'] = true, ['+' ... '.'] = true,
    [':'] = true, ['='] = true,         ['@'] = true,         ['_'] = true,
    ['~'] = true, ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true,
};

/* c: a byte, or -1. */
static bool is_plain(int c)
{
    return c >= 0 && plain_bytes[c];
}

/* Of a hexadecimal digit. */
static bool is_small(char digit)
{
    return digit >= 'a';
}

/* The escape at s[at] = '%' has a small letter for a digit. */
static bool escaped_small(struct span s, size_t at)
{
    return escaped(s, at) >= 0 && (is_small(s.p[at + 1]) || is_small(s.p[at + 2]));
}

struct span uri_settle(struct span path, char *memory)
{
    for (size_t i = 0; i < path.n; i++) {
        bool digit = (i >= 1 && path.p[i - 1] == '%') || (i >= 2 && path.p[i - 2] == '%');
        char c = path.p[i];
        memory[i] = digit && is_small(c) ? (char)(c - ('a' - 'A')) : c;
    }
    return span_of(memory, path.n);
}

bool uri_is_odd(struct span path)
{
    for (size_t i = 0; i < path.n; i++) {
        char c = path.p[i];
        if (!telling[(unsigned char)c]) {
            continue;
        }
        if (c == ';' || c == '\\' || (c == '/' && i > 0 && path.p[i - 1] == '/')) {
            return true;
        }
        int e = c == '%' ? escaped(path, i) : -1;
        if (e == '/' || e == '\\' || e == ';' || is_plain(e) ||
            (c == '%' && escaped_small(path, i))) {
            return true;
        }
    }
    return false;
}

/* What the byte or the escape at s[at] stands for, -1 at the end; *n: its length. */
static int stands_for(struct span s, size_t at, size_t *n)
{
    int e = at < s.n && s.p[at] == '%' ? escaped(s, at) : -1;
    *n = e >= 0 ? 3 : 1;
    return e >= 0 ? e : at < s.n ? (unsigned char)s.p[at] : -1;
}

static bool is_border(int c)
{
    return c == '/' || c == '\\' || c == ';' || c == -1;
}

/* Whether a reading makes a dot segment of what begins at s[at], behind a border: the readings that
 * matter then. */
static unsigned dots_at(struct span s, size_t at)
{
    unsigned found = URI_READ_DOTS | URI_READ_AGAIN;
    size_t n;
    for (int dots = 0; dots < 3; dots++, at += n) {
        int c = stands_for(s, at, &n);
        if (c != '.')
            return dots > 0 && is_border(c) ? found : 0;
        found |= n > 1 ? URI_READ_ESCAPED : 0;
    }
    return 0;
}

/* Slashes that a reading makes may stand beside others, and around dots: then merging matters too,
 * and whether dots are resolved. */
unsigned uri_readings(struct span path)
{
    unsigned all = 0, dots = 0;
    bool in_parameters = false;
    for (size_t i = 0; i < path.n; i++) {
        char c = path.p[i];
        int e = c == '%' ? escaped(path, i) : -1;
        bool made = c == '\\' || e == '/' || e == '\\';
        in_parameters = c == ';' || e == ';' || (in_parameters && c != '/');
        all |= in_parameters && made ? URI_READ_CUT : 0;
        dots |= made || c == '/' ? dots_at(path, i + (e >= 0 ? 3 : 1)) : 0;
        all |= is_plain(e) ? URI_READ_PLAIN : 0;
        all |= e == '/' || e == '\\' ? URI_READ_SLASH : 0;
        all |= c == '\\' || e == '\\' ? URI_READ_BACKSLASH : 0;
        all |= c == ';' ? URI_READ_PARAMS : e == ';' ? URI_READ_LATE : 0;
        all |= c == '/' && i > 0 && path.p[i - 1] == '/' ? URI_READ_MERGE : 0;
    }
    unsigned twice = URI_READ_CUT | URI_READ_LATE;
    all |= (all & twice) == twice ? URI_READ_TWICE : 0;
    return (all & ~(unsigned)URI_READ_PLAIN) != 0 ? all | dots | URI_READ_MERGE : all;
}

/* One pass: escapes that the readings decode, then what works on single bytes: backslashes,
 * parameters, double slashes. */
static size_t read_as(struct span path, unsigned readings, size_t most, char *memory)
{
    bool plain = (readings & URI_READ_PLAIN) != 0, slash = (readings & URI_READ_SLASH) != 0;
    bool backslash = (readings & URI_READ_BACKSLASH) != 0;
    bool merge = (readings & URI_READ_MERGE) != 0, params = (readings & URI_READ_PARAMS) != 0;
    bool late = (readings & URI_READ_LATE) != 0, cut = (readings & URI_READ_CUT) != 0;
    bool twice = (readings & URI_READ_TWICE) != 0;
    bool skipping = false, to_raw = false;
    size_t out = 0;
    for (size_t i = 0; i < path.n && out < most; i++) {
        char c = path.p[i];
        bool raw = c == '/';
        int e = c == '%' ? escaped(path, i) : -1;
        if ((plain && is_plain(e)) || (slash && (e == '/' || e == '\\'))) {
            c = (char)e;
            i += 2;
        }
        c = c == '\\' && backslash ? '/' : c;
        bool at_params = params && c == ';', at_late = late && e == ';';
        to_raw = at_params ? cut : at_late && !skipping ? cut && !twice : to_raw;
        skipping = at_params || at_late || (skipping && !(to_raw ? raw : c == '/'));
        bool doubled = merge && c == '/' && out > 0 && memory[out - 1] == '/';
        if (!skipping && !doubled) {
            memory[out++] = c;
        }
    }
    return out;
}

#define ALL_AT_ONCE                                                                                \
    (URI_READ_PLAIN | URI_READ_SLASH | URI_READ_BACKSLASH | URI_READ_PARAMS | URI_READ_LATE |      \
     URI_READ_MERGE)

struct span uri_variant(struct span path, unsigned readings, size_t most, char *memory)
{
    if (path.n == 0) {
        return path;
    }
    bool whole = (readings & URI_READ_DOTS) == 0;
    size_t n = read_as(path, readings, whole ? path.n : most, memory), before = n;
    if (whole) {
        n = remove_dots(memory, n, (readings & URI_READ_ESCAPED) == 0);
    }
    if (n < before && (readings & URI_READ_AGAIN) != 0) {
        n = read_as(span_of(memory, n), ALL_AT_ONCE, n, memory); /* never writes ahead of itself */
    }
    return span_of(memory, n);
}

/* RFC 3986 section 2.3. */
static bool is_unreserved(int c)
{
    return is_plain(c) && (ascii_alpha((char)c) || ascii_digit((char)c) || c == '-' || c == '.' ||
                           c == '_' || c == '~');
}

struct span uri_canonical(struct span path, char *memory)
{
    struct span settled = uri_settle(path, memory);
    size_t out = 0;
    for (size_t i = 0; i < settled.n; i++) {
        int e = memory[i] == '%' ? escaped(settled, i) : -1;
        bool decoded = is_unreserved(e);
        if (memory[i] == '/' && out > 0 && memory[out - 1] == '/') {
            continue;
        }
        memory[out++] = decoded ? (char)e : memory[i];
        i += decoded ? 2 : 0;
    }
    return span_of(memory, out);
}

/* The length of the name at the start of s, or 0 where one of its labels is empty (but for the root
 * behind a dot at its end): no host has such a name, and "a.." is none of the routes' names though
 * a server may take all dots away and serve a. */
static size_t name_length(struct span s)
{
    size_t n = 0;
    for (; n < s.n && name_bytes[(unsigned char)s.p[n]]; n++) {
        if (s.p[n] == '.' && (n == 0 || s.p[n - 1] == '.')) {
            return 0;
        }
    }
    return n;
}

/* The length of the host at the start of s, or 0 where there is none. */
static size_t host_length(struct span s)
{
    if (s.n == 0 || s.p[0] != '[') {
        return name_length(s);
    }
    size_t close = span_find(s, ']');
    if (close == s.n) {
        return 0;
    }
    struct span inside = span_sub(s, 1, close);
    for (size_t i = 0; i < inside.n; i++) {
        if (ascii_hex(inside.p[i]) < 0 && inside.p[i] != ':' && inside.p[i] != '.') {
            return 0;
        }
    }
    struct addr a;
    bool v6 = addr_parse_host(inside, &a) == ERR_OK && a.any.sa_family == AF_INET6;
    return v6 ? close + 1 : 0;
}

static enum err parse_port(struct span s, uint16_t *out)
{
    uint64_t port = 0;
    if (s.n < 2 || s.n > 6 || s.p[0] != ':' || span_u64(span_sub(s, 1, s.n), &port) != ERR_OK ||
        port > UINT16_MAX) {
        return ERR_BAD_HOST;
    }
    *out = (uint16_t)port;
    return ERR_OK;
}

enum err host_parse(char *p, size_t n, struct host *out)
{
    *out = (struct host){0};
    struct span s = span_of(p, n);
    size_t host = host_length(s);
    if (host == 0 || host > HOST_LONGEST) {
        return ERR_BAD_HOST;
    }
    size_t name = p[host - 1] == '.' ? host - 1 : host;
    if (host < n && parse_port(span_sub(s, host, n), &out->port) != ERR_OK) {
        return ERR_BAD_HOST;
    }
    for (size_t i = 0; i < host; i++) {
        p[i] = ascii_lower(p[i]);
    }
    out->authority = s;
    out->host = span_sub(s, 0, name);
    return ERR_OK;
}
