/* near: how far apart two places are, as kilometres and as the milliseconds that BALANCING.md
 * section 3.4 makes of them. Pure. Coordinates are degrees, north and east positive. */
#ifndef MERIDIAN_GEO_NEAR_H
#define MERIDIAN_GEO_NEAR_H

/* Great-circle distance on a sphere of radius 6371.0 km (haversine). */
double near_km(double latitude1, double longitude1, double latitude2, double longitude2);
/* weight * max(0, km - accuracy_km) / 60. */
double near_ms(double km, double accuracy_km, double weight);

#endif
