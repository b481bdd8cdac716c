#include "run/keep_file.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "/pools.json"

char *keep_file_path(const struct conf *conf)
{
    const char *managed = getenv("STATE_DIRECTORY");
    struct span folder = conf->state.s;
    if (conf->state.mark.line == 0 && managed != NULL && managed[0] == '/')
        folder = span_of(managed, strcspn(managed, ":"));
    char *path = mem_alloc(folder.n + sizeof NAME);
    if (path != NULL) {
        memcpy(path, folder.p, folder.n);
        memcpy(path + folder.n, NAME, sizeof NAME);
    }
    return path;
}

enum err keep_file_read(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_from_errno(errno);
    ssize_t n = 1;
    while (n > 0 && buf_reserve(out, KIB(16))) {
        n = read(fd, out->p + out->n, KIB(16));
        if (n > 0)
            out->n += (size_t)n;
    }
    enum err e = n < 0 ? err_from_errno(errno) : out->failed ? ERR_FULL : ERR_OK;
    close(fd);
    return e;
}

static enum err write_all(int fd, struct span text)
{
    while (text.n != 0) {
        ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno != EINTR)
            return err_from_errno(errno);
        text = span_sub(text, n > 0 ? (size_t)n : 0, text.n);
    }
    return fsync(fd) == 0 ? ERR_OK : err_from_errno(errno);
}

/* The new name lasts when its folder has been written. */
static enum err sync_folder(const char *path)
{
    size_t n = strlen(path) - (sizeof NAME - 1);
    char *folder = mem_copy_str(path, n);
    int fd = folder != NULL ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    enum err e = fd >= 0 && fsync(fd) == 0 ? ERR_OK : err_from_errno(errno);
    if (fd >= 0)
        close(fd);
    mem_free(folder);
    return e;
}

static enum err replace(const char *path, const char *temporary, struct span text)
{
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return err_from_errno(errno);
    enum err e = write_all(fd, text);
    close(fd);
    if (e == ERR_OK && rename(temporary, path) != 0)
        e = err_from_errno(errno);
    return e == ERR_OK ? sync_folder(path) : e;
}

enum err keep_file_write(const char *path, struct span text)
{
    char temporary[4096];
    int n = snprintf(temporary, sizeof temporary, "%s.new", path);
    if (n < 0 || (size_t)n >= sizeof temporary)
        return ERR_RANGE;
    return replace(path, temporary, text);
}
