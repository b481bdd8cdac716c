/* Files of tests/data/conf: every broken one gives exactly its messages, every good one loads and
 * is printed so that it loads again to the same. */
#include "check.h"
#include "file.h"

#include <stdio.h>
#include <stdlib.h>

#define FILES_MOST 256

static void check_broken(const char *name)
{
    char path[512];
    struct buf text, want, got;
    struct conf *conf = NULL;
    buf_init(&text, 0);
    buf_init(&want, 0);
    buf_init(&got, 0);
    snprintf(path, sizeof path, "%s/conf/broken/%s", TEST_DATA, name);
    CHECK(file_read(path, &text), "%s", path);
    snprintf(path, sizeof path, "%s/conf/broken/%.*s.expected", TEST_DATA, (int)strlen(name) - 5,
             name);
    CHECK(file_read(path, &want), "%s", path);
    CHECK_INT(conf_load_text(name, buf_span(&text), &conf, &got), ERR_SYNTAX);
    CHECK(conf == NULL, "%s is handed out", name);
    CHECK(span_eq(buf_span(&got), buf_span(&want)), "%s:\n%.*swant:\n%.*s", name,
          SPAN_FMT(buf_span(&got)), SPAN_FMT(buf_span(&want)));
    buf_fini(&text);
    buf_fini(&want);
    buf_fini(&got);
}

TEST(conf_golden, broken_files_give_their_messages)
{
    char *names[FILES_MOST];
    size_t n = file_list(TEST_DATA "/conf/broken", ".yaml", names, FILES_MOST);
    CHECK(n >= 70 && n < FILES_MOST, "%zu broken files", n);
    for (size_t i = 0; i < n; i++) {
        check_broken(names[i]);
        free(names[i]);
    }
}

static void check_good(const char *path)
{
    struct buf messages, first, second;
    struct conf *conf = NULL, *again = NULL;
    buf_init(&messages, 0);
    buf_init(&first, 0);
    buf_init(&second, 0);
    enum err err = conf_load(path, &conf, &messages);
    CHECK(err == ERR_OK, "%s: %.*s", path, SPAN_FMT(buf_span(&messages)));
    conf_print(conf, &first);
    err = conf_load_text("printed", buf_span(&first), &again, &messages);
    CHECK(err == ERR_OK, "%s, printed: %.*s", path, SPAN_FMT(buf_span(&messages)));
    conf_print(again, &second);
    CHECK(span_eq(buf_span(&first), buf_span(&second)), "%s:\n%.*sagain:\n%.*s", path,
          SPAN_FMT(buf_span(&first)), SPAN_FMT(buf_span(&second)));
    CHECK(!first.failed && buf_len(&first) > 500, "%s: %zu bytes", path, buf_len(&first));
    conf_free(&conf);
    conf_free(&again);
    buf_fini(&messages);
    buf_fini(&first);
    buf_fini(&second);
}

static void check_folder(const char *folder, size_t least)
{
    char *names[FILES_MOST], path[512];
    size_t n = file_list(folder, ".yaml", names, FILES_MOST);
    CHECK(n >= least, "%zu files in %s", n, folder);
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        check_good(path);
        free(names[i]);
    }
}

TEST(conf_golden, good_files_are_printed_and_load_again)
{
    check_folder(TEST_DATA "/conf/good", 4);
}

TEST(conf_golden, shipped_examples_are_good)
{
    check_folder(SOURCE_DIR "/deploy/examples", 3);
}
