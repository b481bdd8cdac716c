#include "conf/check.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

#define TREE_BLOCK KIB(64)
#define TREE_MOST  MIB(64) /* 100 000 nodes and the texts of 4 MiB */
#define READ_BYTES KIB(64)

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
    enum err err =
        source_check(conf->source, m) ? tree_parse(conf->source, &nodes, m, &root) : ERR_SYNTAX;
    if (err == ERR_OK && root == NULL) {
        conf_report(m, (struct conf_mark){0},
                    "the file is empty; at least one listener, one pool with "
                    "one backend and one route are needed");
        err = ERR_SYNTAX;
    }
    if (err == ERR_OK)
        err = build(conf, root, m);
    arena_reset(&nodes);
    return err;
}

enum err conf_load_text(const char *name, struct span text, struct conf **out, struct buf *messages)
{
    *out = NULL;
    struct conf_source *source = source_new(name, text.n <= LIMIT_CONF_BYTES ? text : SPAN_NONE);
    struct conf *conf = source != NULL ? arena_zero(&source->arena, sizeof *conf) : NULL;
    if (conf == NULL) {
        source_free(&source);
        return ERR_NO_MEMORY;
    }
    conf->source = source;
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

/* One byte more than is allowed is read, so that the bound is seen. */
static enum err read_file(const char *path, struct buf *text)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return err_from_errno(errno);
    size_t n = 1;
    while (n > 0 && buf_len(text) <= LIMIT_CONF_BYTES && buf_reserve(text, READ_BYTES)) {
        n = fread(text->p + text->n, 1, READ_BYTES, file);
        text->n += n;
    }
    enum err err = ferror(file) ? err_from_errno(errno) : text->failed ? ERR_NO_MEMORY : ERR_OK;
    (void)fclose(file);
    return err;
}

enum err conf_load(const char *path, struct conf **out, struct buf *messages)
{
    struct buf text;
    *out = NULL;
    buf_init(&text, LIMIT_CONF_BYTES * 2);
    enum err err = read_file(path, &text);
    if (err == ERR_OK)
        err = conf_load_text(path, buf_span(&text), out, messages);
    else
        buf_printf(messages, "%s: error: the file cannot be read: %s\n", path, err_phrase(err));
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
