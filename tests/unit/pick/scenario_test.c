/* The scenario table of BALANCING.md section 11 on a virtual clock: the mean of five seeds against
 * the targets. Deterministic, so figures are asserted. One thread: nothing for ThreadSanitizer. */
#ifndef MERIDIAN_TSAN
#include "check.h"
#include "sim.h"

#include <math.h>
#include <stdio.h>

enum { SEEDS = 5 };

struct figures {
    double p99_ratio, errors, cross, region0_cross, goodput_ratio, within_1s;
};

static struct figures mean_of(const char *name, const struct sim_conf *conf)
{
    struct figures sum = {0};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct sim_result got, best;
        sim_run(conf, seed, false, &got);
        sim_run(conf, seed, true, &best);
        double n = (double)got.requests;
        CHECK(got.requests == best.requests && n > 10000, "%s: the same requests", name);
        sum.p99_ratio += got.p99_ms / best.p99_ms / SEEDS;
        sum.errors += (double)got.errors / n / SEEDS;
        sum.cross += (double)got.cross / n / SEEDS;
        sum.region0_cross += (double)got.region0_cross / (double)got.region0 / SEEDS;
        sum.goodput_ratio += (double)got.good_in_time / (double)best.good_in_time / SEEDS;
        sum.within_1s += (double)got.within_1s / n / SEEDS;
    }
    printf("%-34s p99 %.3fx  errors %.3f%%  cross-site %.2f%%  region's %.2f%%  goodput %.3fx\n",
           name, sum.p99_ratio, sum.errors * 100, sum.cross * 100, sum.region0_cross * 100,
           sum.goodput_ratio);
    return sum;
}

/* Six sites of eight servers with four slots; the rest is the scenario's. */
static struct sim_conf six_sites(double utilisation)
{
    return (struct sim_conf){.sites = 6,
                             .servers = 8,
                             .slots = 4,
                             .weight = 100,
                             .warm_s = 4,
                             .run_s = 8,
                             .utilisation = utilisation};
}

TEST(scenario, demand_matches_capacity)
{
    struct sim_conf conf = six_sites(0.7);
    struct figures f = mean_of("demand matches capacity, 70 %", &conf);
    CHECK(f.p99_ratio <= 1.05, "p99 %.3f", f.p99_ratio);
    CHECK(f.cross <= 0.005, "cross-site %.4f", f.cross);
}

static void check_surge(const char *name, const struct sim_conf *conf, bool share)
{
    struct figures f = mean_of(name, conf);
    CHECK(f.p99_ratio <= 1.3, "p99 %.3f", f.p99_ratio);
    CHECK(!share || (f.region0_cross >= 0.20 && f.region0_cross <= 0.35), "share %.3f",
          f.region0_cross);
    CHECK(f.errors <= 0, "errors %.5f", f.errors);
}

TEST(scenario, one_region_surges)
{
    struct sim_conf conf = six_sites(0.45);
    conf.surge = 3;
    check_surge("one region x3", &conf, true);
}

TEST(scenario, one_region_surges_ten_instances)
{
    struct sim_conf conf = six_sites(0.45);
    conf.surge = 3;
    conf.instances = 10;
    check_surge("one region x3, 10 instances", &conf, true);
}

TEST(scenario, one_region_surges_weight_1_on_large_servers)
{
    struct sim_conf conf = six_sites(0.45);
    conf.surge = 3;
    conf.servers = 3;
    conf.slots = 32;
    conf.weight = 1;
    conf.run_s = 4;
    check_surge("one region x3, weights 1, 32 slots", &conf, false);
}

TEST(scenario, one_region_surges_and_is_redirected)
{
    struct sim_conf conf = six_sites(0.45);
    conf.surge = 3;
    conf.redirect = true;
    conf.warm_s = 16;
    struct figures f = mean_of("redirect, x3, probes 1 s", &conf);
    CHECK(f.p99_ratio <= 1.8, "p99 %.3f", f.p99_ratio);
    CHECK(f.region0_cross >= 0.20 && f.region0_cross <= 0.35, "share %.3f", f.region0_cross);
    CHECK(f.within_1s >= 0.995, "within 1 s %.5f", f.within_1s);
}

TEST(scenario, a_site_is_lost)
{
    struct sim_conf conf = six_sites(0.5);
    conf.outage = true;
    conf.run_s = 12;
    struct figures f = mean_of("site outage, 50 %", &conf);
    CHECK(f.p99_ratio <= 1.3, "p99 %.3f", f.p99_ratio);
    CHECK(f.errors <= 0.002, "errors %.5f", f.errors);
}

TEST(scenario, a_server_fails_fast)
{
    static const int statuses[] = {500, 503};
    for (int i = 0; i < 2; i++) {
        struct sim_conf conf = six_sites(0.5);
        conf.sick_status = statuses[i];
        struct figures f = mean_of(
            i == 0 ? "one server answers 500 in 1 ms" : "one server answers 503 in 1 ms", &conf);
        CHECK(f.errors <= 0.002, "errors %.5f", f.errors);
        CHECK(f.cross <= 0.01, "cross-site %.4f", f.cross);
    }
}

TEST(scenario, overload)
{
    struct sim_conf conf = six_sites(1.2);
    conf.queue = 100;
    struct figures f = mean_of("overload 1.2, queue 100", &conf);
    CHECK(f.goodput_ratio >= 0.97, "goodput %.3f", f.goodput_ratio);
    CHECK(f.cross <= 0.05, "cross-site %.4f", f.cross);
}

/* Property 6: requests per weight within 10 % of the mean. */
TEST(scenario, requests_follow_the_weights)
{
    static const double loads[] = {0.70, 0.80, 0.95};
    for (int i = 0; i < 3; i++) {
        struct sim_conf conf = {.sites = 1,
                                .servers = 9,
                                .slots = 4,
                                .weight = 100,
                                .graded = true,
                                .warm_s = 2,
                                .run_s = 20,
                                .utilisation = loads[i]};
        struct sim_result got;
        sim_run(&conf, 1, false, &got);
        double mean = (double)got.requests / (3 * (1 + 2 + 4)), worst = 0;
        for (uint32_t k = 0; k < conf.servers; k++) {
            double off = (double)got.served[k] / (1U << k % 3) / mean - 1;
            worst = fmax(worst, fabs(off));
        }
        printf("weights 1:2:4 at %.0f %%: requests per weight within %.1f %% of the mean\n",
               loads[i] * 100, worst * 100);
        CHECK(worst <= 0.10, "%.3f at %.2f", worst, loads[i]);
    }
}

#endif
