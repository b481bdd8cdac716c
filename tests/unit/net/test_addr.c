#include "check.h"
#include "net/addr.h"

static const struct {
    const char *text, *printed, *host;
    int port;
} good[] = {
    {"1.2.3.4:80", "1.2.3.4:80", "1.2.3.4", 80},
    {"0.0.0.0:0", "0.0.0.0:0", "0.0.0.0", 0},
    {"255.255.255.255:65535", "255.255.255.255:65535", "255.255.255.255", 65535},
    {"[::1]:80", "[::1]:80", "::1", 80},
    {"[::]:443", "[::]:443", "::", 443},
    {"[2001:DB8:0:0::1]:8080", "[2001:db8::1]:8080", "2001:db8::1", 8080},
    {"[::ffff:10.0.0.1]:1", "[::ffff:10.0.0.1]:1", "::ffff:10.0.0.1", 1},
    {"unix:/run/meridian.sock", "unix:/run/meridian.sock", "unix:", 0},
};

static const struct {
    const char *text;
    enum err err;
} bad[] = {
    {"", ERR_SYNTAX},
    {"1.2.3.4", ERR_SYNTAX},
    {"1.2.3.4:", ERR_SYNTAX},
    {"1.2.3.4:65536", ERR_RANGE},
    {"1.2.3.4:-1", ERR_SYNTAX},
    {"1.2.3.4:99999999999999999999", ERR_RANGE},
    {"1.2.3:80", ERR_SYNTAX},
    {"1.2.3.256:80", ERR_SYNTAX},
    {"01.2.3.4x:80", ERR_SYNTAX},
    {"::1:80", ERR_SYNTAX},
    {"[1.2.3.4]:80", ERR_SYNTAX},
    {"[::1:80", ERR_SYNTAX},
    {"[::1%eth0]:80", ERR_SYNTAX},
    {"localhost:80", ERR_SYNTAX},
    {":80", ERR_SYNTAX},
    {"[]:80", ERR_SYNTAX},
    {"unix:", ERR_SYNTAX},
    {"unix:relative", ERR_SYNTAX},
};

TEST(addr, parse_and_print)
{
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct addr a;
        char text[ADDR_TEXT];
        CHECK(addr_parse(span_str(good[i].text), &a) == ERR_OK, "%s", good[i].text);
        CHECK_INT(addr_print(&a, text), strlen(good[i].printed));
        CHECK_STR(text, good[i].printed);
        addr_print_host(&a, text);
        CHECK_STR(text, good[i].host);
        CHECK_INT(addr_port(&a), good[i].port);
        struct addr again;
        addr_print(&a, text);
        CHECK_INT(addr_parse(span_str(text), &again), ERR_OK);
        CHECK(addr_eq(&a, &again), "%s", text);
    }
}

TEST(addr, refuses)
{
    struct addr a;
    char path[200];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        enum err e = addr_parse(span_str(bad[i].text), &a);
        CHECK(e == bad[i].err, "%s: %s", bad[i].text, err_name(e));
    }
    CHECK_INT(addr_parse(span_of("1.2.3.4\0:80", 11), &a), ERR_SYNTAX);
    memset(path, 'x', sizeof path);
    memcpy(path, "unix:/", 6);
    CHECK_INT(addr_parse(span_of(path, sizeof path), &a), ERR_RANGE);
    CHECK_INT(addr_parse(span_of(path, 5 + sizeof a.un.sun_path - 1), &a), ERR_OK);
}

TEST(addr, host_alone)
{
    struct addr a;
    CHECK_INT(addr_parse_host(SPAN("10.1.2.3"), &a), ERR_OK);
    CHECK_INT(addr_port(&a), 0);
    CHECK_INT(addr_parse_host(SPAN("::1"), &a), ERR_OK);
    CHECK_INT(addr_parse_host(SPAN("[::1]"), &a), ERR_OK);
    CHECK_INT(addr_parse_host(SPAN("[10.1.2.3]"), &a), ERR_SYNTAX);
    CHECK_INT(addr_parse_host(SPAN("10.1.2.3:80"), &a), ERR_SYNTAX);
    CHECK_INT(addr_parse_host(SPAN("example.com"), &a), ERR_SYNTAX);
    CHECK_INT(addr_parse_host(SPAN(""), &a), ERR_SYNTAX);
}

TEST(addr, equality_and_mapping)
{
    struct addr a, b;
    const uint8_t *bytes;
    CHECK_INT(addr_parse(SPAN("[::ffff:192.0.2.7]:99"), &a), ERR_OK);
    CHECK_INT(addr_parse(SPAN("192.0.2.7:99"), &b), ERR_OK);
    CHECK(!addr_eq(&a, &b), "before mapping");
    addr_unmap(&a);
    CHECK(addr_eq(&a, &b), "after mapping");
    CHECK_INT(addr_bytes(&a, &bytes), 4);
    CHECK_INT(bytes[3], 7);
    CHECK_INT(addr_parse(SPAN("192.0.2.7:98"), &b), ERR_OK);
    CHECK(!addr_eq(&a, &b), "another port");
    CHECK_INT(addr_parse(SPAN("unix:/a"), &a), ERR_OK);
    CHECK_INT(addr_parse(SPAN("unix:/ab"), &b), ERR_OK);
    CHECK(!addr_eq(&a, &b), "another path");
    CHECK_INT(addr_bytes(&a, &bytes), 0);
    CHECK_INT(addr_parse(SPAN("unix:/b"), &b), ERR_OK);
    CHECK(!addr_eq(&a, &b), "another path of that length");
    CHECK_INT(addr_port(&a), 0);
    a.len = b.len = 0;
    CHECK(addr_eq(&a, &b), "both none");
    addr_unmap(&a);
    CHECK(a.len == 0 && addr_port(&a) == 0, "none stays none");
    char text[ADDR_TEXT];
    CHECK(addr_print(&a, text) == 0 && text[0] == '\0', "%s", text);
    CHECK(addr_print_host(&a, text) == 0 && text[0] == '\0', "%s", text);
    CHECK_INT(addr_parse(SPAN("192.0.2.7:99"), &a), ERR_OK);
    CHECK_INT(addr_parse(SPAN("192.0.2.8:99"), &b), ERR_OK);
    addr_unmap(&a);
    CHECK(!addr_eq(&a, &b), "another host");
    CHECK_INT(addr_parse(SPAN("unix:"), &b), ERR_SYNTAX);
    CHECK_INT(addr_parse(span_of("unix:/a\0b", 9), &b), ERR_SYNTAX);
}

static const struct {
    const char *cidr, *host;
    bool in;
} nets[] = {
    {"10.0.0.0/8", "10.255.0.1", true},
    {"10.0.0.0/8", "11.0.0.1", false},
    {"10.1.2.3/8", "10.9.9.9", true},
    {"0.0.0.0/0", "8.8.8.8", true},
    {"0.0.0.0/0", "::1", false},
    {"192.168.0.0/17", "192.168.127.9", true},
    {"192.168.0.0/17", "192.168.128.0", false},
    {"1.2.3.4", "1.2.3.4", true},
    {"1.2.3.4/32", "1.2.3.5", false},
    {"2001:db8::/33", "2001:db8:7fff::1", true},
    {"2001:db8::/33", "2001:db8:8000::1", false},
    {"::/0", "::1", true},
    {"::1", "::1", true},
    {"::1/128", "::2", false},
};

TEST(addr, cidr)
{
    struct cidr c, set[2];
    struct addr a;
    for (size_t i = 0; i < sizeof nets / sizeof nets[0]; i++) {
        CHECK(cidr_parse(span_str(nets[i].cidr), &c) == ERR_OK, "%s", nets[i].cidr);
        CHECK_INT(addr_parse_host(span_str(nets[i].host), &a), ERR_OK);
        CHECK(cidr_has(&c, &a) == nets[i].in, "%s in %s", nets[i].host, nets[i].cidr);
    }
    CHECK_INT(cidr_parse(SPAN("1.2.3.4/33"), &c), ERR_RANGE);
    CHECK_INT(cidr_parse(SPAN("::/129"), &c), ERR_RANGE);
    CHECK_INT(cidr_parse(SPAN("1.2.3.4/"), &c), ERR_SYNTAX);
    CHECK_INT(cidr_parse(SPAN("1.2.3.4/-1"), &c), ERR_SYNTAX);
    CHECK_INT(cidr_parse(SPAN("1.2.3/8"), &c), ERR_SYNTAX);
    CHECK_INT(cidr_parse(SPAN("10.0.0.0/8"), &set[0]), ERR_OK);
    CHECK_INT(cidr_parse(SPAN("::1/128"), &set[1]), ERR_OK);
    CHECK_INT(addr_parse_host(SPAN("::1"), &a), ERR_OK);
    CHECK(cidrs_have(set, 2, &a), "second of two");
    CHECK(!cidrs_have(set, 1, &a), "not in the first");
    CHECK_INT(addr_parse(SPAN("unix:/x"), &a), ERR_OK);
    CHECK(!cidrs_have(set, 2, &a), "unix is in none");
}

TEST(addr, of_no_name_and_of_other_families)
{
    char text[ADDR_TEXT];
    struct addr none = {.len = sizeof(sa_family_t)}, other = {.len = sizeof other.v4}, a, b;
    none.un.sun_family = AF_UNIX;
    other.any.sa_family = AF_APPLETALK;
    addr_print(&none, text);
    CHECK_STR(text, "unix:");
    CHECK_INT(addr_print_host(&other, text), 0);
    CHECK_INT(addr_port(&other), 0);
    CHECK_INT(addr_parse(SPAN("[::1]:80"), &a), ERR_OK);
    b = a;
    addr_unmap(&a);
    CHECK(addr_eq(&a, &b), "not mapped");
    b.v6.sin6_port = 1;
    CHECK(!addr_eq(&a, &b), "another port");
    CHECK_INT(addr_parse(SPAN("[::2]:80"), &b), ERR_OK);
    CHECK(!addr_eq(&a, &b), "another address");
    CHECK_INT(addr_parse(SPAN("1.2.3.4:80"), &a), ERR_OK);
    addr_unmap(&a);
    CHECK_INT(addr_parse(SPAN("[::ffff:1.2.3.4]:80"), &b), ERR_OK);
    addr_unmap(&b);
    CHECK(addr_eq(&a, &b), "mapped");
    b.v4.sin_port = 1;
    CHECK(!addr_eq(&a, &b), "another port");
    a = (struct addr){0};
    addr_unmap(&a);
    CHECK(a.len == 0 && !addr_eq(&a, &b) && !addr_eq(&b, &a), "none");
    static const char *const unmapped[] = {"1::ffff:1.2.3.4", "0:0:1::ffff:1.2.3.4", "::1.2.3.4"};
    for (size_t i = 0; i < sizeof unmapped / sizeof *unmapped; i++) {
        CHECK_INT(addr_parse_host(span_str(unmapped[i]), &a), ERR_OK);
        addr_unmap(&a);
        CHECK_INT(a.any.sa_family, AF_INET6);
    }
    const uint8_t *bytes;
    a = (struct addr){0};
    CHECK(addr_bytes(&a, &bytes) == 0 && bytes == NULL, "none");
    CHECK_INT(addr_parse_host(span_of("1.2.3.4\0", 8), &a), ERR_SYNTAX);
    CHECK_INT(addr_parse_host(SPAN("1111:1111:1111:1111:1111:1111:1111:1111:1111:1111"), &a),
              ERR_SYNTAX);
}
