/* word: types of one value that is text: switches, words of a fixed choice, names and free text. */
#include "conf/reader.h"

#include "base/near.h"

/* Writes the words as "a, b or c" or, for the reference and messages, with the given last joint. */
static void put_words(struct buf *out, const struct schema_word *words)
{
    for (const struct schema_word *w = words; w->word != NULL; w++) {
        if (w != words)
            buf_put_str(out, w[1].word != NULL ? ", " : " or ");
        buf_put_str(out, w->word);
    }
}

static const struct schema_word *find_word(const struct schema_word *words, struct span s)
{
    for (; words->word != NULL; words++)
        if (span_eq(s, span_str(words->word)))
            return words;
    return NULL;
}

/* Switches and whole numbers stand without quotes, as people write them. */
static bool is_bare(struct span word)
{
    size_t digits = 0;
    while (digits < word.n && ascii_digit(word.p[digits]))
        digits++;
    return digits == word.n || span_eq(word, SPAN("true")) || span_eq(word, SPAN("false"));
}

/* The word that a scalar is; NULL after a message. */
static const struct schema_word *read_word(struct reader *r, const struct schema_word *words,
                                           const struct node *n)
{
    const struct schema_word *word = n->kind == NODE_SCALAR ? find_word(words, n->text) : NULL;
    if (word != NULL)
        return word;
    struct near near = near_to(n->text);
    for (const struct schema_word *w = words; n->kind == NODE_SCALAR && w->word != NULL; w++)
        if (!is_bare(span_str(w->word)))
            near_offer(&near, span_str(w->word));
    char memory[256];
    struct buf allowed;
    buf_fixed(&allowed, memory, sizeof memory - 1);
    put_words(&allowed, words);
    near_put(&near, &allowed);
    memory[allowed.n] = '\0';
    reader_must_be(r, n, memory);
    return NULL;
}

/* Enumerations are held in an enum, which is an int here. */
_Static_assert(sizeof(enum conf_protocol) == sizeof(int), "words are stored as int");

static void word_preset(const struct schema_field *f, void *at)
{
    int value = (int)f->initial;
    memcpy(at, &value, sizeof value);
}

static void word_read(struct reader *r, const struct schema_field *f, const struct node *n,
                      void *at)
{
    const struct schema_word *word = read_word(r, f->words, n);
    if (word == NULL)
        return;
    int value = (int)word->value;
    memcpy(at, &value, sizeof value);
}

static const char *word_of(const struct schema_field *f, const void *at)
{
    int value;
    memcpy(&value, at, sizeof value);
    const struct schema_word *w = f->words;
    while (w->word != NULL && w->value != value)
        w++;
    return w->word;
}

static bool word_present(const struct schema_field *f, const void *at)
{
    return word_of(f, at) != NULL;
}

static void word_write(struct writer *w, const struct schema_field *f, const void *at)
{
    struct span word = span_str(word_of(f, at));
    buf_put_char(w->out, ' ');
    if (is_bare(word))
        buf_put(w->out, word.p, word.n);
    else
        write_text(w, word);
    write_end(w);
}

const struct schema_type type_word = {
    .name = "word",
    .allowed = "one of the words",
    .preset = word_preset,
    .read = word_read,
    .present = word_present,
    .write = word_write,
};

static void words_preset(const struct schema_field *f, void *at)
{
    uint32_t bits = (uint32_t)f->initial;
    memcpy(at, &bits, sizeof bits);
}

static void words_read(struct reader *r, const struct schema_field *f, const struct node *n,
                       void *at)
{
    if (n->kind != NODE_LIST) {
        reader_must_be_list(r, n, f->type->allowed);
        return;
    }
    uint32_t bits = 0;
    for (const struct node *c = n->first; c != NULL; c = c->next) {
        const struct schema_word *word = read_word(r, f->words, c);
        if (word != NULL && (bits & word->value) != 0)
            reader_report(r, c->mark, "'%s' is given twice", word->word);
        if (word != NULL)
            bits |= (uint32_t)word->value;
    }
    if (bits == 0 && n->count == 0 && f->least > 0)
        reader_must_be(r, n, "a list of at least one word");
    memcpy(at, &bits, sizeof bits);
}

static void words_write(struct writer *w, const struct schema_field *f, const void *at)
{
    uint32_t bits;
    memcpy(&bits, at, sizeof bits);
    const char *joint = " [";
    for (const struct schema_word *word = f->words; word->word != NULL; word++) {
        if ((bits & word->value) == 0)
            continue;
        buf_put_str(w->out, joint);
        write_text(w, span_str(word->word));
        joint = ", ";
    }
    buf_put_str(w->out, bits == 0 ? " []" : "]");
    write_end(w);
}

const struct schema_type type_words = {
    .name = "list of words",
    .allowed = "a list of words",
    .preset = words_preset,
    .read = words_read,
    .write = words_write,
};

static void flag_preset(const struct schema_field *f, void *at)
{
    *(bool *)at = f->initial != 0;
}

static void flag_read(struct reader *r, const struct schema_field *f, const struct node *n,
                      void *at)
{
    bool yes = n->kind == NODE_SCALAR && !n->quoted && span_eq(n->text, SPAN("true"));
    bool no = n->kind == NODE_SCALAR && !n->quoted && span_eq(n->text, SPAN("false"));
    if (yes || no)
        *(bool *)at = yes;
    else
        reader_must_be(r, n, f->type->allowed);
}

static void flag_write(struct writer *w, const struct schema_field *f, const void *at)
{
    (void)f;
    buf_put_str(w->out, *(const bool *)at ? " true" : " false");
    write_end(w);
}

const struct schema_type type_flag = {
    .name = "switch",
    .allowed = "true or false",
    .preset = flag_preset,
    .read = flag_read,
    .write = flag_write,
};

static void text_preset(const struct schema_field *f, void *at)
{
    struct conf_text text = {.s = span_str(f->text)};
    memcpy(at, &text, sizeof text);
}

static void text_read(struct reader *r, const struct schema_field *f, const struct node *n,
                      void *at)
{
    const char *allowed = f->type->allowed;
    struct span s;
    if (!reader_scalar(r, n, allowed, &s))
        return;
    const char *must = f->check != NULL ? f->check(s) : NULL;
    if (must != NULL) {
        reader_must_be(r, n, must);
        return;
    }
    if (f->most > 0 && s.n > (size_t)f->most) {
        reader_report(r, n->mark, "the text is too long; at most %lld bytes are allowed",
                      (long long)f->most);
        return;
    }
    struct conf_text text = reader_text(r, s, n->mark);
    memcpy(at, &text, sizeof text);
}

const struct schema_type type_text = {
    .name = "text",
    .allowed = "text",
    .preset = text_preset,
    .read = text_read,
    .present = schema_text_present,
    .write = schema_text_write,
};
