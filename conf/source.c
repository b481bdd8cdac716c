#include "conf/source.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_BYTES   KIB(16) /* a longer line makes the YAML scanner slow: quadratic on blanks */
#define QUOTES_MOST  8   /* libfyaml 0.7 loses memory over more of ' in a row inside of quotes */
#define LINE_SHOWN   120 /* characters of a line in a message */
#define LINE_BEFORE  60  /* of them before the column, in a line that is longer */
#define QUOTED_BYTES 64
#define ARENA_BLOCK  KIB(64)
#define READ_BYTES   KIB(64)
#define READ_WAIT_MS 2000 /* for what is no file: whoever writes it may be gone */
#define READ_MOST_MS 5000 /* for all of it: one who writes a byte now and then never ends */
#define ARENA_MOST   MIB(256)

struct conf_source *source_new(const char *name, struct span text)
{
    struct conf_source *s = mem_alloc(sizeof *s);
    if (s == NULL)
        return NULL;
    arena_init(&s->arena, NULL, ARENA_BLOCK, ARENA_MOST);
    size_t file;
    if (source_add(s, name, text, &file) != ERR_OK)
        source_free(&s);
    return s;
}

enum err source_add(struct conf_source *source, const char *name, struct span text, size_t *file)
{
    struct conf_file *f = &source->files[source->count];
    if (span_starts(text, SPAN("\xEF\xBB\xBF")))
        text = span_sub(text, 3, text.n);
    if (text.n > LIMIT_CONF_BYTES - source->bytes)
        return ERR_RANGE;
    f->name = arena_copy(&source->arena, span_str(name));
    f->text = arena_copy(&source->arena, text.p != NULL ? text : SPAN(""));
    if (f->name.p == NULL || f->text.p == NULL)
        return ERR_NO_MEMORY;
    source->bytes += text.n;
    *file = source->count++;
    return ERR_OK;
}

void source_free(struct conf_source **source)
{
    if (*source == NULL)
        return;
    arena_reset(&(*source)->arena);
    mem_free(*source);
    *source = NULL;
}

/* How long to wait for the next piece. Files are always ready, however late it is. */
static int wait_ms(int64_t end_ns)
{
    int64_t left_ms = (end_ns - clock_mono_ns()) / NS_PER_MS;
    return left_ms < 0 ? 0 : left_ms < READ_WAIT_MS ? (int)left_ms : READ_WAIT_MS;
}

/* -EAGAIN: a pipe into which nobody writes, or too slowly. */
static ssize_t read_piece(int fd, char *to, int64_t end_ns)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    ssize_t n;
    do {
        if (poll(&ready, 1, wait_ms(end_ns)) == 0)
            return -EAGAIN;
        n = read(fd, to, READ_BYTES);
    } while (n < 0 && (errno == EINTR || errno == EAGAIN));
    return n < 0 ? -errno : n;
}

enum err source_read(const char *path, struct buf *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_from_errno(errno);
    int64_t end_ns = clock_mono_ns() + READ_MOST_MS * NS_PER_MS;
    ssize_t n = 1;
    while (n > 0 && buf_len(text) <= LIMIT_CONF_BYTES && buf_reserve(text, READ_BYTES)) {
        n = read_piece(fd, text->p + text->n, end_ns);
        text->n += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    if (n == -EISDIR)
        return ERR_EXISTS;
    if (n < 0)
        return n == -EAGAIN ? ERR_UNSUPPORTED : err_from_errno((int)-n);
    return text->failed ? ERR_NO_MEMORY : ERR_OK;
}

const char *source_why(enum err e)
{
    switch ((int)e) {
    case ERR_PERMISSION:
        return "permission denied; the user that Meridian runs as must be able to read it";
    case ERR_EXISTS:
        return "it is a folder; name the file in it";
    case ERR_UNSUPPORTED:
        return "it is a pipe or a device; a file is wanted";
    default:
        return err_phrase(e);
    }
}

/* The length of the UTF-8 character at p (RFC 3629), 0 where there is none; *code is its number. */
static size_t character_at(struct span s, size_t at, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *p = (const unsigned char *)s.p + at;
    size_t n = *p < 0x80 ? 1 : *p >> 5 == 6 ? 2 : *p >> 4 == 14 ? 3 : *p >> 3 == 30 ? 4 : 0;
    if (n == 0 || s.n - at < n)
        return 0;
    *code = n == 1 ? *p : *p & (0x7Fu >> n);
    for (size_t i = 1; i < n; i++) {
        if (p[i] >> 6 != 2)
            return 0;
        *code = *code << 6 | (p[i] & 0x3F);
    }
    bool wrong = *code < least[n] || *code > 0x10FFFF || (*code >= 0xD800 && *code <= 0xDFFF);
    return wrong ? 0 : n;
}

/* YAML 1.2 section 5.1 (c-printable) without the line breaks of other scripts, which editors count
 * differently. */
static bool allowed_character(uint32_t c)
{
    if (c < 0x20)
        return c == '\t' || c == '\n' || c == '\r';
    return !(c >= 0x7F && c <= 0x9F) && c != 0x2028 && c != 0x2029 && c != 0xFEFF && c != 0xFFFE &&
           c != 0xFFFF;
}

/* The line number `line` (from 1) without its end. */
static struct span line_of(struct span text, uint32_t line)
{
    struct span head = SPAN_NONE;
    struct span rest = text;
    for (uint32_t i = 0; i < line; i++)
        rest = span_cut(rest, '\n', &head);
    if (head.n > 0 && head.p[head.n - 1] == '\r')
        head.n--;
    return head;
}

bool source_check(const struct conf_source *source, size_t file, struct conf_messages *m)
{
    struct span text = source->files[file].text;
    size_t before = m->errors;
    struct conf_mark at = {.line = 1, .column = 1, .width = 1, .file = (uint32_t)file};
    size_t line_start = 0, quotes = 0;
    for (size_t i = 0, n = 0; i < text.n && source_wanted(m); i += n, at.column++) {
        uint32_t code = 0;
        n = character_at(text, i, &code);
        if (n == 0) {
            conf_report(m, at, "byte 0x%02x is not UTF-8; the file must be UTF-8 text",
                        (unsigned)(unsigned char)text.p[i]);
            return false;
        }
        if (!allowed_character(code))
            conf_report(m, at, "character U+%04X is not allowed; use an escape in double quotes",
                        (unsigned)code);
        if (i - line_start <= LINE_BYTES && i - line_start + n > LINE_BYTES)
            conf_report(m, at, "the line is too long; at most %zu bytes are allowed", LINE_BYTES);
        quotes = code == '\'' ? quotes + 1 : 0;
        if (quotes == QUOTES_MOST + 1)
            conf_report(m, at, "too many ' in a row, at most %d are allowed; use double quotes",
                        QUOTES_MOST);
        if (code == '\n') {
            line_start = i + 1;
            at.line++;
            at.column = 0;
        }
    }
    return m->errors == before;
}

struct span source_clip(struct span s)
{
    if (s.n <= QUOTED_BYTES)
        return s;
    size_t n = QUOTED_BYTES;
    while (n > 0 && ((unsigned char)s.p[n] & 0xC0) == 0x80)
        n--;
    return span_of(s.p, n);
}

/* Appends text with what could command a terminal replaced. */
static void put_plain(struct buf *out, struct span s)
{
    uint32_t code = 0;
    for (size_t i = 0, n = 0; i < s.n; i += n) {
        n = character_at(s, i, &code);
        if (n == 0 || (!allowed_character(code) || code < 0x20))
            buf_put_char(out, code == '\t' && n == 1 ? ' ' : '?');
        else
            buf_put(out, s.p + i, n);
        if (n == 0)
            n = 1;
    }
}

/* The bytes that the first `characters` characters of s take. */
static size_t bytes_of(struct span s, size_t characters)
{
    size_t i = 0;
    for (size_t c = 0; i < s.n && (c < characters || ((unsigned char)s.p[i] & 0xC0) == 0x80); i++)
        c += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    /* Step over the rest of the last character. */
    while (i < s.n && ((unsigned char)s.p[i] & 0xC0) == 0x80)
        i++;
    return i;
}

/* The line and the caret under it; a long line is cut around the column. */
static void put_line(struct buf *out, struct span line, struct conf_mark mark)
{
    size_t skip = mark.column > LINE_SHOWN ? mark.column - LINE_BEFORE : 0;
    struct span shown = span_sub(line, bytes_of(line, skip), line.n);
    size_t most = bytes_of(shown, LINE_SHOWN);
    buf_put_str(out, skip > 0 ? "  …" : "  ");
    put_plain(out, span_sub(shown, 0, most));
    buf_put_str(out, most < shown.n ? "…\n  " : "\n  ");
    size_t blanks = mark.column - 1 - skip + (skip > 0);
    for (size_t i = 0; i < blanks; i++)
        buf_put_char(out, ' ');
    buf_put_char(out, '^');
    for (size_t i = 1; i < mark.width && blanks + i < LINE_SHOWN; i++)
        buf_put_char(out, '~');
    buf_put_char(out, '\n');
}

void conf_messages_init(struct conf_messages *m, const struct conf *conf, struct buf *out)
{
    *m = (struct conf_messages){.source = conf->source, .out = out};
}

static void put_message(struct conf_messages *m, struct conf_mark mark, const char *word,
                        const char *format, va_list ap)
{
    char memory[1024];
    struct buf text;
    buf_fixed(&text, memory, sizeof memory);
    int n = vsnprintf(memory, sizeof memory, format, ap);
    text.n = n < 0 ? 0 : (size_t)n < sizeof memory ? (size_t)n : sizeof memory - 1;
    put_plain(m->out, source_name(m->source, &mark));
    if (mark.line > 0)
        buf_printf(m->out, ":%u:%u", (unsigned)mark.line, (unsigned)mark.column);
    buf_printf(m->out, ": %s: ", word);
    put_plain(m->out, buf_span(&text));
    buf_put_char(m->out, '\n');
    if (mark.line > 0)
        put_line(m->out, line_of(m->source->files[mark.file].text, mark.line), mark);
}

void conf_report(struct conf_messages *m, struct conf_mark mark, const char *format, ...)
{
    if (m->errors++ >= CONF_MESSAGES_MOST)
        return;
    va_list ap;
    va_start(ap, format);
    put_message(m, mark, "error", format, ap);
    va_end(ap);
}

void conf_warn(struct conf_messages *m, struct conf_mark mark, const char *format, ...)
{
    if (m->warnings++ >= CONF_MESSAGES_MOST)
        return;
    va_list ap;
    va_start(ap, format);
    put_message(m, mark, "warning", format, ap);
    va_end(ap);
}

void source_finish(struct conf_messages *m)
{
    if (m->errors <= CONF_MESSAGES_MOST)
        return;
    put_plain(m->out, m->source->files[0].name);
    buf_printf(m->out, ": error: %zu more errors are not shown\n", m->errors - CONF_MESSAGES_MOST);
}
