#include "http/h2_guard.h"

#include "base/limits.h"

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE };
enum { CONTINUATION = 9, END_STREAM = 1, FRAME_HEAD = 9 };

static void give_back(struct h2_bucket *b, int64_t thousandths)
{
    b->spent = thousandths < b->spent ? b->spent - thousandths : 0;
}

static void refill(struct h2_bucket *b, int64_t rate, int64_t now_ms)
{
    give_back(b, (now_ms - b->at_ms) * rate);
    b->at_ms = now_ms;
}

/* One token; rate: per second. */
static bool take(struct h2_bucket *b, int64_t burst, int64_t rate, int64_t now_ms)
{
    refill(b, rate, now_ms);
    b->spent += 1000;
    return b->spent <= burst * 1000;
}

static size_t block_most(const struct h2_guard *g)
{
    return g->block_most != 0 ? g->block_most : LIMIT_H2_BLOCK;
}

size_t h2_guard_continuations(const struct h2_guard *g)
{
    size_t full = block_most(g) / LIMIT_H2_FRAME;
    return full > LIMIT_H2_CONTINUATIONS ? full : LIMIT_H2_CONTINUATIONS;
}

/* L22: CONTINUATION is where an endless header block hides. */
static bool block_goes_on(struct h2_guard *g, struct h2_frame f)
{
    if (f.type == HEADERS) {
        g->block = 0;
        g->frames = 0;
    } else {
        g->frames++;
    }
    g->block += f.length;
    return g->block <= block_most(g) && g->frames <= h2_guard_continuations(g);
}

static bool updates_fit(struct h2_guard *g)
{
    return ++g->updates <= LIMIT_H2_UPDATES + LIMIT_H2_UPDATES_DATA * g->data_sent;
}

static bool empty_fits(struct h2_guard *g, int64_t now_ms)
{
    return take(&g->empty, LIMIT_H2_EMPTY, LIMIT_H2_EMPTY_RATE, now_ms);
}

bool h2_guard_received(struct h2_guard *g, struct h2_frame f, int64_t now_ms)
{
    bool empty = f.length == 0;
    switch (f.type) {
    case DATA:
        return !empty || (f.flags & END_STREAM) != 0 || empty_fits(g, now_ms);
    case HEADERS:
    case CONTINUATION:
        return block_goes_on(g, f) && (!empty || empty_fits(g, now_ms));
    case RST_STREAM:
        return !g->from_client || take(&g->resets, LIMIT_H2_RESETS, LIMIT_H2_RESETS_RATE, now_ms);
    case GOAWAY:
        return ++g->goaways <= LIMIT_H2_GOAWAYS;
    case WINDOW_UPDATE:
        return updates_fit(g);
    default: /* PRIORITY, SETTINGS, PING, PUSH_PROMISE, and types that nobody knows */
        return take(&g->control, LIMIT_H2_CONTROL, LIMIT_H2_CONTROL_RATE, now_ms);
    }
}

bool h2_guard_hollow(struct h2_guard *g, int64_t now_ms)
{
    return empty_fits(g, now_ms);
}

/* L26, as L15 does for chunks: content pays for frames, and small messages that come one by one
 * have their rate. */
bool h2_guard_content(struct h2_guard *g, size_t n, int64_t now_ms)
{
    refill(&g->framing, LIMIT_H2_FRAMING_RATE, now_ms);
    g->framing.spent += (int64_t)FRAME_HEAD * 1000;
    give_back(&g->framing, (int64_t)n * 1000);
    return g->framing.spent <= (int64_t)LIMIT_H2_FRAMING * 1000;
}

/* What each stream has for itself makes short answers free, however many there are. Of one that
 * both have ended a reset may still come. */
void h2_guard_over(struct h2_guard *g, bool early)
{
    give_back(&g->framing, (int64_t)LIMIT_H2_FRAMING_EACH * 1000);
    g->pardons += early ? LIMIT_H2_STRAY_EACH : 1;
    if (g->pardons > LIMIT_H2_STRAY_MOST) {
        g->pardons = LIMIT_H2_STRAY_MOST;
    }
}

bool h2_guard_stray(struct h2_guard *g, int64_t now_ms)
{
    if (g->pardons > 0) {
        g->pardons--;
        return true;
    }
    return take(&g->stray, LIMIT_H2_STRAY, LIMIT_H2_STRAY_RATE, now_ms);
}

bool h2_guard_reset(struct h2_guard *g, int64_t now_ms)
{
    return take(&g->own_resets, LIMIT_H2_OWN_RESETS, LIMIT_H2_OWN_RESETS_RATE, now_ms);
}

bool h2_guard_refused(struct h2_guard *g, int64_t now_ms)
{
    return take(&g->control, LIMIT_H2_CONTROL, LIMIT_H2_CONTROL_RATE, now_ms);
}

void h2_guard_data_sent(struct h2_guard *g)
{
    g->data_sent++;
}
