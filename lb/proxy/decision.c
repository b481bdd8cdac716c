#include "proxy/decision.h"

#include "base/limits.h"

static void put_name(struct buf *out, const char *key, struct span value)
{
    buf_printf(out, "{\"%s\":", key);
    buf_put_json(out, value, LIMIT_LOG_FIELD);
}

static void put_site(struct buf *out, struct span name, const struct pick_site_terms *s)
{
    put_name(out, "site", name);
    buf_printf(out, ",\"verdict\":\"%s\",\"cost_ms\":%.2f,\"distance_ms\":%.2f,\"load_ms\":%.2f",
               pick_verdict_name(s->verdict), s->cost_ms, s->distance_ms, s->load_ms);
    buf_printf(out, ",\"recent_ms\":%.2f,\"normal_ms\":%.2f,\"inflight_at_dispatch\":%.2f", s->t_ms,
               s->n_ms, s->a);
    buf_printf(out, ",\"inflight\":%u,\"usable\":%u,\"weight\":%llu}", s->inflight, s->usable,
               (unsigned long long)s->weight);
}

static void put_sites(const struct pick_explain *terms, const struct pick_pool *pool,
                      struct buf *out)
{
    uint32_t shown = 0;
    buf_put_str(out, ",\"sites\":[");
    for (uint32_t i = 0; i < terms->site_count; i++) {
        bool chosen = terms->sites[i].verdict == PICK_CHOSEN;
        if (shown >= DECISION_SITES && !chosen)
            continue;
        buf_put_str(out, shown++ > 0 ? "," : "");
        put_site(out, span_str(pool->sites[i].name), &terms->sites[i]);
    }
    buf_printf(out, "],\"sites_left\":%u", terms->site_count - shown);
}

static void put_candidates(const struct pick_explain *terms, struct buf *out)
{
    buf_put_str(out, ",\"candidates\":[");
    for (uint32_t i = 0; i < terms->candidate_count; i++) {
        const struct pick_candidate *c = &terms->candidates[i];
        buf_put_str(out, i > 0 ? "," : "");
        put_name(out, "backend", c->endpoint->backend);
        buf_printf(out, ",\"inflight\":%u,\"weight\":%u,\"verdict\":\"%s\"}", c->inflight,
                   c->weight, pick_verdict_name(c->verdict));
    }
    buf_put_str(out, "]");
}

/* Where earlier attempts of the request have failed. */
static void put_tried(const struct pick_request *asked, struct buf *out)
{
    buf_put_str(out, ",\"tried\":[");
    for (size_t i = 0; i < asked->tried_count; i++) {
        buf_put_str(out, i > 0 ? "," : "");
        buf_put_json(out, asked->tried[i]->backend, LIMIT_LOG_FIELD);
    }
    buf_put_str(out, "]");
}

void decision_put(const struct pick_request *asked, struct buf *out)
{
    const struct pick_explain *terms = asked->explain;
    buf_printf(out,
               "{\"algorithm\":\"%s\",\"mode\":\"%s\",\"backup\":%s,\"rank\":%u,\"stuck\":%s,"
               "\"base_ms\":%.2f",
               pick_algorithm_name(terms->algorithm), pick_mode_name(terms->mode),
               terms->tier != 0 ? "true" : "false", terms->tier, terms->stuck ? "true" : "false",
               terms->base_ms);
    put_sites(terms, asked->view->pool, out);
    put_candidates(terms, out);
    put_tried(asked, out);
    buf_put_char(out, '}');
}
