#include "spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crash.h"
#include "digest.h"
#include "fault.h"
#include "imgproc/recipe.h"

enum { KEY_LENGTH = 40, EXTENSION_MAX = 5, META_BYTES_MAX = 4096, READ_BYTES = 256 << 10 };

#define META_GROUP "file"

typedef struct {
    uint64_t bytes, crc;
    unsigned holds;
    uint64_t order; /* of arrival */
    bool unread;    /* of an earlier run, and not compared with its CRC yet */
} Entry;

struct Spool {
    /* fixed after new */
    char *dir;
    int dir_fd;
    uint64_t bytes_max;
    unsigned files_max;
    /* engine thread */
    GHashTable *entries; /* staged name -> Entry */
    uint64_t bytes, reserved_bytes, arrivals;
    unsigned reserved_files;
};

void spool_file_clear(SpoolFile *f)
{
    g_free(f->staged);
    g_free(f->content_type);
    g_free(f->extension);
    g_free(f->recipe);
    g_free(f->note);
    *f = (SpoolFile){ 0 };
}

static void fault_errno(GError **error, const char *what)
{
    fault_set(error, FAULT_SPOOL_FULL, "%s: %s", what, g_strerror(errno));
}

/* What somebody deleted meanwhile is made again: no disk is full. */
static void fault_commit(GError **error, const char *what)
{
    if (errno == ENOENT)
        fault_set(error, FAULT_SOURCE_CHANGED, "the prepared picture was deleted from the spool");
    else
        fault_errno(error, what);
}

/* Names come from the store and from the disk: only ours ever reach a system call. */
static bool is_ours(const char *name)
{
    if (strlen(name) < KEY_LENGTH + 2 || name[KEY_LENGTH] != '.' || strspn(name, "0123456789abcdef") != KEY_LENGTH)
        return false;
    return strlen(name + KEY_LENGTH + 1) <= EXTENSION_MAX &&
           strspn(name + KEY_LENGTH + 1, "abcdefghijklmnopqrstuvwxyz0123456789") == strlen(name + KEY_LENGTH + 1);
}

static bool is_temp(const char *name)
{
    return strlen(name) > KEY_LENGTH && strspn(name, "0123456789abcdef") == KEY_LENGTH && name[KEY_LENGTH] == '.' &&
           g_str_has_suffix(name, ".tmp");
}

static char *meta_name(const char *staged)
{
    return g_strdup_printf("%.*s.meta", KEY_LENGTH, staged);
}

char *spool_key(const SourceId *src, const char *recipe)
{
    g_autofree char *text =
        g_strdup_printf("%d|%" G_GUINT64_FORMAT "|%" G_GINT64_FORMAT "|%" G_GINT64_FORMAT "|%" G_GUINT64_FORMAT "|%" G_GUINT64_FORMAT "|%s",
                        RECIPE_VERSION, src->size_bytes, src->mtime_ns, src->ctime_ns, src->dev, src->ino, recipe);
    char *key = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
    key[KEY_LENGTH] = 0;
    return key;
}

static Entry *add_entry(Spool *s, const SpoolFile *f)
{
    Entry *e = g_new0(Entry, 1);
    *e = (Entry){ .bytes = f->bytes, .crc = f->crc, .order = ++s->arrivals };
    g_hash_table_insert(s->entries, g_strdup(f->staged), e);
    s->bytes += f->bytes;
    return e;
}

static void delete_files(const Spool *s, const char *staged)
{
    g_autofree char *meta = meta_name(staged);
    crash_point("spool");
    unlinkat(s->dir_fd, staged, 0);
    crash_point("spool");
    unlinkat(s->dir_fd, meta, 0);
}

static void drop_entry(Spool *s, const char *staged)
{
    const Entry *e = g_hash_table_lookup(s->entries, staged);
    delete_files(s, staged);
    s->bytes -= e->bytes;
    g_hash_table_remove(s->entries, staged);
}

static char *read_small(const Spool *s, const char *name, gsize *size_out)
{
    const int fd = openat(s->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return NULL;
    char *text = g_malloc(META_BYTES_MAX);
    const ssize_t n = read(fd, text, META_BYTES_MAX);
    close(fd);
    if (n <= 0) {
        g_free(text);
        return NULL;
    }
    *size_out = (gsize)n;
    return text;
}

static const struct {
    const char *name;
    size_t offset;
} numbers[] = {
    { "format", offsetof(SpoolPicture, format) },    { "width", offsetof(SpoolPicture, width_px) },
    { "height", offsetof(SpoolPicture, height_px) }, { "frames", offsetof(SpoolPicture, frames) },
    { "quality", offsetof(SpoolPicture, quality) },  { "encodes", offsetof(SpoolPicture, encodes) },
};

static unsigned *number_of(SpoolPicture *p, size_t i)
{
    return (unsigned *)((char *)p + numbers[i].offset);
}

static bool meta_parse(const char *text, gsize size, SpoolFile *out)
{
    g_autoptr(GKeyFile) kf = g_key_file_new();
    SpoolFile f = { 0 };
    if (!g_key_file_load_from_data(kf, text, size, G_KEY_FILE_NONE, NULL))
        return false;
    f.staged = g_key_file_get_string(kf, META_GROUP, "name", NULL);
    f.bytes = g_key_file_get_uint64(kf, META_GROUP, "bytes", NULL);
    f.content_type = g_key_file_get_string(kf, META_GROUP, "type", NULL);
    f.extension = g_key_file_get_string(kf, META_GROUP, "extension", NULL);
    f.recipe = g_key_file_get_string(kf, META_GROUP, "recipe", NULL);
    f.note = g_key_file_get_string(kf, META_GROUP, "note", NULL);
    f.crc = g_key_file_get_uint64(kf, META_GROUP, "crc64", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
        *number_of(&f.picture, i) = (unsigned)g_key_file_get_uint64(kf, META_GROUP, numbers[i].name, NULL);
    f.picture.cleaned = g_key_file_get_boolean(kf, META_GROUP, "cleaned", NULL);
    if (f.staged == NULL || !is_ours(f.staged) || f.content_type == NULL || f.extension == NULL || f.recipe == NULL) {
        spool_file_clear(&f);
        return false;
    }
    *out = f;
    return true;
}

/* The description of a finished file that is there in full length; false = not finished or damaged. */
static bool describe(const Spool *s, const char *meta, SpoolFile *out)
{
    gsize size;
    struct stat st;
    SpoolFile f;
    g_autofree char *text = read_small(s, meta, &size);
    if (text == NULL || !meta_parse(text, size, &f))
        return false;
    if (strncmp(f.staged, meta, KEY_LENGTH) == 0 && fstatat(s->dir_fd, f.staged, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
        (uint64_t)st.st_size == f.bytes) {
        *out = f;
        return true;
    }
    spool_file_clear(&f);
    return false;
}

static bool write_meta(const Spool *s, const char *meta, SpoolFile *f)
{
    g_autoptr(GKeyFile) kf = g_key_file_new();
    g_key_file_set_string(kf, META_GROUP, "name", f->staged);
    g_key_file_set_uint64(kf, META_GROUP, "bytes", f->bytes);
    g_key_file_set_string(kf, META_GROUP, "type", f->content_type);
    g_key_file_set_string(kf, META_GROUP, "extension", f->extension);
    g_key_file_set_string(kf, META_GROUP, "recipe", f->recipe);
    if (f->note != NULL)
        g_key_file_set_string(kf, META_GROUP, "note", f->note);
    g_key_file_set_uint64(kf, META_GROUP, "crc64", f->crc);
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
        g_key_file_set_uint64(kf, META_GROUP, numbers[i].name, *number_of(&f->picture, i));
    g_key_file_set_boolean(kf, META_GROUP, "cleaned", f->picture.cleaned);
    gsize size;
    g_autofree char *text = g_key_file_to_data(kf, &size, NULL);
    const int fd = openat(s->dir_fd, meta, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    crash_point("spool");
    errno = ENOSPC; /* of a short write */
    const bool written = write(fd, text, size) == (ssize_t)size;
    const int saved = errno;
    close(fd);
    errno = saved;
    return written;
}

/* First the metas: each stands for a pair or for the rest of a crash. Then whatever has no entry. */
static void take_stock(Spool *s, GPtrArray *names)
{
    for (guint i = 0; i < names->len; i++) {
        SpoolFile f;
        if (!g_str_has_suffix(names->pdata[i], ".meta") || !describe(s, names->pdata[i], &f))
            continue;
        add_entry(s, &f)->unread = true;
        spool_file_clear(&f);
    }
    g_autoptr(GHashTable) metas = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GHashTableIter iter;
    gpointer staged;
    g_hash_table_iter_init(&iter, s->entries);
    while (g_hash_table_iter_next(&iter, &staged, NULL))
        g_hash_table_add(metas, meta_name(staged));
    for (guint i = 0; i < names->len; i++)
        if (!g_hash_table_contains(s->entries, names->pdata[i]) && !g_hash_table_contains(metas, names->pdata[i]))
            unlinkat(s->dir_fd, names->pdata[i], 0);
}

static bool scan(Spool *s, GError **error)
{
    const int fd = openat(s->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        fault_errno(error, "cannot read the spool directory");
        return false;
    }
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const struct dirent *d;
    while ((d = readdir(dir)) != NULL)
        if (is_ours(d->d_name) || is_temp(d->d_name))
            g_ptr_array_add(names, g_strdup(d->d_name));
    closedir(dir);
    take_stock(s, names);
    return true;
}

Spool *spool_new(const char *dir, uint64_t bytes_max, unsigned files_max, GError **error)
{
    if (g_mkdir_with_parents(dir, 0700) != 0) {
        fault_errno(error, "cannot create the spool directory");
        return NULL;
    }
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        fault_errno(error, "cannot open the spool directory");
        return NULL;
    }
    Spool *s = g_new0(Spool, 1);
    s->dir = g_strdup(dir);
    s->dir_fd = fd;
    s->bytes_max = bytes_max;
    s->files_max = files_max;
    s->entries = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    const bool locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (!locked)
        fault_set(error, FAULT_STORE_LOCKED, "another hoist uses the spool directory");
    if (locked && scan(s, error))
        return s;
    spool_free(s);
    return NULL;
}

void spool_free(Spool *s)
{
    if (s == NULL)
        return;
    close(s->dir_fd);
    g_hash_table_unref(s->entries);
    g_free(s->dir);
    g_free(s);
}

static const char *oldest_unheld(Spool *s)
{
    const char *oldest = NULL;
    uint64_t order = UINT64_MAX;
    GHashTableIter iter;
    gpointer name, value;
    g_hash_table_iter_init(&iter, s->entries);
    while (g_hash_table_iter_next(&iter, &name, &value)) {
        const Entry *e = value;
        if (e->holds == 0 && e->order < order) {
            order = e->order;
            oldest = name;
        }
    }
    return oldest;
}

/* An empty spool takes one job whatever its bounds are, or nothing would ever move. */
static bool has_room(const Spool *s, uint64_t bytes, unsigned files, unsigned own)
{
    const unsigned there = g_hash_table_size(s->entries) + s->reserved_files;
    return there <= own || (there + files <= s->files_max && s->bytes + s->reserved_bytes + bytes <= s->bytes_max);
}

bool spool_reserve(Spool *s, uint64_t bytes, unsigned files, unsigned own)
{
    const char *unheld;
    while (!has_room(s, bytes, files, own) && (unheld = oldest_unheld(s)) != NULL) {
        g_autofree char *name = g_strdup(unheld);
        drop_entry(s, name);
    }
    if (!has_room(s, bytes, files, own))
        return false;
    s->reserved_bytes += bytes;
    s->reserved_files += files;
    return true;
}

void spool_unreserve(Spool *s, uint64_t bytes, unsigned files)
{
    s->reserved_bytes -= bytes;
    s->reserved_files -= files;
}

bool spool_commit(Spool *s, const char *key, const char *temp, SpoolFile *f, GError **error)
{
    g_free(f->staged);
    f->staged = g_strdup_printf("%s.%s", key, f->extension);
    if (spool_hold(s, f->staged)) {
        spool_temp_drop(s, temp);
        return true;
    }
    g_autofree char *meta = meta_name(f->staged);
    crash_point("spool");
    if (!write_meta(s, meta, f)) {
        fault_commit(error, "cannot write to the spool");
        unlinkat(s->dir_fd, meta, 0);
        spool_temp_drop(s, temp);
        return false;
    }
    crash_point("spool");
    if (renameat(s->dir_fd, temp, s->dir_fd, f->staged) != 0) {
        fault_commit(error, "cannot rename in the spool");
        unlinkat(s->dir_fd, meta, 0);
        spool_temp_drop(s, temp);
        return false;
    }
    crash_point("spool");
    add_entry(s, f)->holds = 1;
    return true;
}

bool spool_find(Spool *s, const char *key, SpoolFile *out)
{
    SpoolFile f;
    g_autofree char *meta = meta_name(key);
    if (!describe(s, meta, &f))
        return false;
    if (!spool_hold(s, f.staged)) {
        spool_file_clear(&f);
        return false;
    }
    *out = f;
    return true;
}

static bool is_whole(const Spool *s, const char *staged, const Entry *e)
{
    const int fd = openat(s->dir_fd, staged, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    g_autofree uint8_t *buffer = g_malloc(READ_BYTES);
    uint64_t crc = 0, bytes = 0;
    ssize_t n;
    while ((n = read(fd, buffer, READ_BYTES)) > 0 && bytes <= e->bytes) {
        crc = crc_update(DIGEST_CRC64NVME, crc, buffer, (size_t)n);
        bytes += (uint64_t)n;
    }
    close(fd);
    return n == 0 && bytes == e->bytes && crc == e->crc;
}

bool spool_hold(Spool *s, const char *staged)
{
    struct stat st;
    Entry *e = g_hash_table_lookup(s->entries, staged);
    if (e == NULL)
        return false;
    const bool gone = e->holds == 0 && fstatat(s->dir_fd, staged, &st, AT_SYMLINK_NOFOLLOW) != 0; /* somebody emptied the cache */
    if (gone || (e->unread && !is_whole(s, staged, e))) {
        drop_entry(s, staged);
        return false;
    }
    e->unread = false;
    e->holds++;
    return true;
}

void spool_release(Spool *s, const char *staged)
{
    Entry *e = g_hash_table_lookup(s->entries, staged);
    if (e == NULL)
        return;
    if (e->holds > 0)
        e->holds--;
    if (e->holds == 0)
        drop_entry(s, staged);
}

void spool_let_go(Spool *s, const char *staged)
{
    Entry *e = g_hash_table_lookup(s->entries, staged);
    if (e != NULL && e->holds > 0)
        e->holds--;
}

void spool_sweep(Spool *s, const GHashTable *keep)
{
    g_autoptr(GPtrArray) gone = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    gpointer name, value;
    g_hash_table_iter_init(&iter, s->entries);
    while (g_hash_table_iter_next(&iter, &name, &value))
        if (((const Entry *)value)->holds == 0 && (keep == NULL || !g_hash_table_contains((GHashTable *)keep, name)))
            g_ptr_array_add(gone, g_strdup(name));
    for (guint i = 0; i < gone->len; i++)
        drop_entry(s, gone->pdata[i]);
}

char *spool_path(const Spool *s, const char *staged)
{
    return is_ours(staged) ? g_build_filename(s->dir, staged, NULL) : NULL;
}

static int temp_create(const Spool *s, const char *name)
{
    return openat(s->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* Somebody deleted the directory itself. The new one takes the place of the old descriptor, whichever threads use that, with a lock of its
 * own. */
static bool remake(const Spool *s)
{
    const int fd = g_mkdir_with_parents(s->dir, 0700) == 0 ? open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    const bool made = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && dup3(fd, s->dir_fd, O_CLOEXEC) >= 0;
    const int saved = errno;
    if (fd >= 0)
        close(fd);
    errno = saved;
    return made;
}

int spool_temp_open(const Spool *s, const char *key, unsigned serial, char **name_out, GError **error)
{
    g_autofree char *name = g_strdup_printf("%s.%u.tmp", key, serial);
    crash_point("spool");
    int fd = temp_create(s, name);
    if (fd < 0 && errno == ENOENT && remake(s))
        fd = temp_create(s, name);
    if (fd < 0) {
        fault_errno(error, "cannot write to the spool");
        return -1;
    }
    crash_point("spool");
    *name_out = g_steal_pointer(&name);
    return fd;
}

void spool_temp_drop(const Spool *s, const char *name)
{
    unlinkat(s->dir_fd, name, 0);
}
