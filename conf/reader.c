#include "conf/reader.h"

#include <stdio.h>

size_t reader_enter(struct reader *r, struct span key)
{
    size_t before = r->path_n;
    struct span shown = source_clip(key);
    int n = snprintf(r->path + before, sizeof r->path - before, "%s%.*s", before > 0 ? "." : "",
                     SPAN_FMT(shown));
    if (n > 0)
        r->path_n = before + (size_t)n < sizeof r->path ? before + (size_t)n : sizeof r->path - 1;
    return before;
}

size_t reader_enter_index(struct reader *r, size_t index)
{
    size_t before = r->path_n;
    int n = snprintf(r->path + before, sizeof r->path - before, "[%zu]", index);
    if (n > 0)
        r->path_n = before + (size_t)n < sizeof r->path ? before + (size_t)n : sizeof r->path - 1;
    return before;
}

void reader_leave(struct reader *r, size_t before)
{
    r->path_n = before;
    r->path[before] = '\0';
}

static const char *path_of(const struct reader *r)
{
    return r->path_n > 0 ? r->path : "the file";
}

void reader_advise(struct reader *r, const struct node *n, const char *allowed, const char *advice)
{
    if (n->kind == NODE_BAD)
        return;
    bool empty = n->kind != NODE_SCALAR && n->count == 0;
    const char *got = empty                  ? "empty"
                      : n->kind == NODE_MAP  ? "a map"
                      : n->kind == NODE_LIST ? "a list"
                                             : NULL;
    if (got != NULL)
        conf_report(r->m, n->mark, "%s is %s; it must be %s", path_of(r), got, allowed);
    else if (n->text.n == 0 && !n->quoted)
        conf_report(r->m, n->mark, "%s has no value; it must be %s", path_of(r), allowed);
    else
        conf_report(r->m, n->mark, "%s is '%.*s'; it must be %s%s%s", path_of(r),
                    SPAN_FMT(source_clip(n->text)), allowed, advice != NULL ? "; " : "",
                    advice != NULL ? advice : "");
}

void reader_must_be(struct reader *r, const struct node *n, const char *allowed)
{
    reader_advise(r, n, allowed, NULL);
}

void reader_advise_buf(struct reader *r, const struct node *n, const char *allowed,
                       const struct buf *advice)
{
    char text[256];
    snprintf(text, sizeof text, "%.*s", SPAN_FMT(buf_span(advice)));
    reader_advise(r, n, allowed, advice->n > 0 && !advice->failed ? text : NULL);
}

/* "a, b" was meant as two. */
static bool is_series(const struct node *n)
{
    return span_find(n->text, ',') < n->text.n && strpbrk(n->text.p, "[]{}:#\"'") == NULL;
}

void reader_must_be_list(struct reader *r, const struct node *n, const char *allowed)
{
    char memory[160];
    struct buf advice;
    struct writer w = {.out = &advice};
    buf_fixed(&advice, memory, sizeof memory);
    if (n->kind == NODE_SCALAR && n->text.n > 0 && source_clip(n->text).n == n->text.n) {
        buf_put_str(&advice, "write [");
        if (is_series(n))
            buf_put_span(&advice, n->text);
        else
            write_text(&w, n->text);
        buf_put_char(&advice, ']');
    }
    reader_advise_buf(r, n, allowed, &advice);
}

void reader_report(struct reader *r, struct conf_mark mark, const char *format, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    conf_report(r->m, mark, "%s%s%s", r->path, r->path_n > 0 ? ": " : "", text);
}

bool reader_scalar(struct reader *r, const struct node *n, const char *allowed, struct span *out)
{
    *out = n->text;
    if (n->kind == NODE_SCALAR && (n->text.n > 0 || n->quoted))
        return true;
    reader_must_be(r, n, allowed);
    return false;
}

struct conf_text reader_text(struct reader *r, struct span s, struct conf_mark mark)
{
    struct conf_text text = {.s = arena_copy(r->arena, s.p != NULL ? s : SPAN("")), .mark = mark};
    if (text.s.p == NULL)
        r->no_memory = true;
    return text;
}

struct conf_text reader_lower(struct reader *r, const struct node *n)
{
    struct conf_text text = {.mark = n->mark};
    char *p = reader_zero(r, n->text.n + 1, 1);
    for (size_t i = 0; p != NULL && i < n->text.n; i++)
        p[i] = ascii_lower(n->text.p[i]);
    text.s = span_of(p, p != NULL ? n->text.n : 0);
    return text;
}

void *reader_zero(struct reader *r, size_t count, size_t size)
{
    void *p = arena_zero(r->arena, count * size);
    if (p == NULL)
        r->no_memory = true;
    return p;
}
