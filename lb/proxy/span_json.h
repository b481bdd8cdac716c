/* span_json: one request as a span of OpenTelemetry, in OTLP's JSON form (opentelemetry-proto,
 * trace service; names of attributes by its semantic conventions for HTTP servers). Pure. It must
 * not know where spans go. */
#ifndef MERIDIAN_PROXY_SPAN_JSON_H
#define MERIDIAN_PROXY_SPAN_JSON_H

#include "proxy/access_log.h"
#include "proxy/trace.h"

/* One object on one line, with its line end. The query, which may hold secrets, is no part of it.
 */
void span_json(const struct access_facts *f, const struct trace *t, struct buf *out);

#endif
