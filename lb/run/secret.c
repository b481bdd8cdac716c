#include "run/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
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
