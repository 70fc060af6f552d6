#include "store_private.h"

/* The invariants of the journal; each query names the rows that break one. */
static const struct {
    const char *name, *sql;
} invariants[] = {
    { "I1 a file is done, but not all of its bytes are acknowledged",
      "SELECT id FROM job WHERE state=4 AND acked<>coalesce(total,staged_size,size)" },
    { "I2 an open upload has no id", "SELECT id FROM upload WHERE state IN (1,2) AND coalesce(upload_id,'')=''" },
    { "I3 a part of an upload has not its planned size",
      "SELECT u.id FROM upload u JOIN part p ON p.upload=u.id WHERE u.state<4 AND p.size<>min(u.part_size,u.total-(p.n-1)*u.part_size)" },
    { "I4 a file has two open uploads", "SELECT job FROM upload WHERE state<4 AND job IS NOT NULL GROUP BY job HAVING count(*)>1" },
    { "I5 the acknowledged bytes of a file are not those of its parts",
      "SELECT j.id FROM upload u JOIN job j ON j.id=u.job WHERE u.state<4 AND j.state<>4 AND"
      " j.acked<>j.stored+(SELECT coalesce(sum(size),0) FROM part WHERE upload=u.id)" },
    { "I6 an open upload has lost its file", "SELECT id FROM upload WHERE job IS NULL AND state<4 AND NOT EXISTS"
                                             "(SELECT 1 FROM event WHERE fault='orphan' AND text LIKE 'upload '||upload.id||' %')" },
    { "I7 an open upload sends another file than the queue names",
      "SELECT j.id FROM upload u JOIN job j ON j.id=u.job WHERE u.state IN (1,2) AND j.staged IS NULL AND"
      " (u.size,u.mtime_ns,u.ctime_ns,u.dev,u.ino)<>(j.size,j.mtime_ns,j.ctime_ns,j.dev,j.ino)" },
    { "I8 the objects of a file are not those that it counts",
      "SELECT j.id FROM job j WHERE (j.objects,coalesce(j.total,0),j.stored)<>"
      "(SELECT count(*),coalesce(sum(size),0),coalesce(sum(size) FILTER (WHERE state<>0),0) FROM object WHERE job=j.id)" },
    { "I9 a file is at an object that is over, or done before all of them are",
      "SELECT j.id FROM job j JOIN object o ON o.job=j.id WHERE iif(j.state=4,o.state=0 OR j.object<>0,o.n=j.object AND o.state<>0)" },
};

enum { NAMED_MAX = 20 };

bool store_check(Store *st, GPtrArray *violations_out, GError **error)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(invariants); i++) {
        g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(int64_t));
        sqlite3_stmt *stmt = NULL;
        const int rc = sqlite3_prepare_v2(st->conn.db, invariants[i].sql, -1, &stmt, NULL);
        if (rc != SQLITE_OK) {
            conn_fault(&st->conn, rc, error);
            return false;
        }
        const bool ok = conn_walk(&st->conn, stmt, NULL, 0, row_append_id, ids, error);
        sqlite3_finalize(stmt);
        if (!ok)
            return false;
        for (unsigned k = 0; k < MIN(ids->len, NAMED_MAX); k++)
            g_ptr_array_add(violations_out, g_strdup_printf("%s: %" G_GINT64_FORMAT, invariants[i].name, g_array_index(ids, int64_t, k)));
    }
    return true;
}
