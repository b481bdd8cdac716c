/* name_book: the addresses of host names as the main thread knows them, and the plan of which names
 * the health thread asks for. Snapshots are built from what is known here; a name that is not known
 * yet has no endpoints. It must not know how names are asked for. Main thread only; news are made
 * on the health thread and belong to whoever takes the mail. */
#ifndef MERIDIAN_RUN_NAME_BOOK_H
#define MERIDIAN_RUN_NAME_BOOK_H

#include "base/list.h"
#include "conf/conf.h"
#include "net/name_set.h"
#include "net/resolve.h"

/* What has become of one name. */
struct name_news {
    char host[RESOLVE_NAME_MOST + 1];
    size_t count;
    struct name_address addrs[LIMIT_NAME_ADDRESSES]; /* of a host name with port 0 */
};

struct name_known {
    struct link link;
    bool wanted;
    struct name_news is;
};

struct name_book {
    struct link all; /* of struct name_known */
};

/* Which names are to be asked for, and whom; one piece of memory per name. */
struct name_wish {
    struct link link;
    bool service; /* a name of SRV records */
    char host[RESOLVE_NAME_MOST + 1];
};
struct name_plan {
    struct link wishes; /* of struct name_wish, each name once */
    char *servers;      /* as resolver_new takes them; "": the system's */
};

void name_book_init(struct name_book *n);
void name_book_fini(struct name_book *n);
/* Takes the news. ERR_NO_MEMORY: they are lost. */
MUST_CHECK
enum err name_book_take(struct name_book *n, const struct name_news *news);
/* The addresses of the name; none: not known. */
size_t name_book_find(const struct name_book *n, struct span host, const struct name_address **out);
/* What the configuration names; forgets all others. The plan is the caller's. */
MUST_CHECK
enum err name_book_plan(struct name_book *n, const struct conf *conf, struct name_plan **out);
void name_plan_free(struct name_plan **plan);

/* Whom host names are asked of, as resolver_new takes it; NULL without memory. To be freed. */
char *name_book_servers(const struct conf *conf);

#endif
