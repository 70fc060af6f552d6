#include "qiniu_priv.h"

#include <string.h>

enum { SHA1_BYTES = 20, CALLBACK_FAILED = 579, KEY_TAKEN = 614 };

/* ---- what the object must be */

static bool is_even(const Upload *up)
{
    return !up->multipart || up->part_size == QINIU_BLOCK_BYTES;
}

static bool etag_can_be_told(const Upload *up)
{
    return up->multipart ? up->part_size <= QINIU_BLOCK_BYTES : up->size_bytes <= QINIU_BLOCK_BYTES;
}

char *qiniu_expected_etag(const Upload *up)
{
    if (!etag_can_be_told(up))
        return NULL;
    g_autoptr(GByteArray) sums = g_byte_array_new();
    for (unsigned i = 0; i < up->n_parts; i++) {
        const DigestSet *set = up->parts[i].digest;
        if (set == NULL || (set->have & DIGEST_BIT(DIGEST_SHA1)) == 0)
            return NULL;
        g_byte_array_append(sums, set->value[DIGEST_SHA1], SHA1_BYTES);
    }
    return qiniu_etag(sums->data, up->n_parts, is_even(up));
}

/* A small file may turn out either way: the kinds of a form are among those of parts. */
unsigned qiniu_digests(const DestCtx *ctx, const Upload *up)
{
    const unsigned sha1 = up == NULL || etag_can_be_told(up) ? DIGEST_BIT(DIGEST_SHA1) : 0;
    const bool v2 = up != NULL && up->multipart && qiniu_of(ctx)->way == QINIU_V2;
    return sha1 | (v2 ? DIGEST_BIT(DIGEST_MD5) : DIGEST_BIT(DIGEST_CRC32));
}

/* ---- refusals */

/* developer.qiniu.com/kodo/3928, and what the Python SDK does about them. */
static const AnswerRow rows[] = {
    { 400, "incorrect region", VERDICT_FAIL, FAULT_REGION, NULL },
    { 400, "invalid part", VERDICT_RESTART, FAULT_PART, NULL },
    { 400, "transfer acceleration", VERDICT_FAIL, FAULT_ENDPOINT, "this bucket has no transfer acceleration: name a plain upload host" },
    { 401, "out of date", VERDICT_FAIL, FAULT_CLOCK, "this machine's clock is wrong, or --token-life too short" },
    { 401, NULL, VERDICT_FAIL, FAULT_SIGNATURE, "access key or secret key is wrong (QINIU_ACCESS_KEY, QINIU_SECRET_KEY)" },
    { 403, "skewed", VERDICT_FAIL, FAULT_CLOCK, NULL },
    { 403, "match scope", VERDICT_FAIL, FAULT_DENIED, "the token is for another bucket or key" },
    { 403, "limited mime", VERDICT_FAIL, FAULT_REFUSED, "the token allows other types only (mimeLimit)" },
    { 403, "mimetype", VERDICT_FAIL, FAULT_REFUSED, "the token allows other types only (mimeLimit)" },
    { 403, "fsize", VERDICT_FAIL, FAULT_REFUSED, "the token wants larger files (fsizeMin)" },
    { 406, NULL, VERDICT_RETRY, FAULT_CHECKSUM, NULL },
    { 413, NULL, VERDICT_FAIL, FAULT_TOO_LARGE, "larger than the token allows (fsizeLimit)" },
    { 419, NULL, VERDICT_FAIL, FAULT_DENIED, "the account is frozen" },
    { 478, NULL, VERDICT_FAIL, FAULT_REFUSED, "the bucket's mirror source failed" },
    { 501, NULL, VERDICT_FAIL, FAULT_UNSUPPORTED, NULL },
    { 502, NULL, VERDICT_RETRY, FAULT_SERVER, NULL },
    { 503, NULL, VERDICT_RETRY, FAULT_SERVER, NULL },
    { 504, NULL, VERDICT_RETRY, FAULT_SERVER, NULL },
    { 509, NULL, VERDICT_FAIL, FAULT_QUOTA, "the bandwidth of the account is used up" },
    { 573, NULL, VERDICT_RETRY, FAULT_SLOW_DOWN, "one object is accessed too often" },
    { 608, NULL, VERDICT_RETRY, FAULT_CONFLICT, NULL },
    { 612, NULL, VERDICT_RESTART, FAULT_UPLOAD_GONE, NULL },
    { KEY_TAKEN, NULL, VERDICT_FAIL, FAULT_EXISTS, NULL },
    { 616, NULL, VERDICT_FAIL, FAULT_REFUSED, NULL },
    { 618, NULL, VERDICT_FAIL, FAULT_REFUSED, NULL },
    { 630, NULL, VERDICT_FAIL, FAULT_REFUSED, "too many buckets" },
    { 631, NULL, VERDICT_FAIL, FAULT_NO_BUCKET, NULL },
    { 632, NULL, VERDICT_FAIL, FAULT_REFUSED, NULL },
    { 640, NULL, VERDICT_FAIL, FAULT_REFUSED, NULL },
    { 701, NULL, VERDICT_RESTART, FAULT_UPLOAD_GONE, "the blocks are no longer there" },
    { 0 },
};

/* The server's words, with the id that its support asks for. */
static char *words_of(const Response *rs)
{
    const char *id = response_header(rs, "x-reqid");
    g_autofree char *words = json_error_words(rs);
    return id == NULL ? g_steal_pointer(&words) : g_strdup_printf("%s (X-Reqid %s)", words, id);
}

static bool is_about_time(int status, const char *words)
{
    return (status == 401 && strstr(words, "out of date") != NULL) || (status == 403 && strstr(words, "skewed") != NULL);
}

Verdict qiniu_failed(const DestCtx *ctx, const Upload *up, const Response *rs, GError **error)
{
    g_autofree char *words = words_of(rs);
    if (rs->status == 400 && strstr(words, "incorrect region") != NULL && qiniu_learn_region(ctx, words)) {
        g_autofree char *cause = answer_cause(rs->status, NULL, words, NULL, ctx->creds);
        fault_set(error, FAULT_REGION, "%s", cause);
        return VERDICT_AGAIN;
    }
    const bool timed = is_about_time(rs->status, words);
    if (timed && up->grant == NULL && answer_learn_clock(ctx, rs)) {
        fault_set(error, FAULT_CLOCK, "%d: the server's clock differs from this machine's by %" G_GINT64_FORMAT " s", rs->status,
                  ctx->learned->clock_offset_s);
        return VERDICT_AGAIN;
    }
    if (up->grant != NULL && (rs->status == 401 || timed)) {
        g_autofree char *cause = answer_cause(rs->status, NULL, words, NULL, ctx->creds);
        fault_set(error, FAULT_EXPIRED, "%s", cause);
        return VERDICT_FAIL;
    }
    return answer_failed(rows, rs, NULL, words, ctx->creds, error);
}

/* ---- the answer that ends an upload */

/* What a template calls hash is compared only when it looks like one; and a difference counts only in the server's own answer. */
static Verdict prove(Upload *up, const char *hash, bool own_answer, GError **error)
{
    g_autofree char *expected = qiniu_expected_etag(up);
    const bool known = qiniu_is_etag(hash) && expected != NULL;
    if (known && g_str_equal(hash, expected)) {
        g_free(up->checksum);
        up->checksum = g_strconcat(QINIU_ETAG_PREFIX, hash, NULL);
        up->verified = VERIFIED_CHECKSUM;
    } else if (known && !own_answer && is_even(up)) {
        fault_set(error, FAULT_CHECKSUM, "the store's hash of the object is not that of the file");
        return up->multipart ? VERDICT_RESTART : VERDICT_RETRY;
    }
    upload_set(&up->etag, qiniu_is_etag(hash) ? hash : "");
    return VERDICT_OK;
}

/* A key is bytes without NUL; json.h has seen to that, and to valid UTF-8. */
static void take_key(Upload *up, const QiniuPass *pass, const char *key)
{
    const char *asked = pass != NULL && pass->key != NULL ? pass->key : up->key;
    if (key != NULL && *key != '\0' && strlen(key) <= QINIU_MAX_KEY_BYTES)
        upload_set(&up->stored_key, g_str_equal(key, up->key) ? NULL : key);
    else if (!g_str_equal(asked, up->key))
        upload_set(&up->stored_key, asked);
}

/* The application said under which address its objects are found. */
static void take_domain(Upload *up)
{
    const char *domain = up->grant == NULL || up->grant->values == NULL ? NULL : g_hash_table_lookup(up->grant->values, "domain");
    const char *key = up->stored_key != NULL ? up->stored_key : up->key;
    if (domain == NULL || *domain == '\0')
        return;
    GString *url = g_string_new(strstr(domain, "://") == NULL ? "https://" : "");
    g_string_append(url, domain);
    if (!g_str_has_suffix(domain, "/"))
        g_string_append_c(url, '/');
    uri_escape_append(url, key, strlen(key), true);
    g_free(up->url);
    up->url = g_string_free(url, FALSE);
}

static void take_processing(Upload *up, const Json *json)
{
    const char *id = json == NULL ? NULL : json_string_at(json, "/persistentId");
    g_autofree char *shown = id == NULL ? NULL : answer_words(id, 64, NULL);
    g_autofree char *note = shown == NULL ? NULL : g_strdup_printf("processing follows: persistentId %s", shown);
    if (note != NULL && up->note == NULL)
        upload_say(up, note);
}

/* Without the keys nobody can look whether the object is there. */
static Verdict doubtful(const DestCtx *ctx, const Upload *up)
{
    QiniuKeys keys;
    return up->grant == NULL && qiniu_keys(ctx, &keys) ? VERDICT_UNKNOWN : VERDICT_RETRY;
}

Verdict qiniu_read_object(const DestCtx *ctx, Upload *up, const Response *rs, GError **error)
{
    const bool stored = rs->status == 200 || rs->status == CALLBACK_FAILED;
    if (rs->status == KEY_TAKEN) {
        up->refused_exists = true;
        fault_set(error, FAULT_EXISTS, "614: an object with this key is there already");
        return doubtful(ctx, up) == VERDICT_UNKNOWN ? VERDICT_UNKNOWN : VERDICT_FAIL;
    }
    if (!stored)
        return qiniu_failed(ctx, up, rs, error);
    g_autoptr(Json) json = json_answer(rs, "the store's answer", rs->status == 200 ? error : NULL);
    if (json == NULL && rs->status == 200)
        return doubtful(ctx, up);
    g_autoptr(QiniuPass) pass = qiniu_pass_new(ctx, up, NULL);
    const bool own_answer = rs->status != 200 || pass == NULL || pass->own_answer;
    const Verdict verdict = prove(up, json == NULL ? NULL : json_string_at(json, "/hash"), own_answer, error);
    if (verdict != VERDICT_OK)
        return verdict;
    if (rs->status == CALLBACK_FAILED) {
        g_autofree char *words = words_of(rs), *shown = answer_words(words, 120, ctx->creds);
        g_autofree char *note = g_strdup_printf("stored, but the store's callback to the application failed: %s", shown);
        upload_say(up, note);
    }
    take_key(up, pass, json == NULL ? NULL : json_string_at(json, "/key"));
    take_domain(up);
    take_processing(up, json);
    return VERDICT_OK;
}
