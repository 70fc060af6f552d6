/* form.h - multipart/form-data bodies as spans: the fields in memory, the file straight from the disk, the closing line.
 *
 * Sources: RFC 7578; HTML, "multipart/form-data encoding algorithm" (quotes and line ends in names are percent-encoded).
 * The boundary is made of seed (the upload's nonce), so that the same upload gives the same body; the caller passes a seed that is no secret
 * and that the file cannot know. Threads: reentrant.
 */
#pragma once

#include "dest.h"

typedef struct Form Form;

Form *form_new(const char *seed);
void  form_free(Form *form);
void  form_field(Form *form, const char *name, const char *value);             /* in the order of the calls */
/* Ends the form with the file as its last part and puts everything into rq: spans and Content-Type. content_type NULL leaves the part's type
 * out; length 0 is an empty file. filename: bytes; NULL = no filename. */
void  form_file(Form *form, Request *rq, const char *name, const char *filename, const char *content_type, uint64_t offset, uint64_t length);
/* Ends the form without a file. */
void  form_end(Form *form, Request *rq);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Form, form_free)
