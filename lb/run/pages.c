#include "run/pages.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct pages {
    struct buf *contents; /* by index */
    size_t count;
};

/* Regular files only: nothing that could keep us waiting. */
static enum err open_page(const char *path, int *fd)
{
    struct stat st;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0)
        return err_from_errno(errno);
    if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode))
        return ERR_OK;
    close(*fd);
    return ERR_UNSUPPORTED;
}

static enum err read_page(int fd, struct buf *out)
{
    for (;;) {
        char piece[4096];
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_from_errno(errno);
        if (n == 0)
            return ERR_OK;
        buf_put(out, piece, (size_t)n);
        if (out->failed)
            return ERR_RANGE;
    }
}

static enum err load(const struct conf_page *page, struct pages *to, struct conf_messages *m)
{
    int fd;
    struct buf *content = &to->contents[page->index];
    buf_init(content, LIMIT_ERROR_PAGE);
    enum err e = open_page(page->path.s.p, &fd);
    if (e == ERR_OK) {
        e = read_page(fd, content);
        close(fd);
    }
    if (e == ERR_RANGE)
        conf_report(m, page->path.mark, "the page '%.*s' is too large; at most 64 KiB are allowed",
                    SPAN_FMT(page->path.s));
    else if (e != ERR_OK)
        conf_report(m, page->path.mark, "cannot read the page '%.*s': %s", SPAN_FMT(page->path.s),
                    err_phrase(e));
    return e;
}

static void load_all(const struct conf_pages *from, struct pages *to, struct conf_messages *m,
                     enum err *worst)
{
    for (size_t i = 0; i < from->count; i++) {
        if (load(&from->v[i], to, m) != ERR_OK)
            *worst = ERR_NOT_FOUND;
    }
}

enum err pages_load(const struct conf *conf, struct conf_messages *to, struct pages **out)
{
    enum err e = ERR_OK;
    struct pages *pages = *out = mem_alloc(sizeof *pages);
    if (pages == NULL)
        return ERR_NO_MEMORY;
    pages->contents = mem_array(conf->page_count + 1, sizeof *pages->contents);
    if (pages->contents == NULL) {
        pages_free(out);
        return ERR_NO_MEMORY;
    }
    pages->count = conf->page_count;
    load_all(&conf->pages, pages, to, &e);
    for (size_t i = 0; i < conf->route_count; i++)
        load_all(&conf->routes[i].pages, pages, to, &e);
    if (e != ERR_OK)
        pages_free(out);
    return e;
}

void pages_free(struct pages **pp)
{
    struct pages *pages = *pp;
    *pp = NULL;
    if (pages == NULL)
        return;
    for (size_t i = 0; i < pages->count; i++)
        buf_fini(&pages->contents[i]);
    mem_free(pages->contents);
    mem_free(pages);
}

struct span pages_content(const struct pages *pages, size_t index)
{
    return buf_span(&pages->contents[index]);
}
