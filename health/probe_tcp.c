#include "health/probe.h"

/* To be connected, and to have shaken hands where there is TLS, is all. Where there is none the
 * server's program need not even hear of it: half of what such a check costs, on both sides, is to
 * make and to end a connection that nobody uses. */
static void tcp_open(struct probe *p)
{
    probe_end(p, ERR_OK);
}

static size_t tcp_bytes(struct probe *p, struct span bytes)
{
    (void)p;
    return bytes.n;
}

static void tcp_eof(struct probe *p, bool clean)
{
    (void)clean;
    probe_end(p, ERR_BACKEND_RESET);
}

const struct probe_stages probe_tcp = {
    .open = tcp_open,
    .bytes = tcp_bytes,
    .eof = tcp_eof,
    .good_end = CONN_END_RESET,
};

const struct probe_stages probe_tls = {
    .open = tcp_open,
    .bytes = tcp_bytes,
    .eof = tcp_eof,
    .good_end = CONN_END_NOW,
};
