/* session.h - roads that nobody names by --to (but azure): a broker's grant leads there, and calls these rows phase by phase.
 *
 *      dest_gcs          session.c  Google Cloud Storage: a session URI, one PUT or pieces, 308 says how much was kept
 *      dest_ranged       session.c  the same without a start: upload sessions of Microsoft Graph (OneDrive, SharePoint)
 *      dest_azure        azure.c    Azure Blob Storage by SAS: Put Blob, or blocks and their list
 *      dest_chunks       chunks.c   Cloudinary's form in chunks: X-Unique-Upload-Id and Content-Range
 *      dest_uploadthing  chunks.c   UploadThing: PUT of a form, goes on where HEAD says
 *
 * What the broker does, and what these rows expect:
 * - up->grant holds url, headers and fields as the application gave them; values may name "file_field" of a form ("file" if not).
 * - A grant is needed by OPEN of gcs, ranged and uploadthing, and by every request of azure and chunks. Once the session is known
 *   (up->upload_id, a secret URL) gcs, ranged and uploadthing need none.
 * - own_ids of a row says that its uploads are named by their nonce: the broker sets upload_id to it.
 * - FAULT_EXPIRED asks for a new grant: with VERDICT_AGAIN the same request goes out again with it. VERDICT_RESTART with
 *   FAULT_UPLOAD_GONE: the session itself has ended, all begins anew.
 *
 * Sources: Cloud Storage, "Resumable uploads"; Microsoft Graph, "createUploadSession"; Azure, "Put Blob",
 * "Put Block", "Put Block List", "Get Block List"; Cloudinary, "Chunked asset upload". Threads: engine thread only.
 */
#pragma once

#include "dest.h"

extern const DestOps dest_gcs, dest_ranged, dest_azure, dest_chunks, dest_uploadthing;

/* ---- what these files share: session_common.c ---- */

/* FAULT_EXPIRED, VERDICT_AGAIN when a new grant may come; final for a person's own secret. */
Verdict session_expired(const Upload *up, const char *cause, GError **error);
/* The server has the first `kept` bytes: marks parts as done, and how much of the next one is there. The last one is only done when the
 * server says that the object is. */
void    session_kept(Upload *up, uint64_t kept);
/* What an application hands out for this file must hold nothing yet: bytes of another one, or of its version before, would become a part of
 * it, where no checksum tells. FAULT_GRANT. */
bool    session_is_empty(uint64_t kept, GError **error);
/* What the server has in front without a gap, as far as it is known here. */
uint64_t session_front(const Upload *up);
/* Plans parts of a multiple of unit; wanted 0 = usual. One part at a time, and a break is probed. */
void    session_plan(Upload *up, uint64_t wanted, uint64_t usual, uint64_t unit, uint64_t most);
/* "bytes A-B/TOTAL" of length bytes from offset. Caller frees. */
char   *session_range(uint64_t offset, uint64_t length, uint64_t total);
/* "bytes=0-99", "0-99", "100-": the number in front of or behind the dash; false when it is none. */
bool    session_range_begin(const char *text, uint64_t *begin_out);
bool    session_range_end(const char *text, uint64_t *end_out);
/* Sets upload_id to the URL of a session, absolute against base; no step down from https to http. */
bool    session_take_url(const DestCtx *ctx, Upload *up, const char *base, const char *url, GError **error);
/* The grant's headers as they are. */
void    session_grant_headers(const Upload *up, Request *rq);
bool    session_has_grant(const Upload *up, GError **error);           /* FAULT_BUG when not */
