#include "admin/ctl_args.h"

#include "admin/json.h"
#include "base/limits.h"
#include "base/near.h"

#define HEADERS_MOST 64

/* What the command line holds beside the command's name. */
struct words {
    const char *positional[3];
    size_t count;
    const char *client, *method;
    const char *headers[HEADERS_MOST];
    size_t header_count;
    bool now;
};

struct parse {
    int argc, at;
    char *const *argv;
    struct ctl_args *out;
    struct words words;
    struct buf *problem;
};

/* Appends the members after "command". */
typedef enum err (*ctl_fill)(const struct words *w, struct json *j, struct buf *problem);

static enum err fill_none(const struct words *w, struct json *j, struct buf *problem)
{
    (void)w;
    (void)j;
    (void)problem;
    return ERR_OK;
}

static enum err fill_pool(const struct words *w, struct json *j, struct buf *problem)
{
    (void)problem;
    if (w->count > 0) {
        json_str(j, "pool", w->positional[0]);
    }
    return ERR_OK;
}

static enum err fill_backend(const struct words *w, struct json *j, struct buf *problem)
{
    (void)problem;
    json_str(j, "backend", w->positional[0]);
    return ERR_OK;
}

static enum err fill_weight(const struct words *w, struct json *j, struct buf *problem)
{
    uint64_t weight;
    if (span_u64(span_str(w->positional[1]), &weight) != ERR_OK || weight < 1 || weight > 1000) {
        buf_printf(problem, "\"%s\" is not a weight; a whole number from 1 to 1000 is wanted",
                   w->positional[1]);
        return ERR_SYNTAX;
    }
    json_u64(j, "weight", weight);
    return fill_backend(w, j, problem);
}

static enum err fill_headers(const struct words *w, struct json *j, struct buf *problem)
{
    json_array(j, "headers");
    for (size_t i = 0; i < w->header_count; i++) {
        struct span name, value = span_cut(span_str(w->headers[i]), ':', &name);
        if (name.n == 0 || name.n == strlen(w->headers[i])) {
            buf_printf(problem, "\"%s\" is not a header field; 'Name: value' is wanted",
                       w->headers[i]);
            return ERR_SYNTAX;
        }
        json_array(j, NULL);
        json_span(j, NULL, span_trim(name));
        json_span(j, NULL, span_trim(value));
        json_array_end(j);
    }
    json_array_end(j);
    return ERR_OK;
}

static enum err fill_explain(const struct words *w, struct json *j, struct buf *problem)
{
    if (w->client == NULL) {
        buf_put_str(problem, "--client IP is missing: for whom is it to be explained?");
        return ERR_SYNTAX;
    }
    json_str(j, "client", w->client);
    json_str(j, "url", w->positional[0]);
    if (w->method != NULL) {
        json_str(j, "method", w->method);
    }
    return fill_headers(w, j, problem);
}

static enum err fill_address(const struct words *w, struct json *j, struct buf *problem)
{
    (void)problem;
    json_str(j, "address", w->positional[0]);
    return ERR_OK;
}

static enum err fill_level(const struct words *w, struct json *j, struct buf *problem)
{
    (void)problem;
    json_str(j, "level", w->positional[0]);
    return ERR_OK;
}

static enum err fill_stop(const struct words *w, struct json *j, struct buf *problem)
{
    (void)problem;
    json_bool(j, "now", w->now);
    return ERR_OK;
}

static const struct command {
    const char *name, *words, *help;
    size_t least, most; /* words */
    ctl_fill fill;
    bool acts; /* changes something, or ends it */
} commands[] = {
    {"status", "", "the process, listeners, pools, and how requests ended", 0, 0, fill_none, false},
    {"pools", "", "all pools", 0, 0, fill_none, false},
    {"backends", "[POOL]", "backends, their health and load", 0, 1, fill_pool, false},
    {"routes", "", "all routes", 0, 0, fill_none, false},
    {"connections", "", "client connections", 0, 0, fill_none, false},
    {"certificates", "", "certificates and when they expire", 0, 0, fill_none, false},
    {"database", "", "the central database and its registry", 0, 0, fill_none, false},
    {"map", "", "where clients are, and which sites serve them", 0, 0, fill_none, false},
    {"drain", "TARGET", "no new requests; running ones finish", 1, 1, fill_backend, true},
    {"maintenance", "TARGET", "as drain, shown as maintenance", 1, 1, fill_backend, true},
    {"enable", "TARGET", "ends drain and maintenance", 1, 1, fill_backend, true},
    {"weight", "TARGET N", "another weight, 1 to 1000", 2, 2, fill_weight, true},
    {"reset", "TARGET", "ends all that was said by hand", 1, 1, fill_backend, true},
    {"reload", "", "reads configuration, certificates, databases anew", 0, 0, fill_none, true},
    {"explain", "--client IP URL", "where a request would go, and why", 1, 1, fill_explain, false},
    {"geo", "IP", "where an address is", 1, 1, fill_address, false},
    {"log-level", "LEVEL", "error, warn, info or debug", 1, 1, fill_level, true},
    {"stop", "[--now]", "ends the balancer, gracefully or at once", 0, 0, fill_stop, true},
};

/* The value of an option is the next word. NULL, with a problem, where there is none. */
static const char *option_value(struct parse *p, const char *name)
{
    if (p->at + 1 < p->argc) {
        return p->argv[++p->at];
    }
    buf_printf(p->problem, "%s needs a value", name);
    return NULL;
}

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static enum err take_header(struct parse *p, const char *value)
{
    if (value == NULL) {
        return ERR_SYNTAX;
    }
    if (p->words.header_count == HEADERS_MOST) {
        buf_put_str(p->problem, "too many header fields");
        return ERR_SYNTAX;
    }
    p->words.headers[p->words.header_count++] = value;
    return ERR_OK;
}

static bool take_flag(struct parse *p, const char *arg)
{
    const struct {
        const char *shorter, *longer;
        bool *flag;
    } flags[] = {
        {"-j", "--json", &p->out->json},   {"-w", "--watch", &p->out->watch},
        {"-h", "--help", &p->out->help},   {"-v", "--version", &p->out->version},
        {"--now", "--now", &p->words.now},
    };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (is(arg, flags[i].shorter) || is(arg, flags[i].longer)) {
            *flags[i].flag = true;
            return true;
        }
    }
    return false;
}

static enum err take_option(struct parse *p, const char *arg)
{
    if (take_flag(p, arg)) {
        return ERR_OK;
    }
    if (is(arg, "-H") || is(arg, "--header")) {
        return take_header(p, option_value(p, arg));
    }
    const char **into = is(arg, "-s") || is(arg, "--socket")   ? &p->out->socket
                        : is(arg, "-X") || is(arg, "--method") ? &p->words.method
                        : is(arg, "--client")                  ? &p->words.client
                                                               : NULL;
    if (into == NULL) {
        buf_printf(p->problem, "unknown option %s", arg);
        return ERR_SYNTAX;
    }
    *into = option_value(p, arg);
    return *into != NULL ? ERR_OK : ERR_SYNTAX;
}

static enum err take_word(struct parse *p, const char *arg)
{
    if (p->out->command == NULL) {
        p->out->command = arg;
    } else if (p->words.count == sizeof p->words.positional / sizeof *p->words.positional) {
        buf_printf(p->problem, "too many words: %s", arg);
        return ERR_SYNTAX;
    } else {
        p->words.positional[p->words.count++] = arg;
    }
    return ERR_OK;
}

static const struct command *find_command(const struct parse *p)
{
    struct near near = near_to(span_str(p->out->command));
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (is(commands[i].name, p->out->command)) {
            return &commands[i];
        }
        near_offer(&near, span_str(commands[i].name));
    }
    buf_printf(p->problem, "unknown command %s", p->out->command);
    near_put(&near, p->problem);
    return NULL;
}

/* Options of one command are not for the others: nothing is accepted and ignored. */
static enum err check_options(const struct parse *p)
{
    const struct words *w = &p->words;
    bool explains = is(p->out->command, "explain");
    if (!explains && (w->client != NULL || w->method != NULL || w->header_count > 0)) {
        buf_put_str(p->problem, "--client, --method and --header are for explain only");
        return ERR_SYNTAX;
    }
    if (w->now && !is(p->out->command, "stop")) {
        buf_put_str(p->problem, "--now is for stop only");
        return ERR_SYNTAX;
    }
    return ERR_OK;
}

static enum err make_request(struct parse *p)
{
    struct json j;
    const struct command *c = find_command(p);
    if (c == NULL) {
        return ERR_SYNTAX;
    }
    if (p->out->watch && c->acts) {
        buf_printf(p->problem, "--watch is for commands that only look; %s would act every time",
                   c->name);
        return ERR_SYNTAX;
    }
    if (p->words.count < c->least || p->words.count > c->most) {
        buf_printf(p->problem, "usage: meridianctl %s %s", c->name, c->words);
        return ERR_SYNTAX;
    }
    enum err e = check_options(p);
    if (e != ERR_OK) {
        return e;
    }
    json_init(&j, &p->out->request);
    json_object(&j, NULL);
    json_str(&j, "command", c->name);
    e = c->fill(&p->words, &j, p->problem);
    json_object_end(&j);
    if (e == ERR_OK && p->out->request.failed) {
        buf_put_str(p->problem, "the request is too long");
        e = ERR_SYNTAX;
    }
    return e;
}

enum err ctl_args_parse(int argc, char *const *argv, struct ctl_args *out, struct buf *problem)
{
    struct parse p = {.argc = argc, .argv = argv, .out = out, .problem = problem};
    *out = (struct ctl_args){0};
    buf_init(&out->request, LIMIT_ADMIN_BODY);
    for (p.at = 1; p.at < argc; p.at++) {
        const char *arg = argv[p.at];
        enum err e = arg[0] == '-' && arg[1] != 0 ? take_option(&p, arg) : take_word(&p, arg);
        if (e != ERR_OK) {
            return e;
        }
    }
    out->help = out->help || (out->command != NULL && is(out->command, "help"));
    if (out->help || out->version) {
        return ERR_OK;
    }
    if (out->command == NULL || out->command[0] == '\0') {
        buf_put_str(problem, "a command is missing; meridianctl --help lists them");
        return ERR_SYNTAX;
    }
    return make_request(&p);
}

void ctl_args_help(struct buf *out)
{
    buf_put_str(out, "usage: meridianctl [-s SOCKET] [--json] [--watch] COMMAND\n\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        const struct command *c = &commands[i];
        int width = 28 - (int)strlen(c->name);
        buf_printf(out, "  %s %-*s %s\n", c->name, width, c->words, c->help);
    }
    buf_put_str(
        out,
        "\n  -s, --socket SOCKET   the balancer's control socket\n"
        "  -j, --json            the answer as JSON\n"
        "  -w, --watch           again every two seconds, of what only looks\n"
        "  -h, --help            this text\n"
        "  -v, --version         the version\n"
        "\nexplain: --client IP (needed), -X, --method METHOD, -H, --header 'Name: value'\n"
        "TARGET: POOL/BACKEND; POOL/BACKEND@ADDRESS for one of its endpoints; POOL for all of a\n"
        "pool; site:NAME for all at a site. It holds for those that come later too.\n"
        "STATE of backends: up; soft: its checks fail; hard: it refuses or cannot be "
        "reached;\n  out: ejected for failures; drain, maintenance: by an operator.\n"
        "Exit: 0 done, 1 refused, 2 usage, 3 the balancer cannot be reached.\n");
}
