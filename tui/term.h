/* term.h - shows a Canvas on the terminal; the only module that knows ncurses, and only for output.
 *
 * Keys are read by the caller from term_input_fd (raw mode, blocking: read once after poll says so) and decoded by input.h. Signals
 * (resize, continue, stop) arrive as bytes of a self-pipe, term_signal_fd. The screen is restored at every way out: term_close, suspend,
 * and crashes (SIGSEGV, ABRT, BUS, FPE, ILL; by async-signal-safe calls only). While the screen is up standard error goes to a file, so
 * that messages of libraries cannot tear it. One Term a process; one thread.
 * Source documents: terminal.md B2 to B7, xterm ctlseqs, signal-safety(7).
 */
#pragma once

#include "canvas.h"
#include "graphics.h"

typedef struct Term Term;

/* Takes over the terminal. stderr_path: file that standard error is appended to meanwhile; NULL drops it. graphics: how pictures are to be
 * drawn, if the terminal answers that it can. NULL and error when standard output is no terminal or its type is unknown. */
Term *term_open(const char *stderr_path, Graphics graphics, GError **error);
void  term_close(Term *t);              /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Term, term_close)

int  term_input_fd(const Term *t);
int  term_signal_fd(const Term *t);
/* Next signal that came in: SIGWINCH, SIGCONT, SIGTSTP, SIGINT, SIGTERM, SIGHUP; 0 when there is none. */
int  term_take_signal(Term *t);

bool term_utf8(const Term *t);          /* false: draw in ASCII */
unsigned term_colours(const Term *t);   /* 0, 8, 16, 256 or 1 << 24: what cells of ROLE_PICTURE may have */
const GraphicsTalk *term_graphics(const Term *t);       /* changes with term_reply and term_size */
void term_size(Term *t, int *width_out, int *height_out);      /* asks the kernel and follows a change of size */
bool term_ready(const Term *t);         /* the terminal takes bytes now; false: skip this frame */
void term_draw(Term *t, const Canvas *c);                       /* writes only rows that changed, and the image when that did */
void term_redraw(Term *t);              /* the next frame is written whole */
void term_reply(Term *t, const char *sequence);                 /* an INPUT_REPLY: answers to what term_open asked */

/* Gives the screen back and stops the process as Ctrl-Z does; returns after it was continued. */
void term_suspend(Term *t);
void term_resume(Term *t);      /* after a SIGCONT that nobody announced: modes on again, next frame whole */
/* Window title; text as made by hoist_text(). The old title comes back at the end where the terminal can. */
void term_title(Term *t, const char *text);
/* Clipboard by OSC 52; false when the text is too long for it. Whether the terminal obeys cannot be known. */
bool term_copy(Term *t, const char *text);
