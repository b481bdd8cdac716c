#include "run/stamp.h"

#include "base/clock.h"

#include <sys/stat.h>

static int64_t ns_of(struct timespec t)
{
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

struct stamp stamp_of(const char *path)
{
    struct stat s;
    if (path == NULL || stat(path, &s) != 0)
        return (struct stamp){0};
    return (struct stamp){.there = true,
                          .device = s.st_dev,
                          .inode = s.st_ino,
                          .bytes = s.st_size,
                          .changed_ns = ns_of(s.st_mtim),
                          .status_ns = ns_of(s.st_ctim)};
}

bool stamp_eq(const struct stamp *a, const struct stamp *b)
{
    return a->there == b->there && a->device == b->device && a->inode == b->inode &&
           a->bytes == b->bytes && a->changed_ns == b->changed_ns && a->status_ns == b->status_ns;
}
