#include "check.h"

#include "admin/admin_impl.h"
#include "base/json_read.h"
#include "fake_view.h"

static struct fake_view view;
static struct admin admin;
static struct arena arena;

/* The answer's tree; it lives until the next one. */
static const struct json_value *ask(const char *line)
{
    static struct buf out;
    const struct json_value *v;
    buf_fini(&out);
    buf_init(&out, ADMIN_REPLY_MOST);
    arena_reset(&arena);
    arena_init(&arena, NULL, 4096, 0);
    (void)command_run(&admin, NULL, span_str(line), &out);
    CHECK(json_read(buf_span(&out), &arena, &v) == ERR_OK, "%s answers %.*s", line,
          SPAN_FMT(buf_span(&out)));
    return v;
}

static const struct json_value *ask_good(const char *line)
{
    const struct json_value *v = ask(line);
    CHECK(json_get_bool(v, "ok"), "%s: %.*s", line, SPAN_FMT(json_get_text(v, "message")));
    return v;
}

static void setup(void)
{
    fake_view_init(&view);
    admin = (struct admin){.ops = &view.ops, .ctx = &view};
    list_init(&admin.jobs);
}

TEST(command, views)
{
    setup();
    const struct json_value *v = ask_good("{\"command\":\"status\"}");
    CHECK_SPAN(json_get_text(v, "version"), "0.1.0");
    CHECK(json_get_bool(v, "ready") && json_get(v, "not_ready")->type == JSON_NULL, "ready");
    CHECK_SPAN(json_get(v, "requests_total")->text, "1234567890123");
    CHECK_SPAN(json_get_text(v, "last_reload"), "2023-11-14T22:13:20.000Z");
    CHECK_INT(json_get(v, "pools")->count, 2);
    CHECK_INT(json_get(v, "listeners")->count, 1);
    v = ask_good("{\"command\":\"pools\"}");
    CHECK_SPAN(json_get_text(json_get(v, "pools")->first->next, "name"), "o\"d\\d\n");
    v = ask_good("{\"command\":\"routes\"}");
    CHECK_SPAN(json_get_text(json_get(v, "routes")->first, "target"), "api");
    v = ask_good("{\"command\":\"certificates\"}");
    CHECK_SPAN(json_get_text(json_get(v, "certificates")->first, "expires"),
               "2027-01-15T08:00:00.000Z");
}

TEST(command, backends)
{
    setup();
    const struct json_value *v = ask_good("{\"command\":\"backends\"}");
    CHECK_INT(json_get(v, "backends")->count, 3);
    const struct json_value *fra = json_get(v, "backends")->first, *iad = fra->next;
    CHECK_SPAN(json_get_text(fra, "state"), "up");
    CHECK_SPAN(json_get_text(fra, "history"), "++++++++++++");
    CHECK(json_get(fra, "health_seconds") == NULL, "since the start");
    CHECK_SPAN(json_get_text(iad, "state"), "maintenance");
    CHECK_SPAN(json_get_text(iad, "health"), "hard");
    CHECK_SPAN(json_get_text(iad, "history"), "+---");
    CHECK_SPAN(json_get_text(iad, "probe_reason"), "backend-refused");
    CHECK(json_get_bool(iad, "weight_forced") && !json_get_bool(fra, "weight_forced"), "forced");
    CHECK(json_get_number(iad, "ejected_seconds") == 2.5, "ejected");
    CHECK_SPAN(json_get_text(iad->next, "state"), "out");
    v = ask_good("{\"command\":\"backends\",\"pool\":\"api\"}");
    CHECK_INT(json_get(v, "backends")->count, 2);
}

TEST(command, actions)
{
    setup();
    ask_good("{\"command\":\"drain\",\"backend\":\"api/fra-1\"}");
    CHECK(view.admin == ENDPOINT_DRAIN, "drain");
    ask_good("{\"command\":\"maintenance\",\"backend\":\"api/fra-1\"}");
    CHECK(view.admin == ENDPOINT_MAINT, "maintenance");
    ask_good("{\"command\":\"enable\",\"backend\":\"api/fra-1\"}");
    CHECK(view.admin == ENDPOINT_ACTIVE, "enable");
    const struct json_value *v = ask_good("{\"command\":\"weight\",\"backend\":\"api/fra-1\","
                                          "\"weight\":1000}");
    CHECK(view.weight == 1000 && json_get_number(v, "endpoints") == 2, "weight");
    ask_good("{\"command\":\"reset\",\"backend\":\"api/fra-1\"}");
    CHECK_INT(view.resets, 1);
    ask_good("{\"command\":\"log-level\",\"level\":\"debug\"}");
    CHECK(view.level == LOG_DEBUG, "level");
    ask_good("{\"command\":\"stop\"}");
    CHECK(view.stops == 1 && !view.stop_now, "gracefully");
    ask_good("{\"command\":\"stop\",\"now\":true}");
    CHECK(view.stops == 2 && view.stop_now, "at once");
}

TEST(command, explain)
{
    setup();
    const struct json_value *v =
        ask_good("{\"command\":\"explain\",\"client\":\"5.1.2.3\",\"url\":\"https://a/b\","
                 "\"headers\":[[\"X-Plan\",\"gold\"]]}");
    CHECK_STR(view.client, "5.1.2.3");
    CHECK_STR(view.url, "https://a/b");
    CHECK_STR(view.method, "GET");
    CHECK_STR(view.header, "X-Plan=gold");
    CHECK_SPAN(json_get_text(v, "outcome"), "ok");
    CHECK_SPAN(json_get_text(json_get(v, "client"), "country"), "FR");
    const struct json_value *site = json_get(v, "sites")->first;
    CHECK_SPAN(json_get_text(site, "site"), "fra");
    CHECK_SPAN(json_get_text(site, "verdict"), "chosen");
    CHECK_SPAN(json_get(site, "cost_ms")->text, "7.96");
    view.outcome = ERR_NO_ROUTE;
    v = ask_good("{\"command\":\"explain\",\"client\":\"5.1.2.3\",\"url\":\"/\"}");
    CHECK_SPAN(json_get_text(v, "outcome"), "no-route");
    CHECK(json_get(v, "sites") == NULL, "no pool, no sites");
    v = ask_good("{\"command\":\"geo\",\"address\":\"5.1.2.3\"}");
    CHECK(json_get_number(json_get(v, "place"), "latitude") == 48.9, "geo");
    const struct json_value *databases = json_get(v, "databases"), *pools = json_get(v, "pools");
    CHECK_SPAN(json_get_text(databases->first, "network"), "5.1.2.3/16");
    CHECK(json_get(databases->first->next, "place") == NULL, "no record");
    CHECK_SPAN(json_get_text(json_get(pools->first, "sites")->first, "site"), "fra");
    CHECK(json_get_number(v, "pools_left") == 3, "the rest is counted");
}

TEST(command, refusals)
{
    static const struct {
        const char *line, *error;
    } rows[] = {
        {"", "syntax"},
        {"status", "syntax"},
        {"[]", "not-found"},
        {"{}", "not-found"},
        {"{\"command\":1}", "not-found"},
        {"{\"command\":\"stat\"}", "not-found"},
        {"{\"command\":\"status\"} x", "syntax"},
        {"{\"command\":\"drain\"}", "syntax"},
        {"{\"command\":\"drain\",\"backend\":7}", "syntax"},
        {"{\"command\":\"drain\",\"backend\":\"api/none\"}", "not-found"},
        {"{\"command\":\"weight\",\"backend\":\"api/fra-1\"}", "range"},
        {"{\"command\":\"weight\",\"backend\":\"api/fra-1\",\"weight\":0}", "range"},
        {"{\"command\":\"weight\",\"backend\":\"api/fra-1\",\"weight\":1001}", "range"},
        {"{\"command\":\"weight\",\"backend\":\"api/fra-1\",\"weight\":1.5}", "range"},
        {"{\"command\":\"weight\",\"backend\":\"api/fra-1\",\"weight\":-1}", "range"},
        {"{\"command\":\"weight\",\"backend\":\"api/fra-1\",\"weight\":\"5\"}", "range"},
        {"{\"command\":\"log-level\",\"level\":\"loud\"}", "range"},
        {"{\"command\":\"explain\",\"url\":\"/\"}", "syntax"},
        {"{\"command\":\"explain\",\"client\":\"nonsense\",\"url\":\"/\"}", "syntax"},
        {"{\"command\":\"explain\",\"client\":\"1.2.3.4\",\"url\":\"/\",\"headers\":[\"a\"]}",
         "syntax"},
        {"{\"command\":\"explain\",\"client\":\"1.2.3.4\",\"url\":\"/\",\"headers\":[[\"a\"]]}",
         "syntax"},
        {"{\"command\":\"explain\",\"client\":\"1.2.3.4\",\"url\":\"/\",\"headers\":{}}", "syntax"},
        {"{\"command\":\"geo\",\"address\":\"x\"}", "syntax"},
    };
    setup();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct json_value *v = ask(rows[i].line);
        struct span error = json_get_text(v, "error");
        CHECK(!json_get_bool(v, "ok") && span_eq(error, span_str(rows[i].error)), "%s: %.*s",
              rows[i].line, SPAN_FMT(error));
        CHECK(json_get_text(v, "message").n > 0, "%s: with a message", rows[i].line);
    }
    CHECK(view.weight == 0 && view.stops == 0, "nothing was done");
    const struct json_value *v = ask("{\"command\":\"drain\",\"backend\":\"a/\\u001b[31m\"}");
    CHECK(span_find(json_get_text(v, "message"), '\x1b') == json_get_text(v, "message").n,
          "F32: no escape sequence comes back");
}

/* Ops that are not there are not offered; a flood of rows fails as a whole. */
TEST(command, unsupported_and_full)
{
    static const char *const lines[] = {
        "{\"command\":\"drain\",\"backend\":\"api/fra-1\"}",
        "{\"command\":\"weight\",\"backend\":\"api/fra-1\",\"weight\":5}",
        "{\"command\":\"reset\",\"backend\":\"api/fra-1\"}",
        "{\"command\":\"reload\"}",
        "{\"command\":\"connections\"}",
        "{\"command\":\"stop\"}",
        "{\"command\":\"log-level\",\"level\":\"info\"}",
        "{\"command\":\"explain\",\"client\":\"1.2.3.4\",\"url\":\"/\"}",
        "{\"command\":\"geo\",\"address\":\"1.2.3.4\"}",
    };
    setup();
    memset(&view.ops, 0, sizeof view.ops);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        CHECK_SPAN(json_get_text(ask(lines[i]), "error"), "unsupported");
    }
    CHECK_INT(json_get(ask_good("{\"command\":\"status\"}"), "pools")->count, 0);
    setup();
    struct buf out;
    buf_init(&out, 4096);
    view.backend_copies = 1000;
    CHECK_INT(command_run(&admin, NULL, SPAN("{\"command\":\"backends\"}"), &out), ERR_NO_MEMORY);
    CHECK(!out.failed && span_starts(buf_span(&out), SPAN("{\"ok\":false")), "an answer still");
    buf_fini(&out);
}
