#include "core/dest/body.h"

#include <string.h>

static Body *parse(const char *text)
{
    return body_parse(text, strlen(text));
}

static const char list_parts[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<ListPartsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Bucket>b</Bucket>"
    "<Owner><ID>o</ID></Owner><IsTruncated>true</IsTruncated><NextPartNumberMarker>3</NextPartNumberMarker>"
    "<Part><PartNumber>2</PartNumber><ETag>&quot;a&quot;</ETag><Size>10</Size><Deep><Size>99</Size></Deep></Part>"
    "<Part><PartNumber>3</PartNumber><ETag>\"b\"</ETag><Size>11</Size></Part></ListPartsResult>";

static void test_fields_and_rows(void)
{
    g_autoptr(Body) body = parse(list_parts);
    g_assert_true(body_is(body, "ListPartsResult"));
    g_assert_false(body_is(body, "Error"));
    g_assert_cmpstr(body_field(body, "IsTruncated"), ==, "true");
    g_assert_null(body_field(body, "Owner"));
    g_assert_null(body_field(body, "ID"));
    g_assert_null(body_field(body, "PartNumber"));
    g_assert_cmpuint(body->rows->len, ==, 2);
    g_assert_cmpstr(body_row_field(body, 0, "ETag"), ==, "\"a\"");
    g_assert_cmpstr(body_row_field(body, 0, "Size"), ==, "10");
    g_assert_null(body_row_field(body, 0, "Deep"));
    g_assert_cmpstr(body_row_field(body, 1, "Size"), ==, "11");
    g_assert_null(body_row_field(body, 2, "Size"));
}

/* Azure wraps its rows once more. */
static void test_rows_inside(void)
{
    g_autoptr(Body) body =
        parse("<BlockList><Extra>1</Extra><CommittedBlocks><Block><Name>a</Name><Size>1</Size></Block></CommittedBlocks>"
              "<UncommittedBlocks><Block><Name>b</Name><Deep><Name>c</Name></Deep></Block><Other>2</Other></UncommittedBlocks>"
              "<Name>d</Name></BlockList>");
    g_assert_true(body_is(body, "BlockList"));
    g_assert_cmpuint(body->rows->len, ==, 2);
    g_assert_cmpstr(body_row_field(body, 0, "Size"), ==, "1");
    g_assert_cmpstr(body_row_field(body, 1, "Name"), ==, "b");
    g_assert_null(body_row_field(body, 1, "Size"));
    g_assert_cmpstr(body_field(body, "Name"), ==, "d");
    g_assert_cmpstr(body_field(body, "Extra"), ==, "1");
    g_assert_null(body_field(body, "Other"));
}

/* What a store lacks comes in a group of its own, before or behind what it has. */
static void test_deep_rows(void)
{
    g_autoptr(Body) body =
        parse("<D:multistatus xmlns:D=\"DAV:\"><D:response><D:href>/a</D:href><D:href>/b</D:href><D:propstat><D:prop><D:getetag/></D:prop>"
              "<D:status>HTTP/1.1 404 Not Found</D:status></D:propstat><D:propstat><D:prop><x:getcontentlength "
              "xmlns:x=\"DAV:\">7</x:getcontentlength>"
              "<D:resourcetype><D:collection/></D:resourcetype></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
              "<D:response><D:href>/c</D:href></D:response><D:responsedescription>words</D:responsedescription></D:multistatus>");
    g_assert_true(body_is(body, "multistatus"));
    g_assert_cmpuint(body->rows->len, ==, 2);
    g_assert_cmpstr(body_row_field(body, 0, "href"), ==, "/a");
    g_assert_cmpstr(body_row_field(body, 0, "href2"), ==, "/b");
    g_assert_cmpstr(body_row_field(body, 0, "propstat/prop/getetag"), ==, "");
    g_assert_cmpstr(body_row_field(body, 0, "propstat/status"), ==, "HTTP/1.1 404 Not Found");
    g_assert_cmpstr(body_row_field(body, 0, "propstat2/prop/getcontentlength"), ==, "7");
    g_assert_cmpstr(body_row_field(body, 0, "propstat2/prop/resourcetype/collection"), ==, "");
    g_assert_null(body_row_field(body, 0, "propstat2/prop/resourcetype"));
    g_assert_cmpstr(body_row_field(body, 1, "href"), ==, "/c");
    g_assert_null(body_row_field(body, 1, "propstat/status"));
    g_assert_cmpstr(body_field(body, "responsedescription"), ==, "words");
}

static void test_deep_names_are_bounded(void)
{
    g_autofree char *name = g_strnfill(BODY_MAX_NAME, 'n');
    g_autofree char *text =
        g_strdup_printf("<multistatus><response><%s>1</%s><p><%s>2</%s><q>3</q></p></response></multistatus>", name, name, name, name);
    g_autoptr(Body) body = parse(text);
    g_assert_true(body_is(body, "multistatus"));
    g_assert_cmpstr(body_row_field(body, 0, name), ==, "1");
    g_assert_cmpstr(body_row_field(body, 0, "p/q"), ==, "3");
    g_assert_cmpuint(g_hash_table_size(g_ptr_array_index(body->rows, 0)), ==, 2);
}

static void test_first_of_a_name_counts(void)
{
    g_autoptr(Body) body = parse("<Error><Code>A</Code><Code>B</Code></Error>");
    g_assert_cmpstr(body_field(body, "Code"), ==, "A");
}

static void test_white_space(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (unsigned i = 0; i < 100000; i++)
        g_string_append(text, " \r\n");
    g_autoptr(Body) blank = parse(text->str);
    g_assert_cmpint(blank->state, ==, BODY_EMPTY);
    g_string_append(text, "<?xml version=\"1.0\"?><CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>  \n");
    g_autoptr(Body) body = parse(text->str);
    g_assert_true(body_is(body, "CompleteMultipartUploadResult"));
    g_autoptr(Body) empty = body_parse(NULL, 0);
    g_assert_cmpint(empty->state, ==, BODY_EMPTY);
}

static void test_alien(void)
{
    static const char *const texts[] = { "{\"error\":1}", "Bad Gateway", "<", "\x1f\x8b\x08", "<!DOCTYPE html><html></html>",
                                         "&&&",           "<?xml?>" };
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(Body) body = parse(texts[i]);
        g_assert_cmpint(body->state, ==, BODY_ALIEN);
        g_assert_null(body->root);
    }
    g_autoptr(Body) html = parse("<html><body>Sign in<br></body></html>");
    g_assert_false(body_is(html, "Error"));
    g_assert_cmpint(html->state, ==, BODY_CUT);
}

/* Whatever was read before a cut is right; a field that was cut itself is not there. */
static void test_cut_at_every_byte(void)
{
    static const char text[] = "<?xml version=\"1.0\"?><Error><Code>InternalError</Code><Message>M &amp; \xc3\xa9</Message></Error>";
    const size_t after_code = (size_t)(strstr(text, "</Code>") - text) + strlen("</Code>");
    for (size_t n = 0; n < strlen(text); n++) {
        g_autofree char *copy = g_memdup2(text, MAX(n, 1)); /* its own allocation: a read behind the end is seen */
        g_autoptr(Body) body = body_parse(copy, n);
        g_assert_cmpint(body->state, !=, BODY_WHOLE);
        g_assert_cmpstr(body_field(body, "Code"), ==, n >= after_code ? "InternalError" : NULL);
        if (body_field(body, "Message") != NULL)
            g_assert_cmpstr(body_field(body, "Message"), ==, "M & \xc3\xa9");
    }
    for (size_t n = 0; n < strlen(list_parts); n++) {
        g_autofree char *copy = g_memdup2(list_parts, MAX(n, 1));
        g_autoptr(Body) body = body_parse(copy, n);
        g_assert_cmpint(body->state, !=, BODY_WHOLE);
    }
}

static void test_entity_bomb(void)
{
    g_autoptr(GString) text = g_string_new("<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY a0 \"aaaaaaaaaa\">");
    for (unsigned i = 1; i < 30; i++)
        g_string_append_printf(text, "<!ENTITY a%u \"&a%u;&a%u;&a%u;&a%u;\">", i, i - 1, i - 1, i - 1, i - 1);
    g_string_append(text, "]><Error><Code>&a29;</Code></Error>");
    g_autoptr(Body) body = parse(text->str);
    g_assert_cmpint(body->state, ==, BODY_ALIEN);
    g_assert_null(body_field(body, "Code"));

    g_autoptr(Body) external = parse("<!DOCTYPE x SYSTEM \"file:///etc/passwd\"><Error><Code>A</Code></Error>");
    g_assert_cmpint(external->state, ==, BODY_ALIEN);
    g_autoptr(Body) undeclared = parse("<Error><Code>A</Code><Message>&lol;</Message></Error>");
    g_assert_cmpint(undeclared->state, ==, BODY_CUT);
    g_assert_cmpstr(body_field(undeclared, "Code"), ==, "A");
    g_assert_null(body_field(undeclared, "Message"));
}

static void test_depth(void)
{
    g_autoptr(GString) text = g_string_new("<Error><Code>A</Code>");
    for (unsigned i = 0; i < 200000; i++)
        g_string_append(text, "<a>");
    g_autoptr(Body) body = parse(text->str);
    g_assert_cmpint(body->state, ==, BODY_ALIEN);
    g_assert_cmpstr(body_field(body, "Code"), ==, "A");
}

static void test_long_text(void)
{
    g_autofree char *just = g_strnfill(BODY_MAX_TEXT, 'x'), *over = g_strnfill(BODY_MAX_TEXT + 1, 'x');
    g_autofree char *text =
        g_strdup_printf("<Error><Code>A</Code><Message>%s</Message><Detail>%s</Detail><RequestId>r</RequestId></Error>", over, just);
    g_autoptr(Body) body = parse(text);
    g_assert_true(body_is(body, "Error"));
    g_assert_null(body_field(body, "Message"));
    g_assert_cmpuint(strlen(body_field(body, "Detail")), ==, BODY_MAX_TEXT);
    g_assert_cmpstr(body_field(body, "RequestId"), ==, "r");

    g_autofree char *huge = g_strnfill(5 * 1024 * 1024, 'y');
    g_autofree char *too_large = g_strdup_printf("<Error><Code>A</Code><Message>%s</Message></Error>", huge);
    g_autoptr(Body) refused = parse(too_large);
    g_assert_cmpint(refused->state, ==, BODY_ALIEN);
}

static void test_many_fields_and_rows(void)
{
    g_autoptr(GString) text = g_string_new("<ListPartsResult>");
    for (unsigned i = 0; i < 1000; i++)
        g_string_append_printf(text, "<F%u>v</F%u>", i, i);
    for (unsigned i = 0; i <= BODY_MAX_ROWS; i++)
        g_string_append(text, "<Part><PartNumber>1</PartNumber></Part>");
    g_string_append(text, "</ListPartsResult>");
    g_autoptr(Body) body = parse(text->str);
    g_assert_cmpint(body->state, ==, BODY_ALIEN);
    g_assert_cmpuint(g_hash_table_size(body->fields), ==, BODY_MAX_FIELDS);
    g_assert_cmpuint(body->rows->len, ==, BODY_MAX_ROWS);
}

/* A store that repeats the key as it was sent must not lose us the upload id behind it. */
static void test_forbidden_characters(void)
{
    static const char *const keys[] = { "a\xff\xfe", "a\x1b[31m", "a&#27;[0m", "a&#x1b;", "a&#0;", "\xed\xa0\x80", "\x01\x02" };
    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_autofree char *text =
            g_strdup_printf("<InitiateMultipartUploadResult><Key>%s</Key><UploadId>u1</UploadId></InitiateMultipartUploadResult>", keys[i]);
        g_autoptr(Body) body = parse(text);
        g_assert_true(body_is(body, "InitiateMultipartUploadResult"));
        g_assert_cmpstr(body_field(body, "UploadId"), ==, "u1");
        g_assert_true(g_utf8_validate(body_field(body, "Key"), -1, NULL));
        g_assert_nonnull(strstr(body_field(body, "Key"), "\xef\xbf\xbd"));
    }
}

static void test_namespaces_and_wrapping(void)
{
    g_autoptr(Body) prefixed = parse("<s3:Error xmlns:s3=\"x\"><s3:Code>A</s3:Code></s3:Error>");
    g_assert_true(body_is(prefixed, "Error"));
    g_assert_cmpstr(body_field(prefixed, "Code"), ==, "A");
    g_autoptr(Body) wrapped = parse("<ErrorResponse><Error><Code>A</Code></Error><RequestId>r</RequestId></ErrorResponse>");
    g_assert_cmpstr(body_row_field(wrapped, 0, "Code"), ==, "A");
    g_assert_cmpstr(body_field(wrapped, "RequestId"), ==, "r");
    g_autoptr(Body) cdata = parse("<Error><Code><![CDATA[A]]></Code><!-- <Code>B</Code> --></Error>");
    g_assert_cmpstr(body_field(cdata, "Code"), ==, "A");
}

/* Bytes changed at random must never do more than give another state. */
static void test_damaged(void)
{
    for (unsigned round = 0; round < 3000; round++) {
        g_autofree char *copy = g_strdup(list_parts);
        for (unsigned i = 0; i < 4; i++)
            copy[g_test_rand_int_range(0, (gint32)strlen(list_parts))] = (char)g_test_rand_int_range(1, 256);
        g_autoptr(Body) body = parse(copy);
        g_assert_cmpuint(body->rows->len, <=, 2);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dest/body/fields-and-rows", test_fields_and_rows);
    g_test_add_func("/dest/body/rows-inside", test_rows_inside);
    g_test_add_func("/dest/body/deep-rows", test_deep_rows);
    g_test_add_func("/dest/body/deep-names-are-bounded", test_deep_names_are_bounded);
    g_test_add_func("/dest/body/first-of-a-name-counts", test_first_of_a_name_counts);
    g_test_add_func("/dest/body/white-space-is-skipped", test_white_space);
    g_test_add_func("/dest/body/not-xml", test_alien);
    g_test_add_func("/dest/body/cut-at-every-byte", test_cut_at_every_byte);
    g_test_add_func("/dest/body/entity-bomb", test_entity_bomb);
    g_test_add_func("/dest/body/depth", test_depth);
    g_test_add_func("/dest/body/long-text", test_long_text);
    g_test_add_func("/dest/body/many-fields-and-rows", test_many_fields_and_rows);
    g_test_add_func("/dest/body/forbidden-characters", test_forbidden_characters);
    g_test_add_func("/dest/body/namespaces-and-wrapping", test_namespaces_and_wrapping);
    g_test_add_func("/dest/body/damaged", test_damaged);
    return g_test_run();
}
