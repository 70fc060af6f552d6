/* fault.h - every failure that a person can see, as one table.
 *
 * A fault is a GError of domain FAULT: the code is a row of the table, the message is the cause ("403 AccessDenied: ...").
 * The row says who can cure it and how; the remedy is text for the person at the screen. Nothing else in hoist decides
 * whether a failure is worth a retry.
 * Threads: fault_set and the look-ups may be called from any thread; call fault_quark() once before threads start.
 */
#pragma once

#include <glib.h>

typedef enum {
    FAULT_NONE = 0,
    /* network */
    FAULT_RESOLVE,          /* host name not found */
    FAULT_CONNECT,          /* refused or unreachable */
    FAULT_STALLED,          /* no byte moved for too long, or no answer */
    FAULT_BROKEN,           /* connection cut or reset */
    FAULT_TLS,              /* handshake failed */
    FAULT_CERT,             /* certificate not trusted */
    FAULT_PROXY,
    /* the server asks for time */
    FAULT_SLOW_DOWN,
    FAULT_SERVER,           /* 5xx, InternalError */
    FAULT_BAD_ANSWER,       /* not what the protocol says: no XML, 50 MB long, missing field */
    FAULT_CONFLICT,         /* another write runs on the same key */
    /* who we are */
    FAULT_CLOCK,
    FAULT_SIGNATURE,        /* wrong secret */
    FAULT_UNKNOWN_KEY,
    FAULT_EXPIRED,          /* session token or grant ended */
    FAULT_DENIED,
    FAULT_NO_CREDENTIALS,
    FAULT_SIGN_IN,          /* an application does not know us, or lets us do nothing */
    FAULT_GRANT,            /* the store refuses what an application granted */
    /* where it goes */
    FAULT_NO_BUCKET,
    FAULT_REGION,
    FAULT_ENDPOINT,         /* URL, redirect or style that cannot work */
    FAULT_QUOTA,
    FAULT_UNSUPPORTED,      /* the store lacks what was asked for */
    FAULT_REFUSED,          /* 4xx that names this request */
    /* this object */
    FAULT_TOO_LARGE,
    FAULT_EXISTS,
    FAULT_KEY,              /* the store cannot take this name */
    FAULT_QUEUED,           /* queued already, but otherwise than asked for now */
    FAULT_CHECKSUM,         /* server's digest differs from ours */
    FAULT_SIZE,             /* server's size differs from ours */
    FAULT_UPLOAD_GONE,      /* upload id unknown to the server */
    FAULT_PART,             /* a part is missing or unknown at completion */
    FAULT_NOT_ANNOUNCED,    /* the object is there, but the application was not told */
    /* the source */
    FAULT_SOURCE_MISSING,
    FAULT_SOURCE_DENIED,
    FAULT_SOURCE_CHANGED,
    FAULT_TYPE,             /* its content is of no type that --types names */
    FAULT_SOURCE_SPECIAL,   /* socket, FIFO, device, symlink loop */
    FAULT_SOURCE_IO,
    /* this machine */
    FAULT_SPOOL_FULL,
    FAULT_STORE_FULL,
    FAULT_STORE_READONLY,
    FAULT_STORE_CORRUPT,
    FAULT_STORE_NEWER,
    FAULT_STORE_LOCKED,
    FAULT_STORE_IO,
    FAULT_MEMORY,
    FAULT_IMAGE,            /* picture cannot be read or its worker died */
    FAULT_WORKER,           /* the worker for pictures does not run at all */
    /* the person */
    FAULT_USAGE,            /* option or argument */
    FAULT_CONFIG,           /* line of a configuration file */
    FAULT_CANCELLED,
    FAULT_BUG,              /* ours */
    N_FAULTS
} FaultCode;

typedef enum {
    CURE_TIME,              /* tried again by itself, with back-off */
    CURE_RENEW,             /* sign or ask again with something fresh, once; then as CURE_USER */
    CURE_RESTART,           /* the file starts over by itself, from its first byte */
    CURE_USER,              /* somebody has to act */
} FaultCure;

typedef enum {
    SCOPE_FILE,             /* says something about this file only */
    SCOPE_DEST,             /* three in a row pause the destination */
    SCOPE_ALL,              /* nothing can go on: store, disk */
} FaultScope;

typedef struct {
    const char *name;       /* "clock-skew": stable, in JSON and the store */
    FaultCure   cure;
    FaultScope  scope;
    const char *remedy;     /* one sentence for the person; never NULL */
} FaultInfo;

#define FAULT (fault_quark())

GQuark fault_quark(void);

/* Row of a code; codes outside the table give FAULT_BUG's row. */
const FaultInfo *fault_info(int code);

/* Code of a name ("clock-skew"), or FAULT_NONE. */
FaultCode fault_by_name(const char *name);

/* Sets *error (may be NULL) to the fault with a printf-like cause. Does not overwrite an error already set. */
void fault_set(GError **error, FaultCode code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* The fault of an errno met while reading the source: missing, denied, special or io. The cause is "WHAT: strerror". */
void fault_set_source_errno(GError **error, int errnum, const char *what);

/* Code of a GError: its row when the domain is FAULT, else FAULT_BUG. NULL gives FAULT_NONE. */
FaultCode fault_code(const GError *error);
