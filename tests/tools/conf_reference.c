/* Prints the reference of all configuration keys: scripts/generate-reference.sh. */
#include "conf/conf.h"

#include <stdio.h>

int main(void)
{
    struct buf out;
    buf_init(&out, 0);
    conf_reference(&out);
    bool good = !out.failed && fwrite(out.p, 1, buf_len(&out), stdout) == buf_len(&out);
    good = fflush(stdout) == 0 && good;
    buf_fini(&out);
    return good ? 0 : 1;
}
