/* ctl_table: what meridianctl's tables look like, to the blank. */
#include "check.h"

#include "admin/ctl_table.h"
#include "base/limits.h"

static struct arena arena;
static struct ctl_table table;
static struct buf out;

static void begin(const struct ctl_column *columns, size_t count)
{
    arena_init(&arena, NULL, KIB(4), 0);
    ctl_table_init(&table, &arena, columns, count);
    buf_init(&out, 0);
}

static void end(void)
{
    buf_fini(&out);
    arena_reset(&arena);
}

static void add(const char *a, const char *b, const char *c)
{
    struct span *cells = ctl_table_row(&table);
    CHECK(cells != NULL, "no memory");
    cells[0] = span_str(a);
    cells[1] = span_str(b);
    cells[2] = span_str(c);
}

/* The table, printed anew for that width. */
static struct span printed(size_t width)
{
    out.n = 0;
    ctl_table_print(&table, width, &out);
    return buf_span(&out);
}

static const struct ctl_column plain[] = {
    {.title = "NAME"}, {"N", true, CTL_WHOLE}, {.title = "X"}};

TEST(ctl_table, columns_are_as_wide_as_what_is_in_them)
{
    begin(plain, 3);
    add("a", "1", "x");
    add("longer", "1000", "");
    CHECK_SPAN(printed(0), "NAME       N  X\n"
                           "a          1  x\n"
                           "longer  1000\n");
    end();
}

TEST(ctl_table, titles_alone_and_columns_that_nobody_fills)
{
    begin(plain, 3);
    CHECK_SPAN(printed(80), "NAME  N  X\n");
    add("a", "", "x");
    CHECK_SPAN(printed(80), "NAME  X\na     x\n");
    end();
}

/* A character of two or three bytes takes one place. */
TEST(ctl_table, places_are_characters)
{
    begin(plain, 3);
    add("zürich", "1", "–");
    add("oslo", "2", "x");
    CHECK_SPAN(printed(0), "NAME    N  X\n"
                           "zürich  1  –\n"
                           "oslo    2  x\n");
    end();
}

static const struct ctl_column narrow[] = {
    {"NAME", false, CTL_CUT}, {"SPARE", true, CTL_SPARE}, {"REASON", false, CTL_BELOW}};

/* First words go below their row, then what can be spared goes, then what is long is cut. */
TEST(ctl_table, what_becomes_of_it_where_it_is_too_wide)
{
    begin(narrow, 3);
    add("frankfurt-machine-1", "12", "it refuses connections");
    add("b", "3", "");
    CHECK_SPAN(printed(50), "NAME                 SPARE  REASON\n"
                            "frankfurt-machine-1     12  it refuses connections\n"
                            "b                        3\n");
    CHECK_SPAN(printed(49), "NAME                 SPARE\n"
                            "frankfurt-machine-1     12\n"
                            "    it refuses connections\n"
                            "b                        3\n");
    CHECK_SPAN(printed(25), "NAME\n"
                            "frankfurt-machine-1\n"
                            "    it refuses\n"
                            "    connections\n"
                            "b\n");
    CHECK_SPAN(printed(12), "NAME\n"
                            "frank…hine-1\n"
                            "    it\n"
                            "    refuses\n"
                            "    connections\n"
                            "b\n");
    end();
}

/* There is a least width: a name of which nothing is left helps nobody. */
TEST(ctl_table, nothing_is_cut_to_nothing)
{
    begin(narrow, 3);
    add("frankfurt-machine-1", "", "");
    CHECK_SPAN(printed(1), "NAME\nfra…ne-1\n");
    end();
}

/* The widest first, so that all keep what tells them apart. */
TEST(ctl_table, the_widest_is_cut_first)
{
    static const struct ctl_column both[] = {{"A", false, CTL_CUT}, {"B", false, CTL_CUT}};
    begin(both, 2);
    add("0123456789abcdef", "0123456789", "");
    CHECK_SPAN(printed(22), "A           B\n0123…bcdef  0123456789\n");
    end();
}

/* F32: no name steers the terminal. */
TEST(ctl_table, what_could_command_a_terminal_is_replaced)
{
    begin(plain, 3);
    add("a\x1b[31m", "\xc2\x9b", "x\ty\x7f\r\n");
    CHECK_SPAN(printed(0), "NAME    N  X\n"
                           "a?[31m  ?  x?y???\n");
    add("\xff\xc3", "1", "");
    CHECK(printed(0).n > 0, "what is no UTF-8 has an end too");
    out.n = 0;
    ctl_put_clean(&out, SPAN("one\ntwo\x1b\n"), true);
    CHECK_SPAN(buf_span(&out), "one\ntwo?\n");
    out.n = 0;
    ctl_put_clean(&out, SPAN("one\ntwo"), false);
    CHECK_SPAN(buf_span(&out), "one?two");
    end();
}

/* A2: a row that finds no memory is none; those before it are printed. */
TEST(ctl_table, without_memory)
{
    arena_init(&arena, NULL, 512, 1024);
    ctl_table_init(&table, &arena, plain, 3);
    buf_init(&out, 0);
    size_t rows = 0;
    while (rows < 100 && ctl_table_row(&table) != NULL)
        rows++;
    CHECK(rows > 0 && rows < 100, "%zu rows in 1 KiB", rows);
    table.first->cells[0] = SPAN("a");
    CHECK(span_starts(printed(0), SPAN("NAME\na\n")), "%.*s", SPAN_FMT(buf_span(&out)));
    end();
}
