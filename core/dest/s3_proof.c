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

S3Proof s3_prove_part(const Response *rs, DigestKind kind, const DigestSet *digest)
{
    const char *told = told_checksum(rs, NULL, kind);
    g_autofree char *ours = told == NULL || digest == NULL ? NULL : digest_base64(digest, kind);
    if (ours == NULL)
        return S3_PROOF_NONE;
    return g_str_equal(told, ours) ? S3_PROOF_CHECKSUM : S3_PROOF_WRONG;
}

static S3Proof prove_by_checksum(Upload *up, DigestKind kind, const char *told, bool own_echo)
{
    const char *dash = told == NULL ? NULL : strrchr(told, '-');
    if (told == NULL || (dash != NULL && g_ascii_strtoull(dash + 1, NULL, 10) != up->n_parts)) /* cut into other parts */
        return S3_PROOF_NONE;
    g_autofree char *ours = s3_object_checksum(up, kind, dash != NULL);
    if (ours == NULL)
        return S3_PROOF_NONE;
    if (!g_str_equal(told, ours))
        return S3_PROOF_WRONG;
    if (own_echo)
        return S3_PROOF_NONE;
    g_free(up->checksum);
    up->checksum = g_strdup_printf("%s:%s", digest_name(kind), ours);
    return S3_PROOF_CHECKSUM;
}

/* Learned state of MD5: WORKS = ETags of whole objects were seen to be their MD5; IGNORED = an ETag was something else, so that computing
 * MD5 buys nothing here. ETags of parts differ between stores without anything being wrong, so a strange one proves nothing. */
static S3Proof prove_by_etag(const DestCtx *ctx, const Upload *up, const Response *rs, const char *etag)
{
    LearnedState *seen = &ctx->learned->checksum[DIGEST_MD5];
    g_autofree char *md5 = s3_etag_md5(etag, rs);
    g_autofree char *expected = upload_expected_etag(up);
    if (md5 == NULL || expected == NULL)
        return S3_PROOF_NONE;
    if (s3_etag_equal(md5, expected)) {
        if (!up->multipart && *seen != LEARNED_WORKS) {
            *seen = LEARNED_WORKS;
            ctx->learned->dirty = true;
        }
        return S3_PROOF_ETAG;
    }
    const bool encrypted = response_header(rs, "x-amz-server-side-encryption") != NULL;
    const bool whole = !up->multipart && strchr(md5, '-') == NULL;
    return whole && *seen == LEARNED_WORKS && !encrypted ? S3_PROOF_WRONG : S3_PROOF_NONE;
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

S3Proof s3_prove(const DestCtx *ctx, Upload *up, const Response *rs, const S3Answer *a, const char *etag)
{
    S3Proof best = S3_PROOF_NONE;
    for (unsigned k = 0; k < N_DIGESTS && best != S3_PROOF_WRONG; k++) {
        if (k == DIGEST_MD5)
            continue;
        const S3Proof proof = prove_by_checksum(up, k, told_checksum(rs, a, k), is_own_echo(ctx, k));
        best = MAX(best, proof);
    }
    return best == S3_PROOF_NONE ? prove_by_etag(ctx, up, rs, etag) : best;
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
        s3_learn_clock(ctx, rs);
        fault_set(error, FAULT_EXISTS, "an object with this key is there already");
        return VERDICT_FAIL;
    }
    return a->status == 404 || s3_not_allowed(ctx, a, rs) ? VERDICT_OK : s3_failed(ctx, up, a, rs, error);
}

/* ---- VERIFY */

bool s3_ask_verify(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part, (void)error;
    DigestKind kind;
    Request *rq = s3_request(ctx, "HEAD", up->key, NULL);
    if (s3_sent_checksum(ctx, &kind) && kind != DIGEST_MD5)
        request_header(rq, "x-amz-checksum-mode", "ENABLED");
    s3_sign(ctx, rq, SIGV4_EMPTY);
    *rq_out = rq;
    return true;
}

typedef enum { NONCE_ABSENT, NONCE_OURS, NONCE_OTHER } Nonce;

static Nonce read_nonce(const Upload *up, const Response *rs)
{
    const char *told = response_header(rs, S3_NONCE_HEADER);
    if (told == NULL || up->nonce == NULL)
        return NONCE_ABSENT;
    return g_str_equal(told, up->nonce) ? NONCE_OURS : NONCE_OTHER;
}

typedef enum { SIZE_UNKNOWN, SIZE_SAME, SIZE_DIFFERS } Size;

static Size read_size(const Upload *up, const Response *rs, guint64 *bytes_out)
{
    const char *told = response_header(rs, "content-length");
    *bytes_out = 0;
    if (told == NULL || !g_ascii_string_to_unsigned(told, 10, 0, G_MAXUINT64, bytes_out, NULL))
        return SIZE_UNKNOWN;
    return *bytes_out == up->size_bytes ? SIZE_SAME : SIZE_DIFFERS;
}

/* No answer confirmed the upload: an object of this key counts only when it is known to be the one that was sent. */
static Verdict judge_unconfirmed(const Upload *up, Nonce nonce, Size size, S3Proof proof, GError **error)
{
    const bool right = size != SIZE_DIFFERS && proof != S3_PROOF_WRONG;
    if (right && (nonce == NONCE_OURS || (nonce == NONCE_ABSENT && proof != S3_PROOF_NONE && !up->refused_exists)))
        return VERDICT_OK;
    if (up->refused_exists) {
        fault_set(error, FAULT_EXISTS, "412: an object with this key is there already");
        return VERDICT_FAIL;
    }
    fault_set(error, FAULT_UPLOAD_GONE, "the upload is unknown to the store, and the object under this key is another one");
    return VERDICT_RESTART;
}

static Verdict judge_confirmed(const Upload *up, Nonce nonce, Size size, guint64 bytes, S3Proof proof, GError **error)
{
    if (nonce == NONCE_OTHER) {
        fault_set(error, FAULT_CONFLICT, "another program wrote this key after the upload");
        return VERDICT_FAIL;
    }
    if (size == SIZE_DIFFERS) {
        fault_set(error, FAULT_SIZE, "the object has %" G_GUINT64_FORMAT " bytes, the file %" G_GUINT64_FORMAT, bytes, up->size_bytes);
        return VERDICT_RESTART;
    }
    if (proof == S3_PROOF_WRONG) {
        fault_set(error, FAULT_CHECKSUM, "the store's checksum of the object is not that of the file");
        return VERDICT_RESTART;
    }
    return VERDICT_OK;
}

static Verdict verify_failed(const DestCtx *ctx, Upload *up, S3Answer *a, const Response *rs, GError **error)
{
    if (a->status == 404 && g_strcmp0(a->code, "NoSuchBucket") != 0) {
        fault_set(error, FAULT_UPLOAD_GONE, "404: the object is not there");
        return VERDICT_RESTART;
    }
    if (!s3_not_allowed(ctx, a, rs))
        return s3_failed(ctx, up, a, rs, error);
    if (up->etag != NULL) {
        upload_say(up, "not verified: this key may not look at objects (s3:GetObject)");
        return VERDICT_OK;
    }
    g_autofree char *cause = s3_answer_cause(a, ctx->creds);
    if (up->refused_exists)
        fault_set(error, FAULT_EXISTS, "412: an object with this key is there already");
    else
        fault_set(error, FAULT_DENIED, "%s - whether the object arrived cannot be told without s3:GetObject", cause);
    return VERDICT_FAIL;
}

Verdict s3_read_verify(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    g_autoptr(S3Answer) a = s3_answer_new(rs, NULL);
    if (a->is_error)
        return verify_failed(ctx, up, a, rs, error);
    s3_learn_clock(ctx, rs);

    guint64 bytes;
    const char *etag = response_header(rs, "etag");
    const Nonce nonce = read_nonce(up, rs);
    const Size size = read_size(up, rs, &bytes);
    const S3Proof proof = s3_prove(ctx, up, rs, NULL, etag);
    const Verdict verdict =
        up->etag == NULL ? judge_unconfirmed(up, nonce, size, proof, error) : judge_confirmed(up, nonce, size, bytes, proof, error);
    if (verdict != VERDICT_OK) {
        g_clear_pointer(&up->checksum, g_free);
        return verdict;
    }
    if (proof == S3_PROOF_CHECKSUM || proof == S3_PROOF_ETAG)
        up->verified = MAX(up->verified, proof == S3_PROOF_CHECKSUM ? VERIFIED_CHECKSUM : VERIFIED_ETAG);
    else if (size == SIZE_SAME)
        up->verified = MAX(up->verified, VERIFIED_SIZE);
    if (etag != NULL) {
        g_free(up->etag);
        up->etag = g_strdup(etag);
    }
    if (up->version == NULL)
        up->version = g_strdup(response_header(rs, "x-amz-version-id"));
    return VERDICT_OK;
}
