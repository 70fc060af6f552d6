/* input.h - bytes from the terminal -> keys, pastes, mouse, focus, replies. Own decoder, because ncurses 6.4 knows no bracketed paste.
 *
 * Pure: bytes and the time go in, events come out; reading the descriptor and waiting belong to the caller (app.c), who asks
 * input_deadline_us how long it may sleep. A lone ESC becomes a key when nothing follows for 50 ms. A run of bytes that looks like a file
 * dropped without brackets is held for 30 ms, then given as a paste if hoist_drop_read finds a path of it that exists, else as keys.
 * Bytes wait undecoded until input_take asks, so memory stays near what was fed. A paste that ended for want of bytes, or at its limit,
 * is given as unterminated; the rest of one that is over the limit is thrown away up to its end mark: it never becomes keys.
 * Every CSI, OSC, DCS is parsed to its end, so that late replies of the terminal never become keys.
 * Limits: paste 8 MiB, one sequence 4 KiB.
 * Source documents: xterm ctlseqs, kitty keyboard protocol, terminal.md A4 to A6, B6.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { INPUT_KEY, INPUT_PASTE, INPUT_MOUSE, INPUT_FOCUS, INPUT_REPLY } InputKind;

/* Keys without a code point lie above Unicode. */
enum {
    KEY_BASE = 0x110000,
    KEY_UP_,
    KEY_DOWN_,
    KEY_LEFT_,
    KEY_RIGHT_,
    KEY_HOME_,
    KEY_END_,
    KEY_PGUP_,
    KEY_PGDN_,
    KEY_INSERT_,
    KEY_DELETE_,
    KEY_BACKTAB_,
    KEY_F1_,
    KEY_F12_ = KEY_F1_ + 11
};
enum { MOD_SHIFT = 1, MOD_ALT = 2, MOD_CTRL = 4 };

typedef struct {
    InputKind kind;
    uint32_t key; /* KEY: code point ('\r' Enter, 27 Esc, 9 Tab, 127 Backspace, 1..26 Ctrl-letter) or KEY_* */
    unsigned mods;
    char *text; /* PASTE: payload bytes; REPLY: the sequence */
    size_t bytes;
    bool unterminated; /* PASTE: the end mark never came */
    int x, y, button;  /* MOUSE: 0-based cell; button as in SGR reports; press only */
    bool focused;
} InputEvent;

typedef struct Input Input;

Input *input_new(const char *terminal_hint, const char *host);
void input_free(Input *in);
void input_feed(Input *in, const char *bytes, size_t n, int64_t now_us);
InputEvent *input_take(Input *in, int64_t now_us);      /* NULL = none yet; caller frees */
int64_t input_deadline_us(const Input *in);             /* call input_take again then; -1 = only after more bytes */
bool input_pasting(const Input *in, size_t *bytes_out); /* in the middle of one: "receiving paste ... 64 KB" */
void input_event_free(InputEvent *ev);
/* Tests replace lstat. */
void input_set_exists(Input *in, bool (*exists)(const char *path, void *ctx), void *ctx);
