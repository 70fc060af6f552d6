/* imgpool.h - pictures are prepared by worker processes; this is their keeper, and the spool's.
 *
 * A worker (hoist-imgproc) gets recipes and open descriptors over a socket pair (imgproc/wire.h) and answers with progress and results.
 * One that dies or talks nonsense is killed and replaced; its picture gets one more try by another worker, then
 * the job ends with `failed` and the caller's policy decides what happens to the file. A worker program that cannot be started is not tried again.
 * Spool: results are files in a directory bounded in bytes and count, named by source identity and recipe, so that a restart finds them.
 * A full bound is no error: imgpool_submit says false, try again after the next result or imgpool_release.
 * spool_dir must belong to one state directory: imgpool_sweep deletes what it does not know.
 * Threads: engine thread only; a thread inside waits for the workers and calls `wake` when something is ready to take.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "imgproc/recipe.h"
#include "source.h"
#include "spool.h"

typedef struct ImgPool ImgPool;

typedef struct {
    const char *worker;    /* path of hoist-imgproc; NULL = $HOIST_IMGPROC, beside this program, ../imgproc of it, or libexec */
    const char *spool_dir; /* created 0700; of one process at a time: a second one gets FAULT_STORE_LOCKED from imgpool_new */
    uint64_t spool_bytes;  /* 0 = 512 MiB */
    unsigned spool_files;  /* 0 = 64 */
    unsigned workers;      /* 0 = cores, at most one for 512 MiB of memory */
    unsigned deadline_ms;  /* CPU time of one picture; 0 = 120000. Four times that by the clock */
} ImgPoolConf;

/* One rendition. staged NULL: the original is to be sent unchanged for it. */
typedef struct {
    char *staged; /* name in the spool, held */
    uint64_t staged_bytes;
    char *content_type; /* "image/webp"; NULL when as it is */
    char *extension;    /* "webp"; NULL when as it is */
    char *recipe;       /* what was done: "jpeg 6000x4000 -> webp 1920x1280 q80, 2 encodes"; NULL when as it is */
    char *note;         /* or NULL: "already small enough" */
    SpoolPicture picture; /* as it is: format and size of the source, where they are known */
} ImgObject;

typedef struct {
    gpointer user;
    GError *error; /* FAULT_WORKER (hoist-imgproc does not run: nothing is sent in its place), FAULT_SPOOL_FULL (disk), FAULT_SOURCE_CHANGED (deleted from the spool: try again), FAULT_USAGE (a recipe that is none), or NULL */
    char *failed;  /* the picture defeats one of the recipes, or the workers, or there are none: why, for people; n is 0 then. Or NULL.
                      objects[0] is the source itself then: staged = without its metadata */
    bool clean;    /* with failed: it holds no metadata that the first recipe drops */
    int64_t took_us; /* from hand-over to a worker to its result, waiting left out; 0: all was in the spool */
    unsigned n;    /* objects, one for each recipe, in their order */
    ImgObject objects[RECIPES_MAX];
    GBytes *rgb;   /* of a preview: width_px * height_px * 3; NULL: failed says why */
    unsigned width_px, height_px;
} ImgOutcome;

ImgPool *imgpool_new(const ImgPoolConf *conf, void (*wake)(void *ctx), void *ctx, GError **error); /* starts no process yet */
void imgpool_free(ImgPool *p); /* kills and reaps workers; spool files stay */
/* Is this content type one that the workers read? ("image/jpeg" yes) vectors: SVG and PDF, too */
bool imgpool_takes(const char *content_type, bool vectors);
/* Starts when a worker is free; fd is duplicated. False (nothing happened) when queue or spool are at their bound. Results that are in the
 * spool are not made again; when all are, the answer is there at once (wake is called from inside). recipes: n texts (imgproc/recipe.h). */
bool imgpool_submit(ImgPool *p, int fd, const SourceId *src, const char *const *recipes, unsigned n, gpointer user);
/* A small picture for a person who waits: goes before all others. fd is duplicated. False: one is under way already. */
bool imgpool_preview(ImgPool *p, int fd, unsigned edge_px, gpointer user);
void imgpool_cancel(ImgPool *p, gpointer user); /* stops a running encode; no outcome follows */
/* How far a long one is: 0..100, -1 = it waits for a worker, or is quick. `wake` is called when it moved, at most four times a second. */
int imgpool_percent(const ImgPool *p, gconstpointer user);
ImgOutcome *imgpool_take(ImgPool *p);
void imgpool_outcome_free(ImgOutcome *o);
char *imgpool_staged_path(const ImgPool *p, const char *staged); /* caller frees */
/* A staged file is held from its outcome (or imgpool_hold after a restart) until released, then deleted. Files nobody holds make room
 * for new ones. False: it is not there any more. */
bool imgpool_hold(ImgPool *p, const char *staged);
void imgpool_release(ImgPool *p, const char *staged);
/* Holds it no more, but leaves it there: for a file that is paused or failed and may be sent later. */
void imgpool_let_go(ImgPool *p, const char *staged);
/* Deletes what nobody holds and keep does not name (NULL = nothing is kept). */
void imgpool_sweep(ImgPool *p, const GHashTable *keep /* set of char* */);
unsigned imgpool_pending(const ImgPool *p);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImgOutcome, imgpool_outcome_free)
