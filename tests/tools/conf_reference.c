/* Prints the reference of all configuration keys, or with --json-schema the schema for editors:
 * scripts/generate-reference.sh. */
#include "conf/conf.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    struct buf out;
    buf_init(&out, 0);
    if (argc > 1 && strcmp(argv[1], "--json-schema") == 0)
        conf_json_schema(&out);
    else
        conf_reference(&out);
    bool good = !out.failed && fwrite(out.p, 1, buf_len(&out), stdout) == buf_len(&out);
    good = fflush(stdout) == 0 && good;
    buf_fini(&out);
    return good ? 0 : 1;
}
