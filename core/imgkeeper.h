/* imgkeeper.h - the thread behind imgpool.h: hands tasks to picture workers, hears their answers, replaces those that fail.
 *
 * A task belongs to the engine thread, from imgkeeper_send to the keeper, and from imgkeeper_take to the engine thread again. It always comes
 * back, but for those that imgkeeper_free finds. Tasks start in the order they were sent, previews before all others.
 * Units: bytes, ms. Threads: engine thread, except inside.
 */
#pragma once

#include <glib.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "imgproc/wire.h"
#include "spool.h"

/* One file to be made of a picture. */
typedef struct {
    /* fixed after send */
    unsigned index; /* the caller's, of the recipe */
    char *key;
    char recipe[RECIPE_TEXT_MAX];
    uint64_t bytes_max; /* a worker that writes more is broken */
    /* keeper; then outcome */
    int temp_fd;
    char *temp; /* file of the spool; NULL = none */
    uint64_t crc; /* of its bytes */
    bool answered;
    WireResult result;
} ImgMaking;

typedef struct {
    /* fixed after send */
    int fd;
    unsigned preview_px; /* 0: n files are to be made */
    unsigned n;
    ImgMaking making[RECIPES_MAX];
    ImgMaking instead; /* key NULL = nothing: when the picture defeats its recipes, the source without its metadata */
    /* shared */
    atomic_int percent; /* -1 = not told */
    /* engine thread */
    uint32_t id; /* by imgkeeper_send */
    uint64_t reserved_bytes;
    unsigned reserved_files;
    /* keeper; then outcome */
    unsigned tries, heard;
    int64_t began_us, took_us; /* from the first hand-over to a worker to the result; 0 = none had it */
    bool cleaning; /* failed; making[0] is what was `instead`, and n is 1 */
    bool cancelled;
    GError *error;  /* FAULT_SPOOL_FULL, FAULT_MEMORY, FAULT_WORKER */
    char *failed;   /* the picture or its workers: why, for people */
    GBytes *rgb;    /* of a preview */
    unsigned width_px, height_px;
} ImgTask;

/* fd is duplicated. NULL: no descriptor left. */
ImgTask *imgtask_new(int fd);
void imgtask_free(ImgTask *t); /* temporary files stay: imgkeeper_drop_temps */

typedef struct ImgKeeper ImgKeeper;

/* spool: the keeper uses spool_temp_* only. wake: when something can be taken, and when a percent moved. Starts no process yet. FAULT_MEMORY. */
ImgKeeper *imgkeeper_new(const char *worker, unsigned workers, unsigned deadline_ms, const Spool *spool, void (*wake)(void *ctx), void *ctx, GError **error);
void imgkeeper_free(ImgKeeper *k); /* kills and reaps workers, deletes temporary files */
void imgkeeper_send(ImgKeeper *k, ImgTask *t); /* takes t; sets its id */
void imgkeeper_cancel(ImgKeeper *k, uint32_t id); /* its worker is killed; it comes back with `cancelled`, or had been done before */
ImgTask *imgkeeper_take(ImgKeeper *k); /* NULL when none is ready */
void imgkeeper_drop_temps(const Spool *spool, ImgTask *t);
