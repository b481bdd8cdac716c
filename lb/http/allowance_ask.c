#include "http/allowance.h"

/* Requests that a server of HTTP/2 shall be asked: when there is room for the answer. */

/* So much of a head fits into what its request has taken already; the rest goes into blocks. */
enum { SPARE_ROOM = 4 * 1024, BLOCK = 8 * 1024, OF_FIELD = 128, OF_COPY = 48 };

/* A large one is told by so much less each time. */
enum { FORGET = 4 };

/* Ticks: answers that have not come in one or two epochs will not all come together; nor will the
 * first ones, when none has come so soon. */
enum { EPOCH = 8, SILENCE = 4 };

void allowance_expect(struct allowance *a, struct allowance_asker *k)
{
    if (a != NULL) {
        k->unserved = true;
        a->unserved++;
    }
}

static uint32_t *due_of(struct allowance *a, uint32_t epoch)
{
    return a->epoch - epoch < 2 ? &a->due[epoch & 1] : NULL;
}

size_t allowance_expected(const struct allowance *a)
{
    return a->begun * LIMIT_H2_SHARE + (a->due[0] + a->due[1]) * a->head;
}

static bool may_ask(const struct allowance *a, const struct allowance_asker *k)
{
    size_t all = LIMIT_H2_SHARE + a->head + a->tail;
    return !k->large || allowance_left(a) >= allowance_expected(a) + all;
}

static void begin(struct allowance *a, struct allowance_asker *k)
{
    list_remove(&k->link);
    k->begun = k->unserved;
    a->begun += k->begun;
    k->due = k->large;
    k->epoch = a->epoch;
    a->due[a->epoch & 1] += k->due;
}

static struct allowance_asker *of(struct link *l)
{
    return container_of(l, struct allowance_asker, link);
}

static void wait(struct allowance *a, struct allowance_asker *k)
{
    struct link *after = a->asking.prev;
    while (after != &a->asking && of(after)->age > k->age) {
        after = after->prev;
    }
    list_push(after, &k->link);
}

bool allowance_ask(struct allowance *a, struct allowance_asker *k)
{
    if (a == NULL || k->begun || k->due || !k->unserved) {
        return true;
    }
    if ((!k->large || list_empty(&a->asking)) && may_ask(a, k)) {
        begin(a, k);
        return true;
    }
    wait(a, k);
    a->changed(a->owner);
    return false;
}

void allowance_let_ask(struct allowance *a)
{
    while (!list_empty(&a->asking) && may_ask(a, of(a->asking.next))) {
        struct allowance_asker *k = of(a->asking.next);
        begin(a, k);
        k->go_on(k);
    }
}

void allowance_ask_in_vain(struct allowance *a)
{
    while (!list_empty(&a->asking)) {
        struct allowance_asker *k = of(a->asking.prev);
        list_remove(&k->link);
        k->give_up(k);
    }
}

void allowance_ask_no_more(struct allowance *a, struct allowance_asker *k)
{
    if (a != NULL) {
        list_remove(&k->link);
    }
}

void allowance_served(struct allowance *a, struct allowance_asker *k)
{
    if (a != NULL && k->unserved) {
        a->unserved--;
        a->begun -= k->begun;
        k->unserved = k->begun = false;
        allowance_fell(a);
    }
}

void allowance_answered(struct allowance *a, struct allowance_asker *k)
{
    if (a == NULL) {
        return;
    }
    list_remove(&k->link);
    uint32_t *due = k->due ? due_of(a, k->epoch) : NULL;
    k->due = false;
    if (due != NULL) {
        --*due;
        allowance_fell(a);
    }
}

void allowance_learn(size_t *was, size_t now)
{
    *was = now >= *was ? now : *was - (*was - now) / FORGET;
}

/* In its request's memory, of which large fields may waste half, and once more where the library
 * keeps it until it leaves. */
static size_t taken_by(size_t bytes, size_t fields, size_t room)
{
    size_t kept = 2 * bytes + fields * OF_FIELD;
    size_t blocks = kept > room ? (kept - room + BLOCK - 1) / BLOCK : 0;
    size_t all = blocks * BLOCK + bytes + fields * OF_COPY;
    return all < LIMIT_H2_STEP ? all : LIMIT_H2_STEP;
}

size_t allowance_head_takes(size_t bytes, size_t fields)
{
    return taken_by(bytes, fields, SPARE_ROOM);
}

void allowance_guess_head(struct allowance *a, size_t takes)
{
    if (a != NULL && !a->learned) {
        a->head = takes;
    }
}

void allowance_learn_head(struct allowance *a, size_t takes)
{
    if (a != NULL) {
        a->learned = true;
        allowance_learn(&a->head, takes);
        allowance_fell(a);
    }
}

void allowance_learn_tail(struct allowance *a, size_t bytes, size_t fields)
{
    if (a != NULL) {
        allowance_learn(&a->tail, taken_by(bytes, fields, SPARE_ROOM / 2));
    }
}

void allowance_tick(struct allowance *a)
{
    a->ticks++;
    if (!a->learned && a->ticks >= SILENCE) {
        a->head = 0;
    }
    if (a->ticks >= EPOCH) {
        a->ticks = 0;
        a->epoch++;
        a->due[a->epoch & 1] = 0;
    }
}
