#include "run/challenges.h"

#include "run/secret.h"

static void read_one(void *arg)
{
    struct challenge *c = arg;
    struct secret file;
    c->result = secret_read(c->path, 1, &file);
    if (c->result == ERR_OK && file.n > sizeof c->content)
        c->result = ERR_RANGE;
    if (c->result != ERR_OK)
        return;
    memcpy(c->content, file.bytes, file.n);
    c->size = file.n;
}

static void begin(struct challenges *q)
{
    if (q->count != 0 && helper_do(q->helper, read_one, q->waiting[q->first])) {
        q->first = (q->first + 1) % CHALLENGES_WAITING;
        q->count--;
    }
}

bool challenges_ask(struct challenges *q, struct challenge *c, struct mailbox *box, int reply_kind)
{
    if (q->count == CHALLENGES_WAITING ||
        (q->helper == NULL && helper_new(box, reply_kind, &q->helper) != ERR_OK))
        return false;
    q->waiting[(q->first + q->count++) % CHALLENGES_WAITING] = c;
    begin(q);
    return true;
}

void challenges_next(struct challenges *q)
{
    helper_done(q->helper);
    begin(q);
}

void challenges_fini(struct challenges *q)
{
    helper_free(&q->helper);
}
