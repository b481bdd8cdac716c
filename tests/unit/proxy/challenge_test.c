/* Which paths ask for an ACME challenge: no other file can be meant. */
#include "proxy/challenge.h"

#include "check.h"

TEST(challenge, token)
{
    static const char *const rows[][2] = {
        {"/.well-known/acme-challenge/evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA",
         "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"},
        {"/.well-known/acme-challenge/a_b-1", "a_b-1"},
        {"/.well-known/acme-challenge/", ""},
        {"/.well-known/acme-challenge", ""},
        {"/.well-known/acme-challenge/..", ""},
        {"/.well-known/acme-challenge/a/b", ""},
        {"/.well-known/acme-challenge/a%2fb", ""},
        {"/.well-known/acme-challenge/a.txt", ""},
        {"/x/.well-known/acme-challenge/a", ""},
        {"/", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_SPAN(challenge_token(span_str(rows[i][0])), rows[i][1]);
    char path[28 + 200];
    memcpy(path, "/.well-known/acme-challenge/", 28);
    memset(path + 28, 'a', 200);
    CHECK_INT(challenge_token(span_of(path, 28 + 128)).n, 128);
    CHECK_INT(challenge_token(span_of(path, 28 + 129)).n, 0);
}
