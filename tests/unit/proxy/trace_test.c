/* W3C Trace Context: what is passed on, and what begins anew. */
#include "proxy/trace.h"

#include "base/mem.h"
#include "check.h"

#define ID     "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

TEST(trace, valid)
{
    static const struct {
        const char *value;
        bool valid;
    } rows[] = {
        {"00-" ID "-" PARENT "-01", true},
        {"00-" ID "-" PARENT "-00", true},
        {"00-" ID "-" PARENT "-ff", true},
        {"cc-" ID "-" PARENT "-01", true},
        {"cc-" ID "-" PARENT "-01-what-the-future-will-be-like", true},
        {"cc-" ID "-" PARENT "-01.what", false},
        {"00-" ID "-" PARENT "-01-", false},
        {"00-" ID "-" PARENT "-01-more", false},
        {"ff-" ID "-" PARENT "-01", false},
        {"00-" ID "-" PARENT "-0", false},
        {"00-" ID "-" PARENT "-0x", false},
        {"0x-" ID "-" PARENT "-01", false},
        {"00-" ID "-00f067aa0ba902bx-01", false},
        {"00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01", false},
        {"00-00000000000000000000000000000000-" PARENT "-01", false},
        {"00-" ID "-0000000000000000-01", false},
        {"00-" ID "_" PARENT "-01", false},
        {"00_" ID "-" PARENT "-01", false},
        {"00-" ID "-" PARENT "_01", false},
        {"00-" ID, false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK(trace_valid(span_str(rows[i].value)) == rows[i].valid, "%s", rows[i].value);
}

static struct arena arena;

static struct trace taken_at(int percent, const char *first, const char *second)
{
    struct request r = {.method = METHOD_GET};
    struct rng rng;
    struct trace t;
    rng_seed(&rng, 7);
    if (first != NULL)
        CHECK_INT(fields_put(&r.fields, &arena, FIELD_TRACEPARENT, span_str(first)), ERR_OK);
    if (second != NULL)
        CHECK_INT(fields_put(&r.fields, &arena, FIELD_TRACEPARENT, span_str(second)), ERR_OK);
    CHECK_INT(trace_take(&r, percent, &rng, &arena, &t), ERR_OK);
    return t;
}

static struct trace taken(const char *first, const char *second)
{
    return taken_at(TRACE_OFF, first, second);
}

TEST(trace, sampled_ones_name_our_span)
{
    arena_init(&arena, NULL, 4096, 0);
    struct trace t = taken_at(0, "00-" ID "-" PARENT "-01", NULL);
    CHECK(t.sampled && !t.begun && trace_valid(t.parent), "%.*s", SPAN_FMT(t.parent));
    CHECK_SPAN(trace_id(&t), ID);
    CHECK_SPAN(t.caller, PARENT);
    CHECK(!span_eq(trace_span(&t), span_str(PARENT)) && span_ends(t.parent, SPAN("-01")), "%.*s",
          SPAN_FMT(t.parent));
    t = taken_at(100, "00-" ID "-" PARENT "-00", NULL);
    CHECK(!t.sampled && span_eq(trace_span(&t), span_str(PARENT)), "the client's word holds");
    t = taken_at(0, NULL, NULL);
    CHECK(!t.sampled && span_ends(t.parent, SPAN("-00")), "%.*s", SPAN_FMT(t.parent));
    t = taken_at(100, NULL, NULL);
    CHECK(t.sampled && t.begun && t.caller.n == 0 && span_ends(t.parent, SPAN("-01")), "%.*s",
          SPAN_FMT(t.parent));
    t = taken_at(100, "cc-" ID "-" PARENT "-01-later", NULL);
    CHECK(t.sampled && t.parent.n == 55 && span_starts(t.parent, SPAN("00-")), "%.*s",
          SPAN_FMT(t.parent));
    arena_reset(&arena);
}

TEST(trace, take)
{
    static const char good[] = "00-" ID "-" PARENT "-01";
    arena_init(&arena, NULL, 4096, 0);
    struct trace t = taken(good, NULL);
    CHECK(!t.begun && span_eq(t.parent, span_str(good)), "passed on");
    CHECK(span_eq(trace_id(&t), span_str(ID)), "%.*s", SPAN_FMT(trace_id(&t)));
    const char *const bad[][2] = {
        {NULL, NULL}, {"nonsense", NULL}, {good, good}, {good, "nonsense"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        t = taken(bad[i][0], bad[i][1]);
        CHECK(t.begun && trace_valid(t.parent), "%.*s", SPAN_FMT(t.parent));
        CHECK(span_starts(t.parent, SPAN("00-")) && span_ends(t.parent, SPAN("-00")), "%.*s",
              SPAN_FMT(t.parent));
        CHECK(!span_eq(trace_id(&t), span_str(ID)), "another one");
    }
    t = (struct trace){0};
    CHECK(trace_id(&t).n == 0 && trace_span(&t).n == 0, "none");
    arena_reset(&arena);
}

TEST(trace, memory_may_run_out)
{
    struct request r = {.method = METHOD_GET};
    struct rng rng;
    struct trace t;
    rng_seed(&rng, 7);
    arena_init(&arena, NULL, 4096, 0);
    mem_fail_at(1);
    CHECK_INT(trace_take(&r, 100, &rng, &arena, &t), ERR_NO_MEMORY);
    mem_fail_at(0);
    arena_reset(&arena);
}
