#include "make_cert.h"

#include "check.h"

#include <dirent.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void made_dir(char dir[MADE_PATH])
{
    snprintf(dir, MADE_PATH, "/tmp/meridian-test-XXXXXX");
    CHECK(mkdtemp(dir) != NULL, "no directory %s", dir);
}

void made_dir_remove(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *entry;
    while (d != NULL && (entry = readdir(d)) != NULL) {
        char path[MADE_PATH * 3];
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(path);
    }
    closedir(d);
    rmdir(dir);
}

static void add_extension(X509 *cert, X509 *issuer, int id, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, id, value);
    CHECK(e != NULL && X509_add_ext(cert, e, -1) == 1, "extension %s", value);
    X509_EXTENSION_free(e);
}

static X509 *read_cert(const char *path)
{
    FILE *f = fopen(path, "r");
    X509 *x = PEM_read_X509(f, NULL, NULL, NULL);
    fclose(f);
    return x;
}

static EVP_PKEY *read_key(const char *path)
{
    FILE *f = fopen(path, "r");
    EVP_PKEY *k = PEM_read_PrivateKey(f, NULL, NULL, NULL);
    fclose(f);
    return k;
}

static X509 *build(const struct cert_wish *wish, EVP_PKEY *key)
{
    X509 *x = X509_new();
    unsigned serial;
    RAND_bytes((unsigned char *)&serial, sizeof serial);
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), (long)(serial >> 1));
    X509_gmtime_adj(X509_getm_notBefore(x), wish->expired ? -172800 : -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), wish->expired ? -86400 : 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)wish->common_name, -1, -1, 0);
    X509_set_pubkey(x, key);
    return x;
}

static void sign(X509 *x, const struct cert_wish *wish, EVP_PKEY *own)
{
    X509 *issuer = wish->issuer != NULL ? read_cert(wish->issuer->cert) : x;
    EVP_PKEY *key = wish->issuer != NULL ? read_key(wish->issuer->key) : own;
    X509_set_issuer_name(x, X509_get_subject_name(issuer));
    if (wish->authority)
        add_extension(x, issuer, NID_basic_constraints, "critical,CA:TRUE");
    if (wish->names != NULL)
        add_extension(x, issuer, NID_subject_alt_name, wish->names);
    CHECK(X509_sign(x, key, EVP_sha256()) > 0, "cannot sign %s", wish->common_name);
    if (wish->issuer != NULL) {
        X509_free(issuer);
        EVP_PKEY_free(key);
    }
}

void make_cert(const char *dir, const char *name, const struct cert_wish *wish,
               struct made_cert *out)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = build(wish, key);
    sign(x, wish, key);
    snprintf(out->cert, sizeof out->cert, "%.200s/%.40s.crt", dir, name);
    snprintf(out->key, sizeof out->key, "%.200s/%.40s.key", dir, name);
    FILE *f = fopen(out->cert, "w");
    CHECK(f != NULL && PEM_write_X509(f, x) == 1, "cannot write %s", out->cert);
    fclose(f);
    f = fopen(out->key, "w");
    char secret[] = "secret";
    const EVP_CIPHER *cipher = wish->passphrase ? EVP_aes_128_cbc() : NULL;
    CHECK(f != NULL && PEM_write_PrivateKey(f, key, cipher, NULL, 0, NULL,
                                            wish->passphrase ? secret : NULL) == 1,
          "cannot write %s", out->key);
    fclose(f);
    X509_free(x);
    EVP_PKEY_free(key);
}
