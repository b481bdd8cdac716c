/* options: the command line of meridian (SURFACE.md section 2). Pure but for the message. */
#ifndef MERIDIAN_RUN_OPTIONS_H
#define MERIDIAN_RUN_OPTIONS_H

#include "base/buf.h"

enum run_action { RUN_SERVE, RUN_TEST, RUN_TEST_PRINT, RUN_VERSION, RUN_FEATURES, RUN_HELP };

struct options {
    enum run_action action;
    const char *config;
    bool with_database; /* RUN_TEST, RUN_TEST_PRINT: the central database is asked, too */
    char *const *argv;  /* as given, for the process that takes this one's place */
};

/* ERR_SYNTAX with one line in *message: exit code 2. */
MUST_CHECK
enum err options_parse(int argc, char **argv, struct options *out, struct buf *message);
extern const char options_usage[];

#endif
