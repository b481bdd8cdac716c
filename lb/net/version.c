#include "net/version.h"

#include <ev.h>
#include <openssl/crypto.h>

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

const char *net_tls_version(void)
{
    return OpenSSL_version(OPENSSL_VERSION);
}

const char *net_loop_version(void)
{
    return TEXT(EV_VERSION_MAJOR) "." TEXT(EV_VERSION_MINOR);
}
