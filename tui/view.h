/* view.h - the screens of the dashboard: a stack of views over one model, each drawing into a Canvas and answering actions.
 *
 * Views never set a state of a file: they send commands through the port and learn of the outcome from events. Nothing here waits, reads
 * files or knows the terminal; the loop (app.c) feeds events, asks for frames and does what `wish` and the port say. One thread.
 * Times: monotonic us, a parameter. Source document: terminal.md A7, C2 to C4.
 */
#pragma once

#include "canvas.h"
#include "core/hoist.h"
#include "field.h"
#include "keys.h"
#include "model.h"
#include "glance.h"

typedef enum { VIEW_QUEUE, VIEW_JOB, VIEW_LOG, VIEW_HELP, VIEW_TEXT, VIEW_ASK, VIEW_FIELD, VIEW_PREVIEW, N_VIEWS } ViewId;
typedef enum { GRAPH_AUTO, GRAPH_OFF, GRAPH_SMALL, GRAPH_LARGE } GraphSize;
typedef enum { WISH_NOTHING, WISH_REDRAW, WISH_SUSPEND, WISH_QUIT } Wish;

enum { VIEW_DEPTH = N_VIEWS, ASK_MAX = 3, MIN_WIDTH = 40, MIN_HEIGHT = 10, PANE_WIDTH = 110 };

/* How views reach the world; the loop's functions, or a test's. */
typedef struct {
    void *ctx;
    void (*send)(void *ctx, HoistCommand *cmd);         /* takes cmd */
    bool (*copy)(void *ctx, const char *text);          /* to the clipboard; false = too long */
} UiPort;

typedef struct Ui Ui;
typedef void (*AskDone)(Ui *ui, int choice);
typedef void (*FieldDone)(Ui *ui, const char *text);

typedef struct {
    char       *question, *hint;
    const char *choices[ASK_MAX];       /* "Yes"; its letter in keys */
    char        letters[ASK_MAX];
    int         n, at, back;            /* back: what Esc means */
    AskDone     done;
} Ask;

typedef struct {
    Field       field;
    const char *title, *prompt;
    FieldDone   done, live;             /* live (may be NULL): after each key */
    bool        paths;                  /* a pasted path closes the field and goes to the preview */
} Entry;

/* Dropped paths that wait for Enter, and what the engine counted in them. */
typedef struct {
    GPtrArray *paths;                   /* char*, bytes; found ones */
    uint64_t   missing;                 /* not found */
    char      *first_missing;           /* bytes */
    unsigned   token;                   /* of the last HOIST_CMD_PREVIEW */
    bool       counted, done;           /* an answer came for that token; it was the last one */
    uint64_t   files, folders, images, bytes, skipped, lost;    /* lost: not found when it counted */
    char      *dest;                    /* shown as it is */
    GArray    *roots;                   /* of PendingRoot: the first ROOTS_SHOWN */
    unsigned   n_roots;
} Pending;

enum { ROOTS_SHOWN = 8 };

typedef struct {
    char    *path;                      /* shown as it is */
    uint64_t files, bytes;
} PendingRoot;

struct Ui {
    Model               *model;
    const HoistSettings *settings;      /* borrowed */
    UiPort               port;
    char                *target;        /* shown as it is */
    int64_t              now_us;        /* of this turn */
    int                  width, height; /* of the last frame */

    ViewId    stack[VIEW_DEPTH];
    unsigned  depth;                    /* >= 1; the last one has the keys */
    GraphSize graph;
    bool      pane_closed;              /* details beside the list, where there is room */
    int       scroll;                   /* of the log, help or text view */
    uint64_t  last_limit_bps;           /* for the switch */
    int64_t   quit_us;                  /* of the last Ctrl-C */

    Ask     ask;
    Entry   entry;
    Pending pending;
    Glance *glance;                     /* NULL with graphics = none */

    char    *why, *remedy;              /* of the last notice with a fault, shown as they are: stays while the queue is paused by it */
    char    *message;
    LineKind message_kind;
    int64_t  message_until_us;          /* 0 = until a key */
    size_t   receiving_bytes;           /* of a paste that is still coming in; 0 = none */
    bool     fatal;                     /* the engine stopped by itself */
    Wish     wish;
};

/* settings is borrowed, model is taken. */
Ui  *ui_new(Model *model, const HoistSettings *settings, UiPort port);
void ui_free(Ui *ui);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ui, ui_free)

void ui_draw(Ui *ui, Canvas *c);
void ui_key(Ui *ui, const InputEvent *ev);
void ui_event(Ui *ui, const HoistEvent *ev);
/* A paste that is no path: into the line being typed, else a message. */
void ui_text_pasted(Ui *ui, const char *bytes, size_t n);
/* Paths of one or more drops, with what of them exists; joins what already waits. Copies. */
void ui_dropped(Ui *ui, char **paths, const bool *found);
/* q and Ctrl-C; twice within 2 s: at once. */
void ui_ask_quit(Ui *ui);
/* When something on the screen changes by itself; -1 = never. */
int64_t ui_deadline_us(Ui *ui);
void ui_tick(Ui *ui);                   /* lets messages run out */

/* ---- for the views */

typedef struct {
    unsigned where;                     /* rows of keys.c */
    bool     overlay;                   /* drawn over the view below */
    void   (*draw)(Ui *ui, Canvas *c);
    bool   (*key)(Ui *ui, const InputEvent *ev);        /* before the key rows; true = done. May be NULL */
    void   (*act)(Ui *ui, Action action);
} ViewOps;

extern const ViewOps view_queue, view_job, view_log, view_help, view_text, view_ask, view_field, view_preview;

ViewId   ui_top(const Ui *ui);
void     ui_push(Ui *ui, ViewId view);
void     ui_pop(Ui *ui);
unsigned ui_facts(Ui *ui);
unsigned ui_where(const Ui *ui);
void     ui_say(Ui *ui, LineKind kind, const char *format, ...) G_GNUC_PRINTF(3, 4);
void     ui_ask(Ui *ui, const Ask *ask);                /* takes question and hint */
void     ui_enter(Ui *ui, const Entry *entry, const char *text);
/* Sends a command for the targets (model_targets) that are in one of the states; returns how many. */
unsigned ui_command(Ui *ui, HoistCommandKind kind, unsigned states, int64_t number);
bool     ui_act_on_files(Ui *ui, Action action);        /* pause, retry, cancel, ...: in list and details; false = none of these */
void     ui_draw_footer(Ui *ui, Canvas *c, int y);
void     ui_draw_status(Ui *ui, Canvas *c, int y);
void     ui_scroll(Ui *ui, Action action, int page);    /* moves ui->scroll; clamped by who draws */
bool     ui_move(Ui *ui, Action action);                /* moves the selection; false = not a movement */

Role        view_line_role(LineKind kind);
const char *view_state_glyph(const HoistRow *row);
Role        view_state_role(const HoistRow *row);
/* "retry 2/5 in 8 s", "queued", "403 AccessDenied: ...": one line, shown as it is. Caller frees. */
char       *view_state_words(const Ui *ui, const ModelRow *mr);
int         view_pane(Ui *ui, Canvas *c, int x, int y, int width, int height);      /* details of the selected file (view_job.c) */
/* Whether room is to be kept for a picture of the file, before anything of it is known (view_picture.c). */
bool        view_picture_wanted(Ui *ui, const HoistRow *row);
/* The picture, or why there is none, in the room kept for it. */
void        view_picture(Ui *ui, Canvas *c, const HoistRow *row, int x, int y, int width, int height);
void        view_head(Ui *ui, Canvas *c, int *rows_out);    /* header, graph, tabs and what holds the queue up from row 0 (view_head.c) */
bool        view_held_up(const Ui *ui);                     /* the queue is paused and nothing moves any more */
void        view_preview_request(Ui *ui);               /* asks the engine to count what is pending */
void        view_add_open(Ui *ui);                      /* the dialog to add by path */
void        view_preview_event(Ui *ui, const HoistPreview *preview);
void        pending_init(Pending *p);
void        pending_clear(Pending *p);                  /* zeroed memory is fine */
void        view_ask_quit(Ui *ui);
void        view_field_status(Ui *ui, Canvas *c, int y);    /* a line without a title is typed in the status line */
