#include "proxy/challenge.h"

#include "proxy/exchange_impl.h"

#define TOKEN_MOST 128

struct span challenge_token(struct span path)
{
    static const struct span prefix = {"/.well-known/acme-challenge/", 28};
    if (!span_starts(path, prefix))
        return SPAN_NONE;
    struct span token = span_sub(path, prefix.n, path.n);
    for (size_t i = 0; i < token.n; i++) {
        char c = token.p[i];
        if (!ascii_alpha(c) && !ascii_digit(c) && c != '-' && c != '_')
            return SPAN_NONE;
    }
    return token.n <= TOKEN_MOST ? token : SPAN_NONE;
}

static struct challenge *free_place(struct proxy *p)
{
    for (size_t i = 0; i < CHALLENGES; i++) {
        if (!p->challenges[i].busy)
            return &p->challenges[i];
    }
    return NULL;
}

/* As --webroot of ACME clients has it: the request's path below the folder. */
static bool fill_path(struct challenge *c, struct span root, struct span path)
{
    struct buf b;
    buf_fixed(&b, c->path, sizeof c->path);
    buf_put_span(&b, root);
    buf_put_span(&b, path);
    buf_put_char(&b, '\0');
    return !b.failed;
}

bool exchange_challenge(struct exchange *x)
{
    struct proxy *p = x->proxy;
    struct span root = x->client->listener->acme_challenges;
    bool reads = x->request->method == METHOD_GET || x->request->method == METHOD_HEAD;
    if (root.n == 0 || !reads || challenge_token(x->request->path).n == 0)
        return false;
    struct challenge *c = free_place(p);
    if (c == NULL || !fill_path(c, root, x->request->path) ||
        !p->hooks.read_file(p->hooks.user, c)) {
        exchange_fail(x, ERR_FULL);
        return true;
    }
    c->busy = true;
    c->asker = x;
    x->challenge = c;
    exchange_aim(x);
    return true;
}

void exchange_leave_challenge(struct exchange *x)
{
    if (x->challenge != NULL)
        x->challenge->asker = NULL;
    x->challenge = NULL;
}

void challenge_read(struct challenge *c)
{
    struct exchange *x = c->asker;
    c->busy = false;
    c->asker = NULL;
    if (x == NULL)
        return;
    x->challenge = NULL;
    if (c->result == ERR_OK)
        exchange_answer_file(x, span_of(c->content, c->size));
    else
        exchange_fail(x, c->result == ERR_NOT_FOUND ? ERR_NO_ROUTE : ERR_SYSTEM);
}
