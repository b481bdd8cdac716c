/* Who may come: networks before countries, lists of those who may close the rest out. */
#include "proxy/access.h"

#include "check.h"

static struct arena arena;

static void add(struct access *a, const char *text, enum access_verdict verdict)
{
    struct cidr c;
    CHECK_INT(cidr_parse(span_str(text), &c), ERR_OK);
    prefix_set_add(&a->networks, &c, (uint8_t)verdict);
}

static bool allows(const struct access *a, const char *text, const char *country)
{
    struct addr client;
    CHECK_INT(addr_parse_host(span_str(text), &client), ERR_OK);
    return access_allows(a, &client, country);
}

TEST(access, nothing_written_lets_everybody_in)
{
    struct access a = {0};
    CHECK(allows(&a, "10.0.0.1", ""), "an unknown place");
    CHECK(allows(&a, "::1", "DE"), "a known one");
}

TEST(access, networks_decide_before_countries)
{
    struct access a = {.closed = true};
    arena_init(&arena, NULL, 4096, 0);
    CHECK_INT(prefix_set_init(&a.networks, &arena, 2), ERR_OK);
    add(&a, "10.0.0.0/8", ACCESS_ALLOW);
    add(&a, "10.1.0.0/16", ACCESS_DENY);
    access_country_add(&a.allow, "DE");
    access_country_add(&a.deny, "FR");
    CHECK(allows(&a, "10.0.0.1", "FR"), "an allowed network in a denied country");
    CHECK(!allows(&a, "10.1.0.1", "DE"), "a denied network in an allowed country");
    CHECK(allows(&a, "11.0.0.1", "DE"), "an allowed country");
    CHECK(!allows(&a, "11.0.0.1", "FR"), "a denied country");
    CHECK(!allows(&a, "11.0.0.1", "AT"),
          "a country in no list, where there is one of those who may");
    CHECK(!allows(&a, "11.0.0.1", ""), "no country, where there is a list of those who may");
    a.closed = false;
    CHECK(allows(&a, "11.0.0.1", ""), "no country, where nobody is named who may");
    arena_reset(&arena);
}

TEST(access, a_country_is_two_capital_letters)
{
    struct access_countries set = {0};
    for (char x = 'A'; x <= 'Z'; x++) {
        for (char y = 'A'; y <= 'Z'; y++) {
            char code[3] = {x, y, '\0'};
            CHECK(!access_country_has(&set, code), "%s is there before", code);
            access_country_add(&set, code);
            CHECK(access_country_has(&set, code), "%s is not there", code);
        }
    }
    access_country_add(&set, "de");
    CHECK(!access_country_has(&set, "de") && !access_country_has(&set, "") &&
              !access_country_has(&set, "D"),
          "no country is one");
}
