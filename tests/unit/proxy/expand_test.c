/* What names stand for, and what no value may do (RELIABILITY H17, H23). */
#include "proxy/field_rules.h"

#include "base/limits.h"
#include "check.h"

static struct arena arena;
static const struct place paris = {.country = "FR", .continent = "EU", .subdivision = "IDF"};
static struct request request;
static struct expand_facts facts;

static void begin(void)
{
    arena_init(&arena, NULL, 4096, 0);
    request = (struct request){.method_name = SPAN("GET"),
                               .scheme = SPAN("https"),
                               .authority = SPAN("shop.example:8443"),
                               .host = SPAN("shop.example"),
                               .path = SPAN("/a/b"),
                               .query = SPAN("c=d")};
    facts = (struct expand_facts){.request = &request,
                                  .left_ms = SPAN("250"),
                                  .place = &paris,
                                  .client = SPAN("192.0.2.1"),
                                  .peer = SPAN("10.0.0.1"),
                                  .listener = SPAN("public"),
                                  .route = SPAN("main"),
                                  .id = SPAN("id-1")};
}

static struct template parsed(const char *text)
{
    struct template t;
    struct span bad;
    CHECK_INT(template_parse(span_str(text), &arena, &t, &bad), ERR_OK);
    return t;
}

static struct span expanded(const char *text)
{
    struct span out;
    struct template t = parsed(text);
    CHECK_INT(expand_template(&t, &facts, &arena, &out), ERR_OK);
    return out;
}

TEST(expand, every_name)
{
    static const char *const rows[][2] = {
        {"{host}", "shop.example"},
        {"{authority}", "shop.example:8443"},
        {"{method}", "GET"},
        {"{scheme}", "https"},
        {"{path}", "/a/b"},
        {"{query}", "c=d"},
        {"{uri}", "/a/b?c=d"},
        {"{client.address}", "192.0.2.1"},
        {"{peer.address}", "10.0.0.1"},
        {"{geo.country}", "FR"},
        {"{geo.continent}", "EU"},
        {"{geo.subdivision}", "IDF"},
        {"{geo.city}", ""},
        {"{geo.asn}", ""},
        {"{geo.organization}", ""},
        {"{geo:PATH}", ""},
        {"{request_id}", "id-1"},
        {"{listener}", "public"},
        {"{route}", "main"},
        {"{deadline}", "250"},
        {"plain", "plain"},
        {"", ""},
        {"<{method} {path}>{{}", "<GET /a/b>{}"},
    };
    begin();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_SPAN(expanded(rows[i][0]), rows[i][1]);
    for (unsigned i = TEMPLATE_TEXT + 1; i < TEMPLATE_NAME_COUNT; i++) {
        const char *name = template_name((enum template_name)i);
        bool tested = template_kind((enum template_name)i) == TEMPLATE_LOGGED;
        for (size_t k = 0; !tested && k < sizeof rows / sizeof *rows; k++)
            tested = span_eq(span_sub(span_str(rows[k][0]), 1, strlen(name) + 1), span_str(name));
        CHECK(tested, "%s is not tested", name);
    }
    arena_reset(&arena);
}

TEST(expand, what_is_not_known_is_empty)
{
    begin();
    facts = (struct expand_facts){.request = &request};
    request.query = SPAN_NONE;
    CHECK_SPAN(expanded("{geo.country}{geo.continent}{client.address}{query}{listener}"), "");
    CHECK_SPAN(expanded("{uri}"), "/a/b");
    request.query = SPAN("");
    CHECK_SPAN(expanded("{uri}"), "/a/b?");
    request.path = SPAN("*");
    CHECK_SPAN(expanded("{path}"), "/");
    arena_reset(&arena);
}

TEST(expand, no_value_breaks_a_field)
{
    static const char bad[] = {'\r', '\n', '\0', '\t', 0x1b, 0x7f};
    begin();
    struct template t = parsed("a{path}b");
    for (size_t i = 0; i < sizeof bad; i++) {
        char path[] = "/x?y";
        struct span out;
        path[2] = bad[i];
        request.path = span_of(path, 4);
        CHECK_INT(expand_template(&t, &facts, &arena, &out), ERR_BAD_FIELD);
    }
    arena_reset(&arena);
}

TEST(expand, a_value_has_a_bound)
{
    static char path[LIMIT_FIELD];
    struct span out;
    begin();
    memset(path, 'x', sizeof path);
    path[0] = '/';
    request.path = span_of(path, sizeof path);
    struct template t = parsed("{path}"), more = parsed("{path}x");
    CHECK_INT(expand_template(&t, &facts, &arena, &out), ERR_OK);
    CHECK_INT(out.n, sizeof path);
    CHECK_INT(expand_template(&more, &facts, &arena, &out), ERR_HEAD_TOO_LARGE);
    arena_reset(&arena);
}

TEST(expand, locations_begin_with_one_slash)
{
    static const char *const rows[][2] = {
        {"/", "/"},           {"/x", "/x"},         {"//evil", "/evil"},
        {"/\\evil", "/evil"}, {"///evil", "/evil"}, {"//\\/evil", "/evil"},
        {"/x//y", "/x//y"},   {"//", "/"},          {"/\\", "/"},
    };
    struct span out;
    begin();
    struct template t = parsed("{path}"), fixed = parsed("/{query}"),
                    whole = parsed("https://a{path}");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        request.path = span_str(rows[i][0]);
        CHECK_INT(expand_location(&t, &facts, &arena, &out), ERR_OK);
        CHECK_SPAN(out, rows[i][1]);
    }
    request.query = SPAN("/evil");
    CHECK_INT(expand_location(&fixed, &facts, &arena, &out), ERR_OK);
    CHECK_SPAN(out, "/evil");
    request.path = SPAN("//x");
    CHECK_INT(expand_location(&whole, &facts, &arena, &out), ERR_OK);
    CHECK_SPAN(out, "https://a//x");
    arena_reset(&arena);
}

TEST(expand, no_location_without_the_host_it_names)
{
    struct span out;
    begin();
    request.host = request.authority = SPAN("");
    struct template t = parsed("https://{host}/"), port = parsed("https://{authority}/"),
                    other = parsed("https://a/");
    CHECK_INT(expand_location(&t, &facts, &arena, &out), ERR_BAD_HOST);
    CHECK_INT(expand_location(&port, &facts, &arena, &out), ERR_BAD_HOST);
    CHECK_INT(expand_location(&other, &facts, &arena, &out), ERR_OK);
    arena_reset(&arena);
}

static struct fields fields_of(const char *const (*rows)[2], size_t n)
{
    struct fields f = {0};
    for (size_t i = 0; i < n; i++) {
        struct span name = span_str(rows[i][0]);
        CHECK_INT(fields_add(&f, &arena, field_id_of(name), name, span_str(rows[i][1])), ERR_OK);
    }
    return f;
}

static struct field_rule rule(const char *name, const char *value)
{
    return (struct field_rule){
        .id = field_id_of(span_str(name)), .name = span_str(name), .value = parsed(value)};
}

TEST(field_rules, remove_then_set_then_add)
{
    static const char *const before[][2] = {{"server", "x"}, {"x-a", "1"},    {"vary", "a"},
                                            {"x-a", "2"},    {"x-keep", "k"}, {"x-gone", "g"}};
    static const char *const after[][2] = {{"vary", "a"},      {"x-keep", "k"}, {"x-a", "GET"},
                                           {"server", "mine"}, {"vary", "b"},   {"x-a", "FR"}};
    begin();
    struct fields f = fields_of(before, sizeof before / sizeof *before);
    struct field_rule remove[] = {rule("x-gone", ""), rule("server", "")};
    struct field_rule set[] = {rule("x-a", "{method}"), rule("server", "mine")};
    struct field_rule add[] = {rule("vary", "b"), rule("x-a", "{geo.country}")};
    struct field_rules rules = {remove, set, add, 2, 2, 2};
    CHECK_INT(field_rules_apply(&rules, &facts, &arena, &f), ERR_OK);
    CHECK_INT(f.n, sizeof after / sizeof *after);
    for (size_t i = 0; i < f.n; i++) {
        CHECK_SPAN(f.v[i].name, after[i][0]);
        CHECK_SPAN(f.v[i].value, after[i][1]);
    }
    arena_reset(&arena);
}

/* H3: what a rule says or takes away is not said in another spelling either. */
TEST(field_rules, odd_spellings_go_too_H3)
{
    static const char *const before[][2] = {
        {"x_country", "DE"}, {"x.gone", "g"}, {"x_kept", "k"}, {"x_country_", "DE"}};
    begin();
    struct fields f = fields_of(before, sizeof before / sizeof *before);
    struct field_rule remove[] = {rule("x-gone", "")}, set[] = {rule("x-country", "FR")};
    struct field_rules rules = {remove, set, NULL, 1, 1, 0};
    CHECK_INT(field_rules_apply(&rules, &facts, &arena, &f), ERR_OK);
    CHECK_INT(f.n, 3);
    CHECK_SPAN(f.v[0].name, "x_kept");
    CHECK_SPAN(f.v[1].name, "x_country_");
    CHECK_SPAN(f.v[2].name, "x-country");
    CHECK_SPAN(f.v[2].value, "FR");
    arena_reset(&arena);
}

TEST(field_rules, empty_values_and_errors)
{
    static const char *const before[][2] = {{"x-country", "claimed"}};
    begin();
    facts.place = NULL;
    struct fields f = fields_of(before, 1);
    struct field_rule set[] = {rule("x-country", "{geo.country}")},
                      broken[] = {rule("x-b", "{path}")};
    struct field_rules rules = {.set = set, .set_count = 1};
    CHECK_INT(field_rules_apply(&rules, &facts, &arena, &f), ERR_OK);
    CHECK_INT(f.n, 0);
    request.path = SPAN("/a\r\nEvil: x");
    rules = (struct field_rules){.add = broken, .add_count = 1};
    CHECK_INT(field_rules_apply(&rules, &facts, &arena, &f), ERR_BAD_FIELD);
    arena_reset(&arena);
}
