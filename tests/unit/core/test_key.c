#include <string.h>

#include "core/fault.h"
#include "core/key.h"

#define NOON 1785585600 /* 2026-08-01 12:00:00 UTC */

static void check(const char *template, const char *relpath, const char *expected)
{
    const KeyFacts facts = { relpath, NOON, 7 };
    g_autoptr(GError) error = NULL;
    g_assert_true(key_template_check(template, &error));
    g_assert_no_error(error);
    g_autofree char *key = key_expand(template, &facts);
    g_assert_cmpstr(key, ==, expected);
}

static void test_words(void)
{
    check("{relpath}", "holiday/a/photo.jpg", "holiday/a/photo.jpg");
    check("{dir}/{name}", "holiday/a/photo.jpg", "holiday/a/photo.jpg");
    check("{dir}/{name}", "photo.jpg", "photo.jpg");
    check("{stem}-x.{ext}", "a/photo.tar.gz", "photo.tar-x.gz");
    check("{date}/{time}-{ts}-{batch}", "x", "2026-08-01/120000-1785585600-7");
    check("uploads/{ts}-{name}", "a b.jpg", "uploads/1785585600-a b.jpg");
    check("{{{name}}", "x", "{x}");
    check("plain", "x", "plain");
}

static void test_files_without_extension(void)
{
    check("{stem}.{ext}", "README", "README");
    check("{stem}.{ext}", ".bashrc", ".bashrc");
    check("{stem}.{ext}", "a.b/README", "README");
    check("{stem}.{ext}", "file.", "file.");
    check("{ext}/{name}", "README", "README");
}

static void test_random_words(void)
{
    const KeyFacts facts = { "a/photo.jpg", NOON, 1 };
    g_autofree char *rand1 = key_expand("{rand}", &facts), *rand2 = key_expand("{rand}", &facts);
    g_assert_cmpuint(strlen(rand1), ==, 64);
    g_assert_cmpuint(strspn(rand1, "0123456789abcdef"), ==, 64);
    g_assert_cmpstr(rand1, !=, rand2);
    g_autofree char *key = key_expand("{date}/{uuid}.{ext}", &facts);
    g_assert_true(g_str_has_prefix(key, "2026-08-01/"));
    g_assert_true(g_str_has_suffix(key, ".jpg"));
    g_autofree char *uuid = g_strndup(key + strlen("2026-08-01/"), 36);
    g_assert_true(g_uuid_string_is_valid(uuid));
}

static void test_hostile_names_stay_bytes(void)
{
    check("{relpath}", "a/\xff\x1b[2J\n.jpg", "a/\xff\x1b[2J\n.jpg");
    check("{stem}.{ext}", "\xff.\xfe", "\xff.\xfe");
    check("{name}", "{uuid}{", "{uuid}{"); /* names are not templates */
    check("{name}", "100%s %n.txt", "100%s %n.txt");
    check("{dir}{name}", "../../etc/passwd", "etcpasswd");
    check("{relpath}", "../.././a//b/./c", "a/b/c");
    check("/{relpath}/", "/etc/passwd", "etc/passwd");
    check("{relpath}", "...", "...");
    check("{relpath}", "..", "");
}

static void refuse(const char *template, const char *word)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(key_template_check(template, &error));
    g_assert_error(error, FAULT, FAULT_USAGE);
    g_assert_nonnull(strstr(error->message, word));
}

static void test_bad_templates(void)
{
    refuse("{nmae}", "{nmae} is unknown; allowed: {relpath} {dir}");
    g_autoptr(GError) error = NULL;
    g_assert_false(key_template_check("{nmae}", &error));
    g_assert_true(g_str_has_suffix(error->message, "{batch} {rendition}"));
    refuse("{}", "{}");
    refuse("a/{name", "brace is open");
    refuse("{", "brace is open");
    refuse("{sha256}", "not there yet");
    refuse("{name}{NAME}", "{NAME}");
}

static void test_length(void)
{
    g_autofree char *exact = g_strnfill(KEY_MAX_BYTES, 'k'), *long_key = g_strnfill(KEY_MAX_BYTES + 1, 'k');
    g_autoptr(GError) error = NULL, empty = NULL, slash = NULL;
    g_assert_true(key_check(exact, &error));
    g_assert_false(key_check(long_key, &error));
    g_assert_error(error, FAULT, FAULT_KEY);
    g_assert_nonnull(strstr(error->message, "1025 bytes"));
    g_assert_false(key_check("", &empty));
    g_assert_false(key_check("prefix/", &slash));
}

static void with_extension(const char *key, const char *ext, const char *expected)
{
    g_autofree char *got = key_with_extension(key, ext);
    g_assert_cmpstr(got, ==, expected);
}

static void of_result(const char *key, const char *ext, const char *expected)
{
    g_autofree char *got = key_of_result(key, ext);
    g_assert_cmpstr(got, ==, expected);
}

static void test_of_result(void)
{
    of_result("a/photo.jpg", "webp", "a/photo.jpg.webp");
    of_result("no-extension", "webp", "no-extension.webp");
    of_result("photo.JPEG", "jpg", "photo.JPEG");
    of_result("scan.tiff", "tif", "scan.tiff");
    g_autofree char *longest = g_strnfill(KEY_MAX_BYTES, 'a'), *got = key_of_result(longest, "webp");
    g_assert_cmpuint(strlen(got), ==, KEY_MAX_BYTES);
    g_assert_true(g_str_has_suffix(got, "a.webp"));
}

static void test_with_extension(void)
{
    with_extension("a/photo.jpg", "webp", "a/photo.webp");
    with_extension("no-extension", "webp", "no-extension.webp");
    with_extension("a.b/c", "webp", "a.b/c.webp");
    with_extension("photo.JPEG", "jpg", "photo.JPEG");
    with_extension("photo.jpg", "jpeg", "photo.jpg");
    with_extension("scan.tiff", "tif", "scan.tiff");
    with_extension("photo.jpg", "png", "photo.png");
    with_extension(".hidden", "webp", ".hidden.webp");
    with_extension("dot.", "webp", "dot..webp");
    with_extension("a/photo.2024.jpg", "webp", "a/photo.2024.webp");
    with_extension("\xff.jpg", "webp", "\xff.webp");
}

static void numbered(const char *key, unsigned n, const char *expected)
{
    g_autofree char *got = key_numbered(key, n);
    g_assert_cmpstr(got, ==, expected);
}

static void test_numbered(void)
{
    numbered("a/photo.jpg", 2, "a/photo-2.jpg");
    numbered("photo", 10, "photo-10");
    numbered("a.b/photo", 3, "a.b/photo-3");
    numbered(".hidden", 2, ".hidden-2");
    numbered("x.tar.gz", 2, "x.tar-2.gz");
}

static void test_additions_keep_the_limit(void)
{
    g_autofree char *stem = g_strnfill(KEY_MAX_BYTES - 4, 'k');
    g_autofree char *key = g_strconcat(stem, ".jpg", NULL);
    g_autofree char *more = key_numbered(key, 12), *webp = key_with_extension(key, "webp");
    g_assert_cmpuint(strlen(more), ==, KEY_MAX_BYTES);
    g_assert_true(g_str_has_suffix(more, "k-12.jpg"));
    g_assert_cmpuint(strlen(webp), ==, KEY_MAX_BYTES);
    g_assert_true(g_str_has_suffix(webp, "k.webp"));

    g_autoptr(GString) wide = g_string_new(NULL);
    while (wide->len + 3 <= KEY_MAX_BYTES)
        g_string_append(wide, "名"); /* 3 bytes: the cut falls between characters */
    g_autofree char *cut = key_numbered(wide->str, 2);
    g_assert_true(g_utf8_validate(cut, -1, NULL));
    g_assert_cmpuint(strlen(cut), <=, KEY_MAX_BYTES);
}

/* Filled in twice: when the file is queued, and when it is known what was made of it. */
static void twice(const char *template, const char *relpath, const char *rendition, const char *ext, const char *expected)
{
    const KeyFacts facts = { relpath, NOON, 7 };
    g_autoptr(GError) error = NULL;
    g_assert_true(key_template_check(template, &error));
    g_autofree char *pattern = key_pattern(template, &facts);
    if (!key_template_check(pattern, &error))
        g_error("the pattern \"%s\" is no template: %s", pattern, error->message);
    g_autofree char *key = key_of_pattern(pattern, rendition, ext);
    g_assert_cmpstr(key, ==, expected);
}

static void test_renditions(void)
{
    twice("{relpath}", "a/photo.jpg", "thumb", "webp", "a/photo@thumb.webp");
    twice("{relpath}", "a/photo.jpg", "", "webp", "a/photo.webp");
    twice("{stem}@{rendition}.{ext}", "a/photo.jpg", "thumb", "webp", "photo@thumb.webp");
    twice("{stem}@{rendition}.{ext}", "a/photo.jpg", "", "jpg", "photo.jpg");
    twice("{rendition}/{relpath}", "a/photo.jpg", "thumb", "webp", "thumb/a/photo.webp");
    twice("{rendition}/{relpath}", "a/photo.jpg", "", "webp", "a/photo.webp");
    twice("{rendition}-{name}", "photo.jpg", "", "webp", "photo.webp");
    twice("{dir}/{stem}.{rendition}", "a/b.c.jpg", "web", "webp", "a/b.c.web.webp");
    twice("{dir}/{stem}.{rendition}", "a/b.c.jpg", "", "webp", "a/b.c.webp");
    twice("{stem}.{ext}.bak", "photo.jpg", "web", "webp", "photo@web.webp.bak");
    twice("{ext}/{name}", "photo.jpg", "web", "webp", "webp/photo@web.webp");
    twice("{stem}_{ext}", "photo.jpg", "web", "webp", "photo@web_webp");
    twice("{ext}", "photo.jpg", "web", "webp", "@webwebp");
    twice("{date}/{ts}-{batch}", "x.png", "web", "png", "2026-08-01/1785585600-7@web.png");
    twice("{relpath}", "no-extension", "web", "webp", "no-extension@web.webp");
    twice("{relpath}", "no-extension", "web", "", "no-extension@web");
    twice("{relpath}", ".hidden", "web", "webp", ".hidden@web.webp");
    twice("{relpath}", "../a/./b.jpg", "web", "webp", "a/b@web.webp");
    check("{stem}@{rendition}.{ext}", "a/photo.jpg", "photo.jpg");
    check("{rendition}/{name}", "a/photo.jpg", "photo.jpg");
}

/* Names of files are no templates, not even the second time. */
static void test_braces_of_names_survive(void)
{
    static const char *const names[] = { "{ext}", "{{ext}}", "{", "a{rendition}b", "}{", "{sha256}", "{{", "100%s{", "\xff{\xfe" };
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *relpath = g_strconcat("d{ir/", names[i], ".jpg", NULL),
                        *expected = g_strconcat("d{ir/", names[i], "@web.webp", NULL);
        twice("{relpath}", relpath, "web", "webp", expected);
        g_autofree char *braces = g_strconcat("{x}", names[i], "@web.webp", NULL);
        twice("{{x}{name}", relpath, "web", "webp", braces);
    }
}

static void test_what_is_random_stays(void)
{
    const KeyFacts facts = { "photo.jpg", NOON, 1 };
    g_autofree char *pattern = key_pattern("{uuid}.{ext}", &facts);
    g_autofree char *web = key_of_pattern(pattern, "web", "webp"), *thumb = key_of_pattern(pattern, "thumb", "webp");
    g_assert_true(strncmp(web, thumb, 36) == 0);
    g_assert_cmpstr(web + 36, ==, "@web.webp");
    g_assert_cmpstr(thumb + 36, ==, "@thumb.webp");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/key/words", test_words);
    g_test_add_func("/key/files-without-extension", test_files_without_extension);
    g_test_add_func("/key/random-words", test_random_words);
    g_test_add_func("/key/hostile-names-stay-bytes", test_hostile_names_stay_bytes);
    g_test_add_func("/key/bad-templates", test_bad_templates);
    g_test_add_func("/key/length", test_length);
    g_test_add_func("/key/with-extension", test_with_extension);
    g_test_add_func("/key/of-result", test_of_result);
    g_test_add_func("/key/numbered", test_numbered);
    g_test_add_func("/key/additions-keep-the-limit", test_additions_keep_the_limit);
    g_test_add_func("/key/renditions", test_renditions);
    g_test_add_func("/key/braces-of-names-survive", test_braces_of_names_survive);
    g_test_add_func("/key/what-is-random-stays", test_what_is_random_stays);
    return g_test_run();
}
