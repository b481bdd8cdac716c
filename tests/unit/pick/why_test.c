/* Why endpoints get no requests, in general and one. */
#include "fixture.h"
#include "pick/why.h"

static enum pick_why idle(const struct fixture *f, uint32_t member)
{
    return pick_why_idle(f->view, member, f->now_ms);
}

TEST(why, each_state_has_its_reason)
{
    struct fixture f;
    fixture_make(&f, SHAPE(1, 7, .max_inflight = 2));
    endpoint_set_admin(fixture_endpoint(&f, 0, 1), ENDPOINT_DRAIN);
    endpoint_set_admin(fixture_endpoint(&f, 0, 2), ENDPOINT_MAINT);
    endpoint_set_health(fixture_endpoint(&f, 0, 3), ENDPOINT_SOFT, f.now_ms);
    endpoint_set_health(fixture_endpoint(&f, 0, 4), ENDPOINT_HARD, f.now_ms);
    endpoint_eject(fixture_endpoint(&f, 0, 5), f.now_ms + 5000, true);
    fixture_inflight(&f, 0, 6, 2);
    pool_view_refresh(f.view, f.now_ms);
    static const enum pick_why want[] = {PICK_WHY_NOTHING, PICK_WHY_DRAIN, PICK_WHY_MAINTENANCE,
                                         PICK_WHY_SOFT,    PICK_WHY_HARD,  PICK_WHY_OUT,
                                         PICK_WHY_FULL};
    struct pick_explain terms;
    struct pick_request req = fixture_request(&f);
    req.explain = &terms;
    CHECK_INT(pick_explain(&req), ERR_OK);
    for (uint32_t i = 0; i < 7; i++) {
        CHECK(idle(&f, i) == want[i], "%u: %s", i, pick_why_name(idle(&f, i)));
        CHECK(pick_why_not(&req, &terms, i) == want[i], "%u: %s", i,
              pick_why_name(pick_why_not(&req, &terms, i)));
    }
    fixture_inflight(&f, 0, 6, 0);
    fixture_free(&f);
}

TEST(why, panic_uses_whom_checks_fail)
{
    struct fixture f;
    fixture_make(&f, SHAPE(1, 3));
    endpoint_set_health(fixture_endpoint(&f, 0, 0), ENDPOINT_SOFT, f.now_ms);
    pool_view_refresh(f.view, f.now_ms);
    CHECK(!pick_used_anyway(f.view, idle(&f, 0)), "two of three are well");
    endpoint_set_health(fixture_endpoint(&f, 0, 1), ENDPOINT_HARD, f.now_ms);
    pool_view_refresh(f.view, f.now_ms);
    CHECK(pick_used_anyway(f.view, idle(&f, 0)), "one of three is well");
    CHECK(!pick_used_anyway(f.view, idle(&f, 1)), "nothing can be sent there");
    CHECK(!pick_used_anyway(f.view, idle(&f, 2)), "well");
    for (uint32_t i = 0; i < 3; i++)
        endpoint_set_health(fixture_endpoint(&f, 0, i), ENDPOINT_HARD, f.now_ms);
    pool_view_refresh(f.view, f.now_ms);
    CHECK(pick_used_anyway(f.view, idle(&f, 0)), "the last resort");
    fixture_free(&f);
}

TEST(why, sites_draws_and_attempts)
{
    struct fixture f;
    struct pick_explain terms;
    const float distances[] = {5, 50, 1};
    fixture_make(&f, SHAPE(3, 8));
    struct endpoint *tried[] = {fixture_endpoint(&f, 0, 0)};
    struct pick_request req = fixture_request(&f);
    req.distance_ms = distances;
    req.allowed = 3;
    req.tried = tried;
    req.tried_count = 1;
    req.explain = &terms;
    CHECK_INT(pick_explain(&req), ERR_OK);
    unsigned drawn = 0, others = 0;
    CHECK(pick_why_not(&req, &terms, 0) == PICK_WHY_TRIED, "tried");
    for (uint32_t i = 1; i < 8; i++) {
        enum pick_why why = pick_why_not(&req, &terms, i);
        drawn += why == PICK_WHY_NOTHING;
        others += why == PICK_WHY_NOT_DRAWN;
    }
    CHECK(drawn == terms.candidate_count && drawn + others == 7, "%u drawn, %u not", drawn, others);
    for (uint32_t i = 8; i < 16; i++) {
        CHECK(pick_why_not(&req, &terms, i) == PICK_WHY_OTHER_SITE, "%u", i);
        CHECK(pick_why_not(&req, &terms, i + 8) == PICK_WHY_FORBIDDEN, "%u", i + 8);
    }
    fixture_free(&f);
}

TEST(why, backups_and_slow_start)
{
    static const uint8_t ranks[] = {0, 0, 1};
    struct fixture f;
    struct pick_explain terms;
    fixture_make(&f, SHAPE(1, 3, .ranks = ranks));
    CHECK(idle(&f, 2) == PICK_WHY_BACKUP, "%s", pick_why_name(idle(&f, 2)));
    endpoint_set_health(fixture_endpoint(&f, 0, 1), ENDPOINT_SOFT, f.now_ms);
    endpoint_set_health(fixture_endpoint(&f, 0, 1), ENDPOINT_UP, f.now_ms);
    pool_view_refresh(f.view, f.now_ms);
    CHECK(idle(&f, 1) == PICK_WHY_SLOW_START, "%s", pick_why_name(idle(&f, 1)));
    CHECK_INT(pick_weight_now(f.view, 1), 10);
    for (uint32_t i = 0; i < 2; i++)
        endpoint_set_admin(fixture_endpoint(&f, 0, i), ENDPOINT_MAINT);
    pool_view_refresh(f.view, f.now_ms);
    CHECK(idle(&f, 2) == PICK_WHY_NOTHING, "it serves now");
    struct pick_request req = fixture_request(&f);
    req.explain = &terms;
    CHECK_INT(pick_explain(&req), ERR_OK);
    CHECK(terms.tier == 1 && pick_why_not(&req, &terms, 2) == PICK_WHY_NOTHING, "it is chosen");
    fixture_free(&f);
}
