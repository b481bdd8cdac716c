#include "run/lint.h"

#include "db/lint.h"
#include "run/secret.h"

struct said {
    struct conf_messages to;
    struct conf_mark mark;
};

static void say(void *user, bool fatal, const char *text)
{
    struct said *s = user;
    if (fatal)
        conf_report(&s->to, s->mark, "%s", text);
    else
        conf_warn(&s->to, s->mark, "%s", text);
}

static void lint_source(const struct conf *conf, const struct conf_data_source *source,
                        struct said *said)
{
    struct db_where where = {.conninfo = (char *)(uintptr_t)source->postgres.s.p,
                             .password = (char *)(uintptr_t)source->password.s.p,
                             .secret = secret_fetch};
    said->mark = source->postgres.mark;
    enum err e = db_lint(&where, source == conf_registry_source(conf), say, said);
    if (e != ERR_OK)
        conf_report(&said->to, said->mark, "%s", err_phrase(e));
}

enum err lint_database(const struct conf *conf, struct buf *messages)
{
    struct said said = {.mark = {.line = 0}};
    conf_messages_init(&said.to, conf, messages);
    if (conf->source_count == 0) {
        conf_report(&said.to, said.mark,
                    "--with-database: there is no database; define one under data_sources");
        return ERR_SYNTAX;
    }
    for (size_t i = 0; i < conf->source_count; i++)
        lint_source(conf, &conf->sources[i], &said);
    return said.to.errors != 0 ? ERR_SYNTAX : ERR_OK;
}
