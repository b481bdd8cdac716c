/* SEES: proxy http net geo base */
/* Shaping by route: no template and no value breaks a field or leads a redirect elsewhere
 * (RELIABILITY H17, H23), a rewritten path begins with one slash, keys and codings of any bytes are
 * taken. Input: template, path, query and a field's value, a line each. */
#include "base/buf.h"
#include "base/limits.h"
#include "http/uri.h"
#include "proxy/compress.h"
#include "proxy/expand.h"
#include "proxy/request_key.h"
#include "proxy/rewrite.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static bool has_control(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return true;
    }
    return false;
}

static bool one_slash(struct span s)
{
    return s.n > 0 && s.p[0] == '/' && (s.n == 1 || (s.p[1] != '/' && s.p[1] != '\\'));
}

/* The host of a Location is that of the same template with other foreign bytes. */
static void same_host(struct span a, struct span b)
{
    size_t scheme = span_find(a, ':') + 3, n = scheme;
    while (n < a.n && n < b.n && a.p[n] == b.p[n] && strchr("/?#", a.p[n]) == NULL)
        n++;
    bool a_ends = n == a.n || strchr("/?#", a.p[n]) != NULL;
    bool b_ends = n == b.n || strchr("/?#", b.p[n]) != NULL;
    must(n > scheme && a_ends && b_ends);
}

static void locate(const struct template *t, const struct expand_facts *facts, struct arena *a)
{
    struct span to, plain;
    struct request other = *facts->request;
    struct expand_facts harmless = *facts;
    other.path = SPAN("/p");
    other.query = SPAN("q");
    harmless.request = &other;
    if (expand_location(t, facts, a, &to) != ERR_OK)
        return;
    must(expand_location(t, &harmless, a, &plain) == ERR_OK);
    if (to.p[0] == '/')
        must(one_slash(to));
    else
        same_host(to, plain);
}

static void expand(struct span text, const struct expand_facts *facts, struct arena *a)
{
    struct template t;
    struct span bad, out;
    enum err e = template_parse(text, a, &t, &bad);
    if (e != ERR_OK) {
        must(e == ERR_SYNTAX && bad.p >= text.p && bad.p + bad.n <= text.p + text.n);
        return;
    }
    e = expand_template(&t, facts, a, &out);
    must(e == ERR_OK || e == ERR_BAD_FIELD || e == ERR_HEAD_TOO_LARGE);
    must(e != ERR_OK || has_control(text) || !has_control(out));
    if (e == ERR_OK && !has_control(text) && template_is_location(&t))
        locate(&t, facts, a);
}

static void rewrite(struct span path, struct arena *a)
{
    static const struct rewrite rules[] = {
        {SPAN("/v1"), SPAN("")}, {SPAN("/v1"), SPAN("/api")}, {SPAN(""), SPAN("/api")}};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        struct span out;
        must(rewrite_path(&rules[i], path, a, &out) == ERR_OK);
        bool changed = !span_eq(out, path);
        must(!changed || one_slash(out));
        must(changed || path.n == 0 || path.p[0] != '/' || rules[i].add.n == 0);
    }
}

static void judge(const struct request *in, struct span value, struct arena *a)
{
    static const struct span type = SPAN("text/plain");
    static const struct compress_rule rule = {&type, 1, 0};
    struct key_rule by = {.kind = KEY_COOKIE, .name = SPAN("id")};
    struct reply r = {.status = 200, .content = CONTENT_STREAM};
    must(request_key(&by, in, NULL, NULL) == request_key(&by, in, NULL, NULL));
    must(fields_put(&r.fields, a, FIELD_CONTENT_TYPE, type) == ERR_OK);
    must(fields_put(&r.fields, a, FIELD_VARY, value) == ERR_OK);
    struct compress_store store = {0};
    enum coding coding;
    enum compress_verdict verdict = compress_judge(&rule, in, &r, &coding);
    struct compress_stream *s =
        verdict == COMPRESS_YES ? compress_begin(&store, coding, NULL) : NULL;
    must(verdict != COMPRESS_NO && compress_head(&r, s, a) == ERR_OK);
    compress_end(&store, &s);
    compress_store_fini(&store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct request in = {.version = VERSION_1_1,
                         .method_name = SPAN("GET"),
                         .scheme = SPAN("https"),
                         .host = SPAN("a.example"),
                         .authority = SPAN("a.example:1")};
    struct expand_facts facts = {
        .request = &in, .id = SPAN("id"), .route = SPAN("r"), .listener = SPAN("l")};
    struct span rest = span_of((const char *)data, size), text, value;
    arena_init(&a, NULL, KIB(16), 0);
    rest = span_cut(rest, '\n', &text);
    rest = span_cut(rest, '\n', &in.path);
    value = span_cut(rest, '\n', &in.query);
    if (in.path.n == 0)
        in.path = SPAN("/");
    must(fields_put(&in.fields, &a, FIELD_COOKIE, value) == ERR_OK);
    must(fields_put(&in.fields, &a, FIELD_ACCEPT_ENCODING, value) == ERR_OK);
    expand(text, &facts, &a);
    rewrite(in.path, &a);
    judge(&in, value, &a);
    arena_reset(&a);
    return 0;
}
