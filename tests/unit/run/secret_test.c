#include "check.h"
#include "run/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err read_of(const char *where, char *text, size_t size)
{
    struct buf b;
    buf_init(&b, 4096);
    enum err e = secret_fetch(where, &b);
    snprintf(text, size, "%.*s", e == ERR_OK ? (int)buf_len(&b) : 0, b.p != NULL ? b.p : "");
    buf_fini(&b);
    return e;
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    CHECK(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0, "%s", path);
}

TEST(secret, is_read_from_where_it_is)
{
    char folder[] = "/tmp/meridian-secret-XXXXXX", path[64], where[80], text[64];
    CHECK(mkdtemp(folder) != NULL, "folder");
    snprintf(path, sizeof path, "%s/db", folder);
    snprintf(where, sizeof where, "file:%s", path);
    write_text(path, "se cret\n");
    CHECK(read_of(where, text, sizeof text) == ERR_OK && strcmp(text, "se cret") == 0, "%s", text);
    CHECK_INT(read_of("credential:db", text, sizeof text), ERR_NOT_FOUND);
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    CHECK(read_of("credential:db", text, sizeof text) == ERR_OK && strcmp(text, "se cret") == 0,
          "of the service manager");
    setenv("MERIDIAN_TEST_SECRET", "x y", 1);
    CHECK(read_of("${MERIDIAN_TEST_SECRET}", text, sizeof text) == ERR_OK &&
              strcmp(text, "x y") == 0,
          "of the environment");
    CHECK_INT(read_of("${MERIDIAN_TEST_NONE}", text, sizeof text), ERR_NOT_FOUND);
    write_text(path, "");
    CHECK_INT(read_of(where, text, sizeof text), ERR_SYNTAX);
    write_text(path, "two\nlines\n");
    CHECK_INT(read_of(where, text, sizeof text), ERR_SYNTAX);
    unlink(path);
    CHECK_INT(read_of(where, text, sizeof text), ERR_NOT_FOUND);
    CHECK(mkfifo(path, 0600) == 0 && read_of(where, text, sizeof text) == ERR_UNSUPPORTED,
          "a pipe is not waited for");
    unlink(path);
    rmdir(folder);
}
