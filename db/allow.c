#include "db/allow.h"

/* ever: such addresses can be allowed at all. */
static const struct {
    struct cidr range;
    bool ever;
} special[] = {
    {{.family = AF_INET, .bits = 8, .bytes = {127}}, true},
    {{.family = AF_INET, .bits = 16, .bytes = {169, 254}}, true},
    {{.family = AF_INET6, .bits = 128, .bytes = {[15] = 1}}, true},
    {{.family = AF_INET6, .bits = 10, .bytes = {0xfe, 0x80}}, true},
    {{.family = AF_INET, .bits = 8, .bytes = {0}}, false},
    {{.family = AF_INET, .bits = 3, .bytes = {224}}, false}, /* multicast, reserved, broadcast */
    {{.family = AF_INET6, .bits = 128, .bytes = {0}}, false},
    {{.family = AF_INET6, .bits = 8, .bytes = {0xff}}, false},
};

bool allow_has(const struct cidr *set, size_t n, const struct addr *a)
{
    unsigned least_bits = 0;
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
        if (!cidr_has(&special[i].range, a))
            continue;
        if (!special[i].ever)
            return false;
        least_bits = special[i].range.bits;
    }
    for (size_t i = 0; i < n; i++) {
        if (set[i].bits >= least_bits && cidr_has(&set[i], a))
            return true;
    }
    return false;
}
