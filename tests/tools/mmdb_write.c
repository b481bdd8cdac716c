/* mmdb-write: a table of networks in, a MaxMind-format database out (mmdb_writer.h). For tests and
 * the demonstration; real databases come from their makers. */
#include "mmdb_writer.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINES_MOST (16u << 20)

static void usage(FILE *to)
{
    (void)fputs(
        "usage: mmdb-write [OPTION...] IN.csv OUT.mmdb\n"
        "  --layout nested|flat     MaxMind's records (default), or flat ones\n"
        "  --degrees float|double   how coordinates are kept (default: double if nested)\n"
        "  --record-size 24|28|32   bits of a record in the tree (default 24)\n"
        "  --ip-version 4|6         4 leaves IPv6 networks out (default 6)\n"
        "  --built SECONDS          build time since 1970 (default: now)\n"
        "  --damage NAME            a damaged file, to test what reads it\n"
        "IN.csv: network,country,continent,subdivision,latitude,longitude,accuracy,registered\n"
        "damages:\n",
        to);
    for (int d = 0; d < MMDB_DAMAGE_COUNT; d++)
        (void)fprintf(to, "  %-16s %s\n", mmdb_damage_name((enum mmdb_damage)d),
                      mmdb_damage_what((enum mmdb_damage)d));
}

static bool parse_damage(const char *name, enum mmdb_damage *out)
{
    for (int d = 0; d < MMDB_DAMAGE_COUNT; d++)
        if (strcmp(name, mmdb_damage_name((enum mmdb_damage)d)) == 0) {
            *out = (enum mmdb_damage)d;
            return true;
        }
    return false;
}

/* 0 or 1 as text is the first or the second name; -1 for neither. */
static int one_of(const char *text, const char *first, const char *second)
{
    return strcmp(text, first) == 0 ? 0 : strcmp(text, second) == 0 ? 1 : -1;
}

static bool parse_option(int option, const char *text, struct mmdb_options *o)
{
    int which = -1;
    switch (option) {
    case 'l':
        which = one_of(text, "nested", "flat");
        o->layout = which == 1 ? MMDB_LAYOUT_FLAT : MMDB_LAYOUT_NESTED;
        return which >= 0;
    case 'g':
        which = one_of(text, "float", "double");
        o->degrees = which == 1 ? MMDB_DEGREES_DOUBLE : MMDB_DEGREES_FLOAT;
        return which >= 0;
    case 'r':
        o->record_bits = (unsigned)strtoul(text, NULL, 10);
        return o->record_bits == 24 || o->record_bits == 28 || o->record_bits == 32;
    case 'i':
        o->ip_version = (unsigned)strtoul(text, NULL, 10);
        return o->ip_version == 4 || o->ip_version == 6;
    case 'b':
        o->built_s = strtoull(text, NULL, 10);
        return true;
    case 'd':
        return parse_damage(text, &o->damage);
    default:
        return false;
    }
}

static char *read_all(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text = f != NULL ? calloc(1, LINES_MOST + 1) : NULL;
    if (text != NULL && fread(text, 1, LINES_MOST, f) == 0) {
        free(text);
        text = NULL;
    }
    if (f != NULL)
        (void)fclose(f);
    return text;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"layout", required_argument, NULL, 'l'},
                                            {"degrees", required_argument, NULL, 'g'},
                                            {"record-size", required_argument, NULL, 'r'},
                                            {"ip-version", required_argument, NULL, 'i'},
                                            {"built", required_argument, NULL, 'b'},
                                            {"damage", required_argument, NULL, 'd'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct mmdb_options o = {.built_s = (uint64_t)time(NULL)};
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (c == 'h') {
            usage(stdout);
            return 0;
        }
        if (!parse_option(c, optarg, &o)) {
            usage(stderr);
            return 2;
        }
    }
    if (argc - optind != 2) {
        usage(stderr);
        return 2;
    }
    char *text = read_all(argv[optind]);
    bool good = text != NULL && mmdb_writer_file(&o, text, argv[optind + 1]);
    if (!good)
        (void)fprintf(stderr,
                      "mmdb-write: %s: cannot be read, a line is malformed, or %s cannot be "
                      "written\n",
                      argv[optind], argv[optind + 1]);
    free(text);
    return good ? 0 : 1;
}
