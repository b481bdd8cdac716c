/* SEES: conf base */
/* Configuration: any bytes end in messages or in a configuration whose printed form loads again to
 * the same one, and never in both (RELIABILITY L36). */
#include "conf/conf.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok, const struct buf *shown)
{
    if (!ok) {
        fwrite(shown->p, 1, buf_len(shown), stderr);
        abort();
    }
}

static void print_again(const struct conf *conf, struct buf *messages)
{
    struct buf first, second;
    struct conf *again = NULL;
    buf_init(&first, 0);
    buf_init(&second, 0);
    conf_print(conf, &first);
    enum err err = conf_load_text("printed", buf_span(&first), &again, messages);
    must(err == ERR_OK, messages);
    conf_print(again, &second);
    must(span_eq(buf_span(&first), buf_span(&second)), &second);
    conf_free(&again);
    buf_fini(&first);
    buf_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf *conf = NULL;
    struct buf messages;
    buf_init(&messages, 0);
    enum err err = conf_load_text("fuzz", span_of((const char *)data, size), &conf, &messages);
    must((err == ERR_OK) == (buf_len(&messages) == 0) && (err == ERR_OK) == (conf != NULL),
         &messages);
    if (conf != NULL)
        print_again(conf, &messages);
    conf_free(&conf);
    buf_fini(&messages);
    return 0;
}
