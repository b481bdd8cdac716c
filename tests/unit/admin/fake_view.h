/* fake_view: a balancer to look at: two pools, three backends, and actions that are remembered. */
#ifndef MERIDIAN_TESTS_ADMIN_FAKE_VIEW_H
#define MERIDIAN_TESTS_ADMIN_FAKE_VIEW_H

#include "admin/admin.h"

struct fake_view {
    struct admin_ops ops; /* change before use to take ops away */
    const char *not_ready;
    size_t backend_copies; /* of each row; 1 */
    struct admin_database database;
    size_t dependency_count; /* 0 to 3 */
    char target[64];
    enum endpoint_admin admin;
    uint32_t weight;
    unsigned resets, stops;
    bool stop_now;
    enum log_level level;
    struct admin_job *job; /* a reload that waits; NULL with answer_now */
    bool answer_now;
    enum err reload_result;
    const char *reload_messages;
    char client[64], url[128], method[16], header[64];
    enum err outcome;
};

void fake_view_init(struct fake_view *f);

#endif
