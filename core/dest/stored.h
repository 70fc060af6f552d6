/* stored.h - is the object that a store shows the one that was sent? What VERIFY of the S3-like stores has in common.
 *
 * An object counts by what is known of it: our nonce in its metadata, its size, a digest. When an answer confirmed the upload, only a contradiction
 * counts against it; when none did, only an object that is known to be ours counts. Threads: engine thread only.
 */
#pragma once

#include "dest.h"

typedef enum { PROOF_NONE, PROOF_ETAG, PROOF_CHECKSUM, PROOF_WRONG } Proof;

/* Judges the answer to HEAD, which is no error; sets verified and etag. nonce_header: lower case. */
Verdict stored_judge(Upload *up, const Response *rs, const char *nonce_header, Proof proof, GError **error);
/* HEAD says that there is no such object. */
Verdict stored_not_there(GError **error);
/* HEAD is not allowed; right: what the key lacks, "s3:GetObject". */
Verdict stored_not_shown(Upload *up, const char *cause, const char *right, GError **error);
