#include "check.h"
#include "http/websocket.h"

TEST(websocket, the_example_of_rfc_6455)
{
    char accept[WEBSOCKET_ACCEPT];
    websocket_accept(SPAN("dGhlIHNhbXBsZSBub25jZQ=="), accept);
    CHECK_SPAN(span_of(accept, sizeof(accept)), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(websocket, an_empty_key_has_an_answer_too)
{
    char accept[WEBSOCKET_ACCEPT];
    websocket_accept(SPAN_NONE, accept);
    CHECK_SPAN(span_of(accept, sizeof(accept)), "Kfh9QIsMVZcl6xEPYxPHzW8SZ8w=");
}

TEST(websocket, a_key_is_sixteen_bytes_in_base64)
{
    char key[WEBSOCKET_KEY];
    websocket_key(0, 0, key);
    CHECK_SPAN(span_of(key, sizeof(key)), "AAAAAAAAAAAAAAAAAAAAAA==");
}
