#include "mmdb_writer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEPARATOR  16
#define ROWS_MOST  65536
#define TEXTS_MOST 256
#define COLUMNS    7
#define EMPTY      0u
#define LEAF       0x80000000u /* set in a child: the rest is the offset of a record in the data */

enum { TYPE_TEXT = 2, TYPE_DOUBLE = 3, TYPE_UINT16 = 5, TYPE_UINT32 = 6, TYPE_MAP = 7 };
enum { TYPE_UINT64 = 9, TYPE_ARRAY = 11, TYPE_FLOAT = 15 };

struct bytes {
    unsigned char *p;
    size_t n, cap;
};

struct row {
    unsigned char address[16]; /* IPv4 in the last four */
    unsigned bits;             /* of 128 */
    bool v4;
    char column[COLUMNS][16]; /* as in the line, without the network */
};

struct mmdb_writer {
    struct mmdb_options options;
    struct row *rows;
    size_t row_count;
    uint32_t (
        *nodes)[2]; /* a child: EMPTY, LEAF | offset, or a node's number (never 0: the root) */
    size_t node_count, node_cap;
    struct bytes data;
    struct {
        char text[24];
        size_t at;
    } texts[TEXTS_MOST]; /* written before: later ones are pointers to them */
    size_t text_count;
    struct bytes *out; /* where values go: data, or the metadata */
};

/* ---- bytes and values ---- */

static void put(struct bytes *b, const void *p, size_t n)
{
    if (b->n + n > b->cap) {
        b->cap = 2 * (b->n + n) + 256;
        b->p = realloc(b->p, b->cap);
        if (b->p == NULL)
            abort();
    }
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

static void put_big(struct bytes *b, uint64_t v, unsigned n)
{
    for (unsigned i = n; i-- > 0;) {
        unsigned char byte = (unsigned char)(v >> (8 * i));
        put(b, &byte, 1);
    }
}

static void put_head(struct bytes *b, unsigned type, size_t size)
{
    unsigned bits = size < 29 ? (unsigned)size : size < 285 ? 29 : size < 65821 ? 30 : 31;
    put_big(b, (type <= 7 ? type << 5 : 0) | bits, 1);
    if (type > 7)
        put_big(b, type - 7, 1);
    static const size_t base[] = {29, 285, 65821};
    if (bits >= 29)
        put_big(b, size - base[bits - 29], bits - 28);
}

static void put_pointer(struct bytes *b, size_t target)
{
    if (target < 2048)
        put_big(b, 1u << 13 | target, 2);
    else if (target < 526336)
        put_big(b, 1u << 21 | 1u << 19 | (target - 2048), 3);
    else
        put_big(b, 1ull << 37 | 3ull << 35 | target, 5);
}

static void put_plain(struct bytes *b, const char *text)
{
    put_head(b, TYPE_TEXT, strlen(text));
    put(b, text, strlen(text));
}

/* Text that was written before becomes a pointer, as real writers do. */
static void put_text(struct mmdb_writer *w, const char *text)
{
    for (size_t i = 0; i < w->text_count; i++)
        if (strcmp(w->texts[i].text, text) == 0) {
            put_pointer(&w->data, w->texts[i].at);
            return;
        }
    if (w->text_count < TEXTS_MOST && strlen(text) < sizeof w->texts[0].text) {
        w->texts[w->text_count].at = w->data.n;
        strcpy(w->texts[w->text_count++].text, text);
    }
    put_plain(&w->data, text);
}

static void put_number(struct bytes *b, unsigned type, uint64_t v)
{
    unsigned n = 0;
    while (n < 8 && v >> (8 * n) != 0)
        n++;
    put_head(b, type, n);
    put_big(b, v, n);
}

static void put_degrees(struct mmdb_writer *w, const char *text)
{
    bool as_float =
        w->options.degrees == MMDB_DEGREES_FLOAT ||
        (w->options.degrees == MMDB_DEGREES_USUAL && w->options.layout == MMDB_LAYOUT_FLAT);
    double wide = strtod(text, NULL);
    float narrow = (float)wide;
    uint64_t wide_bits;
    uint32_t narrow_bits;
    memcpy(&wide_bits, &wide, sizeof wide_bits);
    memcpy(&narrow_bits, &narrow, sizeof narrow_bits);
    put_head(&w->data, as_float ? TYPE_FLOAT : TYPE_DOUBLE, as_float ? 4 : 8);
    put_big(&w->data, as_float ? narrow_bits : wide_bits, as_float ? 4 : 8);
}

/* ---- records ---- */

enum column { COUNTRY, CONTINENT, SUBDIVISION, LATITUDE, LONGITUDE, ACCURACY, REGISTERED };

static bool has(const struct row *r, enum column c)
{
    return r->column[c][0] != '\0';
}

static void put_map_of_one(struct mmdb_writer *w, const char *key, const char *inner,
                           const char *text)
{
    put_text(w, key);
    put_head(&w->data, TYPE_MAP, 1);
    put_text(w, inner);
    put_text(w, text);
}

static void put_location(struct mmdb_writer *w, const struct row *r)
{
    size_t n = (size_t)has(r, LATITUDE) + has(r, LONGITUDE) + has(r, ACCURACY);
    put_text(w, "location");
    put_head(&w->data, TYPE_MAP, n);
    if (has(r, ACCURACY)) {
        put_text(w, "accuracy_radius");
        put_number(&w->data, TYPE_UINT16, strtoull(r->column[ACCURACY], NULL, 10));
    }
    if (has(r, LATITUDE)) {
        put_text(w, "latitude");
        put_degrees(w, r->column[LATITUDE]);
    }
    if (has(r, LONGITUDE)) {
        put_text(w, "longitude");
        put_degrees(w, r->column[LONGITUDE]);
    }
}

static void put_nested(struct mmdb_writer *w, const struct row *r)
{
    bool location = has(r, LATITUDE) || has(r, LONGITUDE) || has(r, ACCURACY);
    put_head(&w->data, TYPE_MAP,
             (size_t)has(r, COUNTRY) + has(r, CONTINENT) + has(r, SUBDIVISION) + location +
                 has(r, REGISTERED));
    if (has(r, CONTINENT))
        put_map_of_one(w, "continent", "code", r->column[CONTINENT]);
    if (has(r, COUNTRY))
        put_map_of_one(w, "country", "iso_code", r->column[COUNTRY]);
    if (location)
        put_location(w, r);
    if (has(r, REGISTERED))
        put_map_of_one(w, "registered_country", "iso_code", r->column[REGISTERED]);
    if (has(r, SUBDIVISION)) {
        put_text(w, "subdivisions");
        put_head(&w->data, TYPE_ARRAY, 1);
        put_head(&w->data, TYPE_MAP, 1);
        put_text(w, "iso_code");
        put_text(w, r->column[SUBDIVISION]);
    }
}

static void put_flat(struct mmdb_writer *w, const struct row *r)
{
    put_head(&w->data, TYPE_MAP, (size_t)has(r, COUNTRY) + has(r, LATITUDE) + has(r, LONGITUDE));
    if (has(r, COUNTRY)) {
        put_text(w, "country_code");
        put_text(w, r->column[COUNTRY]);
    }
    if (has(r, LATITUDE)) {
        put_text(w, "latitude");
        put_degrees(w, r->column[LATITUDE]);
    }
    if (has(r, LONGITUDE)) {
        put_text(w, "longitude");
        put_degrees(w, r->column[LONGITUDE]);
    }
}

static void put_arrays(struct bytes *b, size_t depth)
{
    for (size_t i = 0; i < depth; i++)
        put_head(b, TYPE_ARRAY, i + 1 < depth ? 1 : 0);
}

/* An empty array, then ten arrays each of sixteen pointers to the one before; returns where the
 * last one is. Offsets count from base. */
static size_t put_bomb(struct bytes *b, size_t base)
{
    size_t last = b->n - base;
    put_head(b, TYPE_ARRAY, 0);
    for (int level = 0; level < 10; level++) {
        size_t here = b->n - base;
        put_head(b, TYPE_ARRAY, 16);
        for (int i = 0; i < 16; i++)
            put_pointer(b, last);
        last = here;
    }
    return last;
}

static void put_wide(struct bytes *b)
{
    put_head(b, TYPE_MAP, 5000);
    for (int i = 0; i < 5000; i++) {
        put_plain(b, "k");
        put_number(b, TYPE_UINT16, 1);
    }
}

/* The one value that a damaged file's first record has under the key "damage". */
static void put_damage(struct mmdb_writer *w, size_t bomb)
{
    struct bytes *b = &w->data;
    put_plain(b, "damage");
    switch ((int)w->options.damage) {
    case MMDB_DAMAGE_POINTER_OUT:
        put_pointer(b, 400000);
        break;
    case MMDB_DAMAGE_POINTER_LOOP: /* an array whose only element is a pointer to the array */
        put_head(b, TYPE_ARRAY, 1);
        put_pointer(b, b->n - 2);
        break;
    case MMDB_DAMAGE_POINTER_POINTER:
        put_pointer(b, b->n + 2);
        break;
    case MMDB_DAMAGE_POINTER_BOMB:
        put_pointer(b, bomb);
        break;
    case MMDB_DAMAGE_DEEP:
        put_arrays(b, 1000);
        break;
    case MMDB_DAMAGE_WIDE:
        put_wide(b);
        break;
    case MMDB_DAMAGE_LONG_TEXT:
        put_head(b, TYPE_TEXT, 1000000);
        break;
    case MMDB_DAMAGE_BAD_TYPE:
        put_head(b, 99, 1);
        break;
    default:
        put_number(b, TYPE_UINT16, 1);
        break;
    }
}

/* A record in whose first pair the damage is, so that every lookup has to pass it. */
static size_t put_damaged(struct mmdb_writer *w, const struct row *r)
{
    size_t bomb = w->options.damage == MMDB_DAMAGE_POINTER_BOMB ? put_bomb(&w->data, 0) : 0;
    size_t at = w->data.n;
    if (w->options.damage == MMDB_DAMAGE_TREE_POINTER) {
        put_pointer(&w->data, 0);
        return at;
    }
    if (w->options.damage == MMDB_DAMAGE_KEY_NUMBER) {
        put_head(&w->data, TYPE_MAP, 1);
        put_number(&w->data, TYPE_UINT16, 1);
        put_number(&w->data, TYPE_UINT16, 1);
        return at;
    }
    put_head(&w->data, TYPE_MAP, 2);
    put_damage(w, bomb);
    if (w->options.damage == MMDB_DAMAGE_POINTER_POINTER)
        put_pointer(&w->data, 0); /* stands where the second key belongs: the pointer's target */
    put_plain(&w->data, "country_code");
    put_plain(&w->data, r->column[COUNTRY]);
    return at;
}

static bool damages_records(enum mmdb_damage damage)
{
    return damage >= MMDB_DAMAGE_TREE_POINTER && damage <= MMDB_DAMAGE_BAD_TYPE;
}

static size_t put_record(struct mmdb_writer *w, const struct row *r)
{
    size_t at = w->data.n;
    if (damages_records(w->options.damage))
        return put_damaged(w, r);
    if (w->options.damage == MMDB_DAMAGE_NO_PLACES) {
        put_head(&w->data, TYPE_MAP, 1);
        put_text(w, "connection_class");
        put_number(&w->data, TYPE_UINT32, 64496);
    } else if (w->options.layout == MMDB_LAYOUT_NESTED)
        put_nested(w, r);
    else
        put_flat(w, r);
    return at;
}

/* ---- rows ---- */

static bool parse_network(char *text, struct row *out)
{
    char *slash = strchr(text, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    char *end = NULL;
    unsigned long bits = strtoul(slash + 1, &end, 10);
    if (end == slash + 1 || *end != '\0')
        return false;
    if (inet_pton(AF_INET, text, out->address + 12) == 1) {
        out->v4 = true;
        out->bits = (unsigned)bits + 96;
        return bits <= 32;
    }
    out->bits = (unsigned)bits;
    return inet_pton(AF_INET6, text, out->address) == 1 && bits <= 128;
}

static bool parse_columns(const char *line, struct row *out)
{
    char network[64] = "";
    for (size_t c = 0; c <= COLUMNS; c++) {
        size_t n = strcspn(line, ",\r\n");
        char *to = c == 0 ? network : out->column[c - 1];
        if (n >= (c == 0 ? sizeof network : sizeof out->column[0]))
            return false;
        memcpy(to, line, n);
        to[n] = '\0';
        line += n;
        if (*line != ',')
            return parse_network(network, out);
        line++;
    }
    return false;
}

bool mmdb_writer_line(struct mmdb_writer *w, const char *line)
{
    if (line[0] == '#' || line[0] == '\n' || line[0] == '\r' || line[0] == '\0')
        return true;
    struct row r = {.bits = 0};
    if (w->row_count == ROWS_MOST || !parse_columns(line, &r))
        return false;
    if (w->options.ip_version == 4 && !r.v4)
        return true;
    w->rows[w->row_count++] = r;
    return true;
}

/* ---- tree ---- */

static uint32_t new_node(struct mmdb_writer *w, uint32_t child)
{
    if (w->node_count == w->node_cap) {
        w->node_cap = 2 * w->node_cap + 1024;
        w->nodes = realloc(w->nodes, w->node_cap * sizeof w->nodes[0]);
        if (w->nodes == NULL)
            abort();
    }
    w->nodes[w->node_count][0] = w->nodes[w->node_count][1] = child;
    return (uint32_t)w->node_count++;
}

static unsigned bit_of(const unsigned char *address, unsigned i)
{
    return (unsigned)address[i / 8] >> (7 - i % 8) & 1u;
}

/* Where the network's record belongs: its place in its parent, made on the way. What a shorter
 * network said before goes on holding beside it. */
static uint32_t *place_of(struct mmdb_writer *w, const unsigned char *address, unsigned from,
                          unsigned bits)
{
    uint32_t node = 0;
    for (unsigned i = from; i + 1 < bits; i++) {
        unsigned side = bit_of(address, i);
        uint32_t child = w->nodes[node][side];
        if (child == EMPTY || (child & LEAF) != 0) {
            uint32_t made = new_node(w, child); /* may move nodes */
            w->nodes[node][side] = made;
            child = made;
        }
        node = child;
    }
    return &w->nodes[node][bit_of(address, bits - 1)];
}

static int shorter_first(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return (int)x->bits - (int)y->bits;
}

/* IPv4-mapped addresses and 6to4 lead to the same nodes as IPv4 does. */
static void add_aliases(struct mmdb_writer *w)
{
    static const unsigned char zero[16] = {0}, mapped[16] = {[10] = 0xff, [11] = 0xff};
    static const unsigned char six_to_four[16] = {0x20, 0x02};
    uint32_t v4 = *place_of(w, zero, 0, 96);
    if (v4 == EMPTY)
        return;
    *place_of(w, mapped, 0, 96) = v4;
    uint32_t *place = place_of(w, six_to_four, 0, 16);
    if (*place == EMPTY)
        *place = v4;
}

static void build(struct mmdb_writer *w)
{
    unsigned from = w->options.ip_version == 4 ? 96 : 0;
    qsort(w->rows, w->row_count, sizeof w->rows[0], shorter_first);
    (void)new_node(w, EMPTY);
    for (size_t i = 0; i < w->row_count; i++) {
        const struct row *r = &w->rows[i];
        uint32_t leaf = LEAF | (uint32_t)put_record(w, r);
        if (r->bits > from)
            *place_of(w, r->address, from, r->bits) = leaf;
        else
            w->nodes[0][0] = w->nodes[0][1] = leaf;
    }
    if (from == 0)
        add_aliases(w);
}

/* ---- file ---- */

static uint64_t record_of(const struct mmdb_writer *w, uint32_t node, unsigned side)
{
    uint32_t child = w->nodes[node][side];
    if (node == 0 && side == 0) {
        if (w->options.damage == MMDB_DAMAGE_TREE_OUT)
            return w->node_count + SEPARATOR + w->data.n;
        if (w->options.damage == MMDB_DAMAGE_TREE_GAP)
            return w->node_count + SEPARATOR - 1;
        if (w->options.damage == MMDB_DAMAGE_TREE_LOOP)
            return 0;
    }
    if (child == EMPTY)
        return w->node_count;
    return (child & LEAF) != 0 ? (child & ~LEAF) + w->node_count + SEPARATOR : child;
}

static void put_node(const struct mmdb_writer *w, struct bytes *out, uint32_t node)
{
    uint64_t left = record_of(w, node, 0), right = record_of(w, node, 1);
    if (w->options.record_bits != 28) {
        put_big(out, left, w->options.record_bits / 8);
        put_big(out, right, w->options.record_bits / 8);
        return;
    }
    put_big(out, left & 0xffffff, 3);
    put_big(out, (left >> 24) << 4 | right >> 24, 1);
    put_big(out, right & 0xffffff, 3);
}

static void put_description(struct mmdb_writer *w, struct bytes *out, size_t base)
{
    put_plain(out, "description");
    if (w->options.damage == MMDB_DAMAGE_METADATA_DEEP) {
        put_arrays(out, 1000);
        return;
    }
    put_head(out, TYPE_MAP, 1);
    put_plain(out, "en");
    if (w->options.damage == MMDB_DAMAGE_METADATA_BOMB) {
        put_head(out, TYPE_ARRAY, 2);
        put_head(out, TYPE_ARRAY, 11); /* the bomb's own arrays */
        size_t bomb = put_bomb(out, base);
        put_pointer(out, bomb);
        return;
    }
    if (w->options.damage == MMDB_DAMAGE_METADATA_NUMBER)
        put_number(out, TYPE_UINT16, 1);
    else
        put_plain(out, "Places for tests and demonstrations");
}

static void put_metadata(struct mmdb_writer *w, struct bytes *out)
{
    const struct mmdb_options *o = &w->options;
    size_t base = out->n;
    put_head(out, TYPE_MAP, 9);
    put_plain(out, "binary_format_major_version");
    put_number(out, TYPE_UINT16, 2);
    put_plain(out, "binary_format_minor_version");
    put_number(out, TYPE_UINT16, 0);
    put_plain(out, "build_epoch");
    put_number(out, TYPE_UINT64, o->built_s);
    put_plain(out, "database_type");
    put_plain(out, o->layout == MMDB_LAYOUT_NESTED ? "Meridian-Test-City" : "test flat");
    put_plain(out, "ip_version");
    put_number(out, TYPE_UINT16, o->damage == MMDB_DAMAGE_IP_VERSION ? 5 : o->ip_version);
    put_plain(out, "languages");
    put_head(out, TYPE_ARRAY, 1);
    put_plain(out, "en");
    put_plain(out, "node_count");
    put_number(out, TYPE_UINT32, o->damage == MMDB_DAMAGE_NODE_COUNT ? 10000000 : w->node_count);
    put_plain(out, "record_size");
    put_number(out, TYPE_UINT16, o->damage == MMDB_DAMAGE_RECORD_SIZE ? 20 : o->record_bits);
    put_description(w, out, base);
}

unsigned char *mmdb_writer_bytes(struct mmdb_writer *w, size_t *n)
{
    struct bytes out = {.p = NULL};
    static const unsigned char zero[SEPARATOR] = {0};
    build(w);
    if (w->node_count + SEPARATOR + w->data.n >= 1ull << w->options.record_bits ||
        w->data.n >= LEAF)
        return NULL;
    for (size_t i = 0; i < w->node_count; i++)
        put_node(w, &out, (uint32_t)i);
    put(&out, zero, sizeof zero);
    put(&out, w->data.p != NULL ? w->data.p : zero, w->data.n);
    if (w->options.damage == MMDB_DAMAGE_NO_MARKER)
        put(&out, "\xab\xcd\xefMaxMind.org", 14);
    else
        put(&out, "\xab\xcd\xefMaxMind.com", 14);
    put_metadata(w, &out);
    *n = out.n;
    return out.p;
}

struct mmdb_writer *mmdb_writer_new(const struct mmdb_options *options)
{
    struct mmdb_options o = *options;
    o.record_bits = o.record_bits != 0 ? o.record_bits : 24;
    o.ip_version = o.ip_version != 0 ? o.ip_version : 6;
    o.built_s = o.built_s != 0 ? o.built_s : 1; /* readers take 0 for missing */
    if ((o.record_bits != 24 && o.record_bits != 28 && o.record_bits != 32) ||
        (o.ip_version != 4 && o.ip_version != 6))
        return NULL;
    struct mmdb_writer *w = calloc(1, sizeof *w);
    struct row *rows = calloc(ROWS_MOST, sizeof *rows);
    if (w == NULL || rows == NULL)
        abort();
    w->options = o;
    w->rows = rows;
    return w;
}

void mmdb_writer_free(struct mmdb_writer **writer)
{
    if (*writer == NULL)
        return;
    free((*writer)->rows);
    free((*writer)->nodes);
    free((*writer)->data.p);
    free(*writer);
    *writer = NULL;
}

static bool save(const char *path, const unsigned char *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (f == NULL)
        return false;
    bool good = fwrite(p, 1, n, f) == n;
    return fclose(f) == 0 && good;
}

bool mmdb_writer_file(const struct mmdb_options *options, const char *lines, const char *path)
{
    size_t n = 0;
    struct mmdb_writer *w = mmdb_writer_new(options);
    bool good = w != NULL;
    for (const char *line = lines; good && *line != '\0';) {
        good = mmdb_writer_line(w, line);
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    unsigned char *p = good ? mmdb_writer_bytes(w, &n) : NULL;
    good = p != NULL && save(path, p, n);
    free(p);
    mmdb_writer_free(&w);
    return good;
}

static const struct {
    const char *name, *what;
} damages[] = {
#define MMDB_DAMAGE_ROW_(id, name, what) {name, what},
    MMDB_DAMAGE_LIST(MMDB_DAMAGE_ROW_)
#undef MMDB_DAMAGE_ROW_
};

const char *mmdb_damage_name(enum mmdb_damage damage)
{
    return damages[damage].name;
}

const char *mmdb_damage_what(enum mmdb_damage damage)
{
    return damages[damage].what;
}
