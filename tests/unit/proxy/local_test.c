/* Answers of Meridian's own: form by Accept, fields, delivery (RELIABILITY H23). */
#include "proxy/local.h"

#include "base/buf.h"
#include "base/limits.h"
#include "check.h"
#include "sim.h"

struct told {
    struct sim *sim;
    struct loop *loop;
    struct arena arena;
    unsigned heads, bodies, ends;
    bool end;
    uint16_t status;
    struct reply reply;
    struct buf body;
    struct back *back;
    bool release_at_head, stop_at_head;
};

static void on_interim(void *user, struct reply *r)
{
    (void)user;
    CHECK(false, "no interim answer: %d", r->status);
}

static void on_reply(void *user, struct reply *r, bool end)
{
    struct told *t = user;
    t->heads++;
    t->end = end;
    t->reply = *r;
    if (t->release_at_head)
        t->back->ops->release(t->back);
    else if (t->stop_at_head)
        t->back->ops->want_body(t->back, 0);
}

static void on_body(void *user, struct span bytes)
{
    struct told *t = user;
    t->bodies++;
    buf_put_span(&t->body, bytes);
}

static void on_end(void *user, const struct fields *trailers)
{
    struct told *t = user;
    CHECK(trailers == NULL, "no trailers");
    t->ends++;
}

static void on_room(void *user)
{
    (void)user;
}

static void on_fail(void *user, enum err why, enum seen seen)
{
    (void)user;
    (void)seen;
    CHECK(false, "cannot fail: %s", err_name(why));
}

static const struct back_events events = {on_interim, on_reply, on_body, on_end, on_room, on_fail};

static void told_open(struct told *t)
{
    *t = (struct told){0};
    t->sim = sim_new(1, NULL);
    t->loop = sim_loop_new(t->sim);
    arena_init(&t->arena, NULL, 4096, 0);
    buf_init(&t->body, 0);
}

static void told_close(struct told *t)
{
    loop_free(&t->loop);
    sim_free(&t->sim);
    arena_reset(&t->arena);
    buf_fini(&t->body);
}

static void ask(struct told *t, const struct local_answer *answer, bool head)
{
    struct request r = {.method = head ? METHOD_HEAD : METHOD_GET};
    CHECK_INT(local_new(t->loop, answer, head, &t->arena, &t->back), ERR_OK);
    t->back->events = &events;
    t->back->user = t;
    t->back->ops->send_head(t->back, &r, true);
    CHECK_INT(t->heads, 0); /* nothing from inside an operation */
    sim_run_for(t->sim, NS_PER_MS);
}

static struct span value(const struct reply *r, enum field_id id)
{
    const struct field *f = fields_get(&r->fields, id);
    return f != NULL ? f->value : SPAN_NONE;
}

static struct local_answer error_for(struct told *t, enum err why, const char *accept)
{
    struct request r = {0};
    struct local_answer a;
    if (accept != NULL)
        CHECK_INT(fields_put(&r.fields, &t->arena, FIELD_ACCEPT, span_str(accept)), ERR_OK);
    CHECK_INT(local_error(why, &r, SPAN("id-1"), &t->arena, &a), ERR_OK);
    return a;
}

TEST(local, error_takes_its_form_from_accept)
{
    static const struct {
        const char *accept;
        bool page;
    } rows[] = {
        {NULL, false},
        {"*/*", false},
        {"text/html", true},
        {"Text/HTML;q=0.9, */*;q=0.1", true},
        {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true},
        {"application/json", false},
        {"text/html, application/problem+json", false},
        {"text/htmlx", false},
        {"", false},
        {",,;,", false},
    };
    struct told t;
    told_open(&t);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct local_answer a = error_for(&t, ERR_NO_ROUTE, rows[i].accept);
        CHECK(span_starts(a.type, SPAN("text/html")) == rows[i].page, "row %d", (int)i);
        CHECK(span_eq(a.type, SPAN("application/problem+json")) == !rows[i].page, "row %d", (int)i);
    }
    told_close(&t);
}

TEST(local, error_says_what_and_nothing_of_the_request)
{
    struct told t;
    told_open(&t);
    struct local_answer a = error_for(&t, ERR_NO_ROUTE, NULL);
    CHECK_INT(a.status, 404);
    CHECK(a.no_store && a.retry_after_s == 0, "fields");
    CHECK_SPAN(a.body, "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,"
                       "\"detail\":\"no route matches\",\"reason\":\"no-route\","
                       "\"request_id\":\"id-1\"}\n");
    a = error_for(&t, ERR_QUEUE_TIMEOUT, "text/html");
    CHECK_INT(a.status, 503);
    CHECK_INT(a.retry_after_s, 1); /* L9 */
    CHECK(memmem(a.body.p, a.body.n, "id-1", 4) != NULL, "the request's identifier");
    told_close(&t);
}

/* Every end has a status that can be sent, also those that have none of their own. */
TEST(local, every_error_has_a_status)
{
    struct told t;
    told_open(&t);
    for (int e = 0; e < ERR_COUNT; e++) {
        struct local_answer a = error_for(&t, (enum err)e, NULL);
        int own = err_status((enum err)e);
        CHECK_INT(a.status, own >= 400 ? own : 500);
        CHECK((a.retry_after_s != 0) == (a.status == 503), "%s", err_name((enum err)e));
    }
    told_close(&t);
}

TEST(local, delivers_head_then_content)
{
    struct told t;
    told_open(&t);
    struct local_answer a = {.status = 200, .type = SPAN("text/plain"), .body = SPAN("hello")};
    ask(&t, &a, false);
    CHECK(t.heads == 1 && !t.end && t.bodies == 1 && t.ends == 1, "%u %u %u", t.heads, t.bodies,
          t.ends);
    CHECK_SPAN(buf_span(&t.body), "hello");
    CHECK(t.reply.has_length && t.reply.length == 5 && t.reply.content == CONTENT_LENGTH, "length");
    CHECK_SPAN(value(&t.reply, FIELD_CONTENT_TYPE), "text/plain");
    CHECK(value(&t.reply, FIELD_CACHE_CONTROL).p == NULL, "may be kept");
    t.back->ops->release(t.back);
    told_close(&t);
}

TEST(local, head_has_the_length_and_no_content)
{
    struct told t;
    told_open(&t);
    struct local_answer a = {.status = 200, .type = SPAN("text/plain"), .body = SPAN("hello")};
    ask(&t, &a, true);
    CHECK(t.heads == 1 && t.end && t.bodies == 0 && t.ends == 0, "head only");
    CHECK(t.reply.has_length && t.reply.length == 5, "RFC 9110 section 9.3.2");
    t.back->ops->release(t.back);
    told_close(&t);
}

TEST(local, some_statuses_have_no_content)
{
    static const uint16_t statuses[] = {204, 304};
    for (size_t i = 0; i < 2; i++) {
        struct told t;
        told_open(&t);
        struct local_answer a = {.status = statuses[i], .body = SPAN("not sent")};
        ask(&t, &a, false);
        CHECK(t.end && t.bodies == 0 && !t.reply.has_length, "%d", statuses[i]);
        t.back->ops->release(t.back);
        told_close(&t);
    }
}

TEST(local, says_location_allow_and_when_to_come_again)
{
    struct told t;
    told_open(&t);
    struct local_answer a = {.status = 503,
                             .location = SPAN("https://a/"),
                             .allow = SPAN("GET, HEAD"),
                             .retry_after_s = 17,
                             .no_store = true};
    ask(&t, &a, false);
    CHECK_SPAN(value(&t.reply, FIELD_LOCATION), "https://a/");
    CHECK_SPAN(value(&t.reply, FIELD_ALLOW), "GET, HEAD");
    CHECK_SPAN(value(&t.reply, FIELD_RETRY_AFTER), "17");
    CHECK_SPAN(value(&t.reply, FIELD_CACHE_CONTROL), "no-store");
    CHECK(t.end && t.reply.has_length && t.reply.length == 0, "empty, and says so");
    t.back->ops->release(t.back);
    told_close(&t);
}

TEST(local, waits_while_content_is_not_wanted)
{
    struct told t;
    told_open(&t);
    struct local_answer a = {.status = 200, .body = SPAN("later")};
    t.stop_at_head = true;
    ask(&t, &a, false);
    CHECK(t.heads == 1 && t.bodies == 0, "stopped");
    t.back->ops->want_body(t.back, LIMIT_READ);
    sim_run_for(t.sim, NS_PER_MS);
    CHECK(t.bodies == 1 && t.ends == 1, "goes on");
    t.back->ops->want_body(t.back, LIMIT_READ);
    sim_run_for(t.sim, NS_PER_MS);
    CHECK_INT(t.bodies, 1);
    t.back->ops->release(t.back);
    told_close(&t);
}

TEST(local, comes_in_pieces_of_the_size_that_is_wanted_L18)
{
    struct told t;
    told_open(&t);
    char body[1000] = {0};
    struct local_answer a = {.status = 200, .body = span_of(body, sizeof(body))};
    t.stop_at_head = true;
    ask(&t, &a, false);
    t.back->ops->want_body(t.back, 400);
    sim_run_for(t.sim, NS_PER_MS);
    CHECK(t.bodies == 3 && t.ends == 1, "%d pieces", t.bodies);
    CHECK_INT(buf_len(&t.body), sizeof(body));
    t.back->ops->release(t.back);
    told_close(&t);
}

TEST(local, says_nothing_after_its_release)
{
    struct told t;
    told_open(&t);
    struct local_answer a = {.status = 200, .body = SPAN("unheard")};
    t.release_at_head = true;
    ask(&t, &a, false);
    sim_run_for(t.sim, NS_PER_MS);
    CHECK(t.heads == 1 && t.bodies == 0 && t.ends == 0, "released inside on_reply");
    told_close(&t);
}
