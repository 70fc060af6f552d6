/* keys.h - every key of the dashboard as one row: what it does, where it is valid, how footer and help name it.
 *
 * Dispatch, footer and help page read the same rows, so that none can promise what the others do not keep. A row counts only while one of
 * the facts it needs is true; of two rows with the same key the first that counts is taken (p pauses or resumes).
 * Source document: terminal.md C2.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "input.h"

typedef enum {
    ACT_NONE,
    ACT_DOWN, ACT_UP, ACT_HALF_DOWN, ACT_HALF_UP, ACT_PAGE_DOWN, ACT_PAGE_UP, ACT_TOP, ACT_BOTTOM, ACT_OPEN, ACT_BACK,
    ACT_MARK, ACT_RANGE, ACT_MARK_ALL, ACT_MARK_NONE, ACT_INVERT,
    ACT_PAUSE, ACT_RESUME, ACT_PAUSE_ALL, ACT_RESUME_ALL, ACT_RETRY, ACT_RETRY_ALL, ACT_CANCEL, ACT_FORGET,
    ACT_MOVE_DOWN, ACT_MOVE_UP, ACT_MOVE_TOP, ACT_MOVE_BOTTOM, ACT_MORE_SLOTS, ACT_FEWER_SLOTS, ACT_LIMIT_SWITCH, ACT_LIMIT_SET,
    ACT_ADD, ACT_FILTER, ACT_TAB_ALL, ACT_TAB_ACTIVE, ACT_TAB_QUEUED, ACT_TAB_DONE, ACT_TAB_FAILED, ACT_TAB_PAUSED, ACT_NEXT_TAB,
    ACT_FOLLOW,
    ACT_COPY, ACT_ERROR, ACT_LOG, ACT_GRAPH, ACT_HELP, ACT_REDRAW, ACT_SUSPEND, ACT_QUIT,
    ACT_ACCEPT, ACT_CLOSE, ACT_NEXT, ACT_PREVIOUS,      /* dialogs */
    N_ACTIONS
} Action;

enum {                          /* where: bits */
    IN_LIST = 1 << 0,
    IN_JOB = 1 << 1,            /* details over the whole screen */
    IN_LOG = 1 << 2,
    IN_HELP = 1 << 3,
    IN_TEXT = 1 << 4,           /* full error text */
    IN_ASK = 1 << 5,
    IN_FIELD = 1 << 6,          /* a line of text is being typed */
    IN_PREVIEW = 1 << 7,
    IN_ALL = IN_LIST | IN_JOB | IN_LOG | IN_HELP | IN_TEXT | IN_ASK | IN_FIELD | IN_PREVIEW
};

enum {                          /* what is true now: bits */
    FACT_ROW = 1 << 0,          /* a file is selected */
    FACT_PAUSE = 1 << 1,        /* of the files that a key would act on, one can be paused; likewise the next ones */
    FACT_RESUME = 1 << 2,
    FACT_RETRY = 1 << 3,
    FACT_CANCEL = 1 << 4,
    FACT_FORGET = 1 << 5,
    FACT_MOVE = 1 << 6,
    FACT_FAILED = 1 << 7,       /* some file failed */
    FACT_URL = 1 << 8,          /* the selected file has an address */
    FACT_CAUSE = 1 << 9,        /* ... has an error to show */
    FACT_UNDO = 1 << 10,        /* Esc has something to take back: filter, marks, range, pane */
    FACT_MARKS = 1 << 11,
    FACT_RUNNING = 1 << 12,     /* the queue as a whole is not paused and not finished */
    FACT_PAUSED = 1 << 13,      /* the queue as a whole is paused */
    FACT_FILES = 1 << 14,       /* there is a file at all */
    FACT_LOG = 1 << 15,
    FACT_READY = 1 << 16,       /* the dialog can be accepted */
};

typedef struct {
    unsigned    where, needs;   /* needs 0 = always; else one of the facts */
    uint32_t    keys[4];        /* as InputEvent.key; 0 ends */
    Action      action;
    const char *label;          /* "J K" */
    const char *word;           /* footer: "move"; NULL = not there */
    const char *help;           /* NULL = covered by another row */
} KeyRow;

const KeyRow *keys_rows(void);  /* ends with ACT_NONE; in the order of the footer's importance */
Action        keys_action(unsigned where, unsigned facts, const InputEvent *ev);
bool          keys_valid(const KeyRow *row, unsigned where, unsigned facts);
