/* schema_hedge: keys of `hedge` of a pool. */
#include "conf/reader.h"

#define AFTER_PERCENT_LEAST 50
#define AFTER_PERCENT_MOST  99
#define AFTER_MS_MOST       60000

/* The field as a number of one kind. */
static struct schema_field part_of(const struct schema_field *f, bool share)
{
    struct schema_field part = *f;
    part.type = share ? &type_percent : &type_duration;
    part.least = share ? AFTER_PERCENT_LEAST : 1;
    part.most = share ? AFTER_PERCENT_MOST : AFTER_MS_MOST;
    return part;
}

static void after_preset(const struct schema_field *f, void *at)
{
    ((struct conf_after *)at)->percent = f->initial;
}

static void after_read(struct reader *r, const struct schema_field *f, const struct node *n,
                       void *at)
{
    struct conf_after after = {0};
    struct span s;
    if (!reader_scalar(r, n, f->type->allowed, &s))
        return;
    bool share = s.n > 0 && s.p[s.n - 1] == '%';
    if (!share && (s.n < 2 || !ascii_digit(s.p[0]) || ascii_digit(s.p[s.n - 1]))) {
        reader_must_be(r, n, f->type->allowed);
        return;
    }
    struct schema_field part = part_of(f, share);
    part.type->read(r, &part, n, share ? &after.percent : &after.ms);
    if (after.percent + after.ms != 0)
        memcpy(at, &after, sizeof after);
}

static void after_write(struct writer *w, const struct schema_field *f, const void *at)
{
    const struct conf_after *after = at;
    struct schema_field part = part_of(f, after->ms == 0);
    part.type->write(w, &part, after->ms == 0 ? &after->percent : &after->ms);
}

const struct schema_type type_after = {
    .name = "duration or ratio",
    .allowed = "a duration such as 100ms, or a whole percentage such as 95%",
    .preset = after_preset,
    .read = after_read,
    .write = after_write,
};

static const struct schema_field hedge_fields[] = {
    {.key = "after",
     .type = &type_after,
     .offset = offsetof(struct conf_hedge, after),
     .initial = 95,
     .help = "When the second server is asked: after this time (1ms to 60s), or after the time in "
             "which this share (50% to 99%) of the pool's recent answers have come."},
    {.key = "budget",
     .type = &type_percent,
     .offset = offsetof(struct conf_hedge, budget_percent),
     .initial = 5,
     .least = 1,
     .most = 100,
     .help = "Second attempts as a share of the pool's requests of the last 10 s; at least one in "
             "that time and worker."},
};

const struct schema_map schema_hedge = {SCHEMA_FIELDS(hedge_fields), .optional = true};
