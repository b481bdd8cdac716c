/* h1_scan: finds the end of an HTTP/1 head while its bytes arrive, and on the way refuses what is
 * wrong: line ends (RELIABILITY H1), bytes, versions (H2), names and folding (H3), sizes (L12, L13,
 * L14, L17). Every byte is looked at once however the input is cut, and the verdict is the same for
 * every cut. Knows no field's meaning. Pure. */
#ifndef MERIDIAN_HTTP_H1_SCAN_H
#define MERIDIAN_HTTP_H1_SCAN_H

#include "http/field.h"

struct h1_limits {
    size_t line;              /* request line */
    size_t head;              /* names + values + 32 for each field */
    size_t fields;            /* how many */
    size_t field;             /* one name + value */
    enum odd_names odd_names; /* of requests; the scan lets them all through (H3) */
};

enum h1_kind { H1_REQUEST, H1_REPLY, H1_TRAILERS };

/* Offsets count from the first byte of the input. */
struct h1_scan {
    size_t at;      /* bytes looked at; the head's length when done */
    size_t start;   /* where the first line begins */
    size_t target;  /* requests: where the target begins, 0 where not reached */
    size_t version; /* requests: where the version begins, 0 where not reached */
    size_t first;   /* where the field lines begin, 0 where not reached */
    size_t line;    /* where the present line begins */
    size_t colon;   /* of the present field line */
    size_t size;    /* of the complete fields, as L13 counts */
    size_t fields;  /* complete ones */
    uint8_t part;
    bool blank; /* an empty line came before the request line */
};

void h1_scan_init(struct h1_scan *s, enum h1_kind kind);
/* in: all bytes since the head began, longer at every call. ERR_OK: complete, s->at bytes long.
 * ERR_AGAIN: more is needed. Else refused: ERR_BAD_REQUEST, ERR_BAD_LINE_END, ERR_BAD_TARGET,
 * ERR_BAD_VERSION, ERR_BAD_FIELD, ERR_URI_TOO_LONG, ERR_HEAD_TOO_LARGE. */
MUST_CHECK
enum err h1_scan_run(struct h1_scan *s, const struct h1_limits *l, struct span in);

/* tchar of RFC 9110 section 5.6.2. */
bool h1_is_token(char c);

#endif
