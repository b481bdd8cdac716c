#include "run/balancer.h"

#include "base/mem.h"
#include "run/stamp.h"

#define AGAIN_TICKS 300 /* until what was refused is tried again though nothing changed */
#define GEO         SIZE_MAX

/* Unlike any file, and unlike none. */
static const struct stamp never = {.bytes = -1};

struct watch_file {
    const char *path; /* borrowed from the configuration */
    size_t listener;  /* GEO: a database */
    struct stamp tried, seen;
};

/* One look, and what came of it. */
struct watch_look {
    /* asked */
    struct watch *watch;
    struct material_share *of; /* counted */
    struct geo_share *geo;     /* counted; NULL: none */
    struct log *log;
    /* given */
    struct material *made; /* NULL: no memory */
    bool any;              /* something new is in it */
    unsigned certs_good, certs_bad, geo_good, geo_bad;
};

/* ---- on the helper's thread ---- */

/* Whether a file of the listener (or of the databases) is another one than was read, and all of
 * them have come to rest. */
static bool due(const struct watch *w, size_t listener)
{
    bool changed = false;
    for (size_t i = 0; i < w->file_count; i++) {
        const struct watch_file *f = &w->files[i];
        if (f->listener != listener)
            continue;
        struct stamp now = stamp_of(f->path);
        if (!stamp_eq(&now, &f->seen))
            return false;
        changed = changed || !stamp_eq(&now, &f->tried);
    }
    return changed;
}

static void look_again(struct watch *w, size_t listener, bool tried)
{
    for (size_t i = 0; i < w->file_count; i++) {
        struct watch_file *f = &w->files[i];
        if (f->listener != listener)
            continue;
        if (tried)
            f->tried = f->seen;
        else
            f->seen = stamp_of(f->path);
    }
}

/* A material of the same configuration, with nothing new yet. */
static struct material *same_again(const struct watch_look *k)
{
    struct material *m = mem_alloc(sizeof *m);
    const struct material *of = &k->of->what;
    if (m == NULL)
        return NULL;
    m->workers = of->workers;
    m->tickets = of->tickets;
    m->fronts = mem_array(of->conf->listener_count, sizeof *m->fronts);
    m->geo_kept = true;
    buf_init(&m->messages, 1);
    if (m->fronts != NULL)
        return m;
    mem_free(m);
    return NULL;
}

static void renew_fronts(struct watch_look *k, struct material *m, bool *any)
{
    const struct material *of = &k->of->what;
    for (size_t i = 0; i < of->conf->listener_count; i++) {
        bool ready = of->fronts[i].servers != NULL && due(k->watch, i);
        look_again(k->watch, i, ready);
        if (ready &&
            material_front_renew(of, i, k->log, &m->fronts[i], &k->certs_good, &k->certs_bad))
            *any = true;
    }
}

/* Listeners without news go on with what they have. */
static bool share_fronts(const struct watch_look *k, struct material *m)
{
    const struct material *of = &k->of->what;
    for (size_t i = 0; i < of->conf->listener_count; i++) {
        if (m->fronts[i].servers == NULL && !material_front_share(of, i, &m->fronts[i]))
            return false;
    }
    return true;
}

static void renew_geo(struct watch_look *k, struct material *m, bool *any)
{
    const char *paths[LIMIT_GEO_FILES];
    const struct conf *conf = k->of->what.conf;
    struct buf said;
    bool ready = k->geo != NULL && due(k->watch, GEO);
    look_again(k->watch, GEO, ready);
    if (!ready || !geo_changed(k->geo->db))
        return;
    size_t n = conf->database_count < LIMIT_GEO_FILES ? conf->database_count : LIMIT_GEO_FILES;
    for (size_t i = 0; i < n; i++)
        paths[i] = conf->databases[i].s.p;
    buf_init(&said, KIB(16));
    enum err e = geo_open(paths, n, &m->geo, &said);
    if (e == ERR_OK) {
        m->geo_kept = false;
        *any = true;
        k->geo_good++;
        log_event(k->log, LOG_INFO, "geo-read", "databases=%zu", n);
    } else {
        k->geo_bad++;
        log_event(k->log, LOG_ERROR, "geo-refused",
                  "reason=%s effect=\"the present one stays; tried again when a file changes\"",
                  LOG_QUOTE(buf_span(&said)));
    }
    buf_fini(&said);
}

static void look(void *arg)
{
    struct watch_look *k = arg;
    k->made = same_again(k);
    if (k->made == NULL)
        return;
    renew_fronts(k, k->made, &k->any);
    renew_geo(k, k->made, &k->any);
    if (k->any && !share_fronts(k, k->made)) {
        log_event(k->log, LOG_ERROR, "files-not-taken", "reason=no-memory");
        k->any = false;
    }
}

/* ---- on the main thread ---- */

static void add_file(struct watch *w, const char *path, size_t listener, struct stamp tried)
{
    if (path != NULL)
        w->files[w->file_count++] =
            (struct watch_file){.path = path, .listener = listener, .tried = tried, .seen = tried};
}

static void add_front(struct watch *w, const struct material *of, size_t i)
{
    const struct conf_listener *l = &of->conf->listeners[i];
    const struct stamp *read = of->fronts[i].stamps;
    for (size_t k = 0; k < l->tls.certificate_count; k++) {
        add_file(w, l->tls.certificates[k].chain.s.p, i, read[2 * k]);
        add_file(w, l->tls.certificates[k].key.s.p, i, read[2 * k + 1]);
    }
    if (l->tls.set)
        add_file(w, l->tls.client_ca.s.p, i, read[2 * l->tls.certificate_count]);
}

static void forget(struct watch *w)
{
    mem_free(w->files);
    w->files = NULL;
    w->file_count = 0;
    material_share_put(&w->of);
}

/* Another configuration was published: other files. False: no memory, or nothing to look at. */
static bool follow(struct watch *w, struct material_share *of)
{
    const struct conf *conf = of->what.conf;
    size_t n = conf->database_count;
    if (w->of == of)
        return w->file_count != 0;
    forget(w);
    for (size_t i = 0; i < conf->listener_count; i++)
        n += material_front_files(&conf->listeners[i]);
    w->files = mem_array(n + 1, sizeof *w->files);
    if (w->files == NULL)
        return false;
    w->of = of;
    of->refs++;
    w->again = 0;
    w->expiry_checked_s = 0;
    for (size_t i = 0; i < conf->listener_count; i++)
        add_front(w, &of->what, i);
    for (size_t i = 0; i < conf->database_count; i++)
        add_file(w, conf->databases[i].s.p, GEO, never);
    return w->file_count != 0;
}

/* F28: told once, when it happens, and for each at the start. */
static void tell_expired(struct balancer *b)
{
    int64_t now_s = clock_wall_ns() / NS_PER_S;
    for (size_t i = 0; i < b->current->listener_count; i++) {
        const struct material_front *f = &b->current->fronts[i];
        for (size_t k = 0; k < f->cert_count; k++) {
            int64_t at_s = tls_cert_expires(f->certs[k]);
            if (at_s > b->watch.expiry_checked_s && at_s <= now_s)
                log_event(b->log, LOG_ERROR, "certificate-expired",
                          "chain=%s effect=\"it is served, and clients refuse it\"",
                          LOG_QUOTE(b->current->conf->listeners[i].tls.certificates[k].chain.s));
        }
    }
    b->watch.expiry_checked_s = now_s;
}

/* What is made of the present material lives on its configuration. */
static void lean_on(struct material *m, struct material_share *of)
{
    m->conf = of->what.conf;
    m->clients = of->what.clients;
    m->pages = of->what.pages;
    m->sticky_keys = of->what.sticky_keys;
    m->admin_token = of->what.admin_token;
    m->base = of->what.base != NULL ? of->what.base : of;
    m->base->refs++;
}

static void free_look(struct watch_look **kp)
{
    struct watch_look *k = *kp;
    *kp = NULL;
    if (k == NULL)
        return;
    if (k->made != NULL) {
        lean_on(k->made, k->of);
        material_fini(k->made);
        mem_free(k->made);
    }
    geo_share_put(&k->geo);
    material_share_put(&k->of);
    mem_free(k);
}

static void begin(struct balancer *b)
{
    struct watch_look *k = mem_alloc(sizeof *k);
    if (k == NULL)
        return;
    *k = (struct watch_look){
        .watch = &b->watch, .of = b->watch.of, .geo = b->current->geo, .log = b->log};
    k->of->refs++;
    if (k->geo != NULL)
        k->geo->refs++;
    if (helper_do(b->watch.helper, look, k))
        b->watch.looking = k;
    else
        free_look(&k);
}

/* What was refused is tried once more after a while: the reason may have been a passing one. */
static void try_again(struct watch *w)
{
    if (w->again == 0 || --w->again != 0)
        return;
    for (size_t i = 0; i < w->file_count; i++)
        w->files[i].tried = never;
}

static void finish(struct balancer *b);

void watch_tick(struct balancer *b)
{
    struct watch *w = &b->watch;
    if (w->looking != NULL || b->loading != NULL || b->draining != 0)
        return;
    if (w->found != NULL)
        finish(b);
    if (!follow(w, b->current->material))
        return;
    if (w->helper == NULL && helper_new(&b->box, MAIN_WATCHED, &w->helper) != ERR_OK)
        return;
    tell_expired(b);
    try_again(w);
    begin(b);
}

/* The same configuration with the new files; the present list of files stays good for it. */
static void publish(struct balancer *b, struct watch_look *k)
{
    struct watch *w = &b->watch;
    struct buf messages;
    lean_on(k->made, k->of);
    buf_init(&messages, KIB(64));
    enum err e = balancer_publish(b, k->made, &messages);
    material_fini(k->made);
    mem_free(k->made);
    k->made = NULL;
    buf_fini(&messages);
    if (e != ERR_OK) {
        log_event(b->log, LOG_ERROR, "files-not-taken", "reason=%s", err_name(e));
        w->again = 1;
        return;
    }
    material_share_put(&w->of);
    w->of = b->current->material;
    w->of->refs++;
    w->expiry_checked_s = 0;
    log_event(b->log, LOG_INFO, "files-taken", "certificates=%u databases=%u generation=%llu",
              k->certs_good, k->geo_good, (unsigned long long)b->generation);
}

static void finish(struct balancer *b)
{
    struct watch *w = &b->watch;
    struct watch_look *k = w->found;
    w->found = NULL;
    w->certs_good += k->certs_good;
    w->certs_bad += k->certs_bad;
    w->geo_good += k->geo_good;
    w->geo_bad += k->geo_bad;
    if (k->certs_bad + k->geo_bad != 0)
        w->again = AGAIN_TICKS;
    /* After a reload the files have been read anew anyway. */
    if (k->any && k->of == b->current->material && b->draining == 0)
        publish(b, k);
    free_look(&k);
}

void watch_looked(struct balancer *b, struct watch_look *k)
{
    helper_done(b->watch.helper);
    b->watch.looking = NULL;
    b->watch.found = k;
    if (b->loading == NULL)
        finish(b);
}

void watch_fini(struct balancer *b)
{
    struct watch *w = &b->watch;
    helper_free(&w->helper);
    free_look(&w->looking);
    free_look(&w->found);
    forget(w);
}
