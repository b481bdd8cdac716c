#include "base/clock.h"
#include "check.h"
#include "proxy/grpc.h"
#include "proxy/local.h"

static struct request call(struct field *f, enum field_id id, const char *value)
{
    *f = (struct field){.name = field_name(id), .value = span_str(value), .id = id};
    return (struct request){.method = METHOD_POST, .fields = {.v = f, .n = 1, .cap = 1}};
}

TEST(grpc, calls_are_known_by_their_content_type)
{
    static const struct {
        const char *type;
        bool want;
    } rows[] = {
        {"application/grpc", true},      {"application/grpc+proto", true},
        {"Application/gRPC; x=y", true}, {"application/grpc-web", false},
        {"application/grpc x", true},    {"application/grpc,x", false},
        {"application/grpcx", false},    {"application/json", false},
        {"application/grp", false},      {"", false},
    };
    struct field f;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct request r = call(&f, FIELD_CONTENT_TYPE, rows[i].type);
        CHECK(grpc_is_call(&r) == rows[i].want, "'%s'", rows[i].type);
    }
}

TEST(grpc, time_outs)
{
    static const struct {
        const char *value;
        int64_t want;
    } rows[] = {
        {"1H", 3600000000000},
        {"2M", 120000000000},
        {"3S", 3000000000},
        {"4m", 4000000},
        {"5u", 5000},
        {"6n", 6},
        {"99999999H", 86400000000000},
        {"", 0},
        {"S", 0},
        {"0S", 0},
        {"5", 0},
        {"5s", 0},
        {"-1S", 0},
        {"1.5S", 0},
        {"123456789S", 0},
        {" 5S", 0},
    };
    struct field f;
    struct request without = call(&f, FIELD_CONTENT_TYPE, "application/grpc");
    CHECK_INT(grpc_timeout_ns(&without), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct request r = call(&f, FIELD_GRPC_TIMEOUT, rows[i].value);
        CHECK(grpc_timeout_ns(&r) == rows[i].want, "'%s': %lld", rows[i].value,
              (long long)grpc_timeout_ns(&r));
    }
}

/* A11: eight digits at most, never more time than there is, never none. */
TEST(grpc, what_is_left_as_a_time_out)
{
    static const struct {
        int64_t left_ns;
        const char *want;
    } rows[] = {
        {1, "1u"},
        {-5, "1u"},
        {1999, "1u"},
        {2 * NS_PER_S, "2000000u"},
        {100 * NS_PER_S - 1, "99999999u"},
        {100 * NS_PER_S, "100000m"},
        {INT64_MAX, "99999999m"},
    };
    char text[GRPC_TIMEOUT_ROOM];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK_SPAN(span_of(text, grpc_print_timeout(text, rows[i].left_ns)), rows[i].want);
}

TEST(grpc, status_of_what_ended_a_call)
{
    CHECK_INT(grpc_status(ERR_NO_BACKEND), 14);
    CHECK_INT(grpc_status(ERR_BACKEND_REFUSED), 14);
    CHECK_INT(grpc_status(ERR_BACKEND_CONNECT_TIMEOUT), 14);
    CHECK_INT(grpc_status(ERR_BACKEND_TIMEOUT), 4);
    CHECK_INT(grpc_status(ERR_DEADLINE), 4);
    CHECK_INT(grpc_status(ERR_NO_ROUTE), 12);
    CHECK_INT(grpc_status(ERR_FORBIDDEN), 7);
    CHECK_INT(grpc_status(ERR_BODY_TOO_LARGE), 8);
    CHECK_INT(grpc_status(ERR_INTERNAL), 2);
    CHECK_INT(grpc_status(ERR_BAD_REQUEST), 13);
    CHECK_INT(grpc_status(ERR_CLIENT_ABORT), 1);
    CHECK_INT(grpc_status(ERR_HEAD_TIMEOUT), 4);
    CHECK_INT(grpc_status(ERR_HEAD_TOO_LARGE), 8);
    CHECK_INT(grpc_status(ERR_BAD_METHOD), 12);
    CHECK_INT(grpc_status(ERR_RESIDENCY), 7);
    CHECK_INT(grpc_status(ERR_RATE_LIMIT), 14);
    CHECK_INT(grpc_status(ERR_BACKEND_RESET), 14);
    for (int e = ERR_OK; e < ERR_COUNT; e++)
        CHECK(grpc_status((enum err)e) <= 16, "%s", err_name((enum err)e));
}

TEST(grpc, errors_are_trailers_only)
{
    struct arena a;
    struct field f;
    struct local_answer answer;
    struct request r = call(&f, FIELD_CONTENT_TYPE, "application/grpc");
    arena_init(&a, NULL, 4096, 0);
    CHECK_INT(local_error(ERR_NO_BACKEND, &r, SPAN("id"), &a, &answer), ERR_OK);
    CHECK_INT(answer.status, 200);
    CHECK_SPAN(answer.type, "application/grpc");
    CHECK_SPAN(answer.grpc_status, "14");
    CHECK_SPAN(answer.grpc_message, "no server can serve this now");
    CHECK(answer.body.n == 0, "no content");
    arena_reset(&a);
}
