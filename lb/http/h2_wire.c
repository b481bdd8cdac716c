#include "http/h2_session_impl.h"

#include "base/mem.h"

/* The library's part of a session: what it may do, and the memory that it has. */

enum { SEND_BLOCK_MOST = 4 * 1024 * 1024 };

static bool set_options(nghttp2_option *o, const struct h2_guard *guard)
{
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_closed_streams(o, 1);
    nghttp2_option_set_max_continuations(o, h2_guard_continuations(guard));
    nghttp2_option_set_max_settings(o, LIMIT_H2_SETTINGS);
    nghttp2_option_set_max_outbound_ack(o, LIMIT_H2_ACKS);
    /* The guard counts first, and says ENHANCE_YOUR_CALM; this is what stands behind it. */
    nghttp2_option_set_stream_reset_rate_limit(o, 2 * LIMIT_H2_RESETS, 2 * LIMIT_H2_RESETS_RATE);
    nghttp2_option_set_max_deflate_dynamic_table_size(o, LIMIT_H2_TABLE);
    /* What a message may be is for h2_block, h2_message and h2_recv to say, for both versions alike
     * and once: the library would look at each name and value again. */
    nghttp2_option_set_no_http_messaging(o, 1);
    /* The library's own bound is below what limits.head may be. */
    nghttp2_option_set_max_send_header_block_length(o, SEND_BLOCK_MOST);
    return true;
}

/* What the library holds counts like everything else (A3), for clients also towards their
 * allowance. It takes and gives many small pieces for each stream. Whatever it cannot have is the
 * end of the connection for it, or a window that stays shut: it is lent (F16). */
static size_t room_of(const struct h2_session *s, void *p)
{
    return s->server && p != NULL ? mem_room(p) : 0;
}

static void *wire_alloc(size_t size, void *user)
{
    struct h2_session *s = user;
    void *p = small_take_lent(s->small, s->reserve, size);
    s->allowance.all.used += room_of(s, p);
    return p;
}

static void *wire_array(size_t count, size_t size, void *user)
{
    size_t total;
    void *p = __builtin_mul_overflow(count, size, &total) ? NULL : wire_alloc(total, user);
    if (p != NULL) {
        memset(p, 0, total);
    }
    return p;
}

static void *wire_resize(void *p, size_t size, void *user)
{
    struct h2_session *s = user;
    size_t was = room_of(s, p);
    void *q = small_resize_lent(s->small, s->reserve, p, size);
    if (q != NULL) {
        s->allowance.all.used += room_of(s, q) - was;
    }
    return q;
}

static void wire_free(void *p, void *user)
{
    struct h2_session *s = user;
    if (p == NULL) {
        return;
    }
    size_t room = mem_room(p);
    s->allowance.all.used -= s->server ? room : 0;
    small_give_known(s->small, p, room);
}

bool h2_wire_new(struct h2_session *s)
{
    nghttp2_mem mem = {.mem_user_data = s,
                       .malloc = wire_alloc,
                       .free = wire_free,
                       .calloc = wire_array,
                       .realloc = wire_resize};
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *options = NULL;
    bool made = nghttp2_session_callbacks_new(&callbacks) == 0 &&
                nghttp2_option_new(&options) == 0 && set_options(options, &s->guard);
    if (made) {
        h2_recv_callbacks(callbacks);
        h2_send_callbacks(callbacks);
        made =
            (s->server ? nghttp2_session_server_new3(&s->wire, callbacks, s, options, &mem)
                       : nghttp2_session_client_new3(&s->wire, callbacks, s, options, &mem)) == 0;
    }
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(options);
    return made;
}
