#include "check.h"
#include "health/blame.h"

static const struct span names[] = {{"db", 2}, {"cache", 5}};

static uint32_t blamed(const char *content, enum err want)
{
    uint32_t out = 77;
    enum err e = blame_read(span_str(content), names, 2, &out);
    CHECK(e == want, "%s: %s", content, err_name(e));
    return out;
}

/* C2: application/health+json says which of its checks failed. */
TEST(blame, reads_checks)
{
    CHECK_INT(blamed("{\"status\":\"fail\",\"checks\":{\"db\":[{\"status\":\"fail\"}]}}", ERR_OK),
              1);
    CHECK_INT(
        blamed("{\"checks\":{\"db:connections\":[{\"status\":\"pass\"},{\"status\":\"down\"}]}}",
               ERR_OK),
        1);
    CHECK_INT(
        blamed("{\"checks\":{\"cache\":{\"status\":\"ERROR\"},\"db\":[{\"status\":\"warn\"}]}}",
               ERR_OK),
        2);
    CHECK_INT(blamed("{\"checks\":{\"db\":[{\"status\":\"fail\"}],\"cache:x\":[{\"status\":"
                     "\"fail\"}]}}",
                     ERR_OK),
              3);
}

TEST(blame, everything_else_blames_nobody)
{
    static const char *const other[] = {"{}",
                                        "[]",
                                        "null",
                                        "{\"status\":\"fail\"}",
                                        "{\"checks\":[]}",
                                        "{\"checks\":{\"db\":[]}}",
                                        "{\"checks\":{\"dbx\":[{\"status\":\"fail\"}]}}",
                                        "{\"checks\":{\"d\":[{\"status\":\"fail\"}]}}",
                                        "{\"checks\":{\"db\":[{\"status\":1}]}}",
                                        "{\"checks\":{\"db\":\"fail\"}}",
                                        "{\"db\":[{\"status\":\"fail\"}]}",
                                        "{\"checks\":{\"disk\":[{\"status\":\"fail\"}]}}"};
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        CHECK(blamed(other[i], ERR_OK) == 0, "%s", other[i]);
}

TEST(blame, nonsense_is_refused)
{
    static const char *const bad[] = {"",
                                      "{",
                                      "{\"checks\":{\"db\":[{\"status\":\"fail\"}]}",
                                      "{\"checks\":{\"db\":[{\"status\":\"fail\"}]}} x",
                                      "{checks:{}}",
                                      "{\"checks\":{\"db\":[{\"status\":\"fail\"}],\"db\":[]}}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(blamed(bad[i], ERR_SYNTAX) == 0, "%s", bad[i]);
    static char deep[200];
    memset(deep, '[', sizeof deep - 1);
    CHECK(blamed(deep, ERR_RANGE) == 0, "too deep");
}

TEST(blame, types)
{
    CHECK(blame_is_type(SPAN("application/health+json")), "as it is");
    CHECK(blame_is_type(SPAN("Application/Health+JSON ; charset=utf-8")), "with a parameter");
    CHECK(!blame_is_type(SPAN("application/json")), "another");
    CHECK(!blame_is_type(SPAN_NONE), "none");
}
