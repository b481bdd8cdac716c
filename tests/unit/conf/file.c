#include "file.h"

#include "check.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

bool file_read(const char *path, struct buf *out)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return false;
    char piece[4096];
    for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0;)
        buf_put(out, piece, n);
    bool good = !ferror(f);
    fclose(f);
    return good && !out->failed;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

size_t file_list(const char *folder, const char *suffix, char **names, size_t most)
{
    DIR *dir = opendir(folder);
    size_t n = 0;
    if (dir == NULL)
        return 0;
    for (struct dirent *e; n < most && (e = readdir(dir)) != NULL;)
        if (span_ends(span_str(e->d_name), span_str(suffix)))
            names[n++] = strdup(e->d_name);
    closedir(dir);
    qsort(names, n, sizeof *names, compare);
    return n;
}

struct conf *load_good(const char *text)
{
    struct buf messages;
    struct conf *conf = NULL;
    buf_init(&messages, 0);
    enum err err = conf_load_text("test.yaml", span_str(text), &conf, &messages);
    CHECK(err == ERR_OK, "%s: %.*s", err_name(err), SPAN_FMT(buf_span(&messages)));
    CHECK_INT(buf_len(&messages), 0);
    buf_fini(&messages);
    return conf;
}

void load_bad(const char *text, struct buf *messages)
{
    struct conf *conf = NULL;
    buf_init(messages, 0);
    CHECK_INT(conf_load_text("test.yaml", span_str(text), &conf, messages), ERR_SYNTAX);
    CHECK(conf == NULL, "a broken configuration is handed out");
    buf_put_char(messages, '\0');
}
