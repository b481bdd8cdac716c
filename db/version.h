/* version: of the database's client library. Any thread. */
#ifndef MERIDIAN_DB_VERSION_H
#define MERIDIAN_DB_VERSION_H

/* 150004 is 15.4; 0: this build has none. */
int db_library_version(void);

#endif
