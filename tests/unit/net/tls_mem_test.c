#include "base/limits.h"
#include "base/mem.h"
#include "check.h"
#include "net/tls_mem.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

/* Of the whole suite, as of the program: before anything of OpenSSL. */
static bool begun;

__attribute__((constructor)) static void begin(void)
{
    begun = tls_mem_begin() == ERR_OK;
}

static void digest_something(void)
{
    EVP_MD *md = EVP_MD_fetch(NULL, "SHA256", NULL);
    EVP_MD_CTX *sum = EVP_MD_CTX_new();
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    CHECK(EVP_DigestInit_ex(sum, md, NULL) == 1 && EVP_DigestUpdate(sum, "abc", 3) == 1 &&
              EVP_DigestFinal_ex(sum, out, &n) == 1,
          "a digest");
    CHECK(n == 32 && out[0] == 0xba && out[31] == 0xad, "of FIPS 180-2 appendix B.1");
    EVP_MD_CTX_free(sum);
    EVP_MD_free(md);
}

TEST(tls_mem, what_openssl_gives_back_it_has_again_without_the_heap)
{
    struct tls_pieces pieces = {0};
    CHECK(begun, "nobody was earlier");
    tls_mem_keep(&pieces);
    digest_something();
    uint64_t before = mem_count();
    digest_something();
    CHECK_INT(mem_count(), before);
    tls_mem_keep(NULL);
    digest_something();
    CHECK(mem_count() > before, "no more than it was told");
    CHECK(pieces.small.kept > 0, "kept");
    tls_pieces_fini(&pieces);
}

TEST(tls_mem, what_the_heap_has_not_is_lent_F16)
{
    struct reserve reserve = {0};
    struct tls_pieces pieces = {.reserve = &reserve};
    CHECK(reserve_fill(&reserve), "there is memory");
    tls_mem_keep(&pieces);
    mem_fail_at(1);
    void *p = OPENSSL_malloc(KIB(17));
    CHECK(p != NULL, "a record");
    mem_fail_at(1);
    void *q = OPENSSL_realloc(p, KIB(19));
    CHECK(q != NULL, "and more");
    CHECK_INT(reserve.count, RESERVE_BLOCKS - 2);
    reserve_fini(&reserve);
    mem_fail_at(1);
    CHECK(OPENSSL_malloc(100) == NULL, "all is lent");
    mem_fail_at(0);
    OPENSSL_free(q);
    tls_mem_keep(NULL);
    tls_pieces_fini(&pieces);
}

TEST(tls_mem, pieces_are_as_large_as_asked_for_and_keep_what_they_hold)
{
    struct tls_pieces pieces = {0};
    tls_mem_keep(&pieces);
    char *p = NULL;
    for (size_t n = 1; n < 5000; n += 37) {
        char *q = OPENSSL_realloc(p, n);
        CHECK(q != NULL && (n == 1 || q[n - 38] == (char)(n - 37)), "at %zu", n);
        memset(q, (char)n, n);
        p = q;
    }
    tls_mem_keep(NULL); /* had from there, given to the heap */
    OPENSSL_free(p);
    void *z = OPENSSL_zalloc(100);
    tls_mem_keep(&pieces); /* and the other way round */
    OPENSSL_free(z);
    z = OPENSSL_zalloc(100);
    for (size_t i = 0; i < 100; i++)
        CHECK_INT(((char *)z)[i], 0);
    OPENSSL_free(z);
    tls_mem_keep(NULL);
    tls_pieces_fini(&pieces);
}

/* Contexts of old configurations, which workers let go, would fill the store with what nobody asks
 * for. */
TEST(tls_mem, what_is_let_go_is_not_kept)
{
    struct tls_pieces pieces = {0};
    tls_mem_keep(&pieces);
    void *p = OPENSSL_malloc(100), *record = OPENSSL_malloc(16712);
    tls_mem_let_go(true);
    OPENSSL_free(p);
    OPENSSL_free(record);
    tls_mem_let_go(false);
    CHECK_INT(pieces.small.kept + pieces.count, 0);
    p = OPENSSL_malloc(100);
    OPENSSL_free(p);
    CHECK(pieces.small.kept > 0, "kept again");
    tls_mem_keep(NULL);
    tls_pieces_fini(&pieces);
}

TEST(tls_mem, buffers_of_records_are_kept_up_to_a_bound)
{
    struct tls_pieces pieces = {0};
    void *records[TLS_RECORDS_KEPT + 2];
    size_t many = sizeof records / sizeof *records;
    tls_mem_keep(&pieces);
    for (int round = 0; round < 2; round++) {
        uint64_t before = mem_count();
        for (size_t i = 0; i < many; i++) {
            records[i] = OPENSSL_malloc(i % 2 == 0 ? 16712 : 16584);
            memset(records[i], 7, 16712);
        }
        CHECK_INT(mem_count() - before, round == 0 ? many : 2);
        for (size_t i = 0; i < many; i++)
            OPENSSL_free(records[i]);
        CHECK_INT(pieces.count, TLS_RECORDS_KEPT);
    }
    void *large = OPENSSL_malloc(40000);
    OPENSSL_free(large);
    OPENSSL_free(NULL);
    tls_mem_keep(NULL);
    tls_pieces_fini(&pieces);
}

/* S2 */
TEST(tls_mem, secrets_do_not_go_there)
{
    struct tls_pieces pieces = {0};
    tls_mem_keep(&pieces);
    tls_mem_secret(true);
    void *p = OPENSSL_malloc(64);
    tls_mem_secret(false);
    CHECK(CRYPTO_secure_allocated(p) == 1, "a secret");
    OPENSSL_free(p);
    CHECK_INT(pieces.small.kept, 0);
    tls_mem_keep(NULL);
    tls_pieces_fini(&pieces);
}
