#include "check.h"
#include "geo/country.h"
#include "geo/near.h"

TEST(country, table_is_sorted_and_sane)
{
    CHECK_INT(country_count(), 250); /* ISO 3166-1 has 249; and XK */
    for (size_t i = 0; i < country_count(); i++) {
        const struct country *c = country_at(i);
        CHECK(i == 0 || strcmp(country_at(i - 1)->code, c->code) < 0, "%s", c->code);
        CHECK(country_find(c->code) == c, "%s is not found", c->code);
        CHECK(strlen(c->code) == 2 && strlen(c->continent) == 2, "%s", c->code);
        CHECK(strstr("AF AN AS EU NA OC SA", c->continent) != NULL, "%s", c->continent);
        CHECK(c->latitude >= -90 && c->latitude <= 90, "%s", c->code);
        CHECK(c->longitude >= -180 && c->longitude <= 180, "%s", c->code);
        for (size_t j = 0; j < i; j++)
            CHECK(country_at(j)->numeric != c->numeric, "%s and %s", country_at(j)->code, c->code);
    }
    CHECK(country_at(country_count()) == NULL, "past the end");
}

TEST(country, unknown_codes_are_not_found)
{
    static const char *const codes[] = {"AA", "ZZ", "  ", "de", "EU", "UK"};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        CHECK(country_find(codes[i]) == NULL, "%s", codes[i]);
}

/* The middle of a country is near the middle of that country. */
TEST(country, central_points_are_where_countries_are)
{
    static const struct {
        const char *code, *continent;
        int numeric;
        double latitude, longitude, within_km;
    } want[] = {
        {"DE", "EU", 276, 51.2, 10.4, 100},  {"FR", "EU", 250, 46.6, 2.5, 100},
        {"GB", "EU", 826, 53.5, -2.0, 200},  {"US", "NA", 840, 39.8, -98.6, 100},
        {"BR", "SA", 76, -10.8, -53.1, 200}, {"ZA", "AF", 710, -29.0, 25.1, 200},
        {"KE", "AF", 404, 0.5, 37.9, 100},   {"SG", "AS", 702, 1.35, 103.8, 20},
        {"JP", "AS", 392, 36.5, 138.0, 200}, {"IN", "AS", 356, 22.9, 79.6, 200},
        {"AU", "OC", 36, -25.6, 134.4, 100}, {"AQ", "AN", 10, -85.0, 60.0, 500},
        {"FJ", "OC", 242, -17.8, 178.0, 60}, {"NZ", "OC", 554, -43.9, 170.6, 200},
        {"RU", "EU", 643, 66.0, 95.0, 400},  {"GF", "SA", 254, 4.0, -53.0, 100},
        {"XK", "EU", 0, 42.6, 20.9, 50},     {"TV", "OC", 798, -8.5, 179.2, 50},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        const struct country *c = country_find(want[i].code);
        CHECK(c != NULL, "%s", want[i].code);
        CHECK_STR(c->continent, want[i].continent);
        CHECK_INT(c->numeric, want[i].numeric);
        double km =
            near_km((double)c->latitude, (double)c->longitude, want[i].latitude, want[i].longitude);
        CHECK(km <= want[i].within_km, "%s is %f km off", c->code, km);
    }
}
