/* SEES: net base
 * Any bytes as an answer with SRV records: the reader stays within them and within its bounds, what
 * it gives are host names and ports, and ranks and weights are what the balancer takes (L37, F21).
 */
#include "net/srv_answer.h"

#include <stdlib.h>

static void must(bool fine)
{
    if (!fine)
        abort();
}

static void check_target(const char *target)
{
    size_t n = strlen(target);
    must(n > 0 && n <= LIMIT_NAME_BYTES);
    for (size_t i = 0; i < n; i++)
        must(ascii_alpha(target[i]) || ascii_digit(target[i]) || target[i] == '-' ||
             target[i] == '_' || target[i] == '.');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct srv_answer a;
    if (srv_answer_read(span_of((const char *)data, size), &a) != ERR_OK)
        return 0;
    must(a.count > 0 && a.count <= LIMIT_NAME_ADDRESSES && a.ttl_s <= INT32_MAX);
    bool front = false, weighted = srv_weight(&a, 0) != 0;
    for (size_t i = 0; i < a.count; i++) {
        check_target(a.records[i].target);
        must(a.records[i].port != 0);
        must(srv_rank(&a, i) < LIMIT_RANKS && srv_weight(&a, i) <= LIMIT_WEIGHT);
        must((srv_weight(&a, i) != 0) == weighted);
        front = front || srv_rank(&a, i) == 0;
    }
    must(front);
    return 0;
}
