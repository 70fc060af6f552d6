#include "keys.h"

enum { ENTER = '\r', ESC = 27, TAB = '\t' };

#define CTRL(letter) ((letter) - 'a' + 1)
#define READERS      (IN_JOB | IN_LOG | IN_HELP | IN_TEXT)

static const KeyRow rows[] = {
    { IN_ASK, 0, { ENTER }, ACT_ACCEPT, "Enter", "choose", "take this answer" },
    { IN_ASK, 0, { TAB, KEY_RIGHT_, KEY_DOWN_, 'l' }, ACT_NEXT, "Tab", "next", "next answer" },
    { IN_ASK, 0, { KEY_BACKTAB_, KEY_LEFT_, KEY_UP_, 'h' }, ACT_PREVIOUS, "S-Tab", NULL, "previous answer" },
    { IN_ASK, 0, { ESC, 'q' }, ACT_CLOSE, "Esc", "back", "change nothing" },
    { IN_FIELD, 0, { ENTER }, ACT_ACCEPT, "Enter", "accept", "accept the text" },
    { IN_FIELD, 0, { ESC }, ACT_CLOSE, "Esc", "discard", "discard the text" },
    { IN_PREVIEW, FACT_READY, { ENTER }, ACT_ACCEPT, "Enter", "queue", "queue these files" },
    { IN_PREVIEW, 0, { ESC, 'q' }, ACT_CLOSE, "Esc", "discard", "queue nothing" },
    { READERS, 0, { ESC, 'h', KEY_LEFT_, 'q' }, ACT_BACK, "Esc", "back", "back" },

    { IN_LIST, FACT_PAUSED, { 'P' }, ACT_RESUME_ALL, "P", "resume all", "go on with everything" },
    { IN_LIST, FACT_FAILED, { 'R' }, ACT_RETRY_ALL, "R", "retry all", "retry all that failed" },
    { IN_LIST, FACT_ROW, { ' ' }, ACT_MARK, "Space", "mark", "mark, step down" },
    { IN_LIST | IN_JOB, FACT_PAUSE, { 'p' }, ACT_PAUSE, "p", "pause", "pause" },
    { IN_LIST | IN_JOB, FACT_RESUME, { 'p' }, ACT_RESUME, "p", "resume", "resume" },
    { IN_LIST | IN_JOB, FACT_RETRY, { 'r' }, ACT_RETRY, "r", "retry", "retry" },
    { IN_LIST | IN_JOB, FACT_CANCEL, { 'x', KEY_DELETE_ }, ACT_CANCEL, "x", "cancel", "cancel; asks first" },
    { IN_LIST | IN_JOB, FACT_FORGET, { 'd' }, ACT_FORGET, "d", "remove", "take off the list" },
    { IN_LIST | IN_JOB, FACT_CAUSE, { 'e' }, ACT_ERROR, "e", "error", "the whole error" },
    { IN_LIST | IN_JOB, FACT_URL, { 'y' }, ACT_COPY, "y", "copy URL", "copy the URL" },
    { IN_LIST, FACT_ROW, { ENTER, 'l', KEY_RIGHT_ }, ACT_OPEN, "Enter", "info", "details of the file" },
    { IN_LIST, 0, { 'a' }, ACT_ADD, "a", "add", "add files by path" },
    { IN_LIST, FACT_FILES, { '/' }, ACT_FILTER, "/", "filter", "filter: a name, s:failed" },
    { IN_LIST, 0, { 'q', CTRL('c') }, ACT_QUIT, "q", "quit", "quit; the rest waits" },
    { IN_LIST, FACT_RUNNING, { 'P' }, ACT_PAUSE_ALL, "P", "pause all", "pause everything" },
    { IN_LIST, FACT_MOVE, { 'J' }, ACT_MOVE_DOWN, "J K", "order", "move down, up in the queue" },
    { IN_LIST, FACT_MOVE, { 'K' }, ACT_MOVE_UP, "K", NULL, NULL },
    { IN_LIST, FACT_MOVE, { 'T' }, ACT_MOVE_TOP, "T B", NULL, "move to the top, bottom" },
    { IN_LIST, FACT_MOVE, { 'B' }, ACT_MOVE_BOTTOM, "B", NULL, NULL },
    { IN_LIST, FACT_UNDO, { ESC, 'h', KEY_LEFT_ }, ACT_BACK, "Esc", NULL, "drop filter, marks, pane" },

    { IN_LIST | READERS, 0, { 'j', KEY_DOWN_ }, ACT_DOWN, "j k", NULL, "down, up (or arrows)" },
    { IN_LIST | READERS, 0, { 'k', KEY_UP_ }, ACT_UP, "k", NULL, NULL },
    { IN_LIST | READERS, 0, { CTRL('d') }, ACT_HALF_DOWN, "C-d C-u", NULL, "half a page down, up" },
    { IN_LIST | READERS, 0, { CTRL('u') }, ACT_HALF_UP, "C-u", NULL, NULL },
    { IN_LIST | READERS, 0, { KEY_PGDN_, CTRL('f') }, ACT_PAGE_DOWN, "PgDn PgUp", NULL, "a page down, up" },
    { IN_LIST | READERS, 0, { KEY_PGUP_, CTRL('b') }, ACT_PAGE_UP, "PgUp", NULL, NULL },
    { IN_LIST | READERS, 0, { 'g', KEY_HOME_ }, ACT_TOP, "g G", NULL, "first, last" },
    { IN_LIST | READERS, 0, { 'G', KEY_END_ }, ACT_BOTTOM, "G", NULL, NULL },
    { IN_LIST, FACT_FILES, { 'F' }, ACT_FOLLOW, "F", NULL, "stay on what is being sent" },
    { IN_LIST, FACT_ROW, { 'v' }, ACT_RANGE, "v", NULL, "mark all you pass, on, off" },
    { IN_LIST, FACT_ROW, { '*' }, ACT_MARK_ALL, "*", NULL, "mark all that is listed" },
    { IN_LIST, FACT_MARKS, { 'u' }, ACT_MARK_NONE, "u", NULL, "mark nothing" },
    { IN_LIST, FACT_ROW, { 'i' }, ACT_INVERT, "i", NULL, "invert the marks" },
    { IN_LIST, 0, { '1' }, ACT_TAB_ALL, "1-6 Tab", NULL, "tabs: files by state" },
    { IN_LIST, 0, { '2' }, ACT_TAB_ACTIVE, "2", NULL, NULL },
    { IN_LIST, 0, { '3' }, ACT_TAB_QUEUED, "3", NULL, NULL },
    { IN_LIST, 0, { '4' }, ACT_TAB_DONE, "4", NULL, NULL },
    { IN_LIST, 0, { '5' }, ACT_TAB_FAILED, "5", NULL, NULL },
    { IN_LIST, 0, { '6' }, ACT_TAB_PAUSED, "6", NULL, NULL },
    { IN_LIST, 0, { TAB }, ACT_NEXT_TAB, "Tab", NULL, NULL },
    { IN_LIST, 0, { '+' }, ACT_MORE_SLOTS, "+ -", "at once", "more, fewer at once" },
    { IN_LIST, 0, { '-' }, ACT_FEWER_SLOTS, "-", NULL, NULL },
    { IN_LIST, 0, { 't' }, ACT_LIMIT_SWITCH, "t", NULL, "speed limit on, off" },
    { IN_LIST, 0, { 'b' }, ACT_LIMIT_SET, "b", NULL, "set the speed limit" },
    { IN_LIST, 0, { 'm' }, ACT_GRAPH, "m", NULL, "graph: off, small, large" },
    { IN_LIST | IN_JOB, FACT_LOG, { 'L' }, ACT_LOG, "L", NULL, "the log" },
    { IN_LIST | IN_JOB | IN_LOG, 0, { '?', KEY_F1_ }, ACT_HELP, "?", "help", "these keys" },
    { IN_ALL, 0, { CTRL('l') }, ACT_REDRAW, "C-l", NULL, "draw the screen anew" },
    { IN_ALL, 0, { CTRL('z') }, ACT_SUSPEND, "C-z", NULL, "stop; uploads stop too" },
    { IN_ALL, 0, { CTRL('c') }, ACT_QUIT, "C-c", NULL, "quit; twice: at once" },
    { 0, 0, { 0 }, ACT_NONE, NULL, NULL, NULL },
};

const KeyRow *keys_rows(void)
{
    return rows;
}

bool keys_valid(const KeyRow *row, unsigned where, unsigned facts)
{
    return (row->where & where) != 0 && (row->needs == 0 || (row->needs & facts) != 0);
}

static bool has_key(const KeyRow *row, uint32_t key)
{
    for (unsigned i = 0; i < 4 && row->keys[i] != 0; i++)
        if (row->keys[i] == key)
            return true;
    return false;
}

Action keys_action(unsigned where, unsigned facts, const InputEvent *ev)
{
    if (ev->kind != INPUT_KEY || (ev->mods & MOD_ALT) != 0)
        return ACT_NONE;
    for (const KeyRow *row = rows; row->action != ACT_NONE; row++)
        if (has_key(row, ev->key) && keys_valid(row, where, facts))
            return row->action;
    return ACT_NONE;
}
