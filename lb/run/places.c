#include "run/places.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_MOST 4096

/* The service manager may name several folders, with colons between them; the first is ours. */
static int runtime_folder(char *out)
{
    const char *managed = getenv("RUNTIME_DIRECTORY"), *user = getenv("XDG_RUNTIME_DIR");
    if (managed != NULL && managed[0] == '/')
        return snprintf(out, FOLDER_MOST, "%.*s", (int)strcspn(managed, ":"), managed);
    if (geteuid() != 0 && user != NULL && user[0] == '/')
        return snprintf(out, FOLDER_MOST, "%s/meridian", user);
    return snprintf(out, FOLDER_MOST, "/run/meridian");
}

void places_control_socket(char *out, size_t size)
{
    char folder[FOLDER_MOST];
    int n = runtime_folder(folder);
    if (n > 0 && n < FOLDER_MOST)
        (void)mkdir(folder, 0750); /* where that fails, so does listening, which says why */
    (void)snprintf(out, size, "%s/control.sock", folder);
}

static int state_folder(char *out)
{
    const char *managed = getenv("STATE_DIRECTORY"), *user = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    if (managed != NULL && managed[0] == '/')
        return snprintf(out, FOLDER_MOST, "%.*s", (int)strcspn(managed, ":"), managed);
    if (geteuid() != 0 && user != NULL && user[0] == '/')
        return snprintf(out, FOLDER_MOST, "%s/meridian", user);
    if (geteuid() != 0 && home != NULL && home[0] == '/')
        return snprintf(out, FOLDER_MOST, "%s/.local/state/meridian", home);
    return snprintf(out, FOLDER_MOST, "/var/lib/meridian");
}

void places_state(const char *folder, const char *name, char *out, size_t size)
{
    char own[FOLDER_MOST];
    if (folder == NULL) {
        int n = state_folder(own);
        if (n > 0 && n < FOLDER_MOST)
            (void)mkdir(own, 0750); /* where that fails, so does writing, which says why */
    }
    (void)snprintf(out, size, "%s/%s", folder != NULL ? folder : own, name);
}
