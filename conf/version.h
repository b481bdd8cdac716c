/* version: what the YAML library calls itself. Any thread. */
#ifndef MERIDIAN_CONF_VERSION_H
#define MERIDIAN_CONF_VERSION_H

const char *conf_library_version(void);

#endif
