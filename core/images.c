#include "hoist.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fault.h"
#include "imgpool.h"
#include "imgproc/imgproc.h"
#include "key.h"
#include "mime.h"
#include "scan.h"
#include "settings.h"

enum { ASK_EVERY_MS = 200, NUMBERS_MAX = 10000 };

#define SPOOL_NAME ".hoist-images-XXXXXX"

typedef struct {
    const HoistSettings *settings;
    const char *out_dir, *template, *original_prefix;
    char *const *roots;
    Renditions renditions;
    const char *recipes[RECIPES_MAX];
    HoistImageDone each;
    void *ctx;
    int64_t now_s;
    mode_t mode; /* of new files */
    char *spool_dir, *spool_name, *real_out;
    ImgPool *pool;
    int wake_fd;
    unsigned at_once;
    GHashTable *items; /* at work */
    bool stopped;
    GError *error;
} Run;

/* A picture that the pool has. */
typedef struct {
    HoistImage image;
    SourceId id;
} Item;

static void object_clear(HoistObject *o)
{
    g_free(o->key);
    g_free(o->recipe);
    g_free(o->name);
    g_free((char *)o->note);
}

static void item_free(gpointer data)
{
    Item *item = data;
    g_free(item->image.path);
    g_free(item->image.name);
    g_free(item->image.type);
    g_free(item->image.note);
    g_free(item->image.failed);
    for (unsigned i = 0; i < item->image.n_objects; i++)
        object_clear(&item->image.objects[i]);
    g_free(item->image.objects);
    g_free(item);
}

static Item *item_new(const ScanFile *file)
{
    Item *item = g_new0(Item, 1);
    item->image.path = g_strdup(file->path);
    item->image.name = g_strdup(file->name);
    item->image.bytes = file->src.size_bytes;
    return item;
}

/* Takes item. */
static void tell(Run *run, Item *item)
{
    if (!run->stopped && !run->each(&item->image, run->ctx))
        run->stopped = true;
    item_free(item);
}

static void tell_failed(Run *run, Item *item, const char *why)
{
    item->image.failed = g_strdup(why);
    tell(run, item);
}

static bool goes_on(const Run *run)
{
    return !run->stopped && run->error == NULL;
}

/* ------------------------------------------------------------------ names and files */

static bool no_room(Run *run, const char *what, const char *why)
{
    fault_set(&run->error, FAULT_SPOOL_FULL, "%s: %s", what, why);
    return false;
}

/* G_IO_ERROR_EXISTS: the name is taken. */
static bool put_file(const Run *run, const char *from, const char *to, bool original, GError **error)
{
    if (!original && link(from, to) == 0) {
        g_chmod(to, (int)run->mode);
        return true;
    }
    g_autoptr(GFile) source = g_file_new_for_path(from);
    g_autoptr(GFile) target = g_file_new_for_path(to);
    return g_file_copy(source, target, original ? G_FILE_COPY_NONE : G_FILE_COPY_TARGET_DEFAULT_PERMS, NULL, NULL, NULL, error);
}

static char *path_of(const Run *run, const char *key, unsigned number)
{
    g_autofree char *name = number == 1 ? g_strdup(key) : key_numbered(key, number);
    return g_build_filename(run->out_dir, name, NULL);
}

/* All objects under this number, or none. */
static bool put_numbered(const Run *run, const HoistImage *image, char *const *from, unsigned number, GError **error)
{
    for (unsigned i = 0; i < image->n_objects; i++) {
        g_autofree char *path = path_of(run, image->objects[i].key, number);
        g_autofree char *folder = g_path_get_dirname(path);
        if (g_mkdir_with_parents(folder, 0777) != 0)
            g_set_error(error, G_IO_ERROR, (int)g_io_error_from_errno(errno), "%s: %s", folder, g_strerror(errno));
        else if (put_file(run, from[i], path, g_str_equal(from[i], image->path), error))
            continue;
        for (unsigned k = 0; k < i; k++) {
            g_autofree char *written = path_of(run, image->objects[k].key, number);
            g_unlink(written);
        }
        return false;
    }
    return true;
}

/* The same number for all objects of a file: the first under which none is there. */
static bool put(const Run *run, const HoistImage *image, char *const *from, GError **error)
{
    for (unsigned number = 1; number < NUMBERS_MAX; number++) {
        g_autoptr(GError) cause = NULL;
        if (!put_numbered(run, image, from, number, &cause)) {
            if (g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_EXISTS))
                continue;
            g_propagate_error(error, g_steal_pointer(&cause));
            return false;
        }
        for (unsigned i = 0; number > 1 && i < image->n_objects; i++) {
            g_autofree char *key = image->objects[i].key;
            image->objects[i].key = key_numbered(key, number);
        }
        return true;
    }
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS, "too many files want the name %s", image->objects[0].key);
    return false;
}

/* What no other picture will fare better with. */
static void stop_if_of_folder(Run *run, const GError *error)
{
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE))
        no_room(run, "cannot write", error->message);
    else if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_READ_ONLY) || g_error_matches(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED))
        fault_set(&run->error, FAULT_USAGE, "--out: %s", error->message);
}

static char *plain_key(const Run *run, const char *relpath)
{
    const KeyFacts facts = { .relpath = relpath, .now_s = run->now_s };
    return key_expand(run->template, &facts);
}

static const char *extension_of(const char *relpath)
{
    const char *slash = strrchr(relpath, '/'), *name = slash != NULL ? slash + 1 : relpath, *dot = strrchr(name, '.');
    return dot != NULL && dot != name ? dot + 1 : "";
}

/* As the engine names objects: that of --images keeps the name of its file, those of --renditions have theirs. */
static char *rendition_key(const Run *run, const char *relpath, const char *rendition, const char *extension)
{
    const KeyFacts facts = { .relpath = relpath, .now_s = run->now_s };
    if (run->renditions.named || strstr(run->template, "{rendition}") != NULL) {
        g_autofree char *pattern = key_pattern(run->template, &facts);
        return key_of_pattern(pattern, rendition, extension != NULL ? extension : extension_of(relpath));
    }
    g_autofree char *plain = plain_key(run, relpath);
    return extension != NULL ? key_of_result(plain, extension) : g_steal_pointer(&plain);
}

/* ------------------------------------------------------------------ results */

/* key: taken. */
static HoistObject *add_object(Item *item, const char *name, char *key)
{
    HoistObject *o = &item->image.objects[item->image.n_objects++];
    o->name = g_strdup(name);
    o->key = key;
    o->bytes = item->image.bytes;
    return o;
}

static void add_rendition(Run *run, Item *item, const char *name, const ImgObject *from)
{
    HoistObject *o = add_object(item, name, rendition_key(run, item->image.name, name, from->extension));
    o->recipe = g_strdup(from->recipe);
    o->note = g_strdup(from->note);
    o->bytes = from->staged != NULL ? from->staged_bytes : item->image.bytes;
    o->format = from->picture.format != IMG_FORMAT_NONE ? img_format_name((ImgFormat)from->picture.format) : NULL;
    o->width_px = from->picture.width_px;
    o->height_px = from->picture.height_px;
    o->frames = from->picture.frames;
    o->quality = from->picture.quality;
    o->encodes = from->picture.encodes;
    o->cleaned = from->picture.cleaned;
}

/* What becomes of the file: each rendition has its object, as it is or not; what is no picture to the workers stays as it is. */
static void list_objects(Run *run, Item *item, const ImgOutcome *o)
{
    item->image.objects = g_new0(HoistObject, o->n + 1);
    bool picture = false;
    for (unsigned i = 0; i < o->n; i++)
        picture = picture || o->objects[i].staged != NULL || o->objects[i].picture.format != IMG_FORMAT_NONE;
    for (unsigned i = 0; i < (picture ? o->n : 1); i++)
        add_rendition(run, item, run->renditions.list[i].name, &o->objects[i]);
    if (!picture) {
        g_free(item->image.objects[0].key);
        item->image.objects[0].key = plain_key(run, item->image.name);
    }
    if (!run->renditions.keep_original)
        return;
    g_autofree char *plain = plain_key(run, item->image.name);
    add_object(item, "original", g_strconcat(run->original_prefix, plain, NULL));
}

static void put_objects(Run *run, Item *item, const ImgOutcome *o)
{
    g_autoptr(GPtrArray) from = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;
    for (unsigned i = 0; i < item->image.n_objects; i++) {
        const char *staged = i < o->n ? o->objects[i].staged : NULL;
        g_ptr_array_add(from, staged != NULL ? imgpool_staged_path(run->pool, staged) : g_strdup(item->image.path));
    }
    if (put(run, &item->image, (char *const *)from->pdata, &error))
        return;
    stop_if_of_folder(run, error);
    item->image.failed = g_strdup_printf("cannot be written: %s", error->message);
    while (item->image.n_objects > 0)
        object_clear(&item->image.objects[--item->image.n_objects]);
}

static void on_outcome(Run *run, ImgOutcome *o)
{
    Item *item = o->user;
    g_hash_table_steal(run->items, item);
    item->image.seconds = (double)o->took_us / G_USEC_PER_SEC;
    if (o->error != NULL) {
        g_set_error_literal(&run->error, o->error->domain, o->error->code, o->error->message);
        item_free(item);
        return;
    }
    if (o->failed != NULL) {
        if (o->objects[0].staged != NULL)
            imgpool_release(run->pool, o->objects[0].staged);
        tell_failed(run, item, o->failed);
        return;
    }
    list_objects(run, item, o);
    if (run->out_dir != NULL)
        put_objects(run, item, o);
    for (unsigned i = 0; i < o->n; i++)
        if (o->objects[i].staged != NULL)
            imgpool_release(run->pool, o->objects[i].staged);
    if (run->error == NULL)
        tell(run, item);
    else
        item_free(item);
}

static bool take_ready(Run *run)
{
    ImgOutcome *o;
    bool any = false;
    while (goes_on(run) && (o = imgpool_take(run->pool)) != NULL) {
        on_outcome(run, o);
        imgpool_outcome_free(o);
        any = true;
    }
    return any;
}

/* Until at least one outcome came. */
static void wait_for_one(Run *run)
{
    while (goes_on(run) && !take_ready(run)) {
        struct pollfd p = { .fd = run->wake_fd, .events = POLLIN };
        uint64_t count;
        const int ready = poll(&p, 1, ASK_EVERY_MS);
        if (ready > 0 && read(run->wake_fd, &count, sizeof count) < 0)
            continue;
        if (ready <= 0 && !run->each(NULL, run->ctx))
            run->stopped = true;
    }
}

/* ------------------------------------------------------------------ files */

/* fd stays the caller's. */
static char *type_of(const Run *run, int fd, const char *path)
{
    char head[MIME_HEAD_BYTES];
    const ssize_t n = pread(fd, head, sizeof head, 0);
    const bool by_rule = n >= 0 && settings_is_set(run->settings, "types"); /* what cannot be read is told */
    return (by_rule ? mime_by_content : mime_of)(path, head, n > 0 ? (size_t)n : 0);
}

/* Takes item. */
static void hand_over(Run *run, Item *item, int fd)
{
    while (goes_on(run) && g_hash_table_size(run->items) >= run->at_once)
        wait_for_one(run);
    while (goes_on(run) && !imgpool_submit(run->pool, fd, &item->id, run->recipes, run->renditions.n, item)) {
        if (g_hash_table_size(run->items) > 0)
            wait_for_one(run);
        else
            fault_set(&run->error, FAULT_MEMORY, "no file descriptor is left");
    }
    if (goes_on(run))
        g_hash_table_add(run->items, item);
    else
        item_free(item);
    take_ready(run);
}

static void look_at(Run *run, Item *item)
{
    g_autoptr(GError) error = NULL;
    const int fd = source_open(item->image.path, &item->id, &error);
    if (fd < 0) {
        tell_failed(run, item, error->message);
        return;
    }
    item->image.type = type_of(run, fd, item->image.path);
    if (!settings_type_allowed(run->settings, item->image.type)) {
        item_free(item);
    } else if (!imgpool_takes(item->image.type, run->renditions.vectors)) {
        item->image.note = g_strdup("not a kind of picture that is converted");
        tell(run, item);
    } else if (run->renditions.n == 0) {
        item->image.note = g_strdup("pictures go as they are");
        tell(run, item);
    } else {
        hand_over(run, item, fd);
    }
    close(fd);
}

/* What we write is not read: our spool, and out_dir when it lies below a folder that is scanned. */
static bool is_our_own(const Run *run, const ScanFile *file)
{
    if (strstr(file->path, run->spool_name) != NULL)
        return true;
    if (run->real_out == NULL || !g_str_has_prefix(file->path, run->real_out) || file->path[strlen(run->real_out)] != '/')
        return false;
    g_autofree char *root = g_canonicalize_filename(run->roots[file->root], NULL);
    return g_str_has_prefix(run->real_out, root) && run->real_out[strlen(root)] == '/';
}

static bool meet(const ScanFile *file, void *ctx)
{
    Run *run = ctx;
    if (is_our_own(run, file) || (file->error != NULL && file->by_rule))
        return goes_on(run);
    Item *item = item_new(file);
    if (file->error != NULL)
        tell_failed(run, item, file->error->message);
    else
        look_at(run, item);
    return goes_on(run);
}

/* ------------------------------------------------------------------ from start to end */

static void wake(void *ctx)
{
    const uint64_t one = 1;
    const ssize_t written = write(((const Run *)ctx)->wake_fd, &one, sizeof one);
    (void)written; /* full = it is awake already */
}

static void remove_spool(const char *dir)
{
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    const char *name;
    while (d != NULL && (name = g_dir_read_name(d)) != NULL) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        g_unlink(path);
    }
    g_rmdir(dir);
}

/* What a killed run left; that of one that runs is locked (spool.h). */
static void remove_left_over(const char *where)
{
    static const char begin[] = SPOOL_NAME;
    g_autoptr(GDir) d = g_dir_open(where, 0, NULL);
    const char *name;
    while (d != NULL && (name = g_dir_read_name(d)) != NULL) {
        if (strlen(name) != strlen(begin) || strncmp(name, begin, strcspn(begin, "X")) != 0)
            continue;
        g_autofree char *path = g_build_filename(where, name, NULL);
        const int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
            remove_spool(path);
        if (fd >= 0)
            close(fd);
    }
}

static bool make_spool(Run *run)
{
    g_autofree char *cache = g_build_filename(g_get_user_cache_dir(), HOIST_APP, NULL);
    const char *where = run->out_dir != NULL ? run->out_dir : cache;
    remove_left_over(where);
    g_autofree char *template = g_build_filename(where, SPOOL_NAME, NULL);
    if (g_mkdir_with_parents(where, run->out_dir != NULL ? 0777 : 0700) != 0 || g_mkdtemp(template) == NULL) {
        const int number = errno;
        if (run->out_dir == NULL || number == ENOSPC || number == EDQUOT)
            return no_room(run, where, g_strerror(number));
        fault_set(&run->error, FAULT_USAGE, "--out: %s: %s", where, g_strerror(number));
        return false;
    }
    run->spool_dir = g_steal_pointer(&template);
    run->spool_name = g_path_get_basename(run->spool_dir);
    run->real_out = run->out_dir != NULL ? g_canonicalize_filename(run->out_dir, NULL) : NULL;
    return true;
}

/* Signals are the caller's: none may land in the thread that feeds the workers. */
static bool start_pool(Run *run)
{
    const unsigned workers = (unsigned)hoist_settings_number(run->settings, "image-workers");
    const ImgPoolConf conf = { .spool_dir = run->spool_dir,
                               .spool_bytes = hoist_settings_number(run->settings, "spool-size"),
                               .workers = workers };
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    run->pool = imgpool_new(&conf, wake, run, &run->error);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    run->at_once = 2 * (workers != 0 ? workers : g_get_num_processors()) + 2;
    return run->pool != NULL;
}

static void walk(Run *run)
{
    g_auto(GStrv) include = hoist_settings_list(run->settings, "include");
    g_auto(GStrv) exclude = hoist_settings_list(run->settings, "exclude");
    const ScanFilter filter = { include, exclude, hoist_settings_number(run->settings, "max-size") };
    scan_walk((char **)run->roots, &filter, meet, run, NULL);
    while (goes_on(run) && g_hash_table_size(run->items) > 0)
        wait_for_one(run);
}

bool hoist_images(const HoistSettings *settings, char *const *paths, const char *out_dir, HoistImageDone each, void *ctx, GError **error)
{
    const mode_t mask = umask(0);
    umask(mask);
    Run run = { .settings = settings,
                .out_dir = out_dir,
                .template = settings_key_template(settings),
                .original_prefix = hoist_settings_get(settings, "original-prefix"),
                .roots = paths,
                .each = each,
                .ctx = ctx,
                .now_s = g_get_real_time() / G_USEC_PER_SEC,
                .mode = 0666 & ~mask,
                .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
    run.items = g_hash_table_new_full(NULL, NULL, item_free, NULL);
    if (settings_renditions(settings, &run.renditions, &run.error) && make_spool(&run) && start_pool(&run)) {
        for (unsigned i = 0; i < run.renditions.n; i++)
            run.recipes[i] = run.renditions.list[i].recipe;
        walk(&run);
    }
    imgpool_free(run.pool);
    if (run.spool_dir != NULL)
        remove_spool(run.spool_dir);
    g_hash_table_unref(run.items);
    renditions_clear(&run.renditions);
    g_free(run.spool_dir);
    g_free(run.spool_name);
    g_free(run.real_out);
    close(run.wake_fd);
    if (run.error == NULL)
        return true;
    g_propagate_error(error, run.error);
    return false;
}
