#include "http/h1_scan.h"

#include "base/eight.h"
#include "base/limits.h"

enum { TOKEN = 1, TARGET = 2, TEXT = 4 };

enum part {
    PART_START,
    PART_BLANK_LF,
    PART_METHOD,
    PART_TARGET,
    PART_VERSION,
    PART_STATUS,
    PART_LINE_LF,
    PART_FIELD,
    PART_NAME,
    PART_VALUE,
    PART_FIELD_LF,
    PART_END_LF,
    PART_DONE,
};

/* Which bytes may stand in a token (RFC 9110 section 5.6.2), a request target (H14: 0x21 to 0x7e
 * but '#') and a field value or reason phrase (HTAB, 0x20 to 0x7e, obs-text). */
static const uint8_t classes[256] = {
    [0x09] = TEXT,
    [0x20] = TEXT,
    [0x21] = TOKEN | TARGET | TEXT,
    [0x22] = TARGET | TEXT,
    [0x23] = TOKEN | TEXT,
    [0x24 ... 0x27] = TOKEN | TARGET | TEXT,
    [0x28 ... 0x29] = TARGET | TEXT,
    [0x2a ... 0x2b] = TOKEN | TARGET | TEXT,
    [0x2c] = TARGET | TEXT,
    [0x2d ... 0x2e] = TOKEN | TARGET | TEXT,
    [0x2f] = TARGET | TEXT,
    [0x30 ... 0x39] = TOKEN | TARGET | TEXT,
    [0x3a ... 0x40] = TARGET | TEXT,
    [0x41 ... 0x5a] = TOKEN | TARGET | TEXT,
    [0x5b ... 0x5d] = TARGET | TEXT,
    [0x5e ... 0x7a] = TOKEN | TARGET | TEXT,
    [0x7b] = TARGET | TEXT,
    [0x7c] = TOKEN | TARGET | TEXT,
    [0x7d] = TARGET | TEXT,
    [0x7e] = TOKEN | TARGET | TEXT,
    [0x80 ... 0xff] = TEXT,
};

bool h1_is_token(char c)
{
    return (classes[(unsigned char)c] & TOKEN) != 0;
}

void h1_scan_init(struct h1_scan *s, enum h1_kind kind)
{
    static const uint8_t begins[] = {
        [H1_REQUEST] = PART_START, [H1_REPLY] = PART_STATUS, [H1_TRAILERS] = PART_FIELD};
    *s = (struct h1_scan){.part = begins[kind]};
}

/* Eight at once: most bytes of a head are values. */
static inline uint64_t no_text(uint64_t x)
{
    return eight_below(x, 0x20) | eight_equal(x, 0x7f);
}

static inline uint64_t no_target(uint64_t x)
{
    return eight_below(x, 0x21) | eight_equal(x, 0x7f) | eight_equal(x, '#') | eight_high(x);
}

static inline void skip_bytes(struct h1_scan *s, struct span in, uint8_t class)
{
    size_t at = s->at;
    while (at < in.n && (classes[(unsigned char)in.p[at]] & class) != 0) {
        at++;
    }
    s->at = at;
}

static inline void skip(struct h1_scan *s, struct span in, uint8_t class)
{
    while (class != TOKEN && in.n - s->at >= sizeof(uint64_t)) {
        uint64_t x = eight_at(in.p + s->at);
        if ((class == TEXT ? no_text(x) : no_target(x)) != 0) {
            break;
        }
        s->at += sizeof(x);
    }
    skip_bytes(s, in, class);
}

static enum err enter(struct h1_scan *s, enum part part)
{
    s->part = (uint8_t)part;
    return ERR_OK;
}

/* LF where a line should have ended in CR LF has a name of its own. */
static enum err refuse(char c, enum err why)
{
    return c == '\n' ? ERR_BAD_LINE_END : why;
}

static enum err scan_start(struct h1_scan *s, char c)
{
    if (c == '\r' && !s->blank) {
        s->blank = true;
        s->at++;
        return enter(s, PART_BLANK_LF);
    }
    s->start = s->line = s->at;
    return enter(s, PART_METHOD);
}

static enum err scan_lf(struct h1_scan *s, char c, enum part next)
{
    if (c != '\n') {
        return ERR_BAD_LINE_END;
    }
    s->at++;
    s->line = s->at;
    return enter(s, next);
}

/* Parts that follow each other in the same input do so by calls, not by way of the loop. */

/* The CR of a line has been passed; its LF may be there too. */
static enum err scan_line_end(struct h1_scan *s, struct span in, enum part here)
{
    s->at++;
    s->part = (uint8_t)here;
    if (s->at == in.n) {
        return ERR_AGAIN;
    }
    if (here == PART_LINE_LF) {
        s->first = s->at + 1;
    }
    return scan_lf(s, in.p[s->at], PART_FIELD);
}

static enum err check_version(struct span v)
{
    if (span_eq(v, SPAN("HTTP/1.1")) || span_eq(v, SPAN("HTTP/1.0"))) {
        return ERR_OK;
    }
    bool other = v.n == 8 && span_starts(v, SPAN("HTTP/")) && ascii_digit(v.p[5]) &&
                 v.p[6] == '.' && ascii_digit(v.p[7]);
    return other ? ERR_BAD_VERSION : ERR_BAD_REQUEST;
}

static enum err scan_version(struct h1_scan *s, const struct h1_limits *l, struct span in)
{
    skip(s, in, TARGET);
    if (s->at - s->line > l->line) {
        return ERR_URI_TOO_LONG;
    }
    if (s->at == in.n) {
        return ERR_AGAIN;
    }
    if (in.p[s->at] != '\r') {
        return refuse(in.p[s->at], ERR_BAD_REQUEST);
    }
    enum err e = check_version(span_sub(in, s->version, s->at));
    if (e != ERR_OK) {
        s->at++;
        return e;
    }
    return scan_line_end(s, in, PART_LINE_LF);
}

static enum err scan_target(struct h1_scan *s, const struct h1_limits *l, struct span in)
{
    skip(s, in, TARGET);
    if (s->at - s->line > l->line) {
        return ERR_URI_TOO_LONG;
    }
    if (s->at == in.n) {
        return ERR_AGAIN;
    }
    char c = in.p[s->at];
    if (c != ' ' || s->at == s->target) {
        return refuse(c, c == '\r' ? ERR_BAD_REQUEST : ERR_BAD_TARGET);
    }
    s->version = ++s->at;
    s->part = PART_VERSION;
    return scan_version(s, l, in);
}

static enum err scan_method(struct h1_scan *s, const struct h1_limits *l, struct span in)
{
    skip(s, in, TOKEN);
    if (s->at - s->line > l->line) {
        return ERR_URI_TOO_LONG;
    }
    if (s->at == in.n) {
        return ERR_AGAIN;
    }
    if (in.p[s->at] != ' ' || s->at == s->line) {
        return refuse(in.p[s->at], ERR_BAD_REQUEST);
    }
    s->target = ++s->at;
    s->part = PART_TARGET;
    return scan_target(s, l, in);
}

/* The status line's own grammar is h1_parse's; here only its bytes and its length count. */
static enum err scan_status(struct h1_scan *s, const struct h1_limits *l, struct span in)
{
    skip(s, in, TEXT);
    if (s->at - s->line > l->line) {
        return ERR_HEAD_TOO_LARGE;
    }
    if (s->at == in.n) {
        return ERR_AGAIN;
    }
    if (in.p[s->at] != '\r') {
        return refuse(in.p[s->at], ERR_BAD_REQUEST);
    }
    return scan_line_end(s, in, PART_LINE_LF);
}

/* How large the present field may be. */
static size_t field_room(const struct h1_scan *s, const struct h1_limits *l)
{
    size_t used = s->size + LIMIT_FIELD_OVERHEAD;
    size_t left = l->head > used ? l->head - used : 0;
    return left < l->field ? left : l->field;
}

/* As L13 counts: without the colon and the one space that nearly all senders put after it. */
static size_t field_size(const struct h1_scan *s, struct span in)
{
    size_t value = s->at - s->colon - 1;
    return s->colon - s->line + value - (value > 0 && in.p[s->colon + 1] == ' ');
}

static enum err scan_value(struct h1_scan *s, const struct h1_limits *l, struct span in)
{
    skip(s, in, TEXT);
    size_t n = field_size(s, in);
    if (n > field_room(s, l)) {
        return ERR_HEAD_TOO_LARGE;
    }
    if (s->at == in.n) {
        return ERR_AGAIN;
    }
    if (in.p[s->at] != '\r') {
        return refuse(in.p[s->at], ERR_BAD_FIELD);
    }
    s->size += n + LIMIT_FIELD_OVERHEAD;
    s->fields++;
    return scan_line_end(s, in, PART_FIELD_LF);
}

static enum err scan_name(struct h1_scan *s, const struct h1_limits *l, struct span in)
{
    skip(s, in, TOKEN);
    size_t n = s->at - s->line;
    if (n > LIMIT_FIELD_NAME || n > field_room(s, l)) {
        return ERR_HEAD_TOO_LARGE;
    }
    if (s->at == in.n) {
        return ERR_AGAIN;
    }
    if (in.p[s->at] != ':' || n == 0) {
        return refuse(in.p[s->at], ERR_BAD_FIELD);
    }
    s->colon = s->at++;
    s->part = PART_VALUE;
    return scan_value(s, l, in);
}

static enum err scan_field(struct h1_scan *s, const struct h1_limits *l, struct span in)
{
    if (in.p[s->at] == '\r') {
        s->at++;
        return enter(s, PART_END_LF);
    }
    if (s->fields >= l->fields) {
        return ERR_HEAD_TOO_LARGE;
    }
    s->part = PART_NAME;
    return scan_name(s, l, in);
}

static enum err step(struct h1_scan *s, const struct h1_limits *l, struct span in)
{
    switch (s->part) {
    case PART_START:
        return scan_start(s, in.p[s->at]);
    case PART_BLANK_LF:
        return scan_lf(s, in.p[s->at], PART_START);
    case PART_METHOD:
        return scan_method(s, l, in);
    case PART_TARGET:
        return scan_target(s, l, in);
    case PART_VERSION:
        return scan_version(s, l, in);
    case PART_STATUS:
        return scan_status(s, l, in);
    case PART_LINE_LF:
        s->first = s->at + 1;
        return scan_lf(s, in.p[s->at], PART_FIELD);
    case PART_FIELD_LF:
        return scan_lf(s, in.p[s->at], PART_FIELD);
    case PART_FIELD:
        return scan_field(s, l, in);
    case PART_NAME:
        return scan_name(s, l, in);
    case PART_VALUE:
        return scan_value(s, l, in);
    default: /* PART_END_LF: at PART_DONE nothing is read any more */
        return scan_lf(s, in.p[s->at], PART_DONE);
    }
}

enum err h1_scan_run(struct h1_scan *s, const struct h1_limits *l, struct span in)
{
    while (s->part != PART_DONE) {
        if (s->at >= in.n) {
            return ERR_AGAIN;
        }
        enum err e = step(s, l, in);
        if (e != ERR_OK) {
            return e;
        }
    }
    return ERR_OK;
}
