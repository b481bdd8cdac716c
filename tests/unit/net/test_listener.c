#include "check.h"
#include "make_cert.h"
#include "net/listener.h"
#include "net/loop.h"

#include <stdio.h>

static void close_fd(struct loop *l, int fd)
{
    l->ops->sock_close(l, fd, false);
}

static struct addr addr_of(const char *text)
{
    struct addr a;
    CHECK(addr_parse(span_str(text), &a) == ERR_OK, "%s", text);
    return a;
}

TEST(listener, tcp_addresses_in_use)
{
    static const char *const hosts[] = {"127.0.0.1:0", "[::1]:0"};
    struct loop *l;
    CHECK_INT(loop_ev_new(&l), ERR_OK);
    for (size_t i = 0; i < 2; i++) {
        struct addr at = addr_of(hosts[i]), bound;
        int first, second;
        enum err e = listener_open(&at, true, &first);
        if (i == 1 && e == ERR_SYSTEM)
            continue; /* a machine without IPv6 */
        CHECK_INT(e, ERR_OK);
        CHECK_INT(l->ops->sock_local(l, first, &bound), 0);
        CHECK(addr_port(&bound) != 0, "a port");
        CHECK_INT(listener_open(&bound, true, &second), ERR_OK);
        close_fd(l, second);
        CHECK_INT(listener_open(&bound, false, &second), ERR_IN_USE);
        close_fd(l, first);
        CHECK_INT(listener_open(&at, false, &first), ERR_OK);
        CHECK_INT(l->ops->sock_local(l, first, &bound), 0);
        CHECK_INT(listener_open(&bound, true, &second), ERR_IN_USE);
        CHECK_INT(listener_share(first), ERR_OK);
        CHECK_INT(listener_open(&bound, false, &second), ERR_IN_USE);
        CHECK_INT(listener_open(&bound, true, &second), ERR_OK);
        close_fd(l, second);
        close_fd(l, first);
    }
    loop_free(&l);
}

TEST(listener, a_stale_unix_socket_is_replaced)
{
    struct loop *l;
    char dir[MADE_PATH], text[MADE_PATH * 2];
    int first, second;
    CHECK_INT(loop_ev_new(&l), ERR_OK);
    made_dir(dir);
    snprintf(text, sizeof text, "unix:%s/s", dir);
    struct addr at = addr_of(text);
    CHECK_INT(listener_open(&at, true, &first), ERR_OK);
    CHECK_INT(listener_open(&at, true, &second), ERR_IN_USE);
    close_fd(l, first);
    CHECK_INT(listener_open(&at, true, &second), ERR_OK);
    close_fd(l, second);
    /* Anything else at that path stays. */
    snprintf(text, sizeof text, "%s/f", dir);
    FILE *f = fopen(text, "w");
    CHECK(f != NULL, "%s", text);
    fclose(f);
    snprintf(text, sizeof text, "unix:%s/f", dir);
    at = addr_of(text);
    CHECK_INT(listener_open(&at, true, &second), ERR_IN_USE);
    snprintf(text, sizeof text, "unix:%s/none/s", dir);
    at = addr_of(text);
    CHECK_INT(listener_open(&at, true, &second), ERR_NOT_FOUND);
    made_dir_remove(dir);
    loop_free(&l);
}
