/* schema_root: the top of the configuration, and the keys that hold for the whole process. */
#include "conf/reader.h"
#include "conf/text.h"

#define DAY_MS     86400000
#define BYTES_MOST ((int64_t)1 << 40)

static const struct schema_field here_fields[] = {
    {.key = "location",
     .type = &type_location,
     .offset = offsetof(struct conf, here),
     .fallback = "unknown",
     .help = "[latitude, longitude] in degrees of the place where this balancer stands."},
};

static const struct schema_field path = {.type = &type_text, .check = text_file};

static const struct schema_field geo_fields[] = {
    {.key = "databases",
     .type = &type_list,
     .offset = offsetof(struct conf, databases),
     .count_offset = offsetof(struct conf, database_count),
     .element = &path,
     .element_size = sizeof(struct conf_text),
     .fallback = "none",
     .help =
         "Geolocation databases (.mmdb), searched in this order; MaxMind's layout or a flat one "
         "(country_code, latitude, longitude). Watched: read again when replaced."},
};

static const struct schema_field network = {.type = &type_cidr};

static const struct schema_word forwarded[] = {
    {"x-forwarded-for", CONF_X_FORWARDED_FOR},
    {"forwarded", CONF_FORWARDED},
    {"none", CONF_FORWARDED_NONE},
    {NULL, 0},
};

static const struct schema_field trusted_fields[] = {
    {.key = "from",
     .type = &type_list,
     .offset = offsetof(struct conf_trusted, from),
     .count_offset = offsetof(struct conf_trusted, from_count),
     .element = &network,
     .element_size = sizeof(struct conf_cidr),
     .least = 1,
     .flags = SCHEMA_REQUIRED,
     .help = "Addresses and networks of proxies whose word about the client's address is taken."},
    {.key = "header",
     .type = &type_word,
     .offset = offsetof(struct conf_trusted, header),
     .words = forwarded,
     .initial = CONF_X_FORWARDED_FOR,
     .help = "The one field that is read for it; the others are dropped."},
};

static const struct schema_field name_server = {.type = &type_name_server};

static const struct schema_field resolve_fields[] = {
    {.key = "servers",
     .type = &type_list,
     .offset = offsetof(struct conf, name_servers),
     .count_offset = offsetof(struct conf, name_server_count),
     .element = &name_server,
     .element_size = sizeof(struct conf_address),
     .least = 1,
     .most = 8,
     .fallback = "those of /etc/resolv.conf, read again on reload",
     .help = "Name servers, asked in this order."},
};

static const struct schema_field site_fields[] = {
    {.key = "location",
     .type = &type_location,
     .offset = offsetof(struct conf_site, location),
     .flags = SCHEMA_REQUIRED,
     .help = "[latitude, longitude] in degrees."},
    {.key = "country",
     .type = &type_text,
     .offset = offsetof(struct conf_site, country),
     .check = text_country,
     .fallback = "none",
     .help = "ISO 3166-1 code, two capital letters."},
    {.key = "continent",
     .type = &type_text,
     .offset = offsetof(struct conf_site, continent),
     .check = text_continent,
     .fallback = "none",
     .help = "AF, AN, AS, EU, NA, OC or SA."},
    {.key = "distance",
     .type = &type_duration,
     .offset = offsetof(struct conf_site, distance_ms),
     .most = 60000,
     .help = "Round trip from this balancer, in place of what the locations say, for pools with "
             "`distance_from: here`. 0ms: by location."},
    {.key = "public_url",
     .type = &type_text,
     .offset = offsetof(struct conf_site, public_url),
     .check = text_public_url,
     .fallback = "none",
     .help = "Where clients reach this site directly, such as https://eu.example.com: what pools "
             "with `mode: redirect` send them to, followed by the request's path and query."},
};

#define TIMEOUT(key_, member, default_, help_)                                                     \
    {                                                                                              \
        .key = (key_), .type = &type_duration, .offset = offsetof(struct conf_timeouts, member),   \
        .initial = (default_), .least = 1, .most = DAY_MS, .help = (help_)                         \
    }

static const struct schema_field timeout_fields[] = {
    TIMEOUT("handshake", handshake_ms, LIMIT_HANDSHAKE_MS, "A client's whole TLS handshake (L3)."),
    TIMEOUT("request_head", request_head_ms, LIMIT_REQUEST_HEAD_MS,
            "From accepting, or the first byte, to the end of the request head (L4)."),
    TIMEOUT("idle", idle_ms, LIMIT_IDLE_MS, "Longest idle time of a client's connection (L5)."),
    TIMEOUT("request_body", request_body_ms, LIMIT_REQUEST_BODY_MS,
            "Longest pause inside the request's content (L6)."),
    TIMEOUT("send", send_ms, LIMIT_SEND_MS, "Longest time without progress towards a client (L7)."),
    TIMEOUT("connect", connect_ms, LIMIT_CONNECT_MS, "Time to connect to a backend (L8)."),
    TIMEOUT("first_byte", first_byte_ms, LIMIT_FIRST_BYTE_MS,
            "Time until a backend's response head is complete (L8)."),
    TIMEOUT("response_body", response_body_ms, LIMIT_RESPONSE_BODY_MS,
            "Longest pause inside a response's content (L8)."),
    TIMEOUT("backend_send", backend_send_ms, LIMIT_BACKEND_SEND_MS,
            "Longest time without progress towards a backend (L8)."),
    TIMEOUT("tunnel_idle", tunnel_idle_ms, LIMIT_TUNNEL_IDLE_MS,
            "Longest silence on an upgraded connection (L10)."),
    TIMEOUT("connection_age", connection_age_ms, LIMIT_CONNECTION_AGE_MS,
            "Age at which a client's connection ends after its request, ±10 % (L11)."),
    {.key = "total",
     .type = &type_duration,
     .offset = offsetof(struct conf_timeouts, total_ms),
     .least = 1,
     .most = DAY_MS,
     .text = "none",
     .help = "From a request's first byte to the end of its answer, waiting and all attempts "
             "included; upgraded connections have no end. Servers of gRPC are told what is "
             "left of it; `{deadline}` tells others."},
};

#define LIMIT(key_, type_, member, default_, least_, most_, help_)                                 \
    {                                                                                              \
        .key = (key_), .type = &(type_), .offset = offsetof(struct conf_limits, member),           \
        .initial = (default_), .least = (least_), .most = (most_), .help = (help_)                 \
    }

static const struct schema_field limit_fields[] = {
    {.key = "connections",
     .type = &type_count,
     .offset = offsetof(struct conf_limits, connections),
     .least = 1,
     .most = 10000000,
     .text = "auto",
     .help =
         "Clients' connections of the whole process (L1). `auto`: half of the descriptors that can "
         "be had, at most 20000."},
    LIMIT("connections_per_source", type_count, connections_per_source, LIMIT_CONNECTIONS_SOURCE, 1,
          10000000,
          "Connections of one IPv4 address or IPv6 /64, unless it is a trusted proxy (L2)."),
    LIMIT("handshakes", type_count, handshakes, LIMIT_HANDSHAKES, 1, 1000000,
          "TLS handshakes in progress; beyond it the oldest makes room (L3)."),
    LIMIT("request_rate", type_byte_rate, request_rate, LIMIT_REQUEST_RATE, 0, BYTES_MOST,
          "Least mean rate of a request's content over 10 s in which it is waited for (L6). 0B/s: "
          "none."),
    LIMIT("response_rate", type_byte_rate, response_rate, LIMIT_RESPONSE_RATE, 0, BYTES_MOST,
          "Least mean rate at which a client takes a response, over 30 s in which some of it waits "
          "(L7). 0B/s: none."),
    LIMIT("requests_per_connection", type_count, requests_per_connection, LIMIT_REQUESTS_CONNECTION,
          1, 1000000000, "Requests on one client's connection (L11)."),
    LIMIT("request_line", type_size, request_line, LIMIT_REQUEST_LINE, 256, MIB(1),
          "Longest request line (L12). A target over HTTP/2: 64 KiB at most."),
    LIMIT("head", type_size, head, LIMIT_HEAD, KIB(1), MIB(1),
          "All fields of a request together, 32 bytes added for each (L13)."),
    LIMIT("fields", type_count, fields, LIMIT_FIELDS, 10, 10000, "Fields of a request (L13)."),
    LIMIT("field", type_size, field, LIMIT_FIELD, 256, MIB(1),
          "Longest field (L13). Over HTTP/2: 64 KiB at most."),
    LIMIT("body", type_size, body, LIMIT_BODY, 0, BYTES_MOST,
          "Largest request content (L16). 0B: no limit."),
    LIMIT("streams", type_count, streams, LIMIT_H2_STREAMS, 1, 1000,
          "Requests at a time on one HTTP/2 connection of a client (L20). Each beyond 100 adds 26 "
          "KiB "
          "to what they may make Meridian hold (L18)."),
    LIMIT("backend_connections", type_count, backend_connections, LIMIT_BACKEND_CONNECTIONS, 1,
          1000000,
          "Connections to one backend (L34). Where all are used and requests wait, one makes room "
          "whose "
          "client has taken less than 2 KiB of the response in 2 s, or has sent so little of the "
          "content. Of 64 "
          "or more that a worker has, the last eighth is for connections that have had an answer "
          "before, and "
          "the one before it for requests whose content is there."),
    LIMIT(
        "backend_idle", type_count, backend_idle, LIMIT_BACKEND_IDLE, 0, 1000000,
        "Idle connections that are kept to one backend (L34); more of them for a second. 0: none."),
    {.key = "memory",
     .type = &type_size,
     .offset = offsetof(struct conf_limits, memory),
     .least = MIB(32),
     .most = BYTES_MOST,
     .text = "auto",
     .help = "Memory that connections, requests and what they need may take together (L35); from "
             "80 % of it on service is reduced step by step. `auto`: 1 GiB, or half of what the "
             "machine or the control group has where that is less."},
};

static const struct schema_field drain_fields[] = {
    {.key = "requests",
     .type = &type_duration,
     .offset = offsetof(struct conf_drain, requests_ms),
     .initial = LIMIT_DRAIN_REQUESTS_MS,
     .most = DAY_MS,
     .help = "Time that requests get when the process stops (L41)."},
    {.key = "tunnels",
     .type = &type_duration,
     .offset = offsetof(struct conf_drain, tunnels_ms),
     .initial = LIMIT_DRAIN_TUNNELS_MS,
     .most = DAY_MS,
     .help = "Time that tunnels and answers that stream get then (L41)."},
};

static const struct schema_field admin_host = {.type = &type_text, .check = text_host};

static const struct schema_field admin_fields[] = {
    {.key = "socket",
     .type = &type_text,
     .offset = offsetof(struct conf_admin, socket),
     .text = "/run/meridian/control.sock",
     .check = text_file,
     .flags = SCHEMA_RESTART,
     .help =
         "Control socket of meridianctl. Where it is not written, under a service manager it is "
         "in $RUNTIME_DIRECTORY, for users other than root in $XDG_RUNTIME_DIR/meridian."},
    {.key = "http",
     .type = &type_admin_http,
     .text = "127.0.0.1:9977",
     .flags = SCHEMA_RESTART,
     .help = "Where metrics, probes and the status page are served, a loopback address; or off "
             "(L40)."},
    {.key = "allow_remote",
     .type = &type_flag,
     .offset = offsetof(struct conf_admin, allow_remote),
     .help =
         "Whether http may be an address that others can reach. Then Host may be any IP address."},
    {.key = "hosts",
     .type = &type_list,
     .offset = offsetof(struct conf_admin, hosts),
     .count_offset = offsetof(struct conf_admin, host_count),
     .element = &admin_host,
     .element_size = sizeof(struct conf_text),
     .flags = SCHEMA_SINGLE,
     .fallback = "none",
     .help = "Names by which http may be reached. Others are refused, so that no page in a browser "
             "reads it under a name of its own (DNS rebinding)."},
    {.key = "token",
     .type = &type_text,
     .offset = offsetof(struct conf_admin, token),
     .check = text_secret_file,
     .fallback = "none",
     .help =
         "\"file:/path\" of a file with 16 bytes or more. Whoever sends them as Bearer may give "
         "meridianctl's commands by POST /v1/COMMAND. Read again on reload."},
};

/* Without proxies there is nothing to say about them. */
static bool trusted_present(const void *at)
{
    return ((const struct conf_trusted *)at)->from_count > 0;
}

static const struct schema_map trusted_map = {SCHEMA_FIELDS(trusted_fields),
                                              .present = trusted_present};

#define MAP(name, table) static const struct schema_map name = {SCHEMA_FIELDS(table)}
MAP(here_map, here_fields);
MAP(geo_map, geo_fields);
MAP(resolve_map, resolve_fields);
MAP(site_map, site_fields);
MAP(timeout_map, timeout_fields);
MAP(limit_map, limit_fields);
MAP(drain_map, drain_fields);
MAP(admin_map, admin_fields);

static const struct schema_field route = {.type = &type_map, .map = &schema_route};

static const struct schema_field file = {.type = &type_text};

static const struct schema_field fields[] = {
    {.key = "include",
     .type = &type_list,
     .offset = offsetof(struct conf, includes),
     .count_offset = offsetof(struct conf, include_count),
     .element = &file,
     .element_size = sizeof(struct conf_text),
     .flags = SCHEMA_SINGLE,
     .fallback = "none",
     .help = "Further files, by name or pattern, relative to this one: [conf.d/*.yaml]. What they "
             "say is put "
             "together: names under the same key, and routes in the order of the files, this one's "
             "first. A name or "
             "value that is given twice is an error. At most 256 files, 8 levels deep, 4 MiB "
             "together."},
    {.key = "workers",
     .type = &type_count,
     .offset = offsetof(struct conf, workers),
     .least = 1,
     .most = LIMIT_WORKERS,
     .text = "auto",
     .flags = SCHEMA_RESTART,
     .help = "Worker threads. `auto`: one for each processor that the process may use."},
    {.key = "sandbox",
     .type = &type_flag,
     .offset = offsetof(struct conf, sandbox),
     .initial = 1,
     .flags = SCHEMA_RESTART,
     .help = "Whether threads give up the system calls that they do not need (where Meridian is "
             "built with libseccomp and the kernel has filters)."},
    {.key = "here", .type = &type_map, .map = &here_map, .help = "This balancer's own place."},
    {.key = "geo", .type = &type_map, .map = &geo_map, .help = "Where clients are."},
    {.key = "trusted_proxies",
     .type = &type_map,
     .offset = offsetof(struct conf, trusted),
     .map = &trusted_map,
     .help = "Proxies in front of this one."},
    {.key = "resolve",
     .type = &type_map,
     .map = &resolve_map,
     .help = "How host names of backends are looked up."},
    {.key = "sites",
     .type = &type_named,
     .offset = offsetof(struct conf, sites),
     .count_offset = offsetof(struct conf, site_count),
     .map = &site_map,
     .element_size = sizeof(struct conf_site),
     .fallback = "none",
     .help = "Places where backends stand, by name."},
    {.key = "data_sources",
     .type = &type_named,
     .offset = offsetof(struct conf, sources),
     .count_offset = offsetof(struct conf, source_count),
     .map = &schema_source,
     .element_size = sizeof(struct conf_data_source),
     .fallback = "none",
     .help = "The central PostgreSQL database, by name; at most one."},
    {.key = "dependencies",
     .type = &type_named,
     .offset = offsetof(struct conf, dependencies),
     .count_offset = offsetof(struct conf, dependency_count),
     .map = &schema_dependency,
     .element_size = sizeof(struct conf_dependency),
     .fallback = "none",
     .help = "What servers need besides themselves, by name; at most 16. Pools name them in "
             "`depends_on`."},
    {.key = "listeners",
     .type = &type_named,
     .offset = offsetof(struct conf, listeners),
     .count_offset = offsetof(struct conf, listener_count),
     .map = &schema_listener,
     .element_size = sizeof(struct conf_listener),
     .flags = SCHEMA_REQUIRED,
     .help = "Where clients connect, by name; at least one."},
    {.key = "pools",
     .type = &type_named,
     .offset = offsetof(struct conf, pools),
     .count_offset = offsetof(struct conf, pool_count),
     .map = &schema_pool,
     .element_size = sizeof(struct conf_pool),
     .flags = SCHEMA_REQUIRED,
     .help = "Groups of equal backends, by name; at least one."},
    {.key = "routes",
     .type = &type_list,
     .offset = offsetof(struct conf, routes),
     .count_offset = offsetof(struct conf, route_count),
     .element = &route,
     .element_size = sizeof(struct conf_route),
     .least = 1,
     .flags = SCHEMA_REQUIRED,
     .help = "What becomes of a request; at least one."},
    {.key = "timeouts",
     .type = &type_map,
     .offset = offsetof(struct conf, timeouts),
     .map = &timeout_map,
     .help = "Longest times."},
    {.key = "limits",
     .type = &type_map,
     .offset = offsetof(struct conf, limits),
     .map = &limit_map,
     .help = "Bounds."},
    {.key = "drain",
     .type = &type_map,
     .offset = offsetof(struct conf, drain),
     .map = &drain_map,
     .help = "Stopping in peace."},
    {.key = "error_pages",
     .type = &type_pages,
     .offset = offsetof(struct conf, pages),
     .fallback = "Meridian's own",
     .help =
         "HTML files, by status, for errors that Meridian answers itself: {503: "
         "/etc/meridian/busy.html}. Who would rather have JSON gets it. Read again on reload; at "
         "most 64 KiB each."},
    {.key = "log",
     .type = &type_map,
     .offset = offsetof(struct conf, log),
     .map = &schema_log,
     .help = "What is written down."},
    {.key = "tracing",
     .type = &type_map,
     .offset = offsetof(struct conf, tracing),
     .map = &schema_tracing,
     .help = "Spans of requests for OpenTelemetry. Without it none are made."},
    {.key = "admin",
     .type = &type_map,
     .offset = offsetof(struct conf, admin),
     .map = &admin_map,
     .help = "How the process is watched and steered."},
    {.key = "state",
     .type = &type_text,
     .offset = offsetof(struct conf, state),
     .text = "/var/lib/meridian",
     .check = text_file,
     .flags = SCHEMA_RESTART,
     .help = "Folder for what outlives the process."},
};

const struct schema_map schema_root = {SCHEMA_FIELDS(fields)};
