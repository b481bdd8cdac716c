#include "check.h"

#include "base/mem.h"
#include "desk.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct desk desk;

TEST(control, answers_one_line)
{
    desk_init(&desk);
    struct span got = desk_ask(&desk, &desk.control, "{\"command\":\"pools\"}\n");
    CHECK(span_starts(got, SPAN("{\"ok\":true,\"command\":\"pools\",\"pools\":[{\"name\":\"api\"")),
          "%.*s", SPAN_FMT(got));
    CHECK(span_find(got, '\n') == got.n - 1, "one line");
    got = desk_ask(&desk, &desk.control, "{\"command\":\"pools\"}\r\n{\"command\":\"stop\"}\n");
    CHECK(span_find(got, '\n') == got.n - 1 && desk.view.stops == 0, "one request");
    desk_fini(&desk);
}

/* More than a connection may hold of what is written piece by piece: all of it comes. */
TEST(control, answers_with_very_many_backends)
{
    static const char end[] = "]}\n";
    desk_init(&desk);
    desk.view.backend_copies = 20000;
    struct span got = desk_ask(&desk, &desk.control, "{\"command\":\"backends\"}\n");
    CHECK(got.n > MIB(8) && span_ends(got, SPAN(end)), "%zu bytes", got.n);
    CHECK(span_find(got, '\n') == got.n - 1, "one line");
    desk_fini(&desk);
}

/* L40: the socket is for its owner and group only. */
TEST(control, mode)
{
    struct stat st;
    desk_init(&desk);
    CHECK(stat(desk.path, &st) == 0 && S_ISSOCK(st.st_mode), "socket");
    CHECK_INT(st.st_mode & 0777, 0660);
    mode_t mask = umask(022);
    CHECK_INT(mask, 022 & mask);
    umask(mask);
    desk_fini(&desk);
}

/* A reload that moves the socket; one that cannot leaves the old one. */
TEST(control, moved)
{
    char other[80], old[64];
    desk_init(&desk);
    snprintf(other, sizeof other, "%s.2", desk.path);
    snprintf(old, sizeof old, "%s", desk.path);
    CHECK_INT(admin_listen_control(desk.admin, desk.path), ERR_OK);
    CHECK(admin_listen_control(desk.admin, "/nonexistent/folder/x.sock") != ERR_OK, "refused");
    CHECK(desk_ask(&desk, &desk.control, "{\"command\":\"pools\"}\n").n > 100, "still there");
    CHECK_INT(admin_listen_control(desk.admin, other), ERR_OK);
    CHECK(access(old, F_OK) != 0 && access(other, F_OK) == 0, "moved");
    snprintf(desk.path, sizeof desk.path, "%.60s", other);
    desk_fini(&desk);
    unlink(other);
}

TEST(control, garbage)
{
    static const char *const lines[] = {"\n", "status\n", "GET / HTTP/1.1\r\n\r\n", "{\n",
                                        "\x16\x03\x01\x02\n"};
    desk_init(&desk);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct span got = desk_ask(&desk, &desk.control, lines[i]);
        CHECK(span_starts(got, SPAN("{\"ok\":false,\"command\":null,\"error\":\"syntax\"")),
              "%zu: %.*s", i, SPAN_FMT(got));
    }
    desk_fini(&desk);
}

/* L40: 1 MiB. */
TEST(control, oversized)
{
    char *flood = mem_alloc(MIB(1) + 100);
    memset(flood, 'x', MIB(1) + 99);
    desk_init(&desk);
    struct span got = desk_ask(&desk, &desk.control, flood);
    CHECK(span_starts(got, SPAN("{\"ok\":false,\"command\":null,\"error\":\"full\"")), "%.*s",
          SPAN_FMT(got));
    desk_fini(&desk);
    mem_free(flood);
}

/* One byte at a time, and a client that ends its half: answered. One that leaves, forgotten. */
TEST(control, slow_and_gone)
{
    struct desk_client slow, gone;
    desk_init(&desk);
    desk_connect(&desk, &desk.control, &slow);
    for (const char *p = "{\"command\":\"pools\"}"; *p != 0; p++) {
        conn_write(slow.c, span_of(p, 1));
        CHECK(!desk_run(&desk, 5) && slow.got.n == 0, "not before the line's end");
    }
    conn_write(slow.c, SPAN("\n"));
    conn_shutdown(slow.c);
    CHECK(desk_run(&desk, 20000) && slow.got.n > 100, "answered");
    desk_close(&slow);
    desk_connect(&desk, &desk.control, &gone);
    desk_send(&gone, "{\"command\":\"sto");
    desk_run(&desk, 20);
    desk_close(&gone);
    desk_run(&desk, 50);
    CHECK_INT(desk.env.open, 0);
    CHECK_INT(desk.view.stops, 0);
    desk_fini(&desk);
}

/* L40: sixteen at a time; the seventeenth is refused; slow ones do not stay. */
TEST(control, bounded)
{
    struct desk_client c[17];
    desk_init(&desk);
    for (int i = 0; i < 16; i++) {
        desk_connect(&desk, &desk.control, &c[i]);
        desk_send(&c[i], "{");
    }
    desk_run(&desk, 50);
    desk_connect(&desk, &desk.control, &c[16]);
    desk_run(&desk, 100);
    CHECK(c[16].ended && c[16].got.n == 0, "refused");
    for (int i = 0; i < 16; i++) {
        CHECK(!c[i].ended, "the others stay");
    }
    desk_close(&c[16]);
    CHECK(desk_run(&desk, 20000), "slow ones are ended");
    for (int i = 0; i < 16; i++) {
        CHECK(memmem(c[i].got.p, c[i].got.n, "limit-L4", 8) != NULL, "and told why");
        desk_close(&c[i]);
    }
    CHECK(desk_ask(&desk, &desk.control, "{\"command\":\"pools\"}\n").n > 100, "room again");
    desk_fini(&desk);
}

/* A large answer arrives whole. */
TEST(control, large_answer)
{
    desk_init(&desk);
    desk.view.backend_copies = 1000;
    struct span got = desk_ask(&desk, &desk.control, "{\"command\":\"backends\"}\n");
    CHECK(got.n > MIB(1) && span_ends(got, SPAN("}]}\n")), "%zu bytes", got.n);
    desk_fini(&desk);
}

TEST(control, reload)
{
    struct desk_client c;
    desk_init(&desk);
    desk.view.answer_now = true;
    desk.view.reload_result = ERR_SYNTAX;
    desk.view.reload_messages = "m.yaml:3:1: error: no\n  x\n  ^\n";
    struct span got = desk_ask(&desk, &desk.control, "{\"command\":\"reload\"}\n");
    CHECK_SPAN(got, "{\"ok\":false,\"command\":\"reload\",\"error\":\"syntax\","
                    "\"message\":\"m.yaml:3:1: error: no\\n  x\\n  ^\\n\"}\n");
    desk.view.answer_now = false;
    desk_connect(&desk, &desk.control, &c);
    desk_send(&c, "{\"command\":\"reload\"}\n");
    desk_run(&desk, 50);
    CHECK(desk.view.job != NULL && c.got.n == 0, "it waits");
    admin_job_done(desk.view.job, ERR_OK, SPAN_NONE);
    CHECK(desk_run(&desk, 20000), "the end");
    CHECK_SPAN(buf_span(&c.got), "{\"ok\":true,\"command\":\"reload\",\"message\":\"\"}\n");
    desk_close(&c);
    got = desk_ask(&desk, &desk.control, "{\"command\":\"connections\"}\n");
    CHECK(memmem(got.p, got.n, "192.0.2.2:5001", 14) != NULL, "%.*s", SPAN_FMT(got));
    desk_fini(&desk);
}

/* Who asked is gone before the answer comes; admin goes before the answer comes. */
TEST(control, reload_without_asker)
{
    struct desk_client c;
    desk_init(&desk);
    desk_connect(&desk, &desk.control, &c);
    desk_send(&c, "{\"command\":\"reload\"}\n");
    desk_run(&desk, 50);
    conn_close(&c.c, CONN_END_RESET);
    desk_run(&desk, 50);
    desk_close(&c);
    CHECK(desk.view.job != NULL, "the reload goes on");
    admin_job_done(desk.view.job, ERR_OK, SPAN_NONE);
    desk_run(&desk, 50);
    CHECK_INT(desk.env.open, 0);
    desk_connect(&desk, &desk.control, &c);
    desk_send(&c, "{\"command\":\"reload\"}\n");
    desk_run(&desk, 50);
    desk_close(&c);
    desk_fini(&desk);
}
