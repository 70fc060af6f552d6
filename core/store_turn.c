#include "store_private.h"

#include <errno.h>
#include <string.h>

#include "crash.h"

enum { JOIN_WRITES = 100, JOIN_US = 100000, BARRIER_US = G_USEC_PER_SEC };

/* What the network brings in thousands, and what nobody reads at once. What a person did is committed with its turn, so that the list that
 * is drawn next shows it. */
static bool may_join(StoreSql sql)
{
    return sql == SQL_JOB_RESULT || sql == SQL_JOB_PREPARED || sql == SQL_JOB_AT || (sql >= SQL_OBJECT_ADD && sql <= SQL_OBJECTS_DELETE) ||
           sql == SQL_PART_ACK || sql == SQL_PART_ADD || sql == SQL_EVENT_ADD || sql == SQL_EVENT_TRIM || sql == SQL_LEARNED_PUT;
}

/* ---- the writes of a turn, kept as bytes: statement, number of values, then kind, number and bytes of each */

static bool turn_keep(Store *st, StoreSql sql, const Arg *args, unsigned n, GError **error)
{
    gsize size = 2 * sizeof(uint32_t);
    for (unsigned i = 0; i < n; i++)
        size += sizeof(Arg) + (args[i].kind >= ARG_TEXT ? (gsize)args[i].number : 0);
    if (size > STORE_TURN_MAX - st->turn->len) {
        if (st->trouble != NULL)
            g_propagate_error(error, g_error_copy(st->trouble));
        fault_set(error, FAULT_MEMORY, "too many changes of the queue at once");
        return false;
    }
    const uint32_t head[2] = { sql, n };
    st->kept++;
    st->prompt = st->prompt || !may_join(sql);
    g_byte_array_append(st->turn, (const guint8 *)head, sizeof head);
    for (unsigned i = 0; i < n; i++) {
        g_byte_array_append(st->turn, (const guint8 *)&args[i], sizeof args[i]);
        if (args[i].kind >= ARG_TEXT)
            g_byte_array_append(st->turn, args[i].bytes, (guint)args[i].number);
    }
    return true;
}

enum { ARGS_MAX = 16 };

static const guint8 *turn_read(const guint8 *at, StoreSql *sql_out, Arg args_out[ARGS_MAX], unsigned *n_out)
{
    uint32_t head[2];
    memcpy(head, at, sizeof head);
    at += sizeof head;
    for (unsigned i = 0; i < head[1]; i++) {
        memcpy(&args_out[i], at, sizeof args_out[i]);
        at += sizeof args_out[i];
        if (args_out[i].kind >= ARG_TEXT) {
            args_out[i].bytes = at;
            at += args_out[i].number;
        }
    }
    *sql_out = head[0];
    *n_out = head[1];
    return at;
}

static void turn_fail(Store *st, GError *why)
{
    if (!sqlite3_get_autocommit(st->conn.db))
        conn_run(&st->conn, SQL_ROLLBACK, NULL, 0, NULL);
    st->begun = false;
    g_clear_error(&st->trouble);
    st->trouble = why;
}

static bool turn_begin(Store *st, GError **error)
{
    if (st->begun)
        return true;
    st->begun = conn_run(&st->conn, SQL_BEGIN, NULL, 0, error);
    st->begun_us = g_get_monotonic_time();
    if (st->unsynced_us == 0)
        st->unsynced_us = st->begun_us;
    return st->begun;
}

bool store_write(Store *st, StoreSql sql, const Arg *args, unsigned n, GError **error)
{
    const guint mark = st->turn->len;
    if (!turn_keep(st, sql, args, n, error))
        return false;
    if (st->trouble != NULL)
        return true;
    GError *why = NULL;
    if (turn_begin(st, &why) && conn_run(&st->conn, sql, args, n, &why))
        return true;
    if (conn_fault_passes(why)) {
        turn_fail(st, why);
        return true;
    }
    g_byte_array_set_size(st->turn, mark);
    g_propagate_error(error, why);
    return false;
}

bool store_write_now(Store *st, StoreSql sql, const Arg *args, unsigned n, bool *changed_out, GError **error)
{
    if (st->trouble != NULL) {
        g_propagate_error(error, g_error_copy(st->trouble));
        return false;
    }
    const guint mark = st->turn->len;
    if (!turn_keep(st, sql, args, n, error))
        return false;
    GError *why = NULL;
    const bool ok = turn_begin(st, &why) && conn_run(&st->conn, sql, args, n, &why);
    const bool changed = ok && sqlite3_changes(st->conn.db) > 0;
    if (!changed)
        g_byte_array_set_size(st->turn, mark);
    if (!ok) {
        g_propagate_error(error, g_error_copy(why));
        if (conn_fault_passes(why))
            turn_fail(st, g_steal_pointer(&why));
        g_clear_error(&why);
        return false;
    }
    if (changed_out != NULL)
        *changed_out = changed;
    return true;
}

/* A kept write that was never tried may turn out to clash: it is dropped with a line in the log, since it would block all others for ever.
 */
static bool turn_replay(Store *st, GError **error)
{
    g_autoptr(GString) dropped = g_string_new(NULL);
    if (!turn_begin(st, error))
        return false;
    const guint8 *at = st->turn->data, *const end = at + st->turn->len;
    while (at < end) {
        StoreSql sql;
        Arg args[ARGS_MAX];
        unsigned n;
        g_autoptr(GError) why = NULL;
        at = turn_read(at, &sql, args, &n);
        if (conn_run(&st->conn, sql, args, n, &why))
            continue;
        if (conn_fault_passes(why)) {
            g_propagate_error(error, g_steal_pointer(&why));
            return false;
        }
        g_string_assign(dropped, why->message);
    }
    if (dropped->len == 0)
        return true;
    const Arg args[] = { arg_int(++st->last_event), arg_int(store_now_ns()), arg_int(0), arg_text("bug"), arg_text(dropped->str) };
    return conn_run(&st->conn, SQL_EVENT_ADD, args, G_N_ELEMENTS(args), error);
}

/* ---- commit */

/* What a commit with synchronous=FULL does after writing, but chosen when the turn ends: the pragma cannot change inside a transaction.
 * The pages of a failed flush count as clean afterwards, so that a second flush would succeed without them; a checkpoint writes them anew.
 */
static bool log_flush(Store *st, GError **error)
{
    sqlite3_file *log = NULL;
    int rc;
    errno = 0;
    if (st->sync_failed)
        rc = sqlite3_wal_checkpoint_v2(st->conn.db, NULL, SQLITE_CHECKPOINT_FULL, NULL, NULL);
    else if ((rc = sqlite3_file_control(st->conn.db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log)) == SQLITE_OK && log->pMethods != NULL)
        rc = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
    st->sync_failed = rc != SQLITE_OK;
    if (rc != SQLITE_OK) {
        conn_fault(&st->conn, rc, error);
        return false;
    }
    st->unsynced_us = 0;
    return true;
}

static bool turn_end(Store *st, GError **error)
{
    if (st->trouble != NULL && !turn_replay(st, error))
        return false;
    if (!st->begun)
        return true;
    crash_point("store");
    if (!conn_run(&st->conn, SQL_COMMIT, NULL, 0, error))
        return false;
    crash_point("store");
    return true;
}

bool store_turn_commit(Store *st, GError **error)
{
    GError *why = NULL;
    if (!turn_end(st, &why)) {
        g_propagate_error(error, g_error_copy(why));
        turn_fail(st, why);
        return false;
    }
    st->begun = false;
    st->kept = 0;
    st->prompt = false;
    g_clear_error(&st->trouble);
    g_byte_array_set_size(st->turn, 0);
    if (!st->wal)
        st->unsynced_us = 0;
    else if ((st->full || st->sync_failed) && !log_flush(st, error))
        return false;
    st->full = false;
    return true;
}

/* A commit writes a dozen pages however little changed: turns that nobody has to wait for are joined. */
bool store_commit(Store *st, GError **error)
{
    if (st->trouble == NULL && !st->sync_failed && !st->full &&
        (!st->begun || (!st->prompt && st->kept < JOIN_WRITES && g_get_monotonic_time() - st->begun_us < JOIN_US)))
        return true;
    return store_turn_commit(st, error);
}

bool store_barrier_due(const Store *st, int64_t now_us)
{
    return store_wait_ms(st, now_us) == 0;
}

/* In trouble nothing is due: the engine tries again in its own time. */
int store_wait_ms(const Store *st, int64_t now_us)
{
    if (st->unsynced_us == 0 || st->trouble != NULL)
        return -1;
    return (int)CLAMP((st->unsynced_us + BARRIER_US - now_us + 999) / 1000, 0, BARRIER_US / 1000);
}

bool store_barrier(Store *st, GError **error)
{
    st->full = st->full || st->unsynced_us != 0;
    return store_commit(st, error);
}
