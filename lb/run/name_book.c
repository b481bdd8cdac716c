#include "run/name_book.h"

#include "base/mem.h"
#include "run/sockets.h"

void name_book_init(struct name_book *n)
{
    list_init(&n->all);
}

void name_book_fini(struct name_book *n)
{
    list_each (e, &n->all) {
        list_remove(e);
        mem_free(container_of(e, struct name_known, link));
    }
}

static struct name_known *known_of(const struct name_book *n, struct span host)
{
    for (struct link *e = n->all.next; e != &n->all; e = e->next) {
        struct name_known *k = container_of(e, struct name_known, link);
        if (span_eq_nocase(span_str(k->is.host), host))
            return k;
    }
    return NULL;
}

enum err name_book_take(struct name_book *n, const struct name_news *news)
{
    struct name_known *k = known_of(n, span_str(news->host));
    if (k == NULL) {
        k = mem_alloc(sizeof *k);
        if (k == NULL)
            return ERR_NO_MEMORY;
        list_init(&k->link);
        list_append(&n->all, &k->link);
    }
    k->is = *news;
    return ERR_OK;
}

size_t name_book_find(const struct name_book *n, struct span host, const struct name_address **out)
{
    const struct name_known *k = known_of(n, host);
    *out = k != NULL ? k->is.addrs : NULL;
    return k != NULL ? k->is.count : 0;
}

static bool has_wish(const struct name_plan *plan, struct span host)
{
    for (struct link *e = plan->wishes.next; e != &plan->wishes; e = e->next) {
        if (span_eq_nocase(span_str(container_of(e, struct name_wish, link)->host), host))
            return true;
    }
    return false;
}

static enum err wish(struct name_book *n, struct name_plan *plan, const struct conf_address *a)
{
    struct span host = a->path;
    struct name_known *k = known_of(n, host);
    if (k != NULL)
        k->wanted = true;
    if (host.n > RESOLVE_NAME_MOST || has_wish(plan, host))
        return ERR_OK;
    struct name_wish *w = mem_alloc(sizeof *w);
    if (w == NULL)
        return ERR_NO_MEMORY;
    memcpy(w->host, host.p, host.n);
    w->host[host.n] = '\0';
    w->service = a->family == CONF_SERVICE;
    list_init(&w->link);
    list_append(&plan->wishes, &w->link);
    return ERR_OK;
}

static enum err wish_all(struct name_book *n, struct name_plan *plan, const struct conf *conf)
{
    enum err e = ERR_OK;
    for (size_t p = 0; e == ERR_OK && p < conf->pool_count; p++) {
        const struct conf_pool *pool = &conf->pools[p];
        for (size_t i = 0; e == ERR_OK && i < pool->backend_count; i++) {
            if (conf_address_is_name(&pool->backends[i].address))
                e = wish(n, plan, &pool->backends[i].address);
        }
    }
    return e;
}

char *name_book_servers(const struct conf *conf)
{
    struct buf text;
    char at[ADDR_TEXT];
    struct addr a;
    buf_init(&text, KIB(4));
    for (size_t i = 0; i < conf->name_server_count; i++) {
        sockets_addr(&conf->name_servers[i], &a);
        size_t n = addr_print(&a, at);
        buf_printf(&text, "%s%.*s", i == 0 ? "" : ",", (int)n, at);
    }
    char *copy = text.failed ? NULL : mem_copy_str(text.p != NULL ? text.p : "", buf_len(&text));
    buf_fini(&text);
    return copy;
}

static void forget_unwanted(struct name_book *n)
{
    list_each (e, &n->all) {
        struct name_known *k = container_of(e, struct name_known, link);
        if (!k->wanted) {
            list_remove(e);
            mem_free(k);
        }
    }
}

enum err name_book_plan(struct name_book *n, const struct conf *conf, struct name_plan **out)
{
    struct name_plan *plan = mem_alloc(sizeof *plan);
    *out = plan;
    if (plan == NULL)
        return ERR_NO_MEMORY;
    list_init(&plan->wishes);
    for (struct link *e = n->all.next; e != &n->all; e = e->next)
        container_of(e, struct name_known, link)->wanted = false;
    plan->servers = name_book_servers(conf);
    enum err e = plan->servers != NULL ? wish_all(n, plan, conf) : ERR_NO_MEMORY;
    if (e == ERR_OK)
        forget_unwanted(n);
    else
        name_plan_free(out);
    return e;
}

void name_plan_free(struct name_plan **plan)
{
    struct name_plan *p = *plan;
    *plan = NULL;
    if (p == NULL)
        return;
    list_each (e, &p->wishes) {
        list_remove(e);
        mem_free(container_of(e, struct name_wish, link));
    }
    mem_free(p->servers);
    mem_free(p);
}
