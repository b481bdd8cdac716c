/* version: what the library below this layer calls itself. Any thread. */
#ifndef MERIDIAN_GEO_VERSION_H
#define MERIDIAN_GEO_VERSION_H

const char *geo_library_version(void);

#endif
