/* ctl_args: the command line of meridianctl as a control request. Pure. */
#ifndef MERIDIAN_ADMIN_CTL_ARGS_H
#define MERIDIAN_ADMIN_CTL_ARGS_H

#include "base/buf.h"

struct ctl_args {
    const char *socket;  /* NULL: the default */
    const char *command; /* NULL with help or version */
    bool json, watch, help, version;
    struct buf request; /* the JSON object; buf_fini by the caller */
};

/* ERR_SYNTAX: *problem says what is wrong. argv[0] is the program. */
MUST_CHECK
enum err ctl_args_parse(int argc, char *const *argv, struct ctl_args *out, struct buf *problem);
/* The text of --help. */
void ctl_args_help(struct buf *out);

#endif
