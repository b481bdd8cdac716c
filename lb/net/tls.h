/* tls: one connection's TLS state, fed with the socket's bytes and yielding bytes for the socket;
 * no I/O of its own. It knows OpenSSL; it must not know sockets, events or HTTP. Owner thread of
 * its connection. Only net/conn_*.c use it. */
#ifndef MERIDIAN_NET_TLS_H
#define MERIDIAN_NET_TLS_H

#include "net/buf_store.h"
#include "net/conn.h"

struct tls;

/* What it lives in; out is the connection's output. All borrowed. */
struct tls_home {
    struct loop *loop;
    struct buf_store *store;
    struct reserve *reserve;
    struct chain *out;
};

MUST_CHECK
enum err tls_accept(const struct tls_home *home, struct tls_server *server, struct tls **out);
MUST_CHECK
enum err tls_connect(const struct tls_home *home, const struct conn_target *to, struct tls **out);
void tls_free(struct tls **t);

/* The socket's next bytes, borrowed until tls_keep; tls_has_rest must be false. */
void tls_feed(struct tls *t, struct span raw);
/* Whether the first byte of all was a letter, which no record begins with. */
bool tls_fed_text(const struct tls *t);
/* What was fed and not used is copied for later. ERR_NO_MEMORY. */
MUST_CHECK
enum err tls_keep(struct tls *t);
/* Whether there are bytes inside that can be read without feeding more. */
bool tls_has_rest(const struct tls *t);
/* ERR_OK: done. ERR_AGAIN: feed more. Otherwise it failed; an alert may be in the output. */
MUST_CHECK
enum err tls_handshake(struct tls *t);
/* Decrypts until `into` is full (ERR_OK), the input is used up (ERR_AGAIN), the peer said that it
 * ends (ERR_SHUTDOWN), or it failed. *got counts in every case. */
MUST_CHECK
enum err tls_read(struct tls *t, char *into, size_t size, size_t *got);
/* Gathers bytes; full records go to the output once the handshake is done. */
MUST_CHECK
enum err tls_write(struct tls *t, struct span bytes);
/* What has gathered becomes records, as few as possible. */
MUST_CHECK
enum err tls_flush(struct tls *t);
/* Bytes gathered and not yet in the output. */
size_t tls_gathered(const struct tls *t);
/* What its bytes take that it has not handed over yet, either way. */
size_t tls_room(const struct tls *t);
/* Drops what has gathered. */
void tls_drop(struct tls *t);
/* close_notify, once, after all that was written. */
void tls_end(struct tls *t);
void tls_info(const struct tls *t, struct conn_tls_info *out);
/* Why the handshake failed, for people; NULL where it did not. Static. */
const char *tls_failure(const struct tls *t);

#endif
