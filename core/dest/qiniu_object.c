#include "qiniu_priv.h"

#include <string.h>

enum { ROUNDED_S = 2, PUT_TIMES_A_SECOND = 10000000 };

/* Old servers know the old signature only. */
static char *sign(const DestCtx *ctx, const QiniuKeys *keys, const Request *rq)
{
    if (qiniu_of(ctx)->way == QINIU_V1)
        return qiniu_sign_qbox(keys, rq->url, NULL);
    return qiniu_sign_request(keys, rq->method, rq->url, strcmp(rq->method, "POST") == 0 ? "application/x-www-form-urlencoded" : NULL, NULL,
                              NULL);
}

static bool ask_rs(const DestCtx *ctx, const char *method, const char *call, const char *key, Request **rq_out, GError **error)
{
    QiniuKeys keys;
    if (!qiniu_keys(ctx, &keys) || qiniu_of(ctx)->bucket == NULL) {
        fault_set(error, FAULT_NO_CREDENTIALS, "without Qiniu keys the object cannot be looked at");
        return false;
    }
    g_autofree char *entry = qiniu_entry(qiniu_of(ctx)->bucket, key);
    Request *rq = qiniu_request(ctx, method, qiniu_rs_host(ctx), g_strconcat("/", call, "/", entry, NULL));
    g_autofree char *value = sign(ctx, &keys, rq);
    request_header(rq, "Authorization", value);
    digest_wipe(value, strlen(value));
    if (strcmp(method, "POST") == 0) {
        request_header(rq, "Content-Type", "application/x-www-form-urlencoded");
        request_body_bytes(rq, g_bytes_new_static("", 0));
    }
    *rq_out = rq;
    return true;
}

/* ---- LOOK and VERIFY */

bool qiniu_ask_stat(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    return ask_rs(ctx, "GET", "stat", up->stored_key != NULL ? up->stored_key : up->key, rq_out, error);
}

static bool is_absent(const Response *rs)
{
    return rs->status == 612 || rs->status == 404;
}

/* A key that may not look goes on: the token still stands guard. */
Verdict qiniu_read_look(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    if (rs->status == 200) {
        fault_set(error, FAULT_EXISTS, "an object with this key is there already");
        return VERDICT_FAIL;
    }
    return is_absent(rs) || rs->status == 403 ? VERDICT_OK : qiniu_failed(ctx, up, rs, error);
}

typedef struct {
    bool same_size, fresh, same_hash, other_hash;
    int64_t bytes;
    const char *hash;
} Stat;

/* Written after this upload began? By the server's clock alone: an older version of the same file may be there, put there a moment before.
 */
static bool is_fresh(const DestCtx *ctx, const Upload *up, const Response *rs, int64_t put_time)
{
    int64_t server_now_s = 0;
    if (up->opened_s <= 0 || !response_date(rs, &server_now_s))
        return false;
    return put_time / PUT_TIMES_A_SECOND >= server_now_s - (ctx->now_s - up->opened_s) - ROUNDED_S;
}

static bool read_stat(const DestCtx *ctx, const Upload *up, const Response *rs, const Json *json, Stat *out, GError **error)
{
    int64_t put_time = 0;
    *out = (Stat){ .hash = json_string_at(json, "/hash") };
    if (!json_int_at(json, "/fsize", &out->bytes)) {
        fault_set(error, FAULT_BAD_ANSWER, "200: the store does not say how large the object is");
        return false;
    }
    json_int_at(json, "/putTime", &put_time);
    g_autofree char *expected = qiniu_expected_etag(up);
    const bool known = expected != NULL && qiniu_is_etag(out->hash);
    out->same_size = (uint64_t)out->bytes == up->size_bytes;
    out->same_hash = known && g_str_equal(out->hash, expected);
    out->other_hash = known && !out->same_hash && up->part_size <= QINIU_BLOCK_BYTES;
    out->fresh = is_fresh(ctx, up, rs, put_time);
    return true;
}

/* No answer confirmed the upload: an object counts only when it has our bytes, or cannot be another one. */
static Verdict judge_unconfirmed(const Upload *up, const Stat *st, GError **error)
{
    if (st->same_size && (st->same_hash || (!st->other_hash && st->fresh && !up->refused_exists)))
        return VERDICT_OK;
    if (up->refused_exists) {
        fault_set(error, FAULT_EXISTS, "614: another object with this key is there already");
        return VERDICT_FAIL;
    }
    fault_set(error, FAULT_UPLOAD_GONE, "the upload is unknown to the store, and the object under this key is another one");
    return VERDICT_RESTART;
}

static Verdict judge_confirmed(const Upload *up, const Stat *st, GError **error)
{
    if (!st->same_size) {
        fault_set(error, FAULT_SIZE, "the object has %" G_GINT64_FORMAT " bytes, the file %" G_GUINT64_FORMAT, st->bytes, up->size_bytes);
        return VERDICT_RESTART;
    }
    if (st->other_hash) {
        fault_set(error, FAULT_CHECKSUM, "the store's hash of the object is not that of the file");
        return VERDICT_RESTART;
    }
    return VERDICT_OK;
}

static Verdict verify_failed(const DestCtx *ctx, Upload *up, const Response *rs, GError **error)
{
    const bool cannot_look = rs->status == 401 || rs->status == 403 || rs->status == 404 || rs->status == 405;
    if (cannot_look && up->etag != NULL) { /* stored is what was confirmed; a private cloud may have no stat where uploads go */
        upload_say(up, "not verified: these keys, or this host (--rs), do not let objects be looked at");
        return VERDICT_OK;
    }
    if (is_absent(rs)) {
        fault_set(error, FAULT_UPLOAD_GONE, "%d: the object is not there", rs->status);
        return VERDICT_RESTART;
    }
    return qiniu_failed(ctx, up, rs, error);
}

Verdict qiniu_read_verify(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    Stat st;
    if (rs->status != 200)
        return verify_failed(ctx, up, rs, error);
    g_autoptr(Json) json = json_answer(rs, "the store's answer", error);
    if (json == NULL || !read_stat(ctx, up, rs, json, &st, error))
        return VERDICT_RETRY;
    const Verdict verdict = up->etag == NULL ? judge_unconfirmed(up, &st, error) : judge_confirmed(up, &st, error);
    if (verdict != VERDICT_OK)
        return verdict;
    up->verified = MAX(up->verified, st.same_hash ? VERIFIED_CHECKSUM : VERIFIED_SIZE);
    if (st.same_hash) {
        g_free(up->checksum);
        up->checksum = g_strconcat(QINIU_ETAG_PREFIX, st.hash, NULL);
    }
    upload_set(&up->etag, qiniu_is_etag(st.hash) ? st.hash : "");
    return VERDICT_OK;
}

/* ---- REMOVE */

bool qiniu_ask_remove(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    return ask_rs(ctx, "POST", "delete", up->key, rq_out, error);
}

Verdict qiniu_read_remove(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    return rs->status == 200 || is_absent(rs) ? VERDICT_OK : qiniu_failed(ctx, up, rs, error);
}

/* ---- URLs: of a domain that is bound to the bucket, which only the person knows */

char *qiniu_url(const DestCtx *ctx, const char *key)
{
    const Qiniu *q = qiniu_of(ctx);
    if (q->public_url == NULL)
        return NULL;
    GString *url = g_string_new(q->public_url);
    g_string_append_c(url, '/');
    uri_escape_append(url, key, strlen(key), true);
    if (q->fop != NULL)
        g_string_append_printf(url, "?%s", q->fop);
    return g_string_free(url, FALSE);
}

char *qiniu_share(const DestCtx *ctx, const char *key, unsigned seconds, GError **error)
{
    QiniuKeys keys;
    g_autofree char *url = qiniu_url(ctx, key);
    if (url == NULL) {
        fault_set(error, FAULT_USAGE, "name a domain of the bucket with --public-url: objects are fetched through it");
        return NULL;
    }
    if (!qiniu_keys(ctx, &keys)) {
        fault_set(error, FAULT_NO_CREDENTIALS, "without Qiniu keys no link can be signed");
        return NULL;
    }
    return qiniu_private_url(&keys, url, qiniu_now_s(ctx) + seconds);
}
