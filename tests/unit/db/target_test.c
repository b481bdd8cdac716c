#include "check.h"
#include "db/target.h"

static struct addr address(const char *text)
{
    struct addr a;
    CHECK(addr_parse_host(span_str(text), &a) == ERR_OK, "%s", text);
    return a;
}

TEST(target, names_are_told_from_addresses_and_folders)
{
    struct db_target t;
    CHECK(db_target_init(&t, "db.internal,10.0.0.1,/run/postgresql,::1,", NULL) == ERR_OK, "init");
    CHECK_INT(t.host_count, 5);
    CHECK(t.hosts[0].lookup && !t.hosts[1].lookup && !t.hosts[2].lookup, "the first only");
    CHECK(!t.hosts[3].lookup && !t.hosts[4].lookup, "IPv6, and the default");
    db_target_fini(&t);
    CHECK(db_target_init(&t, NULL, NULL) == ERR_OK && t.host_count == 1, "nothing said");
    db_target_fini(&t);
}

TEST(target, lists_belong_together)
{
    struct db_target t;
    struct addr one = address("192.0.2.1"), two = address("2001:db8::2");
    CHECK(db_target_init(&t, "a.test,/run/x", "5432,5433") == ERR_OK, "init");
    db_target_add(&t, 0, &one);
    db_target_add(&t, 0, &two);
    db_target_add(&t, 1, NULL);
    CHECK(db_target_close(&t) == ERR_OK, "close");
    CHECK(strcmp(t.host.p, "a.test,a.test,/run/x") == 0, "%s", t.host.p);
    CHECK(strcmp(t.hostaddr.p, "192.0.2.1,2001:db8::2,") == 0, "%s", t.hostaddr.p);
    CHECK(strcmp(t.port.p, "5432,5432,5433") == 0, "%s", t.port.p);
    db_target_fini(&t);
    CHECK(db_target_init(&t, "a,b", "1") == ERR_OK && strcmp(t.hosts[1].port, "1") == 0, "for all");
    db_target_fini(&t);
}

TEST(target, bounds)
{
    struct db_target t;
    struct addr a = address("192.0.2.1");
    char name[400];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    CHECK(db_target_init(&t, "a,b", "1,2,3") == ERR_RANGE, "too many ports");
    db_target_fini(&t);
    CHECK(db_target_init(&t, "a,b,c,d,e,f,g,h,i", NULL) == ERR_RANGE, "too many hosts");
    db_target_fini(&t);
    CHECK(db_target_init(&t, name, NULL) == ERR_RANGE, "too long");
    db_target_fini(&t);
    CHECK(db_target_init(&t, "a", "123456") == ERR_RANGE, "no port");
    db_target_fini(&t);
    CHECK(db_target_init(&t, "a", NULL) == ERR_OK, "init");
    for (int i = 0; i < 100; i++)
        db_target_add(&t, 0, &a);
    CHECK(t.entries == DB_ADDRESSES_MOST && db_target_close(&t) == ERR_OK, "the first ones");
    db_target_fini(&t);
    CHECK(db_target_init(&t, "a", NULL) == ERR_OK && db_target_close(&t) == ERR_NOT_FOUND, "none");
    db_target_fini(&t);
}
