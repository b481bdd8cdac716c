#include "load.h"

#include "tool.h"

#include <stdio.h>

static const char *const FAILURES[FAIL_KINDS] = {
    [FAIL_CONNECT] = "connect",   [FAIL_TLS] = "tls",       [FAIL_RESET] = "reset_before_response",
    [FAIL_TIMEOUT] = "timeout",   [FAIL_STATUS] = "status", [FAIL_SHORT] = "short_body",
    [FAIL_PROTOCOL] = "protocol", [FAIL_UNSENT] = "unsent",
};

static void print_errors(const struct load *load)
{
    uint64_t failed = 0;
    for (int i = 0; i < FAIL_KINDS; i++)
        failed += load->errors[i];
    printf(" \"failed\": %llu,\n \"errors\": {", (unsigned long long)failed);
    for (int i = 0; i < FAIL_KINDS; i++)
        printf("%s\"%s\": %llu", i ? ", " : "", FAILURES[i], (unsigned long long)load->errors[i]);
    printf("},\n");
}

static void print_latency(const struct load *load)
{
    static const struct {
        const char *name;
        double share;
    } points[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};
    printf(" \"latency_ms\": {");
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        printf("\"%s\": %.3f, ", points[i].name,
               (double)hist_quantile(&load->latency, points[i].share) / 1e6);
    printf("\"max\": %.3f},\n", (double)load->latency.max_ns / 1e6);
}

static void print_statuses(const struct load *load)
{
    const char *comma = "";
    printf(" \"statuses\": {");
    for (int i = 0; i < LOAD_STATUSES; i++) {
        if (!load->statuses[i])
            continue;
        printf("%s\"%d\": %llu", comma, i, (unsigned long long)load->statuses[i]);
        comma = ", ";
    }
    printf("},\n");
}

static void print_origins(const struct load *load)
{
    printf(" \"origins\": {");
    for (size_t i = 0; i < load->origins_len; i++)
        printf("%s\"%s\": %llu", i ? ", " : "", load->origins[i].name,
               (unsigned long long)load->origins[i].count);
    printf("}\n");
}

void load_report(const struct load *load)
{
    double seconds = (double)(load->end_ns - load->start_ns - load->warm_ns) / 1e9;
    printf("{\"completed\": %llu,\n", (unsigned long long)load->completed);
    print_errors(load);
    printf(" \"seconds\": %.3f,\n \"requests_per_second\": %.1f,\n", seconds,
           seconds > 0 ? (double)load->completed / seconds : 0);
    print_latency(load);
    print_statuses(load);
    printf(" \"body_bytes\": %llu,\n \"connections_opened\": %llu,\n \"tls_resumed\": %llu,\n",
           (unsigned long long)load->body_total, (unsigned long long)load->opened,
           (unsigned long long)load->resumed);
    print_origins(load);
    printf("}\n");
}
