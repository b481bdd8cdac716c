#include "proxy/overload.h"

#define LEAVE_BELOW 5

static const unsigned marks[OVERLOAD_TIERS] = {
    [OVERLOAD_SAVE] = 80, [OVERLOAD_REFUSE] = 90, [OVERLOAD_RESET] = 95};

unsigned overload_percent(const struct overload_load *load)
{
    if (load->most == 0)
        return 0;
    double percent = (double)load->used * 100 / (double)load->most;
    return percent < 1e6 ? (unsigned)percent : 1000000;
}

enum overload overload_next(enum overload now, const struct overload_load *loads, size_t n)
{
    unsigned fullest = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned percent = overload_percent(&loads[i]);
        fullest = percent > fullest ? percent : fullest;
    }
    unsigned tier = OVERLOAD_RESET;
    while (tier > OVERLOAD_NONE && fullest < marks[tier] - (tier <= now ? LEAVE_BELOW : 0))
        tier--;
    return (enum overload)tier;
}

const char *overload_name(enum overload o)
{
    static const char *const names[OVERLOAD_TIERS] = {"none", "save", "refuse", "reset"};
    return o < OVERLOAD_TIERS ? names[o] : "?";
}
