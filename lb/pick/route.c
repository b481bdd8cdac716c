#include "pick/route.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/mem.h"

#include <stdlib.h>

#define NONE        UINT32_MAX
#define ARENA_BLOCK ((size_t)16 * 1024)
#define CACHE_LINE  64

/* One rule, its spans copied. Sorted by host, path and then in the order in which they are tried.
 */
struct rule {
    /* what a look-up reads of a rule without conditions, in one cache line */
    struct span path; /* a prefix of "/" is empty: it covers "*" too */
    uint32_t index;
    uint32_t method_count, header_count, country_count;
    bool wildcard, exact;
    /* the rest */
    const struct span *methods;
    const struct route_header *headers;
    const struct span *countries;
    struct span host; /* without "*."; empty: any */
};

#define LABEL_HERE sizeof(const char *)

/* A compressed radix trie. The children of a node stand together; their first bytes stand together
 * in an array of their own, so that a look-up touches no child but the right one. A short label and
 * a single rule without conditions are in the node itself: most look-ups read no other memory of
 * the table. Two nodes are a cache line. */
struct node {
    union {
        const char *p;
        char bytes[LABEL_HERE]; /* where it is no longer than this */
    } label;                    /* from the parent to here */
    uint16_t label_size;        /* ROUTE_PATH_MOST at most */
    uint16_t depth;             /* length of the whole path up to here */
    uint16_t child_count;
    bool plain, exact; /* plain: one rule without conditions, of which this says all */
    uint32_t child;
    uint32_t rule, rule_count; /* while building: all rules below; plain: what a look-up returns */
    uint32_t up;               /* the nearest node above that has rules */
};

_Static_assert(sizeof(struct node) * 2 == CACHE_LINE, "two nodes are a cache line");

/* Two are a cache line. The names of others are hardly ever looked at: their tags differ. */
struct host {
    _Alignas(CACHE_LINE / 2) struct span name;
    uint32_t tag; /* upper half of the hash */
    uint32_t root;
    bool wildcard, used;
};

struct route_table {
    struct arena arena;
    struct rule *rules;
    struct node *nodes;
    char *firsts;         /* of nodes[i].label, by i */
    struct host *hosts;   /* open addressing, at most half full */
    size_t host_slots;    /* a power of two */
    uint32_t any;         /* root for rules without host; NONE: there are none */
    size_t wildcard_most; /* length of the longest wildcard, 0: there are none */
    size_t longest;       /* path of a rule */
    uint32_t node_count;
};

static size_t conditions(const struct rule *r)
{
    return r->header_count + (r->method_count > 0 ? 1 : 0) + (r->country_count > 0 ? 1 : 0);
}

/* Of one path: neither is tried before the other but for the order in the file. */
static bool same_rank(const struct rule *a, const struct rule *b)
{
    return a->exact == b->exact && conditions(a) == conditions(b);
}

static int compare_hosts(const struct rule *a, const struct rule *b)
{
    return a->wildcard != b->wildcard ? (a->wildcard ? 1 : -1) : span_cmp(a->host, b->host);
}

static int compare_rules(const void *pa, const void *pb)
{
    const struct rule *a = pa, *b = pb;
    int order = compare_hosts(a, b);
    if (order == 0)
        order = span_cmp(a->path, b->path);
    if (order != 0)
        return order;
    if (a->exact != b->exact)
        return a->exact ? -1 : 1;
    if (conditions(a) != conditions(b))
        return conditions(a) > conditions(b) ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

static struct span copy(struct route_table *t, struct span s, bool *failed)
{
    struct span out = arena_copy(&t->arena, s);
    if (s.n > 0 && out.p == NULL)
        *failed = true;
    return out;
}

static const struct span *copy_all(struct route_table *t, const struct span *from, size_t count,
                                   bool *failed)
{
    struct span *out = arena_zero(&t->arena, count * sizeof *out + 1);
    *failed |= out == NULL;
    for (size_t i = 0; out != NULL && i < count; i++)
        out[i] = copy(t, from[i], failed);
    return out;
}

static const struct route_header *copy_headers(struct route_table *t, const struct route_rule *from,
                                               bool *failed)
{
    struct route_header *out = arena_zero(&t->arena, from->header_count * sizeof *out + 1);
    *failed |= out == NULL;
    for (size_t i = 0; out != NULL && i < from->header_count; i++) {
        out[i].name = copy(t, from->headers[i].name, failed);
        out[i].value = copy(t, from->headers[i].value, failed);
    }
    return out;
}

static enum err copy_rule(struct route_table *t, const struct route_rule *from, struct rule *to)
{
    if (from->path.n > ROUTE_PATH_MOST || (from->path.n > 0 && from->path.p[0] != '/') ||
        span_eq(from->host, SPAN("*.")))
        return ERR_RANGE;
    bool failed = false;
    struct span host = span_eq(from->host, SPAN("*")) ? SPAN_NONE : from->host;
    to->wildcard = span_starts(host, SPAN("*."));
    to->host = copy(t, span_sub(host, to->wildcard ? 2 : 0, host.n), &failed);
    to->exact = from->exact;
    to->path = copy(t, from->path.n == 1 && !from->exact ? SPAN_NONE : from->path, &failed);
    to->methods = copy_all(t, from->methods, from->method_count, &failed);
    to->method_count = (uint32_t)from->method_count;
    to->countries = copy_all(t, from->countries, from->country_count, &failed);
    to->country_count = (uint32_t)from->country_count;
    to->headers = copy_headers(t, from, &failed);
    to->header_count = (uint32_t)from->header_count;
    to->index = from->index;
    return failed ? ERR_NO_MEMORY : ERR_OK;
}

/* How many bytes two paths have in common. */
static size_t common(struct span a, struct span b)
{
    size_t n = 0;
    while (n < a.n && n < b.n && a.p[n] == b.p[n])
        n++;
    return n;
}

/* Rules [from, to) go on with the same byte: they are sorted, so the first and the last of them
 * tell how far they all agree. */
static void add_child(struct route_table *t, uint32_t parent, uint32_t from, uint32_t to)
{
    const struct node *above = &t->nodes[parent];
    struct span first = t->rules[from].path, last = t->rules[to - 1].path;
    size_t depth = common(first, last);
    t->firsts[t->node_count] = first.p[above->depth];
    struct node *n = &t->nodes[t->node_count++];
    *n = (struct node){
        .label_size = (uint16_t)(depth - above->depth),
        .depth = (uint16_t)depth,
        .rule = from,
        .rule_count = to - from,
        .up = above->rule_count > 0 ? parent : above->up,
    };
    if (n->label_size <= LABEL_HERE)
        memcpy(n->label.bytes, first.p + above->depth, n->label_size);
    else
        n->label.p = first.p + above->depth;
}

/* Keeps the rules that end here, hands the others to children at the end of the array. */
static void expand(struct route_table *t, uint32_t index)
{
    struct node *n = &t->nodes[index];
    uint32_t end = n->rule + n->rule_count, at = n->rule;
    while (at < end && t->rules[at].path.n == n->depth)
        at++;
    n->rule_count = at - n->rule;
    n->child = t->node_count;
    while (at < end) {
        uint32_t from = at;
        char byte = t->rules[from].path.p[n->depth];
        while (at < end && t->rules[at].path.p[n->depth] == byte)
            at++;
        add_child(t, index, from, at);
    }
    n->child_count = (uint16_t)(t->node_count - n->child);
}

/* After its children have been made: they look at the rules. */
static void simplify(const struct route_table *t, struct node *n)
{
    const struct rule *r = &t->rules[n->rule];
    if (n->rule_count != 1 || conditions(r) != 0)
        return;
    n->plain = true;
    n->exact = r->exact;
    n->rule = r->index;
}

/* The trie of rules [from, to), which are one host's; breadth first, so that no stack is needed. */
static uint32_t build_trie(struct route_table *t, uint32_t from, uint32_t to)
{
    uint32_t root = t->node_count++;
    t->nodes[root] = (struct node){.rule = from, .rule_count = to - from, .up = NONE};
    for (uint32_t i = root; i < t->node_count; i++)
        expand(t, i);
    for (uint32_t i = root; i < t->node_count; i++)
        simplify(t, &t->nodes[i]);
    return root;
}

static uint64_t host_hash(struct span name, bool wildcard)
{
    return hash_plain(name) + (wildcard ? 1 : 0);
}

static uint32_t host_tag(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

/* The slot of the host, or the free one where it belongs. */
static struct host *host_slot(const struct route_table *t, struct span name, bool wildcard)
{
    uint64_t hash = host_hash(name, wildcard);
    for (size_t at = hash;; at++) {
        struct host *h = &t->hosts[at & (t->host_slots - 1)];
        bool same = h->tag == host_tag(hash) && h->wildcard == wildcard && span_eq(h->name, name);
        if (!h->used || same)
            return h;
    }
}

static void add_host(struct route_table *t, uint32_t from, uint32_t to)
{
    const struct rule *first = &t->rules[from];
    uint32_t root = build_trie(t, from, to);
    if (first->host.n == 0) {
        t->any = root;
        return;
    }
    if (first->wildcard && first->host.n > t->wildcard_most)
        t->wildcard_most = first->host.n;
    *host_slot(t, first->host, first->wildcard) =
        (struct host){.name = first->host,
                      .tag = host_tag(host_hash(first->host, first->wildcard)),
                      .root = root,
                      .wildcard = first->wildcard,
                      .used = true};
}

static uint32_t host_end(const struct route_table *t, uint32_t from, uint32_t count)
{
    uint32_t to = from + 1;
    while (to < count && compare_hosts(&t->rules[from], &t->rules[to]) == 0)
        to++;
    return to;
}

/* Zeroed, from the beginning of a cache line on. */
static void *take_lines(struct route_table *t, size_t size)
{
    char *p = arena_zero(&t->arena, size + CACHE_LINE);
    return p != NULL ? p + (-(uintptr_t)p & (CACHE_LINE - 1)) : NULL;
}

static enum err build(struct route_table *t, uint32_t count)
{
    uint32_t hosts = 0;
    for (uint32_t i = 0; i < count; i = host_end(t, i, count))
        hosts++;
    t->host_slots = 2;
    while (t->host_slots < (size_t)hosts * 2)
        t->host_slots *= 2;
    t->hosts = take_lines(t, t->host_slots * sizeof *t->hosts);
    /* a root for each host, a leaf and at most one fork for each rule */
    size_t most = (size_t)count * 2 + hosts;
    t->nodes = take_lines(t, most * sizeof *t->nodes);
    t->firsts = arena_zero(&t->arena, most + 1);
    if (t->hosts == NULL || t->nodes == NULL || t->firsts == NULL)
        return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < count;) {
        uint32_t end = host_end(t, i, count);
        add_host(t, i, end);
        i = end;
    }
    return ERR_OK;
}

static enum err fill(struct route_table *t, const struct route_rule *rules, size_t count)
{
    t->rules = arena_zero(&t->arena, count * sizeof *t->rules + 1);
    if (t->rules == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        enum err err = copy_rule(t, &rules[i], &t->rules[i]);
        if (err != ERR_OK)
            return err;
        t->longest = rules[i].path.n > t->longest ? rules[i].path.n : t->longest;
    }
    qsort(t->rules, count, sizeof *t->rules, compare_rules);
    return build(t, (uint32_t)count);
}

enum err route_table_new(const struct route_rule *rules, size_t count, struct route_table **out)
{
    *out = NULL;
    if (count > ROUTE_RULES_MOST)
        return ERR_FULL;
    struct route_table *t = mem_alloc(sizeof *t);
    if (t == NULL)
        return ERR_NO_MEMORY;
    arena_init(&t->arena, NULL, ARENA_BLOCK, 0);
    t->any = NONE;
    enum err err = fill(t, rules, count);
    if (err != ERR_OK)
        route_table_free(&t);
    *out = t;
    return err;
}

void route_table_free(struct route_table **t)
{
    if (*t == NULL)
        return;
    arena_reset(&(*t)->arena);
    mem_free(*t);
    *t = NULL;
}

/* The most specific host that has any rule is final. */
static uint32_t find_host(const struct route_table *t, struct span host)
{
    const struct host *found = host_slot(t, host, false);
    if (found->used)
        return found->root;
    struct span rest = host;
    while (t->wildcard_most > 0 && rest.n > 0) {
        size_t dot = span_find(rest, '.');
        rest = span_sub(rest, dot < rest.n ? dot + 1 : rest.n, rest.n);
        if (rest.n == 0 || rest.n > t->wildcard_most)
            continue;
        found = host_slot(t, rest, true);
        if (found->used)
            return found->root;
    }
    return t->any;
}

size_t route_longest(const struct route_table *t)
{
    return t->longest;
}

bool route_knows(const struct route_table *t, struct span host)
{
    return find_host(t, host) != NONE;
}

static const struct node *find_child(const struct route_table *t, const struct node *n,
                                     struct span rest)
{
    const char *firsts = &t->firsts[n->child];
    if (rest.n == 0 || n->child_count == 0)
        return NULL;
    /* They are in order: an only one, or one of neighbours, stands where its byte says. */
    size_t at = (unsigned char)(rest.p[0] - firsts[0]);
    if (at >= n->child_count || firsts[at] != rest.p[0]) {
        const char *found = memchr(firsts, rest.p[0], n->child_count);
        if (found == NULL)
            return NULL;
        at = (size_t)(found - firsts);
    }
    const struct node *child = &t->nodes[n->child + at];
    size_t size = child->label_size;
    const char *label = size <= LABEL_HERE ? child->label.bytes : child->label.p;
    bool same = size <= rest.n && (size == 1 || memcmp(label, rest.p, size) == 0);
    return same ? child : NULL;
}

/* The deepest node on the way along the path that has rules. */
static uint32_t find_deepest(const struct route_table *t, uint32_t root, struct span path)
{
    const struct node *n = &t->nodes[root], *at = n;
    while ((n = find_child(t, at, span_sub(path, at->depth, path.n))) != NULL)
        at = n;
    return at->rule_count > 0 ? (uint32_t)(at - t->nodes) : at->up;
}

/* A path that begins with the n bytes of a rule's. */
static bool path_holds(size_t n, bool exact, struct span path)
{
    if (exact)
        return path.n == n;
    return n == 0 || path.n == n || path.p[n] == '/' || path.p[n - 1] == '/';
}

static bool headers_hold(const struct rule *r, const struct route_request *req)
{
    for (size_t i = 0; i < r->header_count; i++) {
        struct span value = req->get(req->ctx, r->headers[i].name);
        if (value.p == NULL || !span_eq(value, r->headers[i].value))
            return false;
    }
    return true;
}

/* Whether the value is one of them, or any is good. */
static bool one_holds(const struct span *values, size_t count, struct span value)
{
    for (size_t i = 0; i < count; i++)
        if (span_eq(values[i], value))
            return true;
    return count == 0;
}

static void allow(struct route_match *out, struct span method)
{
    for (size_t i = 0; i < out->allow_count; i++)
        if (span_eq(out->allow[i], method))
            return;
    if (out->allow_count < ROUTE_ALLOW_MOST)
        out->allow[out->allow_count++] = method;
}

static bool names_get(const struct rule *r)
{
    return r->method_count > 0 && one_holds(r->methods, r->method_count, SPAN("GET"));
}

static void allow_all(struct route_match *out, const struct rule *r)
{
    for (size_t k = 0; k < r->method_count; k++)
        allow(out, r->methods[k]);
    if (names_get(r))
        allow(out, SPAN("HEAD"));
}

/* The index of the first rule of the node that holds, or NONE; methods of those where only the
 * method fails are noted. A rule for GET is one for HEAD unless another one like it names HEAD. */
static uint32_t try_node(const struct route_table *t, const struct node *n,
                         const struct route_request *req, struct route_match *out)
{
    if (n->plain)
        return path_holds(n->depth, n->exact, req->path) ? n->rule : NONE;
    const struct rule *by_get = NULL;
    for (uint32_t i = n->rule; i < n->rule + n->rule_count; i++) {
        const struct rule *r = &t->rules[i];
        if (by_get != NULL && !same_rank(by_get, r))
            break;
        if (!path_holds(r->path.n, r->exact, req->path) ||
            !one_holds(r->countries, r->country_count, req->country) || !headers_hold(r, req))
            continue;
        if (one_holds(r->methods, r->method_count, req->method))
            return r->index;
        allow_all(out, r);
        if (by_get == NULL && span_eq(req->method, SPAN("HEAD")) && names_get(r))
            by_get = r;
    }
    return by_get != NULL ? by_get->index : NONE;
}

enum err route_find(const struct route_table *t, const struct route_request *req,
                    struct route_match *out)
{
    out->index = NONE;
    out->allow_count = 0;
    uint32_t root = find_host(t, req->host);
    if (root == NONE)
        return ERR_NO_ROUTE;
    for (uint32_t i = find_deepest(t, root, req->path); i != NONE; i = t->nodes[i].up) {
        out->index = try_node(t, &t->nodes[i], req, out);
        if (out->index != NONE)
            return ERR_OK;
    }
    return out->allow_count > 0 ? ERR_BAD_METHOD : ERR_NO_ROUTE;
}
