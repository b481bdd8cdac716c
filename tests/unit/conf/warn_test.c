/* Warnings about what is allowed and probably not meant, and the summary of a change. */
#include "check.h"
#include "file.h"

#define POOL                                                                                       \
    "pools: {api: {backends: {a: {address: \"10.0.0.1:80\"}, b: {address: \"10.0.0.2:80\"}}}}\n"
#define LISTENER "listeners: {p: {bind: \"127.0.0.1:8080\"}}\n"
#define BASE     LISTENER POOL
#define SITES                                                                                      \
    "geo: {databases: [/x.mmdb]}\nsites: {s: {location: [1, 2]}}\n"                                \
    "pools: {api: {backends: {a: {address: \"10.0.0.1:80\", site: s}}, "
#define ROUTES "routes:\n  - pool: api\n"

static size_t count(struct span text, const char *what)
{
    size_t n = 0, size = strlen(what);
    for (size_t i = 0; i + size <= text.n; i++)
        n += memcmp(text.p + i, what, size) == 0;
    return n;
}

struct said {
    const char *text, *said; /* NULL: nothing */
};

static void check_said(const struct said *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct conf *c = load_good(rows[i].text);
        struct buf out;
        buf_init(&out, 0);
        conf_warnings(c, &out);
        size_t want = rows[i].said != NULL;
        CHECK(count(buf_span(&out), "warning: ") == want &&
                  (want == 0 || count(buf_span(&out), rows[i].said) == 1),
              "row %zu: %.*s", i, SPAN_FMT(buf_span(&out)));
        buf_fini(&out);
        conf_free(&c);
    }
}

TEST(conf_warnings, each_risk_has_one)
{
    static const struct said rows[] = {
        {BASE ROUTES, NULL},
        {"listeners: {p: {bind: [\"10.1.2.3:80\", \"172.31.0.1:80\", \"192.168.0.1:80\", "
         "\"[::1]:80\", \"[fd00::1]:80\", \"unix:/x\", \"systemd:x\"]}}\n" POOL ROUTES,
         NULL},
        {"listeners: {p: {bind: \"0.0.0.0:80\"}}\n" POOL ROUTES,
         "test.yaml:1:23: warning: plain HTTP"},
        {"listeners: {p: {bind: \"172.32.0.1:80\"}}\n" POOL ROUTES, "warning: plain HTTP"},
        {"listeners: {p: {bind: \"[2001:db8::1]:80\"}}\n" POOL ROUTES, "warning: plain HTTP"},
        {"listeners: {p: {bind: \"0.0.0.0:80\", redirect_to_https: true}}\n" POOL ROUTES, NULL},
        {"listeners: {p: {bind: \"0.0.0.0:80\"}}\ntrusted_proxies: {from: [10.0.0.0/8]}\n" POOL
             ROUTES,
         NULL},
        {"listeners: {p: {bind: [\"0.0.0.0:80\", \"unix:/x\"]}}\ntrusted_proxies: {from: "
         "[10.0.0.0/8]}\n"
         "pools: {api: {backends: {a: {address: \"127.0.0.1:80\"}}}}\n" ROUTES,
         "test.yaml:3:39: warning: '127.0.0.1:80' is listener 'p' of this balancer"},
        {LISTENER "pools: {api: {backends: {a: {address: \"127.0.0.1:8080\"}}}}\n" ROUTES,
         "is listener 'p'"},
        {"listeners: {p: {bind: \"[::]:80\"}}\ntrusted_proxies: {from: [10.0.0.0/8]}\n"
         "pools: {api: {backends: {a: {address: \"127.0.0.1:80\"}}}}\n" ROUTES,
         NULL}, /* it takes no IPv4 */
        {"listeners: {p: {bind: \"unix:/x\"}}\npools: {api: {backends: {a: {address: "
         "\"unix:/x\"}}}}\n" ROUTES,
         "is listener 'p'"},
        {LISTENER "pools: {api: {backends: {a: {address: \"127.0.0.2:8080\"}, b: {address: "
                  "\"127.0.0.1:8081\"}, c: {address: \"unix:/x\"}}}}\n" ROUTES,
         NULL},
        {LISTENER "pools: {api: {backends: {a: {address: \"10.0.0.1:80\"}, b: {address: "
                  "\"10.0.0.2:80\"}}, health: {off: true}}}\n" ROUTES,
         "pool 'api' has no health check"},
        {LISTENER "pools: {api: {backends: {a: {address: \"10.0.0.1:80\"}}, tls: {verify: "
                  "false}}}\n" ROUTES,
         "are not verified"},
        {LISTENER "pools: {api: {backends: {a: {address: \"10.0.0.1:80\"}}}, spare: {backends: {a: "
                  "{address: \"10.0.0.1:80\"}}}}\n" ROUTES,
         "no route leads to pool 'spare'"},
        {LISTENER "pools: {api: {backends: {a: {address: \"10.0.0.1:80\"}}}, spare: {backends: {a: "
                  "{address: \"10.0.0.1:80\"}}}}\n"
                  "routes: [{pool: api, mirror: {pool: spare}}]\n",
         NULL},
        {BASE "routes:\n  - match: {path: /a, methods: [GET, HEAD]}\n    pool: api\n"
              "  - match: {path: /a, methods: [HEAD]}\n    pool: api\n",
         "never chosen; the one at test.yaml:4:5 takes all"},
        {BASE "routes:\n  - match: {path: /a, methods: [HEAD]}\n    pool: api\n"
              "  - match: {path: /a, methods: [GET, HEAD]}\n    pool: api\n",
         NULL},
        {BASE "routes:\n  - match: {path: /a, methods: [GET, HEAD]}\n    pool: api\n"
              "  - match: {path: /a, methods: [GET], headers: {x: y}}\n    pool: api\n",
         NULL},
        {BASE "routes:\n  - match: {path: /a, methods: [GET, HEAD]}\n    pool: api\n"
              "  - match: {path: /b, methods: [GET]}\n    pool: api\n",
         NULL},
        {BASE ROUTES "trusted_proxies: {from: [10.0.0.0/8, \"0.0.0.0/0\"]}\n",
         "warning: everybody is believed"},
        {"listeners: {p: {bind: \"127.0.0.1:8080\", proxy_protocol: {from: [\"::/0\"]}}}\n" POOL
             ROUTES,
         "warning: everybody is believed"},
        {LISTENER SITES
         "residency: {rules: [{countries: [DE], sites: [s]}, {sites: [s]}]}}}\n" ROUTES,
         NULL},
        {LISTENER SITES "residency: {rules: [{unknown: true, sites: [s]}, {countries: [DE], sites: "
                        "[s]}]}}}\n" ROUTES,
         NULL},
        {LISTENER SITES
         "residency: {rules: [{sites: [s]}, {countries: [DE], deny: 451}]}}}\n" ROUTES,
         "the rule is never reached; the one of line 4 is for everybody"},
        {LISTENER "pools:\n  api:\n    backends:\n      a: {address: \"10.0.0.1:80\"}\n      b: "
                  "{address: \"10.0.0.2:80\"}\n      c: {address: \"10.0.0.1:80\"}\n" ROUTES,
         "test.yaml:7:20: warning: '10.0.0.1:80' has two shares of pool 'api', and is checked "
         "twice: it is backend 'a' at test.yaml:5:20 too"},
        {BASE "routes:\n  - match: {methods: [GET, TRACE, POST]}\n    pool: api\n",
         "test.yaml:4:28: warning: 'TRACE' is answered with 405"},
        {BASE "routes:\n  - match: {methods: [GTE, POST]}\n    pool: api\n",
         "OPTIONS are served; did you mean 'GET'?"},
        {BASE "routes:\n  - match: {path: /v1/*}\n    pool: api\n", "leave '*' out"},
        {BASE ROUTES "admin: {http: \"10.0.0.1:9977\", allow_remote: true}\n", NULL},
        {BASE ROUTES "admin: {http: \"0.0.0.0:9977\", allow_remote: true}\n",
         "reads what the balancer does; keep"},
        {BASE ROUTES "admin: {http: \"0.0.0.0:9977\", allow_remote: true, token: \"file:/t\"}\n",
         "the token crosses the network in the clear"},
    };
    check_said(rows, sizeof rows / sizeof *rows);
}

#define CLOSED                                                                                     \
    "closed: {bind: \"0.0.0.0:1\", tls: {certificates: [{chain: /c, key: /k}], client_ca: /ca}}"
#define OPEN "open: {bind: \"0.0.0.0:2\", tls: {certificates: [{chain: /c, key: /k}]}}"

/* Routes hold for every listener. */
TEST(conf_warnings, what_one_listener_asks_for_and_another_does_not_H8)
{
    static const struct said rows[] = {
        {"listeners: {" CLOSED "}\n" POOL ROUTES, NULL},
        {"listeners: {" OPEN "}\n" POOL ROUTES, NULL},
        {"listeners: {" CLOSED ", " OPEN "}\n" POOL ROUTES,
         "without a client's certificate at listener 'open'"},
        {"listeners: {" OPEN ", " CLOSED "}\n" POOL ROUTES,
         "without a client's certificate at listener 'open'"},
        {"listeners: {" CLOSED
         ", plain: {bind: \"0.0.0.0:80\", redirect_to_https: true}}\n" POOL ROUTES,
         NULL},
        {"listeners: {" CLOSED ", inner: {bind: \"127.0.0.1:80\"}}\n" POOL ROUTES, NULL},
    };
    check_said(rows, sizeof rows / sizeof *rows);
}

#define ALLOW "listeners: {p: {bind: \"127.0.0.1:8080\", odd_header_names: allow}}\n" POOL

TEST(conf_warnings, names_that_no_request_has_H3)
{
    static const struct said rows[] = {
        {BASE "routes: [{match: {headers: {X-Plan: gold}}, pool: api}]\n", NULL},
        {BASE "routes: [{match: {headers: {X_Plan: gold}}, pool: api}]\n",
         "warning: no request has 'x_plan'"},
        {ALLOW "routes: [{match: {headers: {X_Plan: gold}}, pool: api}]\n", NULL},
        {BASE "routes: [{pool: api, rate_limit: {rate: 1/s, per: header X.User}}]\n",
         "use one without '.'"},
        {BASE "routes: [{pool: api, rate_limit: {rate: 1/s, per: cookie x_user}}]\n", NULL},
        {BASE "routes: [{split: {api: 1}, split_by: header X_User}]\n", "no request has 'x_user'"},
        {LISTENER "pools: {api: {backends: {a: {address: \"10.0.0.1:80\"}}, balance: {algorithm: "
                  "consistent_hash, hash: {by: header X_User}}}}\n" ROUTES,
         "no request has 'x_user'"},
    };
    check_said(rows, sizeof rows / sizeof *rows);
}

TEST(conf_warnings, templates_of_places_need_a_database)
{
    static const struct said rows[] = {
        {BASE "routes: [{pool: api, request_headers: {set: {X-C: \"{host}/{geo.country}\"}}}]\n",
         "test.yaml:3:51: warning: '{geo.country}' is empty for everybody without a database"},
        {BASE
         "routes: [{pool: api, response_headers: {add: {X-Z: \"{geo:location.time_zone}\"}}}]\n",
         "warning: '{geo:PATH}' is empty"},
        {BASE "routes: [{redirect: {to: \"https://{geo.continent}.example.com/\"}}, {match: {path: "
              "/a}, pool: api}]\n",
         "warning: '{geo.continent}' is empty"},
        {BASE ROUTES "log: {access: {format: \"{time} {geo.country} {status}\"}}\n",
         "warning: '{geo.country}' is empty"},
        {BASE "routes: [{pool: api, request_headers: {set: {X-C: \"{{geo.country}\"}}}]\n", NULL},
        {LISTENER SITES "health: {interval: 1s}}}\n"
                        "routes: [{pool: api, request_headers: {set: {X-C: \"{geo.city}\"}}}]\n",
         NULL},
    };
    check_said(rows, sizeof rows / sizeof *rows);
}

static void check_changes(const char *old, const char *new, const char *want)
{
    struct conf *a = load_good(old), *b = load_good(new);
    struct buf out;
    buf_init(&out, 0);
    conf_changes(a, b, &out);
    CHECK(span_eq(buf_span(&out), span_str(want)), "%.*swant:\n%s", SPAN_FMT(buf_span(&out)), want);
    buf_fini(&out);
    conf_free(&a);
    conf_free(&b);
}

TEST(conf_changes, every_kind_is_told)
{
    check_changes(BASE ROUTES, BASE ROUTES,
                  "  the settings are the same; certificates and databases were read again\n");
    check_changes(BASE ROUTES "timeouts: {idle: 10s}\n", BASE ROUTES "timeouts: {idle: 2m}\n",
                  "  ~ timeouts.idle: 10s -> 2m\n");
    check_changes(BASE ROUTES,
                  LISTENER "pools: {api: {backends: {a: {address: \"10.0.0.1:80\", weight: 50}, c: "
                           "{address: \"10.0.0.3:80\"}}}}\n" ROUTES
                           "  - match: {path: /x}\n    respond: {body: \"one\\ntwo\"}\n",
                  "  ~ pools.api.backends.a.weight: 100 -> 50\n"
                  "  - pools.api.backends.b\n"
                  "  + pools.api.backends.c\n"
                  "  + routes./x\n");
    check_changes(BASE ROUTES "here: {location: [1, 2]}\n", BASE ROUTES,
                  "  - here\n  - pools.api.balance.distance_from\n");
}

TEST(conf_changes, many_are_counted)
{
    struct buf text, out;
    buf_init(&text, 0);
    buf_init(&out, 0);
    buf_put_str(&text, BASE ROUTES);
    for (int i = 0; i < 100; i++)
        buf_printf(&text, "  - match: {path: /%d}\n    pool: api\n", i);
    buf_put_char(&text, '\0');
    struct conf *a = load_good(BASE ROUTES), *b = load_good(text.p);
    CHECK_INT(conf_changes(a, b, &out), 100);
    CHECK_INT(count(buf_span(&out), "\n"), 41);
    CHECK_INT(count(buf_span(&out), "  and 60 more changes\n"), 1);
    buf_fini(&text);
    buf_fini(&out);
    conf_free(&a);
    conf_free(&b);
}
