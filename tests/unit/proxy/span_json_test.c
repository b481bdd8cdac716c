/* Spans as OTLP has them in JSON: identifiers in hexadecimal, 64-bit numbers as text. */
#include "proxy/span_json.h"

#include "base/limits.h"
#include "check.h"

static char memory[LIMIT_LOG_LINE * 3];

static const char *written(const struct access_facts *f, const struct trace *t)
{
    struct buf b;
    buf_fixed(&b, memory, sizeof memory - 1);
    span_json(f, t, &b);
    CHECK(!b.failed, "it fits");
    memory[b.n] = '\0';
    return memory;
}

#define PARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

TEST(span_json, whole)
{
    struct access_facts f = {.wall_ns = 3000000007,
                             .total_ns = 1000000000,
                             .method = SPAN("GET"),
                             .scheme = SPAN("https"),
                             .path = SPAN("/a\"b"),
                             .query = SPAN("token=x"),
                             .host = SPAN("a.example"),
                             .client = SPAN("198.51.100.7"),
                             .protocol = "HTTP/2",
                             .status = 200,
                             .route = SPAN("api"),
                             .pool = SPAN("blue"),
                             .attempts = 2,
                             .end = "ok"};
    struct trace t = {.parent = SPAN(PARENT), .caller = SPAN("1111111111111111"), .sampled = true};
    CHECK_STR(
        written(&f, &t),
        "{\"traceId\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"spanId\":\"00f067aa0ba902b7\","
        "\"parentSpanId\":\"1111111111111111\",\"kind\":2,\"startTimeUnixNano\":\"2000000007\","
        "\"endTimeUnixNano\":\"3000000007\",\"name\":\"GET api\",\"attributes\":["
        "{\"key\":\"http.request.method\",\"value\":{\"stringValue\":\"GET\"}},"
        "{\"key\":\"url.scheme\",\"value\":{\"stringValue\":\"https\"}},"
        "{\"key\":\"url.path\",\"value\":{\"stringValue\":\"/a\\\"b\"}},"
        "{\"key\":\"server.address\",\"value\":{\"stringValue\":\"a.example\"}},"
        "{\"key\":\"client.address\",\"value\":{\"stringValue\":\"198.51.100.7\"}},"
        "{\"key\":\"network.protocol.version\",\"value\":{\"stringValue\":\"2\"}},"
        "{\"key\":\"http.response.status_code\",\"value\":{\"intValue\":\"200\"}},"
        "{\"key\":\"meridian.route\",\"value\":{\"stringValue\":\"api\"}},"
        "{\"key\":\"meridian.pool\",\"value\":{\"stringValue\":\"blue\"}},"
        "{\"key\":\"meridian.end\",\"value\":{\"stringValue\":\"ok\"}},"
        "{\"key\":\"meridian.attempts\",\"value\":{\"intValue\":\"2\"}}]}\n");
}

TEST(span_json, failures_and_bounds)
{
    static char big[20000];
    memset(big, '\n', sizeof big);
    struct span s = span_of(big, sizeof big);
    struct access_facts f = {.wall_ns = 1,
                             .total_ns = 5,
                             .method = s,
                             .path = s,
                             .host = s,
                             .user_agent = s,
                             .route = s,
                             .id = s,
                             .status = 502,
                             .end = "backend-reset"};
    struct trace t = {.parent = SPAN(PARENT), .begun = true, .sampled = true};
    const char *line = written(&f, &t);
    CHECK(strstr(line, "parentSpanId") == NULL &&
              strstr(line, "\"startTimeUnixNano\":\"0\"") != NULL,
          "%s", line);
    CHECK(strstr(line, "\"status\":{\"code\":2,\"message\":\"backend-reset\"}") != NULL, "%s",
          line);
    CHECK(strchr(line, '\n') == line + strlen(line) - 1, "one line");
    f.status = 404;
    CHECK(strstr(written(&f, &t), "\"code\":2") == NULL,
          "a client's mistake is no error of the server");
}
