/* input_seq.h - one whole CSI or SS3 sequence of a terminal -> key, mouse press, focus. Part of input.c; pure, allocates nothing.
 *
 * Source documents: xterm ctlseqs, kitty keyboard protocol (flag 1), terminal.md B6. A key told as code point and modifiers comes out as
 * the same key typed in the old way. Releases, motion and keys with Super, Hyper or Meta are passed over.
 */
#pragma once

#include "input.h"

typedef enum {
    SEQ_EVENT,     /* *ev is filled in */
    SEQ_NOTHING,   /* known, and no event */
    SEQ_PASTE,     /* the start mark of a paste */
    SEQ_MOUSE_X10, /* three raw bytes follow */
    SEQ_UNKNOWN,   /* a reply, or of something we do not know */
} SeqKind;

/* body: what stands behind ESC [, the final byte included; n >= 1. *ev comes zeroed. */
SeqKind seq_csi(const uint8_t *body, size_t n, InputEvent *ev);
SeqKind seq_ss3(uint8_t byte, InputEvent *ev);
/* The three bytes of an old mouse report. */
SeqKind seq_mouse_x10(const uint8_t body[3], InputEvent *ev);
