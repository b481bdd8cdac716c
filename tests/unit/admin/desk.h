/* desk: an admin side with the fake view on a real loop, and clients of it on the same loop. */
#ifndef MERIDIAN_TESTS_ADMIN_DESK_H
#define MERIDIAN_TESTS_ADMIN_DESK_H

#include "admin/admin.h"
#include "fake_view.h"
#include "net/listener.h"

struct desk {
    struct loop *loop;
    struct conn_env env;
    struct fake_view view;
    struct admin *admin;
    char path[64]; /* of the control socket */
    struct addr control, http;
    struct timer limit;
    bool late;
    unsigned waiting; /* clients that have not ended */
};

struct desk_client {
    struct desk *desk;
    struct conn *c;
    struct buf got;
    bool ended, failed;
};

void desk_init(struct desk *d);
void desk_fini(struct desk *d);
/* Connects; what it sends is the test's. */
void desk_connect(struct desk *d, const struct addr *to, struct desk_client *c);
void desk_send(struct desk_client *c, const char *text);
/* Runs until all clients have been ended by the other side; false after `ms`. */
bool desk_run(struct desk *d, int64_t ms);
void desk_close(struct desk_client *c);
/* One request of one client, to its end. The answer lives until the next one. */
struct span desk_ask(struct desk *d, const struct addr *to, const char *text);

#endif
