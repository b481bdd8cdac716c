/* mmdb: one MaxMind-format database, copied into sealed memory, verified and opened. Knows the two
 * layouts of records that are in use (MaxMind's nested one, and a flat one); knows nothing of other
 * files, of countries and of which addresses are worth asking for. Immutable once opened: any
 * thread may look up. */
#ifndef MERIDIAN_GEO_MMDB_H
#define MERIDIAN_GEO_MMDB_H

#include "geo/geo.h"

struct mmdb;

/* As geo_open, for one file. */
MUST_CHECK
enum err mmdb_open(const char *path, struct mmdb **out, struct buf *message);
void mmdb_free(struct mmdb **db);

/* What this file alone says about an address; fields it does not have stay empty. False where it
 * has no record. family and address as in geo_lookup; an IPv6 address in an IPv4 file has no
 * record. */
bool mmdb_lookup(const struct mmdb *db, int family, const void *address, struct place *out);

/* What the record has at the path (names, NULL at the end): text that lives as long as db, or a
 * number written to memory. False where it has nothing there that can be told. */
bool mmdb_field(const struct mmdb *db, int family, const void *address, const char *const *path,
                char memory[GEO_NUMBER], struct span *out);

/* How many bits of the address the answer is for, whether there is a record or not. */
uint8_t mmdb_network(const struct mmdb *db, int family, const void *address);

void mmdb_facts(const struct mmdb *db, struct geo_facts *out);
/* Whether the file at the path is no longer the one that was read. */
bool mmdb_changed(const struct mmdb *db);

#endif
