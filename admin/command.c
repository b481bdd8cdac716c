#include "admin/admin_impl.h"
#include "base/json_read.h"
#include "base/near.h"

#include <stdio.h>

#define HEADERS_MOST 64
#define ARENA_MOST                                                                                 \
    MIB(8) /* of one request's tree: a value of a few bytes costs about a hundred                  \
            */

/* One request while it is answered. */
struct call {
    struct admin *admin;
    struct asker *asker;
    const char *command;
    const struct json_value *ask;
    struct arena *arena;
    struct json *out;    /* an object is open */
    struct buf *message; /* for people, where it fails */
};

static enum err run_status(struct call *c)
{
    show_server(c->admin, c->out);
    show_listeners(c->admin, c->out);
    show_pools(c->admin, c->out);
    show_ends(c->admin, c->out);
    return ERR_OK;
}

static enum err run_pools(struct call *c)
{
    show_pools(c->admin, c->out);
    return ERR_OK;
}

static enum err run_backends(struct call *c)
{
    struct span pool = json_get_text(c->ask, "pool");
    if (pool.n > 0 && target_no_pool(c->admin, pool, c->message))
        return ERR_NOT_FOUND;
    show_backends(c->admin, pool, c->out);
    return ERR_OK;
}

static enum err run_routes(struct call *c)
{
    show_routes(c->admin, c->out);
    return ERR_OK;
}

static enum err run_certificates(struct call *c)
{
    show_certificates(c->admin, c->out);
    return ERR_OK;
}

static enum err run_map(struct call *c)
{
    show_map(c->admin, c->out);
    return ERR_OK;
}

static enum err run_database(struct call *c)
{
    show_database(c->admin, c->out);
    return ERR_OK;
}

/* The member that a command cannot do without; p NULL, with a message, where it is not there. */
static struct span need_text(struct call *c, const char *name)
{
    struct span s = json_get_text(c->ask, name);
    if (s.n == 0) {
        buf_printf(c->message, "\"%s\" is missing or not a string", name);
        return SPAN_NONE;
    }
    return s;
}

/* weight 0: none was given. */
static enum err acted(struct call *c, enum err e, struct span target, uint32_t weight, size_t count)
{
    if (e == ERR_NOT_FOUND)
        target_unknown(c->admin, target, c->message);
    if (e == ERR_OK) {
        json_u64(c->out, "endpoints", count);
        char value[32] = "";
        if (weight != 0)
            (void)snprintf(value, sizeof value, " weight=%u", weight);
        log_event(c->admin->log, LOG_INFO, "operator", "command=%s backend=%s%s endpoints=%zu",
                  c->command, LOG_QUOTE(target), value, count);
    }
    return e;
}

/* The servers of one pool after some were taken out; rows come pool after pool. */
struct left {
    struct call *call;
    struct span target, pool;
    bool touched, warned; /* the target has some of it; there was a pool to warn about */
    size_t all, active, usable;
};

/* In panic who fails may still serve, so only what is sure is said of it. */
static void warn_left(struct left *l)
{
    char memory[1024];
    struct buf text;
    if (!l->touched || l->usable > 0)
        return;
    buf_fixed(&text, memory, sizeof memory);
    if (l->active == 0)
        buf_printf(&text,
                   "pool '%.*s' has nobody left to serve it: all %zu are drained or in "
                   "maintenance, and its requests get 503; meridianctl enable %.*s ends that",
                   SPAN_FMT(l->pool), l->all, SPAN_FMT(l->target));
    else
        buf_printf(&text,
                   "pool '%.*s' has nobody left who passes checks: %zu of %zu are drained or in "
                   "maintenance, the others fail; meridianctl enable %.*s ends that",
                   SPAN_FMT(l->pool), l->all - l->active, l->all, SPAN_FMT(l->target));
    if (!l->warned)
        json_array(l->call->out, "warnings");
    l->warned = true;
    json_span(l->call->out, NULL, buf_span(&text));
}

static void look_left(void *user, const struct admin_backend *b)
{
    struct left *l = user;
    struct span name, site = span_sub(l->target, sizeof "site:" - 1, l->target.n);
    (void)span_cut(l->target, '/', &name);
    if (!span_eq(b->pool, l->pool)) {
        warn_left(l);
        l->pool = b->pool;
        l->touched = false;
        l->all = l->active = l->usable = 0;
    }
    bool sited = span_starts(l->target, SPAN("site:"));
    l->touched |= sited ? span_eq(site, b->site) : span_eq(name, b->pool);
    l->all++;
    l->active += b->admin == ENDPOINT_ACTIVE;
    l->usable += b->admin == ENDPOINT_ACTIVE && b->health == ENDPOINT_UP && b->out_ms == 0;
}

/* Nobody is kept from it: it may be what is wanted, and a script must not stop half way. */
static void warn_empty(struct call *c, struct span target)
{
    struct left left = {.call = c, .target = target};
    if (c->admin->ops->backends == NULL)
        return;
    c->admin->ops->backends(c->admin->ctx, SPAN_NONE, look_left, &left);
    warn_left(&left);
    if (left.warned)
        json_array_end(c->out);
}

static enum err set_admin(struct call *c, enum endpoint_admin to)
{
    size_t count = 0;
    struct span target = need_text(c, "backend");
    if (target.p == NULL) {
        return ERR_SYNTAX;
    }
    if (c->admin->ops->set_admin == NULL) {
        return ERR_UNSUPPORTED;
    }
    enum err e = c->admin->ops->set_admin(c->admin->ctx, target, to, &count);
    e = acted(c, e, target, 0, count);
    if (e == ERR_OK && to != ENDPOINT_ACTIVE)
        warn_empty(c, target);
    return e;
}

static enum err run_drain(struct call *c)
{
    return set_admin(c, ENDPOINT_DRAIN);
}

static enum err run_enable(struct call *c)
{
    return set_admin(c, ENDPOINT_ACTIVE);
}

static enum err run_maintenance(struct call *c)
{
    return set_admin(c, ENDPOINT_MAINT);
}

static enum err run_weight(struct call *c)
{
    size_t count = 0;
    uint64_t weight = 0;
    struct span target = need_text(c, "backend");
    const struct json_value *v = json_get(c->ask, "weight");
    if (target.p == NULL) {
        return ERR_SYNTAX;
    }
    if (v == NULL || v->type != JSON_NUMBER || span_u64(v->text, &weight) != ERR_OK || weight < 1 ||
        weight > 1000) {
        buf_put_str(c->message, "the weight must be a whole number from 1 to 1000");
        return ERR_RANGE;
    }
    if (c->admin->ops->set_weight == NULL) {
        return ERR_UNSUPPORTED;
    }
    enum err e = c->admin->ops->set_weight(c->admin->ctx, target, (uint32_t)weight, &count);
    return acted(c, e, target, (uint32_t)weight, count);
}

static enum err run_reset(struct call *c)
{
    size_t count = 0;
    struct span target = need_text(c, "backend");
    if (target.p == NULL) {
        return ERR_SYNTAX;
    }
    if (c->admin->ops->reset == NULL) {
        return ERR_UNSUPPORTED;
    }
    enum err e = c->admin->ops->reset(c->admin->ctx, target, &count);
    return acted(c, e, target, 0, count);
}

static enum err start_job(struct call *c, void (*op)(void *ctx, struct admin_job *job))
{
    if (op == NULL) {
        return ERR_UNSUPPORTED;
    }
    struct admin_job *job = job_new(c->admin, c->asker, c->command);
    if (job == NULL) {
        return ERR_NO_MEMORY;
    }
    op(c->admin->ctx, job);
    return ERR_AGAIN;
}

static enum err run_reload(struct call *c)
{
    return start_job(c, c->admin->ops->reload);
}

static enum err run_connections(struct call *c)
{
    return start_job(c, c->admin->ops->connections);
}

static enum err run_stop(struct call *c)
{
    if (c->admin->ops->stop == NULL) {
        return ERR_UNSUPPORTED;
    }
    bool now = json_get_bool(c->ask, "now");
    log_event(c->admin->log, LOG_INFO, "operator", "command=stop now=%s", now ? "true" : "false");
    c->admin->ops->stop(c->admin->ctx, now);
    return ERR_OK;
}

static enum err run_log_level(struct call *c)
{
    enum log_level level;
    struct span text = need_text(c, "level");
    if (text.p == NULL) {
        return ERR_SYNTAX;
    }
    if (!log_level_parse(text, &level)) {
        struct near near = near_to(text);
        for (int i = LOG_ERROR; i <= LOG_DEBUG; i++)
            near_offer(&near, span_str(log_level_name((enum log_level)i)));
        buf_put_str(c->message, "the level must be error, warn, info or debug");
        near_put(&near, c->message);
        return ERR_RANGE;
    }
    if (c->admin->ops->set_log_level == NULL) {
        return ERR_UNSUPPORTED;
    }
    c->admin->ops->set_log_level(c->admin->ctx, level);
    return ERR_OK;
}

/* "headers": [["Name", "value"], …] */
static enum err read_headers(struct call *c, struct admin_explain_ask *ask)
{
    const struct json_value *all = json_get(c->ask, "headers");
    if (all == NULL) {
        return ERR_OK;
    }
    if (all->type != JSON_ARRAY || all->count > HEADERS_MOST) {
        buf_put_str(c->message, "\"headers\" must be an array of at most 64 pairs");
        return ERR_SYNTAX;
    }
    struct admin_header *headers = arena_zero(c->arena, (all->count + 1) * sizeof *headers);
    if (headers == NULL) {
        return ERR_NO_MEMORY;
    }
    ask->headers = headers;
    for (const struct json_value *pair = all->first; pair != NULL; pair = pair->next) {
        if (pair->type != JSON_ARRAY || pair->count != 2 || pair->first->type != JSON_STRING ||
            pair->first->next->type != JSON_STRING) {
            buf_put_str(c->message, "each of \"headers\" must be a pair of strings");
            return ERR_SYNTAX;
        }
        headers[ask->header_count++] = (struct admin_header){
            .name = pair->first->text,
            .value = pair->first->next->text,
        };
    }
    return ERR_OK;
}

static enum err run_explain(struct call *c)
{
    struct span method = json_get_text(c->ask, "method");
    struct admin_explain_ask ask = {
        .client = need_text(c, "client"),
        .url = SPAN_NONE,
        .method = method.n > 0 ? method : SPAN("GET"),
    };
    if (ask.client.p == NULL || (ask.url = need_text(c, "url")).p == NULL) {
        return ERR_SYNTAX;
    }
    if (c->admin->ops->explain == NULL) {
        return ERR_UNSUPPORTED;
    }
    enum err e = read_headers(c, &ask);
    struct admin_explain *found = arena_zero(c->arena, sizeof *found);
    if (e == ERR_OK && found == NULL) {
        e = ERR_NO_MEMORY;
    }
    if (e == ERR_OK) {
        e = c->admin->ops->explain(c->admin->ctx, &ask, found, c->message);
    }
    if (e == ERR_OK) {
        show_explain(c->out, found);
    }
    return e;
}

static enum err run_geo(struct call *c)
{
    struct admin_geo found = {.pool_count = 0};
    struct span ip = need_text(c, "address");
    if (ip.p == NULL) {
        return ERR_SYNTAX;
    }
    if (c->admin->ops->geo == NULL) {
        return ERR_UNSUPPORTED;
    }
    enum err e = c->admin->ops->geo(c->admin->ctx, ip, &found, c->message);
    if (e == ERR_OK) {
        json_span(c->out, "address", ip);
        show_geo(c->out, &found);
    }
    return e;
}

static const struct {
    const char *name;
    enum err (*run)(struct call *c);
} commands[] = {
    {"status", run_status},
    {"pools", run_pools},
    {"backends", run_backends},
    {"routes", run_routes},
    {"certificates", run_certificates},
    {"database", run_database},
    {"map", run_map},
    {"connections", run_connections},
    {"drain", run_drain},
    {"enable", run_enable},
    {"maintenance", run_maintenance},
    {"weight", run_weight},
    {"reset", run_reset},
    {"reload", run_reload},
    {"explain", run_explain},
    {"geo", run_geo},
    {"log-level", run_log_level},
    {"stop", run_stop},
};

static enum err run_named(struct call *c)
{
    struct span name = json_get_text(c->ask, "command");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (!span_eq(name, span_str(commands[i].name))) {
            continue;
        }
        c->command = commands[i].name;
        json_bool(c->out, "ok", true);
        json_str(c->out, "command", c->command);
        return commands[i].run(c);
    }
    buf_put_str(c->message, "no such command");
    return ERR_NOT_FOUND;
}

enum err command_run(struct admin *a, struct asker *asker, struct span line, struct buf *out)
{
    char text[2048];
    struct buf message;
    struct arena arena;
    struct json j;
    struct call c = {a, asker, NULL, NULL, &arena, &j, &message};
    buf_fixed(&message, text, sizeof text);
    arena_init(&arena, NULL, KIB(16), ARENA_MOST);
    json_init(&j, out);
    json_object(&j, NULL);
    enum err e = json_read(line, &arena, &c.ask);
    if (e == ERR_OK) {
        e = run_named(&c);
    } else {
        buf_put_str(&message, "the request must be one JSON object on one line");
    }
    json_object_end(&j);
    if (e == ERR_OK && out->failed) {
        e = ERR_NO_MEMORY;
    }
    if (e != ERR_OK && e != ERR_AGAIN) {
        answer_error(out, c.command, e, buf_span(&message));
    }
    arena_reset(&arena);
    return e;
}
