/* pool - the yardstick: the least that libvips needs to make a folder of photos fit. Threads in one process, no sandbox, no limits but one
 * on pixels, no search that stops early, no spool, nothing kept of the metadata.
 *
 *   pool [-j workers] [-f webp|jpg] [-q Q] [-e effort] [-s edge] [-t bytes] -o DIR FILE...
 *
 * Each worker runs libvips with one thread. JPEG is shrunk on load from factor 2 on; a profile is converted only where there is one. -t
 * bisects the quality on pixels held in memory until the size is within 90 to 100 % of the target. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vips/vips.h>

static int quality = 80, effort = 2, edge = 1920, failed;
static size_t target;
static const char *format = "webp", *dir = ".";

/* webpsave of libvips 8.14.1 ignores strip: the fields are taken out of a private copy. */
static void *drop(VipsImage *im, const char *field, GValue *value, void *out)
{
    (void)im;
    (void)value;
    if (g_str_has_prefix(field, "exif-") || g_str_has_suffix(field, "-data"))
        vips_image_remove(out, field);
    return NULL;
}

static int encode(VipsImage *im, int q, void **buf, size_t *len)
{
    if (strcmp(format, "jpg") == 0)
        return vips_jpegsave_buffer(im, buf, len, "Q", q, "strip", TRUE, "optimize_coding", TRUE, NULL);
    return vips_webpsave_buffer(im, buf, len, "Q", q, "strip", TRUE, "effort", effort, NULL);
}

static VipsImage *load(const char *name)
{
    VipsImage *im = vips_image_new_from_file(name, "access", VIPS_ACCESS_SEQUENTIAL, NULL), *out = NULL;
    if (im == NULL)
        return NULL;
    const char *profile = vips_image_get_typeof(im, VIPS_META_ICC_NAME) != 0 ? "srgb" : NULL;
    double factor = (double)VIPS_MAX(im->Xsize, im->Ysize) / edge;
    g_object_unref(im);
    if (factor >= 2 && g_str_has_prefix(vips_foreign_find_load(name), "VipsForeignLoadJpeg")) {
        if (vips_jpegload(name, &im, "shrink", factor >= 8 ? 8 : factor >= 4 ? 4 : 2, "access", VIPS_ACCESS_SEQUENTIAL, NULL))
            return NULL;
        vips_thumbnail_image(im, &out, edge, "height", edge, "size", VIPS_SIZE_DOWN, profile ? "export_profile" : NULL, profile, NULL);
        g_object_unref(im);
    } else {
        vips_thumbnail(name, &out, edge, "height", edge, "size", VIPS_SIZE_DOWN, profile ? "export_profile" : NULL, profile, NULL);
    }
    return out;
}

static int fit(VipsImage *im, void **buf, size_t *len)
{
    int low = 30, high = quality - 1;
    int r = encode(im, quality, buf, len);
    while (r == 0 && target && (*len > target || *len < target * 9 / 10) && low <= high) {
        int q = (low + high) / 2;
        if (*len <= target && q >= quality)
            break;
        g_free(*buf);
        r = encode(im, q, buf, len);
        if (*len > target)
            high = q - 1;
        else
            low = q + 1;
    }
    return r;
}

static void one(void *file, void *unused)
{
    (void)unused;
    const char *name = file;
    void *buf = NULL;
    size_t len = 0;
    VipsImage *im = load(name), *bare = NULL;
    if (im && vips_copy(im, &bare, NULL) == 0)
        vips_image_map(im, drop, bare);
    if (bare && target) {
        VipsImage *held = vips_image_copy_memory(bare);
        g_object_unref(bare);
        bare = held;
    }
    g_autofree char *base = g_path_get_basename(name), *path = g_strdup_printf("%s/%s.%s", dir, base, format);
    if (bare == NULL || (target ? fit(bare, &buf, &len) : encode(bare, quality, &buf, &len)) ||
        !g_file_set_contents(path, buf, len, NULL)) {
        fprintf(stderr, "%s: %s", name, vips_error_buffer());
        g_atomic_int_inc(&failed);
    }
    g_free(buf);
    g_clear_object(&im);
    g_clear_object(&bare);
}

int main(int argc, char **argv)
{
    int c, workers = 2;
    while ((c = getopt(argc, argv, "j:f:q:e:s:t:o:")) != -1)
        switch (c) {
        case 'j':
            workers = atoi(optarg);
            break;
        case 'f':
            format = optarg;
            break;
        case 'q':
            quality = atoi(optarg);
            break;
        case 'e':
            effort = atoi(optarg);
            break;
        case 's':
            edge = atoi(optarg);
            break;
        case 't':
            target = strtoul(optarg, NULL, 10);
            break;
        case 'o':
            dir = optarg;
            break;
        default:
            return 2;
        }
    g_setenv("VIPS_WARNING", "1", TRUE);
    if (VIPS_INIT(argv[0]))
        vips_error_exit(NULL);
    vips_concurrency_set(1);
    vips_cache_set_max(0);
    GThreadPool *pool = g_thread_pool_new(one, NULL, workers, TRUE, NULL);
    for (int i = optind; i < argc; i++)
        g_thread_pool_push(pool, argv[i], NULL);
    g_thread_pool_free(pool, FALSE, TRUE);
    vips_shutdown();
    return failed != 0;
}
