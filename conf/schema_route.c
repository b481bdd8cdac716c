/* schema_route: keys of routes. */
#include "conf/schema.h"
#include "conf/text.h"

#define BODY_MOST       ((int64_t)1 << 40)
#define NOT_WRITTEN     (-1)
#define RESPOND_CONTENT KIB(64)

static const struct schema_field method = {.type = &type_text, .check = text_method};

static const struct schema_field match_fields[] = {
    {.key = "host",
     .type = &type_host,
     .offset = offsetof(struct conf_match, host),
     .fallback = "any",
     .help =
         "A name, or \"*.example.com\" for every name below it. The most specific host that has a "
         "route is final."},
    {.key = "path",
     .type = &type_path,
     .text = "/",
     .help = "A prefix that ends at a segment's border, or {exact: /path}. The longest one wins."},
    {.key = "methods",
     .type = &type_list,
     .offset = offsetof(struct conf_match, methods),
     .count_offset = offsetof(struct conf_match, method_count),
     .element = &method,
     .element_size = sizeof(struct conf_text),
     .least = 1,
     .fallback = "all",
     .help = "Methods that are served; others get 405 where nothing else matches."},
    {.key = "headers",
     .type = &type_headers,
     .fallback = "any",
     .help = "Fields that must be there, with exactly these values."},
};

static const struct schema_map match_map = {SCHEMA_FIELDS(match_fields)};

static const struct schema_field respond_fields[] = {
    {.key = "status",
     .type = &type_count,
     .offset = offsetof(struct conf_respond, status),
     .initial = 200,
     .least = 200,
     .most = 599,
     .help = "Status of the response."},
    {.key = "body",
     .type = &type_text,
     .offset = offsetof(struct conf_respond, body),
     .text = "",
     .most = RESPOND_CONTENT,
     .check = text_content,
     .help = "Its content, at most 64 KiB."},
    {.key = "type",
     .type = &type_text,
     .offset = offsetof(struct conf_respond, type),
     .text = "text/plain; charset=utf-8",
     .check = text_media_type,
     .help = "Its Content-Type."},
};

static const struct schema_map respond_map = {SCHEMA_FIELDS(respond_fields), .optional = true};

static const struct schema_field redirect_fields[] = {
    {.key = "to",
     .type = &type_text,
     .offset = offsetof(struct conf_redirect, to),
     .check = text_redirect,
     .flags = SCHEMA_REQUIRED,
     .help = "Location: a fixed address, or a path on the same host."},
    {.key = "status",
     .type = &type_count,
     .offset = offsetof(struct conf_redirect, status),
     .initial = 308,
     .least = 301,
     .most = 308,
     .help = "301, 302, 303, 307 or 308."},
};

static const struct schema_map redirect_map = {SCHEMA_FIELDS(redirect_fields), .optional = true};

#define TIMEOUT(key_, member, help_)                                                               \
    {                                                                                              \
        .key = (key_), .type = &type_duration, .offset = offsetof(struct conf_timeouts, member),   \
        .inherit = offsetof(struct conf, timeouts.member), .initial = NOT_WRITTEN, .least = 1,     \
        .most = 86400000, .flags = SCHEMA_INHERIT, .fallback = "the global one", .help = (help_)   \
    }

/* Only those that hold once the route is known. */
static const struct schema_field timeout_fields[] = {
    TIMEOUT("request_body", request_body_ms, "Longest pause inside the request's content (L6)."),
    TIMEOUT("send", send_ms, "Longest time without progress towards the client (L7)."),
    TIMEOUT("connect", connect_ms, "Time to connect to a backend (L8)."),
    TIMEOUT("first_byte", first_byte_ms, "Time until a backend's response head is complete (L8)."),
    TIMEOUT("response_body", response_body_ms, "Longest pause inside a response's content (L8)."),
    TIMEOUT("backend_send", backend_send_ms,
            "Longest time without progress towards a backend (L8)."),
    TIMEOUT("tunnel_idle", tunnel_idle_ms, "Longest silence on an upgraded connection (L10)."),
};

static const struct schema_map timeout_map = {SCHEMA_FIELDS(timeout_fields)};

static const struct schema_field limit_fields[] = {
    {.key = "body",
     .type = &type_size,
     .offset = offsetof(struct conf_route, body_bytes),
     .inherit = offsetof(struct conf, limits.body),
     .initial = NOT_WRITTEN,
     .most = BODY_MOST,
     .flags = SCHEMA_INHERIT,
     .fallback = "the global one",
     .help = "Largest request content (L16). 0B: no limit."},
};

static const struct schema_map limit_map = {SCHEMA_FIELDS(limit_fields)};

static const struct schema_field fields[] = {
    {.key = "name",
     .type = &type_text,
     .offset = offsetof(struct conf_route, name),
     .check = text_name,
     .flags = SCHEMA_WRITTEN,
     .fallback = "made from host and path, or the pool's name",
     .help = "Label of the route in logs and metrics."},
    {.key = "match",
     .type = &type_map,
     .offset = offsetof(struct conf_route, match),
     .map = &match_map,
     .help = "Which requests the route is for; all parts must hold."},
    {.key = "pool",
     .type = &type_text,
     .offset = offsetof(struct conf_route, pool_name),
     .check = text_name,
     .fallback = "none",
     .help = "Pass the request to this pool. Exactly one of `pool`, `respond` and `redirect`."},
    {.key = "respond",
     .type = &type_map,
     .offset = offsetof(struct conf_route, respond),
     .map = &respond_map,
     .fallback = "none",
     .help = "Answer with a fixed response."},
    {.key = "redirect",
     .type = &type_map,
     .offset = offsetof(struct conf_route, redirect),
     .map = &redirect_map,
     .fallback = "none",
     .help = "Answer with a redirect."},
    {.key = "timeouts",
     .type = &type_map,
     .offset = offsetof(struct conf_route, timeouts),
     .map = &timeout_map,
     .help = "Put over the global timeouts."},
    {.key = "limits", .type = &type_map, .map = &limit_map, .help = "Put over the global limits."},
    {.key = "websocket",
     .type = &type_flag,
     .offset = offsetof(struct conf_route, websocket),
     .help = "Allow the upgrade to WebSocket."},
};

static const char *const actions[] = {"pool", "respond", "redirect", NULL};

const struct schema_map schema_route = {SCHEMA_FIELDS(fields), .one_of = actions,
                                        .one_needed = true, .marked = true};
