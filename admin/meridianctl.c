/* meridianctl: asks a running balancer through its control socket and prints the answer. Exit
 * codes: 0 done, 1 refused, 2 usage, 3 the balancer cannot be reached. */
#include "admin/ctl_args.h"
#include "admin/ctl_client.h"
#include "admin/ctl_print.h"
#include "admin/ctl_table.h"
#include "base/limits.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WATCH_S       2
#define TREE_MOST     MIB(512)
#define WIDTH_LEAST   80
#define SOCKET_LENGTH 512
#define CLEAR_SCREEN  "\033[H\033[2J"

enum { EXIT_DONE, EXIT_REFUSED, EXIT_USAGE, EXIT_UNREACHED };

static void write_out(FILE *to, const struct buf *text)
{
    fwrite(text->p + text->at, 1, buf_len(text), to);
    fflush(to);
}

static int complain(const struct buf *problem, int code)
{
    fprintf(stderr, "meridianctl: %.*s\n", SPAN_FMT(buf_span(problem)));
    return code;
}

/* A terminal's width; 0 where the output goes elsewhere and need not be cut. */
static size_t screen_width(void)
{
    struct winsize size = {0};
    if (!isatty(STDOUT_FILENO)) {
        return 0;
    }
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > WIDTH_LEAST ? size.ws_col
                                                                                     : WIDTH_LEAST;
}

static int print_refusal(const struct ctl_args *args, const struct json_value *reply,
                         struct buf *text)
{
    struct span message = json_get_text(reply, "message");
    buf_put_str(text, "meridianctl: ");
    /* The messages of a reload begin with a place in the file: they stand alone. */
    if (span_find(message, '\n') < message.n) {
        buf_clear(text);
    }
    ctl_put_clean(text, message, true);
    if (!span_ends(message, SPAN("\n"))) {
        buf_put_char(text, '\n');
    }
    if (strcmp(args->command, "reload") == 0) {
        buf_put_str(text, "meridianctl: reload refused; the running configuration stays\n");
    }
    write_out(stderr, text);
    return EXIT_REFUSED;
}

static int print_reply(const struct ctl_args *args, struct span line, struct arena *arena,
                       struct buf *text)
{
    const struct json_value *reply;
    if (json_read(line, arena, &reply) != ERR_OK) {
        fprintf(stderr, "meridianctl: the answer is not understood\n");
        return EXIT_UNREACHED;
    }
    bool ok = json_get_bool(reply, "ok");
    if (args->json) {
        buf_put_span(text, line);
        buf_put_char(text, '\n');
    } else if (ok) {
        ctl_print(reply, span_str(args->command), screen_width(), arena, text);
    } else {
        return print_refusal(args, reply, text);
    }
    write_out(stdout, text);
    struct span outcome = json_get_text(reply, "outcome");
    return ok && (outcome.p == NULL || span_eq(outcome, SPAN("ok"))) ? EXIT_DONE : EXIT_REFUSED;
}

static int ask_once(const struct ctl_args *args, const char *socket_path)
{
    char memory[SOCKET_LENGTH + 256];
    struct buf reply, text, problem;
    struct arena arena;
    int code;
    buf_init(&reply, CTL_REPLY_MOST);
    buf_init(&text, 0);
    buf_fixed(&problem, memory, sizeof memory);
    arena_init(&arena, NULL, KIB(64), TREE_MOST);
    if (ctl_ask(socket_path, buf_span(&args->request), &reply, &problem) != ERR_OK) {
        code = complain(&problem, EXIT_UNREACHED);
    } else {
        if (args->watch && !args->json && isatty(STDOUT_FILENO)) {
            buf_put_str(&text, CLEAR_SCREEN);
        }
        code = print_reply(args, buf_span(&reply), &arena, &text);
    }
    arena_reset(&arena);
    buf_fini(&text);
    buf_fini(&reply);
    return code;
}

static int run(const struct ctl_args *args)
{
    char path[SOCKET_LENGTH];
    ctl_default_socket(path, sizeof path);
    for (;;) {
        int code = ask_once(args, args->socket != NULL ? args->socket : path);
        if (!args->watch || code != EXIT_DONE) {
            return code;
        }
        sleep(WATCH_S);
    }
}

int main(int argc, char **argv)
{
    char memory[1024];
    struct ctl_args args;
    struct buf problem, help;
    int code;
    buf_fixed(&problem, memory, sizeof memory);
    buf_init(&help, 0);
    if (ctl_args_parse(argc, argv, &args, &problem) != ERR_OK) {
        code = complain(&problem, EXIT_USAGE);
    } else if (args.help) {
        ctl_args_help(&help);
        write_out(stdout, &help);
        code = EXIT_DONE;
    } else if (args.version) {
        printf("meridianctl %s\n", MERIDIAN_VERSION);
        code = EXIT_DONE;
    } else {
        code = run(&args);
    }
    buf_fini(&help);
    buf_fini(&args.request);
    return code;
}
