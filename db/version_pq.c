#include "db/version.h"

#include <libpq-fe.h>

int db_library_version(void)
{
    return PQlibVersion();
}
