#include "geo/near.h"

#include <math.h>

#define EARTH_RADIUS_KM 6371.0
#define KM_PER_MS       60.0 /* round trip; fibre alone would do 100, real paths are longer */
#define DEGREE          (3.14159265358979323846 / 180.0)

double near_km(double latitude1, double longitude1, double latitude2, double longitude2)
{
    double up = sin((latitude2 - latitude1) * DEGREE / 2.0);
    double across = sin((longitude2 - longitude1) * DEGREE / 2.0);
    double h = up * up + cos(latitude1 * DEGREE) * cos(latitude2 * DEGREE) * across * across;
    /* Rounding may lift h above 1 at antipodes, where asin would be NaN. */
    return 2.0 * EARTH_RADIUS_KM * asin(sqrt(fmin(1.0, h)));
}

double near_ms(double km, double accuracy_km, double weight)
{
    return weight * fmax(0.0, km - accuracy_km) / KM_PER_MS;
}
