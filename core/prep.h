/* prep.h - what must be read from disk before a file can be sent, done by a few threads: opening and looking at the source, hashing.
 *
 * A task is handed over with its inputs, comes back with its outputs, and belongs to one side at a time. A small file is read once: its
 * bytes are hashed and kept, so that sending it touches the disk no more and cannot mix two versions of it.
 * Threads: submit, take and cancel from the engine thread. Units: bytes.
 */
#pragma once

#include <glib.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "digest.h"
#include "source.h"

typedef struct Prep Prep;

#define PREP_SMALL_BYTES (64 * 1024)    /* files up to this size are kept in memory from hashing to sending */

typedef enum { PREP_OPEN, PREP_DIGEST } PrepKind;

typedef struct PrepTask {
    /* in */
    PrepKind  kind;
    gpointer  user;
    unsigned  tag;              /* the caller's: part number */
    char     *path;             /* OPEN; owned */
    SourceId  expected;         /* OPEN: identity when it was queued (ino 0 = any); DIGEST: checked after reading */
    int       fd;               /* DIGEST: a duplicate of its own; OPEN: the result, for whoever steals it; -1 = none */
    uint64_t  offset, length;   /* DIGEST */
    bool      by_content;       /* OPEN: the name alone does not make the type (mime.h) */
    unsigned  digests;          /* bits; OPEN uses them for small files only */
    /* out */
    GError   *error;            /* FAULT_SOURCE_* */
    SourceId  found;            /* OPEN: identity now; differs from expected only with FAULT_SOURCE_CHANGED */
    char     *content_type;     /* OPEN */
    GBytes   *content;          /* OPEN: the whole of a small file; fd is -1 then, unless it is a picture */
    DigestSet set;
    /* shared */
    atomic_bool cancelled;      /* set by the engine: stop early, the result is thrown away */
} PrepTask;

PrepTask *prep_task_new(PrepKind kind, gpointer user);
void      prep_task_free(PrepTask *task);       /* closes fd */

Prep     *prep_new(unsigned threads, void (*wake)(void *ctx), void *ctx);      /* NULL: no thread could be started */
void      prep_free(Prep *p);                   /* cancels, waits for the threads */
void      prep_submit(Prep *p, PrepTask *task); /* takes */
PrepTask *prep_take(Prep *p);                   /* NULL = none ready */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PrepTask, prep_task_free)
