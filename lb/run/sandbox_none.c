/* Built without libseccomp: the service manager's filter is the only one. */
#include "run/sandbox.h"

#include <stddef.h>

enum err sandbox_enter(enum sandbox which)
{
    (void)which;
    return ERR_UNSUPPORTED;
}

bool sandbox_built(void)
{
    return false;
}

const char *sandbox_library_version(void)
{
    return NULL;
}
