/* version: what the libraries below this layer call themselves. Any thread. */
#ifndef MERIDIAN_NET_VERSION_H
#define MERIDIAN_NET_VERSION_H

const char *net_tls_version(void);
const char *net_loop_version(void);

#endif
