/* http_impl: what the two files of the admin HTTP listener share: http.c serves what is read,
 * http_post.c takes commands. */
#ifndef MERIDIAN_ADMIN_HTTP_IMPL_H
#define MERIDIAN_ADMIN_HTTP_IMPL_H

#include "admin/admin_impl.h"
#include "http/front.h"

/* One connection of the HTTP listener. What is read is answered as it is asked for, from memory. */
struct http_conn {
    struct link link;    /* in admin->http.conns */
    struct admin *admin; /* NULL: gone */
    struct front_codec *codec;
    bool answered; /* at least once */
    /* a command that is under way */
    struct front *front; /* NULL: none */
    const struct request *request;
    struct buf content;
    struct timer late;
    struct asker asker;
};

struct answer {
    int status;
    const char *type;
    struct buf body;
};

/* http.c */
void http_text(struct answer *out, int status, const char *text);
void http_send(struct front *f, const struct request *r, struct answer *answer);

/* http_post.c */
/* Whether it is a command, and commands are taken at all. */
bool http_post_takes(const struct admin *a, const struct request *r);
/* Reads its content and answers. */
void http_post(struct http_conn *c, struct front *f, const struct request *r);

#endif
