/* In place of resolve.c where Meridian is built without c-ares. */
#include "net/resolve.h"

bool resolver_available(void)
{
    return false;
}

const char *resolver_library_version(void)
{
    return NULL;
}

enum err resolver_new(struct loop *loop, struct span servers, struct resolver **out)
{
    (void)loop, (void)servers;
    *out = NULL;
    return ERR_UNSUPPORTED;
}

void resolver_free(struct resolver **r)
{
    *r = NULL;
}

enum err resolve_start(struct resolver *r, struct span name, enum resolve_what what, uint16_t port,
                       resolve_done *done, void *user, struct resolve **out)
{
    (void)r, (void)name, (void)what, (void)port, (void)done, (void)user;
    *out = NULL;
    return ERR_UNSUPPORTED;
}

void resolve_cancel(struct resolve **q)
{
    *q = NULL;
}
