/* policy.h - POST policies: the fields of a form, and the conditions that must cover each of them, written together.
 *
 * Sources: S3 API Reference, "POST Policy"; OSS documentation, "PostObject". Owned: a Policy borrows its form. Threads: reentrant.
 */
#pragma once

#include "form.h"

typedef struct Policy Policy;

/* expiration: "2026-01-15T10:30:00Z", by the server's clock. */
Policy *policy_new(Form *form, const char *expiration);
void    policy_free(Policy *p);                                                     /* NULL is fine */
void    policy_condition(Policy *p, const char *name, const char *value);           /* {"name": "value"} */
void    policy_field(gpointer p, const char *name, const char *value);              /* the same, and the form's field; p: a Policy */
void    policy_prefix(Policy *p, const char *field, const char *prefix);            /* ["starts-with", "$key", "a/"] */
void    policy_range(Policy *p, uint64_t least_bytes, uint64_t most_bytes);         /* of the file */
/* The base64 text that is signed; nothing may be added afterwards. Caller frees. */
char   *policy_end(Policy *p);
/* When a form made now is to end: after the option token-life, or as long as the file may take. format: of g_date_time_format. Caller frees. */
char   *policy_expiration(const DestCtx *ctx, const Upload *up, const char *format);
/* Stores put the file's name in place of "${filename}" wherever it stands in a key; with this name that changes nothing. Borrows from key. */
const char *policy_file_name(const char *key);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Policy, policy_free)
