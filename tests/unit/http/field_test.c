#include "check.h"
#include "http/field.h"
#include "http/h1_fields.h"

TEST(field, every_name_is_found_again)
{
    for (unsigned id = FIELD_OTHER + 1; id < FIELD_COUNT; id++) {
        struct span name = field_name((enum field_id)id);
        CHECK_INT(field_id_of(name), id);
        CHECK(name.n < 32, "%.*s is longer than the table of lengths", SPAN_FMT(name));
    }
}

TEST(field, list_is_sorted_by_length)
{
    for (unsigned id = FIELD_OTHER + 2; id < FIELD_COUNT; id++) {
        CHECK(field_name((enum field_id)(id - 1)).n <= field_name((enum field_id)id).n,
              "%.*s stands behind a longer name", SPAN_FMT(field_name((enum field_id)id)));
    }
}

TEST(field, other_names)
{
    static const char *const names[] = {"",
                                        "x",
                                        "hos",
                                        "hosta",
                                        "Host",
                                        "content-lengt",
                                        "content_length",
                                        "xontent-length",
                                        "a-name-that-is-longer-than-every-known-name",
                                        "zzzz"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        CHECK(field_id_of(span_str(names[i])) == FIELD_OTHER, "%s", names[i]);
    }
    CHECK_INT(field_name(FIELD_OTHER).n, 0);
}

/* H15: what is for one connection only, and what Connection cannot take away. */
TEST(field, kinds_H15)
{
    static const enum field_id hop[] = {
        FIELD_CONNECTION, FIELD_TRANSFER_ENCODING, FIELD_KEEP_ALIVE, FIELD_PROXY_CONNECTION,
        FIELD_TE,         FIELD_TRAILER,           FIELD_UPGRADE,    FIELD_HTTP2_SETTINGS};
    static const enum field_id kept[] = {FIELD_HOST,
                                         FIELD_CONTENT_LENGTH,
                                         FIELD_AUTHORIZATION,
                                         FIELD_FORWARDED,
                                         FIELD_X_FORWARDED_FOR,
                                         FIELD_X_FORWARDED_PROTO,
                                         FIELD_X_FORWARDED_HOST,
                                         FIELD_X_REAL_IP};
    for (size_t i = 0; i < sizeof(hop) / sizeof(hop[0]); i++) {
        CHECK(field_is_hop(hop[i]) && !field_is_kept(hop[i]), "hop %zu", i);
    }
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        CHECK(field_is_kept(kept[i]) && !field_is_hop(kept[i]), "kept %zu", i);
    }
    CHECK(field_is_framing(FIELD_HOST) && field_is_framing(FIELD_CONTENT_LENGTH), "framing");
    CHECK(!field_is_hop(FIELD_OTHER) && !field_is_kept(FIELD_OTHER), "others");
    CHECK(!field_is_hop(FIELD_ACCEPT) && !field_is_kept(FIELD_ACCEPT), "accept");
}

/* H3: CGI and its like make "_" of every "-", and some of every other character too. */
TEST(field, odd_names_H3)
{
    static const struct {
        const char *name;
        enum err allowed;
    } rows[] = {
        {"x_id", ERR_OK},
        {"x.y!z", ERR_OK},
        {"x_forwarded_fo", ERR_OK},
        {"x_forwarded_for", ERR_AGAIN},
        {"x-forwarded_for", ERR_AGAIN},
        {"x.forwarded~for", ERR_AGAIN},
        {"x_forwarded_proto", ERR_AGAIN},
        {"x_real_ip", ERR_AGAIN},
        {"x_request_id", ERR_AGAIN},
        {"content_length", ERR_AGAIN},
        {"transfer_encoding", ERR_AGAIN},
        {"proxy_authorization", ERR_AGAIN},
        {"strict_transport_security", ERR_AGAIN},
        {"content_typ3", ERR_OK},
        {"_", ERR_OK},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct span name = span_str(rows[i].name);
        CHECK(field_judge_odd(ODD_NAMES_ALLOW, name) == rows[i].allowed, "%s", rows[i].name);
        CHECK_INT(field_judge_odd(ODD_NAMES_DROP, name), ERR_AGAIN);
        CHECK_INT(field_judge_odd(ODD_NAMES_REJECT, name), ERR_BAD_FIELD);
        CHECK_INT(field_judge_odd(ODD_NAMES_KEEP, name), ERR_OK);
    }
}

static enum err read_block(const char *text, size_t most, struct arena *a, struct fields *out)
{
    static char block[1024];
    memcpy(block, text, strlen(text) + 1);
    return h1_fields_read(block, strlen(text), most, ODD_NAMES_KEEP, a, out, NULL);
}

/* What the scanner has not let through is no field section: an error, whatever it is. */
TEST(field, sections_are_lines_with_colons)
{
    struct arena a;
    struct fields f;
    arena_init(&a, NULL, 4096, 0);
    CHECK_INT(read_block("A: b\r\nc:d\r\n", 2, &a, &f), ERR_OK);
    CHECK_INT(f.n, 2);
    CHECK_INT(read_block("A: b\r\nc:d", 2, &a, &f), ERR_INTERNAL);
    CHECK_INT(read_block("A: b\r\nc:d\r", 2, &a, &f), ERR_INTERNAL);
    CHECK_INT(read_block("A: b\r\ncd\r\n", 2, &a, &f), ERR_INTERNAL);
    CHECK_INT(read_block("cd", 1, &a, &f), ERR_INTERNAL);
    arena_reset(&a);
}

TEST(field, more_fields_than_there_is_room_for)
{
    struct arena a;
    struct fields f;
    char text[200] = "";
    for (int i = 0; i < 30; i++)
        memcpy(text + 5 * i, "a:b\r\n", 6);
    arena_init(&a, NULL, 512, 1024);
    CHECK_INT(read_block(text, 0, &a, &f), ERR_NO_MEMORY);
    arena_reset(&a);
}
