/* wire.h - what goes over the socket pair between hoist and a picture worker; no libvips in it.
 *
 * SOCK_SEQPACKET: one message a packet, so nothing is ever half read. Plain structs in host order: both ends run on one machine, and the
 * version refuses a worker of another build.
 *   worker -> hoist, once: WIRE_HELLO, when it is locked in and ready. Jobs may be sent before.
 *   hoist -> worker: WIRE_JOB with 1 + n descriptors (SCM_RIGHTS): the source, read-only, and an empty target, write-only, for each of its n
 *     recipes; or WIRE_PREVIEW with 1 + 1, the target a memory file.
 *   worker -> hoist: any number of WIRE_PROGRESS, then one WIRE_RESULT for each recipe, or one WIRE_PIXELS for a preview.
 * Closing the socket ends the worker. Neither end trusts the other: wire_recv checks kind, version, length, ranges and text before anyone looks.
 * Threads: any; a socket belongs to one thread at each end. Descriptors received are close-on-exec and owned by the caller.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "imgproc.h"
#include "recipe.h"
#include "sandbox.h"

enum {
    WIRE_VERSION = 2,
    WIRE_FDS_MAX = 1 + RECIPES_MAX,
    WIRE_LIBRARY_MAX = 32,       /* bytes of "8.14.1" with the NUL */
    WIRE_PREVIEW_EDGE_MAX = 4096,
    WIRE_SIDE_MAX = 1 << 20, /* pixels; more than any format holds */
};

typedef enum { WIRE_HELLO = 1, WIRE_JOB, WIRE_PREVIEW, WIRE_PROGRESS, WIRE_RESULT, WIRE_PIXELS } WireKind;

typedef enum {
    WIRE_MADE = 1, /* the target holds the new picture */
    WIRE_AS_IS,    /* the original is to be sent; the target stays empty */
    WIRE_FAILED,   /* it could not be done; note says why */
    WIRE_NO_SPACE, /* the target could not be written; errnum says why */
} WireOutcome;

typedef struct {
    uint32_t magic;
    uint16_t version;
    uint16_t kind; /* WireKind */
    uint32_t job;  /* chosen by hoist, repeated by the worker; 0 in a hello */
} WireHead;

typedef struct {
    WireHead head;
    uint32_t reads, writes; /* bits 1u << ImgFormat */
    SandboxFacts sandbox;
    char library[WIRE_LIBRARY_MAX]; /* version of libvips */
} WireHello;

typedef struct {
    WireHead head;
    uint32_t deadline_ms; /* of CPU time, after which the worker gives up by itself */
    uint32_t n;           /* recipes, 1..RECIPES_MAX; the others are "" */
    uint32_t clean;       /* 1: only what the one recipe's metadata drops is taken out of the source (img_clean) */
    char recipes[RECIPES_MAX][RECIPE_TEXT_MAX];
} WireJob;

typedef struct {
    WireHead head;
    uint32_t deadline_ms;
    uint32_t edge_px;    /* 1..WIRE_PREVIEW_EDGE_MAX */
    uint32_t background; /* 0xRRGGBB */
} WirePreview;

typedef struct {
    WireHead head;
    uint32_t percent; /* 0..100 */
} WireProgress;

typedef struct {
    WireHead head;
    uint8_t index;   /* of the recipe */
    uint8_t outcome; /* WireOutcome */
    uint8_t format;  /* ImgFormat; NONE unless MADE */
    uint8_t cleaned; /* 1: the source itself, less its metadata */
    uint8_t source_format;
    uint8_t quality; /* 0..100, on the recipe's scale */
    uint16_t encodes;
    uint32_t errnum; /* NO_SPACE only */
    uint32_t source_width_px, source_height_px, width_px, height_px, frames;
    uint64_t bytes; /* written to the target */
    char note[IMG_NOTE_MAX]; /* "" = none */
} WireResult;

typedef struct {
    WireHead head;
    uint32_t width_px, height_px; /* 0 and 0: there is no preview, note says why. Else the target holds 3 bytes a pixel, without padding */
    char note[IMG_NOTE_MAX];
} WirePixels;

typedef union {
    WireHead head;
    WireHello hello;
    WireJob job;
    WirePreview preview;
    WireProgress progress;
    WireResult result;
    WirePixels pixels;
} WireMessage;

/* Descriptors of a message; -1 beyond n. */
typedef struct {
    int fd[WIRE_FDS_MAX];
    unsigned n;
} WireFds;

typedef enum {
    WIRE_GOT,    /* *message_out is valid */
    WIRE_AGAIN,  /* nothing there (non-blocking socket) */
    WIRE_CLOSED, /* the other end is gone */
    WIRE_BAD,    /* not what the protocol says: give the other end up */
} WireGot;

/* A pair of connected sockets, both close-on-exec. False and errno on failure. */
bool wire_pair(int sockets_out[2]);
/* Fills in the rest of m->head, whose kind and job come from the caller as everything else does. fds stay the caller's; NULL = none. False and errno
 * when the other end is gone (never a SIGPIPE). */
bool wire_send(int sock, WireMessage *m, const WireFds *fds);
/* One message. Nothing is left open unless WIRE_GOT: fds_out is then the caller's (wire_fds_close). */
WireGot wire_recv(int sock, WireMessage *message_out, WireFds *fds_out);
void wire_fds_close(WireFds *fds);
/* Copies text as valid UTF-8 of one line without control characters, cut to size bytes with the NUL. */
void wire_set_text(char *field, unsigned size, const char *text);
