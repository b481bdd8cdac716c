#include "geo/mmdb.h"

#include "base/limits.h"
#include "base/mem.h"
#include "geo/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <maxminddb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BYTES KIB(32)

/* The paths of one layout, as libmaxminddb takes them; NULL where the layout lacks the field. */
struct layout {
    const char *name;
    const char *const *country, *const *continent, *const *subdivision;
    const char *const *latitude, *const *longitude, *const *accuracy;
    const char *const *network; /* of databases that say no place, but whose network it is */
};

#define PATH(...)                                                                                  \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

/* MaxMind's own, and the one of databases that have no maps within maps. */
static const struct layout layouts[] = {
    {.name = "nested",
     .country = PATH("country", "iso_code"),
     .continent = PATH("continent", "code"),
     .subdivision = PATH("subdivisions", "0", "iso_code"),
     .latitude = PATH("location", "latitude"),
     .longitude = PATH("location", "longitude"),
     .accuracy = PATH("location", "accuracy_radius")},
    {.name = "flat",
     .country = PATH("country_code"),
     .latitude = PATH("latitude"),
     .longitude = PATH("longitude")},
    {.name = "networks", .network = PATH("autonomous_system_number")},
};
#define LAYOUTS (sizeof layouts / sizeof layouts[0])

struct mmdb {
    MMDB_s db;
    const struct layout *layout;
    char *path;
    struct stat origin; /* of the file that was copied */
    uint32_t records;
};

static enum err explain(struct buf *message, const char *path, enum err e, const char *why)
{
    if (message != NULL)
        buf_printf(message, "%s: %s", path, why);
    return e;
}

static enum err explain_errno(struct buf *message, const char *path, int errnum)
{
    enum err e = err_from_errno(errnum);
    return explain(message, path, e,
                   e == ERR_NOT_FOUND ? "it does not exist; `geoipupdate` fetches one, see \"Geo "
                                        "databases\" in operations.md"
                                      : err_phrase(e));
}

/* ---- the private copy ---- */

/* Appends what is in `from` to `to`; stops beyond the bound, so that a file that grows ends too. */
static int copy_bytes(int from, int to, uint64_t *total)
{
    char piece[COPY_BYTES];
    *total = 0;
    while (*total <= LIMIT_GEO_BYTES) {
        ssize_t got = read(from, piece, sizeof piece);
        if (got == 0)
            return 0;
        for (ssize_t done = 0; done < got;) {
            ssize_t put = write(to, piece + done, (size_t)(got - done));
            if (put < 0 && errno != EINTR)
                return errno;
            done += put > 0 ? put : 0;
        }
        if (got < 0 && errno != EINTR)
            return errno;
        *total += got > 0 ? (uint64_t)got : 0;
    }
    return EFBIG;
}

/* A memory file that nobody can change any more, this process included. */
static enum err copy_sealed(struct mmdb *m, int from, int *out, struct buf *message)
{
    uint64_t total = 0;
    int to = memfd_create("meridian-geo", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (to < 0)
        return explain_errno(message, m->path, errno);
    int failed = copy_bytes(from, to, &total);
    if (failed == 0 &&
        fcntl(to, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
        failed = errno;
    if (failed == 0) {
        *out = to;
        return ERR_OK;
    }
    (void)close(to);
    if (failed == EFBIG)
        return explain(message, m->path, ERR_RANGE,
                       "larger than 1 GiB, the most a database may have");
    return explain_errno(message, m->path, failed);
}

static enum err copy_file(struct mmdb *m, int *out, struct buf *message)
{
    /* O_NONBLOCK: a FIFO in the file's place must not hold the thread; regular files ignore it. */
    int from = open(m->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (from < 0)
        return explain_errno(message, m->path, errno);
    enum err e = ERR_OK;
    if (fstat(from, &m->origin) != 0)
        e = explain_errno(message, m->path, errno);
    else if (!S_ISREG(m->origin.st_mode))
        e = explain(message, m->path, ERR_UNSUPPORTED, "not a regular file");
    else
        e = copy_sealed(m, from, out, message);
    (void)close(from);
    return e;
}

/* ---- opening ---- */

static enum err from_mmdb(int status)
{
    switch (status) {
    case MMDB_SUCCESS:
        return ERR_OK;
    case MMDB_OUT_OF_MEMORY_ERROR:
        return ERR_NO_MEMORY;
    case MMDB_FILE_OPEN_ERROR:
    case MMDB_IO_ERROR:
        return ERR_SYSTEM;
    case MMDB_UNKNOWN_DATABASE_FORMAT_ERROR:
        return ERR_UNSUPPORTED;
    default:
        return ERR_CORRUPT;
    }
}

static bool read_value(const struct mmdb *m, uint32_t record, const char *const *path,
                       MMDB_entry_data_s *out)
{
    MMDB_entry_s entry = {.mmdb = &m->db, .offset = record};
    return path != NULL && MMDB_aget_value(&entry, out, path) == MMDB_SUCCESS && out->has_data;
}

/* The layout of which any of the sampled records has a country, coordinates or a network. */
static const struct layout *find_layout(const struct mmdb *m, const struct verify_report *report)
{
    MMDB_entry_data_s value;
    for (uint32_t i = 0; i < report->samples; i++)
        for (size_t l = 0; l < LAYOUTS; l++)
            if (read_value(m, report->sample[i], layouts[l].country, &value) ||
                read_value(m, report->sample[i], layouts[l].continent, &value) ||
                read_value(m, report->sample[i], layouts[l].latitude, &value) ||
                read_value(m, report->sample[i], layouts[l].network, &value))
                return &layouts[l];
    return NULL;
}

/* Opens the copy once its metadata are known to be harmless, then verifies the rest. */
static enum err open_bytes(struct mmdb *m, struct span bytes, int fd, struct verify_report *report,
                           struct buf *message)
{
    size_t metadata_at = 0;
    enum err e = verify_metadata(bytes, &metadata_at, report);
    if (e != ERR_OK)
        return explain(message, m->path, e, report->why);
    char name[32];
    (void)snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    int status = MMDB_open(name, MMDB_MODE_MMAP, &m->db);
    if (status != MMDB_SUCCESS) {
        m->db = (MMDB_s){.file_content = NULL};
        return explain(message, m->path, from_mmdb(status), MMDB_strerror(status));
    }
    struct verify_tree tree = {.nodes = m->db.metadata.node_count,
                               .record_bits = m->db.metadata.record_size,
                               .ip_version = m->db.metadata.ip_version};
    e = verify_tree(bytes, metadata_at, &tree, report);
    if (e != ERR_OK)
        return explain(message, m->path, e, report->why);
    m->records = report->records;
    m->layout = find_layout(m, report);
    if (m->layout == NULL)
        return explain(
            message, m->path, ERR_UNSUPPORTED,
            "holds no places: neither country.iso_code nor country_code in its records, nor "
            "autonomous_system_number");
    return ERR_OK;
}

static enum err open_copy(struct mmdb *m, int fd, struct buf *message)
{
    struct stat copy;
    if (fstat(fd, &copy) != 0)
        return explain_errno(message, m->path, errno);
    if (copy.st_size == 0)
        return explain(message, m->path, ERR_CORRUPT, "empty");
    size_t n = (size_t)copy.st_size;
    void *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return explain_errno(message, m->path, errno);
    struct verify_report *report = mem_alloc(sizeof *report);
    enum err e = report == NULL
                     ? explain(message, m->path, ERR_NO_MEMORY, err_phrase(ERR_NO_MEMORY))
                     : open_bytes(m, span_of(p, n), fd, report, message);
    mem_free(report);
    (void)munmap(p, n);
    return e;
}

enum err mmdb_open(const char *path, struct mmdb **out, struct buf *message)
{
    int fd = -1;
    *out = NULL;
    struct mmdb *m = mem_alloc(sizeof *m);
    if (m != NULL)
        m->path = mem_copy_str(path, strlen(path));
    if (m == NULL || m->path == NULL) {
        mem_free(m);
        return explain(message, path, ERR_NO_MEMORY, err_phrase(ERR_NO_MEMORY));
    }
    enum err e = copy_file(m, &fd, message);
    if (e == ERR_OK)
        e = open_copy(m, fd, message);
    if (fd >= 0)
        (void)close(fd);
    if (e == ERR_OK)
        *out = m;
    else
        mmdb_free(&m);
    return e;
}

void mmdb_free(struct mmdb **db)
{
    if (*db == NULL)
        return;
    if ((*db)->db.file_content != NULL)
        MMDB_close(&(*db)->db);
    mem_free((*db)->path);
    mem_free(*db);
    *db = NULL;
}

/* ---- reading records ---- */

/* A code of letters (and digits, where allowed) as upper case; left empty where it is anything
 * else. */
static void read_code(const struct mmdb *m, uint32_t record, const char *const *path, char *out,
                      size_t least, size_t most, bool digits)
{
    MMDB_entry_data_s value;
    if (!read_value(m, record, path, &value) || value.type != MMDB_DATA_TYPE_UTF8_STRING)
        return;
    if (value.data_size < least || value.data_size > most)
        return;
    for (uint32_t i = 0; i < value.data_size; i++) {
        char c = value.utf8_string[i];
        if (!ascii_alpha(c) && !(digits && ascii_digit(c))) {
            out[0] = '\0';
            return;
        }
        out[i] = c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
    }
    out[value.data_size] = '\0';
}

/* Degrees as float or double, within [-most, most]; that excludes NaN too. */
static bool read_degrees(const struct mmdb *m, uint32_t record, const char *const *path,
                         double most, float *out)
{
    MMDB_entry_data_s value;
    if (!read_value(m, record, path, &value))
        return false;
    double degrees = NAN;
    if (value.type == MMDB_DATA_TYPE_DOUBLE)
        degrees = value.double_value;
    else if (value.type == MMDB_DATA_TYPE_FLOAT)
        degrees = (double)value.float_value;
    if (!(degrees >= -most && degrees <= most))
        return false;
    *out = (float)degrees;
    return true;
}

static uint16_t read_accuracy(const struct mmdb *m, uint32_t record)
{
    MMDB_entry_data_s value;
    if (!read_value(m, record, m->layout->accuracy, &value))
        return 0;
    if (value.type == MMDB_DATA_TYPE_UINT16)
        return value.uint16;
    if (value.type == MMDB_DATA_TYPE_UINT32)
        return value.uint32 < UINT16_MAX ? (uint16_t)value.uint32 : UINT16_MAX;
    return 0;
}

static void read_place(const struct mmdb *m, uint32_t record, struct place *out)
{
    const struct layout *l = m->layout;
    read_code(m, record, l->country, out->country, 2, 2, false);
    read_code(m, record, l->continent, out->continent, 2, 2, false);
    read_code(m, record, l->subdivision, out->subdivision, 1, 3, true);
    out->has_location = read_degrees(m, record, l->latitude, 90.0, &out->latitude) &&
                        read_degrees(m, record, l->longitude, 180.0, &out->longitude);
    if (out->has_location)
        out->accuracy_km = read_accuracy(m, record);
    else
        out->latitude = out->longitude = 0.0F;
    out->known = out->country[0] != '\0' || out->continent[0] != '\0' || out->has_location;
}

static bool find_record(const struct mmdb *db, int family, const void *address,
                        MMDB_lookup_result_s *found)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } asked = {.v6 = {.sin6_family = AF_UNSPEC}};
    if (family == AF_INET6 && db->db.metadata.ip_version == 4)
        return false;
    asked.any.sa_family = (sa_family_t)family;
    if (family == AF_INET)
        memcpy(&asked.v4.sin_addr, address, sizeof asked.v4.sin_addr);
    else
        memcpy(&asked.v6.sin6_addr, address, sizeof asked.v6.sin6_addr);
    int status = MMDB_SUCCESS;
    *found = MMDB_lookup_sockaddr(&db->db, &asked.any, &status);
    return status == MMDB_SUCCESS && found->found_entry;
}

bool mmdb_lookup(const struct mmdb *db, int family, const void *address, struct place *out)
{
    MMDB_lookup_result_s found;
    *out = (struct place){.known = false};
    if (!find_record(db, family, address, &found))
        return false;
    read_place(db, found.entry.offset, out);
    return true;
}

uint8_t mmdb_network(const struct mmdb *db, int family, const void *address)
{
    MMDB_lookup_result_s found = {.netmask = 0};
    (void)find_record(db, family, address, &found);
    bool inside = family == AF_INET && db->db.metadata.ip_version == 6; /* below ::/96 */
    uint16_t from = inside ? 96 : 0;
    return (uint8_t)(found.netmask > from ? found.netmask - from : 0);
}

static size_t print_number(const MMDB_entry_data_s *v, char memory[GEO_NUMBER])
{
    double real = v->type == MMDB_DATA_TYPE_FLOAT ? (double)v->float_value : v->double_value;
    int n = 0;
    switch (v->type) {
    case MMDB_DATA_TYPE_UINT16:
        n = snprintf(memory, GEO_NUMBER, "%u", v->uint16);
        break;
    case MMDB_DATA_TYPE_UINT32:
        n = snprintf(memory, GEO_NUMBER, "%u", v->uint32);
        break;
    case MMDB_DATA_TYPE_UINT64:
        n = snprintf(memory, GEO_NUMBER, "%llu", (unsigned long long)v->uint64);
        break;
    case MMDB_DATA_TYPE_INT32:
        n = snprintf(memory, GEO_NUMBER, "%d", v->int32);
        break;
    case MMDB_DATA_TYPE_BOOLEAN:
        n = snprintf(memory, GEO_NUMBER, "%s", v->boolean ? "true" : "false");
        break;
    case MMDB_DATA_TYPE_FLOAT:
    case MMDB_DATA_TYPE_DOUBLE:
        n = snprintf(memory, GEO_NUMBER, "%.6g", real);
        break;
    }
    return n > 0 ? (size_t)n : 0;
}

bool mmdb_field(const struct mmdb *db, int family, const void *address, const char *const *path,
                char memory[GEO_NUMBER], struct span *out)
{
    MMDB_lookup_result_s found;
    MMDB_entry_data_s value;
    if (!find_record(db, family, address, &found) ||
        !read_value(db, found.entry.offset, path, &value))
        return false;
    if (value.type == MMDB_DATA_TYPE_UTF8_STRING)
        *out = span_of(value.utf8_string, value.data_size);
    else
        *out = span_of(memory, print_number(&value, memory));
    return out->n > 0;
}

void mmdb_facts(const struct mmdb *db, struct geo_facts *out)
{
    const MMDB_metadata_s *metadata = &db->db.metadata;
    *out = (struct geo_facts){.path = db->path,
                              .type = metadata->database_type,
                              .built_s = metadata->build_epoch,
                              .size_bytes = (uint64_t)db->db.file_size,
                              .nodes = metadata->node_count,
                              .records = db->records,
                              .record_bits = metadata->record_size,
                              .ip_version = metadata->ip_version,
                              .layout = db->layout->name};
}

bool mmdb_changed(const struct mmdb *db)
{
    struct stat now;
    if (stat(db->path, &now) != 0)
        return true;
    const struct stat *then = &db->origin;
    return now.st_dev != then->st_dev || now.st_ino != then->st_ino ||
           now.st_size != then->st_size || now.st_mtim.tv_sec != then->st_mtim.tv_sec ||
           now.st_mtim.tv_nsec != then->st_mtim.tv_nsec;
}
