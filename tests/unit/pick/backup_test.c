/* Backups: they serve only where nobody else can, in every algorithm (property tests compare with a
 * naive choice; these are the cases that users know). */
#include "fixture.h"

static const uint8_t ranks[] = {0, 0, 1, 1};

static void make(struct fixture *f, uint32_t max_inflight)
{
    fixture_make(f, SHAPE(1, 4, .ranks = ranks, .max_inflight = max_inflight));
}

static bool backup_serves(struct fixture *f, enum pick_mode mode)
{
    uint32_t back = 0;
    for (int i = 0; i < 40; i++) {
        struct pick_request req = fixture_request(f);
        struct pick_ticket t;
        CHECK(pick(&req, &t) == ERR_OK, "somebody serves");
        CHECK_INT(t.mode, mode);
        back += t.endpoint == fixture_endpoint(f, 0, 2) || t.endpoint == fixture_endpoint(f, 0, 3);
        pick_release(&t);
    }
    CHECK(back == 0 || back == 40, "never both: %u", back);
    return back > 0;
}

TEST(backup, serves_only_while_all_others_are_away)
{
    struct fixture f;
    make(&f, 0);
    CHECK(!backup_serves(&f, PICK_NORMAL), "all are well");
    endpoint_set_health(fixture_endpoint(&f, 0, 0), ENDPOINT_SOFT, f.now_ms);
    CHECK(!backup_serves(&f, PICK_NORMAL), "one is left");
    endpoint_eject(fixture_endpoint(&f, 0, 1), f.now_ms + 5000, true);
    CHECK(backup_serves(&f, PICK_NORMAL), "none is left, which is no panic");
    f.now_ms += 5000;
    CHECK(!backup_serves(&f, PICK_NORMAL), "one is back");
    endpoint_set_admin(fixture_endpoint(&f, 0, 1), ENDPOINT_DRAIN);
    CHECK(backup_serves(&f, PICK_NORMAL), "drained");
    fixture_free(&f);
}

TEST(backup, takes_what_the_others_have_no_room_for)
{
    struct fixture f;
    struct pick_ticket t[9];
    make(&f, 2);
    for (int i = 0; i < 8; i++) {
        struct pick_request req = fixture_request(&f);
        CHECK(pick(&req, &t[i]) == ERR_OK, "place %d", i);
        bool back = t[i].endpoint == fixture_endpoint(&f, 0, 2) ||
                    t[i].endpoint == fixture_endpoint(&f, 0, 3);
        CHECK(back == (i >= 4), "place %d", i);
    }
    struct pick_request req = fixture_request(&f);
    CHECK_INT(pick(&req, &t[8]), ERR_FULL);
    for (int i = 0; i < 8; i++)
        pick_release(&t[i]);
    CHECK_INT(fixture_sum(&f), 0);
    fixture_free(&f);
}

TEST(backup, panic_comes_only_where_backups_are_unwell_too)
{
    struct fixture f;
    make(&f, 0);
    for (uint32_t i = 0; i < 3; i++)
        endpoint_set_health(fixture_endpoint(&f, 0, i), ENDPOINT_SOFT, f.now_ms);
    CHECK(backup_serves(&f, PICK_NORMAL), "half of the backups are well");
    endpoint_set_health(fixture_endpoint(&f, 0, 3), ENDPOINT_HARD, f.now_ms);
    CHECK(!backup_serves(&f, PICK_PANIC), "those in front first");
    for (uint32_t i = 0; i < 2; i++)
        endpoint_set_health(fixture_endpoint(&f, 0, i), ENDPOINT_HARD, f.now_ms);
    CHECK(backup_serves(&f, PICK_PANIC), "a SOFT backup is better than a HARD one in front");
    fixture_free(&f);
}

/* A mask that leaves only backups is obeyed: they serve. */
TEST(backup, the_mask_comes_first)
{
    static const uint8_t far[] = {0, 1};
    struct fixture f;
    struct pick_ticket t;
    fixture_make(&f, SHAPE(2, 1, .ranks = far));
    struct pick_request req = fixture_request(&f);
    req.allowed = 2;
    CHECK(pick(&req, &t) == ERR_OK && t.site_index == 1, "the backup's site is the allowed one");
    pick_release(&t);
    req.allowed = 1;
    endpoint_set_admin(fixture_endpoint(&f, 0, 0), ENDPOINT_MAINT);
    req = fixture_request(&f);
    req.allowed = 1;
    CHECK_INT(pick(&req, &t), ERR_NO_BACKEND);
    fixture_free(&f);
}

/* Several groups: each waits for all before it, also where one of them is empty. */
TEST(backup, groups_follow_each_other)
{
    static const uint8_t groups[] = {0, 1, 3, PICK_TIERS - 1};
    struct fixture f;
    fixture_make(&f, SHAPE(1, 4, .ranks = groups));
    for (uint32_t next = 0; next < 4; next++) {
        for (int i = 0; i < 20; i++) {
            struct pick_request req = fixture_request(&f);
            struct pick_ticket t;
            CHECK_INT(pick(&req, &t), ERR_OK);
            CHECK(t.endpoint == fixture_endpoint(&f, 0, next) && t.mode == PICK_NORMAL, "%u", next);
            pick_release(&t);
        }
        endpoint_set_admin(fixture_endpoint(&f, 0, next), ENDPOINT_MAINT);
    }
    struct pick_request req = fixture_request(&f);
    struct pick_ticket t;
    CHECK_INT(pick(&req, &t), ERR_NO_BACKEND);
    fixture_free(&f);
}
