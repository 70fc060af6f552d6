#include "s3_priv.h"

static Request *list_request(const DestCtx *ctx, const char *key, const char *query)
{
    Request *rq = s3_request(ctx, "GET", key, query);
    rq->answer_max = ANSWER_MAX_LIST;
    s3_sign(ctx, rq, SIGV4_EMPTY);
    return rq;
}

/* ---- FIND: uploads of this key whose id was lost */

bool s3_ask_find(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part, (void)error;
    g_autofree char *query = multipart_find_query(up);
    *rq_out = list_request(ctx, NULL, query);
    return true;
}

Verdict s3_read_find(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    g_autoptr(S3Answer) a = s3_answer_new(rs, "ListMultipartUploadsResult");
    if (a->is_error && skew_not_allowed(ctx, a, rs))
        return multipart_find_refused(ctx, up);
    if (a->is_error && g_strcmp0(a->code, "NoSuchUpload") == 0)
        return VERDICT_OK; /* rclone says so of a bucket that never had any */
    if (a->is_error)
        return s3_failed(ctx, up, a, rs, error);
    skew_learn(ctx, rs);
    return multipart_found(ctx, up, a);
}

/* ---- RESUME: which parts the store has */

bool s3_ask_resume(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    if (!multipart_has_id(up, error))
        return false;
    g_autofree char *query = multipart_resume_query(up);
    *rq_out = list_request(ctx, up->key, query);
    return true;
}

static bool checksum_differs(const S3Answer *a, unsigned row, const DigestSet *digest)
{
    for (unsigned k = 0; digest != NULL && k < N_DIGESTS; k++) {
        g_autofree char *element = s3_checksum_element(k);
        const char *told = body_row_field(a->body, row, element);
        g_autofree char *ours = told == NULL ? NULL : digest_base64(digest, k);
        if (ours != NULL && !g_str_equal(told, ours))
            return true;
    }
    return false;
}

static Verdict resume_failed(const DestCtx *ctx, Upload *up, S3Answer *a, const Response *rs, GError **error)
{
    if (skew_not_allowed(ctx, a, rs))
        return multipart_resume_refused(ctx, up);
    if (a->status == 404 && (a->code == NULL || g_str_equal(a->code, "NoSuchKey"))) {
        a->class = S3_RESTART_UPLOAD;
        a->fault = FAULT_UPLOAD_GONE;
    }
    return s3_failed(ctx, up, a, rs, error);
}

Verdict s3_read_resume(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    g_autoptr(S3Answer) a = s3_answer_new(rs, "ListPartsResult");
    if (a->is_error)
        return resume_failed(ctx, up, a, rs, error);
    skew_learn(ctx, rs);
    return multipart_resumed(up, a, checksum_differs);
}
