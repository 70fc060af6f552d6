#include "store_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INBOX_PAGE = 1000, LOCK_TEXT_MAX = 128, HOST_MAX = 64, PUT_TRIES = 50, PUT_WAIT_US = 100000 };

const char *store_version(void)
{
    return sqlite3_libversion();
}

int64_t store_now_ns(void)
{
    return g_get_real_time() * 1000;
}

/* ---- directory, lock, poke */

/* The real path, so that SQLite may refuse every symbolic link from here on. */
static char *dir_make(const char *dir, GError **error)
{
    if (g_mkdir_with_parents(dir, 0700) != 0) {
        const int number = errno;
        fault_set(error, number == ENOSPC || number == EDQUOT ? FAULT_STORE_FULL : FAULT_STORE_READONLY, "cannot make %s: %s", dir,
                  g_strerror(number));
        return NULL;
    }
    char *real = realpath(dir, NULL);
    struct stat st;
    if (real == NULL || stat(real, &st) != 0) {
        fault_set(error, FAULT_STORE_READONLY, "cannot open %s: %s", dir, g_strerror(errno));
        free(real);
        return NULL;
    }
    if (st.st_uid != geteuid() || (st.st_mode & S_IWOTH) != 0) {
        fault_set(error, FAULT_STORE_READONLY, "%s belongs to somebody else, or everybody may write to it", dir);
        free(real);
        return NULL;
    }
    char *copy = g_strdup(real);
    free(real);
    return copy;
}

static void lock_held_fault(int fd, const char *dir, GError **error)
{
    char text[LOCK_TEXT_MAX] = "";
    const ssize_t n = pread(fd, text, sizeof text - 1, 0);
    text[MAX(n, 0)] = '\0';
    char *end = text;
    const gint64 pid = g_ascii_strtoll(text, &end, 10);
    g_autofree char *host = g_strndup(end + (*end == ' '), HOST_MAX);
    g_strcanon(g_strchomp(host), G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS ".-", '_');
    if (pid > 0)
        fault_set(error, FAULT_STORE_LOCKED, "process %" G_GINT64_FORMAT " on %s works on the queue in %s", pid, host, dir);
    else
        fault_set(error, FAULT_STORE_LOCKED, "another process works on the queue in %s", dir);
}

static int file_open(const char *dir, const char *name, GError **error)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0)
        fault_set(error, errno == ENOSPC || errno == EDQUOT ? FAULT_STORE_FULL : FAULT_STORE_READONLY, "cannot open %s: %s", path,
                  g_strerror(errno));
    return fd;
}

/* Held for life by the open file description: it ends with the process, whatever happens to it, and is not lost by a close elsewhere. */
static int lock_take(const char *dir, GError **error)
{
    const int fd = file_open(dir, "lock", error);
    if (fd < 0)
        return -1;
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
        if (errno == EAGAIN || errno == EACCES)
            lock_held_fault(fd, dir, error);
        else
            fault_set(error, FAULT_STORE_IO, "cannot lock %s/lock: %s", dir, g_strerror(errno));
        close(fd);
        return -1;
    }
    char host[HOST_MAX] = "";
    gethostname(host, sizeof host - 1);
    g_autofree char *text = g_strdup_printf("%ld %s\n", (long)getpid(), host);
    /* The text is for a message only: a full disk that refuses it does not make the lock weaker. */
    if (ftruncate(fd, 0) == 0 && pwrite(fd, text, strlen(text), 0) < 0)
        errno = 0;
    return fd;
}

static int poke_watch(const char *dir)
{
    const int made = file_open(dir, "poke", NULL);
    if (made >= 0)
        close(made);
    const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    g_autofree char *path = g_build_filename(dir, "poke", NULL);
    if (fd >= 0 && inotify_add_watch(fd, path, IN_ATTRIB | IN_MODIFY) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void poke_send(const char *dir)
{
    const int fd = file_open(dir, "poke", NULL);
    if (fd < 0)
        return;
    futimens(fd, NULL);
    close(fd);
}

int store_poke_fd(const Store *st)
{
    return st->poke_fd;
}

void store_poke_clear(Store *st)
{
    char events[4096];
    while (st->poke_fd >= 0 && read(st->poke_fd, events, sizeof events) > 0)
        continue;
}

/* ---- open and close */

static bool row_last_ids(sqlite3_stmt *row, void *ctx, GError **error)
{
    (void)error;
    Store *st = ctx;
    int64_t *const last[] = { &st->last_dest, &st->last_batch, &st->last_job, &st->last_upload, &st->last_event };
    for (int i = 0; i < (int)G_N_ELEMENTS(last); i++)
        *last[i] = sqlite3_column_int64(row, i);
    return true;
}

static bool load_counters(Store *st, GError **error)
{
    if (!conn_each(&st->conn, SQL_MAX_IDS, NULL, 0, row_last_ids, st, error) ||
        !conn_each(&st->conn, SQL_DEST_IDS, NULL, 0, row_append_id, st->dests, error))
        return false;
    const unsigned all = (1u << HOIST_N_STATES) - 1;
    Place first, last;
    if (!store_neighbour(st, (Place){ INT64_MIN, 0 }, false, all, &first, error) ||
        !store_neighbour(st, (Place){ INT64_MAX, INT64_MAX }, true, all, &last, error))
        return false;
    st->first_pos = first.pos;
    st->last_pos = last.pos;
    return true;
}

Store *store_open(const char *dir, char **notice_out, GError **error)
{
    if (notice_out != NULL)
        *notice_out = NULL;
    g_autoptr(Store) st = g_new0(Store, 1);
    st->lock_fd = st->poke_fd = -1;
    st->turn = g_byte_array_new();
    st->dests = g_array_new(FALSE, FALSE, sizeof(int64_t));
    g_autofree char *notice = NULL;
    if ((st->dir = dir_make(dir, error)) == NULL || (st->lock_fd = lock_take(st->dir, error)) < 0 ||
        !store_schema_open(&st->conn, st->dir, &st->wal, &notice, error) || !load_counters(st, error) ||
        !store_meta_put(st, "clean_exit", "0", error) || !store_write(st, SQL_JOBS_BACK, NULL, 0, error) || !store_turn_commit(st, error))
        return NULL;
    st->ready = true;
    st->poke_fd = poke_watch(st->dir);
    if (notice_out != NULL)
        *notice_out = g_steal_pointer(&notice);
    return g_steal_pointer(&st);
}

void store_close(Store *st)
{
    if (st == NULL)
        return;
    if (st->conn.db != NULL) {
        st->full = true;
        if (st->ready && !st->conn.damaged && store_meta_put(st, "clean_exit", "1", NULL) && store_turn_commit(st, NULL))
            sqlite3_wal_checkpoint_v2(st->conn.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        conn_close(&st->conn);
    }
    if (st->poke_fd >= 0)
        close(st->poke_fd);
    if (st->lock_fd >= 0)
        close(st->lock_fd);
    g_byte_array_unref(st->turn);
    g_array_unref(st->dests);
    g_clear_error(&st->trouble);
    g_free(st->dir);
    g_free(st);
}

/* ---- meta, learned, log */

bool store_meta_put(Store *st, const char *key, const char *value, GError **error)
{
    const Arg args[] = { arg_text(key), arg_text(value) };
    return store_write(st, SQL_META_PUT, args, G_N_ELEMENTS(args), error);
}

char *store_meta_get(Store *st, const char *key)
{
    char *text = NULL;
    conn_text(&st->conn, SQL_META_GET, key, &text, NULL);
    return text;
}

bool store_learned_put(Store *st, const char *endpoint, const char *text, GError **error)
{
    const Arg args[] = { arg_text(endpoint), arg_text(text) };
    return store_write(st, SQL_LEARNED_PUT, args, G_N_ELEMENTS(args), error);
}

char *store_learned_get(Store *st, const char *endpoint)
{
    char *text = NULL;
    conn_text(&st->conn, SQL_LEARNED_GET, endpoint, &text, NULL);
    return text;
}

bool store_log(Store *st, int64_t job, const char *fault, const char *text, GError **error)
{
    const int64_t id = ++st->last_event;
    Arg line = arg_text(text);
    line.number = MIN(line.number, STORE_CAUSE_MAX);
    const Arg args[] = { arg_int(id), arg_int(store_now_ns()), arg_int(job), arg_text(fault), line },
              old[] = { arg_int(id - STORE_EVENTS_MAX) };
    return store_write(st, SQL_EVENT_ADD, args, G_N_ELEMENTS(args), error) && store_write(st, SQL_EVENT_TRIM, old, 1, error);
}

/* ---- inbox */

typedef struct {
    Store *st;
    GPtrArray *texts;
} InboxTake;

static bool row_inbox(sqlite3_stmt *row, void *ctx, GError **error)
{
    (void)error;
    InboxTake *take = ctx;
    take->st->inbox_seen = sqlite3_column_int64(row, 0);
    g_ptr_array_add(take->texts, row_text(row, 1));
    return true;
}

bool store_inbox_take(Store *st, GPtrArray *texts_out, GError **error)
{
    const int64_t seen = st->inbox_seen;
    const Arg list[] = { arg_int(seen), arg_int(INBOX_PAGE) };
    InboxTake take = { st, texts_out };
    if (!conn_each(&st->conn, SQL_INBOX_LIST, list, G_N_ELEMENTS(list), row_inbox, &take, error))
        return false;
    if (st->inbox_seen == seen)
        return true;
    st->full = true;
    const Arg delete[] = { arg_int(st->inbox_seen) };
    return store_write(st, SQL_INBOX_DELETE, delete, 1, error);
}

/* 1 = done, 0 = there is no queue of our version yet, -1 = *error. */
static int inbox_add(const char *dir, const char *json, GError **error)
{
    g_autofree char *path = g_build_filename(dir, "queue.db", NULL);
    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return 0;
    Conn c;
    int64_t version = 0;
    if (!conn_open(&c, path, SQLITE_OPEN_READWRITE, error))
        return -1;
    int result = -1;
    const Arg args[] = { arg_text(json) };
    if (!conn_number(&c, "PRAGMA user_version", &version, error))
        result = -1;
    else if (version > STORE_SCHEMA_VERSION)
        fault_set(error, FAULT_STORE_NEWER, "%s is of version %d, this hoist knows %d", path, (int)version, STORE_SCHEMA_VERSION);
    else if (version < STORE_SCHEMA_VERSION)
        result = 0;
    else if (conn_exec(&c, "PRAGMA synchronous=FULL", error) && conn_run(&c, SQL_BEGIN, NULL, 0, error) &&
             conn_run(&c, SQL_INBOX_ADD, args, 1, error) && conn_run(&c, SQL_COMMIT, NULL, 0, error))
        result = 1;
    conn_close(&c);
    return result;
}

/* Makes the queue first when there is none; when another process is just doing that, waits for it. */
bool store_inbox_put(const char *dir, const char *json, GError **error)
{
    g_autofree char *real = dir_make(dir, error);
    if (real == NULL)
        return false;
    for (int i = 0; i < PUT_TRIES; i++) {
        const int result = inbox_add(real, json, error);
        if (result > 0)
            poke_send(real);
        if (result != 0)
            return result > 0;
        g_autoptr(GError) why = NULL;
        g_autoptr(Store) made = store_open(real, NULL, &why);
        if (made == NULL && fault_code(why) != FAULT_STORE_LOCKED) {
            g_propagate_error(error, g_steal_pointer(&why));
            return false;
        }
        if (made == NULL)
            g_usleep(PUT_WAIT_US);
    }
    fault_set(error, FAULT_STORE_IO, "another process opens the queue in %s and does not get ready", dir);
    return false;
}
