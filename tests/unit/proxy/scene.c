#include "scene.h"

#include "base/limits.h"
#include "base/mem.h"
#include "net/listener.h"

#include <stdio.h>

/* --- servers --- */

static void act(struct served *v);

static const struct step *next_step(struct served *v)
{
    struct scene *s = v->scene;
    unsigned n = s->heads[v->server]++, count = s->steps[v->server];
    CHECK(count > 0, "server %d has no script", v->server);
    return &s->script[v->server][n < count ? n : count - 1];
}

/* A whole head that has not been acted on, and what its step wants of its content. */
static void look(struct served *v)
{
    struct span rest = span_sub(buf_span(&v->got), v->seen, SIZE_MAX);
    const char *end = rest.n > 0 ? memmem(rest.p, rest.n, "\r\n\r\n", 4) : NULL;
    if (end == NULL) {
        return;
    }
    if (v->now == NULL) {
        v->now = next_step(v);
    }
    size_t head = (size_t)(end - rest.p) + 4;
    if (rest.n < head + v->now->after) {
        return;
    }
    v->seen += head + v->now->after;
    if (v->now->delay_ms > 0) {
        timer_in_ms(&v->later, v->now->delay_ms);
    } else {
        act(v);
    }
}

static void served_end(struct served *v, enum conn_end how)
{
    timer_stop(&v->later);
    list_remove(&v->link);
    conn_close(&v->conn, how);
    buf_fini(&v->got);
    mem_free(v);
}

static void act(struct served *v)
{
    const struct step *step = v->now;
    v->now = NULL;
    if (step->text != NULL) {
        conn_write(v->conn, span_str(step->text));
    }
    if (step->reset_after) { /* once the text is on its way */
        static const struct step reset = {.act = ACT_RESET};
        v->now = &reset;
        timer_in_ms(&v->later, 10);
    } else if (step->act == ACT_RESET) {
        served_end(v, CONN_END_RESET);
    } else if (step->act == ACT_CLOSE || step->close_after) {
        served_end(v, CONN_END_FLUSH);
    }
}

static void on_later(struct timer *t)
{
    act(container_of(t, struct served, later));
}

static size_t on_bytes(void *user, struct conn *c, struct span bytes)
{
    struct served *v = user;
    (void)c;
    buf_put_span(&v->got, bytes);
    buf_put_span(&v->scene->log[v->server], bytes);
    if (v->now == NULL || v->later.due_ns == 0) {
        look(v);
    }
    return bytes.n;
}

static void on_eof(void *user, struct conn *c, bool clean)
{
    (void)c;
    (void)clean;
    served_end(user, CONN_END_NOW);
}

static void on_fail(void *user, struct conn *c, enum err why)
{
    (void)c;
    (void)why;
    served_end(user, CONN_END_NOW);
}

static const struct conn_events server_events = {.on_open = conn_ignore,
                                                 .on_bytes = on_bytes,
                                                 .on_eof = on_eof,
                                                 .on_room = conn_ignore,
                                                 .on_fail = on_fail};

static bool accept_at(struct scene *s, int server, int fd, const struct addr *peer)
{
    struct served *v = mem_alloc(sizeof(*v));
    CHECK(v != NULL, "memory");
    *v = (struct served){.scene = s, .server = server};
    buf_init(&v->got, 0);
    timer_init(&v->later, s->server_loop, on_later);
    list_append(&s->served, &v->link);
    CHECK_INT(conn_accept(&s->server_env, fd, peer, NULL, &server_events, v, &v->conn), ERR_OK);
    return true;
}

static bool accept_0(void *user, int fd, const struct addr *peer)
{
    return accept_at(user, 0, fd, peer);
}

static bool accept_1(void *user, int fd, const struct addr *peer)
{
    return accept_at(user, 1, fd, peer);
}

void scene_script(struct scene *s, int server, const struct step *steps, unsigned count)
{
    CHECK(count <= 16, "steps");
    memcpy(s->script[server], steps, count * sizeof(*steps));
    s->steps[server] = count;
}

void scene_absent(struct scene *s, int server)
{
    listener_stop(&s->listeners[server]);
    s->server_loop->ops->sock_close(s->server_loop, s->fds[server], false);
}

/* --- the proxy --- */

static void on_edition_end(void *user, const struct policy *policy)
{
    struct scene *s = user;
    (void)policy;
    s->editions_ended++;
}

static void on_slot_free(void *user, unsigned worker, struct pool_state *pool)
{
    struct scene *s = user;
    CHECK(worker == 1 && pool == s->pool.pick->state, "worker %u", worker);
    s->offered++;
}

static bool on_shed(void *user, unsigned worker, struct pool_state *pool, enum rank rank)
{
    struct scene *s = user;
    CHECK(worker == 1 && pool == s->pool.pick->state, "worker %u", worker);
    s->sheds[rank]++;
    return !s->deaf;
}

static void on_line(void *user, struct span line)
{
    (void)user;
    (void)line;
}

static void build_pool(struct scene *s)
{
    static const struct pool_site_conf site = {.name = SPAN("default")};
    struct pool_member_conf members[SCENE_SERVERS] = {
        {.backend = SPAN("a"), .address = SPAN("10.0.0.11:80"), .weight = 100},
        {.backend = SPAN("b"), .address = SPAN("10.0.0.12:80"), .weight = 100}};
    struct pool_conf conf = {.name = SPAN("api"),
                             .knobs = PICK_KNOBS_DEFAULT,
                             .sites = &site,
                             .site_count = 1,
                             .members = members,
                             .member_count = s->pool.endpoint_count};
    for (int i = 0; i < SCENE_SERVERS; i++) {
        members[i].max_inflight = s->max_inflight;
    }
    CHECK_INT(pick_pool_new(s->registry, &conf, 0, &s->pool.pick), ERR_OK);
    for (unsigned i = 0; i < s->pool.endpoint_count; i++) {
        s->endpoints[i].endpoint = s->pool.pick->members[i].endpoint;
        s->endpoints[i].address = s->at[i];
    }
}

void scene_start(struct scene *s)
{
    static const struct span get_head[2] = {SPAN("GET"), SPAN("HEAD")};
    static const struct route_rule rules[SCENE_ROUTES] = {
        {.path = SPAN("/"), .index = 0},
        {.path = SPAN("/get"), .methods = get_head, .method_count = 2, .index = 1},
        {.path = SPAN("/small"), .index = 2},
        {.path = SPAN("/ws"), .index = 3},
        {.path = SPAN("/fixed"), .index = 4},
    };
    build_pool(s);
    CHECK_INT(route_table_new(rules, SCENE_ROUTES, &s->policy.table), ERR_OK);
    CHECK_INT(proxy_adopt(s->proxy, &s->policy), ERR_OK);
}

static void listen_at(struct scene *s, int i, const char *address,
                      bool (*accept)(void *, int, const struct addr *))
{
    CHECK_INT(addr_parse(span_str(address), &s->at[i]), ERR_OK);
    s->fds[i] = s->server_loop->ops->sock_listen(s->server_loop, &s->at[i], false);
    CHECK(s->fds[i] >= 0, "listen");
    CHECK_INT(listener_start(s->server_loop, s->fds[i], accept, s, &s->listeners[i]), ERR_OK);
    buf_init(&s->log[i], 0);
}

void scene_new(struct scene *s)
{
    memset(s, 0, sizeof(*s));
    s->sim = sim_new(7, NULL);
    s->loop = sim_loop_new(s->sim);
    s->server_loop = sim_loop_new(s->sim);
    CHECK_INT(conn_env_init(&s->env, s->loop), ERR_OK);
    CHECK_INT(conn_env_init(&s->server_env, s->server_loop), ERR_OK);
    list_init(&s->served);
    listen_at(s, 0, "10.0.0.11:80", accept_0);
    listen_at(s, 1, "10.0.0.12:80", accept_1);
    s->registry = registry_new(16);
    s->admission = mem_alloc(sizeof(*s->admission));
    s->stats = mem_alloc(sizeof(*s->stats));
    s->route_stats = mem_alloc(sizeof(*s->route_stats));
    CHECK(s->admission != NULL && s->stats != NULL && s->route_stats != NULL, "memory");
    s->route_stats->name = "r";
    struct proxy_spec spec = {
        .workers = 1,
        .env = &s->env,
        .admission = s->admission,
        .stats = s->stats,
        .hooks = {on_edition_end, on_slot_free, on_shed, on_line, on_line, NULL, s},
        .seed = 1};
    CHECK_INT(proxy_new(&spec, &s->proxy), ERR_OK);
    s->pool = (struct policy_pool){
        .name = SPAN("api"),
        .endpoints = s->endpoints,
        .endpoint_count = SCENE_SERVERS,
        .retries = {RETRY_CONNECT | RETRY_RESET | RETRY_FIRST_BYTE, LIMIT_RETRY_EXTRA, 100},
        .queue_limit = 4,
        .queue_ms = 2000,
        .connections = 8,
        .idle = 8};
    for (int i = 0; i < SCENE_ROUTES; i++) {
        s->routes[i] =
            (struct policy_route){.name = SPAN("r"),
                                  .pool = &s->pool,
                                  .timeouts = {30000, 30000, 3000, 5000, 5000, 5000, 300000, 0},
                                  .stats = &s->route_stats};
    }
    s->routes[2].body_bytes = 10;
    s->routes[3].websocket = true;
    s->routes[4].pool = NULL;
    s->routes[4].action = POLICY_RESPOND;
    s->routes[4].status = 418;
    s->policy = (struct policy){.generation = 1,
                                .routes = s->routes,
                                .route_count = SCENE_ROUTES,
                                .pools = &s->pool,
                                .pool_count = 1,
                                .unrouted = &s->route_stats};
}

void scene_hang_up(struct scene *s)
{
    list_each (e, &s->served) {
        served_end(container_of(e, struct served, link), CONN_END_NOW);
    }
}

static void servers_close(struct scene *s)
{
    for (int i = 0; i < SCENE_SERVERS; i++) {
        if (s->listeners[i] != NULL) {
            scene_absent(s, i);
        }
        buf_fini(&s->log[i]);
    }
    scene_hang_up(s);
}

static void counters_at_rest(const struct scene *s)
{
    CHECK_INT(proxy_exchanges(s->proxy, true), 0);
    CHECK_INT(scene_inflight(s), 0);
    CHECK_INT(counter_get(&s->stats->exchanges_open), 0);
    CHECK_INT(counter_get(&s->stats->tunnels_open), 0);
    CHECK_INT(counter_get(&s->stats->waiting), 0);
    CHECK_INT(atomic_load(&s->pool.pick->state->waiting), 0);
    CHECK_INT(atomic_load(&s->pool.pick->state->waiting_workers), 0);
    for (int i = 0; i < POOL_LESSER; i++)
        CHECK_INT(atomic_load(&s->pool.pick->state->lesser_workers[i]), 0);
}

void scene_close(struct scene *s)
{
    scene_pass(s, 100);
    for (unsigned i = 0; i < s->asked; i++) {
        CHECK(s->asks[i].done, "request %u is over", i);
    }
    counters_at_rest(s);
    proxy_retire(s->proxy);
    scene_pass(s, 100);
    CHECK_INT(s->editions_ended, 1);
    proxy_free(&s->proxy);
    servers_close(s);
    scene_pass(s, 5000);
    CHECK_INT(sim_sockets(s->sim), 0);
    route_table_free(&s->policy.table);
    pick_pool_free(&s->pool.pick);
    registry_sweep(s->registry);
    registry_free(&s->registry);
    mem_free(s->admission);
    mem_free(s->stats);
    mem_free(s->route_stats);
    conn_env_fini(&s->env);
    conn_env_fini(&s->server_env);
    loop_free(&s->loop);
    loop_free(&s->server_loop);
    sim_free(&s->sim);
}

/* --- requests --- */

static void print_fields(char *out, size_t size, const struct fields *f)
{
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; f != NULL && i < f->n && at < size; i++) {
        at += (size_t)snprintf(out + at, size - at, "%.*s: %.*s\n", SPAN_FMT(f->v[i].name),
                               SPAN_FMT(f->v[i].value));
    }
}

static void on_done(void *user, const struct internal_answer *r)
{
    struct ask *a = user;
    CHECK(!a->done, "one answer");
    a->done = true;
    a->handle = NULL;
    a->why = r->why;
    a->status = r->status;
    a->interim = r->interim;
    a->content_size = r->content.n;
    memcpy(a->content, r->content.n > 0 ? r->content.p : "", r->content.n);
    print_fields(a->head, sizeof(a->head), r->head);
    print_fields(a->trailers, sizeof(a->trailers), r->trailers);
}

struct ask *scene_ask_head(struct scene *s, const struct request *head, size_t content)
{
    static char bytes[512 * 1024];
    CHECK(s->asked < SCENE_ASKED && content <= sizeof(bytes), "room");
    memset(bytes, 'c', sizeof(bytes));
    struct ask *a = &s->asks[s->asked++];
    a->scene = s;
    struct internal_request r = {.head = head,
                                 .content = span_of(bytes, content),
                                 .answer_most = sizeof(a->content),
                                 .on_done = on_done,
                                 .user = a};
    struct internal *handle;
    CHECK_INT(internal_begin(s->proxy, &r, &handle), ERR_OK);
    CHECK(!a->done, "not from inside");
    a->handle = handle;
    return a;
}

struct ask *scene_ask(struct scene *s, const char *method, const char *path, size_t content)
{
    struct request r = {.method = method_parse(span_str(method)),
                        .version = VERSION_1_1,
                        .content = content > 0 ? CONTENT_LENGTH : CONTENT_NONE,
                        .length = content,
                        .method_name = span_str(method),
                        .scheme = SPAN("http"),
                        .authority = SPAN("a"),
                        .host = SPAN("a"),
                        .path = span_str(path)};
    return scene_ask_head(s, &r, content);
}

static bool is_done(void *user)
{
    const struct ask *a = user;
    return a->done;
}

void scene_wait(struct scene *s, struct ask *a)
{
    scene_pass(s, 1);
    CHECK(a->done || sim_run_until(s->sim, is_done, a, 600 * NS_PER_S), "it did not end");
}

void scene_pass(struct scene *s, int64_t ms)
{
    sim_run_for(s->sim, ms * NS_PER_MS);
}

const char *scene_log(struct scene *s, int server)
{
    buf_put_char(&s->log[server], '\0');
    s->log[server].n--;
    return s->log[server].p;
}

uint32_t scene_inflight(const struct scene *s)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < s->pool.endpoint_count; i++) {
        sum += endpoint_inflight(s->endpoints[i].endpoint);
    }
    return sum;
}
