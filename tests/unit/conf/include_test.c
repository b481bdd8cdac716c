/* Files that include others: merged, with every message in the right file. */
#include "check.h"
#include "file.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A name that a pattern would take for one of two letters. */
#define HERE "/tmp/meridian-[in]clude-XXXXXX"

struct folder {
    char path[64];
};

static void folder_make(struct folder *f)
{
    char inner[96];
    snprintf(f->path, sizeof f->path, "%s", HERE);
    CHECK(mkdtemp(f->path) != NULL, "no folder");
    snprintf(inner, sizeof inner, "%s/conf.d", f->path);
    CHECK_INT(mkdir(inner, 0700), 0);
}

static void put(const struct folder *f, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", f->path, name);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0, "%s", path);
}

static void folder_remove(const struct folder *f)
{
    static const char *const names[] = {"main.yaml",       "a.yaml",        "conf.d/1.yaml",
                                        "conf.d/2.yaml",   "conf.d/3.yaml", "conf.d/other.txt",
                                        "conf.d/next.yaml"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", f->path, names[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/conf.d", f->path);
    rmdir(path);
    rmdir(f->path);
}

static enum err load(const struct folder *f, struct conf **conf, struct buf *messages)
{
    char path[128];
    snprintf(path, sizeof path, "%s/main.yaml", f->path);
    buf_init(messages, 0);
    return conf_load(path, conf, messages);
}

/* Loads what is refused; the message, with the folder cut off every line, is the wanted one. */
static void check_refused(const struct folder *f, const char *want)
{
    struct conf *conf = NULL;
    struct buf messages, line;
    CHECK_INT(load(f, &conf, &messages), ERR_SYNTAX);
    buf_init(&line, 0);
    buf_put_str(&line, f->path);
    buf_put_char(&line, '/');
    struct span said = buf_span(&messages);
    CHECK(span_starts(said, buf_span(&line)), "%.*s", SPAN_FMT(said));
    said = span_sub(said, line.n, said.n);
    CHECK(span_starts(said, span_str(want)), "%.*swant: %s", SPAN_FMT(said), want);
    buf_fini(&line);
    buf_fini(&messages);
}

#define POOLS     "pools:\n  api: {backends: {a: {address: \"10.0.0.1:80\"}}}\n"
#define LISTENERS "listeners:\n  p: {bind: \"127.0.0.1:8080\"}\n"

TEST(conf_include, maps_and_routes_are_put_together)
{
    struct folder f;
    struct conf *c = NULL;
    struct buf messages;
    folder_make(&f);
    put(&f, "main.yaml",
        "include: [conf.d/*.yaml]\n" LISTENERS POOLS
        "routes:\n  - match: {path: /main}\n    pool: api\n");
    put(&f, "conf.d/1.yaml",
        "pools:\n  one: {backends: {a: {address: \"10.0.0.2:80\"}}}\n"
        "routes:\n  - match: {path: /one}\n    pool: one\ntimeouts: {idle: 7s}\n");
    put(&f, "conf.d/2.yaml", "include: ../a.yaml\ntimeouts: {connect: 3s}\n");
    put(&f, "conf.d/3.yaml", "");
    put(&f, "conf.d/other.txt", "no: yaml");
    put(&f, "a.yaml", "routes:\n  - match: {path: /nested}\n    pool: one\n");
    enum err e = load(&f, &c, &messages);
    folder_remove(&f);
    CHECK(e == ERR_OK && buf_len(&messages) == 0, "%.*s", SPAN_FMT(buf_span(&messages)));
    CHECK_INT(c->pool_count, 2);
    CHECK_INT(c->route_count, 3);
    CHECK_SPAN(c->routes[0].match.path.s, "/main");
    CHECK_SPAN(c->routes[1].match.path.s, "/one");
    CHECK_SPAN(c->routes[2].match.path.s, "/nested");
    CHECK_SPAN(c->routes[2].pool->name.s, "one");
    CHECK_INT(c->timeouts.idle_ms, 7000);
    CHECK_INT(c->timeouts.connect_ms, 3000);
    CHECK_INT(c->include_count, 0);
    conf_free(&c);
    buf_fini(&messages);
}

TEST(conf_include, messages_name_the_right_file)
{
    struct folder f;
    folder_make(&f);
    put(&f, "main.yaml", "include: conf.d/1.yaml\n" LISTENERS POOLS);
    put(&f, "conf.d/1.yaml", "# a line\nroutes:\n  - pool: apo\n");
    check_refused(&f,
                  "conf.d/1.yaml:3:11: error: pool 'apo' is not defined under pools; did you mean "
                  "'api'?\n    - pool: apo\n            ^~~\n");
    put(&f, "conf.d/1.yaml", "routes: [\n");
    check_refused(&f, "conf.d/1.yaml:");
    put(&f, "conf.d/1.yaml", "- x\n");
    check_refused(&f, "conf.d/1.yaml:1:1: error: an included file must be a map");
    put(&f, "conf.d/1.yaml", "routes:\n  - pool: api\ntimeout: {}\n");
    check_refused(&f, "conf.d/1.yaml:3:1: error: unknown key 'timeout'");
    folder_remove(&f);
}

TEST(conf_include, what_is_given_twice_is_told_with_both_places)
{
    struct folder f;
    char want[256];
    folder_make(&f);
    put(&f, "main.yaml", "include: conf.d/1.yaml\n" LISTENERS POOLS "workers: 2\n");
    put(&f, "conf.d/1.yaml", POOLS);
    snprintf(want, sizeof want,
             "conf.d/1.yaml:2:3: error: 'api' is given twice, first at %s/main.yaml:5:3\n", f.path);
    check_refused(&f, want);
    put(&f, "conf.d/1.yaml", "workers: 3\n");
    snprintf(want, sizeof want,
             "conf.d/1.yaml:1:1: error: 'workers' is given twice, first at %s/main.yaml:6:1\n",
             f.path);
    check_refused(&f, want);
    folder_remove(&f);
}

/* F23: what is wrong is a link, and neither the file nor who may read it. */
TEST(conf_include, links_in_a_circle)
{
    struct folder f;
    char link[128], want[256];
    folder_make(&f);
    snprintf(link, sizeof link, "%s/conf.d/1.yaml", f.path);
    CHECK_INT(symlink("1.yaml", link), 0);
    put(&f, "main.yaml", "include: conf.d/*.yaml\n" LISTENERS POOLS);
    snprintf(want, sizeof want,
             "main.yaml:1:10: error: '%s/conf.d/1.yaml' is not included: a symbolic link leads in "
             "a circle, or may not stand there; `namei PATH` shows it\n",
             f.path);
    check_refused(&f, want);
    folder_remove(&f);
}

/* What is said of a file that is good; the folder is a "~". */
static void check_warned(const struct folder *f, const char *include, const char *want)
{
    struct conf *conf = NULL;
    struct buf messages, text;
    buf_init(&text, 0);
    buf_printf(&text, "include: %s\n" LISTENERS POOLS "routes: [{pool: api}]\n", include);
    buf_put_char(&text, '\0');
    put(f, "main.yaml", text.p);
    CHECK_INT(load(f, &conf, &messages), ERR_OK);
    text.n = 0;
    for (; *want != '\0'; want++)
        buf_put_str(&text, *want == '~' ? f->path : (char[2]){*want, '\0'});
    struct span said = buf_span(&messages), wanted = buf_span(&text);
    CHECK(wanted.n > 0 ? span_starts(said, wanted) : said.n == 0, "%s: %.*swant: %.*s", include,
          SPAN_FMT(said), SPAN_FMT(wanted));
    conf_free(&conf);
    buf_fini(&text);
    buf_fini(&messages);
}

TEST(conf_include, a_pattern_in_a_folder_that_is_not_there_is_told)
{
    struct folder f;
    folder_make(&f);
    check_warned(&f, "[conf.d/*.yaml, \"*.yml\", /*.none]", "");
    check_warned(&f, "[conf.d/*.yaml, nope/*.yaml]",
                 "~/main.yaml:1:26: warning: no folder '~/nope'; nothing is included\n");
    check_warned(&f, "nope/*/x.yaml",
                 "~/main.yaml:1:10: warning: no folder '~/nope'; nothing is included\n");
    check_warned(&f, "/nope/x/*.yaml",
                 "~/main.yaml:1:10: warning: no folder '/nope/x'; nothing is included\n");
    check_warned(&f, "main.yaml/*.yaml",
                 "~/main.yaml:1:10: warning: no folder '~/main.yaml'; nothing is included\n");
    folder_remove(&f);
}

TEST(conf_include, bounds)
{
    struct folder f;
    char want[256];
    folder_make(&f);
    put(&f, "main.yaml", "include: [absent.yaml]\n" LISTENERS POOLS);
    snprintf(want, sizeof want,
             "main.yaml:1:11: error: '%s/absent.yaml' is not included: it does not exist\n",
             f.path);
    check_refused(&f, want);
    put(&f, "main.yaml", "include: [conf.d]\n" LISTENERS POOLS);
    snprintf(want, sizeof want,
             "main.yaml:1:11: error: '%s/conf.d' is not included: it is a folder; name the file in "
             "it\n",
             f.path);
    check_refused(&f, want);
    put(&f, "main.yaml", "include: main.yaml\n" LISTENERS POOLS);
    snprintf(want, sizeof want,
             "main.yaml:1:10: error: '%s/main.yaml' is not included: it would include itself\n",
             f.path);
    check_refused(&f, want);
    put(&f, "main.yaml", "include: conf.d/1.yaml\n" LISTENERS POOLS);
    put(&f, "conf.d/1.yaml", "include: ../main.yaml\n");
    snprintf(want, sizeof want,
             "conf.d/1.yaml:1:10: error: '%s/conf.d/../main.yaml' is not included: it would "
             "include itself\n",
             f.path);
    check_refused(&f, want);
    put(&f, "main.yaml", "include: {a: b}\n" LISTENERS POOLS);
    check_refused(&f, "main.yaml:1:10: error: include must be");
    put(&f, "main.yaml", "include: conf.d/*.none\n" LISTENERS POOLS);
    check_refused(&f, "main.yaml: error: 'routes' is missing");
    folder_remove(&f);
    struct buf messages;
    load_bad("include: x.yaml\n" LISTENERS POOLS, &messages);
    CHECK(span_starts(buf_span(&messages), SPAN("test.yaml:1:1: error: include is for files only")),
          "%s", messages.p);
    buf_fini(&messages);
}
