#include "run/pressure.h"

#include "base/mem.h"
#include "proxy/relief.h"
#include "run/balancer.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <unistd.h>

#define LOOK_MS 100
#define LOST_MS 5000
/* For the admin interface, checks and reloads (section 5). */
#define RESERVE_LEAST 8
#define RESERVE_MOST  64
#define CGROUP_LIMIT  "/sys/fs/cgroup/memory.max"

/* A control group's own bound, or as much as can be said; UINT64_MAX: none. */
static uint64_t group_bytes(void)
{
    char text[32];
    int fd = open(CGROUP_LIMIT, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        close(fd);
    uint64_t bytes;
    return n > 1 && span_u64(span_of(text, (size_t)n - 1), &bytes) == ERR_OK ? bytes : UINT64_MAX;
}

static uint64_t memory_auto(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t machine = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : UINT64_MAX;
    uint64_t group = group_bytes();
    uint64_t half = (machine < group ? machine : group) / 2;
    return half < LIMIT_MEMORY ? half : LIMIT_MEMORY;
}

static uint32_t sockets_open(const struct balancer *b)
{
    uint32_t n = 0;
    for (unsigned w = 0; w < b->worker_count; w++)
        n += worker_sockets(b->workers[w]);
    return n;
}

/* Each of the process's descriptors is a name in a folder; too many to be looked at often. */
static uint32_t descriptors_open(void)
{
    uint32_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    if (d == NULL)
        return 0;
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n > 3 ? n - 3 : 0; /* two dots, and the folder itself */
}

void pressure_follow(struct balancer *b, const struct conf_limits *limits)
{
    struct pressure *p = &b->pressure;
    uint32_t all = descriptors_open(), connections = sockets_open(b);
    p->memory.most = limits->memory != 0 ? (uint64_t)limits->memory : memory_auto();
    p->other_descriptors = all > connections ? all - connections : 0;
}

/* How many there are may change while this runs (F15). */
int pressure_descriptors_most(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX)
        return 0;
    rlim_t reserve = limit.rlim_cur / 8 < RESERVE_MOST ? limit.rlim_cur / 8 : RESERVE_MOST;
    return (int)(limit.rlim_cur - (reserve > RESERVE_LEAST ? reserve : RESERVE_LEAST));
}

static void measure(struct balancer *b)
{
    struct pressure *p = &b->pressure;
    p->memory.used = mem_used();
    p->descriptors.used = p->other_descriptors + sockets_open(b);
    p->descriptors.most = (uint64_t)pressure_descriptors_most();
}

static void decide(struct balancer *b)
{
    struct pressure *p = &b->pressure;
    struct overload_load loads[] = {p->memory, p->descriptors};
    enum overload next = overload_next(p->tier, loads, sizeof loads / sizeof *loads);
    if (next == p->tier)
        return;
    log_event(b->log, next > p->tier ? LOG_WARN : LOG_INFO, "overload",
              "tier=%s before=%s memory_percent=%u descriptors_percent=%u", overload_name(next),
              overload_name(p->tier), overload_percent(&p->memory),
              overload_percent(&p->descriptors));
    for (unsigned t = p->tier + 1u; t <= next; t++)
        p->entered[t]++;
    p->tier = next;
}

static void order(struct balancer *b, struct mail mail)
{
    struct pressure *p = &b->pressure;
    for (unsigned w = 0; w < b->worker_count; w++) {
        bool there = (p->gone >> w & 1) == 0;
        if (there && worker_post(b->workers[w], mail) == ERR_OK)
            p->asked |= UINT64_C(1) << w;
    }
    p->asked_ns = loop_now_ns(b->loop);
}

/* All have weighed. */
static void reset_heaviest(struct balancer *b)
{
    uint16_t source;
    uint64_t bytes;
    b->pressure.weighing = false;
    if (!relief_heaviest(b->admission, &source, &bytes))
        return;
    b->pressure.resets++;
    log_event(b->log, LOG_WARN, "overload-reset", "source_bytes=%llu", (unsigned long long)bytes);
    order(b, (struct mail){.kind = WORKER_RESET, .n = source});
}

void pressure_answered(struct balancer *b, unsigned worker)
{
    struct pressure *p = &b->pressure;
    uint64_t before = p->asked;
    p->asked &= ~(UINT64_C(1) << worker);
    if (p->asked == 0 && before != 0 && p->weighing)
        reset_heaviest(b);
}

void pressure_worker_gone(struct balancer *b, unsigned worker)
{
    b->pressure.gone |= UINT64_C(1) << worker;
    pressure_answered(b, worker);
}

/* The next round waits for the answers to the last one, but not for ever: one may be lost. */
static void on_look(struct timer *t)
{
    struct pressure *p = container_of(t, struct pressure, timer);
    struct balancer *b = container_of(p, struct balancer, pressure);
    measure(b);
    decide(b);
    timer_in_ms(t, LOOK_MS);
    if (p->asked != 0 && loop_now_ns(b->loop) - p->asked_ns < LOST_MS * NS_PER_MS)
        return;
    if (p->tier == OVERLOAD_NONE && p->told == OVERLOAD_NONE)
        return;
    p->asked = 0;
    p->told = p->tier;
    p->weighing = p->tier == OVERLOAD_RESET;
    if (p->weighing)
        relief_clear(b->admission);
    order(b, (struct mail){.kind = WORKER_RELIEF, .n = p->tier});
}

void pressure_begin(struct balancer *b)
{
    timer_init(&b->pressure.timer, b->loop, on_look);
    measure(b);
    timer_in_ms(&b->pressure.timer, LOOK_MS);
}
