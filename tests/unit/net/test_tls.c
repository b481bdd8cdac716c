#include "check.h"
#include "make_cert.h"
#include "net/tls_ctx_impl.h" /* to hold a client back to TLS 1.2, and to give it a certificate */
#include "side.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* An authority, a server with two certificates and a client that trusts the authority. */
struct world {
    struct pair p;
    char dir[MADE_PATH];
    struct made_cert ca, first, second, client;
    struct tls_cert *certs[2];
    struct tls_tickets *tickets;
    struct buf message;
    struct tls_server *server;
    struct tls_client *tls_client;
};

static const char *const alpn_both[] = {"h2", "http/1.1"};
static const char *const alpn_h1[] = {"http/1.1"};
static const char *const alpn_other[] = {"spdy"};

static void make_certs(struct world *w)
{
    made_dir(w->dir);
    make_cert(w->dir, "ca", &(struct cert_wish){.common_name = "Test CA", .authority = true},
              &w->ca);
    make_cert(w->dir, "first",
              &(struct cert_wish){.common_name = "first",
                                  .names = "DNS:first.example,IP:127.0.0.1",
                                  .issuer = &w->ca},
              &w->first);
    make_cert(w->dir, "second",
              &(struct cert_wish){.common_name = "second",
                                  .names = "DNS:Second.example,DNS:*.second.example",
                                  .issuer = &w->ca},
              &w->second);
    make_cert(w->dir, "client", &(struct cert_wish){.common_name = "client", .issuer = &w->ca},
              &w->client);
}

static void make_contexts(struct world *w, const struct tls_server_spec *server,
                          const struct tls_client_spec *client)
{
    struct tls_server_spec s = *server;
    struct tls_client_spec c = *client;
    s.certs = w->certs;
    s.cert_count = 2;
    s.tickets = w->tickets;
    if (c.verify && c.ca == NULL)
        c.ca = w->ca.cert;
    CHECK(tls_server_new(&s, &w->server, &w->message) == ERR_OK, "%s", w->message.p);
    CHECK(tls_client_new(&c, &w->tls_client, &w->message) == ERR_OK, "%s", w->message.p);
    w->p.tls_server = w->server;
    w->p.tls_client = w->tls_client;
    w->p.server_name = SPAN("first.example");
}

static void world_init(struct world *w, const struct tls_server_spec *server,
                       const struct tls_client_spec *client)
{
    memset(w, 0, sizeof *w);
    buf_init(&w->message, 0);
    make_certs(w);
    CHECK_INT(tls_cert_load(w->first.cert, w->first.key, &w->certs[0], &w->message), ERR_OK);
    CHECK_INT(tls_cert_load(w->second.cert, w->second.key, &w->certs[1], &w->message), ERR_OK);
    CHECK_INT(tls_tickets_new(&w->tickets), ERR_OK);
    pair_init(&w->p);
    make_contexts(w, server, client);
}

static void world_fini(struct world *w)
{
    /* Freed while connections live: they hold what they need. */
    tls_server_free(&w->server);
    tls_client_free(&w->tls_client);
    tls_cert_unref(&w->certs[0]);
    tls_cert_unref(&w->certs[1]);
    pair_fini(&w->p);
    tls_tickets_free(&w->tickets);
    buf_fini(&w->message);
    made_dir_remove(w->dir);
}

static void again(struct world *w)
{
    if (w->p.client.c != NULL)
        conn_close(&w->p.client.c, CONN_END_FLUSH);
    if (w->p.server.c != NULL)
        conn_close(&w->p.server.c, CONN_END_FLUSH);
    buf_clear(&w->p.client.got);
    buf_clear(&w->p.server.got);
    w->p.client.eofs = w->p.server.eofs = w->p.client.fails = w->p.server.fails = 0;
}

static bool server_eof(struct pair *p)
{
    return p->server.eofs > 0 || p->server.fails > 0;
}

static bool client_eof(struct pair *p)
{
    return p->client.eofs > 0 || p->client.fails > 0;
}

static bool both_failed(struct pair *p)
{
    return p->client.fails > 0 && p->server.fails > 0;
}

static void send_fill(struct conn *c, size_t n, unsigned seed)
{
    char *bytes = malloc(n + 1);
    side_fill(bytes, n, seed);
    conn_write(c, span_of(bytes, n));
    free(bytes);
}

/* One exchange, so that tickets have arrived. */
static void talk(struct world *w)
{
    send_fill(w->p.client.c, 10, 1);
    conn_shutdown(w->p.client.c);
    CHECK(pair_run(&w->p, server_eof), "server");
    CHECK(side_has(&w->p.server, 10, 1), "request");
    send_fill(w->p.server.c, 10, 2);
    conn_shutdown(w->p.server.c);
    CHECK(pair_run(&w->p, client_eof), "client");
    CHECK(side_has(&w->p.client, 10, 2), "answer");
}

static bool server_eof_twice(struct pair *p)
{
    return p->server.eofs == 2;
}

static const size_t sizes[] = {0, 1, 5000, 16384, 16385, 65536, 300000, 1048576};

TEST(tls, all_sizes_both_ways)
{
    struct world w;
    world_init(&w, &(struct tls_server_spec){0}, &(struct tls_client_spec){.verify = true});
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        CHECK(pair_open(&w.p), "open %s", conn_tls_failure(w.p.client.c));
        send_fill(w.p.client.c, sizes[i], 1);
        conn_shutdown(w.p.client.c);
        CHECK(pair_run(&w.p, server_eof) && w.p.server.clean, "close_notify is clean");
        CHECK(side_has(&w.p.server, sizes[i], 1), "%zu", sizes[i]);
        CHECK(pair_run(&w.p, server_eof_twice), "the connection's end after it");
        send_fill(w.p.server.c, sizes[i], 2);
        CHECK_INT(conn_received(w.p.server.c), sizes[i]);
        conn_close(&w.p.server.c, CONN_END_FLUSH);
        CHECK(pair_run(&w.p, client_eof), "%zu", sizes[i]);
        CHECK(side_has(&w.p.client, sizes[i], 2), "%zu", sizes[i]);
        CHECK(w.p.client.eofs == 1 && w.p.client.clean, "close_notify is clean");
        CHECK_INT(conn_sent(w.p.client.c), sizes[i]);
        again(&w);
    }
    CHECK_INT(w.p.env.tls_handshakes, 2 * sizeof sizes / sizeof sizes[0]);
    CHECK_INT(w.p.env.tls_failed, 0);
    world_fini(&w);
}

TEST(tls, facts)
{
    struct world w;
    struct conn_tls_info info;
    world_init(&w, &(struct tls_server_spec){.alpn = alpn_both, .alpn_count = 2},
               &(struct tls_client_spec){.verify = true, .alpn = alpn_both, .alpn_count = 2});
    CHECK(pair_open(&w.p), "open");
    conn_tls(w.p.server.c, &info);
    CHECK_STR(info.version, "TLSv1.3");
    CHECK_STR(info.cipher, "TLS_AES_128_GCM_SHA256");
    CHECK_SPAN(info.sni, "first.example");
    CHECK_SPAN(info.alpn, "h2");
    CHECK(!info.resumed && !info.client_verified, "first, without a certificate");
    CHECK_INT(info.client_auth_id, 0);
    conn_tls(w.p.client.c, &info);
    CHECK_SPAN(info.alpn, "h2");
    world_fini(&w);
}

/* A FIN without close_notify may be an attacker's. */
TEST(tls, truncation_is_not_clean)
{
    struct world w;
    world_init(&w, &(struct tls_server_spec){0}, &(struct tls_client_spec){.verify = true});
    CHECK(pair_open(&w.p), "open");
    conn_write(w.p.client.c, SPAN("half"));
    conn_env_flush(&w.p.env);
    conn_close(&w.p.client.c, CONN_END_NOW);
    CHECK(pair_run(&w.p, server_eof), "end");
    CHECK_SPAN(buf_span(&w.p.server.got), "half");
    CHECK(w.p.server.eofs == 1 && !w.p.server.clean, "not clean");
    world_fini(&w);
}

static bool room_told(struct pair *p)
{
    return p->client.rooms > 0;
}

TEST(tls, back_pressure_and_kept_bytes)
{
    struct world w;
    world_init(&w, &(struct tls_server_spec){0}, &(struct tls_client_spec){.verify = true});
    CHECK(pair_open(&w.p), "open");
    struct pair *p = &w.p;
    p->server.take_most = 1000;
    p->server.stop_reading = true;
    size_t written = 0;
    while (conn_pending(p->client.c) <= LIMIT_FLOW_HIGH || written < 500000) {
        send_fill(p->client.c, 50000, 3);
        written += 50000;
        conn_env_flush(&p->env);
        CHECK(written < MIB(64), "the kernel takes an end");
    }
    CHECK_INT(p->client.rooms, 0);
    unsigned before = 0;
    for (int i = 0; i < 20; i++) {
        pair_run_ms(p, 3);
        CHECK(p->server.deliveries <= before + 1, "one at a time");
        before = p->server.deliveries;
        CHECK(p->server.longest <= KIB(64), "no more than the hold limit");
        conn_want_read(p->server.c, true);
    }
    CHECK(conn_has_unread(p->server.c), "kept");
    p->server.take_most = SIZE_MAX;
    p->server.stop_reading = false;
    conn_want_read(p->server.c, false);
    conn_want_read(p->server.c, true);
    CHECK(pair_run(p, room_told), "room");
    conn_shutdown(p->client.c);
    CHECK(pair_run(p, server_eof), "all");
    CHECK_INT(buf_len(&p->server.got), written);
    CHECK(!conn_has_unread(p->server.c), "none");
    world_fini(&w);
}

static void try_resumption(int highest, const char *version)
{
    struct world w;
    struct conn_tls_info info;
    world_init(&w, &(struct tls_server_spec){0}, &(struct tls_client_spec){.verify = true});
    SSL_CTX_set_max_proto_version(w.tls_client->context, highest);
    for (int i = 0; i < 4; i++) {
        CHECK(pair_open(&w.p), "open");
        conn_tls(w.p.server.c, &info);
        CHECK_STR(info.version, version);
        CHECK(info.resumed == (i > 0), "server, connection %d", i);
        conn_tls(w.p.client.c, &info);
        CHECK(info.resumed == (i > 0), "client, connection %d", i);
        talk(&w);
        again(&w);
    }
    CHECK_INT(w.p.env.tls_resumed, 6);
    /* The previous key still opens tickets, the one before does not (L29). */
    for (int rotations = 1; rotations <= 2; rotations++) {
        for (int i = 0; i < rotations; i++)
            CHECK_INT(tls_tickets_rotate(w.tickets), ERR_OK);
        CHECK(pair_open(&w.p), "open");
        conn_tls(w.p.server.c, &info);
        CHECK(info.resumed == (rotations == 1), "after %d", rotations);
        talk(&w);
        again(&w);
    }
    /* Sessions belong to one server name. */
    w.p.server_name = SPAN("second.example");
    CHECK(pair_open(&w.p), "open");
    conn_tls(w.p.server.c, &info);
    CHECK(!info.resumed, "another name");
    world_fini(&w);
}

TEST(tls, resumption_1_3)
{
    try_resumption(TLS1_3_VERSION, "TLSv1.3");
}

TEST(tls, resumption_1_2)
{
    try_resumption(TLS1_2_VERSION, "TLSv1.2");
}

TEST(tls, the_minimum_is_kept)
{
    struct world w;
    world_init(&w, &(struct tls_server_spec){.minimum = TLS_MINIMUM_1_3},
               &(struct tls_client_spec){.verify = true});
    SSL_CTX_set_max_proto_version(w.tls_client->context, TLS1_2_VERSION);
    CHECK(!pair_open(&w.p), "refused");
    CHECK_INT(w.p.client.why, ERR_BACKEND_TLS);
    world_fini(&w);
}

TEST(tls, server_names_choose_certificates)
{
    static const struct {
        const char *name;
        bool opens; /* the client verifies the name, so opening shows which certificate came */
    } names[] = {
        {"first.example", true},    {"second.example", true},      {"SECOND.example", true},
        {"x.second.example", true}, {"y.x.second.example", false}, {"other.example", false},
        {"127.0.0.1", true},        {"127.0.0.2", false},
    };
    struct world w;
    world_init(&w, &(struct tls_server_spec){0}, &(struct tls_client_spec){.verify = true});
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        w.p.server_name = span_str(names[i].name);
        CHECK(pair_open(&w.p) == names[i].opens, "%s", names[i].name);
        if (!names[i].opens) {
            CHECK_INT(w.p.client.why, ERR_BACKEND_TLS);
            const char *why = conn_tls_failure(w.p.client.c);
            CHECK(why != NULL && strstr(why, "mismatch") != NULL, "%s: %s", names[i].name, why);
        }
        again(&w);
    }
    world_fini(&w);
}

TEST(tls, no_common_protocol_is_an_alert)
{
    struct world w;
    world_init(&w, &(struct tls_server_spec){.alpn = alpn_h1, .alpn_count = 1},
               &(struct tls_client_spec){.verify = true, .alpn = alpn_other, .alpn_count = 1});
    CHECK(!pair_open(&w.p), "refused");
    CHECK(pair_run(&w.p, both_failed), "both know");
    CHECK_INT(w.p.client.why, ERR_BACKEND_TLS);
    CHECK_INT(w.p.server.why, ERR_CLIENT_TLS);
    CHECK(strstr(conn_tls_failure(w.p.client.c), "no application protocol") != NULL, "%s",
          conn_tls_failure(w.p.client.c));
    CHECK_INT(w.p.env.tls_failed, 2);
    world_fini(&w);
}

TEST(tls, an_untrusted_server_is_refused)
{
    struct world w;
    world_init(&w, &(struct tls_server_spec){0}, &(struct tls_client_spec){.verify = true});
    struct made_cert other;
    make_cert(w.dir, "other", &(struct cert_wish){.common_name = "Other CA", .authority = true},
              &other);
    tls_client_free(&w.tls_client);
    CHECK(w.tls_client == NULL, "emptied");
    struct tls_client_spec spec = {.verify = true, .ca = other.cert};
    CHECK_INT(tls_client_new(&spec, &w.tls_client, &w.message), ERR_OK);
    w.p.tls_client = w.tls_client;
    CHECK(!pair_open(&w.p), "refused");
    CHECK_INT(w.p.client.why, ERR_BACKEND_TLS);
    CHECK(conn_tls_failure(w.p.client.c) != NULL, "says why");
    world_fini(&w);
}

static bool got_answer(struct pair *p)
{
    return p->client.eofs > 0 || p->client.fails > 0;
}

TEST(tls, plain_http_on_a_tls_port_ends_cleanly)
{
    struct world w;
    world_init(&w, &(struct tls_server_spec){0}, &(struct tls_client_spec){.verify = true});
    w.p.tls_client = NULL;
    w.p.server.close_on_fail = true;
    w.p.server.close_how = CONN_END_FLUSH;
    CHECK_INT(pair_connect(&w.p), ERR_OK);
    conn_write(w.p.client.c, SPAN("GET / HTTP/1.1\r\nHost: first.example\r\n\r\n"));
    CHECK(pair_run(&w.p, got_answer), "end");
    CHECK_INT(w.p.server.why, ERR_CLIENT_TLS);
    CHECK_INT(w.p.server.opens, 0);
    CHECK_INT(w.p.client.fails, 0);
    CHECK_INT(w.p.client.eofs, 1);
    world_fini(&w);
}

TEST(tls, leaving_before_the_first_byte_is_no_failure_of_tls)
{
    struct world w;
    world_init(&w, &(struct tls_server_spec){0}, &(struct tls_client_spec){.verify = true});
    w.p.tls_client = NULL;
    CHECK_INT(pair_connect(&w.p), ERR_OK);
    conn_shutdown(w.p.client.c);
    CHECK(pair_run(&w.p, server_eof), "end");
    CHECK_INT(w.p.server.why, ERR_CLIENT_CLOSED);
    world_fini(&w);
}

TEST(tls, a_client_certificate_is_required)
{
    struct world w;
    world_init(&w, &(struct tls_server_spec){0}, &(struct tls_client_spec){.verify = true});
    tls_server_free(&w.server);
    struct tls_server_spec spec = {
        .certs = w.certs, .cert_count = 2, .client_ca = w.ca.cert, .tickets = w.tickets};
    CHECK_INT(tls_server_new(&spec, &w.server, &w.message), ERR_OK);
    w.p.tls_server = w.server;
    CHECK_INT(pair_connect(&w.p), ERR_OK);
    CHECK(pair_run(&w.p, both_failed), "refused");
    CHECK_INT(w.p.server.why, ERR_CLIENT_TLS);
    CHECK_INT(w.p.server.opens, 0);
    again(&w);
    struct conn_tls_info info;
    SSL_CTX *ctx = w.tls_client->context;
    CHECK_INT(SSL_CTX_use_certificate_file(ctx, w.client.cert, SSL_FILETYPE_PEM), 1);
    CHECK_INT(SSL_CTX_use_PrivateKey_file(ctx, w.client.key, SSL_FILETYPE_PEM), 1);
    for (int i = 0; i < 2; i++) {
        w.p.server.opens = 0;
        CHECK(pair_open(&w.p), "open");
        conn_tls(w.p.server.c, &info);
        CHECK(info.client_verified, "connection %d", i);
        CHECK(info.resumed == (i > 0), "connection %d", i);
        CHECK_INT(info.client_auth_id, 1);
        talk(&w);
        again(&w);
    }
    world_fini(&w);
}

static SSL *seen_ssl;

static void note_ssl(const SSL *ssl, int where, int ret)
{
    (void)where, (void)ret;
    seen_ssl = (SSL *)ssl;
}

/* L28: each KeyUpdate costs the other side more than the one who sends it. */
TEST(tls, key_updates_are_limited)
{
    struct world w;
    world_init(&w, &(struct tls_server_spec){0}, &(struct tls_client_spec){.verify = true});
    SSL_CTX_set_info_callback(w.tls_client->context, note_ssl);
    /* The test's server has no callback: the SSL seen last is the client's. */
    CHECK(pair_open(&w.p), "open");
    for (int i = 0; i < 20; i++) {
        CHECK_INT(w.p.server.fails, i <= 16 ? 0 : 1);
        CHECK_INT(SSL_key_update(seen_ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        conn_write(w.p.client.c, SPAN("x"));
        pair_run_ms(&w.p, 2);
        if (w.p.server.fails > 0)
            break;
    }
    CHECK_INT(w.p.server.fails, 1);
    CHECK_INT(w.p.server.why, ERR_CLIENT_TLS);
    CHECK_INT(buf_len(&w.p.server.got), 17); /* what came before the failure was handed over */
    CHECK_STR(conn_tls_failure(w.p.server.c), "too many key updates");
    world_fini(&w);
}

/* L28: nothing of a connection is agreed on anew, and nothing of it is sent before the handshake.
 */
TEST(tls, no_renegotiation_no_compression_no_early_data_L28)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct world w;
        world_init(&w, &(struct tls_server_spec){0}, &(struct tls_client_spec){.verify = true});
        SSL_CTX_set_max_proto_version(w.tls_client->context, version);
        SSL_CTX_clear_options(w.tls_client->context,
                              SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
        SSL_CTX_set_info_callback(w.tls_client->context, note_ssl);
        CHECK(pair_open(&w.p), "open");
        send_fill(w.p.server.c, 10, 1); /* with it, in TLS 1.3, the tickets come */
        pair_run_ms(&w.p, 20);
        CHECK(side_has(&w.p.client, 10, 1), "what the server said");
        CHECK(SSL_get_current_compression(seen_ssl) == NULL, "compressed");
        CHECK_INT(SSL_SESSION_get_max_early_data(SSL_get_session(seen_ssl)), 0);
        if (version == TLS1_2_VERSION) {
            CHECK_INT(SSL_renegotiate(seen_ssl), 1);
            conn_write(w.p.client.c, SPAN("x"));
            pair_run_ms(&w.p, 50);
            CHECK(w.p.client.fails + w.p.server.fails > 0, "another handshake has begun");
        }
        world_fini(&w);
    }
}

/* ---- files ---- */

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    CHECK(f != NULL && fputs(text, f) >= 0, "%s", path);
    fclose(f);
}

static void expect_message(const char *cert, const char *key, const char *part)
{
    struct buf message;
    struct tls_cert *c = NULL;
    buf_init(&message, 0);
    CHECK(tls_cert_load(cert, key, &c, &message) != ERR_OK && c == NULL, "%s", part);
    buf_put_char(&message, '\0');
    CHECK(strstr(message.p, part) != NULL, "\"%s\" lacks \"%s\"", message.p, part);
    buf_fini(&message);
}

TEST(tls, messages_about_files)
{
    char dir[MADE_PATH], path[MADE_PATH * 4];
    struct made_cert a, b;
    made_dir(dir);
    make_cert(dir, "a", &(struct cert_wish){.common_name = "a"}, &a);
    make_cert(dir, "b", &(struct cert_wish){.common_name = "b"}, &b);
    snprintf(path, sizeof path, "%s/none", dir);
    expect_message(path, a.key, "no such file");
    expect_message(a.cert, path, "no such file");
    expect_message(dir, a.key, "this is a directory; name the file in it");
    expect_message(a.cert, dir, "this is a directory; name the file in it");
    write_file(path, "hello\n");
    expect_message(path, a.key, "not in PEM form");
    expect_message(a.cert, path, "not in PEM form");
    expect_message(a.cert, b.key, "does not belong to the certificate");
    write_file(path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    expect_message(path, a.key, "damaged");
    write_file(path, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    expect_message(a.cert, path, "damaged");
    snprintf(path, sizeof path, "cat %s %s > %s/both", b.cert, a.cert, dir);
    CHECK_INT(system(path), 0);
    snprintf(path, sizeof path, "%s/both", dir);
    expect_message(path, a.key, "must be the first");
    make_cert(dir, "c", &(struct cert_wish){.common_name = "c", .passphrase = true}, &b);
    expect_message(b.cert, b.key, "protected by a passphrase");
    if (geteuid() != 0) {
        CHECK_INT(chmod(a.key, 0), 0);
        expect_message(a.cert, a.key, "permission denied");
    }
    made_dir_remove(dir);
}

TEST(tls, certificates_tell_names_and_dates)
{
    char dir[MADE_PATH];
    struct made_cert a, old;
    struct tls_cert *c;
    struct buf message;
    const char *const *names;
    buf_init(&message, 0);
    made_dir(dir);
    make_cert(
        dir, "a",
        &(struct cert_wish){.common_name = "ignored", .names = "DNS:A.example,DNS:*.b.example"},
        &a);
    CHECK_INT(tls_cert_load(a.cert, a.key, &c, &message), ERR_OK);
    CHECK_INT(buf_len(&message), 0);
    CHECK_INT(tls_cert_names(c, &names), 2);
    CHECK_STR(names[0], "a.example");
    CHECK_STR(names[1], "*.b.example");
    int64_t left_s = tls_cert_expires(c) - clock_wall_ns() / NS_PER_S;
    CHECK(left_s > 80000 && left_s <= 86400, "%lld s", (long long)left_s);
    tls_cert_unref(&c);
    make_cert(dir, "old", &(struct cert_wish){.common_name = "old.example", .expired = true}, &old);
    CHECK_INT(tls_cert_load(old.cert, old.key, &c, &message), ERR_OK);
    buf_put_char(&message, '\0');
    CHECK(strstr(message.p, "expired on") != NULL, "%s", message.p);
    CHECK_INT(tls_cert_names(c, &names), 1);
    CHECK_STR(names[0], "old.example");
    tls_cert_unref(&c);
    made_dir_remove(dir);
    buf_fini(&message);
}
