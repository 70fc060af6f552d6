/* fake_s3.h - the few requests of S3 that the engine makes, answered from memory, for tests. Nothing is signed or proven here: the dest
 * tests and the real servers do that. A rule may change any answer: it is asked about each request before it takes effect.
 *
 * Path style, one bucket of any name. ETags are MD5. Threads: every connection is one; all functions may be called from any. Loopback only.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct FakeS3 FakeS3;

typedef enum { FAKE_PUT, FAKE_CREATE, FAKE_PART, FAKE_COMPLETE, FAKE_ABORT, FAKE_LIST_PARTS, FAKE_LIST_UPLOADS, FAKE_HEAD, FAKE_DELETE, N_FAKE } FakeKind;

typedef struct {
    FakeKind    kind;
    const char *key;            /* of the object; NULL = of the bucket */
    const char *header;         /* whole, as it came */
    unsigned    part;           /* from 1 */
    unsigned    count;          /* requests of this kind so far, this one included */
} FakeRequest;

typedef struct {
    int         status;         /* 0 = as it is; else this answer, and nothing is done */
    const char *code;           /* of the error document */
    unsigned    hold_ms;        /* the answer waits that long, or until fake_s3_let_go */
    bool        cut;            /* done, but the connection is closed in place of the answer */
    bool        cut_before;     /* the same, and nothing is done */
} FakeRule;

typedef FakeRule (*FakeRules)(const FakeRequest *rq, void *ctx);        /* from the connection's thread, one at a time */

FakeS3  *fake_s3_new(void);
void     fake_s3_free(FakeS3 *f);
char    *fake_s3_url(const FakeS3 *f);
void     fake_s3_rules(FakeS3 *f, FakeRules rules, void *ctx);
void     fake_s3_let_go(FakeS3 *f);                     /* nothing is held any more */
GBytes  *fake_s3_object(FakeS3 *f, const char *key);    /* NULL = not there */
unsigned fake_s3_objects(FakeS3 *f);
unsigned fake_s3_uploads(FakeS3 *f);                    /* open ones */
unsigned fake_s3_count(FakeS3 *f, FakeKind kind);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FakeS3, fake_s3_free)
