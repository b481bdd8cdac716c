#include "proxy/coding.h"

const struct coding_ops *coding_ops(enum coding c)
{
    static const struct coding_ops *const all[CODING_COUNT] = {[CODING_ZSTD] = &coding_zstd,
                                                               [CODING_BROTLI] = &coding_brotli,
                                                               [CODING_GZIP] = &coding_gzip};
    return all[c];
}

#define NOT_NAMED (-1)

/* "0.5" as 500: a weight of up to three digits, 1000 where it is none. */
static int weight_of(struct span value)
{
    int weight = 0, scale = 1000;
    if (value.n == 0 || value.n > 5 || (value.p[0] != '0' && value.p[0] != '1'))
        return 1000;
    if (value.p[0] == '1')
        return 1000;
    for (size_t i = 2; i < value.n && ascii_digit(value.p[i]); i++) {
        scale /= 10;
        weight += (value.p[i] - '0') * scale;
    }
    return weight;
}

static int quality(struct span parameters)
{
    struct span one, name;
    while (parameters.n > 0) {
        parameters = span_cut(parameters, ';', &one);
        struct span value = span_trim(span_cut(span_trim(one), '=', &name));
        if (span_eq_nocase(span_trim(name), SPAN("q")))
            return weight_of(value);
    }
    return 1000;
}

struct wishes {
    int of[CODING_COUNT];
    int identity, others;
};

static void wish(struct wishes *w, struct span coding, int weight)
{
    if (span_eq_nocase(coding, SPAN("x-gzip")))
        w->of[CODING_GZIP] = weight;
    for (int i = 0; i < CODING_COUNT; i++)
        if (span_eq_nocase(coding, span_str(coding_ops((enum coding)i)->name)))
            w->of[i] = weight;
    if (span_eq_nocase(coding, SPAN("identity")))
        w->identity = weight;
    if (span_eq(coding, SPAN("*")))
        w->others = weight;
}

static enum coding best_of(const struct wishes *w)
{
    enum coding best = CODING_COUNT;
    int most = w->identity != NOT_NAMED ? w->identity : 0;
    for (int i = 0; i < CODING_COUNT; i++) {
        int weight = w->of[i];
        if (weight == NOT_NAMED && i == CODING_GZIP)
            weight = w->others; /* "*" means the one that everybody knows */
        bool better = best == CODING_COUNT ? weight >= most && weight > 0 : weight > most;
        if (coding_ops((enum coding)i)->library == NULL || !better)
            continue;
        best = (enum coding)i;
        most = weight;
    }
    return best;
}

enum coding coding_accepted(const struct fields *f)
{
    struct wishes w = {.identity = NOT_NAMED, .others = NOT_NAMED};
    for (int i = 0; i < CODING_COUNT; i++)
        w.of[i] = NOT_NAMED;
    for (size_t i = 0; i < f->n; i++) {
        struct span rest = f->v[i].value, item, coding;
        if (f->v[i].id != FIELD_ACCEPT_ENCODING)
            continue;
        while (rest.n > 0) {
            rest = span_cut(rest, ',', &item);
            struct span parameters = span_cut(item, ';', &coding);
            wish(&w, span_trim(coding), quality(parameters));
        }
    }
    return best_of(&w);
}
