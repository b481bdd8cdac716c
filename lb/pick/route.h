/* route: which route serves a request, by host, path and conditions (SURFACE.md, "Choosing a
 * route"). Knows spans; knows no message and no pool. The table is immutable; look-up allocates
 * nothing and costs one hash of the host per label and one walk along the path, not a loop over
 * routes.
 *
 * Order: exact host, then the longest wildcard, then rules without host; the most specific host
 * that has any rule is final. Within it the longest path whose rule has all conditions true wins;
 * at equal length an exact path before a prefix, more conditions first, then the lower index; for
 * HEAD a rule that names it before one of these that only names GET, which covers it. */
#ifndef MERIDIAN_PICK_ROUTE_H
#define MERIDIAN_PICK_ROUTE_H

#include "base/str.h"

#define ROUTE_ALLOW_MOST 16
#define ROUTE_RULES_MOST 65536
#define ROUTE_PATH_MOST  4096

struct route_header {
    struct span name, value; /* the field must be there with exactly this value */
};

/* Borrowed while the table is built. */
struct route_rule {
    struct span host; /* lower case: "api.example.com", "*.example.com"; empty or "*": any */
    struct span path; /* begins with '/'; empty: as "/" */
    bool exact;       /* the whole path; otherwise a prefix that ends at a segment border */
    const struct span *methods; /* none: all */
    size_t method_count;
    const struct route_header *headers; /* each is one condition; all methods together are one */
    size_t header_count;
    const struct span *countries; /* none: everywhere; all together are one condition */
    size_t country_count;
    uint32_t index; /* what a look-up returns; also the order in the file */
};

struct route_request {
    struct span host; /* lower case, without port */
    struct span path; /* without query; "*" for OPTIONS * */
    struct span method;
    struct span country; /* where the client is; empty: not known */
    /* The value of a request field, p == NULL where there is none; name as written in the rule. */
    struct span (*get)(void *ctx, struct span name);
    void *ctx;
};

struct route_match {
    uint32_t index;
    size_t allow_count; /* with ERR_BAD_METHOD: what Allow shall say; spans live as the table */
    struct span allow[ROUTE_ALLOW_MOST];
};

struct route_table;

/* Copies what it needs. ERR_NO_MEMORY; ERR_FULL beyond ROUTE_RULES_MOST; ERR_RANGE for a path
 * longer than ROUTE_PATH_MOST or one that does not begin with '/', and for the host "*.". */
MUST_CHECK
enum err route_table_new(const struct route_rule *rules, size_t count, struct route_table **out);
void route_table_free(struct route_table **t);

/* The length of the longest path of a rule: what stands behind it in a request's path, but for the
 * next byte, decides nothing. Any thread. */
size_t route_longest(const struct route_table *t);
/* Whether any rule is for this host. Any thread. */
bool route_knows(const struct route_table *t, struct span host);
/* OK, ERR_NO_ROUTE (404), or ERR_BAD_METHOD (405) where only the method was in the way. Any thread.
 */
MUST_CHECK
enum err route_find(const struct route_table *t, const struct route_request *req,
                    struct route_match *out);

#endif
