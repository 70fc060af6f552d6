/* graphics.h - how a terminal can draw pictures itself: what to ask it, what its answers mean, how a picture goes away again.
 *
 * A protocol is used only when the terminal answered that it has it: its name in the environment proves nothing. Inside tmux and screen none
 * is: they would lose the picture or show its bytes. Pure; term.c does the reading and writing.
 * Source documents: kitty graphics protocol (a=q), xterm ctlseqs (DA1, CSI 16 t), iTerm2 (OSC 1337 ReportCellSize), terminal.md B7.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef enum { GRAPHICS_CELLS, GRAPHICS_KITTY, GRAPHICS_SIXEL, GRAPHICS_ITERM, N_GRAPHICS, GRAPHICS_AUTO = N_GRAPHICS, GRAPHICS_NONE } Graphics;

/* What was asked for and what was answered so far. */
typedef struct {
    Graphics wish;
    bool     can[N_GRAPHICS];
    bool     over;                          /* the last answer is there */
    int      cell_width_px, cell_height_px; /* 0 = not told */
} GraphicsTalk;

/* The value of --graphics; NULL and what is unknown give CELLS. */
Graphics    graphics_by_name(const char *name);
const char *graphics_name(Graphics graphics);   /* "kitty" */
/* What to write so that the terminal tells, before DA1 (CSI c): every terminal answers that, and its answer ends the talk. NULL when nothing is
 * to be asked: cells were wished for, or the environment (TERM, TMUX, STY) is one where no picture gets through; the talk is over then. */
const char *graphics_query(GraphicsTalk *talk);
void        graphics_reply(GraphicsTalk *talk, const char *sequence);   /* an answer, or any other sequence */
/* What pictures are drawn with now: a protocol once the talk is over, else CELLS. */
Graphics    graphics_now(const GraphicsTalk *talk);
/* Takes away every picture that was drawn; NULL when writing cells over them does. */
const char *graphics_erase(Graphics graphics);
