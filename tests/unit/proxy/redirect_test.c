/* Where clients of pools that redirect are sent (RELIABILITY H17). */
#include "check.h"
#include "proxy/redirect.h"

static struct span told(struct arena *a, const char *path, const char *query)
{
    struct policy_target t = {.url = SPAN("https://eu.example.com/app")};
    struct request r = {.path = span_str(path),
                        .query = query != NULL ? span_str(query) : SPAN_NONE};
    struct span out = SPAN("none");
    return redirect_location(&t, &r, a, &out) == ERR_OK ? out : SPAN("refused");
}

TEST(redirect, a_location_is_the_url_and_the_path)
{
    struct arena a;
    arena_init(&a, NULL, KIB(4), 0);
    CHECK_SPAN(told(&a, "/", NULL), "https://eu.example.com/app/");
    CHECK_SPAN(told(&a, "/v1/%2f", "a=b"), "https://eu.example.com/app/v1/%2f?a=b");
    CHECK_SPAN(told(&a, "/x", ""), "https://eu.example.com/app/x?");
    CHECK_SPAN(told(&a, "//evil.example/", NULL), "https://eu.example.com/app/evil.example/");
    CHECK_SPAN(told(&a, "/\\/\\evil.example", NULL), "https://eu.example.com/app/evil.example");
    CHECK_SPAN(told(&a, "*", NULL), "refused");
    arena_reset(&a);
}

static bool arrives(const char *authority)
{
    struct pick_pool pick = {.site_count = 2};
    struct policy_target targets[] = {
        {.url = SPAN("https://eu.example.com"), .host = SPAN("eu.example.com"), .port = 443},
        {.url = SPAN("http://[::1]:8081"), .host = SPAN("[::1]"), .port = 8081}};
    struct policy_pool pool = {.pick = &pick, .targets = targets};
    struct span whole = span_str(authority);
    size_t colon = span_find(whole, ':');
    size_t end = whole.p[0] == '[' ? span_find(whole, ']') + 1 : colon;
    end -= whole.p[end - 1] == '.'; /* as host_parse has it */
    struct request r = {.authority = whole, .host = span_sub(whole, 0, end)};
    return redirect_arrived(&pool, &r);
}

TEST(redirect, nobody_is_sent_to_where_he_is)
{
    CHECK(arrives("eu.example.com") && arrives("eu.example.com:443"), "the URL itself");
    CHECK(arrives("eu.example.com.") && arrives("eu.example.com.:443"), "a dot at its end");
    CHECK(arrives("[::1]:8081"), "another port");
    CHECK(!arrives("eu.example.com.:8443"), "a dot and a port");
    CHECK(!arrives("eu.example.com:8443") && !arrives("[::1]") && !arrives("[::1]:8082"), "ports");
    CHECK(!arrives("www.example.com") && !arrives("eu.example.com.evil.example"), "hosts");
}
