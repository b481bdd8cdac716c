#include "run/descriptors.h"

#include "base/limits.h"

#include <sys/resource.h>

#define RESERVED_FDS 256 /* logs, admin, checks, the helper */

uint32_t descriptors_connections(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 512;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0 && getrlimit(RLIMIT_NOFILE, &limit) != 0)
            return 512;
    }
    uint64_t most = limit.rlim_cur > RESERVED_FDS + 64 ? (limit.rlim_cur - RESERVED_FDS) / 2 : 32;
    return most < LIMIT_CONNECTIONS ? (uint32_t)most : LIMIT_CONNECTIONS;
}

enum err descriptors_check(const struct conf *conf, struct buf *messages)
{
    struct rlimit limit;
    uint64_t wanted = (uint64_t)conf->limits.connections;
    if (wanted == 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
        wanted * 2 + RESERVED_FDS <= limit.rlim_cur)
        return ERR_OK;
    buf_printf(messages,
               "error: limits.connections: %llu connections need %llu descriptors, the limit is "
               "%llu; raise LimitNOFILE= or lower the number\n",
               (unsigned long long)wanted, (unsigned long long)(wanted * 2 + RESERVED_FDS),
               (unsigned long long)limit.rlim_cur);
    return ERR_NO_DESCRIPTOR;
}
