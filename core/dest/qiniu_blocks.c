#include "qiniu_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A block that the server has is known by its context. Part.etag holds "EXPIRES HOST CONTEXT"; HOST is "-" when it is none to be believed.
 */

enum { MAX_CONTEXT_BYTES = 4096, SOON_S = 3600 };

static Request *signed_request(const DestCtx *ctx, const QiniuPass *pass, const char *host, char *path)
{
    Request *rq = qiniu_request(ctx, "POST", host, path);
    g_autofree char *value = g_strconcat("UpToken ", pass->token, NULL);
    request_header(rq, "Authorization", value);
    digest_wipe(value, strlen(value));
    return rq;
}

/* ---- one block, whole */

bool qiniu_ask_block(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    g_autoptr(QiniuPass) pass = qiniu_pass_new(ctx, up, error);
    if (pass == NULL)
        return false;
    const uint64_t bytes = upload_part_bytes(up, part);
    Request *rq = signed_request(ctx, pass, qiniu_up_host(ctx), g_strdup_printf("/mkblk/%" PRIu64, bytes));
    request_header(rq, "Content-Type", "application/octet-stream");
    request_body_file(rq, upload_part_offset(up, part), bytes);
    *rq_out = rq;
    return true;
}

static bool context_valid(const char *text)
{
    if (text == NULL || *text == '\0' || strlen(text) > MAX_CONTEXT_BYTES)
        return false;
    for (const char *p = text; *p != '\0'; p++)
        if (!g_ascii_isgraph(*p) || *p == ',')
            return false;
    return true;
}

/* "http://up.example:8080" -> "up.example:8080", if the token may go there. */
static char *told_host(const DestCtx *ctx, const char *url)
{
    const char *host = url == NULL ? NULL : strstr(url, "://");
    g_autofree char *name = host == NULL ? NULL : g_strndup(host + 3, strcspn(host + 3, "/"));
    return g_strdup(name != NULL && qiniu_host_is_kin(name, qiniu_up_host(ctx)) ? name : "-");
}

static bool crc_fits(const DigestSet *digest, int64_t told)
{
    if (digest == NULL || (digest->have & DIGEST_BIT(DIGEST_CRC32)) == 0)
        return true;
    const uint8_t *v = digest->value[DIGEST_CRC32];
    return told == ((int64_t)v[0] << 24 | (int64_t)v[1] << 16 | (int64_t)v[2] << 8 | v[3]);
}

Verdict qiniu_read_block(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    Part *p = &up->parts[part];
    if (rs->status != 200)
        return qiniu_failed(ctx, up, rs, error);
    int64_t crc = -1, expires = 0, offset = 0;
    g_autoptr(Json) json = json_answer(rs, "the store's answer", error);
    if (json == NULL)
        return VERDICT_RETRY;
    const char *context = json_string_at(json, "/ctx");
    json_int_at(json, "/expired_at", &expires);
    if (!context_valid(context) || !json_int_at(json, "/offset", &offset) || (uint64_t)offset != upload_part_bytes(up, part)) {
        fault_set(error, FAULT_BAD_ANSWER, "200: the store took a block without naming its context and size");
        return VERDICT_RETRY;
    }
    if (!json_int_at(json, "/crc32", &crc) || !crc_fits(p->digest, crc)) {
        fault_set(error, FAULT_CHECKSUM, "the store's CRC-32 of what it received is not that of what was sent");
        return VERDICT_RETRY;
    }
    g_autofree char *host = told_host(ctx, json_string_at(json, "/host"));
    g_free(p->etag);
    p->etag = g_strdup_printf("%" PRId64 " %s %s", MAX(expires, 0), host, context);
    p->done = true;
    return VERDICT_OK;
}

/* ---- RESUME: the server lists no blocks; those whose contexts last are known from the journal. The first that does not goes again. */

static bool is_expiring(const DestCtx *ctx, const Part *p)
{
    const int64_t expires = p->etag == NULL ? 0 : g_ascii_strtoll(p->etag, NULL, 10);
    return p->done && expires > 0 && expires < qiniu_now_s(ctx) + SOON_S;
}

static bool first_expiring(const DestCtx *ctx, const Upload *up, unsigned *part_out)
{
    for (unsigned i = 0; i < up->n_parts; i++)
        if (is_expiring(ctx, &up->parts[i])) {
            *part_out = i;
            return true;
        }
    return false;
}

bool qiniu_ask_expired_block(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    return first_expiring(ctx, up, &part) ? qiniu_ask_block(ctx, up, part, rq_out, error) : true;
}

Verdict qiniu_read_expired_block(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    if (!first_expiring(ctx, up, &part))
        return VERDICT_OK;
    const Verdict verdict = qiniu_read_block(ctx, up, part, rs, error);
    for (unsigned i = part + 1; verdict == VERDICT_OK && i < up->n_parts; i++)
        if (is_expiring(ctx, &up->parts[i])) {
            up->parts[i].done = false;
            upload_set(&up->parts[i].etag, NULL);
        }
    return verdict;
}

/* ---- CLOSE */

static void add_word(GString *path, const char *name, const char *value)
{
    g_autofree char *encoded = qiniu_base64(value, strlen(value));
    g_string_append_printf(path, "/%s/%s", name, encoded);
}

static void add_pairs(GString *path, const GPtrArray *pairs)
{
    for (unsigned i = 0; i + 1 < pairs->len; i += 2)
        add_word(path, pairs->pdata[i], pairs->pdata[i + 1]);
}

static char *mkfile_path(const Qiniu *q, const QiniuPass *pass, const Upload *up)
{
    GString *path = g_string_new(NULL);
    g_string_append_printf(path, "/mkfile/%" PRIu64, up->size_bytes);
    if (pass->key != NULL)
        add_word(path, "key", pass->key);
    if (up->content_type != NULL)
        add_word(path, "mimeType", up->content_type);
    if (up->name != NULL)
        add_word(path, "fname", up->name);
    add_pairs(path, q->vars);
    add_pairs(path, q->metas);
    return g_string_free(path, FALSE);
}

/* Contexts by commas; *host_out is where the last block went. */
static char *contexts(const Upload *up, char **host_out, GError **error)
{
    g_autoptr(GString) list = g_string_new(NULL);
    for (unsigned i = 0; i < up->n_parts; i++) {
        g_auto(GStrv) words = g_strsplit(up->parts[i].etag == NULL ? "" : up->parts[i].etag, " ", 3);
        if (!up->parts[i].done || g_strv_length(words) != 3) {
            fault_set(error, FAULT_BUG, "completing while block %u is missing", i + 1);
            return NULL;
        }
        g_string_append_printf(list, "%s%s", i > 0 ? "," : "", words[2]);
        if (i + 1 == up->n_parts)
            *host_out = g_strdup(words[1]);
    }
    return g_strdup(list->str);
}

bool qiniu_ask_mkfile(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    g_autofree char *host = NULL;
    g_autoptr(QiniuPass) pass = qiniu_pass_new(ctx, up, error);
    char *body = pass == NULL ? NULL : contexts(up, &host, error);
    if (body == NULL)
        return false;
    const char *to = g_str_equal(host, "-") ? qiniu_up_host(ctx) : host;
    Request *rq = signed_request(ctx, pass, to, mkfile_path(qiniu_of(ctx), pass, up));
    request_header(rq, "Content-Type", "text/plain");
    request_body_bytes(rq, g_bytes_new_take(body, strlen(body)));
    rq->slow_answer = true;
    *rq_out = rq;
    return true;
}
