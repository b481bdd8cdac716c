#include "geo/verify.h"

#include "base/limits.h"
#include "base/mem.h"

#define METADATA_MOST KIB(128) /* the format lets readers look no further back for the marker */
#define SEPARATOR     16       /* zero bytes between tree and data; records count from before it */
#define DEPTH_TREE    128      /* bits of an IPv6 address */
#define PASSES        8        /* how often each byte of the data may be visited, on average */

static const char marker[] = "\xab\xcd\xef"
                             "MaxMind.com";
#define MARKER_BYTES (sizeof marker - 1)

enum type {
    TYPE_POINTER = 1,
    TYPE_TEXT = 2,
    TYPE_DOUBLE = 3,
    TYPE_BYTES = 4,
    TYPE_UINT16 = 5,
    TYPE_UINT32 = 6,
    TYPE_MAP = 7,
    TYPE_INT32 = 8,
    TYPE_UINT64 = 9,
    TYPE_UINT128 = 10,
    TYPE_ARRAY = 11,
    TYPE_BOOLEAN = 14,
    TYPE_FLOAT = 15
};

/* A section of the file: pointers are offsets in it. */
struct section {
    const unsigned char *p;
    size_t n;
    uint64_t steps; /* items that may still be visited */
    unsigned char
        *seen; /* a bit for each offset where a verified value begins; NULL: no memory of it */
    const char *why;
};

struct item {
    unsigned type;
    size_t size; /* bytes of a scalar, pairs of a map, elements of an array, 0 or 1 of a boolean */
    size_t target; /* of a pointer */
};

static bool refuse(struct section *s, const char *why)
{
    s->why = why;
    return false;
}

/* Big-endian number of n bytes at *at, which must be inside the section. */
static bool read_number(struct section *s, size_t *at, size_t n, size_t *out)
{
    if (n > s->n || *at > s->n - n)
        return refuse(s, "a value runs past the end of its section");
    *out = 0;
    for (size_t i = 0; i < n; i++)
        *out = *out << 8 | s->p[(*at)++];
    return true;
}

static bool read_pointer(struct section *s, size_t *at, unsigned bits, struct item *out)
{
    static const size_t base[] = {0, 2048, 526336, 0};
    unsigned width = bits >> 3;
    size_t low = 0;
    if (!read_number(s, at, width + 1, &low))
        return false;
    size_t high = width == 3 ? 0 : (size_t)(bits & 7) << (8 * (width + 1));
    out->target = high + low + base[width];
    if (out->target >= s->n)
        return refuse(s, "a pointer leads out of its section");
    return true;
}

static bool read_size(struct section *s, size_t *at, unsigned bits, size_t *out)
{
    static const size_t base[] = {29, 285, 65821};
    *out = bits;
    if (bits < 29)
        return true;
    size_t more = 0;
    if (!read_number(s, at, bits - 28, &more))
        return false;
    *out = more + base[bits - 29];
    return true;
}

static bool size_fits(unsigned type, size_t size)
{
    switch (type) {
    case TYPE_DOUBLE:
        return size == 8;
    case TYPE_FLOAT:
        return size == 4;
    case TYPE_UINT16:
        return size <= 2;
    case TYPE_UINT32:
    case TYPE_INT32:
        return size <= 4;
    case TYPE_UINT64:
        return size <= 8;
    case TYPE_UINT128:
        return size <= 16;
    case TYPE_BOOLEAN:
        return size <= 1;
    case TYPE_TEXT:
    case TYPE_BYTES:
    case TYPE_MAP:
    case TYPE_ARRAY:
        return true;
    default:
        return false;
    }
}

/* Reads the head of the value at *at and moves past it; for a scalar past its bytes too. */
static bool read_item(struct section *s, size_t *at, struct item *out)
{
    size_t control = 0, more = 0;
    *out = (struct item){0};
    if (s->steps == 0)
        return refuse(s, "its records overlap too much");
    s->steps--;
    if (!read_number(s, at, 1, &control))
        return false;
    out->type = (unsigned)control >> 5;
    unsigned bits = (unsigned)control & 31;
    if (out->type == TYPE_POINTER)
        return read_pointer(s, at, bits, out);
    if (out->type == 0) {
        if (!read_number(s, at, 1, &more))
            return false;
        out->type = 7 + (unsigned)more;
    }
    if (!read_size(s, at, bits, &out->size))
        return false;
    if (!size_fits(out->type, out->size))
        return refuse(s, "a value has an unknown type or a wrong size");
    if (out->type == TYPE_MAP || out->type == TYPE_ARRAY || out->type == TYPE_BOOLEAN)
        return true;
    if (out->size > s->n - *at)
        return refuse(s, "a value runs past the end of its section");
    *at += out->size;
    return true;
}

static bool seen(const struct section *s, size_t offset)
{
    return s->seen != NULL && (s->seen[offset / 8] >> (offset % 8) & 1) != 0;
}

static void mark_seen(struct section *s, size_t offset)
{
    if (s->seen != NULL)
        s->seen[offset / 8] = (unsigned char)(s->seen[offset / 8] | 1u << (offset % 8));
}

static bool check_from(struct section *s, size_t offset, unsigned depth);

/* Follows a pointer; a target that was found good before is not visited again. */
static bool check_target(struct section *s, const struct item *item, unsigned depth, bool key)
{
    size_t at = item->target;
    struct item there;
    if (!read_item(s, &at, &there))
        return false;
    if (there.type == TYPE_POINTER)
        return refuse(s, "a pointer leads to a pointer");
    if (key && there.type != TYPE_TEXT)
        return refuse(s, "a key is not text");
    return check_from(s, item->target, depth + 1);
}

static bool check_value(struct section *s, size_t *at, unsigned depth, unsigned *left);

static bool check_key(struct section *s, size_t *at, unsigned depth, unsigned *left)
{
    struct item item;
    if (*left == 0)
        return refuse(s, "a record has too many values");
    --*left;
    if (!read_item(s, at, &item))
        return false;
    if (item.type == TYPE_POINTER)
        return check_target(s, &item, depth, true);
    if (item.type != TYPE_TEXT)
        return refuse(s, "a key is not text");
    return true;
}

/* Verifies the value at *at and moves past it. left: how many more may follow in this record. */
static bool check_value(struct section *s, size_t *at, unsigned depth, unsigned *left)
{
    struct item item;
    if (depth > VERIFY_DEPTH)
        return refuse(s, "a record is nested too deeply");
    if (*left == 0)
        return refuse(s, "a record has too many values");
    --*left;
    if (!read_item(s, at, &item))
        return false;
    if (item.type == TYPE_POINTER)
        return check_target(s, &item, depth, false);
    if (item.type != TYPE_MAP && item.type != TYPE_ARRAY)
        return true;
    for (size_t i = 0; i < item.size; i++) {
        if (item.type == TYPE_MAP && !check_key(s, at, depth, left))
            return false;
        if (!check_value(s, at, depth + 1, left))
            return false;
    }
    return true;
}

/* Verifies the value that begins at an offset, and remembers it once it is known to be good: a
 * circle is therefore never remembered and ends at the depth's bound. */
static bool check_from(struct section *s, size_t offset, unsigned depth)
{
    size_t at = offset;
    unsigned left = VERIFY_ITEMS;
    if (seen(s, offset))
        return true;
    if (!check_value(s, &at, depth, &left))
        return false;
    mark_seen(s, offset);
    return true;
}

/* Reads the head of the value at *at, or of what it points to, and moves past it. What a map or
 * array holds follows at *inside. Where it fails s->why says so and *out is nothing. */
static void read_through(struct section *s, size_t *at, struct item *out, size_t *inside)
{
    (void)read_item(s, at, out);
    *inside = *at;
    if (out->type == TYPE_POINTER) {
        *inside = out->target;
        (void)read_item(s, inside, out);
    }
}

/* A list in the metadata has nothing but texts in it: libmaxminddb 1.7 leaks memory where that is
 * not so. `at` is where the list begins, known to be well-formed. */
static void check_texts(struct section *s, size_t at)
{
    struct item list, item;
    size_t inside, ignored;
    read_through(s, &at, &list, &inside);
    size_t n = list.type == TYPE_MAP ? 2 * list.size : list.type == TYPE_ARRAY ? list.size : 0;
    for (size_t i = 0; i < n && s->why == NULL; i++) {
        read_through(s, &inside, &item, &ignored);
        if (item.type != TYPE_TEXT)
            (void)refuse(s, "its languages or descriptions are not all text");
    }
}

/* The metadata's own map, known to be well-formed. */
static bool check_metadata_lists(struct section *s)
{
    struct item map, key;
    size_t at = 0, end = 0;
    (void)read_item(s, &at, &map);
    if (map.type != TYPE_MAP)
        return refuse(s, "its metadata are not a map");
    for (size_t i = 0; i < map.size && s->why == NULL; i++) {
        unsigned left = VERIFY_ITEMS;
        read_through(s, &at, &key, &end);
        struct span name = span_of((const char *)s->p + end - key.size, key.size);
        if (span_eq(name, SPAN("languages")) || span_eq(name, SPAN("description")))
            check_texts(s, at);
        (void)check_value(s, &at, 0, &left);
    }
    return s->why == NULL;
}

enum err verify_metadata(struct span file, size_t *at, struct verify_report *report)
{
    *report = (struct verify_report){.why = NULL};
    size_t from = file.n > METADATA_MOST ? file.n - METADATA_MOST : 0;
    size_t found = file.n;
    for (size_t i = from; i + MARKER_BYTES <= file.n; i++)
        if (memcmp(file.p + i, marker, MARKER_BYTES) == 0)
            found = i;
    if (found == file.n) {
        report->why = "no MaxMind metadata in it";
        return ERR_CORRUPT;
    }
    *at = found + MARKER_BYTES;
    /* Nothing is remembered here: the library copies what pointers lead to, each time. */
    struct section s = {
        .p = (const unsigned char *)file.p + *at, .n = file.n - *at, .steps = 3ull * VERIFY_ITEMS};
    if (!check_from(&s, 0, 0) || !check_metadata_lists(&s)) {
        report->why = s.why;
        return ERR_CORRUPT;
    }
    return ERR_OK;
}

/* The walk of the search tree. */
struct tree {
    const unsigned char *p;
    uint32_t nodes;
    unsigned node_bytes;
    unsigned bits; /* of an address: no path is longer */
    unsigned char
        *height; /* of each finished node: nodes on its longest path down; 0: not finished */
    struct section data;
    struct verify_report *report;
    unsigned depth; /* used of path */
    struct {
        uint32_t node;
        unsigned side; /* next record to look at; 2: both done */
    } path[DEPTH_TREE];
};

static uint32_t tree_record(const struct tree *t, uint32_t node, unsigned side)
{
    const unsigned char *p = t->p + (size_t)node * t->node_bytes;
    unsigned bytes = t->node_bytes / 2;
    uint32_t high = 0;
    if (t->node_bytes == 7) /* 28 bits: the middle byte holds the high four of both */
        high = side == 0 ? (uint32_t)p[3] >> 4 : (uint32_t)p[3] & 15;
    p += side == 0 ? 0 : t->node_bytes - bytes;
    uint32_t low = 0;
    for (unsigned i = 0; i < bytes; i++)
        low = low << 8 | p[i];
    return t->node_bytes == 7 ? high << 24 | low : low;
}

static bool tree_leaf(struct tree *t, uint32_t record)
{
    struct verify_report *r = t->report;
    if (record == t->nodes)
        return true;
    size_t offset = (size_t)record - t->nodes;
    if (offset < SEPARATOR || offset - SEPARATOR >= t->data.n)
        return refuse(&t->data, "its search tree leads out of the data");
    offset -= SEPARATOR;
    if (seen(&t->data, offset))
        return true;
    struct item item;
    size_t at = offset;
    if (!read_item(&t->data, &at, &item))
        return false;
    if (item.type == TYPE_POINTER)
        return refuse(&t->data, "its search tree leads to a pointer");
    if (!check_from(&t->data, offset, 0))
        return false;
    r->records++;
    if (r->samples < VERIFY_SAMPLES)
        r->sample[r->samples++] = (uint32_t)offset;
    return true;
}

static bool tree_push(struct tree *t, uint32_t node)
{
    if (t->depth >= t->bits)
        return refuse(&t->data, "its search tree is deeper than an address is long");
    t->path[t->depth].node = node;
    t->path[t->depth].side = 0;
    t->depth++;
    return true;
}

/* The node at the end of the path is done: its height becomes known. */
static void tree_pop(struct tree *t)
{
    uint32_t node = t->path[--t->depth].node;
    unsigned tallest = 0;
    for (unsigned side = 0; side < 2; side++) {
        uint32_t record = tree_record(t, node, side);
        if (record < t->nodes && t->height[record] > tallest)
            tallest = t->height[record];
    }
    t->height[node] = (unsigned char)(tallest + 1);
}

/* Depth first, each node once. A circle never gets a height and so ends at the depth's bound; parts
 * of the tree that are shared on purpose (IPv4 under several IPv6 prefixes) are measured, not
 * repeated. */
static bool tree_walk(struct tree *t)
{
    t->path[0].node = 0;
    t->path[0].side = 0;
    t->depth = 1;
    while (t->depth > 0) {
        unsigned top = t->depth - 1;
        if (t->path[top].side == 2) {
            tree_pop(t);
            continue;
        }
        uint32_t record = tree_record(t, t->path[top].node, t->path[top].side++);
        if (record >= t->nodes) {
            if (!tree_leaf(t, record))
                return false;
        } else if (t->height[record] == 0) {
            if (!tree_push(t, record))
                return false;
        } else if (t->depth + t->height[record] > t->bits) {
            return refuse(&t->data, "its search tree is deeper than an address is long");
        }
    }
    return true;
}

static enum err tree_run(struct tree *t)
{
    t->height = mem_alloc(t->nodes);
    t->data.seen = mem_alloc(t->data.n / 8 + 1);
    enum err e = ERR_NO_MEMORY;
    if (t->height == NULL || t->data.seen == NULL)
        t->report->why = "no memory to verify it";
    else if (tree_walk(t))
        e = ERR_OK;
    else {
        t->report->why = t->data.why;
        e = ERR_CORRUPT;
    }
    mem_free(t->height);
    mem_free(t->data.seen);
    return e;
}

enum err verify_tree(struct span file, size_t metadata_at, const struct verify_tree *tree,
                     struct verify_report *report)
{
    bool known_bits = tree->record_bits == 24 || tree->record_bits == 28 || tree->record_bits == 32;
    if (!known_bits || (tree->ip_version != 4 && tree->ip_version != 6)) {
        report->why = "its record size or IP version is not one of the format's";
        return ERR_UNSUPPORTED;
    }
    struct tree t = {.p = (const unsigned char *)file.p,
                     .nodes = tree->nodes,
                     .node_bytes = tree->record_bits / 4u,
                     .bits = tree->ip_version == 4 ? 32 : DEPTH_TREE,
                     .report = report};
    size_t end = metadata_at - MARKER_BYTES;
    size_t tree_bytes = (size_t)tree->nodes * t.node_bytes;
    if (tree->nodes == 0 || tree_bytes + SEPARATOR > end) {
        report->why = "its search tree does not fit into the file";
        return ERR_CORRUPT;
    }
    t.data = (struct section){.p = t.p + tree_bytes + SEPARATOR, .n = end - tree_bytes - SEPARATOR};
    t.data.steps = (uint64_t)PASSES * t.data.n + PASSES;
    return tree_run(&t);
}
