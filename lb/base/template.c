#include "base/template.h"

static const struct {
    const char *name, *help;
    enum template_kind kind;
} names[TEMPLATE_NAME_COUNT] = {[TEMPLATE_TEXT] = {"", "", TEMPLATE_ANY},
#define TEMPLATE_ROW_(id, name_, kind_, help_) [TEMPLATE_##id] = {name_, help_, TEMPLATE_##kind_},
                                TEMPLATE_NAMES(TEMPLATE_ROW_)
#undef TEMPLATE_ROW_
};

const char *template_name(enum template_name name)
{
    return names[name].name;
}

const char *template_help(enum template_name name)
{
    return names[name].help;
}

enum template_kind template_kind(enum template_name name)
{
    return names[name].kind;
}

enum template_name template_find(struct span s)
{
    for (unsigned i = TEMPLATE_TEXT + 1; i < TEMPLATE_NAME_COUNT; i++) {
        if (span_eq(s, span_str(names[i].name)))
            return (enum template_name)i;
    }
    return TEMPLATE_TEXT;
}

#define PATH_BYTES 100

/* "geo:" and names with dots between. */
static bool is_geo_field(struct span s, struct span *path)
{
    *path = span_sub(s, 4, s.n);
    if (!span_starts(s, SPAN("geo:")) || path->n == 0 || path->n > PATH_BYTES)
        return false;
    for (size_t i = 0; i < path->n; i++) {
        char c = path->p[i];
        bool dot = c == '.' && i > 0 && i + 1 < path->n && path->p[i - 1] != '.';
        if (!ascii_alpha(c) && !ascii_digit(c) && c != '_' && c != '-' && !dot)
            return false;
    }
    return true;
}

/* The piece at the beginning of s, which is not empty; returns what follows. */
static enum err take_piece(struct span *s, struct template_piece *out)
{
    size_t brace = span_find(*s, '{');
    *out = (struct template_piece){.name = TEMPLATE_TEXT};
    if (brace > 0) {
        out->text = span_sub(*s, 0, brace);
        *s = span_sub(*s, brace, s->n);
        return ERR_OK;
    }
    if (s->n > 1 && s->p[1] == '{') {
        out->text = span_sub(*s, 0, 1);
        *s = span_sub(*s, 2, s->n);
        return ERR_OK;
    }
    size_t end = span_find(*s, '}');
    if (end == s->n)
        return ERR_SYNTAX;
    struct span name = span_sub(*s, 1, end);
    out->name = is_geo_field(name, &out->text) ? TEMPLATE_GEO_FIELD : template_find(name);
    if (out->name == TEMPLATE_TEXT) {
        *s = name;
        return ERR_SYNTAX;
    }
    *s = span_sub(*s, end + 1, s->n);
    return ERR_OK;
}

enum err template_parse(struct span s, struct arena *arena, struct template *out, struct span *bad)
{
    size_t most = 1;
    for (size_t i = 0; i < s.n; i++)
        most += s.p[i] == '{' ? 2 : 0;
    struct template_piece *pieces = arena_take(arena, most * sizeof *pieces);
    *out = (struct template){.pieces = pieces};
    *bad = SPAN_NONE;
    if (pieces == NULL)
        return ERR_NO_MEMORY;
    while (s.n > 0) {
        enum err e = take_piece(&s, &pieces[out->count]);
        if (e != ERR_OK) {
            *bad = s;
            return e;
        }
        out->count++;
    }
    return ERR_OK;
}

/* RFC 3986 section 3.2: what ends the authority. */
static bool ends_host(struct span text)
{
    return span_find(text, '/') < text.n || span_find(text, '?') < text.n ||
           span_find(text, '#') < text.n;
}

/* The pieces from `at` on, of which the first has `skip` bytes before the host. */
static bool host_is_ours(const struct template *t, size_t at, size_t skip)
{
    bool any = false;
    for (; at < t->count; at++, skip = 0) {
        const struct template_piece *p = &t->pieces[at];
        struct span text = span_sub(p->text, skip, p->text.n);
        enum template_kind kind = template_kind(p->name);
        if (kind == TEMPLATE_PATH_PART)
            return any;
        if (p->name == TEMPLATE_TEXT && ends_host(text))
            return any || (text.p[0] != '/' && text.p[0] != '?' && text.p[0] != '#');
        if (p->name != TEMPLATE_TEXT && kind != TEMPLATE_HOST_PART)
            return false;
        any = any || p->name != TEMPLATE_TEXT || text.n > 0;
    }
    return any;
}

bool template_is_location(const struct template *t)
{
    if (t->count == 0)
        return false;
    const struct template_piece *first = &t->pieces[0];
    if (first->name == TEMPLATE_SCHEME)
        return t->count > 1 && span_starts(t->pieces[1].text, SPAN("://")) && host_is_ours(t, 1, 3);
    if (first->name != TEMPLATE_TEXT)
        return template_kind(first->name) == TEMPLATE_PATH_PART;
    if (span_starts(first->text, SPAN("https://")))
        return host_is_ours(t, 0, 8);
    if (span_starts(first->text, SPAN("http://")))
        return host_is_ours(t, 0, 7);
    return first->text.p[0] == '/' && !span_starts(first->text, SPAN("//"));
}
