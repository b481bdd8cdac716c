#include "base/limits.h"
#include "http/h1_fields.h"
#include "http/h1_parse.h"

#include "base/clock.h"

/* HTTP-version SP 3DIGIT [SP reason] (RFC 9112 section 4; many servers leave out the second SP
 * where there is no reason). The bytes of the reason were checked by the scan. */
static enum err read_status(struct span line, struct reply *r)
{
    uint64_t status = 0;
    bool v11 = span_starts(line, SPAN("HTTP/1.1 "));
    if ((!v11 && !span_starts(line, SPAN("HTTP/1.0 "))) || line.n < 12 ||
        (line.n > 12 && line.p[12] != ' ') || span_u64(span_sub(line, 9, 12), &status) != ERR_OK ||
        status < 100 || status > 599) {
        return ERR_BACKEND_PROTOCOL;
    }
    r->version = v11 ? VERSION_1_1 : VERSION_1_0;
    r->status = (uint16_t)status;
    return ERR_OK;
}

static bool never_has_content(const struct reply *r, struct asked asked)
{
    return asked.method == METHOD_HEAD || r->status < 200 || r->status == 204 || r->status == 304;
}

/* RFC 9112 section 6.3, without its leniencies (H18). */
static enum err read_framing(const struct h1_facts *facts, struct asked asked, struct reply *r,
                             struct h1_head *head)
{
    if (facts->codings > 0 &&
        (facts->lengths > 0 || r->version == VERSION_1_0 || !h1_is_chunked(facts))) {
        return ERR_BACKEND_PROTOCOL;
    }
    if (facts->lengths > 0) {
        if (h1_length(facts, &r->length) != ERR_OK) {
            return ERR_BACKEND_PROTOCOL;
        }
        r->has_length = true;
    }
    if (never_has_content(r, asked)) {
        return ERR_OK;
    }
    if (r->has_length) {
        r->content = r->length > 0 ? CONTENT_LENGTH : CONTENT_NONE;
        head->coding = r->length > 0 ? H1_LENGTH : H1_NONE;
    } else {
        r->content = CONTENT_STREAM;
        head->coding = facts->codings > 0 ? H1_CHUNKED : H1_CLOSE;
    }
    return ERR_OK;
}

/* 101 only where it was asked for, to what was asked for (H18, H21). */
static enum err read_switch(const struct h1_facts *facts, struct asked asked, struct reply *r)
{
    if (r->status != 101) {
        return ERR_OK;
    }
    if (asked.upgrade != UPGRADE_WEBSOCKET || !facts->upgrading || facts->upgrade == NULL ||
        !span_eq_nocase(facts->upgrade->value, SPAN("websocket"))) {
        return ERR_BACKEND_PROTOCOL;
    }
    r->upgraded = true;
    return ERR_OK;
}

/* Keep-Alive: timeout=5, max=100 */
static int64_t keep_ms(const struct field *f)
{
    enum { MOST_S = 24 * 3600 };
    struct span list = f != NULL ? f->value : SPAN_NONE;
    while (list.n > 0) {
        struct span one, name;
        uint64_t seconds = 0;
        list = span_cut(list, ',', &one);
        struct span value = span_cut(span_trim(one), '=', &name);
        if (span_eq_nocase(span_trim(name), SPAN("timeout")) &&
            span_u64(span_trim(value), &seconds) == ERR_OK) {
            return (int64_t)(seconds < MOST_S ? seconds : MOST_S) * 1000;
        }
    }
    return 0;
}

static enum err read_reply(const struct h1_scan *s, char *copy, struct asked asked, struct arena *a,
                           struct reply *r, struct h1_head *head)
{
    struct h1_facts facts;
    enum err e = read_status(span_of(copy, s->first - 2), r);
    if (e == ERR_OK) {
        e = h1_fields_read(copy + s->first, s->at - 2 - s->first, s->fields, ODD_NAMES_KEEP, a,
                           &r->fields, NULL);
    }
    if (e == ERR_OK) {
        e = h1_facts_gather(&r->fields, &facts);
    }
    if (e == ERR_OK) {
        e = read_framing(&facts, asked, r, head);
    }
    if (e == ERR_OK) {
        e = read_switch(&facts, asked, r);
    }
    if (e != ERR_OK) {
        return e;
    }
    head->keep_alive = !facts.close && (r->version == VERSION_1_1 || facts.keep_alive) &&
                       head->coding != H1_CLOSE && !r->upgraded;
    head->keep_ms = keep_ms(facts.keep);
    r->digest_follows = facts.codings > 0 && fields_promise_digest(&r->fields);
    fields_strip(&r->fields);
    return ERR_OK;
}

/* The scan's names are the client side's. */
static enum err as_backend(enum err e)
{
    if (e == ERR_OK || e == ERR_AGAIN || e == ERR_NO_MEMORY) {
        return e;
    }
    return e == ERR_HEAD_TOO_LARGE ? ERR_BACKEND_HEAD_TOO_LARGE : ERR_BACKEND_PROTOCOL;
}

enum err h1_parse_reply(struct h1_scan *s, const struct h1_limits *l, struct span in,
                        struct asked asked, struct arena *a, struct reply *out,
                        struct h1_head *head)
{
    enum err e = h1_scan_run(s, l, in);
    if (e != ERR_OK) {
        return as_backend(e);
    }
    *out = (struct reply){.version = VERSION_1_1, .head_bytes = s->at};
    *head = (struct h1_head){.bytes = s->at};
    char *copy = arena_take(a, s->at);
    if (copy == NULL) {
        return ERR_NO_MEMORY;
    }
    memcpy(copy, in.p, s->at);
    return as_backend(read_reply(s, copy, asked, a, out, head));
}

enum err h1_parse_trailers(const struct h1_scan *s, struct span in, struct arena *a,
                           struct fields *out)
{
    char *copy = arena_take(a, s->at);
    if (copy == NULL) {
        return ERR_NO_MEMORY;
    }
    memcpy(copy, in.p, s->at);
    enum err e = h1_fields_read(copy, s->at - 2, s->fields, ODD_NAMES_KEEP, a, out, NULL);
    if (e == ERR_OK) {
        fields_keep_trailers(out);
    }
    return e;
}
