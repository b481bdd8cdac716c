/* make_cert: certificates for tests, made when they are needed: none is stored, so none expires. */
#ifndef MERIDIAN_TESTS_NET_MAKE_CERT_H
#define MERIDIAN_TESTS_NET_MAKE_CERT_H

#include <stdbool.h>

#define MADE_PATH 256

struct made_cert {
    char cert[MADE_PATH], key[MADE_PATH]; /* PEM files */
};

struct cert_wish {
    const char *common_name;
    const char *names; /* subjectAltName, e.g. "DNS:a.example,DNS:*.b.example,IP:127.0.0.1" */
    const struct made_cert *issuer; /* NULL: signs itself */
    bool authority;
    bool expired;
    bool passphrase; /* the key is encrypted */
};

/* Makes a directory of its own; its name is written to dir. */
void made_dir(char dir[MADE_PATH]);
void made_dir_remove(const char *dir);
/* Writes dir/name.crt and dir/name.key: P-256. */
void make_cert(const char *dir, const char *name, const struct cert_wish *wish,
               struct made_cert *out);

#endif
