#include "run/options.h"

const char options_usage[] =
    "usage: meridian [-c FILE] [-t | -T] [--with-database] [-v | -V] [-h]\n"
    "\n"
    "  -c, --config FILE   the configuration (default /etc/meridian/meridian.yaml)\n"
    "  -t, --test          check the configuration and all that it names, then exit 0 or 1\n"
    "  -T                  the same, and print it with all defaults filled in\n"
    "  --with-database     with -t or -T: the central database's objects, too\n"
    "  -v, --version       print the version\n"
    "  -V                  print the version, features and libraries\n"
    "  -h, --help          print this\n"
    "\n"
    "Exit codes: 0 clean, 1 the configuration is wrong, 2 wrong usage, 3 a resource cannot be "
    "had.\n";

static bool is(const char *arg, const char *brief, const char *full)
{
    return strcmp(arg, brief) == 0 || (full != NULL && strcmp(arg, full) == 0);
}

static bool set_action(struct options *o, const char *arg)
{
    if (is(arg, "-t", "--test"))
        o->action = o->action == RUN_TEST_PRINT ? RUN_TEST_PRINT : RUN_TEST;
    else if (is(arg, "-T", NULL))
        o->action = RUN_TEST_PRINT;
    else if (is(arg, "-v", "--version"))
        o->action = RUN_VERSION;
    else if (is(arg, "-V", NULL))
        o->action = RUN_FEATURES;
    else if (is(arg, "-h", "--help"))
        o->action = RUN_HELP;
    else
        return false;
    return true;
}

enum err options_parse(int argc, char **argv, struct options *out, struct buf *message)
{
    *out = (struct options){
        .action = RUN_SERVE, .config = "/etc/meridian/meridian.yaml", .argv = argv};
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (set_action(out, arg))
            continue;
        if (strcmp(arg, "--with-database") == 0) {
            out->with_database = true;
        } else if (strncmp(arg, "--config=", 9) == 0) {
            out->config = arg + 9;
        } else if (is(arg, "-c", "--config") && i + 1 < argc) {
            out->config = argv[++i];
        } else if (is(arg, "-c", "--config")) {
            buf_printf(message, "meridian: %s needs a file name\n", arg);
            return ERR_SYNTAX;
        } else {
            buf_printf(message, "meridian: unknown argument '%s'; %s\n", arg,
                       arg[0] == '-' ? "try meridian -h" : "-c FILE names the configuration");
            return ERR_SYNTAX;
        }
    }
    if (out->with_database && out->action != RUN_TEST && out->action != RUN_TEST_PRINT) {
        buf_put_str(message, "meridian: --with-database is for -t and -T\n");
        return ERR_SYNTAX;
    }
    return ERR_OK;
}
