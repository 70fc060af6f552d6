/* flight.h - one request on one curl easy handle: its options, its callbacks, and what became of it. Internal to the transfer module.
 *
 * A flight is kept and used again for the next request when the last one ended cleanly. Threads: its lane's only.
 * Source: libcurl 7.88 manual pages (CURLOPT_READFUNCTION, _SEEKFUNCTION, _UPLOAD, _POSTFIELDS, _XFERINFOFUNCTION).
 */
#pragma once

#include <curl/curl.h>

#include "lane.h"

#define FLIGHT_SMALL_BYTES (64 * 1024)          /* bodies up to here leave together with their header, in one send */
#define FLIGHT_EXPECT_BYTES (1024 * 1024)       /* larger bodies wait for "100 Continue" */
#define FLIGHT_HEADER_MAX_BYTES (64 * 1024)     /* of one answer, interim answers included */

struct Flight {
    /* fixed after new */
    Lane *lane;
    CURL *easy;
    char  why[CURL_ERROR_SIZE];
    /* kept from one request to the next */
    const char *method;
    int         kind;
    /* this request */
    TransferJob       *job;
    unsigned           index;           /* in the lane's list */
    struct curl_slist *headers;         /* array; its strings are the request's */
    guint8            *gathered;        /* small body of several spans or of a file */
    uint64_t           pos;             /* of the body: next byte to read */
    uint64_t           granted;         /* allowance given when its turn came */
    uint64_t           asked;           /* of the file: up to here the kernel was told to read */
    int                socket;          /* its connection, -1 = none known */
    bool               held;            /* the token bucket holds it back */
    bool               rewound, expecting, may_go;      /* may_go: "100 Continue" came */
    int64_t            sampled_us;
    /* the answer */
    Response *rs;
    int       status;                   /* of the last status line, 1xx included */
    bool      headed;                   /* the header of the final answer is complete */
    size_t    header_bytes;
    GError   *error;                    /* why one of our callbacks ended it */
};

Flight *flight_new(Lane *lane);
void    flight_free(Flight *f);
/* Sets the handle up for job->rq. False: the source could not be read; flight_end tells. */
bool    flight_prepare(Flight *f, TransferJob *job);
/* Call while the handle is still in the multi. stalled: ended by the lane, code is of no meaning. *again_out: it may be used again. */
TransferAnswer *flight_end(Flight *f, CURLcode code, bool stalled, bool *again_out);
void    flight_reset(Flight *f);                /* forgets the request */
char   *flight_host(const Flight *f);             /* "host:port" of its URL, for texts; caller frees */
void    flight_sample(Flight *f);               /* acknowledged bytes, from the socket */
bool    flight_all_sent(const Flight *f);
bool    flight_waits(const Flight *f);          /* all sent and no answer yet */
/* The fault of a curl result (libcurl handbook: libcurl-errors(3)); for flight_end. */
void    flight_fault(const Flight *f, CURLcode code, bool stalled, GError **error);
