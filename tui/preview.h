/* preview.h - the picture of the selected file: when to ask for its pixels, and what of it is kept.
 *
 * A frame says which file it shows and how much room it has (preview_show) and takes what is there. All that costs time happens between
 * frames (preview_work, preview_answer): pixels are asked for when the selection has rested, one file at a time, so that scrolling asks
 * nothing; cells are made once for a size. Pixels and cells of the last pictures are kept, at most PREVIEW_KEPT of them in PREVIEW_BYTES.
 * Knows neither the engine nor the terminal; one thread. Times: monotonic us, a parameter.
 */
#pragma once

#include "mosaic.h"

enum { PREVIEW_KEPT = 64, PREVIEW_BYTES = 16 * 1024 * 1024, PREVIEW_REST_US = 150 * 1000 };

typedef struct Preview Preview;

Preview *preview_new(void);
void     preview_free(Preview *p);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Preview, preview_free)

void preview_set_look(Preview *p, const MosaicLook *look);      /* what was made for another one is forgotten, pixels are not */

/* ---- in a frame */

void          preview_begin(Preview *p);        /* nothing is shown until preview_show */
/* NULL: not there (yet), see preview_words. Borrowed until the next call that is no preview_show. */
const Mosaic *preview_show(Preview *p, int64_t id, int columns, int rows, int64_t now_us);
const char   *preview_words(const Preview *p);  /* why nothing is shown, as it is to be shown; NULL = soon there */
bool          preview_has(const Preview *p, int64_t id);        /* its pixels came */

/* ---- between frames */

int64_t  preview_deadline_us(const Preview *p); /* call preview_work then; -1 = no need */
/* Makes cells that a frame lacked. *ask_out: the file whose pixels are to be asked for now; 0 = none. True: draw again. */
bool     preview_work(Preview *p, int64_t now_us, int64_t *ask_out);
unsigned preview_edge_px(const Preview *p);     /* of the pixels to ask for */
/* What came: pixels, or why there are none (bytes). */
void     preview_answer(Preview *p, int64_t id, const HoistPicture *picture, const char *why);

/* ---- for tests */

unsigned preview_kept(const Preview *p);
size_t   preview_bytes(const Preview *p);
