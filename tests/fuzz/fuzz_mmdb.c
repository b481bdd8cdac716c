/* SEES: geo base
 * Whatever bytes stand in the place of a geolocation database: it is refused, or it answers
 * look-ups with places that are well-formed (RELIABILITY C4, F22). Seeds are whole databases. */
#include "geo/geo.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void check_text(const char *text, size_t size)
{
    size_t n = strnlen(text, size);
    if (n == size)
        abort();
    for (size_t i = 0; i < n; i++)
        if (!(text[i] >= 'A' && text[i] <= 'Z') && !ascii_digit(text[i]))
            abort();
}

static void check_place(const struct geo_db *db, int family, const unsigned char *address)
{
    struct place p;
    geo_lookup(db, family, address, &p);
    check_text(p.country, sizeof p.country);
    check_text(p.continent, sizeof p.continent);
    check_text(p.subdivision, sizeof p.subdivision);
    if (p.has_location &&
        !(p.latitude >= -90 && p.latitude <= 90 && p.longitude >= -180 && p.longitude <= 180))
        abort();
    if (p.known != (p.country[0] != '\0' || p.continent[0] != '\0' || p.has_location))
        abort();
}

static void look_up(const struct geo_db *db, const unsigned char *data, size_t size)
{
    static const unsigned char v4[][4] = {
        {192, 0, 2, 1}, {192, 0, 2, 200}, {1, 1, 1, 1}, {203, 0, 113, 7}, {255, 0, 0, 1}};
    static const unsigned char v6[][16] = {
        {0x20, 0x01, 0x0d, 0xb8, 1}, {0x20, 0x01, 0x0d, 0xb8}, {0x20, 0x02, 192, 0, 2, 1}, {0x80}};
    for (size_t i = 0; i < sizeof v4 / sizeof v4[0]; i++)
        check_place(db, AF_INET, v4[i]);
    for (size_t i = 0; i < sizeof v6 / sizeof v6[0]; i++)
        check_place(db, AF_INET6, v6[i]);
    for (size_t i = 0; i + 16 <= size && i < 256; i += 16) {
        check_place(db, AF_INET, data + i);
        check_place(db, AF_INET6, data + i);
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    char path[32];
    const char *paths[] = {path};
    struct geo_db *db = NULL;
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (geo_open(paths, 1, &db, NULL) == ERR_OK) {
        struct geo_facts facts;
        geo_facts(db, 0, &facts);
        if (facts.nodes == 0 || facts.nodes > size || strlen(facts.type) > size)
            abort();
        look_up(db, data, size);
    } else if (db != NULL) {
        abort();
    }
    geo_free(&db);
    (void)close(fd);
    return 0;
}
