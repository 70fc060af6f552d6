#include "tus_priv.h"

#include <string.h>

/* ---- creation: in OPEN, or of a small file in PART */

/* A small file travels with its creation, unless the person wants a checksum verified, which only PATCH promises. */
static bool sends_at_once(const DestCtx *ctx, const Upload *up)
{
    return !up->multipart && up->size_bytes > 0 && tus_has(ctx, "creation-with-upload") && tus_of(ctx)->sum != TUS_SUM_GIVEN &&
           up->size_bytes <= tus_body_max(ctx);
}

static bool wish_granted(const DestCtx *ctx, GError **error)
{
    DigestKind kind;
    const Tus *tus = tus_of(ctx);
    if (tus->sum != TUS_SUM_GIVEN || tus_sum(ctx, &kind))
        return true;
    fault_set(error, FAULT_UNSUPPORTED, "the server does not verify %s; use --checksum auto", digest_name(tus->kind));
    return false;
}

void tus_add_number(Request *rq, const char *name, uint64_t number)
{
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, number);
    request_header(rq, name, text);
}

void tus_add_sum(const DestCtx *ctx, const Part *part, Request *rq)
{
    DigestKind kind;
    g_autofree char *base64 = part->digest != NULL && tus_sum(ctx, &kind) ? digest_base64(part->digest, kind) : NULL;
    g_autofree char *value = base64 == NULL ? NULL : g_strdup_printf("%s %s", digest_name(kind), base64);
    if (value != NULL)
        request_header(rq, "Upload-Checksum", value);
}

static bool ask_create(const DestCtx *ctx, const Upload *up, bool partial, uint64_t bytes, Request **rq_out, GError **error)
{
    const Tus *tus = tus_of(ctx);
    const uint64_t most = tus_max_bytes(ctx);
    if (tus == NULL) {
        fault_set(error, FAULT_BUG, "the application gave no upload URL");
        return false;
    }
    if (most != 0 && up->size_bytes > most) {
        fault_set(error, FAULT_TOO_LARGE, "the server takes files up to %" G_GUINT64_FORMAT " bytes (Tus-Max-Size)", most);
        return false;
    }
    if (!wish_granted(ctx, error))
        return false;
    Request *rq = tus_request(ctx, up, "POST", tus_create_url(ctx));
    g_autofree char *metadata = partial ? NULL : tus_metadata(tus, up);
    tus_add_number(rq, "Upload-Length", bytes);
    if (partial)
        request_header(rq, "Upload-Concat", "partial");
    else if (*metadata != '\0')
        request_header(rq, "Upload-Metadata", metadata);
    *rq_out = rq;
    return true;
}

bool tus_ask_small(const DestCtx *ctx, const Upload *up, Request **rq_out, GError **error)
{
    if (!ask_create(ctx, up, false, up->size_bytes, rq_out, error))
        return false;
    if (sends_at_once(ctx, up)) {
        request_header(*rq_out, "Content-Type", "application/offset+octet-stream");
        tus_add_sum(ctx, &up->parts[0], *rq_out);
        request_body_file(*rq_out, 0, up->size_bytes);
    }
    return true;
}

/* Some servers say that they join partial uploads, and want of each what only the whole has. */
static bool joins_not(int status)
{
    static const int statuses[] = { 400, 403, 405, 409, 422, 501 };
    return tus_is_one_of(status, statuses, G_N_ELEMENTS(statuses));
}

/* 4xx of a creation that may ask for more than the server can: the next one asks for less. */
static Verdict create_refused(const DestCtx *ctx, const Upload *up, const Response *rs, GError **error)
{
    g_autofree char *to = NULL;
    const bool gone = rs->status == 404 || rs->status == 405 || rs->status == 410;
    if (tus_redirect(tus_create_url(ctx), rs, &to, error)) {
        tus_moved(ctx, to);
        return VERDICT_AGAIN;
    }
    if (*error != NULL)
        return VERDICT_FAIL;
    const Verdict verdict = tus_failed(ctx, rs, error);
    if (gone && !g_str_equal(tus_create_url(ctx), tus_of(ctx)->endpoint)) {
        tus_moved(ctx, NULL);
        return VERDICT_AGAIN;
    }
    if (sends_at_once(ctx, up) && (rs->status == 400 || rs->status == 413 || rs->status == 415)) {
        tus_forget(ctx, "creation-with-upload");
        return VERDICT_AGAIN;
    }
    if (up->multipart && !up->serial && joins_not(rs->status)) {
        tus_forget(ctx, "concatenation");
        return VERDICT_RESTART;
    }
    return verdict;
}

/* OK: *url_out is the new upload. */
static Verdict read_created(const DestCtx *ctx, const Upload *up, const Response *rs, char **url_out, GError **error)
{
    GError *why = NULL;
    const char *location = response_header(rs, "location");
    if (rs->status < 200 || rs->status >= 300) {
        const Verdict verdict = create_refused(ctx, up, rs, &why);
        g_propagate_error(error, why);
        return verdict;
    }
    if (location == NULL || *location == '\0')
        return tus_not_tus(rs, "Location", VERDICT_FAIL, error);
    *url_out = tus_resolve(tus_create_url(ctx), location, error);
    return *url_out == NULL ? VERDICT_FAIL : VERDICT_OK;
}

bool tus_ask_open(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    return ask_create(ctx, up, !up->serial, up->serial ? up->size_bytes : upload_part_bytes(up, up->step), rq_out, error);
}

Verdict tus_read_open(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    g_autofree char *url = NULL;
    const Verdict verdict = read_created(ctx, up, rs, &url, error);
    if (verdict != VERDICT_OK)
        return verdict;
    up->opened_s = ctx->now_s;
    if (up->serial) {
        upload_set(&up->upload_id, url);
        tus_remember_object(up, url);
        return VERDICT_OK;
    }
    g_autofree char *all = up->step == 0 ? g_strdup(url) : g_strdup_printf("%s %s", up->upload_id, url);
    upload_set(&up->upload_id, all);
    return ++up->step < up->n_parts ? VERDICT_MORE : VERDICT_OK;
}

Verdict tus_read_small(const DestCtx *ctx, Upload *up, const Response *rs, GError **error)
{
    g_autofree char *url = NULL;
    uint64_t offset = 0;
    const bool sent = sends_at_once(ctx, up);
    const Verdict verdict = read_created(ctx, up, rs, &url, error);
    if (verdict != VERDICT_OK)
        return verdict;
    upload_set(&up->upload_id, url);
    tus_remember_object(up, url);
    const bool told = tus_number(rs, "upload-offset", &offset);
    if (offset > (sent ? up->size_bytes : 0)) {
        fault_set(error, FAULT_SIZE, "the server counts %" G_GUINT64_FORMAT " bytes of a new upload", offset);
        return VERDICT_RESTART;
    }
    if (sent && !told)
        up->parts[0].handle = g_strdup(TUS_OFFSET_UNKNOWN);
    else if (tus_take_offset(up, 0, offset))
        return VERDICT_OK;
    return VERDICT_MORE;
}

/* ---- CLOSE: partial uploads become one */

static char *path_of(const char *url)
{
    const char *authority = strstr(url, "://");
    const char *path = authority == NULL ? NULL : strchr(authority + strlen("://"), '/');
    return g_strdup(path == NULL ? url : path);
}

bool tus_ask_close(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    if (tus_of(ctx) == NULL || tus_streams(up) != up->n_parts) {
        fault_set(error, FAULT_UPLOAD_GONE, "not all partial uploads are known");
        return false;
    }
    const char *endpoint = tus_create_url(ctx);
    g_autoptr(GString) concat = g_string_new("final;");
    for (unsigned i = 0; i < up->n_parts; i++) {
        g_autofree char *url = tus_stream_url(up, i);
        g_autofree char *name = tus_same_origin(endpoint, url) ? path_of(url) : g_strdup(url);
        g_string_append_printf(concat, "%s%s", i > 0 ? " " : "", name);
    }
    g_autofree char *metadata = tus_metadata(tus_of(ctx), up);
    Request *rq = tus_request(ctx, up, "POST", endpoint);
    request_header(rq, "Upload-Concat", concat->str);
    request_header(rq, "Upload-Metadata", metadata);
    rq->slow_answer = true;
    *rq_out = rq;
    return true;
}

Verdict tus_read_close(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    g_autofree char *url = NULL;
    Verdict verdict = read_created(ctx, up, rs, &url, error);
    if (verdict == VERDICT_FAIL && rs->status >= 400 && rs->status != 401 && rs->status != 413)
        verdict = VERDICT_RESTART; /* the parts are worthless */
    if (verdict != VERDICT_OK)
        return verdict;
    upload_set(&up->upload_id, url);
    tus_remember_object(up, url);
    return VERDICT_OK;
}
