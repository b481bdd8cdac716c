#include "run/mailbox.h"

bool mailbox_take(struct mailbox *m, struct mail *out)
{
    pthread_mutex_lock(&m->lock);
    bool some = m->count != 0;
    if (some) {
        *out = m->ring[m->head];
        m->head = (m->head + 1) % MAILBOX_SIZE;
        m->count--;
    }
    pthread_mutex_unlock(&m->lock);
    return some;
}

/* Wake-ups coalesce: everything that is there is handed over, but not what comes meanwhile for
 * ever. */
static void on_wake(struct wake *w)
{
    struct mailbox *m = container_of(w, struct mailbox, wake);
    struct mail mail;
    for (unsigned i = 0; i < 2 * MAILBOX_SIZE && mailbox_take(m, &mail); i++)
        m->on_mail(m->user, &mail);
}

enum err mailbox_init(struct mailbox *m, struct loop *loop,
                      void (*on_mail)(void *user, const struct mail *m), void *user)
{
    *m = (struct mailbox){.on_mail = on_mail, .user = user};
    pthread_mutex_init(&m->lock, NULL);
    m->wake.on_wake = on_wake;
    m->wake.loop = loop;
    return loop->ops->wake_start(&m->wake);
}

void mailbox_fini(struct mailbox *m)
{
    if (m->wake.loop == NULL)
        return;
    m->wake.loop->ops->wake_stop(&m->wake);
    pthread_mutex_destroy(&m->lock);
    m->wake.loop = NULL;
}

static enum err post(struct mailbox *m, struct mail mail, unsigned most)
{
    pthread_mutex_lock(&m->lock);
    bool fits = m->count < most;
    if (fits) {
        m->ring[(m->head + m->count) % MAILBOX_SIZE] = mail;
        m->count++;
    }
    pthread_mutex_unlock(&m->lock);
    if (!fits)
        return ERR_FULL;
    m->wake.loop->ops->wake_send(&m->wake);
    return ERR_OK;
}

enum err mailbox_post(struct mailbox *m, struct mail mail)
{
    return post(m, mail, MAILBOX_SIZE - MAILBOX_URGENT);
}

enum err mailbox_post_urgent(struct mailbox *m, struct mail mail)
{
    return post(m, mail, MAILBOX_SIZE);
}

enum err mailbox_post_hint(struct mailbox *m, struct mail mail)
{
    return post(m, mail, MAILBOX_SIZE / 2);
}
