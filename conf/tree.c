#include "conf/tree.h"

#include <libfyaml.h>
#include <stdlib.h>

struct builder {
    struct arena *arena;
    struct conf_messages *m;
    uint32_t file;
    struct node *root;
    struct node *open[LIMIT_CONF_DEPTH]; /* maps and lists that are not ended */
    size_t depth;
    const struct node *key; /* read, its value not yet */
    size_t nodes;
    struct conf_mark last; /* for a value that has no place of its own: nothing after a colon */
};

/* What libfyaml says in the words of its grammar, said with how to mend it. */
static struct span plainly(struct span said)
{
    static const struct {
        const char *said, *plain;
    } words[] = {
        {"did not find expected node content",
         "a value is missing here, or a '{' or '[' before it is not closed"},
        {"missing comma in flow mapping", "a ',' is missing before this, or the '}' of a map"},
        {"missing comma in flow sequence", "a ',' is missing before this, or the ']' of a list"},
        {"mismatched flow mapping end", "this '}' closes no '{'; a ']' may be missing before it"},
        {"mismatched flow sequence end", "this ']' closes no '['; a '}' may be missing before it"},
        {"tab character may not be used as indentation",
         "a tab may not be used as indentation; use blanks"},
        {"invalid indentation in mapping",
         "this begins in another column than the keys around it; keys of one map stand below each "
         "other"},
        {"invalid multiline plain key",
         "this looks like a key in the middle of a value; keys of one map stand below each other, "
         "and a value of several lines is put in quotes"},
        {"invalid nested block mapping on the same line",
         "a second ':' in one line; put the value in quotes, or what is below the key into braces "
         "or on a line of its own"},
        {"double-quoted scalar without closing quote", "the '\"' that begins here is not closed"},
        {"single-quoted scalar without closing quote", "the ' that begins here is not closed"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (span_eq(said, span_str(words[i].said)))
            return span_str(words[i].plain);
    return said;
}

/* libfyaml writes fragments: "<name>:line:column: error: text\n", then the line, then a caret. Only
 * the first is of use, the others are made anew in our own form. */
static void on_diagnostic(struct fy_diag *diag, void *user, const char *p, size_t n)
{
    (void)diag;
    struct builder *b = user;
    static const char word[] = ": error: ";
    const char *found = memmem(p, n, word, sizeof word - 1);
    if (found == NULL)
        return;
    struct span place = span_of(p, (size_t)(found - p));
    struct span text = span_of(found + sizeof word - 1, n - (size_t)(found - p) - sizeof word + 1);
    uint64_t number[2] = {0, 0}; /* column, line */
    for (size_t i = 0; i < 2; i++) {
        size_t from = place.n;
        while (from > 0 && place.p[from - 1] != ':')
            from--;
        if (from == 0 || span_u64(span_sub(place, from, place.n), &number[i]) != ERR_OK)
            break;
        place.n = from - 1;
    }
    struct conf_mark mark = {
        .line = (uint32_t)number[1], .column = (uint32_t)number[0], .width = 1, .file = b->file};
    if (mark.column == 0)
        mark.line = 0;
    struct span first;
    span_cut(text, '\n', &first);
    conf_report(b->m, mark, "%.*s", SPAN_FMT(plainly(first)));
}

/* The place between two of libfyaml's marks, which stand inside of quotes. */
static struct conf_mark make_mark(struct builder *b, const struct fy_mark *from,
                                  const struct fy_mark *to, bool quoted)
{
    if (from == NULL || from->line < 0 || from->column < 0)
        return b->last;
    bool one_line = to != NULL && to->line == from->line && to->column >= from->column;
    unsigned quote = quoted && from->column > 0;
    struct conf_mark mark = {.line = (uint32_t)from->line + 1,
                             .column = (uint32_t)from->column + 1 - quote,
                             .width = 1,
                             .file = b->file};
    if (one_line && (to->column > from->column || quoted))
        mark.width = (uint32_t)(to->column - from->column) + 2 * quote;
    b->last = mark;
    return mark;
}

static struct conf_mark mark_of(struct builder *b, struct fy_event *e)
{
    return make_mark(b, fy_event_start_mark(e), fy_event_end_mark(e), false);
}

/* A new node, put where it belongs: a key, a value, an element or the root. */
static enum err add_node(struct builder *b, enum node_kind kind, struct conf_mark mark,
                         struct node **out)
{
    if (++b->nodes > LIMIT_CONF_NODES) {
        conf_report(b->m, mark, "the file is too large; at most %d values and keys are allowed",
                    LIMIT_CONF_NODES);
        return ERR_SYNTAX;
    }
    struct node *node = arena_zero(b->arena, sizeof *node);
    *out = node;
    if (node == NULL)
        return ERR_NO_MEMORY;
    node->kind = kind;
    node->mark = mark;
    struct node *parent = b->depth > 0 ? b->open[b->depth - 1] : NULL;
    if (parent == NULL) {
        b->root = node;
        return ERR_OK;
    }
    if (parent->kind == NODE_MAP && b->key == NULL) {
        if (kind == NODE_MAP || kind == NODE_LIST) {
            conf_report(b->m, mark, "a key cannot be a list or a map; it must be a plain name");
            return ERR_SYNTAX;
        }
        b->key = node;
        return ERR_OK;
    }
    node->key = b->key;
    b->key = NULL;
    if (parent->last != NULL)
        parent->last->next = node;
    else
        parent->first = node;
    parent->last = node;
    parent->count++;
    return ERR_OK;
}

static void refuse_extras(struct builder *b, struct fy_token *anchor, struct fy_token *tag)
{
    if (anchor != NULL)
        conf_report(b->m, make_mark(b, fy_token_start_mark(anchor), NULL, true),
                    "an anchor (&name) is not allowed; write the value where it is used");
    if (tag != NULL)
        conf_report(b->m, make_mark(b, fy_token_start_mark(tag), NULL, false),
                    "a tag (!name) is not allowed; the key says the type");
}

static enum err on_scalar(struct builder *b, struct fy_event *e)
{
    struct fy_token *token = e->scalar.value;
    enum fy_scalar_style style = token != NULL ? fy_token_scalar_style(token) : FYSS_PLAIN;
    bool quoted = style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED;
    struct conf_mark mark = make_mark(b, fy_event_start_mark(e), fy_event_end_mark(e), quoted);
    struct node *node;
    enum err err = add_node(b, NODE_SCALAR, mark, &node);
    if (err != ERR_OK)
        return err;
    refuse_extras(b, e->scalar.anchor, e->scalar.tag);
    size_t n = 0;
    const char *p = token != NULL ? fy_token_get_text(token, &n) : NULL;
    node->quoted = style != FYSS_PLAIN;
    node->text = arena_copy(b->arena, p != NULL ? span_of(p, n) : SPAN(""));
    return node->text.p != NULL ? ERR_OK : ERR_NO_MEMORY;
}

static enum err on_open(struct builder *b, enum node_kind kind, struct fy_event *e)
{
    struct conf_mark mark = mark_of(b, e);
    if (b->depth == LIMIT_CONF_DEPTH) {
        conf_report(b->m, mark, "nested too deeply; at most %d levels are allowed",
                    LIMIT_CONF_DEPTH);
        return ERR_SYNTAX;
    }
    struct node *node;
    enum err err = add_node(b, kind, mark, &node);
    if (err != ERR_OK)
        return err;
    if (kind == NODE_MAP)
        refuse_extras(b, e->mapping_start.anchor, e->mapping_start.tag);
    else
        refuse_extras(b, e->sequence_start.anchor, e->sequence_start.tag);
    b->open[b->depth++] = node;
    return ERR_OK;
}

static enum err on_alias(struct builder *b, struct fy_event *e)
{
    struct conf_mark mark = make_mark(b, fy_event_start_mark(e), NULL, true);
    conf_report(b->m, mark, "an alias (*name) is not allowed; write the value where it is used");
    struct node *node;
    return add_node(b, NODE_BAD, mark, &node);
}

static int compare_keys(const void *x, const void *y)
{
    const struct node *a = *(const struct node *const *)x, *b = *(const struct node *const *)y;
    int by_text = span_cmp(a->key->text, b->key->text);
    if (by_text != 0)
        return by_text;
    if (a->key->mark.line != b->key->mark.line)
        return a->key->mark.line < b->key->mark.line ? -1 : 1;
    return a->key->mark.column < b->key->mark.column ? -1 : 1;
}

/* Each key that was given before, with both places. */
static enum err refuse_duplicates(struct builder *b, const struct node *map)
{
    if (map->count < 2)
        return ERR_OK;
    const struct node **sorted = arena_take(b->arena, map->count * sizeof(const struct node *));
    if (sorted == NULL)
        return ERR_NO_MEMORY;
    size_t n = 0;
    for (const struct node *c = map->first; c != NULL; c = c->next)
        sorted[n++] = c;
    qsort(sorted, n, sizeof(const struct node *), compare_keys);
    for (size_t i = 1, first = 0; i < n; i++) {
        if (!span_eq(sorted[i]->key->text, sorted[first]->key->text)) {
            first = i;
            continue;
        }
        const struct node *key = sorted[i]->key;
        conf_report(b->m, key->mark, "duplicate key '%.*s'; it is given first at %.*s:%u:%u",
                    SPAN_FMT(source_clip(key->text)), SPAN_FMT(b->m->source->files[b->file].name),
                    (unsigned)sorted[first]->key->mark.line,
                    (unsigned)sorted[first]->key->mark.column);
    }
    return ERR_OK;
}

static enum err on_close(struct builder *b)
{
    const struct node *done = b->open[--b->depth];
    return done->kind == NODE_MAP ? refuse_duplicates(b, done) : ERR_OK;
}

static enum err on_event(struct builder *b, struct fy_event *e)
{
    switch (e->type) {
    case FYET_DOCUMENT_START:
        if (b->root == NULL)
            return ERR_OK;
        conf_report(b->m, mark_of(b, e), "a second document begins; a file holds one");
        return ERR_SYNTAX;
    case FYET_MAPPING_START:
        return on_open(b, NODE_MAP, e);
    case FYET_SEQUENCE_START:
        return on_open(b, NODE_LIST, e);
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END:
        return on_close(b);
    case FYET_SCALAR:
        return on_scalar(b, e);
    case FYET_ALIAS:
        return on_alias(b, e);
    case FYET_NONE:
    case FYET_STREAM_START:
    case FYET_STREAM_END:
    case FYET_DOCUMENT_END:
        break;
    }
    return ERR_OK;
}

static enum err run_parser(struct builder *b, struct fy_parser *parser)
{
    enum err err = ERR_OK;
    size_t before = b->m->errors;
    bool ended = false;
    for (struct fy_event *e; err == ERR_OK && (e = fy_parser_parse(parser)) != NULL;) {
        ended = e->type == FYET_STREAM_END;
        err = on_event(b, e);
        fy_parser_event_free(parser, e);
    }
    if (err != ERR_OK || ended)
        return err;
    if (b->m->errors == before)
        conf_report(b->m, b->last, "malformed YAML after this place");
    return ERR_SYNTAX;
}

enum err tree_parse(const struct conf_source *source, size_t file, struct arena *arena,
                    struct conf_messages *m, struct node **root)
{
    struct builder b = {.arena = arena,
                        .m = m,
                        .file = (uint32_t)file,
                        .last = {.line = 1, .column = 1, .width = 1, .file = (uint32_t)file}};
    struct fy_diag_cfg diag_cfg;
    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL;
    diag_cfg.output_fn = on_diagnostic;
    diag_cfg.user = &b;
    diag_cfg.colorize = false;
    diag_cfg.level = FYET_ERROR;
    struct fy_diag *diag = fy_diag_create(&diag_cfg);
    /* A closing brace may stand below its key, as most write it. */
    struct fy_parse_cfg cfg = {.flags = FYPCF_SLOPPY_FLOW_INDENTATION, .diag = diag};
    struct fy_parser *parser = diag != NULL ? fy_parser_create(&cfg) : NULL;
    enum err err = ERR_NO_MEMORY;
    if (parser != NULL &&
        fy_parser_set_string(parser, source->files[file].text.p, source->files[file].text.n) == 0)
        err = run_parser(&b, parser);
    fy_parser_destroy(parser);
    fy_diag_destroy(diag);
    *root = err == ERR_OK ? b.root : NULL;
    return err;
}

const struct node *node_child(const struct node *map, const char *key)
{
    struct span want = span_str(key);
    for (const struct node *c = map->first; c != NULL; c = c->next)
        if (span_eq(c->key->text, want))
            return c;
    return NULL;
}
