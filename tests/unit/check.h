/* check: the only test interface that unit tests use. With criterion underneath, each test is a
 * process of its own; in builds where criterion cannot run (ThreadSanitizer, fuzzing) the mini
 * runner of mini.c runs the same tests one after another in one process. A test costs about 20 ms
 * under criterion: put tables into loops, not one row into one test. */
#ifndef MERIDIAN_TESTS_CHECK_H
#define MERIDIAN_TESTS_CHECK_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#ifdef CHECK_MINI

struct mini_test {
    const char *suite, *name;
    void (*run)(void);
    struct mini_test *next;
};
void mini_register(struct mini_test *t);
void mini_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));

#define TEST(suite_, name_)                                                                        \
    static void suite_##_##name_##_test(void);                                                     \
    static struct mini_test suite_##_##name_##_entry = {#suite_, #name_, suite_##_##name_##_test,  \
                                                        NULL};                                     \
    __attribute__((constructor)) static void suite_##_##name_##_register(void)                     \
    {                                                                                              \
        mini_register(&suite_##_##name_##_entry);                                                  \
    }                                                                                              \
    static void suite_##_##name_##_test(void)

#define CHECK_FAIL_(...) mini_fail(__FILE__, __LINE__, __VA_ARGS__)

#else

#include <criterion/criterion.h>

#define TEST(suite_, name_) Test(suite_, name_)
#define CHECK_FAIL_(...)    cr_assert_fail(__VA_ARGS__)

#endif

__attribute__((format(printf, 3, 4))) static inline const char *check_print(char *out, size_t size,
                                                                            const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(out, size, format, ap);
    va_end(ap);
    return out;
}

/* CHECK(condition, "format", ...): a failed check ends the test. The format is not optional. */
#define CHECK(cond, ...)                                                                           \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            char check_m_[1024];                                                                   \
            CHECK_FAIL_("%s: %s", #cond, check_print(check_m_, sizeof check_m_, __VA_ARGS__));     \
        }                                                                                          \
    } while (0)
/* CHECK_INT(got, want): integers, both printed. CHECK_STR(got, want): NUL-terminated text. */
#define CHECK_INT(got, want)                                                                       \
    do {                                                                                           \
        long long check_g_ = (long long)(got), check_w_ = (long long)(want);                       \
        CHECK(check_g_ == check_w_, "%s is %lld, want %lld", #got, check_g_, check_w_);            \
    } while (0)
#define CHECK_STR(got, want)                                                                       \
    do {                                                                                           \
        const char *check_g_ = (got), *check_w_ = (want);                                          \
        CHECK(check_g_ != NULL && strcmp(check_g_, check_w_) == 0, "%s is \"%s\", want \"%s\"",    \
              #got, check_g_ != NULL ? check_g_ : "(null)", check_w_);                             \
    } while (0)
/* got: struct span; want: string literal or NUL-terminated text. */
#define CHECK_SPAN(got, want)                                                                      \
    do {                                                                                           \
        struct span check_g_ = (got);                                                              \
        const char *check_w_ = (want);                                                             \
        CHECK(check_g_.n == strlen(check_w_) &&                                                    \
                  (check_g_.n == 0 || memcmp(check_g_.p, check_w_, check_g_.n) == 0),              \
              "%s is \"%.*s\", want \"%s\"", #got, (int)check_g_.n, check_g_.p, check_w_);         \
    } while (0)

#endif
