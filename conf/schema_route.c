/* schema_route: keys of routes. */
#include "conf/schema.h"
#include "conf/text.h"

#define BODY_MOST       ((int64_t)1 << 40)
#define NOT_WRITTEN     (-1)
#define RESPOND_CONTENT KIB(64)

static const struct schema_field method = {.type = &type_text, .check = text_method};
static const struct schema_field country = {.type = &type_text, .check = text_country};
static const struct schema_field network = {.type = &type_cidr};
static const struct schema_field field_value = {.type = &type_text, .check = text_field_value};
static const struct schema_field field_template = {.type = &type_template,
                                                   .check = text_field_value};
static const struct schema_field field_name = {.type = &type_field_name, .check = text_rule_field};

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
     .help = "Methods that are served; others get 405 where nothing else matches. GET is HEAD too, "
             "unless another route of the same path and number of conditions names HEAD. More than "
             "GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS is never served."},
    {.key = "headers",
     .type = &type_fields,
     .offset = offsetof(struct conf_match, headers),
     .count_offset = offsetof(struct conf_match, header_count),
     .element = &field_value,
     .fallback = "any",
     .help = "Fields that must be there, with exactly these values."},
    {.key = "countries",
     .type = &type_list,
     .offset = offsetof(struct conf_match, countries),
     .count_offset = offsetof(struct conf_match, country_count),
     .element = &country,
     .element_size = sizeof(struct conf_text),
     .least = 1,
     .fallback = "everywhere",
     .help = "Where the client is, by `geo.databases`: ISO 3166-1 codes such as DE. A client whose "
             "country is not known is in none."},
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

static const struct schema_word redirect_statuses[] = {{"301", 301}, {"302", 302}, {"303", 303},
                                                       {"307", 307}, {"308", 308}, {NULL, 0}};

static const struct schema_field redirect_fields[] = {
    {.key = "to",
     .type = &type_redirect_to,
     .offset = offsetof(struct conf_redirect, to),
     .check = text_redirect,
     .flags = SCHEMA_REQUIRED,
     .help = "Location: an address such as https://new.example{uri}, or a path on the same host."},
    {.key = "status",
     .type = &type_word,
     .offset = offsetof(struct conf_redirect, status),
     .words = redirect_statuses,
     .initial = 308,
     .help = "307 and 308 let clients repeat method and content."},
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
    {.key = "total",
     .type = &type_duration,
     .offset = offsetof(struct conf_timeouts, total_ms),
     .inherit = offsetof(struct conf, timeouts.total_ms),
     .initial = NOT_WRITTEN,
     .least = 1,
     .most = 86400000,
     .text = "none",
     .flags = SCHEMA_INHERIT,
     .fallback = "the global one",
     .help = "From the request's first byte to the end of its answer, waiting and all attempts "
             "included; upgraded connections have no end."},
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
    {.key = "request_rate",
     .type = &type_byte_rate,
     .offset = offsetof(struct conf_route, request_rate),
     .inherit = offsetof(struct conf, limits.request_rate),
     .initial = NOT_WRITTEN,
     .most = BODY_MOST,
     .flags = SCHEMA_INHERIT,
     .fallback = "the global one",
     .help = "Least mean rate of a request's content over 10 s in which it is waited for (L6). "
             "0B/s: none, for streams of clients that seldom say something."},
};

static const struct schema_map limit_map = {SCHEMA_FIELDS(limit_fields)};

/* A list of networks or countries of conf_access. */
#define ACCESS(key_, member, count_member, element_, help_)                                        \
    {                                                                                              \
        .key = (key_), .type = &type_list, .offset = offsetof(struct conf_access, member),         \
        .count_offset = offsetof(struct conf_access, count_member), .element = &(element_),        \
        .element_size = sizeof *((struct conf_access *)0)->member, .least = 1, .fallback = "none", \
        .help = (help_)                                                                            \
    }

static const struct schema_field access_fields[] = {
    ACCESS("allow", allow, allow_count, network,
           "Networks that may come. The longest one of `allow` and `deny` that has the address "
           "decides before countries do."),
    ACCESS("deny", deny, deny_count, network, "Networks that may not come."),
    ACCESS("allow_countries", allow_countries, allow_country_count, country,
           "Countries that may come. Where `allow` or this is given, nobody else may."),
    ACCESS("deny_countries", deny_countries, deny_country_count, country,
           "Countries that may not come."),
};

static const struct schema_map access_map = {SCHEMA_FIELDS(access_fields), .optional = true};

static const struct schema_field rate_fields[] = {
    {.key = "per",
     .type = &type_key,
     .offset = offsetof(struct conf_rate_limit, per),
     .initial = CONF_KEY_CLIENT,
     .help =
         "Whose requests are counted together: each `client`'s (an IPv6 network of 64 bits is "
         "one), all of the `route`, or those with the same value of \"header NAME\" or "
         "\"cookie NAME\"; requests without it, or with more than one, count for their client."},
    {.key = "rate",
     .type = &type_rate,
     .offset = offsetof(struct conf_rate_limit, rate_per_hour),
     .least = 1,
     .most = (int64_t)100000 * 3600,
     .flags = SCHEMA_REQUIRED,
     .help = "Requests that may come in the long run; more get 429 with Retry-After."},
    {.key = "burst",
     .type = &type_count,
     .offset = offsetof(struct conf_rate_limit, burst),
     .least = 1,
     .most = 1000000,
     .fallback = "the rate of one second, at least 1",
     .help = "Requests that may come at once after a pause."},
};

static const struct schema_map rate_map = {SCHEMA_FIELDS(rate_fields), .optional = true};

static const struct schema_field rule_fields[] = {
    {.key = "set",
     .type = &type_fields,
     .offset = offsetof(struct conf_field_rules, set),
     .count_offset = offsetof(struct conf_field_rules, set_count),
     .element = &field_template,
     .check = text_rule_field,
     .fallback = "none",
     .help = "Fields and their values, in place of what is there. A value is a template; one that "
             "comes out empty leaves the field out."},
    {.key = "add",
     .type = &type_fields,
     .offset = offsetof(struct conf_field_rules, add),
     .count_offset = offsetof(struct conf_field_rules, add_count),
     .element = &field_template,
     .check = text_rule_field,
     .fallback = "none",
     .help = "The same, beside what is there."},
    {.key = "remove",
     .type = &type_list,
     .offset = offsetof(struct conf_field_rules, remove),
     .count_offset = offsetof(struct conf_field_rules, remove_count),
     .element = &field_name,
     .element_size = sizeof(struct conf_text),
     .fallback = "none",
     .help = "Fields that are left out; this comes first."},
};

static const struct schema_map rule_map = {SCHEMA_FIELDS(rule_fields), .optional = true};

static const struct schema_field media_type = {.type = &type_text, .check = text_plain_media_type};

static const struct schema_field compress_fields[] = {
    {.key = "types",
     .type = &type_list,
     .offset = offsetof(struct conf_compress, types),
     .count_offset = offsetof(struct conf_compress, type_count),
     .element = &media_type,
     .element_size = sizeof(struct conf_text),
     .least = 1,
     .flags = SCHEMA_REQUIRED,
     .help = "Media types without parameters, such as application/json."},
    {.key = "minimum",
     .type = &type_size,
     .offset = offsetof(struct conf_compress, minimum_bytes),
     .initial = KIB(1),
     .most = BODY_MOST,
     .help = "Responses known to be smaller go as they are."},
};

static const struct schema_map compress_map = {SCHEMA_FIELDS(compress_fields), .optional = true};

static const struct schema_field rewrite_fields[] = {
    {.key = "strip_prefix",
     .type = &type_text,
     .offset = offsetof(struct conf_rewrite, strip_prefix),
     .check = text_prefix,
     .fallback = "none",
     .help = "Taken from the path where it begins so, at a segment's border."},
    {.key = "add_prefix",
     .type = &type_text,
     .offset = offsetof(struct conf_rewrite, add_prefix),
     .check = text_prefix,
     .fallback = "none",
     .help = "Then put before the path."},
};

static const struct schema_map rewrite_map = {SCHEMA_FIELDS(rewrite_fields), .optional = true};

static const struct schema_field mirror_fields[] = {
    {.key = "pool",
     .type = &type_text,
     .offset = offsetof(struct conf_mirror, pool_name),
     .check = text_name,
     .flags = SCHEMA_REQUIRED,
     .help = "Where the copies go. Its residency rules hold for them too."},
    {.key = "share",
     .type = &type_percent,
     .offset = offsetof(struct conf_mirror, share_percent),
     .initial = 100,
     .least = 1,
     .most = 100,
     .help = "Of the requests, by chance."},
    {.key = "inflight",
     .type = &type_count,
     .offset = offsetof(struct conf_mirror, inflight),
     .initial = 64,
     .least = 1,
     .most = 10000,
     .help = "Copies at once, shared out among the workers, at least one each; beyond it none is "
             "made."},
    {.key = "content",
     .type = &type_size,
     .offset = offsetof(struct conf_mirror, content_bytes),
     .initial = LIMIT_REPLAY_BODY,
     .most = LIMIT_REPLAY_BODY,
     .help = "Requests with more content are not copied."},
};

static const struct schema_map mirror_map = {SCHEMA_FIELDS(mirror_fields), .optional = true};

static const struct schema_word priorities[] = {
    {"high", CONF_PRIORITY_HIGH},
    {"normal", CONF_PRIORITY_NORMAL},
    {"low", CONF_PRIORITY_LOW},
    {NULL, 0},
};

static const struct schema_word path_rules[] = {
    {"resolve", CONF_PATHS_RESOLVE},
    {"keep", CONF_PATHS_KEEP},
    {"normalise", CONF_PATHS_NORMALISE},
    {"reject", CONF_PATHS_REJECT},
    {NULL, 0},
};

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
     .help = "Pass the request to this pool. Exactly one of `pool`, `split`, `respond` and "
             "`redirect`."},
    {.key = "split",
     .type = &type_split,
     .fallback = "none",
     .help = "Pass the request to one of several pools, by weight: {api: 95, canary: 5}."},
    {.key = "split_by",
     .type = &type_key,
     .offset = offsetof(struct conf_route, split_by),
     .fallback = "chance, request by request",
     .help = "What stays with one pool of the split while the weights stay: `client`, "
             "\"header NAME\" or \"cookie NAME\" (the first one); requests without it go by their "
             "client."},
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
    {.key = "access",
     .type = &type_map,
     .offset = offsetof(struct conf_route, access),
     .map = &access_map,
     .fallback = "everybody",
     .help = "Who may come; others get 403."},
    {.key = "rate_limit",
     .type = &type_map,
     .offset = offsetof(struct conf_route, rate_limit),
     .map = &rate_map,
     .fallback = "none",
     .help = "How often; counted over all workers and kept over reloads, by the route's name."},
    {.key = "request_headers",
     .type = &type_map,
     .offset = offsetof(struct conf_route, request_headers),
     .map = &rule_map,
     .fallback = "none",
     .help = "Changes of the request's header fields, after the forwarding fields are made."},
    {.key = "response_headers",
     .type = &type_map,
     .offset = offsetof(struct conf_route, response_headers),
     .map = &rule_map,
     .fallback = "none",
     .help = "Changes of the response's header fields, also of answers that Meridian makes for "
             "the route."},
    {.key = "rewrite",
     .type = &type_map,
     .offset = offsetof(struct conf_route, rewrite),
     .map = &rewrite_map,
     .fallback = "none",
     .help = "Changes of the path towards backends; logs and templates have it as it came."},
    {.key = "path_handling",
     .type = &type_word,
     .offset = offsetof(struct conf_route, paths),
     .words = path_rules,
     .initial = CONF_PATHS_RESOLVE,
     .help =
         "How paths go on that have more than one form: `resolve` removes `.` and `..` and "
         "leaves the rest; `keep` forwards the path as it came; `normalise` also makes one slash "
         "of several and decodes escapes of letters, digits and `-._~`; `reject` answers 400. A "
         "path that could lead to another route gets 400 in any case."},
    {.key = "compress",
     .type = &type_map,
     .offset = offsetof(struct conf_route, compress),
     .map = &compress_map,
     .fallback = "none",
     .help = "Compress responses for clients that accept it, with zstd, brotli or gzip."},
    {.key = "mirror",
     .type = &type_map,
     .offset = offsetof(struct conf_route, mirror),
     .map = &mirror_map,
     .fallback = "none",
     .help = "Send copies of requests to another pool too, POST and the like included. The answers "
             "are dropped; the client never waits for them."},
    {.key = "error_pages",
     .type = &type_pages,
     .offset = offsetof(struct conf_route, pages),
     .fallback = "the global ones",
     .help = "Put before the global error pages."},
    {.key = "timeouts",
     .type = &type_map,
     .offset = offsetof(struct conf_route, timeouts),
     .map = &timeout_map,
     .help = "Put over the global timeouts."},
    {.key = "limits", .type = &type_map, .map = &limit_map, .help = "Put over the global limits."},
    {.key = "priority",
     .type = &type_word,
     .offset = offsetof(struct conf_route, priority),
     .words = priorities,
     .initial = CONF_PRIORITY_NORMAL,
     .help =
         "Who is served first while requests wait for a backend, and who gives up the place (503, "
         "`shed`) where the pool's queue is full."},
    {.key = "websocket",
     .type = &type_flag,
     .offset = offsetof(struct conf_route, websocket),
     .help = "Allow the upgrade to WebSocket."},
    {.key = "streaming",
     .type = &type_flag,
     .offset = offsetof(struct conf_route, streaming),
     .help = "Let every answer be silent for as long as a tunnel, as those of `text/event-stream` "
             "and `application/grpc` may be anyway."},
};

static const char *const actions[] = {"pool", "split", "respond", "redirect", NULL};

const struct schema_map schema_route = {SCHEMA_FIELDS(fields), .one_of = actions,
                                        .one_needed = true, .marked = true};
