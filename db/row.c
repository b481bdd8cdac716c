#include "db/row.h"

#include "base/mem.h"

#include <stdlib.h>

#define ROWS_FIRST 64
#define IDLE_TEXT  64 /* bytes that are shown of a value that makes no sense */

static const char *const desired_names[] = {"active", "drain", "maintenance"};

const char *row_desired_name(enum row_desired desired)
{
    return desired_names[desired];
}

struct row_set *row_set_new(size_t room)
{
    struct row_set *set = mem_alloc(sizeof *set);
    if (set == NULL)
        return NULL;
    arena_init(&set->arena, NULL, 4096, 0);
    set->room = room;
    return set;
}

void row_set_free(struct row_set **sp)
{
    struct row_set *set = *sp;
    *sp = NULL;
    if (set == NULL)
        return;
    arena_reset(&set->arena);
    mem_free(set->rows);
    mem_free(set);
}

static bool pool_fits(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!ascii_digit(c) && c != '_' && c != '-' && (c < 'a' || c > 'z'))
            return false;
    }
    return s.n >= 1 && s.n <= 63;
}

static bool site_fits(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < 0x21 || (unsigned char)s.p[i] > 0x7e)
            return false;
    }
    return s.n <= ROW_SITE_MOST;
}

static bool read_desired(struct span s, enum row_desired *out)
{
    for (unsigned i = 0; i < 3; i++) {
        *out = (enum row_desired)i;
        if (span_eq(s, span_str(desired_names[i])))
            return true;
    }
    return false;
}

static bool read_address(struct span s, struct addr *out)
{
    if (addr_parse(s, out) != ERR_OK || out->any.sa_family == AF_UNIX)
        return false;
    addr_unmap(out);
    return addr_port(out) != 0;
}

/* NULL, or what is wrong. */
static const char *read_row(const struct span c[ROW_COLUMNS], struct row *row)
{
    uint64_t weight, ttl;
    if (!pool_fits(c[COLUMN_POOL]))
        return "pool: no name of one";
    if (!read_address(c[COLUMN_ADDRESS], &row->addr))
        return "address: must be IP:port or [IPv6]:port";
    if (!site_fits(c[COLUMN_SITE]))
        return "site: no name of one";
    if (!read_desired(c[COLUMN_DESIRED], &row->desired))
        return "desired: must be active, drain or maintenance";
    if (span_u64(c[COLUMN_WEIGHT], &weight) != ERR_OK || weight > ROW_WEIGHT_MOST)
        return "weight: must be 0 to 1000";
    if (span_u64(c[COLUMN_TTL_MS], &ttl) != ERR_OK || ttl > ROW_TTL_MOST_MS)
        return "ttl: must be at most a day";
    row->weight = (uint32_t)weight;
    row->ttl_ms = (int64_t)ttl;
    row->lapsed = span_eq(c[COLUMN_LAPSED], SPAN("t"));
    row->expired = span_eq(c[COLUMN_EXPIRED], SPAN("t"));
    row->pool = c[COLUMN_POOL];
    row->site = c[COLUMN_SITE];
    return NULL;
}

static bool grow(struct row_set *set)
{
    size_t held = set->held != 0 ? 2 * set->held : ROWS_FIRST;
    struct row *rows = mem_resize(set->rows, held * sizeof *rows);
    if (rows == NULL)
        return false;
    set->rows = rows;
    set->held = held;
    return true;
}

enum err row_set_copy(struct row_set *set, const struct row *from)
{
    char text[ADDR_TEXT];
    if (set->count == set->room) {
        set->skipped++;
        return ERR_OK;
    }
    if (set->count == set->held && !grow(set))
        return ERR_NO_MEMORY;
    struct row *row = &set->rows[set->count];
    *row = *from;
    row->pool = arena_copy(&set->arena, from->pool);
    row->site = from->site.n != 0 ? arena_copy(&set->arena, from->site) : SPAN("");
    row->address = arena_copy(&set->arena, span_of(text, addr_print(&from->addr, text)));
    if (row->pool.p == NULL || row->site.p == NULL || row->address.p == NULL)
        return ERR_NO_MEMORY;
    set->count++;
    return ERR_OK;
}

void row_set_note(struct row_set *set, struct span pool, struct span address, const char *why)
{
    struct row_idle *bad = &set->bad[set->bad_count];
    if (set->bad_count == ROWS_IDLE_MOST)
        return;
    pool = span_sub(pool, 0, IDLE_TEXT);
    address = span_sub(address, 0, IDLE_TEXT);
    *bad = (struct row_idle){pool.n != 0 ? arena_copy(&set->arena, pool) : SPAN(""),
                             address.n != 0 ? arena_copy(&set->arena, address) : SPAN(""), why};
    set->bad_count += bad->pool.p != NULL && bad->address.p != NULL;
}

enum err row_set_add(struct row_set *set, const struct span columns[ROW_COLUMNS])
{
    struct row row = {.weight = 0};
    const char *why = read_row(columns, &row);
    if (why == NULL)
        return row_set_copy(set, &row);
    set->skipped++;
    row_set_note(set, columns[COLUMN_POOL], columns[COLUMN_ADDRESS], why);
    return ERR_OK;
}

static int by_place(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int by_pool = span_cmp(x->pool, y->pool);
    return by_pool != 0 ? by_pool : span_cmp(x->address, y->address);
}

void row_set_settle(struct row_set *set)
{
    size_t kept = 0, of_pool = 0;
    if (set->count > 1)
        qsort(set->rows, set->count, sizeof *set->rows, by_place);
    for (size_t i = 0; i < set->count; i++) {
        const struct row *row = &set->rows[i], *last = kept != 0 ? &set->rows[kept - 1] : NULL;
        bool another = last == NULL || !span_eq(last->pool, row->pool);
        of_pool = another ? 0 : of_pool;
        if ((!another && by_place(last, row) == 0) || of_pool == ROWS_POOL_MOST) {
            set->skipped++;
            continue;
        }
        of_pool++;
        set->rows[kept++] = *row;
    }
    set->count = kept;
}

void row_set_drop(struct row_set *set, bool (*gone)(void *ctx, const struct row *row), void *ctx)
{
    size_t kept = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (!gone(ctx, &set->rows[i]))
            set->rows[kept++] = set->rows[i];
    }
    set->count = kept;
}

size_t row_set_pool(const struct row_set *set, struct span pool, const struct row **first)
{
    size_t from = 0, n = 0;
    while (set != NULL && from < set->count && !span_eq(set->rows[from].pool, pool))
        from++;
    while (set != NULL && from + n < set->count && span_eq(set->rows[from + n].pool, pool))
        n++;
    *first = n != 0 ? &set->rows[from] : NULL;
    return n;
}

static bool same(const struct row *a, const struct row *b)
{
    return by_place(a, b) == 0 && span_eq(a->site, b->site) && a->weight == b->weight &&
           a->desired == b->desired;
}

bool row_set_same(const struct row_set *a, const struct row_set *b)
{
    size_t n = a != NULL ? a->count : 0;
    if (n != (b != NULL ? b->count : 0))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!same(&a->rows[i], &b->rows[i]))
            return false;
    }
    return true;
}
