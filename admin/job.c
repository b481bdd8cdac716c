#include "admin/admin_impl.h"
#include "base/mem.h"

#define MESSAGES_MOST MIB(1)

struct admin_job *job_new(struct admin *a, struct asker *asker, const char *command)
{
    struct admin_job *job = mem_alloc(sizeof *job);
    if (job == NULL) {
        return NULL;
    }
    job->admin = a;
    job->asker = asker;
    job->command = command;
    list_append(&a->jobs, &job->link);
    asker->job = job;
    return job;
}

void job_free(struct admin_job **job)
{
    if ((*job)->asker != NULL) {
        (*job)->asker->job = NULL;
    }
    list_remove(&(*job)->link);
    mem_free(*job);
    *job = NULL;
}

void job_leave(struct asker *asker)
{
    if (asker->job != NULL)
        asker->job->asker = NULL;
    asker->job = NULL;
}

void answer_error(struct buf *out, const char *command, enum err why, struct span message)
{
    struct json j;
    buf_clear(out);
    json_init(&j, out);
    json_object(&j, NULL);
    json_bool(&j, "ok", false);
    json_str(&j, "command", command);
    json_str(&j, "error", err_name(why));
    json_span(&j, "message", message.n > 0 ? message : span_str(err_phrase(why)));
    json_object_end(&j);
}

/* Hands the answer over, where somebody still waits for it, and ends the job. */
static void finish(struct admin_job *job, struct buf *answer)
{
    struct asker *asker = job->asker;
    const char *command = job->command;
    job_free(&job);
    if (asker != NULL) {
        if (answer->failed) {
            answer_error(answer, command, ERR_NO_MEMORY, SPAN_NONE);
        }
        asker->answer(asker, buf_span(answer));
    }
    buf_fini(answer);
}

static void begin_answer(struct json *j, struct buf *out, const char *command)
{
    buf_init(out, ADMIN_REPLY_MOST);
    json_init(j, out);
    json_object(j, NULL);
    json_bool(j, "ok", true);
    json_str(j, "command", command);
}

void admin_job_done(struct admin_job *job, enum err why, struct span messages)
{
    struct json j;
    struct buf out;
    messages = span_sub(messages, 0, MESSAGES_MOST);
    begin_answer(&j, &out, job->command);
    json_span(&j, "message", messages);
    json_object_end(&j);
    if (why != ERR_OK) {
        answer_error(&out, job->command, why, messages);
    }
    finish(job, &out);
}

void admin_job_connections(struct admin_job *job, const struct admin_connection *rows, size_t n,
                           uint64_t total)
{
    struct json j;
    struct buf out;
    begin_answer(&j, &out, job->command);
    show_connections(&j, rows, n);
    json_u64(&j, "total", total);
    json_object_end(&j);
    finish(job, &out);
}
