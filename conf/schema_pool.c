/* schema_pool: keys of pools and their backends. */
#include "conf/reader.h"
#include "conf/text.h"

#define HOUR_MS 3600000

static const struct schema_word backup_words[] = {
    {"false", 0}, {"true", 1}, {"2", 2}, {"3", 3},  {"4", 4},
    {"5", 5},     {"6", 6},    {"7", 7}, {NULL, 0},
};
_Static_assert(LIMIT_RANKS == 8, "each rank has its word");

static const struct schema_field backend_fields[] = {
    {.key = "address",
     .type = &type_backend_address,
     .offset = offsetof(struct conf_backend, address),
     .flags = SCHEMA_REQUIRED,
     .help =
         "\"IPv4:port\", \"[IPv6]:port\", \"name:port\", \"_service._proto.name\" or "
         "\"unix:/path\". A "
         "name is resolved again and again, by its TTL (L37), and each of its addresses is a "
         "server of its own with this weight and max_inflight. While it is not known yet it has "
         "none; once known, the last good addresses stay whatever name servers say or do not say. "
         "The form without a port asks for SRV records, which say the ports, the weights where any "
         "is not 0, and by their priorities which servers are backups of the others."},
    {.key = "site",
     .type = &type_text,
     .offset = offsetof(struct conf_backend, site_name),
     .check = text_name,
     .fallback = "none",
     .help = "Where it stands: a name from `sites`. In one pool either all backends have a site or "
             "none "
             "has; at most 64 sites in one pool."},
    {.key = "weight",
     .type = &type_count,
     .offset = offsetof(struct conf_backend, weight),
     .initial = 100,
     .least = 1,
     .most = 1000,
     .for_zero = "`meridianctl drain POOL/BACKEND` takes a backend out",
     .help = "Share of the requests relative to the other backends of its site."},
    {.key = "max_inflight",
     .type = &type_count,
     .offset = offsetof(struct conf_backend, max_inflight),
     .most = INT32_MAX,
     .help = "Requests that it may have at once; more wait in the pool's queue. 0: no limit."},
    {.key = "backup",
     .type = &type_word,
     .offset = offsetof(struct conf_backend, backup),
     .words = backup_words,
     .help =
         "It serves only while no other backend of the pool can: all that the request may go to "
         "are down, taken out, tried already or at their `max_inflight`. `2` to `7` wait for the "
         "backups before them too; `true` is the first of these groups."},
};

static const struct schema_map backend_map = {SCHEMA_FIELDS(backend_fields)};

static const struct schema_field tls_fields[] = {
    {.key = "ca",
     .type = &type_text,
     .offset = offsetof(struct conf_back_tls, ca),
     .check = text_file,
     .fallback = "the system's authorities",
     .help = "PEM file with the authorities that backends' certificates are checked against."},
    {.key = "server_name",
     .type = &type_text,
     .offset = offsetof(struct conf_back_tls, server_name),
     .check = text_host,
     .fallback = "the host name that is sent, else the address",
     .help = "Name for SNI, which the certificate must be for."},
    {.key = "verify",
     .type = &type_flag,
     .offset = offsetof(struct conf_back_tls, verify),
     .initial = 1,
     .help = "Check the certificate. `false` leaves the connection open to impostors."},
};

static const struct schema_map tls_map = {SCHEMA_FIELDS(tls_fields), .optional = true};

static const struct schema_word distances[] = {
    {"client", CONF_DISTANCE_CLIENT},
    {"here", CONF_DISTANCE_HERE},
    {NULL, 0},
};

static const struct schema_word sources[] = {
    {"coordinates", CONF_COORDINATES},
    {"measured", CONF_MEASURED},
    {NULL, 0},
};

static const struct schema_word algorithms[] = {
    {"nearest", CONF_NEAREST},
    {"round_robin", CONF_ROUND_ROBIN},
    {"least_connections", CONF_LEAST_CONNECTIONS},
    {"two_choices", CONF_TWO_CHOICES},
    {"consistent_hash", CONF_CONSISTENT_HASH},
    {NULL, 0},
};

static const struct schema_field hash_fields[] = {
    {.key = "by",
     .type = &type_hash_key,
     .offset = offsetof(struct conf_hash, by),
     .initial = CONF_KEY_CLIENT,
     .help = "What must stay together: the client's address (of IPv6 the network of 64 bits), the "
             "path, the query or one parameter of it, a header, a cookie (the first one of its "
             "name). Where a request does not have it, the client's address."},
    {.key = "load",
     .type = &type_percent,
     .offset = offsetof(struct conf_hash, load_percent),
     .initial = 125,
     .least = 101,
     .most = 1000,
     .help = "The most requests that a backend may have at once, of its share by weight; what is "
             "over goes on to the next one, always the same."},
};

static const struct schema_map hash_map = {SCHEMA_FIELDS(hash_fields)};

static const struct schema_field balance_fields[] = {
    {.key = "algorithm",
     .type = &type_word,
     .offset = offsetof(struct conf_balance, algorithm),
     .words = algorithms,
     .initial = CONF_NEAREST,
     .help = "`nearest`: the site with the least distance and load, and the least busy of some "
             "backends in it. The others know no distance: in turns by weight; the fewest requests "
             "per weight, compared over all backends or 16 drawn ones; the less busy of two drawn "
             "ones; the same backend for the same key (at most 10000 backends)."},
    {.key = "hash",
     .type = &type_map,
     .offset = offsetof(struct conf_balance, hash),
     .map = &hash_map,
     .help = "For `consistent_hash`. Keys stay where they are while others come and go."},
    {.key = "distance_from",
     .type = &type_word,
     .offset = offsetof(struct conf_balance, distance_from),
     .words = distances,
     .initial = CONF_DISTANCE_NONE,
     .fallback =
         "client where `geo.databases` is set, else here where `here.location` is, else none",
     .help =
         "Distance to a site is measured from the client's place or from this balancer's. This, "
         "the next five and `choices` are for `nearest`."},
    {.key = "distance_source",
     .type = &type_word,
     .offset = offsetof(struct conf_balance, distance_source),
     .words = sources,
     .initial = CONF_COORDINATES,
     .help =
         "With `distance_from: here`. `measured`: the least time that connecting took in checks "
         "of the last 10 minutes, as soon as each site has been reached once; a site's own "
         "`distance` goes before it."},
    {.key = "distance_weight",
     .type = &type_real,
     .offset = offsetof(struct conf_balance, distance_weight),
     .initial = 1000,
     .most = 10000,
     .help = "Round trips charged for each request; 0: distance does not matter."},
    {.key = "spill_band",
     .type = &type_real,
     .offset = offsetof(struct conf_balance, spill_band),
     .initial = 1500,
     .least = 1000,
     .most = 10000,
     .help = "Ratio of a site's response time to its normal one below which load is ignored."},
    {.key = "spill_gain",
     .type = &type_real,
     .offset = offsetof(struct conf_balance, spill_gain),
     .initial = 3000,
     .most = 10000,
     .help = "Milliseconds of penalty for each millisecond beyond the band."},
    {.key = "spill_cap",
     .type = &type_duration,
     .offset = offsetof(struct conf_balance, spill_cap_ms),
     .initial = 500,
     .most = 60000,
     .help = "Largest penalty; above the largest difference of distance."},
    {.key = "choices",
     .type = &type_count,
     .offset = offsetof(struct conf_balance, choices),
     .initial = 3,
     .least = 1,
     .most = 16,
     .help = "Backends compared inside a site, of which the least busy one is taken: the one whose "
             "turn it is, and drawn ones."},
    {.key = "slow_start",
     .type = &type_duration,
     .offset = offsetof(struct conf_balance, slow_start_ms),
     .initial = LIMIT_SLOW_START_MS,
     .most = HOUR_MS,
     .help = "Time in which a backend that came back gets its full share (L33). 0s: at once."},
    {.key = "panic_percent",
     .type = &type_percent,
     .offset = offsetof(struct conf_balance, panic_percent),
     .initial = 50,
     .most = 100,
     .help = "Where less than this share of the weight is healthy everywhere, health marks are "
             "ignored. 0%: never."},
};

/* For messages about the choices. */
static void balance_done(struct reader *r, const struct node *n, void *at)
{
    (void)r;
    struct conf_balance *b = at;
    const struct node *chosen = node_child(n, "distance_from");
    const struct node *algorithm = node_child(n, "algorithm");
    b->mark = chosen != NULL ? chosen->mark : n->mark;
    b->algorithm_mark = algorithm != NULL ? algorithm->mark : n->mark;
}

static const struct schema_map balance_map = {SCHEMA_FIELDS(balance_fields), .done = balance_done};

static const struct schema_word retry_on[] = {
    {"connect", CONF_RETRY_CONNECT},
    {"reset", CONF_RETRY_RESET},
    {"first_byte", CONF_RETRY_FIRST_BYTE},
    {"502", CONF_RETRY_502},
    {"503", CONF_RETRY_503},
    {"504", CONF_RETRY_504},
    {NULL, 0},
};

static const struct schema_field retry_fields[] = {
    {.key = "extra",
     .type = &type_count,
     .offset = offsetof(struct conf_retries, extra),
     .initial = LIMIT_RETRY_EXTRA,
     .most = 10,
     .help = "Tries after the first one, each with another backend (L30). 0: none."},
    {.key = "budget",
     .type = &type_percent,
     .offset = offsetof(struct conf_retries, budget_percent),
     .initial = LIMIT_RETRY_BUDGET_PERCENT,
     .most = 100,
     .help =
         "Retries of the pool as a share of its requests of the last 10 s, at least 10/s (L30). "
         "For answers (502, 503, 504) only a second's share is saved up: a crowd gets no more than "
         "the share of its own requests. Going again because a used connection had ended "
         "before costs nothing."},
    {.key = "on",
     .type = &type_words,
     .offset = offsetof(struct conf_retries, on),
     .words = retry_on,
     .initial = CONF_RETRY_CONNECT | CONF_RETRY_RESET | CONF_RETRY_FIRST_BYTE,
     .help =
         "What is tried again: no connection, a connection that broke, no answer in time; 502, 503 "
         "and 504 of idempotent requests. Never after a byte went to the client."},
};

static const struct schema_map retry_map = {SCHEMA_FIELDS(retry_fields)};

static const struct schema_field queue_fields[] = {
    {.key = "limit",
     .type = &type_count,
     .offset = offsetof(struct conf_queue, limit),
     .initial = LIMIT_QUEUE,
     .most = 1000000,
     .help = "Requests that may wait for a free backend (L9); more get 503. 0: none waits."},
    {.key = "timeout",
     .type = &type_duration,
     .offset = offsetof(struct conf_queue, timeout_ms),
     .initial = LIMIT_QUEUE_WAIT_MS,
     .least = 1,
     .most = HOUR_MS,
     .help = "Longest wait (L9)."},
};

static const struct schema_map queue_map = {SCHEMA_FIELDS(queue_fields)};

static const struct schema_word pool_protocols[] = {
    {"http/1.1", CONF_HTTP_1_1},
    {"h2", CONF_HTTP_2},
    {"auto", CONF_HTTP_AUTO},
    {NULL, 0},
};

static const struct schema_field dependency_name = {.type = &type_text};

static const struct schema_word down_words[] = {
    {"pass", CONF_DOWN_PASS},
    {"fail_fast", CONF_DOWN_FAIL_FAST},
    {NULL, 0},
};

static const struct schema_word headers[] = {
    {"off", CONF_NO_HEADER},
    {"v1", CONF_HEADER_V1},
    {"v2", CONF_HEADER_V2},
    {NULL, 0},
};

static const struct schema_word modes[] = {
    {"proxy", CONF_PROXY},
    {"redirect", CONF_REDIRECT_SITES},
    {NULL, 0},
};

static const struct schema_field fields[] = {
    {.key = "backends",
     .type = &type_named,
     .offset = offsetof(struct conf_pool, backends),
     .count_offset = offsetof(struct conf_pool, backend_count),
     .map = &backend_map,
     .element_size = sizeof(struct conf_backend),
     .flags = SCHEMA_REQUIRED,
     .help = "The servers of the pool by name; at least one."},
    {.key = "tls",
     .type = &type_map,
     .offset = offsetof(struct conf_pool, tls),
     .map = &tls_map,
     .fallback = "plain text",
     .help = "Speak TLS with the backends. `tls: {}` is enough."},
    {.key = "protocol",
     .type = &type_word,
     .offset = offsetof(struct conf_pool, protocol),
     .words = pool_protocols,
     .initial = CONF_HTTP_1_1,
     .help = "Protocol that is spoken with the backends. `h2`: HTTP/2, without `tls` by prior "
             "knowledge; `auto`: what the TLS handshake agrees on, HTTP/1.1 without `tls`. HTTP "
             "checks speak the same."},
    {.key = "send_proxy_protocol",
     .type = &type_word,
     .offset = offsetof(struct conf_pool, header),
     .words = headers,
     .initial = CONF_NO_HEADER,
     .help = "Begin connections to backends with a header of the PROXY protocol that names the "
             "client. Such a connection serves one client only, so there are more of them. Checks "
             "say LOCAL (UNKNOWN in v1)."},
    {.key = "health",
     .type = &type_map,
     .offset = offsetof(struct conf_pool, health),
     .map = &schema_health,
     .help = "Active checks of the backends."},
    {.key = "balance",
     .type = &type_map,
     .offset = offsetof(struct conf_pool, balance),
     .map = &balance_map,
     .help = "How a backend is chosen. Normally only weights and sites need to be set."},
    {.key = "residency",
     .type = &type_map,
     .offset = offsetof(struct conf_pool, residency),
     .map = &schema_residency,
     .fallback = "every site may serve everybody",
     .help = "Which sites may serve whom: hard, in retries and panic too. Places are estimates of "
             "the databases; they cannot prove where somebody is."},
    {.key = "mode",
     .type = &type_word,
     .offset = offsetof(struct conf_pool, mode),
     .words = modes,
     .initial = CONF_PROXY,
     .help = "`proxy`: requests pass through here. `redirect`: clients are told to go to the "
             "`public_url` of the best site, by the same rule; what sites do is known from the "
             "checks alone, so let `health.interval` be 1s."},
    {.key = "redirect_status",
     .type = &type_count,
     .offset = offsetof(struct conf_pool, redirect_status),
     .initial = 307,
     .least = 307,
     .most = 308,
     .help =
         "Status of such an answer: 307, or 308, which says that it is for good. Neither may be "
         "stored."},
    {.key = "host",
     .type = &type_pool_host,
     .fallback = "preserve",
     .help = "Host field towards backends: the client's (`preserve`), the backend's address "
             "(`backend`), or the given one, with a port or without."},
    {.key = "retries",
     .type = &type_map,
     .offset = offsetof(struct conf_pool, retries),
     .map = &retry_map,
     .help = "Trying again with another backend."},
    {.key = "hedge",
     .type = &type_map,
     .offset = offsetof(struct conf_pool, hedge),
     .map = &schema_hedge,
     .fallback = "off",
     .help = "Ask a second server too where the first is slow to answer, and take the answer that "
             "comes first: GET, HEAD and OPTIONS without content only. `hedge: {}` is enough."},
    {.key = "queue",
     .type = &type_map,
     .offset = offsetof(struct conf_pool, queue),
     .map = &queue_map,
     .help =
         "Requests that wait while every backend is at its `max_inflight`, or has no connection "
         "left for them (`limits.backend_connections`)."},
    {.key = "registry",
     .type = &type_map,
     .offset = offsetof(struct conf_pool, registry),
     .map = &schema_registry,
     .fallback = "off",
     .help =
         "Servers that a table of the central database names, besides or instead of `backends`."},
    {.key = "depends_on",
     .type = &type_list,
     .offset = offsetof(struct conf_pool, depends_on),
     .count_offset = offsetof(struct conf_pool, depend_count),
     .element = &dependency_name,
     .element_size = sizeof(struct conf_text),
     .flags = SCHEMA_SINGLE,
     .fallback = "nothing",
     .help =
         "Dependencies that every server of the pool needs. While one of them fails, servers that "
         "are alive and not ready stay, and what they answer ejects nobody. Needs `health` with "
         "`ready`, `http` or `grpc`."},
    {.key = "on_dependency_down",
     .type = &type_word,
     .offset = offsetof(struct conf_pool, on_dependency_down),
     .words = down_words,
     .initial = CONF_DOWN_PASS,
     .help = "What becomes of requests meanwhile. `pass`: they go to the servers as ever. "
             "`fail_fast`: 503 at once; when it is over, traffic grows to its whole in 10 s."},
    {.key = "sticky",
     .type = &type_map,
     .offset = offsetof(struct conf_pool, sticky),
     .map = &schema_sticky,
     .fallback = "none",
     .help = "Bring clients back to the backend that served them, after all that says who may "
             "serve: residency, health, `max_inflight`, drain. A cookie goes before distance and "
             "load; `by` stays inside the site that these choose."},
};

/* For messages. */
static void pool_done(struct reader *r, const struct node *n, void *at)
{
    (void)r;
    const struct node *mode = node_child(n, "mode");
    ((struct conf_pool *)at)->mode_mark = mode != NULL ? mode->mark : n->mark;
}

const struct schema_map schema_pool = {SCHEMA_FIELDS(fields), .done = pool_done};
