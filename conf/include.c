#include "conf/include.h"

#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <sys/stat.h>

/* The files that are being read, innermost first. */
struct chain {
    const struct chain *up;
    size_t file;
    dev_t device;
    ino_t number;
    unsigned depth;
};

struct include {
    struct conf_source *source;
    struct arena *nodes;
    struct conf_messages *m;
    struct node *root;
};

static void append(struct node *map, struct node *first, struct node *last, size_t count)
{
    if (first == NULL)
        return;
    if (map->last != NULL)
        map->last->next = first;
    else
        map->first = first;
    map->last = last;
    map->count += count;
}

/* Takes the entry out of the map and returns it, or NULL. */
static struct node *take_entry(struct node *map, const char *key)
{
    struct node *before = NULL, *c = map->first;
    for (; c != NULL && !span_eq(c->key->text, span_str(key)); c = c->next)
        before = c;
    if (c == NULL)
        return NULL;
    if (before != NULL)
        before->next = c->next;
    else
        map->first = c->next;
    if (map->last == c)
        map->last = before;
    map->count--;
    c->next = NULL;
    return c;
}

static bool is_open(const struct chain *chain, const struct stat *s)
{
    for (; chain != NULL; chain = chain->up)
        if (chain->device == s->st_dev && chain->number == s->st_ino)
            return true;
    return false;
}

/* Why the file may not be included here, or NULL. */
static const char *refusal(const struct include *in, const struct chain *chain,
                           const struct stat *file)
{
    if (is_open(chain, file))
        return "it would include itself";
    if (chain->depth == CONF_INCLUDE_DEPTH)
        return "files are nested too deeply; at most 8 levels are allowed";
    return in->source->count == CONF_FILES_MOST ? "too many files; at most 256 are allowed" : NULL;
}

static enum err expand(struct include *in, const struct chain *chain, struct node *map);

/* Parses a file that was added to the source and puts its entries behind the root's. */
static enum err add_entries(struct include *in, const struct chain *chain)
{
    struct node *map = NULL;
    if (!source_check(in->source, chain->file, in->m))
        return ERR_SYNTAX;
    enum err e = tree_parse(in->source, chain->file, in->nodes, in->m, &map);
    if (e != ERR_OK || map == NULL)
        return e;
    if (map->kind != NODE_MAP) {
        conf_report(in->m, map->mark, "an included file must be a map of keys and values");
        return ERR_SYNTAX;
    }
    struct node *nested = take_entry(map, "include");
    append(in->root, map->first, map->last, map->count);
    return nested != NULL ? expand(in, chain, nested) : ERR_OK;
}

static enum err add_file(struct include *in, const struct chain *chain, const char *path,
                         struct conf_mark mark)
{
    struct stat s;
    struct buf text;
    buf_init(&text, LIMIT_CONF_BYTES * 2);
    const char *why =
        stat(path, &s) != 0 ? source_why(err_from_errno(errno)) : refusal(in, chain, &s);
    enum err e = why == NULL ? source_read(path, &text) : ERR_SYNTAX;
    struct chain next = {.up = chain, .depth = chain->depth + 1};
    if (why == NULL && e != ERR_OK)
        why = source_why(e);
    else if (why == NULL)
        e = source_add(in->source, path, buf_span(&text), &next.file);
    if (e == ERR_RANGE)
        why = "all files together are too large; at most 4 MiB are allowed";
    buf_fini(&text);
    if (why != NULL) {
        conf_report(in->m, mark, "'%s' is not included: %s", path, why);
        return ERR_SYNTAX;
    }
    next.device = s.st_dev;
    next.number = s.st_ino;
    return e == ERR_OK ? add_entries(in, &next) : e;
}

/* Up to the last slash, which is part of it; what begins with one needs none. */
static struct span folder_of(const struct include *in, const struct chain *chain, struct span name)
{
    struct span own = in->source->files[chain->file].name;
    while (own.n > 0 && own.p[own.n - 1] != '/')
        own.n--;
    return name.p[0] == '/' ? SPAN("") : own;
}

/* The folder is called what it is called: its name has no wildcards. NULL: no memory. */
static char *pattern_of(struct arena *arena, struct span folder, struct span names)
{
    size_t size = 2 * folder.n + names.n + 1;
    char *memory = arena_take(arena, size);
    struct buf b;
    if (memory == NULL)
        return NULL;
    buf_fixed(&b, memory, size);
    for (size_t i = 0; i < folder.n; i++) {
        if (strchr("*?[]\\", folder.p[i]) != NULL)
            buf_put_char(&b, '\\');
        buf_put_char(&b, folder.p[i]);
    }
    buf_put_span(&b, names);
    buf_put_char(&b, '\0');
    return memory;
}

/* An empty folder is as packages ship it; one that is not there was probably called otherwise. The
 * folder is what stands before the first name with a wildcard. */
static enum err warn_no_folder(struct include *in, struct span folder, const struct node *n)
{
    struct span fixed = span_sub(n->text, 0, strcspn(n->text.p, "*?[\\"));
    while (fixed.n > 0 && fixed.p[fixed.n - 1] != '/')
        fixed.n--;
    char *path = arena_printf(in->nodes, "%.*s%.*s", SPAN_FMT(folder), SPAN_FMT(fixed));
    struct stat s;
    if (path == NULL)
        return ERR_NO_MEMORY;
    if (fixed.n > 1 && stat(path, &s) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
        path[strlen(path) - 1] = '\0';
        conf_warn(in->m, n->mark, "no folder '%s'; nothing is included", path);
    }
    return ERR_OK;
}

/* All files that the pattern names, in the order of their names. */
static enum err add_pattern(struct include *in, const struct chain *chain, struct span folder,
                            const struct node *n)
{
    char *pattern = pattern_of(in->nodes, folder, n->text);
    glob_t found = {0};
    if (pattern == NULL)
        return ERR_NO_MEMORY;
    int result = glob(pattern, 0, NULL, &found);
    enum err e = result == GLOB_NOSPACE ? ERR_NO_MEMORY : ERR_OK;
    if (result == GLOB_NOMATCH)
        e = warn_no_folder(in, folder, n);
    for (size_t i = 0; result == 0 && i < found.gl_pathc && e == ERR_OK; i++)
        e = add_file(in, chain, found.gl_pathv[i], n->mark);
    globfree(&found);
    return e;
}

static enum err add_matches(struct include *in, const struct chain *chain, const struct node *n)
{
    if (n->kind != NODE_SCALAR || n->text.n == 0) {
        conf_report(in->m, n->mark, "include must be a file name, a pattern, or a list of them");
        return ERR_SYNTAX;
    }
    struct span folder = folder_of(in, chain, n->text);
    char *path = arena_printf(in->nodes, "%.*s%.*s", SPAN_FMT(folder), SPAN_FMT(n->text));
    if (path == NULL)
        return ERR_NO_MEMORY;
    bool wild = strpbrk(path + folder.n, "*?[") != NULL;
    return wild ? add_pattern(in, chain, folder, n) : add_file(in, chain, path, n->mark);
}

static enum err expand(struct include *in, const struct chain *chain, struct node *value)
{
    if (value->kind != NODE_LIST)
        return add_matches(in, chain, value);
    enum err e = ERR_OK;
    for (const struct node *c = value->first; c != NULL && e == ERR_OK; c = c->next)
        e = add_matches(in, chain, c);
    return e;
}

static int by_key_and_place(const void *x, const void *y)
{
    const struct node *a = *(struct node *const *)x, *b = *(struct node *const *)y;
    int order = span_cmp(a->key->text, b->key->text);
    if (order == 0)
        order = (a->key->mark.file > b->key->mark.file) - (a->key->mark.file < b->key->mark.file);
    return order != 0
               ? order
               : (a->key->mark.line > b->key->mark.line) - (a->key->mark.line < b->key->mark.line);
}

/* The entries of a map, sorted; NULL without memory. */
static struct node **sorted_entries(struct arena *arena, const struct node *map)
{
    struct node **sorted = arena_take(arena, (map->count + 1) * sizeof *sorted);
    size_t n = 0;
    for (struct node *c = map->first; sorted != NULL && c != NULL; c = c->next)
        sorted[n++] = c;
    if (sorted != NULL)
        qsort(sorted, n, sizeof *sorted, by_key_and_place);
    return sorted;
}

/* Two entries with one key, of different files: those of one file were reported when it was parsed.
 */
static void refuse_twice(struct include *in, const struct node *first, const struct node *second)
{
    const struct conf_mark *at = &first->key->mark;
    if (at->file != second->key->mark.file)
        conf_report(in->m, second->key->mark, "'%.*s' is given twice, first at %.*s:%u:%u",
                    SPAN_FMT(source_clip(second->key->text)), SPAN_FMT(source_name(in->source, at)),
                    (unsigned)at->line, (unsigned)at->column);
}

static enum err refuse_names(struct include *in, const struct node *map)
{
    struct node **sorted = sorted_entries(in->nodes, map);
    for (size_t i = 1, first = 0; sorted != NULL && i < map->count; i++)
        if (span_eq(sorted[i]->key->text, sorted[first]->key->text))
            refuse_twice(in, sorted[first], sorted[i]);
        else
            first = i;
    return sorted != NULL ? ERR_OK : ERR_NO_MEMORY;
}

/* Puts together what the files say under the same keys of the root. */
static enum err merge(struct include *in)
{
    struct node **sorted = sorted_entries(in->nodes, in->root), *last = NULL;
    size_t n = in->root->count;
    if (sorted == NULL)
        return ERR_NO_MEMORY;
    in->root->first = in->root->last = NULL;
    in->root->count = 0;
    for (size_t i = 0; i < n; i++) {
        struct node *c = sorted[i];
        bool same = last != NULL && span_eq(c->key->text, last->key->text);
        bool joins = same && c->kind == last->kind && (c->kind == NODE_MAP || c->kind == NODE_LIST);
        c->next = NULL;
        if (joins) {
            append(last, c->first, c->last, c->count);
        } else if (same) {
            refuse_twice(in, last, c);
        } else {
            append(in->root, c, c, 1);
            last = c;
        }
    }
    enum err e = ERR_OK;
    for (struct node *c = in->root->first; c != NULL && e == ERR_OK; c = c->next)
        if (c->kind == NODE_MAP)
            e = refuse_names(in, c);
    return e;
}

enum err include_files(struct conf_source *source, struct arena *nodes, struct conf_messages *m,
                       struct node *root)
{
    struct include in = {.source = source, .nodes = nodes, .m = m, .root = root};
    struct node *value = root->kind == NODE_MAP ? take_entry(root, "include") : NULL;
    struct chain chain = {.depth = 0};
    struct stat s;
    if (value == NULL || value->kind == NODE_BAD)
        return ERR_OK;
    if (!source->from_file) {
        conf_report(m, value->key->mark, "include is for files only");
        return ERR_SYNTAX;
    }
    if (stat(source->files[0].name.p, &s) == 0) {
        chain.device = s.st_dev;
        chain.number = s.st_ino;
    }
    enum err e = expand(&in, &chain, value);
    return e == ERR_OK ? merge(&in) : e;
}
