/* schema_log: keys of `log` and `tracing`: what is written down, and where spans go. */
#include "conf/reader.h"
#include "conf/text.h"

static const struct schema_field access_fields[] = {
    {.key = "path",
     .type = &type_text,
     .offset = offsetof(struct conf_log, access_path),
     .text = "stdout",
     .check = text_access_log,
     .help = "Where the access log goes: stdout, stderr, off, or a file."},
    {.key = "format",
     .type = &type_log_line,
     .offset = offsetof(struct conf_log, access_line),
     .text = "json",
     .help = "Form of its lines: json, combined, or a template, such as \"{time} "
             "{client.address} {method} {uri} {status} {end} {total}\"."},
    {.key = "decision",
     .type = &type_flag,
     .offset = offsetof(struct conf_log, access_decision),
     .help = "Tell in each line how the backend was chosen: every term that `meridianctl explain` "
             "shows, of at most 8 sites. For `json`."},
};

/* Nothing is accepted and ignored. */
static void access_done(struct reader *r, const struct node *n, void *at)
{
    const struct conf_log *log = at;
    if (log->access_decision && log->access_line.format != CONF_LOG_JSON)
        conf_report(r->m, n->mark,
                    "log.access.decision is for format: json; leave one of them out");
}

static const struct schema_map access_map = {SCHEMA_FIELDS(access_fields), .done = access_done};

static const struct schema_word log_levels[] = {
    {"error", LOG_ERROR}, {"warn", LOG_WARN}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}, {NULL, 0},
};

static const struct schema_word event_forms[] = {
    {"text", CONF_EVENTS_TEXT},
    {"json", CONF_EVENTS_JSON},
    {NULL, 0},
};

static const struct schema_field event_fields[] = {
    {.key = "format",
     .type = &type_word,
     .offset = offsetof(struct conf_log, events),
     .words = event_forms,
     .initial = CONF_EVENTS_TEXT,
     .help = "Form of their lines: text (key=value) or json, an object with the same keys."},
};

static const struct schema_map event_map = {SCHEMA_FIELDS(event_fields)};

static const struct schema_field log_fields[] = {
    {.key = "access", .type = &type_map, .map = &access_map, .help = "The access log."},
    {.key = "events",
     .type = &type_map,
     .map = &event_map,
     .help = "Events and errors of the process, on standard error."},
    {.key = "level",
     .type = &type_word,
     .offset = offsetof(struct conf_log, level),
     .words = log_levels,
     .initial = LOG_INFO,
     .help = "Least weight of events that are logged."},
};

const struct schema_map schema_log = {SCHEMA_FIELDS(log_fields)};

static const struct schema_field tracing_fields[] = {
    {.key = "collector",
     .type = &type_name_server,
     .offset = offsetof(struct conf_tracing, collector),
     .flags = SCHEMA_REQUIRED,
     .help = "Address of a collector that takes OTLP over HTTP as JSON, such as "
             "\"127.0.0.1:4318\". Spans that it does not take in time are dropped and counted."},
    {.key = "path",
     .type = &type_text,
     .offset = offsetof(struct conf_tracing, path),
     .text = "/v1/traces",
     .check = text_target,
     .help = "Where it takes them."},
    {.key = "sample",
     .type = &type_percent,
     .offset = offsetof(struct conf_tracing, sample_percent),
     .initial = 1,
     .most = 100,
     .help =
         "Share of the traces that begin here of which a span is sent. For a trace that a client "
         "began its own sampled flag holds."},
    {.key = "service",
     .type = &type_text,
     .offset = offsetof(struct conf_tracing, service),
     .text = "meridian",
     .most = 255,
     .help = "The spans' service.name."},
};

const struct schema_map schema_tracing = {SCHEMA_FIELDS(tracing_fields), .optional = true};
