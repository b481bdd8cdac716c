#include "h1.h"

#include <string.h>
#include <strings.h>

static bool has_token(const char *value, size_t len, const char *token)
{
    size_t need = strlen(token);
    for (size_t i = 0; i + need <= len; i++)
        if (strncasecmp(value + i, token, need) == 0)
            return true;
    return false;
}

static bool read_length(struct h1_head *head, const char *value, size_t len)
{
    if (!len || len > 18)
        return false;
    head->length = 0;
    for (size_t i = 0; i < len; i++) {
        if (value[i] < '0' || value[i] > '9')
            return false;
        head->length = head->length * 10 + (uint64_t)(value[i] - '0');
    }
    head->has_length = true;
    return true;
}

#define NAME_IS(name, len, text) ((len) == sizeof(text) - 1 && strncasecmp(name, text, len) == 0)

static bool read_field(struct h1_head *head, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    if (!colon)
        return false;
    size_t name_len = (size_t)(colon - line);
    const char *value = colon + 1;
    const char *end = line + len;
    while (value < end && *value == ' ')
        value++;
    size_t value_len = (size_t)(end - value);
    if (NAME_IS(line, name_len, "content-length"))
        return read_length(head, value, value_len);
    if (NAME_IS(line, name_len, "transfer-encoding"))
        head->chunked = has_token(value, value_len, "chunked");
    else if (NAME_IS(line, name_len, "connection")) {
        if (has_token(value, value_len, "close"))
            head->close = true;
        else if (head->http10 && has_token(value, value_len, "keep-alive"))
            head->close = false;
    } else if (NAME_IS(line, name_len, "expect"))
        head->expects_continue = has_token(value, value_len, "100-continue");
    else if (NAME_IS(line, name_len, "x-origin")) {
        head->origin = value;
        head->origin_len = value_len;
    }
    return true;
}

/* The fields after the first line, whose bytes were checked by the caller. */
static int read_fields(struct h1_head *head, const char *line, const char *end)
{
    while (line < end) {
        const char *lf = memchr(line, '\n', (size_t)(end - line));
        if (!lf || lf == line || lf[-1] != '\r')
            return -1;
        size_t len = (size_t)(lf - 1 - line);
        if (len && !read_field(head, line, len))
            return -1;
        line = lf + 1;
    }
    return 1;
}

static const char *find_end(const char *data, size_t len)
{
    const char *end = memmem(data, len, "\r\n\r\n", 4);
    return end ? end + 4 : NULL;
}

int h1_head_request(struct h1_head *head, const char *data, size_t len)
{
    const char *end = find_end(data, len);
    if (!end)
        return 0;
    *head = (struct h1_head){.size = (size_t)(end - data)};
    const char *lf = memchr(data, '\n', head->size);
    const char *space = memchr(data, ' ', (size_t)(lf - data));
    if (!space || space == data)
        return -1;
    head->method = data;
    head->method_len = (size_t)(space - data);
    head->target = space + 1;
    const char *second = memchr(head->target, ' ', (size_t)(lf - head->target));
    if (!second || lf - second != 10 || memcmp(second + 1, "HTTP/1.", 7) != 0)
        return -1;
    head->target_len = (size_t)(second - head->target);
    head->http10 = second[8] == '0';
    head->close = head->http10;
    return read_fields(head, lf + 1, end);
}

int h1_head_response(struct h1_head *head, const char *data, size_t len)
{
    const char *end = find_end(data, len);
    if (!end)
        return 0;
    *head = (struct h1_head){.size = (size_t)(end - data)};
    if (len < 13 || memcmp(data, "HTTP/1.", 7) != 0 || data[8] != ' ')
        return -1;
    for (size_t i = 9; i < 12; i++) {
        if (data[i] < '0' || data[i] > '9')
            return -1;
        head->status = head->status * 10 + (data[i] - '0');
    }
    head->http10 = data[7] == '0';
    head->close = head->http10;
    const char *lf = memchr(data, '\n', head->size);
    return read_fields(head, lf + 1, end);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of a chunk-size line. */
static bool feed_size(struct h1_chunked *chunked, char c)
{
    int digit = chunked->state == H1_SIZE ? hex_value(c) : -1;
    if (digit >= 0) {
        chunked->left = chunked->left << 4 | (uint64_t)digit;
        chunked->digits = true;
        return chunked->left < (uint64_t)1 << 60;
    }
    if (!chunked->digits)
        return false;
    chunked->state = H1_EXTENSION;
    if (c == '\n')
        chunked->state = chunked->left ? H1_DATA : H1_TRAILER;
    return true;
}

/* One byte outside the chunks' data. */
static bool feed_line(struct h1_chunked *chunked, char c)
{
    switch (chunked->state) {
    case H1_SIZE:
    case H1_EXTENSION:
        return feed_size(chunked, c);
    case H1_DATA_END:
        if (c == '\n') {
            chunked->state = H1_SIZE;
            chunked->digits = false;
        }
        return c == '\r' || c == '\n';
    case H1_TRAILER:
        if (c == '\n')
            chunked->state = H1_END;
        else if (c != '\r')
            chunked->state = H1_TRAILER_LINE;
        return true;
    case H1_TRAILER_LINE:
        if (c == '\n')
            chunked->state = H1_TRAILER;
        return true;
    case H1_DATA:
    case H1_END:
        break;
    }
    return false;
}

size_t h1_chunked_feed(struct h1_chunked *chunked, const char *data, size_t len)
{
    size_t used = 0;
    while (used < len && chunked->state != H1_END) {
        if (chunked->state != H1_DATA) {
            if (!feed_line(chunked, data[used]))
                return SIZE_MAX;
            used++;
            continue;
        }
        uint64_t take = len - used < chunked->left ? len - used : chunked->left;
        used += (size_t)take;
        chunked->left -= take;
        chunked->body += take;
        if (!chunked->left)
            chunked->state = H1_DATA_END;
    }
    return used;
}
