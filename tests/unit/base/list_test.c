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
