#include "proxy/grpc.h"

#include "base/clock.h"

enum {
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
};

bool grpc_is_type(struct span type)
{
    const struct span prefix = SPAN("application/grpc");
    if (type.n < prefix.n || !span_eq_nocase(span_sub(type, 0, prefix.n), prefix))
        return false;
    char next = type.n > prefix.n ? type.p[prefix.n] : ';';
    return next == ';' || next == '+' || next == ' ';
}

bool grpc_is_call(const struct request *r)
{
    const struct field *f = fields_get(&r->fields, FIELD_CONTENT_TYPE);
    return f != NULL && grpc_is_type(f->value);
}

static int64_t unit_ns(char unit)
{
    switch (unit) {
    case 'H':
        return 3600 * NS_PER_S;
    case 'M':
        return 60 * NS_PER_S;
    case 'S':
        return NS_PER_S;
    case 'm':
        return NS_PER_MS;
    case 'u':
        return NS_PER_US;
    case 'n':
        return 1;
    default:
        return 0;
    }
}

int64_t grpc_timeout_ns(const struct request *r)
{
    enum { DIGITS = 8 };
    const int64_t most = 24 * 3600 * NS_PER_S;
    const struct field *f = fields_get(&r->fields, FIELD_GRPC_TIMEOUT);
    uint64_t value = 0;
    if (f == NULL || f->value.n < 2 || f->value.n > DIGITS + 1 ||
        span_u64(span_sub(f->value, 0, f->value.n - 1), &value) != ERR_OK)
        return 0;
    int64_t unit = unit_ns(f->value.p[f->value.n - 1]);
    if (unit == 0 || value == 0)
        return 0;
    return (int64_t)value > most / unit ? most : (int64_t)value * unit;
}

/* At most eight digits: microseconds up to 100 s, else milliseconds up to a day. */
size_t grpc_print_timeout(char *out, int64_t left_ns)
{
    const int64_t most = 99999999;
    int64_t us = left_ns / NS_PER_US, ms = left_ns / NS_PER_MS;
    bool fine = us <= most;
    int64_t value = fine ? us : ms < most ? ms : most;
    size_t n = u64_print(out, value > 0 ? (uint64_t)value : 1);
    out[n++] = fine ? 'u' : 'm';
    return n;
}

static unsigned of_http(int status)
{
    switch (status) {
    case 400:
        return GRPC_INTERNAL;
    case 403:
    case 451:
        return GRPC_PERMISSION_DENIED;
    case 404:
    case 405:
        return GRPC_UNIMPLEMENTED;
    case 413:
    case 431:
        return GRPC_RESOURCE_EXHAUSTED;
    case 429:
    case 502:
    case 503:
        return GRPC_UNAVAILABLE;
    case 408:
    case 504:
        return GRPC_DEADLINE_EXCEEDED;
    case 499:
        return GRPC_CANCELLED;
    default:
        return GRPC_UNKNOWN;
    }
}

unsigned grpc_status(enum err why)
{
    /* A server that takes no connection is no reason to think that time was up. */
    return why == ERR_BACKEND_CONNECT_TIMEOUT ? (unsigned)GRPC_UNAVAILABLE
                                              : of_http(err_status(why));
}
