#include "check.h"
#include "db/allow.h"

static bool allowed(const char *network, const char *address)
{
    struct cidr net;
    struct addr a;
    CHECK(cidr_parse(span_str(network), &net) == ERR_OK, "%s", network);
    CHECK(addr_parse(span_str(address), &a) == ERR_OK, "%s", address);
    addr_unmap(&a);
    return allow_has(&net, 1, &a);
}

TEST(allow, networks_hold)
{
    CHECK(allowed("10.0.0.0/8", "10.1.2.3:80"), "inside");
    CHECK(!allowed("10.0.0.0/8", "11.1.2.3:80"), "outside");
    CHECK(allowed("0.0.0.0/0", "8.8.8.8:80") && allowed("::/0", "[2001:db8::1]:80"), "all");
    CHECK(!allow_has(NULL, 0, &(struct addr){.v4.sin_family = AF_INET}), "none");
}

TEST(allow, c11_special_addresses_need_naming)
{
    CHECK(!allowed("0.0.0.0/0", "127.0.0.1:80") && allowed("127.0.0.0/8", "127.0.0.1:80"), "lo");
    CHECK(!allowed("0.0.0.0/0", "169.254.169.254:80"), "metadata");
    CHECK(allowed("169.254.169.254/32", "169.254.169.254:80"), "named");
    CHECK(!allowed("::/0", "[::1]:80") && allowed("::1/128", "[::1]:80"), "lo of IPv6");
    CHECK(!allowed("::/0", "[fe80::1]:80") && allowed("fe80::/10", "[fe80::1]:80"), "link-local");
    CHECK(!allowed("::/0", "[::ffff:127.0.0.1]:80"), "mapped");
    CHECK(!allowed("0.0.0.0/0", "0.0.0.0:80") && !allowed("0.0.0.0/8", "0.0.0.0:80"), "nowhere");
    CHECK(!allowed("224.0.0.0/3", "224.0.0.1:80") && !allowed("ff00::/8", "[ff02::1]:80"), "many");
}
