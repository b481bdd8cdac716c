/* metrics: writes figures in Prometheus' text format, version 0.0.4. Knows names, labels and
 * values; knows nothing of what they mean. Names are given without the prefix "meridian_". A family
 * is begun once and all its samples follow it. Into a buf: overflow shows as buf.failed. */
#ifndef MERIDIAN_ADMIN_METRICS_H
#define MERIDIAN_ADMIN_METRICS_H

#include "base/buf.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_label {
    const char *name; /* [a-z_][a-z0-9_]* */
    struct span value;
};

struct metrics {
    struct buf *out;
    const char *family; /* without the prefix */
    enum metric_type type;
};

void metrics_init(struct metrics *m, struct buf *out);
/* HELP and TYPE lines. A counter's name ends with "_total". name and help live until the next one.
 */
void metrics_family(struct metrics *m, const char *name, enum metric_type type, const char *help);
/* One sample of the present family, which is a counter or gauge. */
void metrics_u64(struct metrics *m, const struct metric_label *labels, size_t n, uint64_t value);
void metrics_double(struct metrics *m, const struct metric_label *labels, size_t n, double value);
/* One histogram: bounds ascending in base units; counts[i] are the values <= bounds[i] and above
 * the bound before (not cumulative), counts[bound_count] those above all. */
void metrics_histogram(struct metrics *m, const struct metric_label *labels, size_t n,
                       const double *bounds, size_t bound_count, const uint64_t *counts,
                       double sum);

#endif
