#include "db/lease.h"

#define BRAKE_LEAST 2 /* servers that one read may remove of any pool */

struct judge {
    const struct row_set *set;
    lease_fails fails;
    void *ctx;
    struct span pool; /* that `braked` is about */
    bool known, braked, held;
};

static bool confirmed(const struct judge *j, const struct row *row)
{
    return row->lapsed && j->fails(j->ctx, row);
}

/* More than half of the pool, at least two, and not because of their checks. */
static bool brake(const struct judge *j, struct span pool)
{
    const struct row *rows;
    size_t n = row_set_pool(j->set, pool, &rows), going = 0, by_lease = 0;
    for (size_t i = 0; i < n; i++) {
        bool failed = confirmed(j, &rows[i]);
        going += failed || rows[i].expired;
        by_lease += rows[i].expired && !failed;
    }
    return by_lease > 0 && going >= BRAKE_LEAST && going * 2 > n;
}

/* Written before anything is dropped, so that the brake sees the whole pool. */
static bool goes(struct judge *j, const struct row *row)
{
    if (!j->known || !span_eq(j->pool, row->pool)) {
        j->pool = row->pool;
        j->known = true;
        j->braked = brake(j, row->pool);
        j->held = j->held || j->braked;
    }
    return confirmed(j, row) || (row->expired && !j->braked);
}

/* Its row is still in the table: whoever asks why it serves nobody is told. */
static void note_end(struct row_set *set, const struct row *row, bool failed)
{
    row_set_note(set, row->pool, row->address,
                 failed ? "its lease is over, and its checks fail"
                        : "its lease has been over for ten times its length");
}

struct marks {
    const struct row *first;
    const bool *gone;
};

static bool is_marked(void *ctx, const struct row *row)
{
    const struct marks *m = ctx;
    return m->gone[row - m->first];
}

bool lease_settle(struct lease_book *b, struct row_set *set, int64_t now_ms, lease_fails fails,
                  void *ctx)
{
    struct judge j = {.set = set, .fails = fails, .ctx = ctx};
    int64_t longest_ms = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (set->rows[i].ttl_ms > longest_ms)
            longest_ms = set->rows[i].ttl_ms;
    }
    if (set->after_gap)
        b->ignore_until_ms = now_ms + longest_ms;
    bool *gone = arena_zero(&set->arena, set->count + 1);
    b->suspects = 0;
    if (gone == NULL || now_ms < b->ignore_until_ms)
        return false;
    for (size_t i = 0; i < set->count; i++) {
        gone[i] = goes(&j, &set->rows[i]);
        if (gone[i])
            note_end(set, &set->rows[i], confirmed(&j, &set->rows[i]));
        b->suspects += set->rows[i].lapsed && !gone[i];
    }
    b->brakes += j.held;
    row_set_drop(set, is_marked, &(struct marks){set->rows, gone});
    return j.held;
}
