#include "run/kept.h"

#include "base/mem.h"

static const char *const keys[KEPT_TEXTS] = {"admin.socket", "admin.http", "state"};

static struct span text_of(const struct conf *conf, size_t i)
{
    return i == 0 ? conf->admin.socket.s : i == 1 ? conf->admin.http.text.s : conf->state.s;
}

enum err kept_init(struct kept *kept, const struct conf *conf)
{
    bool good = true;
    for (size_t i = 0; i < KEPT_TEXTS; i++) {
        struct span text = text_of(conf, i);
        kept->texts[i] = mem_copy_str(text.p, text.n);
        good = good && kept->texts[i] != NULL;
    }
    return good ? ERR_OK : ERR_NO_MEMORY;
}

void kept_fini(struct kept *kept)
{
    for (size_t i = 0; i < KEPT_TEXTS; i++)
        mem_free(kept->texts[i]);
    *kept = (struct kept){.texts = {NULL}};
}

void kept_warn(const struct kept *kept, const struct conf *conf, struct buf *messages)
{
    for (size_t i = 0; i < KEPT_TEXTS; i++)
        if (!span_eq(span_str(kept->texts[i]), text_of(conf, i)))
            buf_printf(messages, "warning: %s: '%s' is kept; a change takes effect at a restart\n",
                       keys[i], kept->texts[i]);
}
