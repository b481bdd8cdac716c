#include "check.h"
#include "db/feed.h"

static struct feed_answer answer(const char *at, const char *tags)
{
    return (struct feed_answer){span_str(at), SPAN("1/2/3"), SPAN("5"), span_str(tags)};
}

static enum feed_news news_of(struct feed *f, struct feed_answer a)
{
    enum feed_news news = FEED_NOTHING;
    CHECK(feed_apply(f, &a, SPAN("meridian:pool/"), &news) == ERR_OK, "taken");
    return news;
}

TEST(feed, the_first_poll_flushes_then_it_follows)
{
    struct feed f;
    feed_init(&f);
    CHECK(!feed_began(&f), "nothing yet");
    CHECK(news_of(&f, answer("10:12:10,11", "")) == FEED_FLUSHED, "unknown before");
    CHECK(strcmp(feed_snapshot(&f), "10:12:10,11") == 0, "the snapshot");
    CHECK(news_of(&f, answer("10:13:11", "")) == FEED_NOTHING, "no tags");
    CHECK(news_of(&f, answer("10:13:11", "users/4\nusers/*")) == FEED_NOTHING, "others' tags");
    CHECK(news_of(&f, answer("10:14:11", "users\nmeridian:pool/api")) == FEED_CHANGED, "ours");
    CHECK(news_of(&f, answer("10:15:", "*")) == FEED_CHANGED, "everything");
    CHECK(news_of(&f, answer("10:15:", "meridian:*")) == FEED_CHANGED, "a wildcard above");
    feed_fini(&f);
}

TEST(feed, another_server_or_a_pruned_log_flushes)
{
    struct feed f;
    feed_init(&f);
    (void)news_of(&f, answer("10:12:", ""));
    struct feed_answer other = answer("10:13:", "");
    other.server = SPAN("1/3/3");
    CHECK(news_of(&f, other) == FEED_FLUSHED, "another timeline");
    CHECK(news_of(&f, other) == FEED_NOTHING, "known now");
    other.floor = SPAN("11");
    CHECK(news_of(&f, other) == FEED_FLUSHED, "pruned past us");
    other.floor = SPAN("10");
    CHECK(news_of(&f, other) == FEED_NOTHING, "just not");
    other.server = SPAN("");
    CHECK(news_of(&f, other) == FEED_NOTHING, "it does not say who it is, but it is still there");
    feed_disconnected(&f);
    CHECK(news_of(&f, other) == FEED_FLUSHED, "nobody knows who it is");
    feed_forget(&f);
    CHECK(!feed_began(&f), "forgotten");
    feed_fini(&f);
}

/* A4.3: the same server goes on, unless it was set back: its numbers are used twice then. */
TEST(feed, another_connection)
{
    struct feed f;
    feed_init(&f);
    (void)news_of(&f, answer("10:12:", ""));
    feed_disconnected(&f);
    CHECK(news_of(&f, answer("10:12:", "")) == FEED_NOTHING, "resumed");
    feed_disconnected(&f);
    CHECK(news_of(&f, answer("11:13:", "meridian:pool/api")) == FEED_CHANGED, "with what is new");
    feed_disconnected(&f);
    CHECK(news_of(&f, answer("11:12:", "")) == FEED_FLUSHED, "from a backup");
    CHECK(news_of(&f, answer("11:12:", "")) == FEED_NOTHING, "known now");
    feed_fini(&f);
}

TEST(feed, nonsense_changes_nothing)
{
    static const char *const bad[] = {"", "10", "x:12:", "10:y:", "10", ":"};
    struct feed f;
    enum feed_news news;
    feed_init(&f);
    (void)news_of(&f, answer("10:12:", ""));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct feed_answer a = answer(bad[i], "*");
        CHECK(feed_apply(&f, &a, SPAN("meridian:pool/"), &news) == ERR_SYNTAX, "%s", bad[i]);
    }
    struct feed_answer a = answer("10:12:", "");
    a.floor = SPAN("-1");
    CHECK(feed_apply(&f, &a, SPAN("meridian:pool/"), &news) == ERR_SYNTAX, "floor");
    CHECK(strcmp(feed_snapshot(&f), "10:12:") == 0, "where it was");
    feed_fini(&f);
}
