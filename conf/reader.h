/* reader: what reading a tree into structs needs to carry: where messages go, whose memory is used,
 * and at which key it stands. One thread. */
#ifndef MERIDIAN_CONF_READER_H
#define MERIDIAN_CONF_READER_H

#include "conf/schema.h"

struct reader {
    struct conf_messages *m;
    struct arena *arena;
    bool no_memory; /* something is missing because of it */
    size_t path_n;
    char path[256]; /* "pools.api.weight", cut where too long */
};

/* Goes into a key and comes back: returns what reader_leave takes. */
size_t reader_enter(struct reader *r, struct span key);
size_t reader_enter_index(struct reader *r, size_t index);
void reader_leave(struct reader *r, size_t before);

/* Reports "<path> must be <allowed>". A node that is bad already stays silent. */
void reader_must_be(struct reader *r, const struct node *n, const char *allowed);
/* The same with advice behind it; NULL: none. */
void reader_advise(struct reader *r, const struct node *n, const char *allowed, const char *advice);
void reader_advise_buf(struct reader *r, const struct node *n, const char *allowed,
                       const struct buf *advice);
/* The same of a list of scalars; where one was written, the advice is to put it into brackets. */
void reader_must_be_list(struct reader *r, const struct node *n, const char *allowed);
/* Reports "<path>: <text>". */
void reader_report(struct reader *r, struct conf_mark mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The scalar's text, or false and a message where it is none. */
bool reader_scalar(struct reader *r, const struct node *n, const char *allowed, struct span *out);
/* The node's text with its mark, copied; s.p NULL without memory. */
struct conf_text reader_text(struct reader *r, struct span s, struct conf_mark mark);
/* The same in lower case. */
struct conf_text reader_lower(struct reader *r, const struct node *n);
void *reader_zero(struct reader *r, size_t count, size_t size);

/* Reads the fields of a map. */
void reader_map(struct reader *r, const struct schema_map *map, const struct node *n, void *at);

#endif
