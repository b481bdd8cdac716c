/* limits: every bound of RELIABILITY.md section 2 that is fixed or is a default, in one place. */
#ifndef MERIDIAN_BASE_LIMITS_H
#define MERIDIAN_BASE_LIMITS_H

#define KIB(n) ((size_t)(n)*1024)
#define MIB(n) ((size_t)(n)*1024 * 1024)

#define LIMIT_CONNECTIONS             20000   /* L1, upper end of auto */
#define LIMIT_CONNECTIONS_SOURCE      1024    /* L2 */
#define LIMIT_HANDSHAKES              1024    /* L3 */
#define LIMIT_HANDSHAKE_MS            10000   /* L3 */
#define LIMIT_REQUEST_HEAD_MS         10000   /* L4 */
#define LIMIT_IDLE_MS                 60000   /* L5 */
#define LIMIT_REQUEST_BODY_MS         30000   /* L6, pause */
#define LIMIT_REQUEST_RATE            1024    /* L6, bytes per second over windows of 10 s */
#define LIMIT_REQUEST_RATE_WINDOW_MS  10000   /* L6 */
#define LIMIT_SEND_MS                 30000   /* L7, no progress */
#define LIMIT_RESPONSE_RATE           1024    /* L7, bytes per second over windows of 30 s */
#define LIMIT_RESPONSE_RATE_WINDOW_MS 30000   /* L7 */
#define LIMIT_CONNECT_MS              3000    /* L8 */
#define LIMIT_FIRST_BYTE_MS           60000   /* L8 */
#define LIMIT_RESPONSE_BODY_MS        60000   /* L8 */
#define LIMIT_BACKEND_SEND_MS         30000   /* L8 */
#define LIMIT_QUEUE_WAIT_MS           5000    /* L9 */
#define LIMIT_QUEUE                   1024    /* L9 */
#define LIMIT_TUNNEL_IDLE_MS          300000  /* L10 */
#define LIMIT_REQUESTS_CONNECTION     10000   /* L11 */
#define LIMIT_CONNECTION_AGE_MS       3600000 /* L11, +-10 % */
#define LIMIT_REQUEST_LINE            KIB(8)  /* L12 */
#define LIMIT_READINGS                KIB(64) /* H14: bytes of a path in all its readings together */
#define LIMIT_HEAD                    KIB(32)  /* L13 */
#define LIMIT_FIELDS                  100      /* L13 */
#define LIMIT_FIELD                   KIB(16)  /* L13 */
#define LIMIT_FIELD_NAME              256      /* L13 */
#define LIMIT_FIELD_OVERHEAD          32       /* L13, counted for each field */
#define LIMIT_TRAILER_FIELDS          16       /* L14 */
#define LIMIT_TRAILERS                KIB(4)   /* L14 */
#define LIMIT_CHUNK_LINE              256      /* L15 */
#define LIMIT_CHUNK_DIGITS            16       /* L15 */
#define LIMIT_CHUNK_OVERHEAD          KIB(16)  /* L15, beyond the body's own bytes */
#define LIMIT_BODY                    MIB(64)  /* L16 */
#define LIMIT_REPLY_HEAD              KIB(64)  /* L17 */
#define LIMIT_REPLY_FIELDS            200      /* L17 */
#define LIMIT_INTERIM                 10       /* L17 */
#define LIMIT_FLOW_HIGH               KIB(32)  /* L18 */
#define LIMIT_FLOW_LOW                KIB(16)  /* L18 */
#define LIMIT_EXCHANGE_BYTES          KIB(128) /* L18 */
#define LIMIT_UNSENT                  KIB(64)  /* L18, more that the kernel keeps for a client */
#define LIMIT_H2_CROWDED              KIB(768) /* L18, waiting for one client: pieces are small */
#define LIMIT_READ                    KIB(96)  /* L18, of one read: what the others leave */
#define LIMIT_READ_FIRST              KIB(32)  /* L18, of a response over HTTP/2: many may follow */
#define LIMIT_READ_LEAST              KIB(16) /* L18, the same before the client's side was asked */
#define LIMIT_READ_CROWDED            KIB(4)  /* L18, the same where L27's bound has been reached */
#define LIMIT_H2_STREAMS              100     /* L20 */
#define LIMIT_H2_WINDOW               KIB(64) /* L21, of a stream at first */
#define LIMIT_H2_WINDOW_LEAST         KIB(8)  /* L18, of a server's stream among many of a client */
#define LIMIT_H2_WINDOW_MOST          MIB(1)  /* L21, of a stream */
#define LIMIT_H2_HOLDS                KIB(3840) /* L18, G11, of 4 MiB, beside buffers and TLS of its own */
#define LIMIT_H2_HOLDS_SOFT           KIB(3456) /* L18, then one request at a time goes on */
#define LIMIT_H2_STEP                 KIB(224) /* L18, what one read of a server may make us hold, once */
#define LIMIT_H2_REQUEST              KIB(4)   /* L18, of a request, before any byte of its own */
#define LIMIT_H2_SHARE                KIB(26)  /* L18, of an ordinary one, with a server's window */
#define LIMIT_H2_CODING               MIB(1)   /* L18, of content codings */
#define LIMIT_H2_SPARE                KIB(256) /* L18, left over: no more is taken than is needed */
#define LIMIT_H2_WINDOW_CONNECTION    MIB(1)   /* L21 */
#define LIMIT_H2_FRAME                16384    /* L21 */
#define LIMIT_H2_TURN                 5    /* requests of one connection that are begun in a turn */
#define LIMIT_H2_AT_ONCE              16   /* instead, while as many have been answered */
#define LIMIT_H2_TABLE                4096 /* L21, HPACK, each direction */
#define LIMIT_H2_CONTINUATIONS        8    /* L22, more where the block may be larger */
#define LIMIT_H2_BLOCK                KIB(32) /* L22, encoded; twice L13 and L17 where that is more */
#define LIMIT_H2_GROWTH               4       /* L22, decoded, as a multiple of L13 and L17 */
#define LIMIT_H2_RESETS               200     /* L23, burst */
#define LIMIT_H2_RESETS_RATE          33      /* L23, per second */
#define LIMIT_H2_OWN_RESETS           50      /* L24, burst */
#define LIMIT_H2_OWN_RESETS_RATE      1       /* L24 */
#define LIMIT_H2_PAST                 32      /* closed streams that are remembered */
#define LIMIT_H2_CONTROL              1000    /* L25, burst */
#define LIMIT_H2_CONTROL_RATE         100     /* L25 */
#define LIMIT_H2_SETTINGS             32      /* L25, per frame */
#define LIMIT_H2_ACKS                 100     /* L25, unsent */
#define LIMIT_H2_SETTINGS_MS          10000   /* L25, for the peer to acknowledge ours */
#define LIMIT_H2_UPDATES              1000    /* L25, WINDOW_UPDATE frames */
#define LIMIT_H2_UPDATES_DATA         10      /* L25, more for each DATA frame sent */
#define LIMIT_H2_EMPTY                100     /* L26, burst */
#define LIMIT_H2_EMPTY_RATE           10      /* L26 */
#define LIMIT_H2_FRAMING              KIB(256) /* L26, bytes of DATA frame headers beyond the content's own */
#define LIMIT_H2_FRAMING_RATE         KIB(128) /* L26, per second */
#define LIMIT_H2_FRAMING_EACH         64       /* L26, more for each stream */
#define LIMIT_H2_STRAY                1000     /* L26, frames of streams that are over, burst */
#define LIMIT_H2_STRAY_RATE           100      /* L26 */
#define LIMIT_H2_STRAY_EACH           100 /* L26, more for each stream that ended before its peer knew */
#define LIMIT_H2_STRAY_MOST           10000  /* L26, of those, together */
#define LIMIT_H2_GOAWAYS              10     /* L26 */
#define LIMIT_H2_STALLED_MS           30000  /* L27 */
#define LIMIT_H2_SHUT_STREAMS         8      /* L27, of one connection, whose windows stay closed */
#define LIMIT_H2_SHUT_BYTES           KIB(1) /* L27, let through less than this */
#define LIMIT_H2_SHUT_MS              500    /* L27, in this time, and two round trips */
#define LIMIT_H2_WAITING              MIB(1) /* L27, per connection */
#define LIMIT_H2_HELD                 MIB(1) /* L18, received and not wanted, per connection */
#define LIMIT_RETRY_EXTRA             2      /* L30 */
#define LIMIT_RETRY_TOTAL_MS          15000  /* L30 */
#define LIMIT_LACKED                  8      /* F16, looks for a connection */
#define LIMIT_RETRY_BUDGET_PERCENT    20     /* L30 */
#define LIMIT_RETRY_BUDGET_MIN        10     /* L30, per second */
#define LIMIT_REPLAY_BODY             KIB(64) /* H22 */
#define LIMIT_CHECK_INTERVAL_MS       2000    /* L31 */
#define LIMIT_CHECK_TIMEOUT_MS        1000    /* L31 */
#define LIMIT_CHECK_FALL              3       /* L31 */
#define LIMIT_CHECK_RISE              2       /* L31 */
#define LIMIT_CHECK_SOON_MS           500     /* L31, after a first contrary result */
#define LIMIT_CHECK_HEAD              KIB(4)  /* L31: of an answer, interim ones included */
#define LIMIT_CHECK_BODY              KIB(4)  /* L31 */
#define LIMIT_CHECK_BODY_MOST         KIB(64) /* CAPABILITIES C2: whoever asks for more */
#define LIMIT_EJECT_CONNECT_FAILS     3       /* L32 */
#define LIMIT_EJECT_FAILS             5       /* L32 */
#define LIMIT_EJECT_BASE_MS           5000    /* L32 */
#define LIMIT_EJECT_MOST_MS           30000   /* L32 */
#define LIMIT_EJECT_SHARE_PERCENT     50      /* L32 */
#define LIMIT_SLOW_START_MS           30000   /* L33 */
#define LIMIT_BACKEND_CONNECTIONS     512     /* L34 */
#define LIMIT_BACKEND_IDLE            64      /* L34 */
#define LIMIT_BACKEND_IDLE_MS         50000   /* L34 */
#define LIMIT_FRESH_IDLE_MS           1000    /* L34 */
#define LIMIT_WANTS_H1_MS             300000  /* a server that required HTTP/1.1 is asked in it */
#define LIMIT_EARNEST_BODY            KIB(16) /* who has sent so much of the content means it */
#define LIMIT_WAITING_BODY            KIB(112) /* L18, what may come of it before a server is found */
#define LIMIT_STALLED_MS              2000     /* L34, before a response makes room for others */
#define LIMIT_STALLED_BYTES           KIB(2)   /* L34, whose client has taken less meanwhile (L7) */
#define LIMIT_CONF_BYTES              MIB(4)   /* L36 */
#define LIMIT_CONF_DEPTH              32       /* L36 */
#define LIMIT_CONF_NODES              100000   /* L36 */
#define LIMIT_NAME_BYTES              253      /* of a host name as text, RFC 1035 section 2.3.4 */
#define LIMIT_NAME_ADDRESSES          64       /* L37, of one host name */
#define LIMIT_NAME_TTL_LEAST_MS       5000     /* L37 */
#define LIMIT_NAME_TTL_MOST_MS        300000   /* L37 */
#define LIMIT_NAME_TIMEOUT_MS         2000     /* L37, of one try */
#define LIMIT_NAME_TRIES              3        /* L37 */
#define LIMIT_NAME_RETRY_MOST_MS      60000    /* after failures in a row */
#define LIMIT_NAME_HOLD_MS            30000    /* B4, of a mass removal */
#define LIMIT_NAME_REMOVE_PERCENT     30       /* B4, more at once is a mass removal */
#define LIMIT_WEIGHT                  1000     /* the most that a server may have */
#define LIMIT_RANKS                   8        /* servers in front, and groups of backups */
#define LIMIT_LOG_LINE                KIB(8)   /* L38 */
#define LIMIT_LOG_URI                 KIB(2)   /* L38 */
#define LIMIT_LOG_FIELD               KIB(1)   /* L38 */
#define LIMIT_LOG_RING                MIB(4)   /* L38 */
#define LIMIT_ADMIN_CONNECTIONS       16       /* L40 */
#define LIMIT_ADMIN_BODY              MIB(1)   /* L40 */
#define LIMIT_DRAIN_REQUESTS_MS       30000    /* L41 */
#define LIMIT_DRAIN_TUNNELS_MS        300000   /* L41 */
#define LIMIT_MIRROR_ANSWER           MIB(1)   /* of an answer to a mirror's copy */
#define LIMIT_MIRROR_MS               30000    /* a copy's, beside its time for the first byte */
#define LIMIT_LINGER_BYTES            KIB(64) /* H20 */
#define LIMIT_LINGER_MS               1000    /* H20; of HTTP/2 servers' streams to their end */
#define LIMIT_LINGER_CUT_MS           500  /* F11, of one that is cut off: all that is left to it */
#define LIMIT_LINGERING               1024 /* connections per worker that linger at a time */
#define LIMIT_LINGERING_BYTES         MIB(64) /* and what they have to leave */
#define LIMIT_UPGRADE_HELD            KIB(16) /* H21 */
#define LIMIT_FORWARDED               32      /* H16 */
#define LIMIT_SITES                   64      /* per pool (BALANCING.md section 4) */
#define LIMIT_WORKERS                 64
#define LIMIT_GENERATIONS             8         /* C2, the present one too */
#define LIMIT_GEO_BYTES               MIB(1024) /* C4, one database */
#define LIMIT_ERROR_PAGE              KIB(64)   /* one page of error_pages */
#define LIMIT_GEO_FILES               8         /* C4, databases of one set */

/* Section 5, while memory or descriptors are short. */
#define LIMIT_MEMORY             MIB(1024) /* L35, or half of the machine */
#define LIMIT_SOURCE_PRESSED     64        /* L2 */
#define LIMIT_IDLE_PRESSED_MS    5000      /* L5 */
#define LIMIT_H2_STREAMS_PRESSED 10        /* L20 */

#endif
