#include "conf/version.h"

#include <libfyaml.h>

const char *conf_library_version(void)
{
    return fy_library_version();
}
