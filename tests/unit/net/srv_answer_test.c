/* SRV records in a name server's answer: RFC 2782, RELIABILITY F21, L37. */
#include "check.h"

#include "net/srv_answer.h"

/* An answer to "_http._tcp.a.b" while it is written. */
struct wire {
    uint8_t p[8192];
    size_t n;
};

static void put_bytes(struct wire *w, const void *p, size_t n)
{
    memcpy(w->p + w->n, p, n);
    w->n += n;
}

static void put_u16(struct wire *w, unsigned v)
{
    put_bytes(w, (uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

/* "a.b" as labels; "" is the root; "@12" a pointer. */
static void put_name(struct wire *w, const char *name)
{
    struct span rest = span_str(name), label;
    uint64_t to;
    if (name[0] == '@' && span_u64(span_str(name + 1), &to) == ERR_OK) {
        put_u16(w, 0xC000u | (unsigned)to);
        return;
    }
    while (rest.n > 0) {
        rest = span_cut(rest, '.', &label);
        put_bytes(w, (uint8_t[]){(uint8_t)label.n}, 1);
        put_bytes(w, label.p, label.n);
    }
    put_bytes(w, "", 1);
}

static void begin(struct wire *w)
{
    static const uint8_t head[] = {1, 2, 0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    w->n = 0;
    put_bytes(w, head, sizeof head);
    put_name(w, "_http._tcp.a.b");
    put_u16(w, 33);
    put_u16(w, 1);
}

static void put_record(struct wire *w, const char *owner, unsigned type, unsigned ttl_s,
                       const struct wire *data)
{
    put_name(w, owner);
    put_u16(w, type);
    put_u16(w, 1);
    put_u16(w, ttl_s >> 16);
    put_u16(w, ttl_s & 0xFFFF);
    put_u16(w, (unsigned)data->n);
    put_bytes(w, data->p, data->n);
    w->p[7]++;
}

static void put_alias(struct wire *w, const char *owner, const char *to)
{
    static struct wire data;
    data.n = 0;
    put_name(&data, to);
    put_record(w, owner, 5, 40, &data);
}

static void put_srv(struct wire *w, const char *owner, const char *target, unsigned priority,
                    unsigned weight, unsigned port)
{
    static struct wire data;
    data.n = 0;
    put_u16(&data, priority);
    put_u16(&data, weight);
    put_u16(&data, port);
    put_name(&data, target);
    put_record(w, owner, 33, 60, &data);
}

static enum err read_it(const struct wire *w, struct srv_answer *out)
{
    return srv_answer_read(span_of((const char *)w->p, w->n), out);
}

#define SELF "@12" /* the question's name */

TEST(srv_answer, records_ranks_and_weights)
{
    static struct wire w;
    static struct srv_answer a;
    begin(&w);
    put_srv(&w, SELF, "one.a.b", 20, 5, 8001);
    put_srv(&w, "_HTTP._tcp.A.b", "two.a.b", 10, 60, 8002);
    put_srv(&w, "_http._tcp.other", "three.a.b", 0, 1, 8003);
    put_srv(&w, SELF, "four.a.b", 10, 0, 8004);
    put_srv(&w, SELF, "", 10, 1, 8005);
    put_srv(&w, SELF, "six.a.b", 10, 1, 0);
    put_srv(&w, SELF, "se ven.a.b", 10, 1, 8007);
    CHECK_INT(read_it(&w, &a), ERR_OK);
    CHECK_INT(a.count, 3);
    CHECK_INT(a.ttl_s, 60);
    CHECK_STR(a.records[0].target, "one.a.b");
    CHECK_INT(a.records[1].port, 8002);
    CHECK(srv_rank(&a, 0) == 1 && srv_rank(&a, 1) == 0 && srv_rank(&a, 2) == 0, "ranks");
    CHECK(srv_weight(&a, 0) == 5 && srv_weight(&a, 1) == 60 && srv_weight(&a, 2) == 1, "weights");
}

TEST(srv_answer, weights_fit_into_a_thousand)
{
    static struct srv_answer a = {.count = 3};
    a.records[0].weight = 65535;
    a.records[1].weight = 6554;
    CHECK(srv_weight(&a, 0) == 1000 && srv_weight(&a, 1) == 100 && srv_weight(&a, 2) == 1, "%u",
          srv_weight(&a, 1));
    a.records[0].weight = a.records[1].weight = 0;
    CHECK_INT(srv_weight(&a, 0), 0);
    a.count = LIMIT_NAME_ADDRESSES;
    for (size_t i = 0; i < a.count; i++)
        a.records[i].priority = (uint16_t)(1000 - i);
    CHECK(srv_rank(&a, 63) == 0 && srv_rank(&a, 62) == 1 && srv_rank(&a, 0) == LIMIT_RANKS - 1,
          "the last rank takes the rest");
}

TEST(srv_answer, aliases_are_followed_and_cannot_go_round)
{
    static struct wire w;
    static struct srv_answer a;
    begin(&w);
    put_srv(&w, "x.y", "one.a.b", 1, 1, 80);
    put_alias(&w, SELF, "w.y");
    put_alias(&w, "w.y", "x.y");
    CHECK_INT(read_it(&w, &a), ERR_OK);
    CHECK(a.count == 1 && a.ttl_s == 40, "the least TTL on the way is %u", a.ttl_s);
    begin(&w);
    put_alias(&w, SELF, "w.y");
    put_alias(&w, "w.y", "_http._tcp.a.b");
    CHECK_INT(read_it(&w, &a), ERR_CORRUPT);
}

TEST(srv_answer, what_is_none)
{
    static struct wire w;
    static struct srv_answer a;
    begin(&w);
    CHECK_INT(read_it(&w, &a), ERR_NOT_FOUND);
    put_srv(&w, SELF, "", 0, 0, 0); /* RFC 2782: decidedly no such service */
    CHECK_INT(read_it(&w, &a), ERR_NOT_FOUND);
    begin(&w);
    for (unsigned i = 0; i <= LIMIT_NAME_ADDRESSES; i++)
        put_srv(&w, SELF, "one.a.b", 1, 1, 80 + i);
    CHECK_INT(read_it(&w, &a), ERR_FULL);
    begin(&w);
    put_srv(&w, SELF, "one.a.b", 1, 1, 80);
    w.p[2] = 0; /* a question */
    CHECK_INT(read_it(&w, &a), ERR_CORRUPT);
    begin(&w);
    put_name(&w, "@32"); /* the record's own name leads to itself */
    put_bytes(&w, (uint8_t[14]){0}, 14);
    w.p[7] = 1;
    CHECK_INT(read_it(&w, &a), ERR_CORRUPT);
}

TEST(srv_answer, cut_anywhere)
{
    static struct wire w;
    static struct srv_answer a;
    begin(&w);
    put_alias(&w, SELF, "x.y");
    put_srv(&w, "x.y", "one.a.b", 1, 1, 80);
    put_srv(&w, "x.y", SELF, 2, 1, 81);
    size_t whole = w.n;
    CHECK_INT(read_it(&w, &a), ERR_OK);
    CHECK_STR(a.records[1].target, "_http._tcp.a.b");
    for (w.n = 0; w.n < whole; w.n++)
        CHECK_INT(read_it(&w, &a), ERR_CORRUPT);
}
