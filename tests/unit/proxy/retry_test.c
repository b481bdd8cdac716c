/* The retry decision (RELIABILITY P4, H22) over every combination of its facts, and the budget
 * (L30). */
#include "proxy/retry.h"

#include "base/limits.h"
#include "check.h"

#define ALL (RETRY_CONNECT | RETRY_RESET | RETRY_FIRST_BYTE | RETRY_502 | RETRY_503 | RETRY_504)

static const struct retry_rules all_rules = {.on = ALL, .extra = 2, .budget_percent = 20};

static struct retry_facts good_facts(void)
{
    return (struct retry_facts){.why = ERR_BACKEND_RESET,
                                .seen = SEEN_NO,
                                .method = METHOD_GET,
                                .content_in_hand = true,
                                .attempts = 1};
}

/* P4 as a sentence, for the table below to be held against. */
static bool may_repeat(const struct retry_facts *f)
{
    bool idempotent = f->method == METHOD_GET || f->method == METHOD_HEAD ||
                      f->method == METHOD_OPTIONS || f->method == METHOD_PUT ||
                      f->method == METHOD_DELETE;
    return (f->seen == SEEN_NO || idempotent) && f->content_in_hand && !f->reply_begun &&
           f->attempts <= 2 && f->elapsed_ms < 15000;
}

TEST(retry, every_combination_of_facts)
{
    static const int64_t elapsed[] = {0, 14999, 15000, 100000};
    unsigned yes = 0, no = 0;
    for (unsigned bits = 0; bits < 8; bits++)
        for (int m = METHOD_GET; m <= METHOD_OTHER; m++)
            for (unsigned attempts = 1; attempts <= 4; attempts++)
                for (size_t t = 0; t < 4; t++) {
                    struct retry_facts f = good_facts();
                    f.seen = (bits & 1) != 0 ? SEEN_MAYBE : SEEN_NO;
                    f.content_in_hand = (bits & 2) != 0;
                    f.reply_begun = (bits & 4) != 0;
                    f.method = (enum method)m;
                    f.attempts = attempts;
                    f.elapsed_ms = elapsed[t];
                    bool got = retry_allowed(&all_rules, &f);
                    CHECK(got == may_repeat(&f), "bits %u method %d attempts %u", bits, m,
                          attempts);
                    yes += got;
                    no += !got;
                }
    CHECK(yes > 0 && no > yes, "%u and %u", yes, no);
}

/* Which rule each kind of failure, of which the server saw nothing, falls under; all others never
 * go again. */
static uint32_t kind_wanted(enum err e)
{
    switch ((int)e) {
    case ERR_BACKEND_REFUSED:
    case ERR_BACKEND_UNREACHABLE:
    case ERR_BACKEND_CONNECT_TIMEOUT:
    case ERR_BACKEND_TLS:
    case ERR_BACKEND_PROTOCOL:
        return RETRY_CONNECT;
    case ERR_BACKEND_RESET:
    case ERR_BACKEND_TRUNCATED:
    case ERR_BACKEND_WANTS_H1:
    case ERR_NO_MEMORY:
        return RETRY_RESET;
    case ERR_BACKEND_TIMEOUT:
        return RETRY_FIRST_BYTE;
    default:
        return 0;
    }
}

TEST(retry, every_failure_under_every_rule)
{
    for (int e = ERR_OK + 1; e < ERR_COUNT; e++) {
        for (uint32_t on = 0; on <= ALL; on++) {
            struct retry_rules rules = {.on = on, .extra = 2};
            struct retry_facts f = good_facts();
            f.why = (enum err)e;
            CHECK(retry_allowed(&rules, &f) == ((kind_wanted((enum err)e) & on) != 0),
                  "%s under %u", err_name((enum err)e), on);
        }
    }
}

TEST(retry, statuses_only_where_named)
{
    for (unsigned status = 100; status < 600; status++) {
        for (uint32_t on = 0; on <= ALL; on++) {
            struct retry_rules rules = {.on = on, .extra = 2};
            struct retry_facts f = good_facts();
            f.why = ERR_OK;
            f.status = (uint16_t)status;
            uint32_t rule = status == 502   ? RETRY_502
                            : status == 503 ? RETRY_503
                            : status == 504 ? RETRY_504
                                            : 0;
            CHECK(retry_allowed(&rules, &f) == ((rule & on) != 0), "%u under %u", status, on);
        }
    }
}

TEST(retry, a_server_that_breaks_the_protocol_in_its_answer_is_not_asked_again)
{
    struct retry_facts f = good_facts();
    f.why = ERR_BACKEND_PROTOCOL;
    f.seen = SEEN_MAYBE;
    CHECK(!retry_allowed(&all_rules, &f), "it was asked");
}

TEST(retry, none_where_none_are_configured)
{
    struct retry_rules rules = {.on = ALL, .extra = 0};
    struct retry_facts f = good_facts();
    CHECK(!retry_allowed(&rules, &f), "extra: 0");
}

static unsigned take_all(struct retry_budget *b, int64_t now_ms, unsigned percent, uint32_t least)
{
    unsigned n = 0;
    while (n < 100000 && retry_budget_take(b, now_ms, percent, least))
        n++;
    return n;
}

TEST(retry, budget_leaves_the_least_without_traffic)
{
    struct retry_budget b = {0};
    CHECK_INT(take_all(&b, 1000000, 20, 100), 100);
    CHECK_INT(take_all(&b, 1009999, 20, 100), 0);
    CHECK_INT(take_all(&b, 1010000, 20, 100), 100); /* ten seconds later */
}

TEST(retry, budget_is_a_share_of_the_last_ten_seconds)
{
    struct retry_budget b = {0};
    for (int i = 0; i < 10000; i++)
        retry_budget_request(&b, 1000000 + i, 20); /* 1,000 a second */
    CHECK_INT(take_all(&b, 1009999, 20, 100), 2000);
    CHECK_INT(take_all(&b, 1009999, 30, 100), 1000); /* a reload raised it */
    CHECK_INT(take_all(&b, 1018000, 20, 100), 0);    /* those 3,000 count for ten seconds */
    CHECK_INT(take_all(&b, 1019000, 20, 100), 100);
}

/* Days of good traffic must not pay for a storm. */
TEST(retry, budget_cannot_be_saved_up)
{
    struct retry_budget b = {0};
    for (int64_t s = 0; s < 86400; s++)
        for (int i = 0; i < 100; i++)
            retry_budget_request(&b, s * 1000, 20);
    CHECK_INT(take_all(&b, 86399 * 1000, 20, 0), 200);
    CHECK_INT(take_all(&b, 90000 * 1000, 20, 0), 0);
}

TEST(retry, budget_of_nothing_is_nothing)
{
    struct retry_budget b = {0};
    retry_budget_request(&b, 5000, 20);
    CHECK_INT(take_all(&b, 5000, 0, 0), 0);
    CHECK_INT(take_all(&b, 5000, 20, 0), 0); /* a fifth of a retry is none */
}

/* A pool that answers 503 to all that it has no room for, and slows down by what it refuses: each
 * refusal costs it a quarter of an answer. Ticks of 10 ms; refused requests come again in the next.
 */
struct crowd {
    struct retry_budget budget;
    struct retry_rules rules;
    uint32_t again[3]; /* coming in this tick, by the attempts that they have behind them */
    uint64_t requests, attempts, failed;
};

static void refuse(struct crowd *c, uint32_t n, unsigned attempts, int64_t now_ms, uint32_t *next)
{
    struct retry_facts f = {.status = 503,
                            .seen = SEEN_MAYBE,
                            .method = METHOD_GET,
                            .content_in_hand = true,
                            .attempts = attempts};
    for (; n > 0; n--) {
        bool more = retry_allowed(&c->rules, &f) &&
                    retry_budget_take_answered(&c->budget, now_ms, c->rules.budget_percent,
                                               LIMIT_RETRY_BUDGET_MIN * RETRY_BUDGET_S);
        next[attempts < 3 ? attempts : 0] += more;
        c->failed += !more;
    }
}

static void tick(struct crowd *c, uint32_t demand, uint32_t room, int64_t now_ms)
{
    uint32_t next[3] = {0}, coming[3] = {demand, c->again[1], c->again[2]};
    uint32_t all = coming[0] + coming[1] + coming[2];
    uint32_t cost = all > room ? (all - room) / 4 : 0;
    uint32_t left = cost < room ? room - cost : 0;
    for (uint32_t i = 0; i < demand; i++)
        retry_budget_request(&c->budget, now_ms, c->rules.budget_percent);
    c->requests += demand;
    c->attempts += all;
    for (unsigned k = 0; k < 3; k++) {
        uint32_t served = coming[k] < left ? coming[k] : left;
        left -= served;
        refuse(c, coming[k] - served, k + 1, now_ms, next);
    }
    memcpy(c->again, next, sizeof next);
}

/* F14: at twice its capacity the pool gets at most a fifth more by retries on 503, and 10 s after
 * the crowd has gone nobody is refused. What was not used in the calm before is no reason for more,
 * however long the crowd stays. */
TEST(retry, a_crowd_is_not_kept_by_retries_on_503_F14)
{
    for (int seconds = 8; seconds <= 32; seconds += 3) {
        struct crowd c = {.rules = {.on = RETRY_503, .extra = 2, .budget_percent = 20}};
        int64_t now_ms = 1000300;
        for (int i = 0; i < 1000; i++, now_ms += 10)
            tick(&c, 14, 20, now_ms);
        CHECK_INT(c.attempts, c.requests);
        c.attempts = c.requests = 0;
        for (int i = 0; i < seconds * 100; i++, now_ms += 10)
            tick(&c, 40, 20, now_ms);
        CHECK(c.failed > 0, "it was too much");
        CHECK(c.attempts * 10 <= c.requests * 12, "%llu attempts for %llu requests in %d s",
              (unsigned long long)c.attempts, (unsigned long long)c.requests, seconds);
        for (int i = 0; i < 1000; i++, now_ms += 10)
            tick(&c, 16, 20, now_ms);
        uint64_t failed = c.failed, requests = c.requests, attempts = c.attempts;
        for (int i = 0; i < 1000; i++, now_ms += 10)
            tick(&c, 16, 20, now_ms);
        CHECK_INT(c.failed - failed, 0);
        CHECK_INT(c.attempts - attempts, c.requests - requests);
    }
}

static unsigned take_answered(struct retry_budget *b, int64_t now_ms, uint32_t least)
{
    unsigned n = 0;
    while (n < 100000 && retry_budget_take_answered(b, now_ms, 20, least))
        n++;
    return n;
}

/* One server of many that is taken out and answers 503 to all that it has is not too much. */
TEST(retry, answers_may_be_retried_in_a_burst)
{
    struct retry_budget b = {0};
    for (int i = 0; i < 5000; i++)
        retry_budget_request(&b, 1000000 + i, 20); /* 1,000 a second */
    unsigned n = take_answered(&b, 1004999, 0);
    CHECK(n >= 180 && n <= 200, "%u at once, of 1,000 requests a second", n);
    CHECK(take_all(&b, 1004999, 20, 0) > 500, "servers that are gone have all of the ten seconds");
}

TEST(retry, answers_have_the_least_of_each_second_and_no_more)
{
    struct retry_budget b = {0};
    for (int64_t s = 1000; s < 1100; s++)
        CHECK_INT(take_answered(&b, s * 1000, 50), 5);
    retry_budget_request(&b, 1100 * 1000, 20);
    CHECK_INT(take_answered(&b, 1100 * 1000 + 999, 50), 5);
}

/* Without a bound there are more: what the test above proves is the work of the budget. */
TEST(retry, without_a_budget_retries_are_many_F14)
{
    struct crowd c = {.rules = {.on = RETRY_503, .extra = 2, .budget_percent = 1000}};
    int64_t now_ms = 1000000;
    for (int i = 0; i < 3000; i++, now_ms += 10)
        tick(&c, 40, 20, now_ms);
    CHECK(c.attempts * 10 > c.requests * 12, "retries are many");
}
