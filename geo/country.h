/* country: the countries of ISO 3166-1, their continent and a central point for clients whose
 * database has no coordinates (BALANCING.md section 3). A constant table, made by
 * scripts/geo-countries.mjs; pure. */
#ifndef MERIDIAN_GEO_COUNTRY_H
#define MERIDIAN_GEO_COUNTRY_H

#include <stddef.h>
#include <stdint.h>

struct country {
    char code[3];      /* ISO 3166-1 alpha-2 */
    char continent[3]; /* AF AN AS EU NA OC SA */
    uint16_t numeric;  /* ISO 3166-1 numeric */
    float latitude;    /* of the central point of its largest piece of land, degrees */
    float longitude;
};

/* The country of two upper-case letters, or NULL. */
const struct country *country_find(const char code[2]);
/* All of them, by code; fewer than 255. */
size_t country_count(void);
const struct country *country_at(size_t i);
/* Its place among them, from 1; 0: none. */
unsigned country_number(const char code[2]);

#endif
