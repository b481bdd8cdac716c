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
        retry_budget_request(&b, 1000000 + i); /* 1,000 a second */
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
            retry_budget_request(&b, s * 1000);
    CHECK_INT(take_all(&b, 86399 * 1000, 20, 0), 200);
    CHECK_INT(take_all(&b, 90000 * 1000, 20, 0), 0);
}

TEST(retry, budget_of_nothing_is_nothing)
{
    struct retry_budget b = {0};
    retry_budget_request(&b, 5000);
    CHECK_INT(take_all(&b, 5000, 0, 0), 0);
    CHECK_INT(take_all(&b, 5000, 20, 0), 0); /* a fifth of a retry is none */
}
