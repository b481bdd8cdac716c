/* SEES: http net base */
/* Request targets, paths and hosts: bringing a path into its form twice changes nothing, no reading
 * makes it longer, and a path that is not odd reads the same for everybody (RELIABILITY H8, H14).
 */
#include "base/limits.h"
#include "http/uri.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void is_normal(struct span path, struct arena *a)
{
    char *copy = arena_take(a, path.n + 1);
    must(copy != NULL && path.n > 0 && path.p[0] == '/');
    memcpy(copy, path.p, path.n);
    struct span again, sent;
    must(uri_resolve(copy, path.n, a, &again, &sent) == ERR_OK && sent.p == NULL);
    must(span_eq(again, path));
}

static void read_path(struct span raw, struct arena *a)
{
    enum { SHORT = 64 }; /* longer paths teach the same, slowly */
    char *path = arena_take(a, raw.n), *memory = malloc(raw.n);
    must(path != NULL && memory != NULL);
    memcpy(path, raw.p, raw.n);
    struct span normal, sent;
    must(uri_resolve(path, raw.n, a, &normal, &sent) == ERR_OK && normal.n <= raw.n);
    must(sent.p == NULL ? span_eq(normal, raw) : span_eq(sent, raw) && normal.n < raw.n);
    is_normal(normal, a);
    bool odd = uri_is_odd(normal);
    unsigned useful = uri_readings(normal);
    must(odd || span_eq(uri_settle(normal, memory), normal));
    unsigned end = raw.n <= SHORT ? URI_READ_END : URI_READ_ESCAPED;
    for (unsigned readings = 1; readings < end; readings++) {
        struct span other = uri_variant(normal, readings, SIZE_MAX, memory);
        must(other.n <= normal.n);
        if ((readings & (URI_READ_ESCAPED | URI_READ_DOTS | URI_READ_AGAIN)) == 0) {
            is_normal(other, a);
        }
        must(odd || span_eq(other, normal));
        if (raw.n <= SHORT) {
            struct span first = arena_copy(a, other);
            must(first.p != NULL && uri_variant(raw, readings, SIZE_MAX, memory).n <= raw.n);
            must(span_eq(uri_variant(normal, readings & useful, SIZE_MAX, memory), first));
        }
    }
    struct span canonical = arena_copy(a, uri_canonical(normal, memory));
    must(canonical.p != NULL && (odd || span_eq(canonical, normal)));
    is_normal(canonical, a);
    must(span_eq(uri_canonical(canonical, memory), canonical));
    free(memory);
}

static void read_host(struct span s, struct arena *a)
{
    char *copy = arena_take(a, s.n + 1);
    struct host once, twice;
    must(copy != NULL);
    memcpy(copy, s.p, s.n);
    if (s.n == 0 || host_parse(copy, s.n, &once) != ERR_OK) {
        return;
    }
    must(once.host.n > 0 && once.host.n <= once.authority.n && once.authority.n == s.n);
    must(span_find(once.authority, '@') == s.n && span_find(once.authority, ',') == s.n);
    must(once.host.p[0] != '.' && once.host.p[once.host.n - 1] != '.');
    must(host_parse(copy, s.n, &twice) == ERR_OK && once.port == twice.port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct uri uri;
    struct span in = span_of((const char *)data, size);
    arena_init(&a, NULL, KIB(4), 0);
    if (size > 0) {
        read_host(in, &a);
    }
    if (uri_parse(in, &uri) == ERR_OK) {
        if (uri.path.n > 0 && uri.path.p[0] == '/') {
            read_path(uri.path, &a);
        }
        must(uri.form != URI_ORIGIN || (uri.path.n > 0 && uri.authority.n == 0));
    }
    arena_reset(&a);
    return 0;
}
