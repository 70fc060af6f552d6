/* multipart.h - the multipart conversation of S3-like stores: plan, queries, the document that completes, what their lists say.
 *
 * S3 and OSS differ in how a request is signed and in what a refusal means; what is said is the same and stands here. All of it reads and
 * fills in the Upload of dest.h; answers come as S3Answer and are no errors. Strings returned are the caller's. Threads: engine thread only.
 * Sources: S3 API Reference and Alibaba Cloud OSS API reference, CreateMultipartUpload (InitiateMultipartUpload), UploadPart, ListParts,
 * ListMultipartUploads, CompleteMultipartUpload.
 */
#pragma once

#include "s3_answers.h"

#define MULTIPART_PAGE_ITEMS "1000"

/* Is the option part-size one that the store takes? FAULT_USAGE. store: "S3". */
bool    multipart_check_part_size(const DestConf *conf, uint64_t part_min_bytes, const char *store, GError **error);
/* Whole up to 16 MiB, in parts above: of whole MiB, unless the store takes less and less is wanted. FAULT_TOO_LARGE, FAULT_KEY, FAULT_USAGE. */
bool    multipart_plan(Upload *up, uint64_t part_size_wanted, uint64_t part_min_bytes, const char *store, GError **error);
bool    multipart_has_id(const Upload *up, GError **error);         /* FAULT_BUG when not */

/* Query that names the upload, and the part when it is not 0. */
char   *multipart_query(const Upload *up, unsigned part_number);
/* Queries of FIND (list_marker is "KEY\nUPLOAD ID") and RESUME ("MARKER COVERED": parts up to number COVERED have been compared). */
char   *multipart_find_query(const Upload *up);
char   *multipart_resume_query(const Upload *up);
/* Document that completes; NULL and FAULT_BUG when a part is missing. xml_namespace NULL = none. With checksum_element each part has the
 * digest of this kind in an element of this name, where it is known. */
GBytes *multipart_complete(const Upload *up, const char *xml_namespace, const char *checksum_element, DigestKind kind, GError **error);

/* The id of a new upload, from InitiateMultipartUploadResult. */
Verdict multipart_opened(const DestCtx *ctx, Upload *up, const S3Answer *a, GError **error);
/* One page of uploads: those of this key that were begun when ours was go to up->found. OK or MORE. */
Verdict multipart_found(const DestCtx *ctx, Upload *up, const S3Answer *a);
/* Does this row of a list of parts tell another digest than ours? */
typedef bool (*MultipartDiffers)(const S3Answer *a, unsigned row, const DigestSet *digest);
/* One page of parts: a part counts when its size is right and nothing contradicts what is known of it. OK or MORE. */
Verdict multipart_resumed(Upload *up, const S3Answer *a, MultipartDiffers differs);
/* The store does not list: OK, with a note, and the endpoint is not asked again. */
Verdict multipart_find_refused(const DestCtx *ctx, Upload *up);
Verdict multipart_resume_refused(const DestCtx *ctx, Upload *up);
/* Is what was aborted gone? Also when it was never there, or when the store cannot abort, which is noted. */
bool    multipart_aborted(Upload *up, const S3Answer *a);
