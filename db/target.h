/* target: the hosts of a connection as libpq is given them: three lists that belong together. Host
 * names are looked up before, because libpq would block on them; the names stay beside their
 * addresses, for certificates and password files. Pure: names go out, addresses come in. */
#ifndef MERIDIAN_DB_TARGET_H
#define MERIDIAN_DB_TARGET_H

#include "base/buf.h"
#include "net/addr.h"

#define DB_HOSTS_MOST     8
#define DB_ADDRESSES_MOST 16 /* of all hosts together */
#define DB_HOST_MOST      253

struct db_host {
    char name[DB_HOST_MOST + 1]; /* may be empty; a folder: a unix socket */
    char port[6];                /* may be empty: the default */
    bool lookup;                 /* its addresses are not known */
};

struct db_target {
    struct db_host hosts[DB_HOSTS_MOST];
    size_t host_count;
    struct buf host, hostaddr, port; /* comma lists, NUL-terminated after db_target_close */
    size_t entries;
};

/* From the values of host and port, each of which may be NULL. ERR_RANGE: too many, too long, or
 * not as many ports as hosts. The caller ends it with db_target_fini in every case. */
MUST_CHECK
enum err db_target_init(struct db_target *t, const char *host, const char *port);
/* One entry of the lists: host i at that address, or as it is (NULL). */
void db_target_add(struct db_target *t, size_t i, const struct addr *a);
/* No more entries. ERR_NO_MEMORY, ERR_NOT_FOUND: there is none. */
MUST_CHECK
enum err db_target_close(struct db_target *t);
void db_target_fini(struct db_target *t);

#endif
