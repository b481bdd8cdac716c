#include "proxy/coding.h"

const struct coding_ops coding_brotli = {.name = "br"};
