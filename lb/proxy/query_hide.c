#include "proxy/query_hide.h"

/* Percent escapes decoded and letters small, as far as out reaches: a name is secret however it is
 * spelled. */
static struct span plain_name(struct span name, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < name.n && n < size; i++) {
        int high = i + 2 < name.n && name.p[i] == '%' ? ascii_hex(name.p[i + 1]) : -1;
        int low = high >= 0 ? ascii_hex(name.p[i + 2]) : -1;
        out[n++] = ascii_lower(low >= 0 ? (char)(high * 16 + low) : name.p[i]);
        i += low >= 0 ? 2 : 0;
    }
    return span_of(out, n);
}

/* Whether what sounds secret begins here: most bytes of a name begin no such word. */
static bool secret_begins(struct span s)
{
    switch (s.p[0]) {
    case 'a':
        return span_starts(s, SPAN("auth"));
    case 'b':
        return span_starts(s, SPAN("bearer"));
    case 'c':
        return span_starts(s, SPAN("code")) || span_starts(s, SPAN("credential"));
    case 'j':
        return span_starts(s, SPAN("jwt"));
    case 'k':
        return span_starts(s, SPAN("key"));
    case 'p':
        return span_starts(s, SPAN("passw")) || span_starts(s, SPAN("pwd")) ||
               span_starts(s, SPAN("passphrase"));
    case 's':
        return span_starts(s, SPAN("secret")) || span_starts(s, SPAN("session")) ||
               span_starts(s, SPAN("sig"));
    case 't':
        return span_starts(s, SPAN("token"));
    default:
        return false;
    }
}

static bool secret(struct span written)
{
    char memory[256];
    struct span name = plain_name(written, memory, sizeof memory);
    for (size_t at = 0; at < name.n; at++) {
        if (secret_begins(span_sub(name, at, name.n)))
            return true;
    }
    return false;
}

/* The value of a parameter that does not sound secret. Some servers end it at ";", too: what comes
 * behind is another one then. What is secret is hidden up to the next "&", whoever is right. */
static void hide_behind(struct span value, struct buf *out)
{
    struct span rest = value, pair, name;
    bool hidden = false;
    for (bool first = true; rest.n != 0 && !hidden; first = false) {
        rest = span_cut(rest, ';', &pair);
        hidden = !first && span_cut(pair, '=', &name).n != 0 && secret(name);
        buf_put_str(out, first ? "" : ";");
        buf_put_span(out, hidden ? name : pair);
        buf_put_str(out, hidden ? "=***" : "");
    }
    if (!hidden && value.n != 0 && value.p[value.n - 1] == ';')
        buf_put_char(out, ';');
}

void query_hide(struct span query, struct buf *out)
{
    struct span rest = query, pair, name;
    for (bool first = true; rest.n != 0; first = false) {
        rest = span_cut(rest, '&', &pair);
        struct span value = span_cut(pair, '=', &name);
        if (!first)
            buf_put_char(out, '&');
        buf_put_span(out, name);
        if (name.n < pair.n)
            buf_put_char(out, '=');
        if (value.n != 0 && secret(name)) {
            buf_put_str(out, "***");
        } else if (span_find(value, ';') != value.n) {
            hide_behind(value, out);
        } else {
            buf_put_span(out, value);
        }
    }
}

/* How many bytes of s go before its "@", the last one below `end`; 0: there is none. */
static size_t user_bytes(struct span s, size_t end)
{
    while (end > 0 && s.p[end - 1] != '@')
        end--;
    return end;
}

enum { SCHEME_MOST = 32 };

/* Where the authority begins: behind the scheme, if there is one, and "//". */
static size_t authority_at(struct span s)
{
    size_t colon = span_find(s, ':');
    bool scheme = colon < SCHEME_MOST && span_starts(span_sub(s, colon, s.n), SPAN("://"));
    size_t at = scheme ? colon + 1 : 0;
    return span_starts(span_sub(s, at, s.n), SPAN("//")) ? at + 2 : at;
}

/* Appends `before` bytes of s, and what is behind its user. Returns what was not appended. */
static struct span put_without(struct span s, size_t before, size_t user, struct buf *out)
{
    buf_put_span(out, span_sub(s, 0, before));
    if (user != 0)
        buf_put_str(out, "***@");
    return span_sub(s, before + user, s.n);
}

void url_hide(struct span url, size_t most, struct buf *out)
{
    size_t at = authority_at(url), end = at;
    while (end < url.n && url.p[end] != '/' && url.p[end] != '?' && url.p[end] != '#')
        end++;
    size_t user = at > 0 ? user_bytes(span_sub(url, at, end), end - at) : 0;
    struct span rest = span_sub(put_without(url, at, user, out), 0, most), path;
    struct span query = span_cut(rest, '?', &path);
    buf_put_span(out, path);
    if (path.n < rest.n)
        buf_put_char(out, '?');
    query_hide(query, out);
}

void target_hide(struct span target, size_t most, struct buf *out)
{
    size_t at = authority_at(target);
    struct span behind = span_sub(target, at, target.n);
    buf_put_span(out,
                 span_sub(put_without(target, at, user_bytes(behind, behind.n), out), 0, most));
}
