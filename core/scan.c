#include "scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "fault.h"
#include "mailbox.h"

enum { SORT_ENTRIES = 20000 };

/* One walk: where it stands and to whom it tells. */
typedef struct {
    const ScanFilter *filter;
    unsigned root;
    size_t base;                             /* bytes of a path before the part that becomes the name */
    bool (*tell)(void *ctx, ScanFile *file); /* takes file's contents; false = stop */
    void *ctx;
    uint64_t folders;
    bool hidden, links, stopped;
} Walk;

struct Scan {
    /* fixed after start */
    char **roots;
    ScanFilter filter;
    gpointer user;
    pthread_t thread;
    bool has_thread;
    Mailbox *chunks;
    /* under lock */
    pthread_mutex_t lock;
    pthread_cond_t freed;
    unsigned outstanding;
    bool stop;
    /* scan thread */
    ScanChunk *filling;
};

static void scan_file_clear(ScanFile *file)
{
    g_clear_pointer(&file->path, g_free);
    g_clear_pointer(&file->name, g_free);
    g_clear_error(&file->error);
}

static void tell(Walk *w, ScanFile *file)
{
    if (w->stopped)
        scan_file_clear(file);
    else if (!w->tell(w->ctx, file))
        w->stopped = true;
}

static void skip(Walk *w, const char *path, bool by_rule, GError *error)
{
    ScanFile file = { .path = g_strdup(path), .name = g_strdup(path + w->base), .root = w->root, .error = error, .by_rule = by_rule };
    tell(w, &file);
}

static void skip_fault(Walk *w, const char *path, bool by_rule, FaultCode code, const char *why)
{
    skip(w, path, by_rule, g_error_new_literal(FAULT, (int)code, why));
}

static void skip_errno(Walk *w, const char *path, int errnum, const char *what)
{
    GError *error = NULL;
    fault_set_source_errno(&error, errnum, what);
    skip(w, path, false, error);
}

static bool matches(char **globs, const char *name)
{
    const char *slash = strrchr(name, '/');
    const char *last = slash == NULL ? name : slash + 1;
    for (char **g = globs; *g != NULL; g++)
        if (fnmatch(*g, last, 0) == 0 || fnmatch(*g, name, 0) == 0)
            return true;
    return false;
}

static bool wanted(const ScanFilter *f, const char *name)
{
    if (f->exclude != NULL && matches(f->exclude, name))
        return false;
    return f->include == NULL || f->include[0] == NULL || matches(f->include, name);
}

static const char *special_kind(mode_t mode)
{
    return S_ISSOCK(mode) ? "a socket" : S_ISFIFO(mode) ? "a FIFO" : S_ISLNK(mode) ? "a link" : "a device";
}

static void meet_file(Walk *w, const char *path, const struct stat *st)
{
    ScanFile file = { .path = g_strdup(path), .name = g_strdup(path + w->base), .root = w->root };
    source_id_of_stat(&file.src, st);
    tell(w, &file);
}

static void walk_folder(Walk *w, const char *path, unsigned depth);

/* follow: the person named this path, so a link to a folder is meant. */
static void meet(Walk *w, const char *path, unsigned depth, bool follow)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        skip_errno(w, path, errno, "cannot stat");
        return;
    }
    const bool link = S_ISLNK(st.st_mode);
    if (link) {
        w->links = true;
        if (stat(path, &st) != 0) {
            skip_errno(w, path, errno, errno == ELOOP ? "link loop" : "broken link");
            return;
        }
    }
    const char *name = path + w->base;
    if (S_ISDIR(st.st_mode)) {
        if (link && !follow)
            skip_fault(w, path, true, FAULT_SOURCE_SPECIAL, "a link to a folder is not followed");
        else if (depth >= SCAN_MAX_DEPTH)
            skip_fault(w, path, false, FAULT_SOURCE_SPECIAL, "folders nested too deep");
        else if (follow || w->filter->exclude == NULL || !matches(w->filter->exclude, name))
            walk_folder(w, path, depth + 1);
    } else if (!S_ISREG(st.st_mode)) {
        g_autofree char *why = g_strdup_printf("%s is not uploaded", special_kind(st.st_mode));
        skip_fault(w, path, true, FAULT_SOURCE_SPECIAL, why);
    } else if (!wanted(w->filter, name)) {
        return; /* the person's own filter: not worth a word for each */
    } else if (w->filter->max_bytes != 0 && (uint64_t)st.st_size > w->filter->max_bytes) {
        skip_fault(w, path, true, FAULT_TOO_LARGE, "larger than --max-size");
    } else {
        meet_file(w, path, &st);
    }
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The type rides behind the NUL: it saves an lstat of every file. */
static char *name_with_type(const struct dirent *entry)
{
    const size_t n = strlen(entry->d_name);
    char *name = g_malloc(n + 2);
    memcpy(name, entry->d_name, n + 1);
    name[n + 1] = (char)entry->d_type;
    return name;
}

static bool is_folder(const char *path, const char *name)
{
    const unsigned char type = (unsigned char)name[strlen(name) + 1];
    struct stat st;
    return type == DT_DIR || (type == DT_UNKNOWN && lstat(path, &st) == 0 && S_ISDIR(st.st_mode));
}

/* Up to SORT_ENTRIES names, sorted; false at the end of the folder. */
static bool read_names(DIR *dir, GPtrArray *names, int *errno_out)
{
    *errno_out = 0;
    while (names->len < SORT_ENTRIES) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            *errno_out = errno;
            g_ptr_array_sort(names, by_name);
            return false;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            g_ptr_array_add(names, name_with_type(entry));
    }
    g_ptr_array_sort(names, by_name);
    return true;
}

static void meet_names(Walk *w, const char *folder, GPtrArray *names, GPtrArray *subfolders)
{
    for (guint i = 0; i < names->len && !w->stopped; i++) {
        const char *name = names->pdata[i];
        g_autofree char *path = g_strconcat(folder, g_str_has_suffix(folder, "/") ? "" : "/", name, NULL);
        if (is_folder(path, name)) {
            w->hidden = w->hidden || name[0] == '.';
            g_ptr_array_add(subfolders, g_steal_pointer(&path));
        } else {
            meet(w, path, 0, false);
        }
    }
}

/* Files first, then the folders below, so that no descriptor stays open while deeper levels are walked. */
static void walk_folder(Walk *w, const char *path, unsigned depth)
{
    w->folders++;
    DIR *dir = opendir(path);
    if (dir == NULL) {
        skip_errno(w, path, errno, "cannot open the folder");
        return;
    }
    g_autoptr(GPtrArray) subfolders = g_ptr_array_new_with_free_func(g_free);
    bool more = true;
    while (more && !w->stopped) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        int errnum;
        more = read_names(dir, names, &errnum);
        meet_names(w, path, names, subfolders);
        if (errnum != 0)
            skip_errno(w, path, errnum, "cannot read the folder");
    }
    closedir(dir);
    for (guint i = 0; i < subfolders->len && !w->stopped; i++)
        meet(w, subfolders->pdata[i], depth, false);
}

/* The name of a file begins with the dropped root's own last component; "/" and "/a/.." have none. */
static size_t base_of(const char *root)
{
    size_t end = strlen(root);
    while (end > 1 && root[end - 1] == '/')
        end--;
    while (end > 0 && root[end - 1] != '/')
        end--;
    return end;
}

static void walk_roots(Walk *w, char **roots)
{
    for (unsigned i = 0; roots[i] != NULL && !w->stopped; i++) {
        g_autofree char *root = g_canonicalize_filename(roots[i], "/");
        w->root = i;
        w->base = base_of(root);
        meet(w, root, 0, true);
    }
}

/* ------------------------------------------------------------------ in the caller's thread */

typedef struct {
    ScanEach each;
    void *ctx;
} EachCtx;

static bool tell_each(void *ctx, ScanFile *file)
{
    const EachCtx *e = ctx;
    const bool go_on = e->each(file, e->ctx);
    scan_file_clear(file);
    return go_on;
}

void scan_walk(char **roots, const ScanFilter *filter, ScanEach each, void *ctx, uint64_t *folders_out)
{
    EachCtx e = { each, ctx };
    Walk w = { .filter = filter, .tell = tell_each, .ctx = &e };
    walk_roots(&w, roots);
    if (folders_out != NULL)
        *folders_out = w.folders;
}

/* ------------------------------------------------------------------ in a thread */

static ScanChunk *chunk_new(Scan *s)
{
    ScanChunk *chunk = g_new0(ScanChunk, 1);
    chunk->user = s->user;
    chunk->scan = s;
    chunk->files = g_array_sized_new(FALSE, TRUE, sizeof(ScanFile), SCAN_CHUNK_FILES);
    g_array_set_clear_func(chunk->files, (GDestroyNotify)scan_file_clear);
    return chunk;
}

static void chunk_delete(ScanChunk *chunk)
{
    g_array_unref(chunk->files);
    g_free(chunk);
}

/* False when the scan was told to stop. */
static bool send_chunk(Scan *s)
{
    pthread_mutex_lock(&s->lock);
    while (s->outstanding >= SCAN_CHUNKS && !s->stop)
        pthread_cond_wait(&s->freed, &s->lock);
    const bool stop = s->stop;
    s->outstanding++;
    pthread_mutex_unlock(&s->lock);
    mailbox_send(s->chunks, g_steal_pointer(&s->filling));
    return !stop;
}

typedef struct {
    Scan *scan;
    Walk *walk;
    uint64_t folders_told;
} ThreadCtx;

static void note_walk(ThreadCtx *t)
{
    ScanChunk *chunk = t->scan->filling;
    chunk->folders = t->walk->folders - t->folders_told;
    t->folders_told = t->walk->folders;
    chunk->hidden = t->walk->hidden;
    chunk->links = t->walk->links;
}

static bool tell_chunk(void *ctx, ScanFile *file)
{
    ThreadCtx *t = ctx;
    Scan *s = t->scan;
    g_array_append_val(s->filling->files, *file);
    if (s->filling->files->len < SCAN_CHUNK_FILES)
        return true;
    note_walk(t);
    const bool go_on = send_chunk(s);
    s->filling = chunk_new(s);
    return go_on;
}

static void *scan_thread(void *ctx)
{
    Scan *s = ctx;
    ThreadCtx t = { .scan = s };
    Walk w = { .filter = &s->filter, .tell = tell_chunk, .ctx = &t };
    t.walk = &w;
    s->filling = chunk_new(s);
    walk_roots(&w, s->roots);
    note_walk(&t);
    s->filling->last = true;
    (void)send_chunk(s);
    return NULL;
}

Scan *scan_start(char **roots, const ScanFilter *filter, gpointer user, void (*wake)(void *ctx), void *ctx)
{
    Scan *s = g_new0(Scan, 1);
    s->roots = g_strdupv(roots);
    s->filter = (ScanFilter){ g_strdupv(filter->include), g_strdupv(filter->exclude), filter->max_bytes };
    s->user = user;
    s->chunks = mailbox_new(wake, ctx, (GDestroyNotify)chunk_delete);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->freed, NULL);
    s->has_thread = pthread_create(&s->thread, NULL, scan_thread, s) == 0;
    return s;
}

ScanChunk *scan_take(Scan *s)
{
    return mailbox_take(s->chunks);
}

void scan_chunk_free(ScanChunk *chunk)
{
    if (chunk == NULL)
        return;
    Scan *s = chunk->scan;
    chunk_delete(chunk);
    pthread_mutex_lock(&s->lock);
    s->outstanding--;
    pthread_cond_signal(&s->freed);
    pthread_mutex_unlock(&s->lock);
}

void scan_free(Scan *s)
{
    if (s == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->freed);
    pthread_mutex_unlock(&s->lock);
    if (s->has_thread)
        pthread_join(s->thread, NULL);
    mailbox_free(s->chunks);
    g_strfreev(s->roots);
    g_strfreev(s->filter.include);
    g_strfreev(s->filter.exclude);
    pthread_cond_destroy(&s->freed);
    pthread_mutex_destroy(&s->lock);
    g_free(s);
}
