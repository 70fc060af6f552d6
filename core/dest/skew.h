/* skew.h - the clocks of this machine and of an S3-like store: what is learned of their difference, and what is laid to it.
 *
 * Source: S3 API Reference and OSS API reference, RequestTimeTooSkewed (15 minutes). Threads: engine thread only.
 */
#pragma once

#include "s3_answers.h"

/* From an answer that is no error: the clock, when it is far off. */
void    skew_learn(const DestCtx *ctx, const Response *rs);
/* A refusal without a reason, while the clocks differ. */
bool    skew_suspect(const DestCtx *ctx, const S3Answer *a, const Response *rs);
/* Learns the server's time, for the request to be signed anew; sets *error. cause: of the answer. */
Verdict skew_fix(const DestCtx *ctx, const S3Answer *a, const Response *rs, const char *cause, GError **error);
/* Refused for a reason that is about rights or the operation, not about us: 401, 403, 405, 501 without a wrong clock. */
bool    skew_not_allowed(const DestCtx *ctx, const S3Answer *a, const Response *rs);
