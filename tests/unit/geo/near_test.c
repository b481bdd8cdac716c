#include "check.h"
#include "geo/near.h"

#include <math.h>

/* BALANCING.md section 11, distance vectors. */
TEST(near, vectors)
{
    double km = near_km(48.9, 2.35, 50.1, 8.7);
    CHECK(fabs(km - 477.4) < 0.05, "%f", km);
    CHECK(fabs(near_ms(km, 0, 1.0) - 7.957) < 0.0005, "%f", near_ms(km, 0, 1.0));
    CHECK(fabs(near_ms(km, 200, 1.0) - 4.624) < 0.0005, "%f", near_ms(km, 200, 1.0));
    CHECK(near_ms(km, 500, 1.0) == 0.0, "%f", near_ms(km, 500, 1.0));
    km = near_km(48.9, 2.35, 38.9, -77.4);
    CHECK(fabs(km - 6188.0) < 0.05, "%f", km);
    CHECK(fabs(near_ms(km, 0, 1.0) - 103.133) < 0.0005, "%f", near_ms(km, 0, 1.0));
    km = near_km(10, 20, -10, -160);
    CHECK(fabs(near_ms(km, 0, 1.0) - 333.6) < 0.05, "%f", near_ms(km, 0, 1.0));
}

TEST(near, weight_scales_and_zero_switches_off)
{
    CHECK(fabs(near_ms(600, 0, 2.5) - 25.0) < 1e-9, "%f", near_ms(600, 0, 2.5));
    CHECK(near_ms(600, 0, 0.0) == 0.0, "%f", near_ms(600, 0, 0.0));
}

/* Property 7: no NaN, no infinity; and what a distance must be: symmetric, 0 to oneself, at most
 * half the way round. */
TEST(near, is_a_distance_everywhere)
{
    const double most = 6371.0 * 3.14159265358979323846 + 1e-6;
    for (int a = -90; a <= 90; a += 15)
        for (int b = -180; b <= 180; b += 15)
            for (int c = -90; c <= 90; c += 15)
                for (int d = -180; d <= 180; d += 30) {
                    double km = near_km(a, b, c, d);
                    CHECK(km >= 0 && km <= most, "%d %d %d %d: %f", a, b, c, d, km);
                    CHECK(fabs(km - near_km(c, d, a, b)) < 1e-6, "%d %d %d %d", a, b, c, d);
                }
    CHECK(near_km(51.5, -0.1, 51.5, -0.1) == 0.0, "%f", near_km(51.5, -0.1, 51.5, -0.1));
    CHECK(fabs(near_km(0, 179.5, 0, -179.5) - 111.19) < 0.01, "across the date line");
    CHECK(near_km(90, 0, 90, 120) < 1e-6, "at a pole every longitude is the same place");
}
