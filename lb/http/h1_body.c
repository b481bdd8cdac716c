#include "http/h1_body.h"

#include "base/limits.h"

/* Where in chunked coding the next byte stands (RFC 9112 section 7.1). Extensions are
 * *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ): E_ parts. */
enum part {
    PART_SIZE,
    E_BEFORE,       /* space before ";" */
    E_NAME_FIRST,   /* after ";" */
    E_NAME,         /* in a name */
    E_AFTER_NAME,   /* space after a name */
    E_VALUE_FIRST,  /* after "=" */
    E_VALUE,        /* in a token */
    E_QUOTED,       /* in a quoted string */
    E_ESCAPED,      /* after its backslash */
    E_AFTER_QUOTED, /* after its end */
    PART_LINE_LF,
    PART_DATA,
    PART_DATA_CR,
    PART_DATA_LF,
    PART_TRAILERS,
    PART_DONE,
};

static const struct h1_limits trailer_limits = {
    .head = LIMIT_TRAILERS, .fields = LIMIT_TRAILER_FIELDS, .field = LIMIT_TRAILERS};

void h1_body_init(struct h1_body *b, enum h1_coding coding, uint64_t length, struct arena *a,
                  struct fields *trailers)
{
    bool empty = coding == H1_NONE || (coding == H1_LENGTH && length == 0);
    *b = (struct h1_body){.coding = coding,
                          .part = (uint8_t)(empty                  ? PART_DONE
                                            : coding == H1_CHUNKED ? PART_SIZE
                                                                   : PART_DATA),
                          .left = coding == H1_LENGTH ? length : 0,
                          .arena = a,
                          .fields = trailers};
}

bool h1_body_done(const struct h1_body *b)
{
    return b->part == PART_DONE;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static enum err go(struct h1_body *b, enum part part)
{
    b->part = (uint8_t)part;
    return ERR_OK;
}

static enum err bad(char c)
{
    return c == '\n' ? ERR_BAD_LINE_END : ERR_BAD_CHUNK;
}

static enum err take_size(struct h1_body *b, char c)
{
    int digit = ascii_hex(c);
    if (digit >= 0) {
        if (b->digits == LIMIT_CHUNK_DIGITS || b->left > (INT64_MAX >> 4)) {
            return ERR_BAD_CHUNK;
        }
        b->left = b->left << 4 | (unsigned)digit;
        b->digits++;
        return ERR_OK;
    }
    if (b->digits == 0) {
        return bad(c);
    }
    return c == '\r'     ? go(b, PART_LINE_LF)
           : c == ';'    ? go(b, E_NAME_FIRST)
           : is_space(c) ? go(b, E_BEFORE)
                         : bad(c);
}

/* What may follow a complete extension; spaced: space came already, so that another must follow. */
static enum err extension_end(struct h1_body *b, char c, bool spaced)
{
    if (c == '\r' && !spaced) {
        return go(b, PART_LINE_LF);
    }
    return c == ';' ? go(b, E_NAME_FIRST) : is_space(c) ? go(b, E_BEFORE) : bad(c);
}

static enum err take_name(struct h1_body *b, char c)
{
    bool within = b->part == E_NAME, first = b->part == E_NAME_FIRST;
    if (h1_is_token(c) && (first || within)) {
        return go(b, E_NAME);
    }
    if (first) {
        return is_space(c) ? ERR_OK : bad(c);
    }
    if (c == '=') {
        return go(b, E_VALUE_FIRST);
    }
    if (is_space(c)) {
        return go(b, E_AFTER_NAME);
    }
    return extension_end(b, c, !within);
}

static enum err take_quoted(struct h1_body *b, char c)
{
    if ((unsigned char)c < 0x20 && c != '\t') {
        return bad(c);
    }
    if (c == 0x7f) {
        return ERR_BAD_CHUNK;
    }
    if (b->part == E_ESCAPED) {
        return go(b, E_QUOTED);
    }
    return c == '"' ? go(b, E_AFTER_QUOTED) : c == '\\' ? go(b, E_ESCAPED) : ERR_OK;
}

static enum err take_value(struct h1_body *b, char c)
{
    if (h1_is_token(c)) {
        return go(b, E_VALUE);
    }
    if (b->part == E_VALUE) {
        return extension_end(b, c, false);
    }
    return c == '"' ? go(b, E_QUOTED) : is_space(c) ? ERR_OK : bad(c);
}

static enum err end_line(struct h1_body *b, char c)
{
    if (c != '\n') {
        return ERR_BAD_LINE_END;
    }
    b->line = 0;
    b->digits = 0;
    if (b->left > 0) {
        return go(b, PART_DATA);
    }
    h1_scan_init(&b->trailers, H1_TRAILERS);
    return go(b, PART_TRAILERS);
}

/* One byte of framing. */
static enum err take_byte(struct h1_body *b, char c)
{
    switch (b->part) {
    case PART_SIZE:
        return take_size(b, c);
    case E_BEFORE:
        return c == ';' ? go(b, E_NAME_FIRST) : is_space(c) ? ERR_OK : bad(c);
    case E_NAME_FIRST:
    case E_NAME:
    case E_AFTER_NAME:
        return take_name(b, c);
    case E_VALUE_FIRST:
    case E_VALUE:
        return take_value(b, c);
    case E_QUOTED:
    case E_ESCAPED:
        return take_quoted(b, c);
    case E_AFTER_QUOTED:
        return extension_end(b, c, false);
    case PART_LINE_LF:
        return end_line(b, c);
    case PART_DATA_CR:
        return c == '\r' ? go(b, PART_DATA_LF) : bad(c);
    default: /* PART_DATA_LF: the others are no framing */
        b->line = 0;
        return c == '\n' ? go(b, PART_SIZE) : ERR_BAD_LINE_END;
    }
}

static enum err count_overhead(struct h1_body *b, size_t n)
{
    b->overhead += n;
    return b->overhead > b->content + LIMIT_CHUNK_OVERHEAD ? ERR_CHUNK_OVERHEAD : ERR_OK;
}

static enum err step_framing(struct h1_body *b, struct span in, size_t *used)
{
    size_t i = 0;
    enum err e = ERR_OK;
    while (e == ERR_OK && i < in.n && b->part != PART_DATA && b->part != PART_TRAILERS) {
        b->line++;
        e = b->line > LIMIT_CHUNK_LINE + 2 ? ERR_CHUNK_OVERHEAD : take_byte(b, in.p[i]);
        i++;
        if (e == ERR_OK) {
            e = count_overhead(b, 1);
        }
    }
    *used = i;
    return e;
}

static void step_data(struct h1_body *b, struct span in, size_t *used, struct span *piece)
{
    size_t n = b->coding == H1_CLOSE || in.n < b->left ? in.n : (size_t)b->left;
    *piece = span_sub(in, 0, n);
    *used = n;
    b->content += n;
    if (b->coding == H1_CLOSE) {
        return;
    }
    b->left -= n;
    if (b->left == 0) {
        b->part = b->coding == H1_CHUNKED ? PART_DATA_CR : PART_DONE;
    }
}

static enum err step_trailers(struct h1_body *b, struct span in, size_t *used)
{
    enum err e = h1_scan_run(&b->trailers, &trailer_limits, in);
    if (e == ERR_AGAIN || e == ERR_BAD_LINE_END) {
        return e;
    }
    if (e != ERR_OK) {
        return e == ERR_HEAD_TOO_LARGE ? ERR_TRAILERS_TOO_LARGE : ERR_BAD_CHUNK;
    }
    *used = b->trailers.at;
    b->part = PART_DONE;
    if (b->arena == NULL || b->trailers.fields == 0) {
        return ERR_OK;
    }
    return h1_parse_trailers(&b->trailers, in, b->arena, b->fields);
}

enum err h1_body_step(struct h1_body *b, struct span in, size_t *used, struct span *piece)
{
    *used = 0;
    *piece = SPAN_NONE;
    if (b->part == PART_DONE) {
        return ERR_OK;
    }
    if (in.n == 0) {
        return ERR_AGAIN;
    }
    if (b->part == PART_DATA) {
        step_data(b, in, used, piece);
        return ERR_OK;
    }
    return b->part == PART_TRAILERS ? step_trailers(b, in, used) : step_framing(b, in, used);
}

size_t h1_chunk_line(char out[H1_CHUNK_LINE], uint64_t n)
{
    static const char hex[] = "0123456789abcdef";
    size_t digits = 1;
    while (digits < LIMIT_CHUNK_DIGITS && n >> (4 * digits) != 0) {
        digits++;
    }
    for (size_t i = 0; i < digits; i++) {
        out[i] = hex[n >> (4 * (digits - 1 - i)) & 0xf];
    }
    out[digits] = '\r';
    out[digits + 1] = '\n';
    return digits + 2;
}
