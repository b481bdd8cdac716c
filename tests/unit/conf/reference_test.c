/* The manual's page of keys is the one that the tables yield. */
#include "check.h"
#include "file.h"

TEST(conf_reference, page_is_up_to_date)
{
    struct buf page, made;
    buf_init(&page, 0);
    buf_init(&made, 0);
    CHECK(file_read(SOURCE_DIR "/docs/configuration.md", &page), "the page is not there");
    conf_reference(&made);
    CHECK(!made.failed && buf_len(&made) > 5000, "%zu bytes", buf_len(&made));
    CHECK(span_eq(buf_span(&page), buf_span(&made)), "run scripts/generate-reference.sh");
    buf_fini(&page);
    buf_fini(&made);
}

TEST(conf_reference, json_schema_is_up_to_date)
{
    struct buf file, made;
    buf_init(&file, 0);
    buf_init(&made, 0);
    CHECK(file_read(SOURCE_DIR "/deploy/meridian.schema.json", &file), "the schema is not there");
    conf_json_schema(&made);
    CHECK(!made.failed && buf_len(&made) > 5000, "%zu bytes", buf_len(&made));
    CHECK(span_eq(buf_span(&file), buf_span(&made)), "run scripts/generate-reference.sh");
    buf_fini(&file);
    buf_fini(&made);
}
