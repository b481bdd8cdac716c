/* schema: every key of the configuration as data. One table drives reading, defaults, printing and
 * the reference; a field names its type, and a type knows how a value of it is read, preset,
 * printed and described. Knows nothing of what keys mean together (check.h). The tables are
 * constant. */
#ifndef MERIDIAN_CONF_SCHEMA_H
#define MERIDIAN_CONF_SCHEMA_H

#include "conf/tree.h"

struct schema_field;
struct schema_map;
struct reader;

struct writer {
    struct buf *out;
    const struct conf *conf;
    unsigned indent; /* columns before a key */
    bool joined;     /* the next key stands behind the "-" of a list, on its line */
};

/* How values of one kind are handled. `at` points at the value in its struct. */
struct schema_type {
    const char *name;    /* for the reference: "duration" */
    const char *allowed; /* completes "… must be": "a duration with its unit, such as 250ms" */
    void (*preset)(const struct schema_field *f, void *at); /* NULL: zero bytes are the default */
    void (*read)(struct reader *r, const struct schema_field *f, const struct node *n, void *at);
    /* Whether there is something to print; NULL: always. */
    bool (*present)(const struct schema_field *f, const void *at);
    /* After "key:" (in a list "-"): " value\n", or "\n" and deeper lines. */
    void (*write)(struct writer *w, const struct schema_field *f, const void *at);
};

/* A word and what it stands for. A table ends with a NULL word. */
struct schema_word {
    const char *word;
    int64_t value;
};

enum {
    SCHEMA_REQUIRED = 1, /* must be written */
    SCHEMA_RESTART = 2,  /* a reload does not change it */
    SCHEMA_SECRET = 4,   /* printed hidden */
    SCHEMA_SINGLE = 8,   /* a list that may be written as its one element */
    SCHEMA_WRITTEN = 32, /* text: printed only where it was written */
    SCHEMA_INHERIT = 16  /* where not written, the value at `inherit` in struct conf holds */
};

struct schema_field {
    const char *key;
    const struct schema_type *type;
    size_t offset;                /* in the struct of the map that the field is in */
    size_t count_offset;          /* of size_t: lists and named maps */
    size_t inherit;               /* of an int64_t in struct conf: SCHEMA_INHERIT */
    int64_t initial, least, most; /* numbers and words: in the unit of the struct; `most` with text:
                                     bytes */
    const char *text;             /* text: the default; a number: the word for 0 ("auto") */
    const struct schema_word *words;
    const struct schema_map *map;       /* maps and named maps */
    const struct schema_field *element; /* lists; values of maps of fields */
    size_t element_size;                /* lists and named maps */
    /* text, and names of maps of fields: NULL, or what it must be */
    const char *(*check)(struct span s);
    unsigned flags;       /* SCHEMA_* */
    const char *fallback; /* the reference's words for a default that is no constant */
    const char *for_zero; /* a number above 0: what serves who wants 0; or NULL */
    const char *help;
};

struct schema_map {
    const struct schema_field *fields;
    size_t count;
    /* Keys of which at most one may be given (one_needed: exactly one); NULL at the end, or NULL.
     */
    const char *const *one_of;
    bool one_needed;
    /* The struct begins with `bool set; struct conf_mark mark` and is there only where written. */
    bool optional;
    /* The struct begins with a struct conf_mark, which is set; its width is 0 where something
     * inside is wrong, so that checks of several things together can pass over it. */
    bool marked;
    /* It has the durations `interval` and `timeout`, of which the latter may not be the longer. */
    bool paced;
    /* Called after the fields are read: what has to be set that no field says. */
    void (*done)(struct reader *r, const struct node *n, void *at);
    /* Whether the map is printed; NULL: where written if optional, else always. */
    bool (*present)(const void *at);
};

/* What every optional map begins with. */
struct schema_optional {
    bool set;
    struct conf_mark mark;
};

#define SCHEMA_FIELDS(table) .fields = (table), .count = sizeof(table) / sizeof *(table)

/* scalar.c: numbers; word.c: text */
extern const struct schema_type type_flag, type_count, type_duration, type_size, type_byte_rate,
    type_rate, type_percent, type_real;
extern const struct schema_type type_word, type_words, type_text;
/* address.c */
extern const struct schema_type type_bind, type_backend_address, type_name_server, type_cidr,
    type_admin_http;
/* value.c */
extern const struct schema_type type_location, type_statuses, type_host, type_path, type_pool_host,
    type_probe_off;
/* fields.c */
extern const struct schema_type type_fields, type_field_name, type_template, type_redirect_to,
    type_log_line;
/* schema_hedge.c */
extern const struct schema_type type_after;
/* shape.c */
extern const struct schema_type type_split, type_key, type_hash_key, type_pages;
/* compound.c */
extern const struct schema_type type_map, type_named, type_list;

/* The root of all keys; its struct is struct conf. */
extern const struct schema_map schema_root, schema_log, schema_tracing;
extern const struct schema_map schema_dependency, schema_health, schema_hedge, schema_listener,
    schema_pool, schema_registry, schema_residency, schema_route, schema_source, schema_sticky;

/* Sets every default of the map's struct at `at`, which is zeroed. */
void schema_preset(const struct schema_map *map, void *at);
/* Prints the fields of the map at `at`, one line or block each. */
void schema_write(struct writer *w, const struct schema_map *map, const void *at);
/* Puts the global values into the fields of the map that inherit and were not written. */
void schema_inherit(const struct conf *conf, const struct schema_map *map, void *at);
/* Appends the value that holds where nothing is written, in words where it is no constant; false
 * where there is none to tell of (reference.c). */
bool schema_put_default(struct buf *out, const struct schema_field *f);
/* Whether a key is printed at all. */
bool schema_present(const struct writer *w, const struct schema_field *f, const void *at);

static inline const void *schema_at(const void *base, size_t offset)
{
    return (const char *)base + offset;
}

/* Pieces of output that types share. */
void write_text(struct writer *w, struct span s); /* plain where that is safe, else quoted */
void write_end(struct writer *w);                 /* the line's end */
void write_indent(struct writer *w);
/* The value of a field that is one text, to the line's end. */
void write_value(struct writer *w, struct span s);
/* For types whose struct is, or begins with, struct conf_text. */
bool schema_text_present(const struct schema_field *f, const void *at);
void schema_text_write(struct writer *w, const struct schema_field *f, const void *at);

#endif
