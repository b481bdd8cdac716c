/* meridian: the program. */
#include "conf/version.h"
#include "db/version.h"
#include "geo/version.h"
#include "http/version.h"
#include "net/resolve.h"
#include "net/tls_mem.h"
#include "net/version.h"
#include "proxy/compress.h"
#include "run/balancer.h"
#include "run/lint.h"
#include "run/sandbox.h"

#include <stdio.h>

static void print(FILE *to, const struct buf *b)
{
    if (buf_len(b) != 0)
        fwrite(b->p, 1, buf_len(b), to);
}

static int check(const struct options *o)
{
    struct material m = {.path = o->config};
    int code = 0;
    material_load(&m);
    if (m.result == ERR_OK && o->with_database)
        m.result = lint_database(m.conf, &m.messages);
    print(stderr, &m.messages);
    if (m.result != ERR_OK) {
        code = EXIT_CONFIG;
    } else if (o->action == RUN_TEST_PRINT) {
        struct buf out;
        buf_init(&out, 0);
        conf_print(m.conf, &out);
        print(stdout, &out);
        buf_fini(&out);
    } else {
        printf("%s: the configuration is fine\n", o->config);
    }
    material_fini(&m);
    return code;
}

static void libraries(void)
{
    int pq = db_library_version();
    printf("libraries: %s, libev %s, libnghttp2 %s, libfyaml %s, libmaxminddb %s",
           net_tls_version(), net_loop_version(), http_library_version(), conf_library_version(),
           geo_library_version());
    if (resolver_library_version() != NULL)
        printf(", c-ares %s", resolver_library_version());
    if (pq != 0)
        printf(", libpq %d.%d", pq / 10000, pq % 10000);
    if (sandbox_library_version() != NULL)
        printf(", libseccomp %s", sandbox_library_version());
    for (int i = 0; i < CODING_COUNT; i++)
        if (coding_ops((enum coding)i)->library != NULL)
            printf(", %s", coding_ops((enum coding)i)->library);
    printf("\n");
}

static void features(void)
{
    printf("meridian %s\n", MERIDIAN_VERSION);
    printf("protocols: h2, http/1.1, websocket\n");
    printf("features: tls, geo, health checks, reload%s\n",
           sandbox_built() ? ", system-call filter" : "");
    printf("compression:");
    for (int i = 0; i < CODING_COUNT; i++)
        if (coding_ops((enum coding)i)->library != NULL)
            printf(" %s", coding_ops((enum coding)i)->name);
    printf("\n");
    libraries();
}

int main(int argc, char **argv)
{
    struct options o;
    struct buf message;
    if (tls_mem_begin() != ERR_OK)
        return EXIT_RESOURCE;
    buf_init(&message, KIB(4));
    if (options_parse(argc, argv, &o, &message) != ERR_OK) {
        print(stderr, &message);
        buf_fini(&message);
        return EXIT_USAGE;
    }
    buf_fini(&message);
    switch (o.action) {
    case RUN_VERSION:
        printf("meridian %s\n", MERIDIAN_VERSION);
        return 0;
    case RUN_FEATURES:
        features();
        return 0;
    case RUN_HELP:
        fputs(options_usage, stdout);
        return 0;
    case RUN_TEST:
    case RUN_TEST_PRINT:
        return check(&o);
    case RUN_SERVE:
        break;
    }
    return balancer_run(&o);
}
