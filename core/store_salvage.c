#include "store_private.h"

#include <string.h>

/* Rows are read forwards until the damage, then from ever farther behind it, and backwards from there to it: a broken page costs the rows
 * that lie on it. What contradicts the schema or refers to nothing is left out. Tables that others refer to come first. */

typedef struct {
    const char *name, *columns, *older; /* the columns of version 1, where they differ */
} SalvageTable;

static const SalvageTable tables[] = {
    { "dest", DEST_COLUMNS, NULL },        { "batch", "id,dest,roots,options,scan_state,added_ns", NULL },
    { "job", JOB_COLUMNS, JOB_COLUMNS_1 }, { "object", "job,n,batch," OBJECT_COLUMNS, NULL },
    { "upload", UPLOAD_COLUMNS, NULL },    { "part", "upload,n,size,etag,digest", NULL },
    { "learned", "endpoint,text", NULL },  { "inbox", "id,text", NULL },
};

typedef struct {
    sqlite3 *from;
    Conn *to;
    sqlite3_stmt *insert;
    int64_t last; /* id of the row read last */
    unsigned copied;
    GError *failed; /* the new file cannot be written */
} Salvage;

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    return sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK ? stmt : NULL;
}

static char *insert_text(const SalvageTable *table)
{
    g_auto(GStrv) names = g_strsplit(table->columns, ",", -1);
    GString *sql = g_string_new(NULL);
    g_string_append_printf(sql, "INSERT OR IGNORE INTO %s(%s) VALUES(", table->name, table->columns);
    for (unsigned i = 0; names[i] != NULL; i++)
        g_string_append_printf(sql, "%s?%u", i > 0 ? "," : "", i + 1);
    g_string_append_c(sql, ')');
    return g_string_free(sql, FALSE);
}

static void copy_row(Salvage *s, sqlite3_stmt *row)
{
    for (int i = 0; i < sqlite3_column_count(row); i++)
        sqlite3_bind_value(s->insert, i + 1, sqlite3_column_value(row, i));
    const int rc = sqlite3_step(s->insert);
    if (rc == SQLITE_DONE)
        s->copied += sqlite3_changes(s->to->db) > 0;
    else if ((rc & 0xff) != SQLITE_CONSTRAINT && (rc & 0xff) != SQLITE_MISMATCH)
        conn_fault(s->to, rc, &s->failed);
    sqlite3_reset(s->insert);
    sqlite3_clear_bindings(s->insert);
}

/* Rows of q until its end or the damage; true when it came to the end. s->last moves along. */
static bool copy_rows(Salvage *s, sqlite3_stmt *q, int64_t from, int64_t to)
{
    sqlite3_bind_int64(q, 1, from);
    sqlite3_bind_int64(q, 2, to);
    int rc = SQLITE_DONE;
    while (s->failed == NULL && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        copy_row(s, q);
        s->last = sqlite3_column_int64(q, 0);
    }
    sqlite3_reset(q);
    return s->failed != NULL || rc == SQLITE_DONE;
}

static void copy_by_id(Salvage *s, const SalvageTable *table)
{
    g_autofree char *up = g_strdup_printf("SELECT %s FROM %s NOT INDEXED WHERE id>=?1 AND id<=?2 ORDER BY id", table->columns, table->name);
    g_autofree char *down = g_strconcat(up, " DESC", NULL);
    sqlite3_stmt *forwards = prepare(s->from, up), *backwards = prepare(s->from, down);
    int64_t begin = 1, step = 1;
    while (forwards != NULL && backwards != NULL && begin < INT64_MAX / 4) {
        s->last = begin - 1;
        const bool ended = copy_rows(s, forwards, begin, INT64_MAX);
        const int64_t reached = s->last;
        if (reached >= begin && step > 1)
            copy_rows(s, backwards, begin - step, begin - 1);
        if (ended)
            break;
        step = reached >= begin ? 1 : step * 2;
        begin = MAX(reached, begin) + step;
    }
    sqlite3_finalize(forwards);
    sqlite3_finalize(backwards);
}

/* Tables without such an id are small, but for the parts, which the server can list as well. */
static void copy_in_order(Salvage *s, const SalvageTable *table)
{
    g_autofree char *sql = g_strdup_printf("SELECT %s FROM %s WHERE ?1<=?2", table->columns, table->name);
    sqlite3_stmt *q = prepare(s->from, sql);
    if (q != NULL)
        copy_rows(s, q, 0, 0);
    sqlite3_finalize(q);
}

static bool has_columns(Salvage *s, const SalvageTable *table)
{
    g_autofree char *sql = g_strdup_printf("SELECT %s FROM %s", table->columns, table->name);
    sqlite3_stmt *q = prepare(s->from, sql);
    sqlite3_finalize(q);
    return q != NULL;
}

static unsigned copy_table(Salvage *s, const SalvageTable *table)
{
    const SalvageTable older = { table->name, table->older, NULL };
    if (table->older != NULL && !has_columns(s, table))
        table = &older;
    g_autofree char *insert = insert_text(table);
    s->copied = 0;
    s->insert = prepare(s->to->db, insert);
    if (s->insert == NULL)
        conn_fault(s->to, SQLITE_ERROR, &s->failed);
    else if (g_str_has_prefix(table->columns, "id,"))
        copy_by_id(s, table);
    else
        copy_in_order(s, table);
    sqlite3_finalize(s->insert);
    return s->copied;
}

/* Rows whose destination or batch is lost lead nowhere; an upload whose file is lost is kept, to be aborted at the server. */
static const char *const mend[] = {
    "DELETE FROM batch WHERE dest NOT IN (SELECT id FROM dest)",
    "DELETE FROM job WHERE batch NOT IN (SELECT id FROM batch) OR dest NOT IN (SELECT id FROM dest)",
    "DELETE FROM upload WHERE dest NOT IN (SELECT id FROM dest)",
    "UPDATE upload SET job=NULL WHERE job NOT IN (SELECT id FROM job)",
    "DELETE FROM part WHERE upload NOT IN (SELECT id FROM upload)",
    "DELETE FROM object WHERE job NOT IN (SELECT id FROM job)",
    /* one that lost an object, or got another file's, is prepared anew; what of it is there stays there */
    "DELETE FROM object WHERE job IN (SELECT j.id FROM job j WHERE (j.objects,coalesce(j.total,0),j.stored)<>(SELECT count(*),"
    "coalesce(sum(o.size),0),coalesce(sum(o.size) FILTER (WHERE o.state<>0),0) FROM object o WHERE o.job=j.id))",
    "UPDATE job SET acked=iif(state=4,coalesce(staged_size,size),0),objects=0,object=0,total=NULL,stored=0,prepared=0,"
    "staged=iif(state=4,staged,NULL),staged_size=iif(state=4,staged_size,NULL)"
    " WHERE objects>0 AND NOT EXISTS(SELECT 1 FROM object WHERE job=job.id)",
    "UPDATE job SET acked=iif(state=8,0,stored) WHERE state<>4",
    "UPDATE job SET acked=stored+(SELECT coalesce(sum(p.size),0) FROM upload u JOIN part p ON p.upload=u.id WHERE u.job=job.id AND u.state "
    "< 4)"
    " WHERE state<>4 AND id IN (SELECT job FROM upload WHERE state < 4)",
    "INSERT INTO event(ns,job,fault,text) SELECT created_ns,NULL,'orphan','upload '||id||' lost its file' FROM upload"
    " WHERE job IS NULL AND state<4",
    "INSERT INTO meta(k,v) VALUES('clean_exit','0') ON CONFLICT(k) DO NOTHING",
};

static bool copy_all(Salvage *s)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(tables) && s->failed == NULL; i++)
        copy_table(s, &tables[i]);
    for (unsigned i = 0; i < G_N_ELEMENTS(mend) && s->failed == NULL; i++)
        conn_exec(s->to, mend[i], &s->failed);
    return s->failed == NULL;
}

bool store_salvage(Conn *fresh, const char *damaged, unsigned *jobs_out, unsigned *uploads_out, GError **error)
{
    Conn old;
    if (!conn_open(&old, damaged, SQLITE_OPEN_READONLY, error))
        return false;
    Salvage s = { .from = old.db, .to = fresh };
    int64_t jobs = 0, uploads = 0;
    if (conn_exec(fresh, "PRAGMA foreign_keys=OFF; BEGIN IMMEDIATE", &s.failed) && copy_all(&s) &&
        conn_number(fresh, "SELECT count(*) FROM job", &jobs, &s.failed) &&
        conn_number(fresh, "SELECT count(*) FROM upload WHERE state<4", &uploads, &s.failed) && conn_exec(fresh, "COMMIT", &s.failed)) {
        *jobs_out = (unsigned)jobs;
        *uploads_out = (unsigned)uploads;
    }
    if (!sqlite3_get_autocommit(fresh->db))
        conn_exec(fresh, "ROLLBACK", NULL);
    conn_exec(fresh, "PRAGMA foreign_keys=ON", NULL);
    conn_close(&old);
    if (s.failed != NULL)
        g_propagate_error(error, s.failed);
    return s.failed == NULL;
}
