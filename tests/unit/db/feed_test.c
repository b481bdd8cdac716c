#include "base/mem.h"
#include "check.h"
#include "db/feed.h"

struct reader {
    struct feed feed;
    struct tags tags;
};

static void begin(struct reader *r)
{
    feed_init(&r->feed);
    CHECK(tags_init(&r->tags, 65536) == ERR_OK, "memory");
}

static void end(struct reader *r)
{
    feed_fini(&r->feed);
    tags_fini(&r->tags);
}

static struct feed_answer answer(const char *at, const char *tags)
{
    return (struct feed_answer){span_str(at), SPAN("1/2/3"), SPAN("5"), span_str(tags)};
}

static enum feed_news news_of(struct reader *r, struct feed_answer a)
{
    enum feed_news news = FEED_NOTHING;
    CHECK(feed_apply(&r->feed, &a, &r->tags, &news) == ERR_OK, "taken");
    return news;
}

/* Whether that tag was among them. */
static bool tells(struct reader *r, struct feed_answer a, const char *tag)
{
    uint64_t before = tags_now(&r->tags);
    (void)news_of(r, a);
    return !tags_hold(&r->tags, before, span_str(tag));
}

TEST(feed, the_first_poll_flushes_then_it_follows)
{
    struct reader r;
    begin(&r);
    CHECK(!feed_began(&r.feed), "nothing yet");
    CHECK(news_of(&r, answer("10:12:10,11", "")) == FEED_FLUSHED, "unknown before");
    CHECK(strcmp(feed_snapshot(&r.feed), "10:12:10,11") == 0, "the snapshot");
    CHECK(!tags_hold(&r.tags, 0, SPAN("any")), "everything");
    CHECK(news_of(&r, answer("10:13:11", "")) == FEED_NOTHING, "no tags");
    CHECK(tags_now(&r.tags) == 1, "nothing to publish");
    CHECK(!tells(&r, answer("10:13:11", "users/4\nusers/*"), "meridian:pool/api"), "others' tags");
    CHECK(tells(&r, answer("10:14:11", "users\nmeridian:pool/api"), "meridian:pool/api"), "ours");
    CHECK(tells(&r, answer("10:15:", "*"), "meridian:pool/api"), "everything");
    CHECK(tells(&r, answer("10:15:", "a\nmeridian:pool/*\nb"), "meridian:pool/api"), "above it");
    CHECK(news_of(&r, answer("10:15:", "x")) == FEED_CHANGED, "a tag");
    end(&r);
}

TEST(feed, another_server_or_a_pruned_log_flushes)
{
    struct reader r;
    begin(&r);
    (void)news_of(&r, answer("10:12:", ""));
    struct feed_answer other = answer("10:13:", "");
    other.server = SPAN("1/3/3");
    CHECK(news_of(&r, other) == FEED_FLUSHED, "another timeline");
    CHECK(news_of(&r, other) == FEED_NOTHING, "known now");
    other.floor = SPAN("11");
    CHECK(news_of(&r, other) == FEED_FLUSHED, "pruned past us");
    other.floor = SPAN("10");
    CHECK(news_of(&r, other) == FEED_NOTHING, "just not");
    other.server = SPAN("");
    CHECK(news_of(&r, other) == FEED_NOTHING, "it does not say who it is, but it is still there");
    feed_disconnected(&r.feed);
    CHECK(news_of(&r, other) == FEED_FLUSHED, "nobody knows who it is");
    feed_forget(&r.feed);
    CHECK(!feed_began(&r.feed), "forgotten");
    end(&r);
}

/* A4.3: the same server goes on, unless it was set back: its numbers are used twice then. */
TEST(feed, a4_3_another_connection)
{
    struct reader r;
    begin(&r);
    (void)news_of(&r, answer("10:12:", ""));
    feed_disconnected(&r.feed);
    CHECK(news_of(&r, answer("10:12:", "")) == FEED_NOTHING, "resumed");
    feed_disconnected(&r.feed);
    CHECK(news_of(&r, answer("11:13:", "meridian:pool/api")) == FEED_CHANGED, "with what is new");
    feed_disconnected(&r.feed);
    CHECK(news_of(&r, answer("11:12:", "")) == FEED_FLUSHED, "from a backup");
    CHECK(news_of(&r, answer("11:12:", "")) == FEED_NOTHING, "known now");
    end(&r);
}

/* A4.3: so many tags in one poll are not told apart. */
TEST(feed, a4_3_very_many_tags_flush)
{
    struct reader r;
    size_t most = FEED_TAGS_MOST;
    char *text = mem_array(most + 1, 2);
    CHECK(text != NULL, "memory");
    for (size_t i = 0; i <= most; i++)
        memcpy(text + 2 * i, "a\n", 2);
    begin(&r);
    (void)news_of(&r, answer("10:12:", ""));
    struct feed_answer a = answer("10:13:", "");
    a.tags = span_of(text, 2 * most);
    CHECK(news_of(&r, a) == FEED_CHANGED, "as many as may be");
    a.tags = span_of(text, 2 * most + 2);
    CHECK(news_of(&r, a) == FEED_FLUSHED, "one more");
    CHECK(!tags_hold(&r.tags, tags_now(&r.tags) - 1, SPAN("b")), "everything");
    end(&r);
    mem_free(text);
}

TEST(feed, nonsense_changes_nothing)
{
    static const char *const bad[] = {"", "10", "x:12:", "10:y:", "10", ":"};
    struct reader r;
    enum feed_news news;
    begin(&r);
    (void)news_of(&r, answer("10:12:", ""));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct feed_answer a = answer(bad[i], "*");
        CHECK(feed_apply(&r.feed, &a, &r.tags, &news) == ERR_SYNTAX, "%s", bad[i]);
    }
    struct feed_answer a = answer("10:12:", "*");
    a.floor = SPAN("-1");
    CHECK(feed_apply(&r.feed, &a, &r.tags, &news) == ERR_SYNTAX, "floor");
    CHECK(strcmp(feed_snapshot(&r.feed), "10:12:") == 0, "where it was");
    CHECK(tags_now(&r.tags) == 1, "and nothing was published");
    end(&r);
}
