/* geo_files: databases in a temporary folder for the tests of geo. */
#ifndef MERIDIAN_TESTS_GEO_FILES_H
#define MERIDIAN_TESTS_GEO_FILES_H

#include "check.h"

#include "geo/geo.h"
#include "mmdb_writer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A path in a folder for temporary files, in memory where there is one: file systems wait for the
 * disk where a file is emptied and written again, as tests of damage do thousands of times. Remove
 * it with unlink. */
static inline void file_new(char path[64])
{
    const char *folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(path, 64, "%s/meridian-geo-XXXXXX", folder);
    int fd = mkstemp(path);
    CHECK(fd >= 0, "no temporary file");
    (void)close(fd);
}

static inline void file_put(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    CHECK(f != NULL && fwrite(p, 1, n, f) == n && fclose(f) == 0, "cannot write %s", path);
}

/* The set of one database made of lines of text, closed over its file: the file is gone already. */
static inline struct geo_db *db_of(const struct mmdb_options *options, const char *lines)
{
    char path[64], said[256] = "";
    const char *paths[] = {path};
    struct geo_db *db = NULL;
    struct buf message;
    buf_fixed(&message, said, sizeof said - 1);
    file_new(path);
    CHECK(mmdb_writer_file(options, lines, path), "cannot write a database");
    enum err e = geo_open(paths, 1, &db, &message);
    CHECK(e == ERR_OK, "%s: %s", err_name(e), said);
    (void)unlink(path);
    return db;
}

static inline struct place place_of_text(const struct geo_db *db, const char *text)
{
    struct place place;
    unsigned char address[16];
    int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
    CHECK(inet_pton(family, text, address) == 1, "%s is no address", text);
    geo_lookup(db, family, address, &place);
    return place;
}

#endif
