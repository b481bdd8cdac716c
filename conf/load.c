#include "conf/check.h"
#include "conf/include.h"

#define TREE_BLOCK KIB(64)
#define TREE_MOST  MIB(64) /* 100 000 nodes and the texts of 4 MiB */

/* Root keys, then what they mean together. */
static enum err build(struct conf *conf, const struct node *root, struct conf_messages *m)
{
    struct reader r = {.m = m, .arena = &conf->source->arena};
    schema_preset(&schema_root, conf);
    reader_map(&r, &schema_root, root, conf);
    if (root->kind == NODE_MAP)
        check_conf(&r, conf);
    if (r.no_memory)
        return ERR_NO_MEMORY;
    return m->errors > 0 ? ERR_SYNTAX : ERR_OK;
}

static enum err parse(struct conf *conf, struct conf_messages *m)
{
    struct arena nodes;
    struct node *root = NULL;
    arena_init(&nodes, NULL, TREE_BLOCK, TREE_MOST);
    enum err err = source_check(conf->source, 0, m) ? tree_parse(conf->source, 0, &nodes, m, &root)
                                                    : ERR_SYNTAX;
    if (err == ERR_OK && root == NULL) {
        conf_report(m, (struct conf_mark){0},
                    "the file is empty; at least one listener, one pool with "
                    "one backend and one route are needed");
        err = ERR_SYNTAX;
    }
    if (err == ERR_OK)
        err = include_files(conf->source, &nodes, m, root);
    if (err == ERR_OK)
        err = build(conf, root, m);
    arena_reset(&nodes);
    return err;
}

static enum err load(const char *name, struct span text, bool from_file, struct conf **out,
                     struct buf *messages)
{
    *out = NULL;
    struct conf_source *source = source_new(name, text.n <= LIMIT_CONF_BYTES ? text : SPAN_NONE);
    struct conf *conf = source != NULL ? arena_zero(&source->arena, sizeof *conf) : NULL;
    if (conf == NULL) {
        source_free(&source);
        return ERR_NO_MEMORY;
    }
    conf->source = source;
    source->from_file = from_file;
    struct conf_messages m;
    conf_messages_init(&m, conf, messages);
    enum err err = ERR_SYNTAX;
    if (text.n > LIMIT_CONF_BYTES)
        conf_report(&m, (struct conf_mark){0}, "the file is too large; at most 4 MiB are allowed");
    else
        err = parse(conf, &m);
    source_finish(&m);
    if (err == ERR_OK)
        *out = conf;
    else
        source_free(&source);
    return err;
}

enum err conf_load_text(const char *name, struct span text, struct conf **out, struct buf *messages)
{
    return load(name, text, false, out, messages);
}

enum err conf_load(const char *path, struct conf **out, struct buf *messages)
{
    struct buf text;
    *out = NULL;
    buf_init(&text, LIMIT_CONF_BYTES * 2);
    enum err err = source_read(path, &text);
    if (err == ERR_OK)
        err = load(path, buf_span(&text), true, out, messages);
    else
        buf_printf(messages, "%s: error: the file cannot be read: %s%s\n", path, source_why(err),
                   err == ERR_NOT_FOUND ? "; -c FILE names another one" : "");
    buf_fini(&text);
    return err;
}

void conf_free(struct conf **conf)
{
    if (*conf == NULL)
        return;
    struct conf_source *source = (*conf)->source;
    *conf = NULL;
    source_free(&source);
}
