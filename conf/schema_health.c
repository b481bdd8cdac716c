/* schema_health: keys about the checks of a pool. */
#include "conf/schema.h"
#include "conf/text.h"

#define HOUR_MS 3600000
#define CONTAINS_HELP                                                                              \
    "Text that stands in what is read of a good answer's content; without it the check fails."

static void http_probe_done(struct reader *r, const struct node *n, void *at)
{
    (void)r;
    (void)n;
    ((struct conf_health *)at)->probe = CONF_PROBE_HTTP;
}

static bool http_probe_present(const void *at)
{
    return ((const struct conf_health *)at)->probe == CONF_PROBE_HTTP;
}

static bool tcp_probe_present(const void *at)
{
    return ((const struct conf_health *)at)->probe == CONF_PROBE_TCP;
}

static const struct schema_field http_probe_fields[] = {
    {.key = "path",
     .type = &type_text,
     .offset = offsetof(struct conf_health, path),
     .text = "/",
     .check = text_target,
     .help = "Target of the GET request."},
    {.key = "host",
     .type = &type_text,
     .offset = offsetof(struct conf_health, host),
     .check = text_host,
     .fallback = "the backend's address",
     .help = "Host field of the request."},
    {.key = "status",
     .type = &type_statuses,
     .offset = offsetof(struct conf_health, status),
     .text = "200-399",
     .help = "Statuses that mean well: one, a range, or a list of both."},
    {.key = "contains",
     .type = &type_text,
     .offset = offsetof(struct conf_health, contains),
     .check = text_content,
     .most = 256,
     .fallback = "any content",
     .help = CONTAINS_HELP},
};

static void grpc_probe_done(struct reader *r, const struct node *n, void *at)
{
    (void)r;
    (void)n;
    ((struct conf_health *)at)->probe = CONF_PROBE_GRPC;
}

static bool grpc_probe_present(const void *at)
{
    return ((const struct conf_health *)at)->probe == CONF_PROBE_GRPC;
}

static const struct schema_field grpc_probe_fields[] = {
    {.key = "service",
     .type = &type_text,
     .offset = offsetof(struct conf_health, service),
     .check = text_name,
     .most = 120,
     .fallback = "the server as a whole",
     .help = "Name of the service that is asked for, such as `shop.v1.Orders`."},
};

static const struct schema_map grpc_probe_map = {
    SCHEMA_FIELDS(grpc_probe_fields), .done = grpc_probe_done, .present = grpc_probe_present};
static const struct schema_map http_probe_map = {
    SCHEMA_FIELDS(http_probe_fields), .done = http_probe_done, .present = http_probe_present};
static const struct schema_map tcp_probe_map = {.present = tcp_probe_present};

static const struct schema_field page_fields[] = {
    {.key = "path",
     .type = &type_text,
     .offset = offsetof(struct conf_probe_page, path),
     .check = text_target,
     .flags = SCHEMA_REQUIRED,
     .help = "Target of the GET request."},
    {.key = "host",
     .type = &type_text,
     .offset = offsetof(struct conf_probe_page, host),
     .check = text_host,
     .fallback = "the backend's address",
     .help = "Host field of the request."},
    {.key = "status",
     .type = &type_statuses,
     .offset = offsetof(struct conf_probe_page, status),
     .text = "200-399",
     .help = "Statuses that mean well: one, a range, or a list of both."},
    {.key = "contains",
     .type = &type_text,
     .offset = offsetof(struct conf_probe_page, contains),
     .check = text_content,
     .most = 256,
     .fallback = "any content",
     .help = CONTAINS_HELP},
};

static const struct schema_map page_map = {SCHEMA_FIELDS(page_fields), .optional = true};

static const struct schema_field health_fields[] = {
    {.key = "http",
     .type = &type_map,
     .map = &http_probe_map,
     .fallback = "a TCP check",
     .help = "Check by an HTTP request."},
    {.key = "grpc",
     .type = &type_map,
     .map = &grpc_probe_map,
     .fallback = "a TCP check",
     .help = "Check by a call of grpc.health.v1.Health/Check over HTTP/2: `grpc: {}`."},
    {.key = "tcp",
     .type = &type_map,
     .map = &tcp_probe_map,
     .fallback = "this, where nothing else is chosen",
     .help = "Check that a connection can be made: `tcp: {}`. Without TLS it is reset as soon as "
             "the server's system agrees to it, so "
             "that the server's program does not see it."},
    {.key = "live",
     .type = &type_map,
     .offset = offsetof(struct conf_health, live),
     .map = &page_map,
     .fallback = "a connection is enough",
     .help =
         "Together with `ready`: a page that says whether the process works, whatever it depends "
         "on. It is asked for first."},
    {.key = "ready",
     .type = &type_map,
     .offset = offsetof(struct conf_health, ready),
     .map = &page_map,
     .fallback = "a TCP check",
     .help =
         "Check by a page that says whether the server can work, with all that it needs. An answer "
         "of type application/health+json may say which of the pool's `depends_on` is to blame."},
    {.key = "off",
     .type = &type_probe_off,
     .fallback = "checks are made",
     .help = "`true`: no checks; only live traffic says how a backend is."},
    {.key = "interval",
     .type = &type_duration,
     .offset = offsetof(struct conf_health, interval_ms),
     .initial = LIMIT_CHECK_INTERVAL_MS,
     .least = 100,
     .most = HOUR_MS,
     .help = "Time between two checks of a backend, ±20 % (L31)."},
    {.key = "timeout",
     .type = &type_duration,
     .offset = offsetof(struct conf_health, timeout_ms),
     .initial = LIMIT_CHECK_TIMEOUT_MS,
     .least = 10,
     .most = HOUR_MS,
     .help = "Time that a check may take; at most the interval."},
    {.key = "fall",
     .type = &type_count,
     .offset = offsetof(struct conf_health, fall),
     .initial = LIMIT_CHECK_FALL,
     .least = 1,
     .most = 64,
     .help = "Failed checks in a row after which a backend is down."},
    {.key = "rise",
     .type = &type_count,
     .offset = offsetof(struct conf_health, rise),
     .initial = LIMIT_CHECK_RISE,
     .least = 1,
     .most = 64,
     .help = "Good checks in a row after which it is up again."},
    {.key = "content",
     .type = &type_size,
     .offset = offsetof(struct conf_health, content),
     .initial = LIMIT_CHECK_BODY,
     .least = LIMIT_CHECK_BODY,
     .most = LIMIT_CHECK_BODY_MOST,
     .help = "How much of an answer's content is read, where it matters (L31)."},
};

static const char *const probes[] = {"http", "grpc", "tcp", "ready", "off", NULL};
static void health_done(struct reader *r, const struct node *n, void *at)
{
    (void)r;
    (void)n;
    struct conf_health *h = at;
    if (h->ready.set)
        h->probe = CONF_PROBE_READY;
}

const struct schema_map schema_health = {SCHEMA_FIELDS(health_fields), .one_of = probes,
                                         .paced = true, .done = health_done};
