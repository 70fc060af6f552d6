/* glance.h - the picture of the selected file: when to ask for its pixels, and what of it is kept.
 *
 * A frame says which file it shows and how much room it has (glance_show) and takes what is there. All that costs time happens between
 * frames (glance_work, glance_answer): pixels are asked for when the selection has rested, one file at a time, so that scrolling asks
 * nothing; cells are made once for a size. Pixels and cells of the last pictures are kept, at most GLANCE_KEPT of them in GLANCE_BYTES.
 * Knows neither the engine nor the terminal; one thread. Times: monotonic us, a parameter.
 */
#pragma once

#include "mosaic.h"

enum { GLANCE_KEPT = 64, GLANCE_BYTES = 16 * 1024 * 1024, GLANCE_REST_US = 150 * 1000 };

typedef struct Glance Glance;

Glance *glance_new(void);
void    glance_free(Glance *p);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Glance, glance_free)

void glance_set_look(Glance *p, const MosaicLook *look);      /* what was made for another one is forgotten, pixels are not */

/* ---- in a frame */

void          glance_begin(Glance *p);         /* nothing is shown until glance_show */
/* NULL: not there (yet), see glance_words. Borrowed until the next call that is no glance_show. */
const Mosaic *glance_show(Glance *p, int64_t id, int columns, int rows, int64_t now_us);
const char   *glance_words(const Glance *p);  /* why nothing is shown, as it is to be shown; NULL = soon there */
bool          glance_has(const Glance *p, int64_t id);        /* its pixels came */

/* ---- between frames */

int64_t  glance_deadline_us(const Glance *p); /* call glance_work then; -1 = no need */
/* Makes cells that a frame lacked. *ask_out: the file whose pixels are to be asked for now; 0 = none. True: draw again. */
bool     glance_work(Glance *p, int64_t now_us, int64_t *ask_out);
unsigned glance_edge_px(const Glance *p);     /* of the pixels to ask for */
/* What came: pixels, or why there are none (bytes). */
void     glance_answer(Glance *p, int64_t id, const HoistPicture *picture, const char *why);

/* ---- for tests */

unsigned glance_kept(const Glance *p);
size_t   glance_bytes(const Glance *p);
