#include "s3_priv.h"

#include <string.h>

/* ---- digests as S3 spells them */

char *s3_checksum_element(DigestKind kind)
{
    g_autofree char *name = g_ascii_strup(digest_name(kind), -1);
    return g_strconcat("Checksum", name, NULL);
}

static char *full_checksum(const Upload *up, DigestKind kind)
{
    DigestSet set = { .have = DIGEST_BIT(kind) };
    return upload_object_digest(up, kind, set.value[kind]) ? digest_base64(&set, kind) : NULL;
}

static char *composite_checksum(const Upload *up, DigestKind kind)
{
    g_autoptr(Digest) d = digest_new(DIGEST_BIT(kind));
    for (unsigned i = 0; i < up->n_parts; i++) {
        const DigestSet *set = up->parts[i].digest;
        if (set == NULL || (set->have & DIGEST_BIT(kind)) == 0)
            return NULL;
        digest_update(d, set->value[kind], digest_bytes(kind));
    }
    DigestSet of_parts;
    digest_finish(d, &of_parts);
    g_autofree char *base64 = digest_base64(&of_parts, kind);
    return g_strdup_printf("%s-%u", base64, up->n_parts);
}

char *s3_object_checksum(const Upload *up, DigestKind kind, bool composite)
{
    return composite ? composite_checksum(up, kind) : full_checksum(up, kind);
}

/* ---- what the store says */

static const char *told_checksum(const Response *rs, const S3Answer *a, DigestKind kind)
{
    g_autofree char *header = g_strconcat("x-amz-checksum-", digest_name(kind), NULL);
    const char *value = response_header(rs, header);
    if (value != NULL || a == NULL)
        return value;
    g_autofree char *element = s3_checksum_element(kind);
    return s3_answer_field(a, element);
}

Proof s3_prove_part(const Response *rs, DigestKind kind, const DigestSet *digest)
{
    const char *told = told_checksum(rs, NULL, kind);
    g_autofree char *ours = told == NULL || digest == NULL ? NULL : digest_base64(digest, kind);
    if (ours == NULL)
        return PROOF_NONE;
    return g_str_equal(told, ours) ? PROOF_CHECKSUM : PROOF_WRONG;
}

static Proof prove_by_checksum(Upload *up, DigestKind kind, const char *told, bool own_echo)
{
    const char *dash = told == NULL ? NULL : strrchr(told, '-');
    if (told == NULL || (dash != NULL && g_ascii_strtoull(dash + 1, NULL, 10) != up->n_parts)) /* cut into other parts */
        return PROOF_NONE;
    g_autofree char *ours = s3_object_checksum(up, kind, dash != NULL);
    if (ours == NULL)
        return PROOF_NONE;
    if (!g_str_equal(told, ours))
        return PROOF_WRONG;
    if (own_echo)
        return PROOF_NONE;
    g_free(up->checksum);
    up->checksum = g_strdup_printf("%s:%s", digest_name(kind), ours);
    return PROOF_CHECKSUM;
}

/* Learned state of MD5: WORKS = ETags of whole objects were seen to be their MD5; IGNORED = an ETag was something else, so that computing
 * MD5 buys nothing here. ETags of parts differ between stores without anything being wrong, so a strange one proves nothing. */
static Proof prove_by_etag(const DestCtx *ctx, const Upload *up, const Response *rs, const char *etag)
{
    LearnedState *seen = &ctx->learned->checksum[DIGEST_MD5];
    g_autofree char *md5 = s3_etag_md5(etag, rs);
    g_autofree char *expected = upload_expected_etag(up);
    if (md5 == NULL || expected == NULL)
        return PROOF_NONE;
    if (s3_etag_equal(md5, expected)) {
        if (!up->multipart && *seen != LEARNED_WORKS) {
            *seen = LEARNED_WORKS;
            ctx->learned->dirty = true;
        }
        return PROOF_ETAG;
    }
    const bool encrypted = response_header(rs, "x-amz-server-side-encryption") != NULL;
    const bool whole = !up->multipart && strchr(md5, '-') == NULL;
    return whole && *seen == LEARNED_WORKS && !encrypted ? PROOF_WRONG : PROOF_NONE;
}

void s3_learn_etag(const DestCtx *ctx, const DigestSet *digest, const Response *rs, const char *etag)
{
    LearnedState *seen = &ctx->learned->checksum[DIGEST_MD5];
    const bool encrypted = response_header(rs, "x-amz-server-side-encryption") != NULL ||
                           response_header(rs, "x-amz-server-side-encryption-customer-algorithm") != NULL;
    if (*seen != LEARNED_UNKNOWN || etag == NULL || encrypted)
        return; /* what encryption makes of ETags says nothing of the next object */
    g_autofree char *md5 = s3_etag_md5(etag, rs);
    const bool shaped = md5 != NULL && strchr(md5, '-') == NULL, hashed = digest != NULL && (digest->have & DIGEST_BIT(DIGEST_MD5)) != 0;
    g_autofree char *ours = hashed ? digest_hex(digest->value[DIGEST_MD5], digest_bytes(DIGEST_MD5)) : NULL;
    if (shaped && (ours == NULL || s3_etag_equal(md5, ours)))
        return;
    *seen = LEARNED_IGNORED;
    ctx->learned->dirty = true;
}

/* A store that ignores a checksum may still keep the header and hand it back by HEAD (rclone does): it then repeats us, and proves nothing.
 */
static bool is_own_echo(const DestCtx *ctx, DigestKind kind)
{
    DigestKind sent;
    const LearnedState state = ctx->learned->checksum[kind];
    if (state == LEARNED_UNKNOWN)
        return s3_sent_checksum(ctx, &sent) && sent == kind;
    return state != LEARNED_WORKS;
}

Proof s3_prove(const DestCtx *ctx, Upload *up, const Response *rs, const S3Answer *a, const char *etag)
{
    Proof best = PROOF_NONE;
    for (unsigned k = 0; k < N_DIGESTS && best != PROOF_WRONG; k++) {
        if (k == DIGEST_MD5)
            continue;
        const Proof proof = prove_by_checksum(up, k, told_checksum(rs, a, k), is_own_echo(ctx, k));
        best = MAX(best, proof);
    }
    return best == PROOF_NONE ? prove_by_etag(ctx, up, rs, etag) : best;
}

/* ---- LOOK */

bool s3_ask_look(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part, (void)error;
    Request *rq = s3_request(ctx, "HEAD", up->key, NULL);
    s3_sign(ctx, rq, SIGV4_EMPTY);
    *rq_out = rq;
    return true;
}

/* A key that may not look goes on: If-None-Match still stands guard. */
Verdict s3_read_look(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    g_autoptr(S3Answer) a = s3_answer_new(rs, NULL);
    if (!a->is_error) {
        skew_learn(ctx, rs);
        fault_set(error, FAULT_EXISTS, "an object with this key is there already");
        return VERDICT_FAIL;
    }
    return a->status == 404 || skew_not_allowed(ctx, a, rs) ? VERDICT_OK : s3_failed(ctx, up, a, rs, error);
}

/* ---- VERIFY */

bool s3_ask_verify(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part, (void)error;
    DigestKind kind;
    Request *rq = s3_request(ctx, "HEAD", up->stored_key != NULL ? up->stored_key : up->key, NULL);
    if (s3_sent_checksum(ctx, &kind) && kind != DIGEST_MD5)
        request_header(rq, "x-amz-checksum-mode", "ENABLED");
    s3_sign(ctx, rq, SIGV4_EMPTY);
    *rq_out = rq;
    return true;
}

static Verdict verify_failed(const DestCtx *ctx, Upload *up, S3Answer *a, const Response *rs, GError **error)
{
    if (a->status == 404 && g_strcmp0(a->code, "NoSuchBucket") != 0)
        return stored_not_there(error);
    if (!skew_not_allowed(ctx, a, rs))
        return s3_failed(ctx, up, a, rs, error);
    g_autofree char *cause = s3_answer_cause(a, ctx->creds);
    return stored_not_shown(up, cause, "s3:GetObject", error);
}

Verdict s3_read_verify(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    g_autoptr(S3Answer) a = s3_answer_new(rs, NULL);
    if (a->is_error)
        return verify_failed(ctx, up, a, rs, error);
    skew_learn(ctx, rs);

    const Proof proof = s3_prove(ctx, up, rs, NULL, response_header(rs, "etag"));
    const Verdict verdict = stored_judge(up, rs, S3_NONCE_HEADER, proof, error);
    if (verdict == VERDICT_OK && up->version == NULL)
        up->version = g_strdup(response_header(rs, "x-amz-version-id"));
    return verdict;
}
