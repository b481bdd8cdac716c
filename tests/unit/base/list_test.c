#include "base/list.h"
#include "check.h"

struct item {
    int value;
    struct link link;
};

static int spell(struct link *l)
{
    int word = 0;
    list_each (e, l)
        word = word * 10 + container_of(e, struct item, link)->value;
    return word;
}

TEST(list, order_and_removal)
{
    struct link l;
    struct item one = {.value = 1}, two = {.value = 2}, three = {.value = 3};
    list_init(&l);
    CHECK(list_empty(&l), "new");
    list_append(&l, &two.link);
    list_append(&l, &three.link);
    list_push(&l, &one.link);
    CHECK_INT(spell(&l), 123);
    list_remove(&two.link);
    list_remove(&two.link);
    CHECK_INT(spell(&l), 13);
    list_each (e, &l)
        list_remove(e);
    CHECK(list_empty(&l), "emptied while walking");
}

TEST(list, moves_as_a_whole)
{
    struct link from, to;
    struct item items[] = {{.value = 1}, {.value = 2}, {.value = 3}};
    list_init(&from);
    list_init(&to);
    list_move(&from, &to);
    CHECK(list_empty(&to), "nothing was there");
    list_append(&to, &items[0].link);
    list_append(&from, &items[1].link);
    list_append(&from, &items[2].link);
    list_move(&from, &to);
    CHECK(list_empty(&from), "moved");
    CHECK_INT(spell(&to), 123);
    list_remove(&items[1].link);
    list_append(&from, &items[1].link);
    list_move(&to, &from);
    CHECK_INT(spell(&from), 213);
}
