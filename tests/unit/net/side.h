/* side: one end of a connection under test: collects what it is told, and does what the test set
 * up. And a pair of ends on one loop. */
#ifndef MERIDIAN_TESTS_NET_SIDE_H
#define MERIDIAN_TESTS_NET_SIDE_H

#include "base/limits.h"
#include "net/conn.h"
#include "net/listener.h"

struct side {
    struct conn *c;
    struct buf got;
    size_t take_most;    /* of one delivery; SIZE_MAX at first */
    size_t longest;      /* run handed over */
    unsigned deliveries; /* on_bytes */
    unsigned opens, eofs, rooms, fails, times;
    bool clean; /* the first end */
    enum err why;
    bool stop_reading; /* in on_bytes */
    bool close_on_bytes;
    enum conn_end close_how;
    bool close_on_open, close_on_eof, close_on_fail;
    void (*on_bytes)(struct side *s); /* after collecting */
    void (*on_open)(struct side *s);
    void (*on_room)(struct side *s);
};

extern const struct conn_events side_events;
void side_init(struct side *s);
/* Closes what is open. */
void side_fini(struct side *s);

/* n bytes that tell at which place a wrong one is. */
void side_fill(char *out, size_t n, unsigned seed);
/* Whether what came is side_fill's n bytes of that seed. */
bool side_has(const struct side *s, size_t n, unsigned seed);

/* A listener, a server side (the last accepted connection) and a client side on one loop. */
struct pair {
    struct loop *loop;
    struct conn_env env;
    struct addr at;
    int listen_fd;
    struct listener *listener;
    struct side server, client;
    unsigned accepted;
    struct tls_server *tls_server; /* borrowed */
    struct tls_client *tls_client;
    struct span server_name;
    struct timer poll;
    bool (*done)(struct pair *);
    int64_t give_up_ns;
    bool timed_out;
};

/* A loop of libev, a listener on 127.0.0.1 at a port that the kernel chooses. */
void pair_init(struct pair *p);
/* On a loop that the caller made and frees. */
void pair_init_on(struct pair *p, struct loop *loop);
void pair_fini(struct pair *p);
enum err pair_connect(struct pair *p);
/* Runs the loop until done(p); false after 20 s. */
bool pair_run(struct pair *p, bool (*done)(struct pair *));
/* Runs for that long. */
void pair_run_ms(struct pair *p, int64_t ms);
/* Connects and runs until both sides are open. */
bool pair_open(struct pair *p);

#endif
