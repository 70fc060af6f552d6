/* body.h - picks a few fields out of an XML answer.
 *
 * The answer is hostile until read: no DOCTYPE, no entities but XML's own five, and the bounds below. Elements are compared by their
 * local names, for stores leave the namespace out or invent prefixes. White space before the XML declaration is skipped (CompleteMultipart-
 * Upload sends it for minutes). A body that was cut, or is damaged somewhere, still gives what came before the damage.
 * Names may come back as they were sent, with bytes that XML does not allow: those are read as U+FFFD.
 * Owned: everything a Body points to. Threads: reentrant. Units: bytes. Expat is spoken to from body.c only.
 * Rows of WebDAV's multistatus are nested: their fields are named by path, and the n-th child of a name gets its number from the second on
 * ("href", "propstat/status", "propstat2/prop/getetag").
 * Sources: XML 1.0; S3 API Reference, "Error Responses", ListParts, ListMultipartUploads, CompleteMultipartUpload; RFC 4918, section 14.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#define BODY_MAX_BYTES  (4 * 1024 * 1024)
#define BODY_MAX_DEPTH  32
#define BODY_MAX_TEXT   8192        /* a longer field is passed over as if it were not there */
#define BODY_MAX_NAME   512         /* of a field, with the path before it; a field of a longer one is passed over too */
#define BODY_MAX_FIELDS 64          /* of the root or of one row; more are passed over */
#define BODY_MAX_ROWS   10000

typedef enum {
    BODY_EMPTY,     /* nothing, or white space */
    BODY_ALIEN,     /* not XML, or refused: DOCTYPE, too deep, too many rows, too large */
    BODY_CUT,       /* an XML document that ends, or breaks, in the middle */
    BODY_WHOLE,
} BodyState;

typedef struct {
    BodyState   state;
    char       *root;       /* local name of the root element; NULL when none was seen */
    GHashTable *fields;     /* char* -> char*: children of the root that hold text only; the first of a name counts */
    GPtrArray  *rows;       /* of GHashTable*, the same of each repeated child ("Part" of ListPartsResult) */
} Body;

/* Never NULL. Which child of which root is a row is a table in body.c. */
Body       *body_parse(const void *data, size_t bytes);
void        body_free(Body *body);
bool        body_is(const Body *body, const char *root);            /* whole, and of this root */
const char *body_field(const Body *body, const char *name);         /* NULL when absent; borrowed */
const char *body_row_field(const Body *body, unsigned row, const char *name);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Body, body_free)
