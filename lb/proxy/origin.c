#include "proxy/origin.h"

#include "base/mem.h"
#include "geo/country.h"
#include "geo/near.h"

void origin_set(struct origin *o, const struct addr *a)
{
    o->addr = *a;
    addr_unmap(&o->addr);
    o->text_size = (uint8_t)addr_print_host(&o->addr, o->text);
    o->geo_generation = 0;
    o->distance_key = 0;
    o->site = 0;
}

struct origin *origin_hold(struct origin *o)
{
    if (o != NULL)
        o->refs++;
    return o;
}

void origin_let_go(struct origin **op)
{
    struct origin *o = *op;
    *op = NULL;
    if (o == NULL || --o->refs != 0)
        return;
    mem_free(o->distance_ms);
    mem_free(o);
}

void origin_place(struct origin *o, const struct policy *policy)
{
    const uint8_t *bytes;
    size_t n = addr_bytes(&o->addr, &bytes);
    if (o->geo_generation == policy->generation)
        return;
    o->geo_generation = policy->generation;
    o->place = (struct place){0};
    if (n != 0 && policy->geo != NULL)
        geo_lookup(policy->geo, n == 4 ? AF_INET : AF_INET6, bytes, &o->place);
    o->country = (uint8_t)country_number(o->place.country);
}

void origin_sent_to(struct origin *o, struct site_state *site)
{
    if (o->site == (uintptr_t)site)
        return;
    o->site = (uintptr_t)site;
    atomic_fetch_add_explicit(&site->clients[o->country], 1, memory_order_relaxed);
}

/* Any address of the family, where the real one is of another. */
static void any_address(sa_family_t family, struct addr *out)
{
    uint16_t port = addr_port(out);
    *out = (struct addr){0};
    out->any.sa_family = family;
    out->len = family == AF_INET ? sizeof out->v4 : sizeof out->v6;
    if (family == AF_INET)
        out->v4.sin_port = htons(port);
    else
        out->v6.sin6_port = htons(port);
}

struct connpool_client origin_announced(const struct origin *o, struct conn *front)
{
    struct connpool_client c = {0};
    const uint8_t *bytes;
    if (o == NULL || addr_bytes(&o->addr, &bytes) == 0)
        return c;
    c.from = o->addr;
    if (front != NULL)
        c.to = *conn_local(front);
    addr_unmap(&c.to);
    if (c.to.len == 0 || c.to.any.sa_family != c.from.any.sa_family)
        any_address(c.from.any.sa_family, &c.to);
    return c;
}

/* Where the distance is measured from; false: nowhere, so every site is equally far. */
static bool point_of(const struct origin *o, const struct policy *policy,
                     struct policy_location *at, double *accuracy_km)
{
    *accuracy_km = 0;
    if (o->place.has_location) {
        *at = (struct policy_location){(double)o->place.latitude, (double)o->place.longitude};
        *accuracy_km = o->place.accuracy_km;
        return true;
    }
    *at = policy->here;
    return policy->has_here;
}

const float *origin_distances(struct origin *o, const struct policy *policy,
                              const struct policy_pool *pool)
{
    uint64_t key = policy->generation << 20 | (pool->index + 1);
    struct policy_location at;
    double accuracy_km;
    if (!pool->from_client || pool->sites == NULL)
        return NULL;
    if (o->distance_key == key)
        return o->distance_ms;
    float *ms = mem_resize(o->distance_ms, pool->pick->site_count * sizeof(float));
    if (ms == NULL)
        return o->distance_key = 0, NULL;
    o->distance_ms = ms;
    o->distance_key = key;
    bool somewhere = point_of(o, policy, &at, &accuracy_km);
    for (uint32_t i = 0; i < pool->pick->site_count; i++) {
        ms[i] = 0;
        if (somewhere)
            ms[i] = (float)near_ms(near_km(at.latitude, at.longitude, pool->sites[i].latitude,
                                           pool->sites[i].longitude),
                                   accuracy_km, pool->pick->knobs.distance_weight);
    }
    return ms;
}
