#include "qiniu_priv.h"

#include <string.h>

#define MAX_TEXT_BYTES 1024 /* of an upload id or a part's etag */
#define MAX_LISTED     "1000"

/* "/buckets/B/objects/E/uploads", then "/ID" and more when it is not NULL. */
static char *uploads_path(const QiniuPass *pass, const char *upload_id, const char *more)
{
    g_autofree char *entry = pass->key == NULL ? g_strdup("~") : qiniu_base64(pass->key, strlen(pass->key));
    GString *path = g_string_new("/buckets/");
    uri_escape_append(path, pass->bucket, strlen(pass->bucket), false);
    g_string_append_printf(path, "/objects/%s/uploads", entry);
    if (upload_id != NULL) {
        g_string_append_c(path, '/');
        uri_escape_append(path, upload_id, strlen(upload_id), false);
    }
    g_string_append(path, more);
    return g_string_free(path, FALSE);
}

static Request *signed_request(const DestCtx *ctx, const QiniuPass *pass, const char *method, char *path)
{
    Request *rq = qiniu_request(ctx, method, qiniu_up_host(ctx), path);
    g_autofree char *value = g_strconcat("UpToken ", pass->token, NULL);
    request_header(rq, "Authorization", value);
    digest_wipe(value, strlen(value));
    return rq;
}

static bool has_id(const Upload *up, GError **error)
{
    if (up->upload_id == NULL)
        fault_set(error, FAULT_BUG, "the upload has no id yet");
    return up->upload_id != NULL;
}

static bool text_fits(const char *text)
{
    return text != NULL && *text != '\0' && strlen(text) <= MAX_TEXT_BYTES;
}

/* ---- OPEN */

bool qiniu_ask_open(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    g_autoptr(QiniuPass) pass = qiniu_pass_new(ctx, up, error);
    if (pass == NULL)
        return false;
    *rq_out = signed_request(ctx, pass, "POST", uploads_path(pass, NULL, ""));
    return true;
}

Verdict qiniu_read_open(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    if (rs->status != 200)
        return qiniu_failed(ctx, up, rs, error);
    g_autoptr(Json) json = json_answer(rs, "the store's answer", error);
    const char *id = json == NULL ? NULL : json_string_at(json, "/uploadId");
    if (!text_fits(id)) {
        fault_set(error, FAULT_BAD_ANSWER, "200: the store opened an upload without an id");
        return VERDICT_RETRY;
    }
    upload_set(&up->upload_id, id);
    up->opened_s = ctx->now_s;
    return VERDICT_OK;
}

/* ---- PART */

bool qiniu_ask_part(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    const DigestSet *digest = up->parts[part].digest;
    g_autoptr(QiniuPass) pass = qiniu_pass_new(ctx, up, error);
    if (pass == NULL || !has_id(up, error))
        return false;
    if (digest == NULL || (digest->have & DIGEST_BIT(DIGEST_MD5)) == 0) {
        fault_set(error, FAULT_BUG, "part %u is to be sent without its MD5", part + 1);
        return false;
    }
    g_autofree char *number = g_strdup_printf("/%u", part + 1);
    g_autofree char *md5 = digest_hex(digest->value[DIGEST_MD5], digest_bytes(DIGEST_MD5));
    Request *rq = signed_request(ctx, pass, "PUT", uploads_path(pass, up->upload_id, number));
    request_header(rq, "Content-Type", "application/octet-stream");
    request_header(rq, "Content-MD5", md5);
    request_body_file(rq, upload_part_offset(up, part), upload_part_bytes(up, part));
    *rq_out = rq;
    return true;
}

Verdict qiniu_read_part(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    Part *p = &up->parts[part];
    if (rs->status != 200)
        return qiniu_failed(ctx, up, rs, error);
    g_autoptr(Json) json = json_answer(rs, "the store's answer", error);
    const char *etag = json == NULL ? NULL : json_string_at(json, "/etag"), *md5 = json == NULL ? NULL : json_string_at(json, "/md5");
    if (!text_fits(etag)) {
        fault_set(error, FAULT_BAD_ANSWER, "200: the store took a part without naming its etag");
        return VERDICT_RETRY;
    }
    g_autofree char *ours = p->digest == NULL ? NULL : digest_hex(p->digest->value[DIGEST_MD5], digest_bytes(DIGEST_MD5));
    if (md5 != NULL && ours != NULL && g_ascii_strcasecmp(md5, ours) != 0) {
        fault_set(error, FAULT_CHECKSUM, "the store's MD5 of what it received is not that of what was sent");
        return VERDICT_RETRY;
    }
    upload_set(&p->etag, etag);
    p->done = true;
    return VERDICT_OK;
}

/* ---- RESUME: which parts the server has. list_marker is the number of the last part that was listed. */

bool qiniu_ask_resume(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    g_autoptr(QiniuPass) pass = qiniu_pass_new(ctx, up, error);
    if (pass == NULL || !has_id(up, error))
        return false;
    g_autofree char *query =
        g_strdup_printf("?max-parts=" MAX_LISTED "&part-number-marker=%s", up->list_marker == NULL ? "0" : up->list_marker);
    *rq_out = signed_request(ctx, pass, "GET", uploads_path(pass, up->upload_id, query));
    (*rq_out)->answer_max = ANSWER_MAX_LIST;
    return true;
}

/* A part counts when its size is right and nothing contradicts what is known of it. One whose answer was lost is taken as listed. */
static void compare_part(Upload *up, JsonNode *row, bool *listed)
{
    JsonNode *number_node = json_node_at(row, "/partNumber"), *size_node = json_node_at(row, "/size"),
             *etag_node = json_node_at(row, "/etag");
    g_autofree char *number_text = json_text_of(number_node), *size_text = json_text_of(size_node), *etag = json_text_of(etag_node);
    guint64 number = 0, size = 0;
    if (number_text == NULL || size_text == NULL || !g_ascii_string_to_unsigned(number_text, 10, 1, up->n_parts, &number, NULL) ||
        !g_ascii_string_to_unsigned(size_text, 10, 0, G_MAXUINT64, &size, NULL))
        return;
    Part *p = &up->parts[number - 1];
    listed[number - 1] = true;
    p->done = size == upload_part_bytes(up, (unsigned)number - 1) && text_fits(etag) && (p->etag == NULL || g_str_equal(p->etag, etag));
    upload_set(&p->etag, p->done ? etag : NULL);
}

static void forget_part(Part *p)
{
    p->done = false;
    upload_set(&p->etag, NULL);
}

/* Parts between two markers that were not listed are not there. */
static void compare_page(Upload *up, JsonNode *parts, unsigned from, unsigned to)
{
    g_autofree bool *listed = g_new0(bool, up->n_parts);
    JsonArray *rows = parts != NULL && JSON_NODE_HOLDS_ARRAY(parts) ? json_node_get_array(parts) : NULL;
    for (guint i = 0; rows != NULL && i < json_array_get_length(rows); i++)
        compare_part(up, json_array_get_element(rows, i), listed);
    for (unsigned i = from; i < to; i++)
        if (!listed[i])
            forget_part(&up->parts[i]);
}

Verdict qiniu_read_resume(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    if (rs->status != 200)
        return qiniu_failed(ctx, up, rs, error);
    g_autoptr(Json) json = json_parse(rs->body->data, rs->body->len, "the store's list of parts", error);
    int64_t next = 0;
    if (json == NULL)
        return VERDICT_RETRY;
    const unsigned from = up->list_marker == NULL ? 0 : (unsigned)g_ascii_strtoull(up->list_marker, NULL, 10);
    json_int_at(json, "/partNumberMarker", &next);
    const bool more = next > from && next < up->n_parts;
    compare_page(up, json_at(json, "/parts"), from, more ? (unsigned)next : up->n_parts);
    g_free(up->list_marker);
    up->list_marker = more ? g_strdup_printf("%u", (unsigned)next) : NULL;
    return more ? VERDICT_MORE : VERDICT_OK;
}

/* ---- CLOSE */

static void add_text(JsonBuilder *json, const char *member, const char *value)
{
    json_builder_set_member_name(json, member);
    json_builder_add_string_value(json, value);
}

/* Members without a value are left out. */
static void add_object(JsonBuilder *json, const char *member, const GPtrArray *pairs)
{
    if (pairs->len == 0)
        return;
    json_builder_set_member_name(json, member);
    json_builder_begin_object(json);
    for (unsigned i = 0; i + 1 < pairs->len; i += 2)
        add_text(json, pairs->pdata[i], pairs->pdata[i + 1]);
    json_builder_end_object(json);
}

static char *complete_document(const Qiniu *q, const Upload *up)
{
    g_autoptr(JsonBuilder) json = json_builder_new();
    json_builder_begin_object(json);
    json_builder_set_member_name(json, "parts");
    json_builder_begin_array(json);
    for (unsigned i = 0; i < up->n_parts; i++) {
        json_builder_begin_object(json);
        add_text(json, "etag", up->parts[i].etag);
        json_builder_set_member_name(json, "partNumber");
        json_builder_add_int_value(json, i + 1);
        json_builder_end_object(json);
    }
    json_builder_end_array(json);
    if (up->name != NULL && g_utf8_validate(up->name, -1, NULL))
        add_text(json, "fname", up->name);
    if (up->content_type != NULL)
        add_text(json, "mimeType", up->content_type);
    add_object(json, "metadata", q->metas);
    add_object(json, "customVars", q->vars);
    for (unsigned i = 0; i + 1 < q->traits->len; i += 2)
        add_text(json, q->traits->pdata[i], q->traits->pdata[i + 1]);
    json_builder_end_object(json);
    g_autoptr(JsonNode) root = json_builder_get_root(json);
    return json_print(root);
}

static bool all_parts(const Upload *up, GError **error)
{
    for (unsigned i = 0; i < up->n_parts; i++)
        if (!up->parts[i].done || up->parts[i].etag == NULL) {
            fault_set(error, FAULT_BUG, "completing while part %u is missing", i + 1);
            return false;
        }
    return true;
}

bool qiniu_ask_close(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    g_autoptr(QiniuPass) pass = qiniu_pass_new(ctx, up, error);
    if (pass == NULL || !has_id(up, error) || !all_parts(up, error))
        return false;
    char *document = complete_document(qiniu_of(ctx), up);
    Request *rq = signed_request(ctx, pass, "POST", uploads_path(pass, up->upload_id, ""));
    request_header(rq, "Content-Type", "application/json");
    request_body_bytes(rq, g_bytes_new_take(document, strlen(document)));
    rq->slow_answer = true;
    *rq_out = rq;
    return true;
}

/* ---- ABORT */

bool qiniu_ask_abort(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    g_autoptr(QiniuPass) pass = qiniu_pass_new(ctx, up, error);
    if (pass == NULL || !has_id(up, error))
        return false;
    *rq_out = signed_request(ctx, pass, "DELETE", uploads_path(pass, up->upload_id, ""));
    return true;
}

Verdict qiniu_read_abort(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    const bool gone = rs->status == 612 || rs->status == 404;
    return (rs->status >= 200 && rs->status < 300) || gone ? VERDICT_OK : qiniu_failed(ctx, up, rs, error);
}
