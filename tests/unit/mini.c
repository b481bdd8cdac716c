/* The mini runner behind check.h where criterion cannot run. Exit status 1 on any failure; a name
 * given as argument selects the tests whose "suite/name" contains it. */
#include "check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

static struct mini_test *first, **last = &first;
static jmp_buf escape;

void mini_register(struct mini_test *t)
{
    *last = t;
    last = &t->next;
}

void mini_fail(const char *file, int line, const char *format, ...)
{
    va_list ap;
    fprintf(stderr, "%s:%d: ", file, line);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    longjmp(escape, 1);
}

static bool passes(const struct mini_test *t)
{
    if (setjmp(escape) != 0)
        return false;
    t->run();
    return true;
}

int main(int argc, char **argv)
{
    int tested = 0, failed = 0;
    for (struct mini_test *t = first; t != NULL; t = t->next) {
        char full[256];
        snprintf(full, sizeof full, "%s/%s", t->suite, t->name);
        if (argc > 1 && strstr(full, argv[1]) == NULL)
            continue;
        tested++;
        if (!passes(t)) {
            failed++;
            fprintf(stderr, "FAILED %s\n", full);
        }
    }
    printf("Tested: %d | Failed: %d\n", tested, failed);
    return failed > 0 || tested == 0 ? 1 : 0;
}
