#include "base/limits.h"
#include "base/mem.h"
#include "scene.h"

/* Copies for a mirror: how long an answer is listened to that nobody wants. */

static struct scene s;
static struct policy_mirror mirror;

static const struct step fine = {.act = ACT_REPLY, .text = OK_TEXT};

static unsigned running(void)
{
    return (unsigned)(counter_get(&s.route_stats->mirrors) -
                      counter_get(&s.route_stats->mirrors_ended));
}

/* One server; what it says to the second request is for the copy. */
static void ask_with_copy(const struct step *answer)
{
    const struct step steps[] = {fine, *answer, fine};
    scene_new(&s);
    s.pool.endpoint_count = 1;
    scene_script(&s, 0, steps, 3);
    mirror = (struct policy_mirror){
        .percent = 100, .inflight = 4, .content_bytes = 100, .route = s.routes[1]};
    mirror.route.timeouts.first_byte_ms = 1000;
    mirror.route.timeouts.response_body_ms = 600000;
    s.routes[0].mirror = &mirror;
    scene_start(&s);
    struct ask *a = scene_ask(&s, "GET", "/", 0);
    scene_wait(&s, a);
    CHECK_INT(a->status, 200);
    scene_pass(&s, 500);
    CHECK_INT(s.heads[0], 2);
}

/* Nothing of it is the server's fault. */
static void close_unblamed(void)
{
    CHECK_INT(running(), 0);
    CHECK_INT(scene_inflight(&s), 0);
    CHECK_INT(counter_get(&s.stats->ends[ERR_OK]), 2);
    struct ask *a = scene_ask(&s, "GET", "/get", 0);
    scene_wait(&s, a);
    CHECK_INT(a->status, 200);
    scene_close(&s);
}

TEST(mirror, an_answer_is_listened_to_for_a_time)
{
    const struct step silent = {.act = ACT_REPLY,
                                .text = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome"};
    ask_with_copy(&silent);
    scene_pass(&s, LIMIT_MIRROR_MS + 400);
    CHECK_INT(running(), 1);
    scene_pass(&s, 400);
    close_unblamed();
}

/* As silent as its kind of answer may be. */
TEST(mirror, a_stream_too)
{
    const struct step events = {.act = ACT_REPLY,
                                .text = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                        "\r\ndata: 1\n\n"};
    ask_with_copy(&events);
    scene_pass(&s, LIMIT_MIRROR_MS + 400);
    CHECK_INT(running(), 1);
    scene_pass(&s, 400);
    close_unblamed();
}

static char *long_answer(size_t content)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n";
    char *text = mem_alloc(sizeof head + content);
    CHECK(text != NULL, "memory");
    memcpy(text, head, sizeof head - 1);
    memset(text + sizeof head - 1, 'x', content);
    return text;
}

TEST(mirror, an_answer_is_listened_to_for_so_many_bytes)
{
    char *text = long_answer(LIMIT_MIRROR_ANSWER + 1);
    const struct step long_one = {.act = ACT_REPLY, .text = text};
    ask_with_copy(&long_one);
    scene_pass(&s, 5000);
    close_unblamed();
    mem_free(text);
}

TEST(mirror, and_for_no_fewer)
{
    char *text = long_answer(LIMIT_MIRROR_ANSWER);
    const struct step long_one = {.act = ACT_REPLY, .text = text};
    ask_with_copy(&long_one);
    scene_pass(&s, 5000);
    CHECK_INT(running(), 1);
    scene_pass(&s, LIMIT_MIRROR_MS);
    close_unblamed();
    mem_free(text);
}
