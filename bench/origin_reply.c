#include "origin.h"

#include "tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t BODY_MAX = (uint64_t)1 << 40;
static const uint64_t DELAY_MAX_MS = 600000;

static size_t write_head(char *out, size_t cap, const struct personality *who, int status,
                         const char *type, uint64_t length)
{
    int len = snprintf(out, cap, "HTTP/1.1 %d %s\r\n", status, status < 400 ? "OK" : "Error");
    if (who->name[0])
        len += snprintf(out + len, cap - (size_t)len, "x-origin: %s\r\n", who->name);
    if (status >= 200 && status != 204 && status != 304)
        len +=
            snprintf(out + len, cap - (size_t)len, "content-type: %s\r\ncontent-length: %llu\r\n",
                     type, (unsigned long long)length);
    len += snprintf(out + len, cap - (size_t)len, "\r\n");
    return (size_t)len;
}

void origin_reply_prepare(struct personality *who)
{
    char json[128];
    size_t json_len = 0;
    if (who->json) {
        json_len = (size_t)snprintf(json, sizeof json, "{\"origin\":\"%s\",\"port\":%u}\n",
                                    who->name, who->port);
        who->body_bytes = json_len;
    }
    if (who->body_bytes > REPLY_PATTERN)
        return;
    who->ready = tool_alloc(1, REPLY_HEAD_MAX + (size_t)who->body_bytes);
    size_t len = write_head(who->ready, REPLY_HEAD_MAX, who, who->status,
                            who->json ? "application/json" : "text/plain", who->body_bytes);
    if (who->json)
        memcpy(who->ready + len, json, json_len);
    else
        memset(who->ready + len, 'm', (size_t)who->body_bytes);
    who->ready_len = len + (size_t)who->body_bytes;
}

/* The number behind `prefix` at the start of the target. */
static bool path_number(const struct h1_head *head, const char *prefix, uint64_t max, uint64_t *out)
{
    size_t at = strlen(prefix);
    if (head->target_len <= at || memcmp(head->target, prefix, at) != 0)
        return false;
    uint64_t value = 0;
    for (; at < head->target_len && head->target[at] >= '0' && head->target[at] <= '9'; at++) {
        value = value * 10 + (uint64_t)(head->target[at] - '0');
        if (value > max)
            return false;
    }
    *out = value;
    return true;
}

static void reply_with(struct reply *reply, const struct personality *who, int status,
                       uint64_t bytes)
{
    reply->data = reply->head;
    reply->data_len = write_head(reply->head, sizeof reply->head, who, status, "text/plain", bytes);
    reply->body = status == 204 || status == 304 ? 0 : bytes;
}

static void reply_ready(struct reply *reply, const struct personality *who)
{
    if (!who->ready) {
        reply_with(reply, who, who->status, who->body_bytes);
        return;
    }
    reply->data = who->ready;
    reply->data_len = who->ready_len;
    reply->body = 0;
}

/* In microseconds. */
static uint64_t usual_delay(const struct personality *who)
{
    if (!who->jitter_ms)
        return who->delay_ms * 1000;
    return who->delay_ms * 1000 + (uint64_t)random() % (who->jitter_ms * 1000);
}

static void drop_body(struct reply *reply)
{
    const char *end = memmem(reply->data, reply->data_len, "\r\n\r\n", 4);
    reply->data_len = (size_t)(end - reply->data) + 4;
    reply->body = 0;
}

static bool is_full(const struct personality *who)
{
    return who->room > 0 && who->inside >= who->room;
}

void origin_reply(struct reply *reply, const struct personality *who, const struct h1_head *head)
{
    uint64_t number = 0;
    reply->delay_us = usual_delay(who);
    if (path_number(head, "/bytes/", BODY_MAX, &number))
        reply_with(reply, who, 200, number);
    else if (path_number(head, "/status/", 599, &number) && number >= 200)
        reply_with(reply, who, (int)number, 0);
    else if (head->target_len == 8 && memcmp(head->target, "/healthz", 8) == 0) {
        reply_with(reply, who, who->ill ? 503 : 200, 0);
        reply->delay_us = 0;
    } else if (is_full(who)) {
        reply_with(reply, who, 503, 0);
        reply->delay_us = 0;
    } else
        reply_ready(reply, who);
    if (path_number(head, "/delay/", DELAY_MAX_MS, &number))
        reply->delay_us = number * 1000;
    if (head->method_len == 4 && memcmp(head->method, "HEAD", 4) == 0)
        drop_body(reply);
}
