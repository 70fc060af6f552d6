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
          "image/heic");
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

#define BOX(brand)                                                                                                                         \
    "\0\0\0\x18"                                                                                                                           \
    "ftyp" brand "\0\0\0\0" brand "isom"                                                                                                   \
    "\0\0\x10\0mdat\1\2\3\4"
#define EBML(type, length)                                                                                                                 \
    "\x1a\x45\xdf\xa3\x9f\x42\x86\x81\1\x42\xf7\x81\1\x42\xf2\x81\4\x42\xf3\x81\x8\x42\x82" length type "\x42\x87\x81\4\x42\x85\x81\2"

/* Containers look alike: their brands tell. */
static void test_containers(void)
{
    CHECK("a.mp4", BOX("isom"), "video/mp4");
    CHECK("a", BOX("mp42"), "video/mp4");
    CHECK("a.mov", BOX("avc1"), "video/mp4");
    CHECK("a.mp4", BOX("MSNV"), "video/mp4");
    CHECK("a.mp4", BOX("XAVC"), "video/mp4");
    CHECK("a.mp4", BOX("qt  "), "video/quicktime");
    CHECK("a.m4v", BOX("M4V "), "video/mp4");
    CHECK("a.m4a", BOX("M4A "), "audio/mp4");
    CHECK("a.3gp", BOX("3gp5"), "video/3gpp");
    CHECK("a.mov", "\0\0\0\x8wide\0\0\x10\0mdat\1\2\3\4", "video/quicktime");
    CHECK("a.mkv", EBML("webm", "\x84"), "video/webm");
    CHECK("a.webm", EBML("matroska", "\x88"), "video/x-matroska");
    CHECK("clip.jpg", BOX("isom"), "video/mp4");
    CHECK("a.heic", BOX("mif1"), "image/heif");
    CHECK("a.cr3", BOX("crx "), "image/x-canon-cr3");
    CHECK("a.ogv", "OggS\0\2\0\0\0\0\0\0\0\0abcd\0\0\0\0cccc\1\x2a\x80theora\3\2\1", "video/ogg");
    CHECK("a.ts", "\x47\x40\0\x10\0\0\xb0\x0d", "text/vnd.trolltech.linguist"); /* eight bytes are no stream */
}

static void test_other_things_in_the_disguise_of_pictures(void)
{
    static const char page[] = "<!DOCTYPE html><html><script>alert(1)</script></html>",
                      drawing[] = "<?xml version=\"1.0\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\"></svg>";
    CHECK("html.jpg", page, "application/octet-stream");
    CHECK("html.mp4", page, "application/octet-stream");
    CHECK("page.png", "%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "application/octet-stream");
    CHECK("page.gif", "PK\3\4\x14\0\0\0\x8\0", "application/octet-stream");
    CHECK("svg-inside.png", drawing, "image/svg+xml");
    CHECK("logo.svg", page, "application/octet-stream");
    CHECK("list.m3u", "#EXTM3U\nsong.mp3\n", "audio/x-mpegurl");
    CHECK("list.pls", "a list of songs\n", "audio/x-scpls");
    CHECK("empty.jpg", "", "image/jpeg");
    CHECK("one-byte.png", "\x89", "image/png"); /* nobody knows better */
}

static void check_content(const char *name, const char *head, size_t n, const char *expected)
{
    g_autofree char *type = mime_by_content(name, head, n);
    g_assert_cmpstr(type, ==, expected);
}

#define CHECK_CONTENT(name, head, expected) check_content(name, head, sizeof(head) - 1, expected)

static void test_where_types_are_a_rule(void)
{
    static const char page[] = "<!DOCTYPE html><html><p>hi</html>";
    CHECK_CONTENT("html.jpg", page, "text/html");
    CHECK_CONTENT("data.json", page, "text/html");
    CHECK_CONTENT("report.pdf",
                  "\x7f"
                  "ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\x3e\0",
                  "application/x-executable");
    CHECK_CONTENT("report.pdf", "%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "application/pdf");
    CHECK_CONTENT("photo.jpg", "\1\2\3\0\4", "application/octet-stream");
    CHECK_CONTENT("clip.mp4", "\1\2\3\0\4", "application/octet-stream");
    CHECK_CONTENT("clip.mp4", BOX("XAVC"), "video/mp4");
    CHECK_CONTENT("x.bin", JPEG, "image/jpeg");
    CHECK_CONTENT("x.bin", "\1\2\3\0\4", "application/octet-stream");
    CHECK_CONTENT("a.css", "a { color: red }", "text/css");
    CHECK_CONTENT("a.docx", "PK\3\4\x14\0\0\0\x8\0", "application/vnd.openxmlformats-officedocument.wordprocessingml.document");
    CHECK_CONTENT("shot.dng", "II*\0\x08\0\0\0", "image/x-adobe-dng");
    CHECK_CONTENT("a.txt", "gr\xc3\xbc\xc3\x9f", "text/plain; charset=utf-8");
    CHECK_CONTENT("empty.jpg", "", "application/octet-stream");
    CHECK_CONTENT("empty.txt", "", "application/octet-stream");
    check_content(NULL, NULL, 0, "application/octet-stream");
}

static void test_among(void)
{
    static const char *const patterns[] = { "image/*", "video/mp4", NULL };
    g_assert_true(mime_among("image/png", patterns));
    g_assert_true(mime_among("IMAGE/PNG", patterns));
    g_assert_true(mime_among("Video/MP4; codecs=avc1", patterns));
    g_assert_false(mime_among("video/mp4v", patterns));
    g_assert_false(mime_among("video/mp", patterns));
    g_assert_false(mime_among("images/png", patterns));
    g_assert_false(mime_among("image", patterns));
    g_assert_false(mime_among("", patterns));
    g_assert_false(mime_among("image/png", (const char *const[]){ NULL }));
}

/* What the first bytes of a file say by the formats' own documents, for whatever the tests' pictures are called. NULL = this rule has no
 * opinion. */
static const char *by_magic(const guint8 *b, size_t n)
{
    if (n >= 3 && memcmp(b, "\xff\xd8\xff", 3) == 0)
        return "image/jpeg";
    if (n >= 8 && memcmp(b, "\x89PNG\r\n\x1a\n", 8) == 0)
        return "image/png";
    if (n >= 6 && (memcmp(b, "GIF87a", 6) == 0 || memcmp(b, "GIF89a", 6) == 0))
        return "image/gif";
    if (n >= 12 && memcmp(b, "RIFF", 4) == 0 && memcmp(b + 8, "WEBP", 4) == 0)
        return "image/webp";
    if (n >= 4 && (memcmp(b, "II*", 4) == 0 || memcmp(b, "MM\0*", 4) == 0))
        return "image/tiff";
    if (n >= 12 && memcmp(b + 4, "ftyp", 4) == 0)
        return memcmp(b + 8, "avif", 4) == 0                                    ? "image/avif"
               : memcmp(b + 8, "heic", 4) == 0 || memcmp(b + 8, "heix", 4) == 0 ? "image/heic"
                                                                                : NULL;
    if (n >= 4 && memcmp(b, "%PDF", 4) == 0)
        return "application/pdf";
    return n > 14 && memcmp(b, "<!DOCTYPE html", 14) == 0 ? "text/html" : NULL;
}

static unsigned check_folder(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    unsigned seen = 0;
    for (const char *name; dir != NULL && (name = g_dir_read_name(dir)) != NULL;) {
        g_autofree char *path = g_build_filename(folder, name, NULL), *content = NULL;
        gsize n;
        if (g_file_test(path, G_FILE_TEST_IS_DIR)) {
            seen += check_folder(path);
            continue;
        }
        if (!g_file_get_contents(path, &content, &n, NULL))
            continue;
        n = MIN(n, MIME_HEAD_BYTES);
        const char *expected = by_magic((const guint8 *)content, n);
        g_autofree char *type = mime_by_content(name, content, n), *sent = mime_of(name, content, n);
        if (expected != NULL && !g_str_equal(type, expected))
            g_error("%s is %s, and not %s", path, expected, type);
        if (expected != NULL && g_str_has_prefix(expected, "image/"))
            g_assert_cmpstr(sent, ==, expected);
        if (expected != NULL &&
            g_str_equal(expected, "text/html")) /* whatever it is called, no browser is to run it as a page of another name */
            g_assert_true(g_str_equal(sent, "text/html") == g_str_has_suffix(name, ".html"));
        seen += expected != NULL;
    }
    return seen;
}

static void test_every_picture(void)
{
    g_autofree char *ours = g_build_filename(g_getenv("HOIST_TEST_DATA"), "images", NULL);
    g_assert_cmpuint(check_folder(ours), >, 20);
    if (g_getenv("HOIST_IMAGES") != NULL)
        (void)check_folder(g_getenv("HOIST_IMAGES"));
}

/* Heads are cut anywhere and hold anything. */
static void test_hostile_heads(void)
{
    guint8 head[MIME_HEAD_BYTES];
    for (unsigned round = 0; round < 300; round++) {
        static const char *const starts[] = { "", JPEG, "RIFF", "II*", "\x1a\x45\xdf\xa3", "<svg", "%PDF-", "{\"", "MZ", "OggS" };
        for (unsigned i = 0; i < sizeof head; i++)
            head[i] = (guint8)g_test_rand_int_range(0, 256);
        const char *start = starts[round % G_N_ELEMENTS(starts)];
        memcpy(head, start, strlen(start));
        const size_t n = (size_t)g_test_rand_int_range(0, sizeof head + 1);
        g_autofree guint8 *exact = g_memdup2(head, n); /* so that a reader behind the end is seen */
        g_autofree char *type = mime_by_content(round % 2 == 0 ? "x.jpg" : NULL, exact, n);
        g_assert_true(strchr(type, '/') != NULL && g_str_is_ascii(type));
    }
}

static gpointer ask_often(gpointer data)
{
    for (unsigned i = 0; i < 200; i++) {
        CHECK("a.jpg", JPEG, "image/jpeg");
        CHECK("a.png", PNG, "image/png");
    }
    return data;
}

static void test_threads(void)
{
    GThread *threads[4];
    for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new(NULL, ask_often, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
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
    g_test_add_func("/mime/containers", test_containers);
    g_test_add_func("/mime/other-things-in-the-disguise-of-pictures", test_other_things_in_the_disguise_of_pictures);
    g_test_add_func("/mime/where-types-are-a-rule", test_where_types_are_a_rule);
    g_test_add_func("/mime/among", test_among);
    g_test_add_func("/mime/every-picture", test_every_picture);
    g_test_add_func("/mime/hostile-heads", test_hostile_heads);
    g_test_add_func("/mime/threads", test_threads);
    g_test_add_func("/mime/the-web", test_the_web);
    g_test_add_func("/mime/charset-only-when-seen", test_charset_only_when_seen);
    g_test_add_func("/mime/unknown", test_unknown);
    return g_test_run();
}
