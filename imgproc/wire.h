/* wire.h - what goes over the socket pair between hoist and a picture worker; no libvips in it.
 *
 * SOCK_SEQPACKET: one message a packet, so nothing is ever half read. Plain structs in host order: both ends run on one machine, and the
 * version refuses a worker of another build. A WireJob carries two descriptors (SCM_RIGHTS): the source, read-only, and the target,
 * write-only and empty. The worker answers each job with any number of WireProgress and one WireResult; closing the socket ends it.
 * Neither end trusts the other: wire_recv checks kind, version, length, ranges and text before anyone looks.
 * Threads: any; a socket belongs to one thread at each end. Descriptors received are close-on-exec and owned by the caller.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "recipe.h"

enum {
    WIRE_VERSION = 1,
    WIRE_DONE_MAX = 80,  /* bytes of "webp q80 1920x1280, 2 encodes" with the NUL */
    WIRE_NOTE_MAX = 200, /* bytes of a note with the NUL */
};

typedef enum { WIRE_JOB = 1, WIRE_PROGRESS, WIRE_RESULT } WireKind;

typedef enum {
    WIRE_MADE = 1, /* the target holds the new picture */
    WIRE_AS_IS,    /* the original is to be sent; note says why, the target stays empty */
    WIRE_NO_SPACE, /* the target could not be written; errnum says why */
} WireOutcome;

typedef enum { WIRE_FORMAT_NONE, WIRE_WEBP, WIRE_JPEG } WireFormat;

typedef struct {
    uint32_t magic;
    uint16_t version;
    uint16_t kind; /* WireKind */
    uint32_t job;  /* chosen by hoist, repeated by the worker */
} WireHead;

typedef struct {
    WireHead head;
    uint32_t deadline_ms; /* the worker gives up by itself after this time */
    char recipe[RECIPE_TEXT_MAX];
} WireJob;

typedef struct {
    WireHead head;
    uint32_t percent; /* 0..100 */
} WireProgress;

typedef struct {
    WireHead head;
    uint16_t outcome; /* WireOutcome */
    uint16_t format;  /* WireFormat */
    uint32_t errnum;  /* WIRE_NO_SPACE only */
    uint64_t bytes;   /* written to the target */
    char done[WIRE_DONE_MAX];
    char note[WIRE_NOTE_MAX]; /* "" = none */
} WireResult;

typedef union {
    WireHead head;
    WireJob job;
    WireProgress progress;
    WireResult result;
} WireMessage;

typedef enum {
    WIRE_GOT,    /* *message_out is valid */
    WIRE_AGAIN,  /* nothing there (non-blocking socket) */
    WIRE_CLOSED, /* the other end is gone */
    WIRE_BAD,    /* not what the protocol says: give the other end up */
} WireGot;

/* A pair of connected sockets, both close-on-exec. False and errno on failure. */
bool wire_pair(int sockets_out[2]);
/* These fill in the head; job and text come from the caller. False and errno when the other end is gone (never a SIGPIPE). */
bool wire_send_job(int sock, WireJob *job, int source_fd, int target_fd);
bool wire_send_progress(int sock, uint32_t job, unsigned percent);
bool wire_send_result(int sock, WireResult *result);
/* One message; fds_out gets the two descriptors of a job, else -1. Nothing is left open unless WIRE_GOT. */
WireGot wire_recv(int sock, WireMessage *message_out, int fds_out[2]);
/* Copies text as valid UTF-8 of one line without control characters, cut to size bytes with the NUL. */
void wire_set_text(char *field, unsigned size, const char *text);
