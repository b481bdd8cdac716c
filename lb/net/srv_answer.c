#include "net/srv_answer.h"

#define HEAD_BYTES  12
#define TYPE_CNAME  5
#define TYPE_SRV    33
#define CLASS_IN    1
#define LABEL_BYTES 63
#define ALIAS_MOST  8 /* in a row */

struct message {
    const uint8_t *p;
    size_t n;
    size_t answers; /* where they begin */
    unsigned answer_count;
};

struct record {
    char owner[LIMIT_NAME_BYTES + 1];
    unsigned type, class;
    uint32_t ttl_s;
    size_t data, data_n, next; /* offsets */
};

static unsigned u16(const struct message *m, size_t at)
{
    return (unsigned)m->p[at] << 8 | m->p[at + 1];
}

static bool label_byte(uint8_t c)
{
    return ascii_alpha((char)c) || ascii_digit((char)c) || c == '-' || c == '_';
}

/* Appends a label; false: it is none of a host name, or too much. */
static bool put_label(const uint8_t *from, size_t n, char *out, size_t *at)
{
    size_t dot = *at > 0 ? 1 : 0;
    if (*at + dot + n > LIMIT_NAME_BYTES)
        return false;
    if (dot != 0)
        out[(*at)++] = '.';
    for (size_t i = 0; i < n; i++) {
        if (!label_byte(from[i]))
            return false;
        out[(*at)++] = (char)from[i];
    }
    return true;
}

/* The name at `at`, its compression undone: a pointer must lead back behind the last one, so that
 * none goes round. *end is what follows. False: broken; *plain false: it is not a host name. */
static bool read_name(const struct message *m, size_t at, char out[LIMIT_NAME_BYTES + 1],
                      size_t *end, bool *plain)
{
    size_t n = 0, least = at;
    bool jumped = false;
    *plain = true;
    for (;;) {
        if (at >= m->n)
            return false;
        size_t len = m->p[at];
        if (len >= 0xC0) {
            if (at + 2 > m->n)
                return false;
            size_t to = u16(m, at) & 0x3FFF;
            *end = jumped ? *end : at + 2;
            jumped = true;
            if (to >= least)
                return false;
            at = least = to;
            continue;
        }
        if (len > LABEL_BYTES || at + 1 + len > m->n)
            return false;
        if (len == 0)
            break;
        *plain = *plain && put_label(m->p + at + 1, len, out, &n);
        at += 1 + len;
    }
    *end = jumped ? *end : at + 1;
    out[*plain ? n : 0] = '\0';
    return true;
}

static bool read_head(struct message *m, char question[LIMIT_NAME_BYTES + 1])
{
    bool plain;
    size_t end;
    if (m->n < HEAD_BYTES || (m->p[2] & 0x80) == 0 || u16(m, 4) != 1)
        return false;
    if (!read_name(m, HEAD_BYTES, question, &end, &plain) || !plain || end + 4 > m->n ||
        u16(m, end) != TYPE_SRV)
        return false;
    m->answers = end + 4;
    m->answer_count = u16(m, 6);
    return true;
}

static bool read_record(const struct message *m, size_t at, struct record *r)
{
    bool plain;
    size_t end;
    if (!read_name(m, at, r->owner, &end, &plain) || end + 10 > m->n)
        return false;
    r->type = u16(m, end);
    r->class = u16(m, end + 2);
    r->ttl_s = (uint32_t)u16(m, end + 4) << 16 | u16(m, end + 6);
    if (r->ttl_s > INT32_MAX) /* RFC 2181 section 8 */
        r->ttl_s = 0;
    r->data = end + 10;
    r->data_n = u16(m, end + 8);
    r->next = r->data + r->data_n;
    return r->next <= m->n;
}

static bool is_of(const struct record *r, unsigned type, const char *name)
{
    return r->type == type && r->class == CLASS_IN &&
           span_eq_nocase(span_str(r->owner), span_str(name));
}

static void add_ttl(struct srv_answer *out, const struct record *r)
{
    out->ttl_s = r->ttl_s < out->ttl_s ? r->ttl_s : out->ttl_s;
}

/* The name that the alias of `name` stands for; *found false: it has none. */
static enum err follow(const struct message *m, char name[LIMIT_NAME_BYTES + 1],
                       struct srv_answer *out, bool *found)
{
    struct record r;
    size_t at = m->answers, end;
    bool plain;
    *found = false;
    for (unsigned i = 0; i < m->answer_count && !*found; i++, at = r.next) {
        if (!read_record(m, at, &r))
            return ERR_CORRUPT;
        if (!is_of(&r, TYPE_CNAME, name))
            continue;
        if (!read_name(m, r.data, name, &end, &plain) || end != r.next || !plain)
            return ERR_CORRUPT;
        add_ttl(out, &r);
        *found = true;
    }
    return ERR_OK;
}

static enum err take(const struct message *m, const struct record *r, struct srv_answer *out)
{
    size_t end;
    bool plain;
    char target[LIMIT_NAME_BYTES + 1];
    if (r->data_n < 7 || !read_name(m, r->data + 6, target, &end, &plain) || end != r->next)
        return ERR_CORRUPT;
    add_ttl(out, r);
    if (!plain || target[0] == '\0' || u16(m, r->data + 4) == 0)
        return ERR_OK;
    if (out->count == LIMIT_NAME_ADDRESSES)
        return ERR_FULL;
    struct srv_record *to = &out->records[out->count++];
    to->priority = (uint16_t)u16(m, r->data);
    to->weight = (uint16_t)u16(m, r->data + 2);
    to->port = (uint16_t)u16(m, r->data + 4);
    memcpy(to->target, target, sizeof target);
    return ERR_OK;
}

enum err srv_answer_read(struct span bytes, struct srv_answer *out)
{
    struct message m = {.p = (const uint8_t *)bytes.p, .n = bytes.n};
    char name[LIMIT_NAME_BYTES + 1];
    struct record r;
    bool alias = true;
    enum err e = ERR_OK;
    out->count = 0;
    out->ttl_s = UINT32_MAX;
    if (!read_head(&m, name))
        return ERR_CORRUPT;
    for (unsigned i = 0; alias && e == ERR_OK; i++)
        e = i == ALIAS_MOST ? ERR_CORRUPT : follow(&m, name, out, &alias);
    size_t at = m.answers;
    for (unsigned i = 0; i < m.answer_count && e == ERR_OK; i++, at = r.next) {
        if (!read_record(&m, at, &r))
            return ERR_CORRUPT;
        if (is_of(&r, TYPE_SRV, name))
            e = take(&m, &r, out);
    }
    return e != ERR_OK ? e : out->count > 0 ? ERR_OK : ERR_NOT_FOUND;
}

uint8_t srv_rank(const struct srv_answer *answer, size_t record)
{
    unsigned lower = 0;
    for (size_t i = 0; i < answer->count; i++) {
        uint16_t priority = answer->records[i].priority;
        bool first = true;
        for (size_t k = 0; k < i; k++)
            first = first && answer->records[k].priority != priority;
        lower += first && priority < answer->records[record].priority;
    }
    return (uint8_t)(lower < LIMIT_RANKS ? lower : LIMIT_RANKS - 1);
}

uint16_t srv_weight(const struct srv_answer *answer, size_t record)
{
    uint32_t largest = 0, weight = answer->records[record].weight;
    for (size_t i = 0; i < answer->count; i++)
        largest = answer->records[i].weight > largest ? answer->records[i].weight : largest;
    if (largest == 0)
        return 0;
    if (largest > LIMIT_WEIGHT)
        weight = weight * LIMIT_WEIGHT / largest;
    return (uint16_t)(weight > 0 ? weight : 1);
}
