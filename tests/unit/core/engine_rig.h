/* engine_rig.h - an engine in a folder of its own, its store in memory, and its events sorted, for tests. One thread. Whatever takes
 * longer than RIG_PATIENCE_S fails the test. */
#pragma once

#include <pthread.h>

#include "fake_s3.h"
#include "hoist.h"

#define RIG_PATIENCE_S 60

typedef struct {
    char          *dir;
    FakeS3        *s3;
    HoistSettings *settings;
    Hoist         *hoist;
    pthread_mutex_t lock;
    pthread_cond_t  woken;
    bool           wake;        /* under lock */
    HoistTotals    totals;      /* latest */
    unsigned       rows[HOIST_ROW_STATE + 1], skipped, notices;
    HoistRow      *row;         /* latest */
    int64_t        last_id;
    uint64_t       last_acked;
    bool           fell;        /* a row had less acknowledged than just before */
    int            pct_max;     /* of pictures being prepared */
    unsigned       pictures;    /* small ones; bytes of the latest, 0 = none */
    size_t         picture_bytes;
    GPtrArray     *faults;      /* of char*: names of notices */
    GPtrArray     *texts;       /* of char*: texts of notices */
    bool           idle;
    int64_t        waiting;     /* of the latest IDLE */
} Rig;

/* credentials: file below the rig's folder that AWS's are read from; NULL = from the environment. */
Rig     *rig_new(const char *credentials);                      /* pictures go as they are */
Rig     *rig_new_with_pictures(const char *credentials);        /* as by default */
void     rig_free(Rig *rig);
char    *rig_file(const Rig *rig, const char *name, size_t bytes, char fill);   /* path; folders are made */
void     rig_fill(const char *path, size_t bytes, char fill);
void     rig_set(Rig *rig, const char *option, const char *value);
void     rig_open(Rig *rig, unsigned flags);
void     rig_close(Rig *rig);
void     rig_add(Rig *rig, const char *path, const char *other_or_null);
void     rig_rows_command(Rig *rig, HoistCommandKind kind, int64_t id);
HoistRow *rig_view_row(const Rig *rig, int64_t id);             /* from the store; caller frees */
char    *rig_copy(const Rig *rig, const char *from, const char *name);         /* a file below the test data; path */
void     rig_until_picture(Rig *rig);
void     rig_until_rows(Rig *rig, HoistRowChange change, unsigned n);
void     rig_until_preparing(Rig *rig, unsigned n);             /* by the totals */
int64_t  rig_idle(Rig *rig);                                    /* files that wait for a person */
void     rig_until_asked(Rig *rig, FakeKind kind, unsigned n);
void     rig_until_notice(Rig *rig, const char *fault);
void     rig_until_notice_text(Rig *rig, const char *words);
uint64_t rig_settled_files(const Rig *rig);                     /* in the store, once it does not grow any more; takes no events */
void     rig_assert_object(Rig *rig, const char *key, const char *path);
void     rig_assert_files(const Rig *rig, HoistState state, uint64_t n);        /* all there are, in the store and in the totals */
void     rig_assert_no_files(const Rig *rig);
int64_t  rig_cpu_us(void);                                      /* of the process */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Rig, rig_free)
