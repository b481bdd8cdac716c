#include "run/folders.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_MOST 4096

/* ERR_EXISTS: it is a folder; ERR_OK: it is something else; ERR_SYMLINK, ERR_NOT_FOUND and so on.
 */
static enum err look(struct span path)
{
    char name[FOLDER_MOST];
    struct stat st;
    if (snprintf(name, sizeof name, "%.*s", SPAN_FMT(path)) >= (int)sizeof name)
        return ERR_RANGE;
    if (stat(name, &st) != 0)
        return err_from_errno(errno);
    return S_ISDIR(st.st_mode) ? ERR_EXISTS : ERR_OK;
}

static bool is_folder(struct span path)
{
    return look(path) == ERR_EXISTS;
}

/* Up to the last slash; "." where there is none, "/" for what is right below the root. */
static struct span folder_of(struct span path)
{
    size_t n = path.n;
    while (n > 0 && path.p[n - 1] != '/')
        n--;
    return n == 0 ? SPAN(".") : span_of(path.p, n);
}

/* Whether who asks may make files in the folder, or write the file. */
static bool may_write(struct span path, int how)
{
    char name[FOLDER_MOST];
    return snprintf(name, sizeof name, "%.*s", SPAN_FMT(path)) < (int)sizeof name &&
           access(name, how) == 0;
}

/* before_start: a running process is in its sandbox, and learns it when it writes. */
static void warn(struct conf_messages *to, const struct conf_text *at, struct span folder,
                 bool before_start)
{
    if (!is_folder(folder))
        conf_warn(to, at->mark, "the folder '%.*s' does not exist, and a start does not make it",
                  SPAN_FMT(folder));
    else if (before_start && !may_write(folder, W_OK | X_OK))
        conf_warn(to, at->mark, "this user cannot write in the folder '%.*s'", SPAN_FMT(folder));
}

/* Of a file that is there its own permissions count. */
static void warn_file(struct conf_messages *to, const struct conf_text *at)
{
    if (look(at->s) != ERR_OK)
        warn(to, at, folder_of(at->s), true);
    else if (!may_write(at->s, W_OK))
        conf_warn(to, at->mark, "this user cannot write '%.*s'", SPAN_FMT(at->s));
}

static bool is_file(struct span access_path)
{
    return !span_eq(access_path, SPAN("off")) && !span_eq(access_path, SPAN("stdout")) &&
           !span_eq(access_path, SPAN("stderr"));
}

/* The service manager makes the folder that the unit names (RuntimeDirectory=) when it starts the
 * service: meridian, or as it is called for one of several. */
static bool comes_with_start(struct span path)
{
    return span_starts(path, SPAN("/run/meridian"));
}

enum err folders_check(const struct conf *conf, struct conf_messages *to)
{
    const struct conf_text *log = &conf->log.access_path;
    enum err e = log->s.p != NULL && is_file(log->s) ? look(log->s) : ERR_OK;
    if (e == ERR_EXISTS)
        conf_report(to, log->mark, "'%.*s' is a folder; name the file in it", SPAN_FMT(log->s));
    else if (e == ERR_SYMLINK)
        conf_report(to, log->mark, "cannot open the access log '%.*s': %s", SPAN_FMT(log->s),
                    err_phrase(e));
    else
        return ERR_OK;
    return e;
}

void folders_warn(const struct conf *conf, struct conf_messages *to, bool before_start)
{
    const struct conf_text *log = &conf->log.access_path, *control = &conf->admin.socket;
    if (conf->state.mark.line != 0)
        warn(to, &conf->state, conf->state.s, before_start);
    if (!before_start)
        return; /* it says so itself */
    if (log->s.p != NULL && is_file(log->s))
        warn_file(to, log);
    if (control->mark.line != 0 && !comes_with_start(control->s))
        warn(to, control, folder_of(control->s), true);
}
