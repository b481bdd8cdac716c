/* Rewrites, keys of requests and splits. */
#include "base/limits.h"
#include "check.h"
#include "proxy/request_key.h"
#include "proxy/rewrite.h"
#include "proxy/split.h"

static struct arena arena;

TEST(rewrite, paths)
{
    static const char *const rows[][4] = {
        /* strip, add, path, result */
        {"", "", "/x", "/x"},
        {"/v1", "", "/v1/x", "/x"},
        {"/v1", "", "/v1", "/"},
        {"/v1", "", "/v1/", "/"},
        {"/v1", "", "/v12/x", "/v12/x"},
        {"/v1", "", "/v1x", "/v1x"},
        {"/v1", "", "/x/v1", "/x/v1"},
        {"/v1", "", "/v1%2fx", "/v1%2fx"},
        {"/v1", "", "/v1//x", "/x"},
        {"/v1", "", "/v1/\\x", "/x"},
        {"/v1", "", "/v1/a//b", "/a//b"},
        {"/v1", "/api", "/v1/x", "/api/x"},
        {"/v1", "/api", "/v1", "/api"},
        {"/v1", "/api", "/v1/", "/api/"},
        {"/v1", "/api", "/v1//x", "/api/x"},
        {"/v1", "/api", "/other", "/api/other"},
        {"", "/api", "/", "/api/"},
        {"", "/api", "/x", "/api/x"},
        {"/v1", "/api", "*", "*"},
    };
    arena_init(&arena, NULL, 4096, 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rewrite w = {span_str(rows[i][0]), span_str(rows[i][1])};
        struct span out;
        CHECK_INT(rewrite_path(&w, span_str(rows[i][2]), &arena, &out), ERR_OK);
        CHECK_SPAN(out, rows[i][3]);
    }
    arena_reset(&arena);
}

static struct addr address(const char *text)
{
    struct addr a;
    CHECK_INT(addr_parse_host(span_str(text), &a), ERR_OK);
    return a;
}

static uint64_t client_key(const char *text)
{
    struct key_rule rule = {.kind = KEY_CLIENT};
    struct request r = {0};
    struct addr a = address(text);
    return request_key(&rule, &r, &a, NULL);
}

TEST(request_key, clients)
{
    CHECK(client_key("192.0.2.1") == client_key("192.0.2.1"), "the same");
    CHECK(client_key("192.0.2.1") != client_key("192.0.2.2"), "another");
    CHECK(client_key("2001:db8:0:1::1") == client_key("2001:db8:0:1:ffff::2"), "one IPv6 network");
    CHECK(client_key("2001:db8:0:1::1") != client_key("2001:db8:0:2::1"), "another IPv6 network");
}

static uint64_t key_with(enum key_kind kind, const char *name, const char *field, const char *value,
                         const char *client)
{
    struct key_rule rule = {.kind = kind, .name = span_str(name)};
    struct request r = {0};
    struct addr a = address(client);
    arena_init(&arena, NULL, 4096, 0);
    if (field != NULL)
        CHECK_INT(fields_add(&r.fields, &arena, field_id_of(span_str(field)), span_str(field),
                             span_str(value)),
                  ERR_OK);
    uint64_t key = request_key(&rule, &r, &a, NULL);
    arena_reset(&arena);
    return key;
}

TEST(request_key, headers_and_cookies)
{
    uint64_t a = key_with(KEY_HEADER, "x-key", "x-key", "a", "192.0.2.1");
    CHECK(a == key_with(KEY_HEADER, "x-key", "x-key", "a", "192.0.2.9"), "the client matters");
    CHECK(a != key_with(KEY_HEADER, "x-key", "x-key", "b", "192.0.2.1"), "the value does not");
    CHECK(key_with(KEY_HEADER, "x-key", NULL, NULL, "192.0.2.1") == client_key("192.0.2.1"),
          "without the header it is not the client");
    CHECK(key_with(KEY_HEADER, "x-key", "x-key", "", "192.0.2.1") == client_key("192.0.2.1"),
          "an empty header is somebody");
    static const char *const same[] = {"id=a", "x=1; id=a", "id=a; y=2", "x=1;id=a;y", " id=a "};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        CHECK(key_with(KEY_COOKIE, "id", "cookie", same[i], "192.0.2.1") == a, "%s", same[i]);
    static const char *const none[] = {"xid=a", "ID=a", "id", "id=", "x=id=a", ""};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        CHECK(key_with(KEY_COOKIE, "id", "cookie", none[i], "192.0.2.1") == client_key("192.0.2.1"),
              "%s", none[i]);
    /* A field of the bytes of an address is not that address. */
    CHECK(key_with(KEY_HEADER, "x-key", "x-key", "\xc0\x01\x02\x03", "10.0.0.1") !=
              client_key("192.1.2.3"),
          "a field can stand for a client");
}

/* The key of a limit, of a request with these two fields. */
static uint64_t limit_key(enum key_kind kind, const char *name, const char *first,
                          const char *second)
{
    static const struct hash_key secret;
    const char *field = kind == KEY_COOKIE ? "cookie" : name;
    const char *values[] = {first, second};
    struct key_rule rule = {.kind = kind, .name = span_str(name)};
    struct request r = {0};
    struct addr a = address("192.0.2.1");
    arena_init(&arena, NULL, 4096, 0);
    for (size_t i = 0; i < 2 && values[i] != NULL; i++)
        CHECK_INT(fields_add(&r.fields, &arena, field_id_of(span_str(field)), span_str(field),
                             span_str(values[i])),
                  ERR_OK);
    CHECK_INT(fields_add(&r.fields, &arena, field_id_of(SPAN("x-other")), SPAN("x-other"),
                         SPAN("id=other")),
              ERR_OK);
    uint64_t key = request_key(&rule, &r, &a, &secret);
    arena_reset(&arena);
    return key;
}

/* What is there twice is nobody's: which one the server takes is not known. */
TEST(request_key, limits_take_no_choice_of_two)
{
    uint64_t client = limit_key(KEY_COOKIE, "id", NULL, NULL);
    static const char *const twice[][2] = {
        {"id=r; id=a", NULL},  {"id=r", "id=a"},     {"id=r; x=1; id=a", NULL}, {"id=; id=a", NULL},
        {"id=r; id =a", NULL}, {"id=a; id=a", NULL}, {"id=r; id", NULL}};
    for (size_t i = 0; i < sizeof twice / sizeof *twice; i++)
        CHECK(limit_key(KEY_COOKIE, "id", twice[i][0], twice[i][1]) == client, "row %zu", i);
    CHECK(limit_key(KEY_COOKIE, "id", "id=a", NULL) != client, "one is none");
    CHECK(limit_key(KEY_COOKIE, "id", "id=a", NULL) == limit_key(KEY_COOKIE, "id", "id= a", NULL),
          "a blank makes another one of it");
    CHECK(limit_key(KEY_COOKIE, "id", "id=a", "xid=b; ID=c; x") ==
              limit_key(KEY_COOKIE, "id", "id=a", NULL),
          "others count");
    CHECK(limit_key(KEY_HEADER, "x-key", "r", "a") == client, "the first field");
    CHECK(limit_key(KEY_HEADER, "x-key", "", "a") == client, "the second field");
    CHECK(limit_key(KEY_HEADER, "x-key", "a", NULL) != client, "one field is none");
    CHECK(key_with(KEY_COOKIE, "id", "cookie", "id=a; id=b", "192.0.2.1") ==
              key_with(KEY_COOKIE, "id", "cookie", "id=a", "192.0.2.1"),
          "what shares out takes the first");
}

TEST(request_key, paths_and_queries)
{
    static const struct {
        const char *name, *query, *want; /* want NULL: the client's key */
    } rows[] = {{"", "a=1&b=2", "a=1&b=2"},
                {"a", "a=1&b=2", "1"},
                {"b", "a=1&b=2", "2"},
                {"b", "b=2", "2"},
                {"a", "xa=1&a=3", "3"},
                {"a", "a=1&a=2", "1"},
                {"c", "a=1&b=2", NULL},
                {"a", "a=&b=2", NULL},
                {"a", "", NULL},
                {"", "", NULL}};
    struct addr a = address("192.0.2.1");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct key_rule rule = {.kind = KEY_QUERY, .name = span_str(rows[i].name)};
        struct request r = {.path = SPAN("/x"), .query = span_str(rows[i].query)};
        uint64_t want =
            rows[i].want != NULL ? hash_plain(span_str(rows[i].want)) : client_key("192.0.2.1");
        CHECK(request_key(&rule, &r, &a, NULL) == want, "row %zu", i);
        rule.kind = KEY_PATH;
        CHECK(request_key(&rule, &r, &a, NULL) == hash_plain(SPAN("/x")), "the path alone");
    }
}

TEST(split, shares_are_those_of_the_weights)
{
    static const uint32_t ends[] = {70, 70, 95, 100};
    static const uint32_t want[] = {70000, 0, 25000, 5000};
    uint32_t counts[4] = {0};
    struct rng rng;
    rng_seed(&rng, 3);
    for (int i = 0; i < 100000; i++)
        counts[split_choose(ends, 4, rng_u64(&rng))]++;
    for (size_t i = 0; i < 4; i++)
        CHECK(counts[i] + 600 >= want[i] && counts[i] <= want[i] + 600 &&
                  (counts[i] == 0) == (want[i] == 0),
              "part %zu: %u", i, counts[i]);
}

TEST(split, ends_of_the_range)
{
    static const uint32_t one[] = {5}, first_empty[] = {0, 1}, last_empty[] = {64000000, 64000000};
    CHECK_INT(split_choose(one, 1, 0), 0);
    CHECK_INT(split_choose(one, 1, UINT64_MAX), 0);
    CHECK_INT(split_choose(first_empty, 2, 0), 1);
    CHECK_INT(split_choose(last_empty, 2, UINT64_MAX), 0);
}

TEST(split, nobody_leaves_the_part_that_grows)
{
    static const uint32_t before[] = {95, 100}, after[] = {80, 100};
    struct rng rng;
    rng_seed(&rng, 4);
    for (int i = 0; i < 10000; i++) {
        uint64_t key = rng_u64(&rng);
        CHECK(split_choose(before, 2, key) <= split_choose(after, 2, key), "left the last part");
    }
}
