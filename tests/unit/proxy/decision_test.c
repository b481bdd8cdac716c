/* The terms of a choice as the access log tells them: bounded, whatever there is to tell. */
#include "proxy/decision.h"

#include "check.h"

enum { SITES = LIMIT_SITES, NAME = 63 };

static struct pool_site sites[SITES];
static char names[SITES][NAME + 1];
static struct endpoint endpoints[PICK_CHOICES_MOST];
static struct pick_explain terms;

static struct endpoint *const tried[] = {&endpoints[0], &endpoints[1]};
static struct pick_pool pool;
static struct pool_view view;

static struct pick_request fill(uint32_t site_count, uint32_t candidates)
{
    terms = (struct pick_explain){.site_count = site_count, .candidate_count = candidates};
    for (uint32_t i = 0; i < site_count; i++) {
        memset(names[i], 'a' + (int)(i % 26), NAME);
        sites[i] = (struct pool_site){.name = names[i]};
        terms.sites[i] = (struct pick_site_terms){.verdict = PICK_COSTLIER,
                                                  .t_ms = 3.6e6,
                                                  .n_ms = 3.6e6,
                                                  .a = 2147483648.0,
                                                  .cost_ms = 60333.6,
                                                  .inflight = UINT32_MAX,
                                                  .usable = 10000,
                                                  .weight = 10000000};
    }
    for (uint32_t i = 0; i < candidates; i++) {
        endpoints[i].backend = span_of(names[0], NAME);
        terms.candidates[i] = (struct pick_candidate){
            .endpoint = &endpoints[i], .inflight = UINT32_MAX, .weight = 1000};
    }
    terms.sites[site_count - 1].verdict = PICK_CHOSEN;
    pool = (struct pick_pool){.sites = sites, .site_count = site_count};
    view.pool = &pool;
    return (struct pick_request){
        .view = &view, .tried = tried, .tried_count = candidates < 2 ? 0 : 2, .explain = &terms};
}

TEST(decision, the_largest_fits_and_tells_the_chosen_site)
{
    char memory[DECISION_MOST + 1];
    struct buf out;
    struct pick_request asked = fill(SITES, PICK_CHOICES_MOST);
    buf_fixed(&out, memory, DECISION_MOST);
    decision_put(&asked, &out);
    CHECK(!out.failed, "%zu bytes are too few", (size_t)DECISION_MOST);
    memory[out.n] = '\0';
    CHECK(strstr(memory, "\"verdict\":\"chosen\",\"cost_ms\":60333.60") != NULL, "%s", memory);
    CHECK(strstr(memory, "\"sites_left\":55") != NULL, "%s", memory);
    CHECK(strstr(memory, "\"tried\":[\"aaa") != NULL, "%s", memory);
}

TEST(decision, a_small_one)
{
    char memory[DECISION_MOST + 1];
    struct buf out;
    struct pick_request asked = fill(1, 0);
    names[0][2] = '"';
    buf_fixed(&out, memory, DECISION_MOST);
    decision_put(&asked, &out);
    memory[out.n] = '\0';
    CHECK(strstr(memory, "{\"algorithm\":\"nearest\",\"mode\":\"normal\",\"backup\":false") ==
              memory,
          "%s", memory);
    CHECK(strstr(memory, "aa\\\"aa") != NULL, "%s", memory);
    CHECK(strstr(memory, "\"sites_left\":0,\"candidates\":[],\"tried\":[]}") != NULL, "%s", memory);
}
