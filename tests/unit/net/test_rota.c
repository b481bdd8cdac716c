/* Groups take turns (rota.h). */
#include "check.h"
#include "net/rota.h"

enum { MOST = 200 };

static struct {
    struct rota rota;
    struct link one[MOST];
    unsigned group[MOST];
    int went[MOST], count; /* who has gone on, in order */
    int most;              /* of them, in one round */
    void (*also)(int i);
} hall;

static int number(const struct link *e)
{
    return (int)(e - hall.one);
}

static bool go(struct link *e)
{
    hall.went[hall.count++] = number(e);
    if (hall.also != NULL)
        hall.also(number(e));
    return hall.count < hall.most;
}

static void open_hall(void)
{
    memset(&hall, 0, sizeof hall);
    rota_init(&hall.rota);
    hall.most = MOST;
    for (int i = 0; i < MOST; i++)
        list_init(&hall.one[i]);
}

static void wait_in(int i, unsigned group)
{
    hall.group[i] = group;
    rota_add(&hall.rota, group, &hall.one[i]);
}

static void went(const int *want, int count)
{
    CHECK_INT(hall.count, count);
    for (int i = 0; i < count; i++)
        CHECK(hall.went[i] == want[i], "%d. is %d, want %d", i, hall.went[i], want[i]);
}

TEST(rota, nobody)
{
    open_hall();
    CHECK(!rota_waits(&hall.rota), "nobody");
    rota_round(&hall.rota, go);
    CHECK_INT(hall.count, 0);
}

TEST(rota, groups_take_turns)
{
    open_hall();
    for (int i = 0; i < 4; i++)
        wait_in(i, 5);
    wait_in(4, 63);
    wait_in(5, 0);
    wait_in(6, 63 + ROTA_GROUPS);
    CHECK(rota_waits(&hall.rota), "some");
    rota_round(&hall.rota, go);
    went((const int[]){5, 0, 4, 1, 6, 2, 3}, 7);
    CHECK(!rota_waits(&hall.rota), "nobody");
}

/* A round that ends early: the next one begins with the group whose turn it is. */
TEST(rota, goes_on_where_it_ended)
{
    open_hall();
    hall.most = 3;
    for (int i = 0; i < 100; i++)
        wait_in(i, 7);
    wait_in(100, 9);
    rota_round(&hall.rota, go);
    went((const int[]){0, 100, 1}, 3);
    wait_in(101, 8);
    hall.count = 0;
    rota_round(&hall.rota, go);
    went((const int[]){101, 2, 3}, 3);
    CHECK(rota_waits(&hall.rota), "96 are left");
}

static void wait_again(int i)
{
    wait_in(i, hall.group[i]);
}

/* Who waits again goes in the next round, behind those who have not gone yet. */
TEST(rota, each_goes_once_in_a_round)
{
    open_hall();
    hall.also = wait_again;
    for (int i = 0; i < 3; i++)
        wait_in(i, 1);
    rota_round(&hall.rota, go);
    went((const int[]){0, 1, 2}, 3);
    hall.count = 0;
    hall.most = 2;
    rota_round(&hall.rota, go);
    hall.most = 5;
    rota_round(&hall.rota, go);
    went((const int[]){0, 1, 2, 0, 1}, 5);
}

static void leave(int i)
{
    for (int other = 0; other < MOST; other++)
        if (other != i)
            list_remove(&hall.one[other]);
}

TEST(rota, of_those_that_have_left_none_goes)
{
    open_hall();
    for (int i = 0; i < 10; i++)
        wait_in(i, (unsigned)i % 3);
    hall.also = leave;
    rota_round(&hall.rota, go);
    went((const int[]){0}, 1);
    CHECK(!rota_waits(&hall.rota), "nobody");
    wait_in(3, 2);
    list_remove(&hall.one[3]);
    rota_round(&hall.rota, go);
    CHECK_INT(hall.count, 1);
}
