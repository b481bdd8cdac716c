/* Templates: the grammar, and which of them can be a Location (RELIABILITY H17). */
#include "base/template.h"

#include "base/buf.h"
#include "base/mem.h"
#include "check.h"

static struct arena arena;

/* The pieces as text: names in angle brackets. */
static struct span shown(const char *s)
{
    static char memory[512];
    struct buf b;
    struct template t;
    struct span bad;
    arena_init(&arena, NULL, 4096, 0);
    buf_fixed(&b, memory, sizeof memory);
    enum err e = template_parse(span_str(s), &arena, &t, &bad);
    if (e != ERR_OK) {
        CHECK_INT(e, ERR_SYNTAX);
        buf_printf(&b, "bad: %.*s", SPAN_FMT(bad));
    }
    for (size_t i = 0; e == ERR_OK && i < t.count; i++) {
        if (t.pieces[i].name == TEMPLATE_TEXT)
            buf_printf(&b, "%.*s|", SPAN_FMT(t.pieces[i].text));
        else
            buf_printf(&b, "<%s>|", template_name(t.pieces[i].name));
    }
    arena_reset(&arena);
    return buf_span(&b);
}

TEST(template, pieces)
{
    static const char *const rows[][2] = {
        {"", ""},
        {"plain", "plain|"},
        {"{host}", "<host>|"},
        {"https://{host}{uri}", "https://|<host>|<uri>|"},
        {"a{geo.country}b{client.address}", "a|<geo.country>|b|<client.address>|"},
        {"{{", "{|"},
        {"{{host}", "{|host}|"},
        {"{{{host}}", "{|<host>|}|"},
        {"}", "}|"},
        {"{{\"a\": {{}}", "{|\"a\": |{|}}|"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_SPAN(shown(rows[i][0]), rows[i][1]);
}

TEST(template, what_is_wrong_is_named)
{
    static const char *const rows[][2] = {
        {"{hots}", "bad: hots"},
        {"x{}", "bad: "},
        {"x{host", "bad: {host"},
        {"{", "bad: {"},
        {"{HOST}", "bad: HOST"},
        {"{ host}", "bad:  host"},
        {"{geo:a.0.b-c_D}", "<geo:PATH>|"},
        {"{geo:}", "bad: geo:"},
        {"{geo:a..b}", "bad: geo:a..b"},
        {"{geo:.a}", "bad: geo:.a"},
        {"{geo:a.}", "bad: geo:a."},
        {"{geo:a b}", "bad: geo:a b"},
        {"{{{", "bad: {"},
        {"{a{host}}", "bad: a{host"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_SPAN(shown(rows[i][0]), rows[i][1]);
}

TEST(template, every_name_is_found_and_explained)
{
    for (unsigned i = TEMPLATE_TEXT + 1; i < TEMPLATE_NAME_COUNT; i++) {
        char text[64], want[64];
        snprintf(text, sizeof text, "{%s}", template_name((enum template_name)i));
        snprintf(want, sizeof want, "<%s>|", template_name((enum template_name)i));
        CHECK_SPAN(shown(text), want);
        CHECK(strlen(template_help((enum template_name)i)) > 5, "%s has no help", text);
    }
}

static bool is_location(const char *s)
{
    struct template t;
    struct span bad;
    arena_init(&arena, NULL, 4096, 0);
    CHECK_INT(template_parse(span_str(s), &arena, &t, &bad), ERR_OK);
    bool is = template_is_location(&t);
    arena_reset(&arena);
    return is;
}

TEST(template, locations_lead_where_they_say)
{
    static const char *const good[] = {
        "/x",
        "/",
        "{path}",
        "{uri}",
        "/old{path}?{query}",
        "/{query}",
        "https://a.example",
        "https://a.example/{query}",
        "https://a.example{uri}",
        "https://a.example?{query}",
        "https://a.example#{query}",
        "https://{host}#x",
        "https://{host}{uri}",
        "https://{authority}{path}",
        "http://{geo.country}.example{path}",
        "{scheme}://{host}/x",
    };
    static const char *const bad[] = {
        "",
        "x",
        "//evil",
        "{host}",
        "{query}",
        "https://",
        "https:///x",
        "https://?x",
        "https://#x",
        "{scheme}://",
        "{scheme}:///x",
        "https://{path}",
        "https://{query}",
        "https://a{query}",
        "https://a.example{query}/",
        "https://a{client.address}/",
        "{scheme}:{uri}",
        "{scheme}",
        "ftp://a",
        "javascript:{query}",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK(is_location(good[i]), "%s is refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!is_location(bad[i]), "%s is taken", bad[i]);
}

TEST(template, paths_of_geo_fields_are_bounded)
{
    for (size_t n = 99; n <= 101; n++) {
        char text[200] = "{geo:";
        struct template t;
        struct span bad;
        memset(text + 5, 'a', n);
        memcpy(text + 5 + n, "}", 2);
        arena_init(&arena, NULL, 4096, 0);
        CHECK_INT(template_parse(span_str(text), &arena, &t, &bad), n <= 100 ? ERR_OK : ERR_SYNTAX);
        arena_reset(&arena);
    }
}

TEST(template, memory_may_run_out)
{
    struct template t;
    struct span bad;
    arena_init(&arena, NULL, 4096, 0);
    mem_fail_at(1);
    CHECK_INT(template_parse(SPAN("{host}"), &arena, &t, &bad), ERR_NO_MEMORY);
    mem_fail_at(0);
    arena_reset(&arena);
}
