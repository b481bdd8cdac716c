#include "run/secret.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum err secret_read(const char *path, size_t least, struct secret *out)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_from_errno(errno);
    bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    ssize_t n = regular ? read(fd, out->bytes, sizeof out->bytes) : -1;
    enum err e = !regular ? ERR_UNSUPPORTED : n < 0 ? err_from_errno(errno) : ERR_OK;
    close(fd);
    if (e != ERR_OK)
        return e;
    out->n = (size_t)n;
    while (out->n > 0 && memchr(" \t\r\n", out->bytes[out->n - 1], 4) != NULL)
        out->n--;
    return out->n < least || n == SECRET_MOST ? ERR_RANGE : ERR_OK;
}

void secret_free(struct secret **out)
{
    if (*out != NULL)
        mem_wipe(*out, sizeof **out);
    mem_free(*out);
    *out = NULL;
}

static enum err fetch_file(const char *path, struct buf *out)
{
    struct secret secret;
    enum err e = secret_read(path, 1, &secret);
    if (e == ERR_OK)
        buf_put_span(out, span_of(secret.bytes, secret.n));
    mem_wipe(&secret, sizeof secret);
    return e == ERR_RANGE ? ERR_SYNTAX : e;
}

static enum err fetch_credential(const char *name, struct buf *out)
{
    char path[PATH_MAX];
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (folder == NULL)
        return ERR_NOT_FOUND;
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    return n > 0 && (size_t)n < sizeof path ? fetch_file(path, out) : ERR_RANGE;
}

static enum err fetch_variable(const char *where, struct buf *out)
{
    char name[256];
    size_t n = strlen(where);
    if (n < 4 || n >= sizeof name)
        return ERR_RANGE;
    memcpy(name, where + 2, n - 3);
    name[n - 3] = '\0';
    const char *value = getenv(name);
    if (value == NULL)
        return ERR_NOT_FOUND;
    buf_put_str(out, value);
    return ERR_OK;
}

enum err secret_fetch(const char *where, struct buf *out)
{
    enum err e = strncmp(where, "file:", 5) == 0          ? fetch_file(where + 5, out)
                 : strncmp(where, "credential:", 11) == 0 ? fetch_credential(where + 11, out)
                                                          : fetch_variable(where, out);
    struct span s = buf_span(out);
    if (e != ERR_OK || out->failed)
        return e != ERR_OK ? e : ERR_FULL;
    bool good = s.n != 0 && memchr(s.p, '\0', s.n) == NULL && memchr(s.p, '\n', s.n) == NULL;
    return good ? ERR_OK : ERR_SYNTAX;
}
