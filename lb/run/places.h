/* places: where this process keeps what it makes, where the configuration does not say so: under
 * the folders of the service manager, of the system for root, of the user for others. It knows the
 * environment; it must not know what is kept. Main thread, at start. */
#ifndef MERIDIAN_RUN_PLACES_H
#define MERIDIAN_RUN_PLACES_H

#include <stddef.h>

/* The control socket's path: in $RUNTIME_DIRECTORY, /run/meridian, or for users other than root
 * $XDG_RUNTIME_DIR/meridian. Makes the folder where it is not there. NUL-terminated, cut at size.
 */
void places_control_socket(char *out, size_t size);

/* The path of a file of that name in the state folder: `folder`, or where it is NULL
 * $STATE_DIRECTORY, /var/lib/meridian, or for users other than root $XDG_STATE_HOME/meridian or
 * ~/.local/state/meridian, which is made where it is not there. NUL-terminated, cut at size. */
void places_state(const char *folder, const char *name, char *out, size_t size);

#endif
