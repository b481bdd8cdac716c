/* geo: from an address to a place, out of an ordered set of MaxMind-format databases. Immutable
 * once opened, so that any number of threads may look up in it; a newer file means a new set. Knows
 * the files and the table of countries; knows no connection, no route and no policy (BALANCING.md
 * section 3, RELIABILITY C4). */
#ifndef MERIDIAN_GEO_GEO_H
#define MERIDIAN_GEO_GEO_H

#include "base/buf.h"

struct geo_db;

/* Where an address is, as plain data to be kept in a connection. Text is NUL-terminated, upper
 * case, and empty where it is not known. All zero is the unknown place. */
struct place {
    char
        country[3]; /* ISO 3166-1 alpha-2; where the user is, never where a network is registered */
    char continent[3];    /* AF AN AS EU NA OC SA */
    char subdivision[4];  /* the part of ISO 3166-2 after the hyphen */
    uint16_t accuracy_km; /* radius around the coordinates; 0 where the database gives none */
    float latitude;       /* degrees; meaningful where has_location */
    float longitude;
    bool has_location;
    bool central; /* the coordinates are the country's central point */
    bool known;   /* something above is set */
};

/* What there is to say about one database of a set. Text is borrowed from the set. */
struct geo_facts {
    const char *path;
    const char *type;     /* as its maker calls it, e.g. "GeoLite2-City"; not to be relied on */
    uint64_t built_s;     /* seconds since 1970 */
    uint64_t size_bytes;  /* of the file, and of the memory that holds its copy */
    uint32_t nodes;       /* of the search tree */
    uint32_t records;     /* different records the tree refers to */
    uint16_t record_bits; /* 24, 28 or 32 */
    uint16_t ip_version;  /* 4: answers IPv4 only; 6: IPv6, and IPv4 where the file has it */
    const char *layout;   /* "nested" (MaxMind's) or "flat" */
};

/* Copies each file into sealed memory, verifies it whole and opens the copy, so that nothing done
 * to the file later is seen (C4, F22). Reads whole files: never on a worker. n of at most
 * LIMIT_GEO_FILES; 0 gives a set that knows no place. On failure *out is NULL and message, unless
 * it is NULL, has one line "PATH: why" (no line end): ERR_NOT_FOUND, ERR_PERMISSION, ERR_CORRUPT,
 * ERR_UNSUPPORTED (a database without places), ERR_RANGE (too large), ERR_FULL (too many files),
 * ERR_NO_MEMORY, ERR_NO_DESCRIPTOR, ERR_SYSTEM. The caller owns *out. */
MUST_CHECK
enum err geo_open(const char *const *paths, size_t n, struct geo_db **out, struct buf *message);
void geo_free(struct geo_db **db);

/* The place of an address: family AF_INET with 4 bytes or AF_INET6 with 16, network order. Files
 * are asked in order, and each field comes from the first that has it. IPv4-mapped addresses are
 * unmapped first; private, loopback, link-local, shared (CGNAT) and other addresses that are
 * nowhere are unknown, whatever a file says. Without coordinates the country's central point stands
 * in. db may be NULL (unknown). No allocation, no lock. Any thread. */
void geo_lookup(const struct geo_db *db, int family, const void *address, struct place *out);

/* Any field of a record, by the names that lead to it with dots between ("location.time_zone"; a
 * number counts elements from 0), from the first file that has it there: text, or a number in
 * digits, which is written to memory. Empty where no file has it, and for addresses that are
 * nowhere. The text lives as long as the set. No allocation, no lock. Any thread. */
#define GEO_NUMBER 32
struct span geo_field(const struct geo_db *db, int family, const void *address, struct span path,
                      char memory[GEO_NUMBER]);

/* What layouts in use call by different names: the first that a file has. As geo_field. */
enum geo_known { GEO_CITY, GEO_ASN, GEO_ORGANIZATION };
struct span geo_known(const struct geo_db *db, int family, const void *address, enum geo_known what,
                      char memory[GEO_NUMBER]);

/* What one file of the set says of an address by itself. */
struct geo_said {
    bool found;   /* it has a record */
    uint8_t bits; /* of the network that the record is for */
    struct place place;
    struct span city, asn, organization; /* of the set's life, asn in memory */
    char memory[GEO_NUMBER];
};
/* i below geo_count. Any thread. */
void geo_said(const struct geo_db *db, size_t i, int family, const void *address,
              struct geo_said *out);

size_t geo_count(const struct geo_db *db);
/* i below geo_count. Any thread. */
void geo_facts(const struct geo_db *db, size_t i, struct geo_facts *out);
/* Whether a file of the set has been replaced or changed since it was opened, or is gone. Reads the
 * file system: never on a worker. */
bool geo_changed(const struct geo_db *db);

#endif
