/* Answers that send the client elsewhere: to https, or to the site that is best for it. Targets
 * come from the configuration and from the host that routes name, never from the request alone
 * (H17). */
#include "proxy/exchange_impl.h"
#include "proxy/redirect.h"

/* H17: the host is one that passed host_parse and that routes name, and the path begins with
 * exactly one slash. */
void exchange_redirect_to_https(struct exchange *x)
{
    const struct request *r = x->request;
    struct span path;
    if (!route_knows(x->edition->policy->table, r->host)) {
        exchange_fail(x, ERR_NO_ROUTE);
        return;
    }
    if (r->host.n == 0 || !redirect_path(r, &path)) {
        exchange_fail(x, ERR_BAD_HOST);
        return;
    }
    uint16_t port = x->client->listener->https_port;
    char port_text[8] = "";
    if (port != 443 && port != 0) {
        port_text[0] = ':';
        size_t n = u64_print(port_text + 1, port);
        port_text[1 + n] = '\0';
    }
    char *to =
        arena_printf(x->front->arena, "https://%.*s%s/%.*s%s%.*s", SPAN_FMT(r->host), port_text,
                     SPAN_FMT(path), r->query.p != NULL ? "?" : "", SPAN_FMT(r->query));
    if (to == NULL) {
        exchange_fail(x, ERR_NO_MEMORY);
        return;
    }
    exchange_answer_redirect(x, 308, span_str(to), false);
}

static enum err choose_site(struct exchange *x, uint32_t *site)
{
    struct edition_pool *ep = &x->edition->pools[x->pool->index];
    int64_t now_ms = loop_now_ms(x->proxy->loop);
    uint64_t sites;
    if (redirect_arrived(x->pool, x->request))
        return ERR_REDIRECT_LOOP;
    enum err e = exchange_sites(x, &sites);
    if (e != ERR_OK)
        return e;
    pool_view_refresh(ep->view, now_ms);
    struct pick_request req = {
        .view = ep->view,
        .distance_ms =
            x->origin != NULL ? origin_distances(x->origin, x->edition->policy, x->pool) : NULL,
        .allowed = sites,
        .now_ms = now_ms,
        .dice = pick_dice_rng(&x->proxy->rng),
        .explain = x->edition->policy->log_decisions ? &x->proxy->terms : NULL,
    };
    e = pick_site(&req, site);
    if (e != ERR_OK)
        return e;
    exchange_keep_decision(x, &req);
    if (req.distance_ms != NULL)
        x->distance_ms = req.distance_ms[*site];
    return ERR_OK;
}

void exchange_redirect_to_site(struct exchange *x)
{
    struct arena *arena = x->front->arena;
    struct span to;
    uint32_t site = 0;
    enum err e = choose_site(x, &site);
    if (e == ERR_OK)
        e = redirect_location(&x->pool->targets[site], x->request, arena, &to);
    if (e != ERR_OK) {
        exchange_fail(x, e);
        return;
    }
    x->last_site = arena_copy(arena, span_str(x->pool->pick->sites[site].name));
    exchange_answer_redirect(x, x->pool->redirect_status, to, true);
}
