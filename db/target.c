#include "db/target.h"

#include "base/limits.h"

static bool keep(char *to, size_t room, struct span s)
{
    if (s.n >= room)
        return false;
    memcpy(to, s.p, s.n);
    to[s.n] = '\0';
    return true;
}

static bool is_name(struct span host)
{
    struct addr parsed;
    return host.n != 0 && host.p[0] != '/' && host.p[0] != '@' &&
           addr_parse_host(host, &parsed) != ERR_OK;
}

static bool has_comma(struct span s)
{
    return s.n != 0 && memchr(s.p, ',', s.n) != NULL;
}

static enum err add_host(struct db_target *t, struct span name)
{
    if (t->host_count == DB_HOSTS_MOST)
        return ERR_RANGE;
    struct db_host *h = &t->hosts[t->host_count++];
    h->lookup = is_name(name);
    return keep(h->name, sizeof h->name, name) ? ERR_OK : ERR_RANGE;
}

static enum err add_hosts(struct db_target *t, struct span hosts)
{
    enum err e = ERR_OK;
    bool more = true;
    while (e == ERR_OK && more) {
        struct span one;
        more = has_comma(hosts);
        hosts = span_cut(hosts, ',', &one);
        e = add_host(t, one);
    }
    return e;
}

/* One port for all, or one for each. */
static enum err add_ports(struct db_target *t, struct span ports)
{
    bool single = !has_comma(ports);
    size_t commas = 0;
    for (size_t i = 0; i < ports.n; i++)
        commas += ports.p[i] == ',';
    if (!single && commas + 1 != t->host_count)
        return ERR_RANGE;
    for (size_t i = 0; i < t->host_count; i++) {
        struct span one = ports;
        if (!single)
            ports = span_cut(ports, ',', &one);
        if (!keep(t->hosts[i].port, sizeof t->hosts[i].port, one))
            return ERR_RANGE;
    }
    return ERR_OK;
}

enum err db_target_init(struct db_target *t, const char *host, const char *port)
{
    *t = (struct db_target){.entries = 0};
    buf_init(&t->host, KIB(8));
    buf_init(&t->hostaddr, KIB(2));
    buf_init(&t->port, KIB(1));
    enum err e = add_hosts(t, span_str(host != NULL ? host : ""));
    return e == ERR_OK && port != NULL ? add_ports(t, span_str(port)) : e;
}

void db_target_add(struct db_target *t, size_t i, const struct addr *a)
{
    char text[ADDR_TEXT];
    if (t->entries == DB_ADDRESSES_MOST)
        return;
    if (t->entries++ > 0) {
        buf_put_char(&t->host, ',');
        buf_put_char(&t->hostaddr, ',');
        buf_put_char(&t->port, ',');
    }
    buf_put_str(&t->host, t->hosts[i].name);
    buf_put_str(&t->port, t->hosts[i].port);
    if (a != NULL)
        buf_put_span(&t->hostaddr, span_of(text, addr_print_host(a, text)));
}

enum err db_target_close(struct db_target *t)
{
    buf_put_char(&t->host, '\0');
    buf_put_char(&t->hostaddr, '\0');
    buf_put_char(&t->port, '\0');
    if (t->host.failed || t->hostaddr.failed || t->port.failed)
        return ERR_NO_MEMORY;
    return t->entries != 0 ? ERR_OK : ERR_NOT_FOUND;
}

void db_target_fini(struct db_target *t)
{
    buf_fini(&t->host);
    buf_fini(&t->hostaddr);
    buf_fini(&t->port);
    *t = (struct db_target){.entries = 0};
}
