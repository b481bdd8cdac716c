#include "base/err.h"
#include "check.h"

#include <errno.h>
#include <string.h>

/* A12: one name each, everywhere; the names are labels, so their letters are few. */
TEST(err, every_entry_has_a_name_of_its_own)
{
    for (int i = 0; i < ERR_COUNT; i++) {
        const char *name = err_name((enum err)i);
        CHECK(name[strspn(name, "abcdefghijklmnopqrstuvwxyzL0123456789-")] == '\0', "%s", name);
        CHECK(name[0] != '\0' && err_phrase((enum err)i)[0] != '\0', "entry %d", i);
        for (int j = 0; j < i; j++)
            CHECK(strcmp(name, err_name((enum err)j)) != 0, "%s is there twice", name);
    }
}

TEST(err, statuses_are_none_or_of_answers)
{
    for (int i = 0; i < ERR_COUNT; i++) {
        int status = err_status((enum err)i);
        CHECK(status == 0 || status == 307 || (status >= 400 && status <= 508), "%s: %d",
              err_name((enum err)i), status);
    }
    CHECK_INT(err_status(ERR_HEAD_TOO_LARGE), 431);
    CHECK_INT(err_status(ERR_NO_BACKEND), 503);
    CHECK_INT(err_status(ERR_OK), 0);
}

TEST(err, a_value_outside_is_internal)
{
    CHECK_STR(err_name((enum err)ERR_COUNT), "internal");
    CHECK_STR(err_name((enum err) - 1), "internal");
}

TEST(err, errno_values)
{
    static const struct {
        int errnum;
        enum err want;
    } rows[] = {
        {0, ERR_OK},
        {EAGAIN, ERR_AGAIN},
        {EINPROGRESS, ERR_AGAIN},
        {ENOMEM, ERR_NO_MEMORY},
        {EMFILE, ERR_NO_DESCRIPTOR},
        {ENFILE, ERR_NO_DESCRIPTOR},
        {EADDRNOTAVAIL, ERR_NO_PORT},
        {ENOENT, ERR_NOT_FOUND},
        {EACCES, ERR_PERMISSION},
        {ELOOP, ERR_SYMLINK},
        {EADDRINUSE, ERR_IN_USE},
        {ECONNREFUSED, ERR_BACKEND_REFUSED},
        {EHOSTUNREACH, ERR_BACKEND_UNREACHABLE},
        {ETIMEDOUT, ERR_BACKEND_CONNECT_TIMEOUT},
        {ECONNRESET, ERR_BACKEND_RESET},
        {EPIPE, ERR_BACKEND_RESET},
        {EIO, ERR_SYSTEM},
        {12345, ERR_SYSTEM},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_STR(err_name(err_from_errno(rows[i].errnum)), err_name(rows[i].want));
}
