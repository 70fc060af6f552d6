#include "tui/report_images.h"

#include <json-glib/json-glib.h>
#include <string.h>

static HoistObject web = { .name = (char *)"web",
                           .key = (char *)"a/photo.jpg.webp",
                           .recipe = (char *)"jpeg 6000x4000 -> webp 1920x1280 q80, 2 encodes",
                           .bytes = 264000,
                           .format = "webp",
                           .width_px = 1920,
                           .height_px = 1280,
                           .frames = 1,
                           .quality = 80,
                           .encodes = 2 };
static HoistObject original = { .name = (char *)"original", .key = (char *)"originals/a/photo.jpg", .bytes = 7200000 };

static HoistImage image_of(HoistObject *objects, unsigned n)
{
    return (HoistImage){ .path = (char *)"/home/u/a/photo.jpg",
                         .name = (char *)"a/photo.jpg",
                         .type = (char *)"image/jpeg",
                         .bytes = 7200000,
                         .objects = objects,
                         .n_objects = n,
                         .seconds = 0.2519 };
}

static JsonObject *object_of(const HoistImage *image, const char *out_dir, JsonParser **parser)
{
    g_autoptr(GString) text = g_string_new(NULL);
    ImagesCounts counts = { 0 };
    report_image(&counts, image, out_dir, true, text);
    g_assert_cmpuint(text->len, ==, strcspn(text->str, "\n") + 1); /* one line */
    *parser = json_parser_new();
    g_assert_true(json_parser_load_from_data(*parser, text->str, -1, NULL));
    return json_node_get_object(json_parser_get_root(*parser));
}

static char *plain_of(const HoistImage *image)
{
    GString *text = g_string_new(NULL);
    ImagesCounts counts = { 0 };
    report_image(&counts, image, NULL, false, text);
    return g_string_free(text, FALSE);
}

static void test_json(void)
{
    const HoistImage image = image_of(&web, 1);
    g_autoptr(JsonParser) parser = NULL;
    JsonObject *o = object_of(&image, "/tmp/out", &parser);
    g_assert_cmpstr(json_object_get_string_member(o, "event"), ==, "image");
    g_assert_cmpstr(json_object_get_string_member(o, "path"), ==, image.path);
    g_assert_cmpstr(json_object_get_string_member(o, "name"), ==, image.name);
    g_assert_cmpstr(json_object_get_string_member(o, "type"), ==, "image/jpeg");
    g_assert_cmpint(json_object_get_int_member(o, "bytes"), ==, 7200000);
    g_assert_cmpfloat(json_object_get_double_member(o, "seconds"), ==, 0.251);
    g_assert_false(json_object_has_member(o, "failed") || json_object_has_member(o, "note"));
    JsonObject *made = json_array_get_object_element(json_object_get_array_member(o, "objects"), 0);
    g_assert_cmpstr(json_object_get_string_member(made, "name"), ==, "web");
    g_assert_cmpstr(json_object_get_string_member(made, "key"), ==, web.key);
    g_assert_cmpstr(json_object_get_string_member(made, "out"), ==, "/tmp/out/a/photo.jpg.webp");
    g_assert_cmpstr(json_object_get_string_member(made, "format"), ==, "webp");
    g_assert_cmpint(json_object_get_int_member(made, "width"), ==, 1920);
    g_assert_cmpint(json_object_get_int_member(made, "height"), ==, 1280);
    g_assert_cmpint(json_object_get_int_member(made, "quality"), ==, 80);
    g_assert_cmpint(json_object_get_int_member(made, "encodes"), ==, 2);
    g_assert_false(json_object_get_boolean_member(made, "cleaned"));
}

static void test_json_of_what_is_not_written(void)
{
    const HoistImage image = image_of(&original, 1);
    g_autoptr(JsonParser) parser = NULL;
    JsonObject *o = object_of(&image, NULL, &parser);
    JsonObject *as_is = json_array_get_object_element(json_object_get_array_member(o, "objects"), 0);
    static const char *const absent[] = { "out", "recipe", "width", "quality", "encodes", "cleaned" };
    for (unsigned i = 0; i < G_N_ELEMENTS(absent); i++)
        g_assert_false(json_object_has_member(as_is, absent[i]));
}

static void test_json_of_names_that_are_bytes(void)
{
    HoistObject object = original;
    object.key = (char *)"caf\xe9.jpg";
    HoistImage image = image_of(&object, 1);
    image.path = (char *)"/home/u/caf\xe9.jpg";
    g_autoptr(JsonParser) parser = NULL;
    JsonObject *o = object_of(&image, "/tmp/out", &parser);
    gsize n;
    g_autofree char *path = (char *)g_base64_decode(json_object_get_string_member(o, "path_b64"), &n);
    g_assert_cmpmem(path, n, image.path, strlen(image.path));
    JsonObject *as_is = json_array_get_object_element(json_object_get_array_member(o, "objects"), 0);
    g_autofree char *out = (char *)g_base64_decode(json_object_get_string_member(as_is, "out_b64"), &n);
    g_assert_cmpmem(out, n, "/tmp/out/caf\xe9.jpg", strlen("/tmp/out/caf\xe9.jpg"));
}

static void test_plain(void)
{
    HoistImage image = image_of(&web, 1);
    g_autofree char *one = plain_of(&image);
    g_assert_true(g_str_has_prefix(one, "a/photo.jpg "));
    g_assert_nonnull(strstr(one, " 7.2 MB ->  264 kB   -96 %  webp 1920x1280 q80, 2 encodes\n"));

    HoistObject both[] = { web, original };
    image = image_of(both, 2);
    g_autofree char *two = plain_of(&image);
    g_assert_nonnull(strstr(two, "  web: webp 1920x1280"));
    g_assert_nonnull(strstr(two, "  original: as it is\n"));

    image = image_of(NULL, 0);
    image.name = (char *)"evil\033[2J.jpg";
    image.failed = (char *)"the picture is damaged";
    g_autofree char *failed = plain_of(&image);
    g_assert_nonnull(strstr(failed, ": failed: the picture is damaged\n"));
    g_assert_null(strchr(failed, '\033'));
}

static void test_counts(void)
{
    ImagesCounts counts = { 0 };
    g_autoptr(GString) text = g_string_new(NULL);
    HoistObject both[] = { web, original };
    HoistImage image = image_of(both, 2);
    report_image(&counts, &image, NULL, true, text);
    image = image_of(NULL, 0);
    image.note = (char *)"not a kind of picture that is converted";
    report_image(&counts, &image, NULL, true, text);
    image.failed = (char *)"damaged";
    report_image(&counts, &image, NULL, true, text);
    g_assert_cmpuint(counts.pictures, ==, 1);
    g_assert_cmpuint(counts.left_alone, ==, 1);
    g_assert_cmpuint(counts.failed, ==, 1);
    g_assert_cmpuint(counts.source_bytes, ==, 7200000);
    g_assert_cmpuint(counts.bytes, ==, 264000 + 7200000);
    g_string_truncate(text, 0);
    report_images_summary(&counts, 2, false, text);
    g_assert_true(g_str_has_prefix(text->str, "1 picture: 7.2 MB -> 7.5 MB, +3 %, in "));
    g_assert_nonnull(strstr(text->str, ", 0.5 a second; 1 failed; 1 left alone\n"));
    g_assert_null(strstr(text->str, "  "));
    g_string_truncate(text, 0);
    const ImagesCounts none = { .left_alone = 2, .interrupted = true };
    report_images_summary(&none, 2, false, text);
    g_assert_cmpstr(text->str, ==, "no pictures; 2 left alone; interrupted\n");
    g_string_truncate(text, 0);
    report_images_summary(&none, 0.7, true, text);
    g_assert_true(g_str_has_suffix(text->str, ",\"interrupted\":true,\"seconds\":0.700}\n"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/report-images/json", test_json);
    g_test_add_func("/report-images/json/not-written", test_json_of_what_is_not_written);
    g_test_add_func("/report-images/json/names-are-bytes", test_json_of_names_that_are_bytes);
    g_test_add_func("/report-images/plain", test_plain);
    g_test_add_func("/report-images/counts", test_counts);
    return g_test_run();
}
