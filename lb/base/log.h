/* log: events and errors of the process, one line each, to standard error or a file: `key=value` or
 * JSON, escaped, rate-capped (RELIABILITY L38), with the <N> priority prefix where a service
 * manager reads them. Not the access log. Knows nothing of requests. Any thread; a line is one
 * write; workers call it for rare things only. */
#ifndef MERIDIAN_BASE_LOG_H
#define MERIDIAN_BASE_LOG_H

#include "base/limits.h"
#include "base/str.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct log;

/* level from "error|warn|info|debug"; false where it is none of them. */
bool log_level_parse(struct span s, enum log_level *out);
const char *log_level_name(enum log_level level);

/* fd is borrowed. json: one object a line, with a member for each key of the text, in place of
 * key=value; prefix adds <N> for the journal. NULL without memory. */
struct log *log_new(int fd, enum log_level level, bool json, bool prefix);
void log_free(struct log **log);
void log_set_json(struct log *log, bool json);
void log_set_level(struct log *log, enum log_level level);
enum log_level log_get_level(const struct log *log);
/* Lines dropped by the rate cap since the start. */
uint64_t log_dropped(const struct log *log);

/* s as a JSON string in out, cut where it does not fit, for values that foreign hands may have
 * shaped; LOG_QUOTE has memory until the end of the enclosing block. */
const char *log_quote(char *out, size_t size, struct span s);
#define LOG_QUOTE(s) log_quote((char[LIMIT_LOG_FIELD]){0}, LIMIT_LOG_FIELD, (s))

/* event: a short constant name ("reload-failed"); format: "key=value key=value" text, values with
 * blanks in quotes, those that may hold foreign bytes through LOG_QUOTE; control bytes are escaped
 * in any case. NULL log: nothing. */
void log_event(struct log *log, enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
