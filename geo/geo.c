#include "geo/geo.h"

#include "base/limits.h"
#include "base/mem.h"
#include "geo/country.h"
#include "geo/mmdb.h"

#include <netinet/in.h>

struct geo_db {
    size_t n;
    struct mmdb *file[LIMIT_GEO_FILES];
};

enum err geo_open(const char *const *paths, size_t n, struct geo_db **out, struct buf *message)
{
    *out = NULL;
    if (n > LIMIT_GEO_FILES) {
        if (message != NULL)
            buf_printf(message, "%s: at most %d geolocation databases can be used together",
                       paths[0], LIMIT_GEO_FILES);
        return ERR_FULL;
    }
    struct geo_db *db = mem_alloc(sizeof *db);
    if (db == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        enum err e = mmdb_open(paths[i], &db->file[i], message);
        if (e != ERR_OK) {
            geo_free(&db);
            return e;
        }
        db->n++;
    }
    *out = db;
    return ERR_OK;
}

void geo_free(struct geo_db **db)
{
    if (*db == NULL)
        return;
    for (size_t i = 0; i < (*db)->n; i++)
        mmdb_free(&(*db)->file[i]);
    mem_free(*db);
    *db = NULL;
}

/* ---- addresses that are nowhere ---- */

struct network {
    unsigned char address[16];
    unsigned bits;
};

/* IANA's special-purpose registries (RFC 6890 and later), as far as such addresses can be a
 * client's. The documentation networks are left out: examples use them. */
static const struct network nowhere4[] = {
    {{0}, 8},         /* this network, RFC 1122 */
    {{10}, 8},        /* private, RFC 1918 */
    {{100, 64}, 10},  /* shared, RFC 6598 */
    {{127}, 8},       /* loopback, RFC 1122 */
    {{169, 254}, 16}, /* link-local, RFC 3927 */
    {{172, 16}, 12},  /* private, RFC 1918 */
    {{192, 168}, 16}, /* private, RFC 1918 */
    {{224}, 3},       /* multicast and reserved, RFC 5771, RFC 1112 */
};
static const struct network nowhere6[] = {
    {{0}, 127},        /* unspecified and loopback, RFC 4291 */
    {{0xfc}, 7},       /* unique local, RFC 4193 */
    {{0xfe, 0x80}, 9}, /* link-local, RFC 4291, and the former site-local, RFC 3879 */
    {{0xff}, 8},       /* multicast, RFC 4291 */
};

static bool network_has(const struct network *net, const unsigned char *address)
{
    unsigned whole = net->bits / 8, rest = net->bits % 8;
    if (memcmp(net->address, address, whole) != 0)
        return false;
    return rest == 0 || ((net->address[whole] ^ address[whole]) >> (8 - rest)) == 0;
}

static bool nowhere(int family, const unsigned char *address)
{
    bool v4 = family == AF_INET;
    const struct network *list = v4 ? nowhere4 : nowhere6;
    size_t n = v4 ? sizeof nowhere4 / sizeof nowhere4[0] : sizeof nowhere6 / sizeof nowhere6[0];
    for (size_t i = 0; i < n; i++)
        if (network_has(&list[i], address))
            return true;
    return false;
}

/* ---- looking up ---- */

/* Fills what is still empty. A subdivision is only taken where it belongs to the country. */
static void merge(struct place *out, const struct place *more)
{
    if (out->country[0] == '\0')
        memcpy(out->country, more->country, sizeof out->country);
    if (out->continent[0] == '\0')
        memcpy(out->continent, more->continent, sizeof out->continent);
    if (out->subdivision[0] == '\0' &&
        memcmp(out->country, more->country, sizeof out->country) == 0)
        memcpy(out->subdivision, more->subdivision, sizeof out->subdivision);
    if (!out->has_location && more->has_location) {
        out->latitude = more->latitude;
        out->longitude = more->longitude;
        out->accuracy_km = more->accuracy_km;
        out->has_location = true;
    }
}

/* What the country alone tells. */
static void complete(struct place *out)
{
    const struct country *c = out->country[0] != '\0' ? country_find(out->country) : NULL;
    if (c != NULL && out->continent[0] == '\0')
        memcpy(out->continent, c->continent, sizeof out->continent);
    if (c != NULL && !out->has_location) {
        out->latitude = c->latitude;
        out->longitude = c->longitude;
        out->has_location = out->central = true;
    }
    out->known = out->country[0] != '\0' || out->continent[0] != '\0' || out->has_location;
}

static bool full(const struct place *p)
{
    return p->country[0] != '\0' && p->continent[0] != '\0' && p->subdivision[0] != '\0' &&
           p->has_location;
}

/* Unmapped; false: no address that is anywhere. */
static bool plain_address(int *family, const unsigned char **bytes)
{
    static const unsigned char mapped[12] = {
        [10] = 0xff, [11] = 0xff}; /* RFC 4291 section 2.5.5.2 */
    if (*family != AF_INET && *family != AF_INET6)
        return false;
    if (*family == AF_INET6 && memcmp(*bytes, mapped, sizeof mapped) == 0) {
        *family = AF_INET;
        *bytes += sizeof mapped;
    }
    return !nowhere(*family, *bytes);
}

void geo_lookup(const struct geo_db *db, int family, const void *address, struct place *out)
{
    const unsigned char *bytes = address;
    *out = (struct place){.known = false};
    if (db == NULL || !plain_address(&family, &bytes))
        return;
    for (size_t i = 0; i < db->n && !full(out); i++) {
        struct place one;
        if (mmdb_lookup(db->file[i], family, bytes, &one))
            merge(out, &one);
    }
    complete(out);
}

/* ---- fields ---- */

#define STEPS_MOST 8
#define PATH_BYTES 128

/* The names of a path, each ended by NUL in memory. False: too many, or too long. */
static bool split_path(struct span path, char memory[PATH_BYTES], const char *steps[STEPS_MOST + 1])
{
    size_t n = 0;
    if (path.n == 0 || path.n >= PATH_BYTES)
        return false;
    memcpy(memory, path.p, path.n);
    memory[path.n] = '\0';
    steps[n++] = memory;
    for (size_t i = 0; i < path.n; i++) {
        if (memory[i] != '.')
            continue;
        if (n == STEPS_MOST)
            return false;
        memory[i] = '\0';
        steps[n++] = memory + i + 1;
    }
    steps[n] = NULL;
    return true;
}

struct span geo_field(const struct geo_db *db, int family, const void *address, struct span path,
                      char memory[GEO_NUMBER])
{
    char names[PATH_BYTES];
    const char *steps[STEPS_MOST + 1];
    struct span text = SPAN_NONE;
    const unsigned char *bytes = address;
    if (db == NULL || !plain_address(&family, &bytes) || !split_path(path, names, steps))
        return text;
    for (size_t i = 0; i < db->n && text.p == NULL; i++)
        (void)mmdb_field(db->file[i], family, bytes, steps, memory, &text);
    return text;
}

static struct span known_in(const struct mmdb *file, int family, const void *address,
                            enum geo_known what, char memory[GEO_NUMBER])
{
    static const char *const paths[][3][4] = {
        [GEO_CITY] = {{"city", "names", "en"}, {"city"}},
        [GEO_ASN] = {{"autonomous_system_number"}, {"asn"}},
        [GEO_ORGANIZATION] = {{"autonomous_system_organization"}, {"organization"}, {"as_name"}},
    };
    struct span text = SPAN_NONE;
    for (size_t i = 0; i < 3 && paths[what][i][0] != NULL && text.n == 0; i++)
        (void)mmdb_field(file, family, address, paths[what][i], memory, &text);
    return text;
}

struct span geo_known(const struct geo_db *db, int family, const void *address, enum geo_known what,
                      char memory[GEO_NUMBER])
{
    struct span text = SPAN_NONE;
    const unsigned char *bytes = address;
    if (db == NULL || !plain_address(&family, &bytes))
        return text;
    for (size_t i = 0; i < db->n && text.n == 0; i++)
        text = known_in(db->file[i], family, bytes, what, memory);
    return text;
}

void geo_said(const struct geo_db *db, size_t i, int family, const void *address,
              struct geo_said *out)
{
    char none[GEO_NUMBER];
    const unsigned char *bytes = address;
    *out = (struct geo_said){.found = false};
    if (!plain_address(&family, &bytes))
        return;
    const struct mmdb *file = db->file[i];
    out->found = mmdb_lookup(file, family, bytes, &out->place);
    out->bits = mmdb_network(file, family, bytes);
    out->city = known_in(file, family, bytes, GEO_CITY, none);
    out->asn = known_in(file, family, bytes, GEO_ASN, out->memory);
    out->organization = known_in(file, family, bytes, GEO_ORGANIZATION, none);
}

/* ---- facts ---- */

size_t geo_count(const struct geo_db *db)
{
    return db != NULL ? db->n : 0;
}

void geo_facts(const struct geo_db *db, size_t i, struct geo_facts *out)
{
    mmdb_facts(db->file[i], out);
}

bool geo_changed(const struct geo_db *db)
{
    for (size_t i = 0; i < geo_count(db); i++)
        if (mmdb_changed(db->file[i]))
            return true;
    return false;
}
