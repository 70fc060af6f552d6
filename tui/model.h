/* model.h - what the dashboard knows: rows on the screen, what moves, sums, marks, the log. No drawing, no terminal.
 *
 * The list is virtual: rows that move (preparing, active, completing) on top, known from ROW events; then unfinished files in queue order;
 * then finished ones. All but the first group comes in pages from a page source (hoist_view_page, or a test's), and only some screens
 * around the selection are held, so that a million files cost no more than a hundred. The selection sticks to a file's id as long as the
 * file stays on the screen; before the first movement it stays at the top.
 * Time is a parameter (monotonic us). One thread. Names in rows are raw bytes: hoist_text() before showing them.
 */
#pragma once

#include "core/hoist.h"
#include "marks.h"
#include "trend.h"
#include "whole.h"

/* As hoist_view_page; ctx is the HoistView there. */
typedef GPtrArray *(*ModelPage)(void *ctx, const HoistFilter *filter, int64_t after_pos, int64_t after_id, bool backwards, unsigned n,
                                GError **error);

typedef enum { TAB_ALL, TAB_ACTIVE, TAB_QUEUED, TAB_DONE, TAB_FAILED, TAB_PAUSED, N_TABS } ModelTab;

typedef struct {
    HoistRow *row;
    int64_t   at_us;            /* when it was told: retry_in_ms counts from here */
    int       group;            /* where the page had it; events change the row, not its place in what was read */
    int64_t   pos;
} ModelRow;

typedef enum { LINE_PLAIN, LINE_GOOD, LINE_WARN, LINE_BAD } LineKind;

typedef struct {
    LineKind kind;
    char    *clock;             /* "12:04:31" */
    char    *text;              /* shown as it is: went through hoist_text() */
} ModelLine;

typedef struct Model Model;

Model *model_new(ModelPage page, void *ctx);
void   model_set_whole(Model *m, WholeRead read);        /* with the ctx of the pages; without it rows have no objects */
void   model_free(Model *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Model, model_free)

/* ---- what comes in */

void model_set_now(Model *m, int64_t now_us);           /* before what takes no time of its own */
void model_set_wall(Model *m, int64_t offset_us);       /* wall clock minus monotonic, for the log; that of this machine unless set */

void model_event(Model *m, const HoistEvent *ev, int64_t now_us);
void model_stale(Model *m);                     /* pages are out of date */
/* Reads pages again when they are out of date and the last reading is long enough ago. False and error: the old rows stay. */
bool    model_refresh(Model *m, int64_t now_us, GError **error);
int64_t model_deadline_us(const Model *m);      /* when model_refresh would read; -1 = it is up to date */

/* ---- the list */

void             model_set_height(Model *m, unsigned rows);     /* rows of the list on the screen */
unsigned         model_visible(Model *m);                       /* rows to show now, <= height */
const ModelRow  *model_at(Model *m, unsigned i);                /* i-th of them; borrowed until the model changes */
const ModelRow  *model_selected(Model *m);                      /* NULL when the list is empty */
/* What became or becomes of the selected file when that is more than one object: read once for a selection, and again when rows have changed.
 * *n_out 0 = one object. Borrowed until the next call. */
const HoistObject *model_objects(Model *m, unsigned *n_out);
bool             model_more_above(Model *m);
bool             model_more_below(Model *m);
void             model_move(Model *m, int delta);               /* reads pages when it has to */
void             model_top(Model *m);
void             model_bottom(Model *m);
void             model_set_follow(Model *m, bool follow);       /* the selection stays on a moving row */
bool             model_follow(const Model *m);

ModelTab    model_tab(const Model *m);
void        model_set_tab(Model *m, ModelTab tab);
const char *model_tab_name(ModelTab tab);
uint64_t    model_tab_files(const Model *m, ModelTab tab);
/* "clip s:failed": words that are no s:STATE are looked for in the name. NULL or "" shows all. */
void        model_set_filter(Model *m, const char *text);
const char *model_filter(const Model *m);       /* "" = none */

/* ---- marks */

const Marks *model_marks(const Model *m);
void         model_mark(Model *m);              /* the selected row: on or off */
void         model_mark_all(Model *m, bool invert);     /* all that the tab and filter show, up to MARKS_MAX */
void         model_mark_none(Model *m);
void         model_set_range(Model *m, bool on);        /* rows that the selection passes get marked */
bool         model_range(const Model *m);
/* Files that a command acts on and that are in one of the states (bits): the marks when there are any, else the selected row. */
GArray      *model_targets(Model *m, unsigned states);  /* of int64_t; caller unrefs */
unsigned     model_count_targets(Model *m, unsigned states, uint64_t *acked_bytes_out /* of all targets; may be NULL */);

/* ---- sums and history */

const HoistTotals *model_totals(const Model *m);
uint64_t model_all_files(const Model *m);
uint64_t model_all_bytes(const Model *m);       /* without cancelled ones */
uint64_t model_done_bytes(const Model *m);      /* done, and acknowledged of the others */
Trend   *model_trend(Model *m);
void     model_log(Model *m, LineKind kind, const char *text);
unsigned model_log_length(const Model *m);
const ModelLine *model_log_line(const Model *m, unsigned back);         /* 0 = newest */
bool     model_animated(Model *m);              /* something on the screen counts down: draw again once a second */
