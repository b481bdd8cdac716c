/* scene: one worker's proxy with a pool of scripted servers on the simulated network, asked through
 * internal fronts. Closing it checks that every counter is back at zero. */
#ifndef MERIDIAN_TESTS_SCENE_H
#define MERIDIAN_TESTS_SCENE_H

#include "check.h"
#include "http/h1_front.h"
#include "pick/registry.h"
#include "proxy/exchange.h"
#include "proxy/internal.h"
#include "sim.h"

enum { SCENE_SERVERS = 2, SCENE_ASKED = 40, SCENE_ROUTES = 5, SCENE_CONNS = 64 };

struct scene;

/* What a server does with one request, once its head is there (`after` content bytes of it too). */
enum act {
    ACT_REPLY, /* says `text` */
    ACT_RESET,
    ACT_CLOSE,
    ACT_SILENT,
};
struct step {
    enum act act;
    const char *text;
    size_t after;
    bool reset_after, close_after; /* the text */
    int64_t delay_ms;              /* before the act */
};

struct served {
    struct scene *scene;
    struct link link;
    int server;
    struct conn *conn;
    struct buf got;
    size_t seen; /* bytes of requests that were acted on */
    struct timer later;
    const struct step *now;
};

/* One request of ours. */
struct ask {
    struct scene *scene;
    struct internal *handle; /* NULL: over */
    bool done;
    enum err why;
    unsigned status, interim;
    char content[256 * 1024];
    size_t content_size;
    char head[2048], trailers[256];
};

struct scene {
    struct sim *sim;
    struct loop *loop, *server_loop;
    struct conn_env env, server_env;
    struct addr at[SCENE_SERVERS];
    struct listener *listeners[SCENE_SERVERS];
    int fds[SCENE_SERVERS]; /* of the listeners; negative: closed */
    struct link served;
    struct step script[SCENE_SERVERS][16];
    unsigned steps[SCENE_SERVERS], heads[SCENE_SERVERS];
    struct buf log[SCENE_SERVERS]; /* all that it received */
    struct registry *registry;
    struct admission *admission;
    struct worker_stats *stats;
    struct route_stats *route_stats;
    struct policy_pool pool;
    struct policy_endpoint endpoints[SCENE_SERVERS];
    struct policy_route routes[SCENE_ROUTES];
    struct policy policy;
    struct proxy *proxy;
    struct ask asks[SCENE_ASKED];
    unsigned asked;
    uint32_t max_inflight;
    unsigned editions_ended;
    unsigned offered;           /* slots that were offered to another worker */
    unsigned sheds[RANK_COUNT]; /* places of another worker's that were taken, by rank */
    bool deaf;                  /* the other worker hears nothing of them */
};

/* Routes: "/" all; "/get" GET and HEAD only; "/small" content of 10 bytes at most; "/ws" WebSocket;
 * "/fixed" answered here. Change pool (one server: endpoint_count) and routes between scene_new and
 * scene_start. */
void scene_new(struct scene *s);
void scene_start(struct scene *s);
void scene_close(struct scene *s);
/* The n-th request that this server sees (of all connections) is treated so; after the last step,
 * as the last one says. */
void scene_script(struct scene *s, int server, const struct step *steps, unsigned count);
/* The server is not there: connections are refused. */
void scene_absent(struct scene *s, int server);
/* The servers end all connections that they have. */
void scene_hang_up(struct scene *s);
struct ask *scene_ask(struct scene *s, const char *method, const char *path, size_t content);
/* The same with a head of the test's own; content is what is sent. */
struct ask *scene_ask_head(struct scene *s, const struct request *head, size_t content);
/* Until it is over; at most ten minutes of simulated time. */
void scene_wait(struct scene *s, struct ask *a);
/* Everything that happens within ms. */
void scene_pass(struct scene *s, int64_t ms);
const char *scene_log(struct scene *s, int server);
uint32_t scene_inflight(const struct scene *s);

#define OK_TEXT "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

#endif
