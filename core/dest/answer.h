/* answer.h - what a refusal means where a protocol has no words of its own for it: by status alone, or by a table of the protocol.
 *
 * Rows of a protocol's table come first; the first that fits counts. Then the common meaning of the status (RFC 9110, RFC 6585, RFC 4918).
 * Words of servers are made harmless, bounded, and freed of secrets and of the queries of URLs before a person sees them.
 * Threads: reentrant.
 */
#pragma once

#include "dest.h"

#define ANSWER_MAX_CAUSE_BYTES 300

typedef struct {
    int         status;         /* 0 = any */
    const char *word;           /* found in code or message, ASCII case folded; NULL = any */
    Verdict     verdict;
    FaultCode   fault;
    const char *hint;           /* added to the cause; static; NULL = none */
} AnswerRow;

/* Verdict of an answer that is no success; sets *error. rows: ends with a row of verdict 0, fault 0 and status 0; NULL = the common table alone.
 * code, message: of the server; NULL = not told. secrets of creds (may be NULL) are cut out. */
Verdict answer_failed(const AnswerRow *rows, const Response *rs, const char *code, const char *message, const Credentials *creds, GError **error);
/* "403 AccessDenied: words (request ID)". Caller frees. */
char   *answer_cause(int status, const char *code, const char *message, const char *request_id, const Credentials *creds);
/* "403 AccessDenied: words - hint (request ID)"; hint NULL = none. Caller frees. */
char   *answer_cause_hint(int status, const char *code, const char *message, const char *hint, const char *request_id, const Credentials *creds);
/* A server's text alone: printable, one line, at most so long, without signatures, queries of URLs and secrets. Caller frees. */
char   *answer_words(const char *text, size_t max_bytes, const Credentials *creds);
/* When the server's Date is more than this far from now, signatures fail for that reason: sets the learned offset, once. */
#define ANSWER_CLOCK_LEEWAY_S 60
bool    answer_learn_clock(const DestCtx *ctx, const Response *rs);
