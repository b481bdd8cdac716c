#include "base/err.h"

#include <errno.h>

struct entry {
    const char *name, *phrase;
    int status;
};

static const struct entry entries[ERR_COUNT] = {
#define ERR_ENTRY_(id, name_, status_, phrase_)                                                    \
    [ERR_##id] = {.name = (name_), .phrase = (phrase_), .status = (status_)},
    ERR_LIST(ERR_ENTRY_)
#undef ERR_ENTRY_
};

static const struct entry *entry_of(enum err e)
{
    return &entries[(unsigned)e < ERR_COUNT ? e : ERR_INTERNAL];
}

const char *err_name(enum err e)
{
    return entry_of(e)->name;
}

const char *err_phrase(enum err e)
{
    return entry_of(e)->phrase;
}

int err_status(enum err e)
{
    return entry_of(e)->status;
}

/* What connecting to and talking with a peer may meet. The client's side gives these names of its
 * own. */
static enum err from_peer_errno(int errnum)
{
    switch (errnum) {
    case ECONNREFUSED:
        return ERR_BACKEND_REFUSED;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
        return ERR_BACKEND_UNREACHABLE;
    case ETIMEDOUT:
        return ERR_BACKEND_CONNECT_TIMEOUT;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
        return ERR_BACKEND_RESET;
    default:
        return ERR_SYSTEM;
    }
}

enum err err_from_errno(int errnum)
{
    switch (errnum) {
    case 0:
        return ERR_OK;
    case EAGAIN:
    case EINTR:
    case EINPROGRESS:
        return ERR_AGAIN;
    case ENOMEM:
    case ENOBUFS:
        return ERR_NO_MEMORY;
    case EMFILE:
    case ENFILE:
        return ERR_NO_DESCRIPTOR;
    case EADDRNOTAVAIL:
        return ERR_NO_PORT;
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
        return ERR_PERMISSION;
    case ELOOP:
        return ERR_SYMLINK;
    case ERANGE:
    case EOVERFLOW:
        return ERR_RANGE;
    case EEXIST:
        return ERR_EXISTS;
    case EADDRINUSE:
        return ERR_IN_USE;
    case EOPNOTSUPP:
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
        return ERR_UNSUPPORTED;
    default:
        return from_peer_errno(errnum);
    }
}
