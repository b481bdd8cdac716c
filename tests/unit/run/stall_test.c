#include "check.h"
#include "run/stall.h"

#include <unistd.h>

/* C8, G14: a turn that does not end shows where it is; a loop that waits never does. */

struct thread {
    struct stall stall;
    struct loop *loop;
    struct timer timer;
    _Atomic bool stuck, go_on;
};

static void on_time(struct timer *t)
{
    struct thread *h = container_of(t, struct thread, timer);
    atomic_store(&h->stuck, true);
    while (!atomic_load(&h->go_on))
        usleep(1000);
    loop_stop(h->loop);
}

static void *play(void *user)
{
    struct thread *h = user;
    stall_begin(&h->stall, h->loop);
    timer_init(&h->timer, h->loop, on_time);
    timer_in_ms(&h->timer, 300);
    loop_run(h->loop);
    return NULL;
}

TEST(stall, a_turn_that_lasts_shows_its_stack)
{
    struct thread h = {0};
    struct buf out;
    pthread_t thread;
    char memory[4096];
    buf_fixed(&out, memory, sizeof memory);
    CHECK_INT(stall_prepare(), ERR_OK);
    CHECK_INT(loop_ev_new(&h.loop), ERR_OK);
    CHECK(!stall_look(&h.stall, &out), "not there yet");
    pthread_create(&thread, NULL, play, &h);
    while (!atomic_load(&h.stuck))
        usleep(1000);
    CHECK(!stall_look(&h.stall, &out), "one look says nothing");
    bool shown = false;
    for (int i = 0; i < 10000 && !shown; i++) {
        shown = stall_look(&h.stall, &out);
        usleep(2000);
    }
    buf_put(&out, "", 1);
    CHECK(shown && strstr(memory, "+0x") != NULL, "%s", memory);
    CHECK(!stall_look(&h.stall, &out), "once for a turn");
    atomic_store(&h.go_on, true);
    pthread_join(thread, NULL);
    loop_free(&h.loop);
}
