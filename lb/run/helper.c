#include "run/helper.h"

#include "base/mem.h"
#include "run/sandbox.h"

struct helper {
    /* set once */
    struct mailbox *reply_to;
    int reply_kind;
    pthread_t thread;
    /* main thread */
    bool busy;
    /* under lock */
    pthread_mutex_t lock;
    pthread_cond_t wanted;
    void (*work)(void *arg);
    void *arg;
    bool ending;
};

static void *run(void *arg)
{
    struct helper *h = arg;
    (void)pthread_setname_np(pthread_self(), "helper");
    (void)!sandbox_enter(SANDBOX_HELPER);
    pthread_mutex_lock(&h->lock);
    while (!h->ending) {
        if (h->work == NULL) {
            pthread_cond_wait(&h->wanted, &h->lock);
            continue;
        }
        void (*work)(void *) = h->work;
        void *job = h->arg;
        h->work = NULL;
        pthread_mutex_unlock(&h->lock);
        work(job);
        /* One job at a time, so the main thread's box has room for its reply unless it is stuck. */
        while (mailbox_post(h->reply_to, (struct mail){.kind = h->reply_kind, .p = job}) != ERR_OK)
            sched_yield();
        pthread_mutex_lock(&h->lock);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

enum err helper_new(struct mailbox *reply_to, int reply_kind, struct helper **out)
{
    struct helper *h = mem_alloc(sizeof *h);
    *out = NULL;
    if (h == NULL)
        return ERR_NO_MEMORY;
    h->reply_to = reply_to;
    h->reply_kind = reply_kind;
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->wanted, NULL);
    if (pthread_create(&h->thread, NULL, run, h) != 0) {
        mem_free(h);
        return ERR_SYSTEM;
    }
    *out = h;
    return ERR_OK;
}

void helper_free(struct helper **hp)
{
    struct helper *h = *hp;
    *hp = NULL;
    if (h == NULL)
        return;
    pthread_mutex_lock(&h->lock);
    h->ending = true;
    pthread_cond_signal(&h->wanted);
    pthread_mutex_unlock(&h->lock);
    pthread_join(h->thread, NULL);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->wanted);
    mem_free(h);
}

bool helper_do(struct helper *h, void (*work)(void *arg), void *arg)
{
    if (h->busy)
        return false;
    h->busy = true;
    pthread_mutex_lock(&h->lock);
    h->work = work;
    h->arg = arg;
    pthread_cond_signal(&h->wanted);
    pthread_mutex_unlock(&h->lock);
    return true;
}

void helper_done(struct helper *h)
{
    h->busy = false;
}
