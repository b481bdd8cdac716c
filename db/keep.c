#include "db/keep.h"

#include "base/hash.h"
#include "base/json_read.h"
#include "base/limits.h"

#define KEEP_HEAD "{\"schema\": 3, \"checksum\": \""
#define KEEP_SUM  16 /* hexadecimal digits, of all that follows their line */
#define KEEP_TAIL "\",\n"
#define TREE_MOST MIB(128) /* of ROWS_MOST rows */
#define TEXT_MOST 512      /* of one value; all are shorter */

/* One server a line, so that people and line tools can read it. */
static void print_rows(const struct row_set *set, struct buf *out)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct row *r = &set->rows[i];
        buf_put_str(out, i == 0 ? "\n{\"pool\": " : ",\n{\"pool\": ");
        buf_put_json(out, r->pool, TEXT_MOST);
        buf_put_str(out, ", \"address\": ");
        buf_put_json(out, r->address, TEXT_MOST);
        buf_printf(out, ", \"weight\": %u, \"site\": ", r->weight);
        buf_put_json(out, r->site, TEXT_MOST);
        buf_printf(out, ", \"desired\": \"%s\"}", row_desired_name(r->desired));
    }
}

void keep_print(const struct row_set *set, struct buf *out)
{
    struct buf body;
    buf_init(&body, KEEP_MOST);
    buf_put_str(&body, "\"server\": ");
    buf_put_json(&body, set->server, TEXT_MOST);
    buf_printf(&body, ", \"read_at\": %lld, \"rows\": [", (long long)set->read_s);
    print_rows(set, &body);
    buf_put_str(&body, "\n]}\n");
    buf_printf(out, KEEP_HEAD "%016llx" KEEP_TAIL, (unsigned long long)hash_plain(buf_span(&body)));
    buf_put_span(out, buf_span(&body));
    out->failed = out->failed || body.failed;
    buf_fini(&body);
}

/* ERR_CORRUPT: not of this schema, or not what was written. */
static enum err check_sum(struct span text)
{
    struct span line, digits, end;
    uint64_t sum;
    struct span body = span_cut(text, '\n', &line);
    if (!span_starts(text, SPAN(KEEP_HEAD)))
        return ERR_CORRUPT;
    digits = span_sub(line, sizeof KEEP_HEAD - 1, sizeof KEEP_HEAD - 1 + KEEP_SUM);
    end = span_sub(line, sizeof KEEP_HEAD - 1 + KEEP_SUM, line.n);
    bool whole = span_eq(end, SPAN("\",")) && span_hex_u64(digits, &sum) == ERR_OK;
    return whole && sum == hash_plain(body) ? ERR_OK : ERR_CORRUPT;
}

static struct span text_of(const struct json_value *v, const char *name)
{
    struct span s = json_get_text(v, name);
    return s.p != NULL ? s : SPAN("");
}

static enum err read_row(struct row_set *set, const struct json_value *v)
{
    const struct json_value *weight = json_get(v, "weight");
    const struct span c[ROW_COLUMNS] = {
        [COLUMN_POOL] = text_of(v, "pool"),
        [COLUMN_ADDRESS] = text_of(v, "address"),
        [COLUMN_WEIGHT] = weight != NULL ? weight->text : SPAN(""),
        [COLUMN_SITE] = text_of(v, "site"),
        [COLUMN_DESIRED] = text_of(v, "desired"),
        [COLUMN_TTL_MS] = SPAN("0"),
        [COLUMN_LAPSED] = SPAN("f"),
        [COLUMN_EXPIRED] = SPAN("f"),
    };
    return row_set_add(set, c);
}

static enum err read_rows(struct row_set *set, const struct json_value *file)
{
    const struct json_value *read_at = json_get(file, "read_at"), *rows = json_get(file, "rows");
    uint64_t read_s;
    if (read_at == NULL || span_u64(read_at->text, &read_s) != ERR_OK || read_s > INT64_MAX ||
        rows == NULL || rows->type != JSON_ARRAY)
        return ERR_CORRUPT;
    struct span server = text_of(file, "server");
    set->read_s = (int64_t)read_s;
    set->server = server.n != 0 ? arena_copy(&set->arena, server) : server;
    enum err e = set->server.p != NULL ? ERR_OK : ERR_NO_MEMORY;
    for (const struct json_value *v = rows->first; e == ERR_OK && v != NULL; v = v->next)
        e = read_row(set, v);
    return e;
}

enum err keep_read(struct span text, struct row_set **out)
{
    const struct json_value *file;
    struct arena tree;
    *out = NULL;
    enum err e = check_sum(text);
    if (e != ERR_OK)
        return e;
    arena_init(&tree, NULL, KIB(64), TREE_MOST);
    e = json_read(text, &tree, &file);
    struct row_set *set = e == ERR_OK ? row_set_new(ROWS_MOST) : NULL;
    if (e == ERR_OK)
        e = set != NULL ? read_rows(set, file) : ERR_NO_MEMORY;
    arena_reset(&tree);
    if (e != ERR_OK) {
        row_set_free(&set);
        return e == ERR_NO_MEMORY ? e : ERR_CORRUPT;
    }
    row_set_settle(set);
    *out = set;
    return ERR_OK;
}
