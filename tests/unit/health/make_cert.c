/* Certificates for the TLS probes: the same maker as the network's tests. */
#include "unit/net/make_cert.c"
