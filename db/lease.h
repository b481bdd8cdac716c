/* lease: which servers go because their lease is over. A lapsed lease is a suspicion, not a
 * verdict: the server stays while its checks pass, until ten times its lease has gone by. A gap in
 * contact with the database, or very many leases over at a time, say more about the database or the
 * network than about the servers. Pure; knows no connection. */
#ifndef MERIDIAN_DB_LEASE_H
#define MERIDIAN_DB_LEASE_H

#include "db/row.h"

struct lease_book {
    int64_t ignore_until_ms; /* after a gap: servers may renew */
    _Atomic uint64_t brakes; /* reads that would have removed too many */
    size_t suspects;         /* of the last read: lapsed and kept */
};

/* Whether the checks of that server fail. */
typedef bool (*lease_fails)(void *ctx, const struct row *row);

/* Drops those whose lease is over. Rows that are not in the set any more went by somebody's word;
 * they are no matter of leases. True: the brake held some. */
bool lease_settle(struct lease_book *b, struct row_set *set, int64_t now_ms, lease_fails fails,
                  void *ctx);

#endif
