/* What the main thread does about host names: it says which are to be looked up, hears what has
 * become of them, and publishes the same configuration with their new addresses. */
#include "run/balancer.h"

#include "base/mem.h"

#define GATHER_MS 20 /* names that change together become one snapshot */

void balancer_plan_names(struct balancer *b)
{
    struct name_plan *plan;
    enum err e = name_book_plan(&b->names, b->current->conf, &plan);
    if (e == ERR_OK)
        e = health_thread_names(b->health, &plan);
    if (e != ERR_OK)
        log_event(b->log, LOG_ERROR, "name-plan-lost", "reason=%s", err_name(e));
}

void balancer_named(struct balancer *b, struct name_news *news)
{
    if (name_book_take(&b->names, news) != ERR_OK)
        log_event(b->log, LOG_ERROR, "name-lost", "name=%s reason=no-memory", news->host);
    mem_free(news);
    if (b->draining == 0 && b->renew.due_ns == 0) /* from the first of them: it must come */
        timer_in_ms(&b->renew, GATHER_MS);
}

void balancer_renew(struct timer *t)
{
    struct balancer *b = container_of(t, struct balancer, renew);
    struct buf messages;
    if (b->draining != 0)
        return;
    buf_init(&messages, KIB(64));
    enum err e = balancer_publish(b, NULL, &messages);
    buf_fini(&messages);
    if (e == ERR_OK)
        return;
    log_event(b->log, LOG_ERROR, "names-not-taken",
              "reason=%s effect=\"the servers stay as they were; it is tried again\"", err_name(e));
    timer_in_ms(t, 1000);
}
