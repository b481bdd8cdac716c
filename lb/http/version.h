/* version: what the HTTP/2 library calls itself. Any thread. */
#ifndef MERIDIAN_HTTP_VERSION_H
#define MERIDIAN_HTTP_VERSION_H

const char *http_library_version(void);

#endif
