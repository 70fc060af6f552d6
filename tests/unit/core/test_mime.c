#include <string.h>

#include "core/mime.h"

#include <glib.h>

#define JPEG "\xff\xd8\xff\xe0\0\x10JFIF\0"
#define PNG  "\x89PNG\r\n\x1a\n\0\0\0\rIHDR"

static void check(const char *name, const char *head, size_t n, const char *expected)
{
    g_autofree char *type = mime_of(name, head, n);
    g_assert_cmpstr(type, ==, expected);
}

#define CHECK(name, head, expected) check(name, head, sizeof(head) - 1, expected)

static void test_pictures_by_bytes(void)
{
    CHECK("photo.jpg", JPEG, "image/jpeg");
    CHECK("UPPER.JPG", JPEG, "image/jpeg");
    CHECK("no-extension", JPEG, "image/jpeg");
    CHECK("photo.jpg[shrink=8]", JPEG, "image/jpeg");
    CHECK("png-inside.jpg", PNG, "image/png");
    CHECK("a.gif", "GIF89a\1\0\1\0", "image/gif");
    CHECK("a.jpg", "RIFF\x10\0\0\0WEBPVP8 ", "image/webp");
    CHECK("a.jpg",
          "\0\0\0\x1c"
          "ftypavif\0\0\0\0",
          "image/avif");
    CHECK("IMG_1.JPG",
          "\0\0\0\x24"
          "ftypheic\0\0\0\0",
          "image/heif");
    CHECK(NULL, PNG, "image/png");
    CHECK("\xff\xfe.jpg", PNG, "image/png");
    CHECK("any.bin", PNG, "application/octet-stream"); /* named as bytes, no more */
}

static void test_the_name_knows_more(void)
{
    CHECK("shot.dng", "II*\0\x08\0\0\0", "image/x-adobe-dng");
    CHECK("scan.tif", "II*\0\x08\0\0\0", "image/tiff");
    CHECK("text.md", "BM is not a bitmap\n", "text/markdown");
    CHECK("clip.mp4",
          "\0\0\0\x20"
          "ftypisom\0\0\2\0",
          "video/mp4");
}

static void test_a_page_disguised_as_a_picture_stays_one(void)
{
    CHECK("html.jpg", "<!DOCTYPE html><html><script>alert(1)</script></html>", "image/jpeg");
    CHECK("svg-inside.png", "<?xml version=\"1.0\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\"></svg>", "image/svg+xml");
    CHECK("empty.jpg", "", "image/jpeg");
}

static void test_the_web(void)
{
    CHECK("index.html", "<!DOCTYPE html><p>hi", "text/html");
    CHECK("a/b/style.css", "a{}", "text/css");
    CHECK("logo.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>", "image/svg+xml");
    CHECK("data.json", "{}", "application/json");
    CHECK("doc.pdf", "%PDF-1.7", "application/pdf");
    g_autofree char *script = mime_of("app.js", "x", 1); /* by the database's age: text/ or application/javascript */
    g_assert_true(g_str_has_suffix(script, "/javascript"));
}

static void test_charset_only_when_seen(void)
{
    CHECK("a.txt", "plain", "text/plain");
    CHECK("a.txt", "gr\xc3\xbc\xc3\x9f", "text/plain; charset=utf-8");
    CHECK("a.txt", "cut at the end \xc3", "text/plain"); /* nothing beyond ASCII was whole */
    CHECK("a.txt", "\xc3\xbc and cut \xe5\x90", "text/plain; charset=utf-8");
    CHECK("a.txt", "latin1 gr\xfc\xdf here", "text/plain");
    CHECK("a.css", "/* \xc3\xbc */", "text/css; charset=utf-8");
}

static void test_unknown(void)
{
    CHECK("x.qqqzzz", "\1\2\3\0\4", "application/octet-stream");
    CHECK("", "\1\2\3\0\4", "application/octet-stream");
    check(NULL, NULL, 0, "application/octet-stream");
    check("nothing", NULL, 0, "application/octet-stream");
    check("dir/", NULL, 0, "application/octet-stream");
    check("x", NULL, 10, "application/octet-stream");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mime/pictures-by-bytes", test_pictures_by_bytes);
    g_test_add_func("/mime/the-name-knows-more", test_the_name_knows_more);
    g_test_add_func("/mime/a-page-disguised-as-a-picture-stays-one", test_a_page_disguised_as_a_picture_stays_one);
    g_test_add_func("/mime/the-web", test_the_web);
    g_test_add_func("/mime/charset-only-when-seen", test_charset_only_when_seen);
    g_test_add_func("/mime/unknown", test_unknown);
    return g_test_run();
}
