/* upload.h - walks one upload through the phases of its destination: what to ask next, and what an answer means. No I/O, no clock.
 *
 *  begin: FIND (id lost) | RESUME (id known) | OPEN (new) | CLOSE (was completing) | PART (one whole request) | NOTIFY (stored, not announced)
 *
 *      FIND -> OPEN -> PART* -> CLOSE -> (VERIFY) -> DONE          OPEN -answer lost-> FIND
 *      RESUME -> PART* ...          RESUME -gone-> VERIFY -absent-> RESTART
 *      CLOSE -unknown-> VERIFY -there-> DONE | -absent-> CLOSE once more, then RESTART
 *      PART -broken, of an upload that probes-> RESUME -> PART
 *      an upload that notifies: -> NOTIFY -> DONE, in place of DONE; nothing that happens there repeats the upload
 *
 * The caller asks walk_next until it says WAIT, sends what it says, and reports each end with walk_answer or walk_broken. Times are us, monotonic.
 * Tries: each request has WALK_TRIES of its own; failures of several parts within one back-off are one blow, and WALK_TRIES blows without a part
 * getting through end the walk; what is locked (FAULT_CONFLICT) gets WALK_TRIES_LOCKED. Learned corrections (VERDICT_AGAIN) are free, up to WALK_AGAIN.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "dest/dest.h"

#define WALK_TRIES 3
#define WALK_TRIES_LOCKED 8     /* of FAULT_CONFLICT: about a minute */
#define WALK_PAGES 10000        /* requests of one phase: longer lists have no end */
#define WALK_AGAIN 4            /* corrections of one request: region, clock, style and a feature */

typedef enum {
    STEP_WAIT,                  /* nothing to do until an answer, a digest or step.at_us */
    STEP_HASH,                  /* compute the digests of step.part, then walk_hashed */
    STEP_ASK,                   /* send step.phase (and step.part), then walk_answer or walk_broken */
    STEP_DONE,                  /* the object is there and as verified as it gets */
    STEP_RESTART,               /* walk.error says why: abort the upload id, if any, and begin anew */
    STEP_FAILED,                /* walk.error */
} StepKind;

typedef struct {
    StepKind kind;
    Phase    phase;
    unsigned part;
    int64_t  at_us;             /* WAIT: when a retry is due; 0 = only an answer helps */
} Step;

typedef enum { PART_IDLE, PART_HASHING, PART_READY, PART_OUT, PART_DONE } PartState;

typedef struct {
    PartState state;
    unsigned  tries, agains;
    int64_t   not_before_us;
} WalkPart;

typedef struct {
    Phase     phase;            /* where the walk is; N_PHASES = over */
    bool      out;              /* the one request of a phase other than PART is out */
    unsigned  tries, agains, pages;
    int64_t   not_before_us;
    WalkPart *parts;            /* n_parts of the upload; NULL until planned */
    unsigned  n_parts, max_out, n_out, n_hashing, first_open;
    unsigned  blows;            /* failures of parts in a row, those of one moment counted once: an outage hits all parts that are out */
    int64_t   hold_us;          /* no part goes before that, while blows > 0 */
    unsigned  digests;          /* kinds that a part needs; 0 = parts are sent unread */
    bool      verify;           /* the person wants proof */
    bool      serial, probe;    /* of the upload: see dest.h */
    uint64_t  probed_bytes;     /* what the server had when it was last asked: more is progress */
    bool      has_open, has_find, has_resume, has_close, has_verify, has_notify, closed_unknown, close_again;
    unsigned  lost_opens;       /* OPEN was sent and its answer lost: each time what it may have left there is looked for */
    StepKind  end;              /* once over: DONE, RESTART or FAILED */
    GError   *error;
} Walk;

typedef enum { WALK_NEW, WALK_FIND, WALK_RESUME, WALK_CLOSE, WALK_NOTIFY } WalkBegin;

/* up is planned (and for RESUME and CLOSE carries upload id and known parts). verify: run VERIFY when nothing so far proved the object. */
void walk_init(Walk *w, const DestOps *ops, const Upload *up, WalkBegin begin, unsigned parts_at_once, unsigned digests, bool verify);
/* LOOK is through and up was planned anew with what it taught. To be followed by walk_answer. */
void walk_replanned(Walk *w, const DestOps *ops, const Upload *up, unsigned parts_at_once);
void walk_clear(Walk *w);

Step walk_next(Walk *w, const Upload *up, int64_t now_us);
/* The caller did as STEP_HASH said and put the digest into up->parts[part]. */
void walk_hashed(Walk *w, const Upload *up, unsigned part);
/* An answer was read. error is taken (may be NULL). retry_after_ms -1 = not told. */
void walk_answer(Walk *w, const Upload *up, Phase phase, unsigned part, Verdict verdict, GError *error, int64_t retry_after_ms, double random01, int64_t now_us);
/* No answer: network fault, taken. free_retry: not a try. */
void walk_broken(Walk *w, Phase phase, unsigned part, GError *error, bool free_retry, double random01, int64_t now_us);
/* The request was withdrawn by us (pause of a part, slots lowered): as if never sent. */
void walk_withdrawn(Walk *w, Phase phase, unsigned part);
/* Ends the walk from outside: the source changed or cannot be read. error is taken. */
void walk_fail(Walk *w, GError *error);
/* Whatever waits for its next try goes at once. */
void walk_hurry(Walk *w);
/* Something is waiting for a retry: attempt number and when. */
bool walk_retrying(const Walk *w, unsigned *tries_out, int64_t *at_us_out);
