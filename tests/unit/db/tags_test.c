#include "base/clock.h"
#include "check.h"
#include "db/tags.h"

#define SLOTS 65536 /* so many that these few tags hardly ever share one */

static void publish(struct tags *t, const char *tag)
{
    tags_mark(t, span_str(tag));
    tags_publish(t);
}

TEST(tags, a4_2_a_tag_and_all_that_is_under_a_wildcard)
{
    struct tags t;
    CHECK(tags_init(&t, SLOTS) == ERR_OK, "memory");
    uint64_t before = tags_now(&t);
    CHECK(tags_hold(&t, before, SPAN("a/b/c")), "nothing has happened");
    publish(&t, "a/b/d");
    publish(&t, "a/x/*");
    publish(&t, "a/b");
    CHECK(tags_hold(&t, before, SPAN("a/b/c")), "others' tags");
    publish(&t, "a/b/c");
    CHECK(!tags_hold(&t, before, SPAN("a/b/c")), "its own");
    uint64_t after = tags_now(&t);
    CHECK(tags_hold(&t, after, SPAN("a/b/c")), "what was made after it");
    static const char *const wild[] = {"a/*", "a/b/*", "*"};
    for (size_t i = 0; i < 3; i++) {
        after = tags_now(&t);
        publish(&t, wild[i]);
        CHECK(!tags_hold(&t, after, SPAN("a/b/c")), "%s", wild[i]);
        CHECK(tags_hold(&t, after, SPAN("b")) == (i != 2), "%s and another", wild[i]);
        CHECK(tags_hold(&t, tags_now(&t), SPAN("a/b/c")), "%s is over", wild[i]);
    }
    tags_fini(&t);
}

/* A4.4: what is begun between a mark and its publication may be made of either state. */
TEST(tags, a4_4_in_between_counts_as_before)
{
    struct tags t;
    CHECK(tags_init(&t, SLOTS) == ERR_OK, "memory");
    tags_mark(&t, SPAN("a"));
    uint64_t between = tags_now(&t);
    tags_publish(&t);
    CHECK(!tags_hold(&t, between, SPAN("a")), "a mark");
    tags_flush(&t);
    between = tags_now(&t);
    tags_publish(&t);
    CHECK(!tags_hold(&t, between, SPAN("b")), "a flush");
    tags_fini(&t);
}

TEST(tags, a_collision_only_invalidates_more)
{
    struct tags t;
    CHECK(tags_init(&t, 1) == ERR_OK, "memory");
    publish(&t, "a");
    CHECK(!tags_hold(&t, 0, SPAN("b")), "the only slot");
    CHECK(tags_hold(&t, tags_now(&t), SPAN("b")), "and nothing else");
    tags_fini(&t);
}

TEST(tags, too_long_is_never_believed)
{
    struct tags t;
    char text[TAG_MOST + 1];
    memset(text, '/', sizeof text);
    CHECK(tags_init(&t, SLOTS) == ERR_OK, "memory");
    CHECK(tags_hold(&t, 0, span_of(text, TAG_MOST)), "the longest");
    CHECK(!tags_hold(&t, 0, span_of(text, TAG_MOST + 1)), "longer");
    tags_mark(&t, span_of(text, TAG_MOST + 1));
    tags_publish(&t);
    CHECK(!tags_hold(&t, 0, SPAN("a")), "and flushes");
    tags_fini(&t);
}

TEST(tags, the_lease_is_as_old_as_the_question)
{
    struct tags t;
    CHECK(tags_init(&t, 1) == ERR_OK, "memory");
    CHECK(tags_lease_age_ms(&t) == -1, "none");
    tags_renew(&t, clock_boot_ns() - 5000 * NS_PER_MS);
    CHECK(tags_lease_age_ms(&t) >= 5000, "%lld", (long long)tags_lease_age_ms(&t));
    tags_fini(&t);
}
