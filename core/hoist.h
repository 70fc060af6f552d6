/* hoist.h - the engine as its clients see it: the only header of core/ that the dashboard and the command line include.
 *
 * A client opens the engine with settings, sends commands, and takes events. The engine never calls a client, but for `wake`, which it
 * calls from its own thread when events are ready (write to an eventfd there, nothing else). Rows carry the whole state of a file, not a
 * difference: a client that missed nine of ten is still right. Progress is merged to the latest; everything else arrives in order.
 * Lists of any length are paged from the store by HoistView, which belongs to the thread that opened it.
 *
 * Units: bytes, bytes a second (bps), ms, s; *_ns is wall clock since 1970, *_us monotonic. Strings are UTF-8 except paths and keys, which
 * are bytes without NUL and must pass through hoist_text() before a person sees them. Every struct with a _free owns what it points to.
 * Errors: GError of domain FAULT (hoist_fault_name and hoist_fault_remedy explain any of them).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define HOIST_APP "hoist"

/* ------------------------------------------------------------------ settings (config.c) */

typedef enum { HOIST_OPT_TEXT, HOIST_OPT_SWITCH, HOIST_OPT_NUMBER, HOIST_OPT_SIZE, HOIST_OPT_RATE, HOIST_OPT_CHOICE, HOIST_OPT_PATH, HOIST_OPT_TIME } HoistOptKind;

/* One row is an option, a key of config.ini and an environment variable: "part-size", --part-size, HOIST_PART_SIZE. */
typedef struct {
    const char  *name;
    char         letter;        /* short option or 0 */
    HoistOptKind kind;
    const char  *arg;           /* "SIZE"; NULL for switches */
    const char  *def;           /* default as text, NULL = none */
    const char  *allowed;       /* CHOICE: "overwrite|skip|fail"; NUMBER: "1..64|auto"; else what --help says is allowed */
    const char  *help;
    bool         repeat;        /* may be given several times */
    bool         per_batch;     /* frozen with the files it was given for; else of the engine as a whole */
} HoistOpt;

const HoistOpt *hoist_opts(void);               /* ends with a row whose name is NULL; the common ones, then those that only some destinations know */
bool            hoist_opt_is_common(const HoistOpt *opt);       /* a row of hoist_opts() */

typedef struct HoistSettings HoistSettings;
HoistSettings *hoist_settings_new(void);        /* defaults only */
HoistSettings *hoist_settings_dup(const HoistSettings *s);
void           hoist_settings_free(HoistSettings *s);
/* Checks and sets one option; FAULT_USAGE names the option and what is allowed. origin ("--part-size", "config.ini line 7") is for messages. */
bool           hoist_settings_set(HoistSettings *s, const char *name, const char *value, const char *origin, GError **error);
/* config.ini ([hoist] group, later [dest NAME]) and HOIST_* variables, in that order, weaker than what was set before the call.
 * path NULL = $XDG_CONFIG_HOME/hoist/config.ini, which may be missing. FAULT_CONFIG names file and line. */
bool           hoist_settings_load(HoistSettings *s, const char *path, GError **error);
const char    *hoist_settings_get(const HoistSettings *s, const char *name);            /* NULL = not set and no default; borrowed */
bool           hoist_settings_switch(const HoistSettings *s, const char *name);
uint64_t       hoist_settings_number(const HoistSettings *s, const char *name);         /* NUMBER, SIZE, RATE; "auto" and unset give 0 */
char         **hoist_settings_list(const HoistSettings *s, const char *name);           /* values of a repeat option; g_strfreev */
/* May files go where these settings say? No network. FAULT_USAGE or FAULT_CONFIG names what is wrong, and its line: an option that this
 * destination does not have, a value that it does not take, a secret that is missing. warning_out (NULL = not wanted; caller frees): what is
 * no error but should be known (others can read a file of secrets); NULL when there is nothing. */
bool           hoist_settings_check_dest(const HoistSettings *s, char **warning_out, GError **error);
/* Sizes and rates as people write them: "8M", "1.5 GiB", "500kB/s": k, M, G = 1000^n; Ki, Mi, Gi = 1024^n. */
bool           hoist_parse_size(const char *text, uint64_t *bytes_out);
/* "900", "90s", "15m", "1h", "7d" -> seconds. */
bool           hoist_parse_time(const char *text, uint64_t *seconds_out);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HoistSettings, hoist_settings_free)

/* ------------------------------------------------------------------ rows */

typedef enum {                  /* stored as number: append only */
    HOIST_QUEUED, HOIST_PREPARING, HOIST_ACTIVE, HOIST_COMPLETING, HOIST_DONE, HOIST_FAILED, HOIST_PAUSED, HOIST_CANCELLING,
    HOIST_CANCELLED, HOIST_N_STATES
} HoistState;

const char *hoist_state_name(HoistState state);         /* "queued" */
bool        hoist_state_by_name(const char *name, HoistState *state_out);

typedef enum { HOIST_VERIFIED_NOT, HOIST_VERIFIED_SIZE, HOIST_VERIFIED_ETAG, HOIST_VERIFIED_CHECKSUM } HoistVerified;
const char *hoist_verified_text(HoistVerified v);       /* "size only", "verified by ETag", ... */

/* One of several objects of a file: a rendition, or the original beside them. */
typedef struct {
    char      *name;            /* "thumb", "original" */
    char      *key, *url, *etag, *checksum, *version;   /* NULL where not known yet */
    char      *recipe;          /* NULL = as it is */
    uint64_t   bytes;
    HoistVerified verified;
    bool       done;
    /* numbers of the picture, where they are known: of one that was just made */
    const char *format;         /* "webp", static; NULL */
    unsigned   width_px, height_px, frames;
    unsigned   quality;         /* on the scale of recipes, 100 = without loss; 0 = the source's own */
    unsigned   encodes;
    bool       cleaned;         /* the source itself, without its metadata */
    const char *note;           /* of hoist_images: "already small enough"; borrowed; NULL */
} HoistObject;

typedef struct {
    int64_t    id, batch, pos;
    HoistState state;
    char      *path;            /* source, bytes */
    char      *name;            /* what the list shows: path below the dropped root, bytes */
    char      *key;             /* object key, bytes */
    char      *dest;            /* "s3://bucket/prefix" */
    uint64_t   source_bytes;    /* the original */
    uint64_t   bytes;           /* what is sent: the prepared picture, else the original */
    uint64_t   acked_bytes;     /* confirmed by the server or acknowledged by its kernel; never falls within one try */
    uint64_t   sent_bytes;      /* >= acked: has left for the socket */
    double     bps;             /* acknowledged, 0 when not moving */
    int64_t    eta_s;           /* -1 = unknown */
    unsigned   tries, max_tries;
    int64_t    retry_in_ms;     /* -1 = no retry pending */
    unsigned   parts_done, parts;   /* parts 0 = not multipart or not planned yet */
    char      *upload_id;       /* or NULL */
    char      *recipe;          /* what the picture went through: "jpeg 6000x4000 -> webp 1920x1280 q80, 1 encode"; NULL = as it is */
    int        prepared_pct;    /* of a picture being prepared, when that takes long; -1 = nothing to tell */
    HoistObject *objects;       /* what becomes of the file when that is more than one object, in their order; key, recipe, url ... of the
                                   row are then those of the first, bytes are those of all. From hoist_view_row and with HOIST_ROW_DONE, _PREPARED */
    unsigned   n_objects;       /* 0 = one object, told by the row alone */
    char      *note;            /* "sent as it is: not a readable picture", "resumed: 12 of 40 parts were there"; or NULL */
    char      *wait;            /* words for a standstill: "waiting for the server", "no answer for 12 s"; or NULL */
    char      *fault;           /* name of the fault ("clock-skew") when failed or retrying; else NULL */
    char      *cause, *remedy;  /* with fault */
    char      *url, *etag, *checksum, *version;     /* of the object; NULL before it is done or when not told; url holds no signature */
    HoistVerified verified;
    int64_t    added_ns, started_ns, done_ns;       /* 0 = not yet */
} HoistRow;

HoistRow *hoist_row_dup(const HoistRow *row);
void      hoist_row_free(HoistRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HoistRow, hoist_row_free)

typedef struct {
    uint64_t files[HOIST_N_STATES], bytes[HOIST_N_STATES];      /* bytes: what is or will be sent; the original's size before it is prepared */
    uint64_t acked_bytes;       /* over all files that are not done */
    uint64_t skipped;           /* paths that scans left out with a reason */
    double   bps;               /* acknowledged, 5 s */
    int64_t  eta_s;             /* -1 = unknown */
    unsigned active, slots;     /* files at once: now, allowed */
    unsigned preparing;         /* pictures at the workers */
    bool     auto_slots, scanning;
    bool     paused;            /* by the person, or because a destination refused too much and nothing moves: RESUME_ALL goes on */
    uint64_t limit_bps;         /* 0 = none */
    uint64_t run_done, run_failed, run_skipped, run_bytes;      /* since this engine was opened */
} HoistTotals;

/* ------------------------------------------------------------------ engine */

typedef struct Hoist Hoist;
typedef void (*HoistWake)(void *ctx);

enum {                          /* flags of hoist_open */
    HOIST_OPEN_PAUSED = 1 << 0, /* start nothing until HOIST_CMD_RESUME_ALL */
    HOIST_WANT_ROWS = 1 << 1,   /* ROW events of every transition (queued, prepared, started, retry, done, failed) */
    HOIST_WANT_PROGRESS = 1 << 2,   /* ROW events with HOIST_ROW_PROGRESS, at most ten a second a file */
    HOIST_WANT_FAILURES = 1 << 3,   /* of the ROW events HOIST_ROW_FAILED alone: for a client that counts by the totals */
};

/* Takes the lock of the state directory, opens the store, starts the engine thread. FAULT_STORE_LOCKED when another hoist holds it (the
 * cause names its pid): open a HoistView and use hoist_send_inbox then. FAULT_STORE_* otherwise, FAULT_NO_CREDENTIALS never (that is the
 * destination's fault, and shows on its rows). */
Hoist *hoist_open(const HoistSettings *settings, unsigned flags, HoistWake wake, void *ctx, GError **error);
/* Stops orderly: running parts are cut, their finished neighbours kept; waits for the thread; everything is in the store. */
void   hoist_close(Hoist *h);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Hoist, hoist_close)

typedef enum {
    HOIST_CMD_ADD,              /* paths, settings (per_batch options, "to" among them) */
    HOIST_CMD_PREVIEW,          /* paths, settings, token: count without queueing -> HOIST_EVENT_PREVIEW */
    HOIST_CMD_PAUSE, HOIST_CMD_RESUME, HOIST_CMD_RETRY, HOIST_CMD_CANCEL, HOIST_CMD_FORGET,     /* ids, or state, or all */
    HOIST_CMD_PAUSE_ALL, HOIST_CMD_RESUME_ALL,      /* the queue as a whole; RESUME_ALL also lifts the pause of refused destinations */
    HOIST_CMD_MOVE,             /* ids; number: -1 up, +1 down, -2 top, +2 bottom */
    HOIST_CMD_SLOTS,            /* number: files at once; 0 = auto */
    HOIST_CMD_LIMIT,            /* number: bytes a second; 0 = none */
    HOIST_CMD_ROWS,             /* ids: send a ROW event for each */
    HOIST_CMD_PICTURE,          /* ids: of one row; number: longest edge in px -> HOIST_EVENT_PICTURE */
} HoistCommandKind;

typedef struct {
    HoistCommandKind kind;
    char          **paths;      /* absolute, bytes; NULL-terminated */
    HoistSettings  *settings;
    GArray         *ids;        /* of int64_t; NULL = see state and all */
    int             state;      /* HoistState, or -1 */
    bool            all;
    int64_t         number;
    unsigned        token;
} HoistCommand;

HoistCommand *hoist_command_new(HoistCommandKind kind);
void          hoist_command_add_id(HoistCommand *cmd, int64_t id);
void          hoist_command_free(HoistCommand *cmd);
void          hoist_send(Hoist *h, HoistCommand *cmd);          /* takes cmd; any thread */
/* For a process that does not hold the lock: lays the command into the store's inbox and pokes the holder. Takes cmd. Without a holder it
 * is obeyed by the next hoist, except that PAUSE, RESUME, RETRY, CANCEL and FORGET of rows are applied by whoever takes the lock here. */
bool          hoist_send_inbox(const HoistSettings *settings, HoistCommand *cmd, GError **error);

typedef enum {
    HOIST_EVENT_ROW,            /* row, change */
    HOIST_EVENT_TOTALS,         /* totals; twice a second while something moves or is prepared, and after changes */
    HOIST_EVENT_SKIPPED,        /* path, fault, text: a path that was left out and why */
    HOIST_EVENT_PREVIEW,        /* preview */
    HOIST_EVENT_NOTICE,         /* text, fault or NULL: "s3://b refused three files in a row: paused", "journal disk is full" */
    HOIST_EVENT_LIST,           /* rows were added, removed or moved: pages of a view are out of date */
    HOIST_EVENT_IDLE,           /* nothing is moving, scanning or due; sent once each time that becomes true. number: files that wait for a
                                   person (failed, paused) */
    HOIST_EVENT_FATAL,          /* text, fault: the engine stopped by itself; close it */
    HOIST_EVENT_PICTURE,        /* number: id of the row; picture, or text: why there is none */
} HoistEventKind;

typedef enum {
    HOIST_ROW_QUEUED, HOIST_ROW_PREPARED, HOIST_ROW_STARTED, HOIST_ROW_PROGRESS, HOIST_ROW_RETRY, HOIST_ROW_DONE, HOIST_ROW_FAILED,
    HOIST_ROW_STATE             /* paused, resumed, cancelled: see row->state */
} HoistRowChange;

typedef struct {
    unsigned  token;
    char     *dest;             /* where it would go, with prefix */
    uint64_t  files, folders, images, bytes, skipped, missing;
    char    **roots;            /* each dropped path */
    uint64_t *root_files, *root_bytes;
    char     *first_missing;    /* or NULL */
    bool      confirm;          /* symlinks, special files, hidden folders or more than 100 files: show before queueing */
    bool      done;             /* false: still counting */
} HoistPreview;

/* A small picture: 8 bit RGB, width_px * height_px * 3 bytes, rows without padding. */
typedef struct {
    GBytes   *rgb;
    unsigned  width_px, height_px;
} HoistPicture;

typedef struct {
    HoistEventKind kind;
    HoistRow      *row;
    HoistRowChange change;
    HoistTotals   *totals;
    HoistPreview  *preview;
    HoistPicture  *picture;
    char          *path, *text, *fault;
    int64_t        number;
    unsigned       obeyed;      /* IDLE: for hoist_take, which passes over one that is older than a command sent since */
} HoistEvent;

HoistEvent *hoist_take(Hoist *h);               /* NULL when none is ready; caller frees; one client thread */
void        hoist_event_free(HoistEvent *ev);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HoistEvent, hoist_event_free)

/* ------------------------------------------------------------------ lists */

typedef struct HoistView HoistView;

typedef struct {
    unsigned    states;         /* bits 1u << HoistState; 0 = all */
    const char *text;           /* name contains it (bytes, ASCII case folded); NULL = any. Scans: 150 ms for a million rows */
} HoistFilter;

/* Read-only connection of the calling thread; works with and without an engine, also while another process holds the lock. A store that
 * does not exist yet gives an empty view. */
HoistView *hoist_view_open(const HoistSettings *settings, GError **error);
void       hoist_view_close(HoistView *v);
/* Up to n rows in queue order behind the row (after_pos, after_id), or before it when backwards (nearest first). Start with (INT64_MIN, 0),
 * from the end with (INT64_MAX, INT64_MAX). Array of HoistRow*, freed by its own free function. NULL and error on failure. */
GPtrArray *hoist_view_page(HoistView *v, const HoistFilter *filter, int64_t after_pos, int64_t after_id, bool backwards, unsigned n, GError **error);
HoistRow  *hoist_view_row(HoistView *v, int64_t id, GError **error);
bool       hoist_view_totals(HoistView *v, HoistTotals *out, GError **error);   /* files and bytes by state; the live fields are 0 */
/* Unfinished (not done, failed, cancelled or paused), done and failed files of a batch: for a process that follows files it laid in the inbox. */
bool       hoist_view_batch(HoistView *v, int64_t batch, uint64_t *open_out, uint64_t *done_out, uint64_t *failed_out, GError **error);
bool       hoist_view_changed(HoistView *v);    /* another connection committed since the last call (PRAGMA data_version) */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HoistView, hoist_view_close)

/* ------------------------------------------------------------------ destinations without the queue (errand.c, dests.c) */

/* DEST/KEY: "s3://bucket/a/b.jpg", or "NAME/a/b.jpg" with a [dest NAME], whose prefix comes before the key. */

/* A URL that lets anybody fetch the object for so long: a secret. No network. FAULT_USAGE when the protocol has no such thing, when it
 * cannot be for so long, or when DEST/KEY is none. Caller frees. */
char *hoist_share(const HoistSettings *settings, const char *dest_key, unsigned seconds, GError **error);

/* One object: error is why it was not removed, NULL = it is gone; was_there false = the server knew of none. */
typedef void (*HoistRemoved)(const char *dest_key, bool was_there, const GError *error, void *ctx);
/* Deletes objects one after the other, those of one destination together, and tells each. Blocks. False: nothing (more) was tried, for
 * reasons of usage, configuration or credentials; all of DEST/KEY are checked before the first is removed. */
bool  hoist_remove(const HoistSettings *settings, char *const *dest_keys, HoistRemoved each, void *ctx, GError **error);

typedef struct {
    char *name, *to, *scheme, *endpoint;        /* endpoint NULL = the protocol's own */
    bool  ready;                /* options and secrets are there, as far as can be told without network and commands */
    char *missing;              /* why it is not ready; NULL */
    char *warning;              /* or NULL */
} HoistDest;

void       hoist_dest_free(HoistDest *dest);
GPtrArray *hoist_dests(const HoistSettings *settings);  /* of HoistDest*, freed with it: the [dest NAME] groups by name. No network, no secrets */
char      *hoist_dests_help(void);      /* the forms of "to": options, secrets; for --help; caller frees */

/* ------------------------------------------------------------------ pictures without the queue (images.c), this machine (doctor.c) */

/* One file of hoist_images. objects: one for each rendition, and the original with keep-original; key is its path below out_dir (or what it would be),
 * url NULL. None: it is left alone (note), or failed. */
typedef struct {
    char        *path, *name;   /* as in HoistRow */
    uint64_t     bytes;         /* of the source */
    char        *type;          /* "image/jpeg"; NULL when it could not be opened */
    HoistObject *objects;
    unsigned     n_objects;
    char        *note;          /* "not a kind of picture that is converted"; or NULL */
    char        *failed;        /* the picture defeats the recipe, or cannot be read or written: why; NULL */
    double       seconds;       /* from hand-over to result */
} HoistImage;

/* What uploading would do to the pictures among paths (files and folders, filters as in settings): the same workers, recipes and names,
 * without a queue, a destination or the network. out_dir NULL: nothing is written. Else what would be uploaded is there afterwards, what goes as it
 * is as a copy. Files that are there already are not overwritten: the name is numbered. Blocks; each is called as they come, in the caller's thread,
 * and with NULL a few times a second while none comes; false stops. FAULT_USAGE, FAULT_CONFIG, FAULT_SPOOL_FULL (out_dir or the cache cannot be
 * written); false then. */
typedef bool (*HoistImageDone)(const HoistImage *image, void *ctx);
bool hoist_images(const HoistSettings *settings, char *const *paths, const char *out_dir, HoistImageDone each, void *ctx, GError **error);

typedef enum { HOIST_CHECK_OK, HOIST_CHECK_WARN, HOIST_CHECK_BAD } HoistCheckState;
typedef struct {
    const char     *name;       /* "landlock", for machines; "picture worker" ... */
    HoistCheckState state;
    char           *text;       /* what was found */
    char           *remedy;     /* what to do; NULL when nothing */
} HoistCheck;
typedef void (*HoistChecked)(const HoistCheck *check, void *ctx);
/* Looks at what hoist needs on this machine, check by check: files, picture workers and what binds them. No network. Blocks for a second at most. */
void hoist_doctor(const HoistSettings *settings, HoistChecked each, void *ctx);

/* ------------------------------------------------------------------ text */

/* Bytes -> UTF-8 that is harmless on a terminal: control bytes ^[ , C1 and bidi controls <U+202E>, invalid bytes \xNN. Caller frees. */
char       *hoist_text(const char *bytes);
/* Text that a terminal pasted -> paths: every reading of terminal.md A5, chosen by which paths exist. */
typedef enum { HOIST_DROP, HOIST_DROP_MISSING, HOIST_NOT_A_DROP } HoistDropVerdict;
typedef bool (*HoistExists)(const char *path, void *ctx);       /* NULL = lstat */
HoistDropVerdict hoist_drop_read(const char *bytes, size_t n, const char *terminal_hint, const char *host, HoistExists exists, void *ctx,
                                 char ***paths_out, GArray **found_out /* of bool, may be NULL */);
const char *hoist_fault_name(const GError *error);      /* "clock-skew" */
const char *hoist_fault_remedy(const GError *error);
const char *hoist_remedy_of(const char *fault_name);    /* "" when unknown */
bool        hoist_fault_is_usage(const GError *error);  /* exit status 2: options or configuration */
char       *hoist_versions(void);       /* "hoist 0.1.0, libcurl/7.88.1 ..., SQLite 3.40.1"; caller frees */
/* What `hoist up --dry-run` shows: files, keys, sizes; no network. Calls each row; false stops. */
typedef bool (*HoistDryRun)(const HoistRow *row, void *ctx);
bool        hoist_dry_run(const HoistSettings *settings, char **paths, HoistDryRun each, HoistTotals *totals_out, GPtrArray *skipped_out /* of HoistEvent* SKIPPED */,
                          void *ctx, GError **error);
char       *hoist_state_dir(const HoistSettings *settings);     /* where queue.db lies; caller frees */
