#include <glib.h>
#include <string.h>

#include "imgproc/extras.h"

typedef bool (*Extras)(const uint8_t *data, size_t size);

static GByteArray *load(const char *name)
{
    g_autofree char *path = g_build_filename(g_getenv("HOIST_TEST_DATA"), "images", name, NULL);
    char *content;
    gsize size;
    g_autoptr(GError) error = NULL;
    g_file_get_contents(path, &content, &size, &error);
    g_assert_no_error(error);
    return g_byte_array_new_take((guint8 *)content, size);
}

static bool asked(Extras extras, const char *name)
{
    g_autoptr(GByteArray) file = load(name);
    return extras(file->data, file->len);
}

static void insert(GByteArray *file, gsize at, const void *bytes, guint n)
{
    const gsize tail = file->len - at;
    g_byte_array_set_size(file, file->len + n);
    memmove(file->data + at + n, file->data + at, tail);
    memcpy(file->data + at, bytes, n);
}

/* Every cut of a clean file counts as having extras, every byte after its end too; nothing is read beyond the end. */
static void check_cuts(Extras extras, GByteArray *clean /* taken */)
{
    g_autoptr(GByteArray) file = clean;
    g_assert_false(extras(file->data, file->len));
    for (guint n = 0; n < file->len; n += n < 700 ? 1 : 997) {
        g_autofree uint8_t *cut = g_memdup2(file->data, n + 1);
        g_autofree uint8_t *exact = g_malloc(n > 0 ? n : 1); /* so that a sanitizer sees a step too far */
        memcpy(exact, cut, n);
        g_assert_true(extras(exact, n));
    }
    g_byte_array_append(file, (const guint8 *)"x", 1);
    g_assert_true(extras(file->data, file->len));
}

static void test_jpeg(void)
{
    check_cuts(extras_in_jpeg, load("plain.jpg"));
    g_assert_true(asked(extras_in_jpeg, "gps-orientation-6.jpg"));
    g_assert_true(asked(extras_in_jpeg, "trailer-bytes.jpg"));
    static const guint8 comment[] = { 0xff, 0xfe, 0, 6, 'h', 'o', 'm', 'e' };
    g_autoptr(GByteArray) file = load("plain.jpg");
    insert(file, 2, comment, sizeof comment);
    g_assert_true(extras_in_jpeg(file->data, file->len));
}

static void test_png(void)
{
    static const guint8 text[] = { 0, 0, 0, 4, 't', 'E', 'X', 't', 'a', 0, 'b', 'c', 0, 0, 0, 0 };
    check_cuts(extras_in_png, load("1bit.png"));
    g_assert_true(asked(extras_in_png, "bomb-png-text-chunk.png"));
    g_assert_true(asked(extras_in_png, "animated.apng.png"));
    g_autoptr(GByteArray) file = load("1bit.png");
    insert(file, 33, text, sizeof text);
    g_assert_true(extras_in_png(file->data, file->len));
}

static void test_webp(void)
{
    check_cuts(extras_in_webp, load("small.webp"));
    g_assert_true(asked(extras_in_webp, "animated.webp"));
    g_assert_true(asked(extras_in_webp, "broken-truncated.webp"));
}

static void test_gif(void)
{
    static const guint8 comment[] = { 0x21, 0xfe, 2, 'm', 'e', 0 };
    static const guint8 transparent[] = { 0x21, 0xf9, 4, 1, 0, 0, 1, 0 };
    static const guint8 dot[] = { 'G',  'I',  'F', '8', '9', 'a', 1, 0, 1, 0, 0x80, 0, 0, 0,    0, 0, 0xff, 0xff,
                                  0xff, 0x2c, 0,   0,   0,   0,   1, 0, 1, 0, 0,    2, 2, 0x44, 1, 0, 0x3b };
    GByteArray *file = g_byte_array_append(g_byte_array_new(), dot, sizeof dot);
    insert(file, 19, transparent, sizeof transparent);
    check_cuts(extras_in_gif, file);
    g_autoptr(GByteArray) talking = g_byte_array_append(g_byte_array_new(), dot, sizeof dot);
    insert(talking, 19, comment, sizeof comment);
    g_assert_true(extras_in_gif(talking->data, talking->len));
}

/* Reproducible noise over a real head: only the sanitizers judge. */
static void test_noise_is_harmless(void)
{
    static const struct {
        Extras extras;
        const char *name;
    } rows[] = {
        { extras_in_jpeg, "plain.jpg" }, { extras_in_png, "1bit.png" }, { extras_in_webp, "small.webp" }, { extras_in_gif, "still.gif" }
    };
    g_autoptr(GRand) rand = g_rand_new_with_seed(20230217);
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GByteArray) file = load(rows[i].name);
        for (int round = 0; round < 2000; round++) {
            const guint size = (guint)g_rand_int_range(rand, 0, (gint32)MIN(file->len, 3000u));
            g_autofree uint8_t *noisy = g_malloc(size + 1);
            g_autofree uint8_t *exact = g_malloc(size > 0 ? size : 1);
            memcpy(noisy, file->data, size);
            for (int k = 0; k < 4 && size > 0; k++)
                noisy[g_rand_int_range(rand, 0, (gint32)size)] = (uint8_t)g_rand_int_range(rand, 0, 256);
            memcpy(exact, noisy, size);
            rows[i].extras(exact, size);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/extras/jpeg", test_jpeg);
    g_test_add_func("/extras/png", test_png);
    g_test_add_func("/extras/webp", test_webp);
    g_test_add_func("/extras/gif", test_gif);
    g_test_add_func("/extras/noise-is-harmless", test_noise_is_harmless);
    return g_test_run();
}
