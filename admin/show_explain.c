#include "admin/admin_impl.h"

void show_place(struct json *j, const char *key, const struct admin_place *p)
{
    json_object(j, key);
    json_bool(j, "known", p->known);
    json_span(j, "country", p->country);
    json_span(j, "continent", p->continent);
    json_span(j, "subdivision", p->subdivision);
    if (p->located) {
        json_double(j, "latitude", p->latitude, 4);
        json_double(j, "longitude", p->longitude, 4);
        json_double(j, "radius_km", p->radius_km, 1);
    }
    json_str(j, "source", p->source);
    json_object_end(j);
}

static void show_known(struct json *j, const char *name, struct span text)
{
    if (text.n > 0)
        json_span(j, name, text);
}

static void show_geo_database(struct json *j, const struct admin_geo_database *d)
{
    json_object(j, NULL);
    json_span(j, "path", d->path);
    json_span(j, "type", d->type);
    show_known(j, "network", d->network);
    if (d->network.n > 0) {
        show_place(j, "place", &d->place);
    }
    show_known(j, "city", d->city);
    show_known(j, "asn", d->asn);
    show_known(j, "organization", d->organization);
    json_object_end(j);
}

static void show_geo_pool(struct json *j, const struct admin_geo_pool *p)
{
    json_object(j, NULL);
    json_span(j, "pool", p->pool);
    json_str(j, "distance_from", p->distance_from);
    json_str(j, "outcome", err_name(p->outcome));
    json_array(j, "sites");
    for (size_t i = 0; i < p->site_count; i++) {
        json_object(j, NULL);
        json_span(j, "site", p->sites[i].name);
        json_bool(j, "allowed", p->sites[i].allowed);
        json_double(j, "distance_ms", p->sites[i].distance_ms, 2);
        json_object_end(j);
    }
    json_array_end(j);
    json_object_end(j);
}

void show_geo(struct json *j, const struct admin_geo *g)
{
    show_place(j, "place", &g->place);
    show_known(j, "city", g->city);
    show_known(j, "asn", g->asn);
    show_known(j, "organization", g->organization);
    json_array(j, "databases");
    for (size_t i = 0; i < g->database_count; i++) {
        show_geo_database(j, &g->databases[i]);
    }
    json_array_end(j);
    json_array(j, "pools");
    for (size_t i = 0; i < g->pool_count; i++) {
        show_geo_pool(j, &g->pools[i]);
    }
    json_array_end(j);
    if (g->pools_left > 0) {
        json_u64(j, "pools_left", g->pools_left);
    }
}

static void show_site(struct json *j, struct span name, const struct pick_site_terms *s)
{
    json_object(j, NULL);
    json_span(j, "site", name);
    json_str(j, "verdict", pick_verdict_name(s->verdict));
    json_double(j, "cost_ms", s->cost_ms, 2);
    json_double(j, "distance_ms", s->distance_ms, 2);
    json_double(j, "load_ms", s->load_ms, 2);
    json_double(j, "predicted_ms", s->predicted_ms, 2);
    json_double(j, "recent_ms", s->t_ms, 2);
    json_double(j, "normal_ms", s->n_ms, 2);
    json_double(j, "inflight_at_dispatch", s->a, 2);
    json_u64(j, "samples", s->samples);
    json_u64(j, "inflight", s->inflight);
    json_u64(j, "usable", s->usable);
    json_u64(j, "weight", s->weight);
    json_object_end(j);
}

static void show_candidate(struct json *j, const struct admin_explain *e,
                           const struct pick_candidate *c)
{
    json_object(j, NULL);
    json_span(j, "backend", c->endpoint->backend);
    json_span(j, "address", c->endpoint->address);
    json_span(j, "site", c->site < e->terms.site_count ? e->site_names[c->site] : SPAN_NONE);
    json_u64(j, "inflight", c->inflight);
    json_u64(j, "weight", c->weight);
    json_str(j, "verdict", pick_verdict_name(c->verdict));
    json_object_end(j);
}

static void show_other(struct json *j, const struct admin_explain *e,
                       const struct admin_explain_other *o)
{
    json_object(j, NULL);
    json_span(j, "backend", o->endpoint->backend);
    json_span(j, "address", o->endpoint->address);
    json_span(j, "site", o->site < e->terms.site_count ? e->site_names[o->site] : SPAN_NONE);
    json_u64(j, "inflight", o->inflight);
    json_u64(j, "max_inflight", o->max_inflight);
    json_u64(j, "weight", o->weight);
    json_double(j, "ejected_seconds", (double)o->out_ms / 1000, 3);
    json_str(j, "why", pick_why_name(o->why));
    json_str(j, "why_text", pick_why_text(o->why));
    json_object_end(j);
}

static void show_others(struct json *j, const struct admin_explain *e)
{
    json_array(j, "others");
    for (size_t i = 0; i < e->other_count; i++)
        show_other(j, e, &e->others[i]);
    json_array_end(j);
    json_u64(j, "others_left", e->others_left);
}

static void show_terms(struct json *j, const struct admin_explain *e)
{
    json_str(j, "algorithm", pick_algorithm_name(e->terms.algorithm));
    json_str(j, "mode", pick_mode_name(e->terms.mode));
    json_bool(j, "backup", e->terms.tier != 0);
    json_u64(j, "rank", e->terms.tier);
    json_double(j, "base_ms", e->terms.base_ms, 2);
    json_array(j, "sites");
    for (uint32_t i = 0; i < e->terms.site_count; i++) {
        show_site(j, e->site_names[i], &e->terms.sites[i]);
    }
    json_array_end(j);
    json_array(j, "candidates");
    for (uint32_t i = 0; i < e->terms.candidate_count; i++) {
        show_candidate(j, e, &e->terms.candidates[i]);
    }
    json_array_end(j);
    show_others(j, e);
}

void show_explain(struct json *j, const struct admin_explain *e)
{
    show_place(j, "client", &e->place);
    json_span(j, "route", e->route);
    json_str(j, "action", e->action);
    json_span(j, "pool", e->pool);
    if (e->redirect.n > 0) {
        json_span(j, "redirect", e->redirect);
    }
    json_str(j, "distance_from", e->distance_from);
    if (e->distance_source != NULL) {
        json_str(j, "distance_source", e->distance_source);
    }
    if (e->sticky != NULL) {
        json_str(j, "sticky", e->sticky);
    }
    show_fault(j, &e->fault);
    json_str(j, "outcome", err_name(e->outcome));
    json_str(j, "outcome_text",
             e->outcome == ERR_FULL ? "it would wait: no server has a place free"
                                    : err_phrase(e->outcome));
    if (e->pool.n > 0) {
        show_terms(j, e);
    }
}
