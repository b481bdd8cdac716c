#include "geo/version.h"

#include <maxminddb.h>

const char *geo_library_version(void)
{
    return MMDB_lib_version();
}
