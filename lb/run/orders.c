#include "run/orders.h"

#include "base/mem.h"

struct order {
    struct link link;
    struct order_what what;
    char target[];
};

enum err order_target_parse(struct span text, struct order_target *out)
{
    *out = (struct order_target){.pool = SPAN_NONE};
    if (span_starts(text, SPAN("site:"))) {
        out->site = span_sub(text, sizeof "site:" - 1, text.n);
        return out->site.n != 0 ? ERR_OK : ERR_SYNTAX;
    }
    bool whole = span_find(text, '/') == text.n;
    struct span rest = span_cut(text, '/', &out->pool);
    bool all = span_find(rest, '@') == rest.n;
    out->address = span_cut(rest, '@', &out->backend);
    bool good = out->pool.n != 0 && (whole || out->backend.n != 0) && (all || out->address.n != 0);
    return good ? ERR_OK : ERR_SYNTAX;
}

bool order_target_has(const struct order_target *t, struct span pool, struct span site,
                      const struct endpoint *e)
{
    if (t->site.n != 0)
        return span_eq(t->site, site);
    return span_eq(t->pool, pool) && (t->backend.n == 0 || span_eq(t->backend, e->backend)) &&
           (t->address.n == 0 || span_eq(t->address, e->address));
}

void order_apply(const struct order_what *what, struct endpoint *e)
{
    if (what->admin_said)
        (void)endpoint_set_admin(e, what->admin);
    if (what->weight_said)
        endpoint_set_weight(e, what->weight);
}

void orders_init(struct orders *o)
{
    list_init(&o->all);
    o->count = 0;
}

static void drop(struct orders *o, struct link *e)
{
    list_remove(e);
    o->count--;
    mem_free(container_of(e, struct order, link));
}

void orders_fini(struct orders *o)
{
    list_each (e, &o->all)
        drop(o, e);
}

static bool fits(struct span a, struct span b, bool both)
{
    return a.n == 0 || (both && b.n == 0) || span_eq(a, b);
}

/* Whether the one is for all that the other is for. Who is at a site is not known here. */
static bool covers(struct span wide, struct span narrow)
{
    struct order_target w, n;
    if (span_eq(wide, narrow))
        return true;
    return order_target_parse(wide, &w) == ERR_OK && order_target_parse(narrow, &n) == ERR_OK &&
           w.site.n == 0 && n.site.n == 0 && span_eq(w.pool, n.pool) &&
           fits(w.backend, n.backend, false) && fits(w.address, n.address, false);
}

/* Whether both may be for one server. */
static bool meet(struct span a, struct span b)
{
    struct order_target x, y;
    if (order_target_parse(a, &x) != ERR_OK || order_target_parse(b, &y) != ERR_OK)
        return false;
    if (x.site.n != 0 || y.site.n != 0)
        return fits(x.site, y.site, true);
    return span_eq(x.pool, y.pool) && fits(x.backend, y.backend, true) &&
           fits(x.address, y.address, true);
}

/* Whether all that it says is said again. */
static bool outdone(const struct order *old, struct span target, const struct order_what *what)
{
    return covers(target, span_str(old->target)) && (what->admin_said || !old->what.admin_said) &&
           (what->weight_said || !old->what.weight_said);
}

/* What a server that comes is without any word. */
static bool says_nothing(const struct order_what *what)
{
    return (!what->admin_said || what->admin == ENDPOINT_ACTIVE) &&
           (!what->weight_said || what->weight == 0);
}

/* It takes a place only where it contradicts somebody. */
static bool is_needed(const struct orders *o, struct span target, const struct order_what *what)
{
    bool needed = !says_nothing(what);
    for (const struct link *l = o->all.next; l != &o->all && !needed; l = l->next)
        needed = meet(target, span_str(container_of(l, const struct order, link)->target));
    return needed;
}

enum err orders_add(struct orders *o, struct span target, const struct order_what *what)
{
    struct order *new = mem_alloc(sizeof *new + target.n + 1);
    if (new == NULL)
        return ERR_NO_MEMORY;
    list_each (e, &o->all)
        if (outdone(container_of(e, struct order, link), target, what))
            drop(o, e);
    if (!is_needed(o, target, what)) {
        mem_free(new);
        return ERR_OK;
    }
    if (o->count == ORDERS_MOST)
        drop(o, o->all.next);
    new->what = *what;
    memcpy(new->target, target.p, target.n);
    list_init(&new->link);
    list_append(&o->all, &new->link);
    o->count++;
    return ERR_OK;
}

static void greet(const struct orders *o, struct span pool, struct span site, struct endpoint *e)
{
    for (const struct link *l = o->all.next; l != &o->all; l = l->next) {
        const struct order *order = container_of(l, const struct order, link);
        struct order_target t;
        if (order_target_parse(span_str(order->target), &t) == ERR_OK &&
            order_target_has(&t, pool, site, e))
            order_apply(&order->what, e);
    }
}

void orders_greet(const struct orders *o, struct span name, const struct pick_pool *pool,
                  bool sited)
{
    for (uint32_t i = 0; i < pool->member_count; i++) {
        struct endpoint *e = pool->members[i].endpoint;
        struct span site = sited ? span_str(pool->sites[pool->members[i].site].name) : SPAN_NONE;
        if (!e->known)
            greet(o, name, site, e);
        e->known = true;
    }
}

void orders_write(const struct orders *o, struct buf *out)
{
    for (const struct link *l = o->all.next; l != &o->all; l = l->next) {
        const struct order *order = container_of(l, const struct order, link);
        buf_put_str(out, "order ");
        if (order->what.admin_said)
            buf_put_u64(out, order->what.admin);
        else
            buf_put_char(out, '-');
        buf_put_char(out, ' ');
        if (order->what.weight_said)
            buf_put_u64(out, order->what.weight);
        else
            buf_put_char(out, '-');
        buf_printf(out, " %s\n", order->target);
    }
}

/* A number up to most, or "-". */
static bool read_number(struct span word, uint64_t most, bool *said, uint64_t *out)
{
    *out = 0;
    *said = !span_eq(word, SPAN("-"));
    return !*said || (span_u64(word, out) == ERR_OK && *out <= most);
}

void orders_read(struct orders *o, struct span text)
{
    while (text.n != 0) {
        struct span line, kind, admin, weight;
        uint64_t numbers[2];
        struct order_what what;
        struct order_target t;
        text = span_cut(text, '\n', &line);
        struct span rest = span_cut(line, ' ', &kind);
        rest = span_cut(span_cut(rest, ' ', &admin), ' ', &weight);
        if (!span_eq(kind, SPAN("order")) ||
            !read_number(admin, ENDPOINT_MAINT, &what.admin_said, &numbers[0]) ||
            !read_number(weight, PICK_WEIGHT_MOST, &what.weight_said, &numbers[1]) ||
            order_target_parse(rest, &t) != ERR_OK)
            continue;
        what.admin = (enum endpoint_admin)numbers[0];
        what.weight = (uint32_t)numbers[1];
        (void)!orders_add(o, rest, &what); /* without memory it holds for those that are there */
    }
}
