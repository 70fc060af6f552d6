#include "s3_priv.h"

#include <string.h>

#define PAGE_ITEMS "1000"

enum {
    MAX_FOUND = 1000,
    STARTED_EARLIER_S = 900, /* the store's clock, and the way there */
};

static bool is_truncated(const S3Answer *a)
{
    return g_strcmp0(s3_answer_field(a, "IsTruncated"), "true") == 0;
}

static void set_marker(Upload *up, char *marker)
{
    g_free(up->list_marker);
    up->list_marker = marker;
}

static Request *list_request(const DestCtx *ctx, const char *key, GString *query)
{
    Request *rq = s3_request(ctx, "GET", key, query->str);
    g_string_free(query, TRUE);
    rq->answer_max = ANSWER_MAX_LIST;
    s3_sign(ctx, rq, SIGV4_EMPTY);
    return rq;
}

/* ---- FIND: uploads of this key whose id was lost. list_marker is "KEY\nUPLOAD ID". */

bool s3_ask_find(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part, (void)error;
    GString *query = g_string_new("uploads=");
    s3_query_add(query, "encoding-type", "url");
    s3_query_add(query, "max-uploads", PAGE_ITEMS);
    s3_query_add(query, "prefix", up->key);
    const char *id = up->list_marker == NULL ? NULL : strrchr(up->list_marker, '\n');
    if (id != NULL) {
        g_autofree char *key = g_strndup(up->list_marker, (gsize)(id - up->list_marker));
        s3_query_add(query, "key-marker", key);
        s3_query_add(query, "upload-id-marker", id + 1);
    }
    *rq_out = list_request(ctx, NULL, query);
    return true;
}

static char *listed_key(const S3Answer *a, const char *text)
{
    if (g_strcmp0(s3_answer_field(a, "EncodingType"), "url") == 0)
        return text == NULL ? NULL : s3_url_decode(text);
    return g_strdup(text);
}

/* Only what was begun when ours was: other programs upload, too. */
static bool may_be_ours(const DestCtx *ctx, const Upload *up, const S3Answer *a, unsigned row)
{
    int64_t begun_s;
    g_autofree char *key = listed_key(a, body_row_field(a->body, row, "Key"));
    return g_strcmp0(key, up->key) == 0 && up->opened_s > 0 && s3_parse_time(body_row_field(a->body, row, "Initiated"), &begun_s) &&
           begun_s >= up->opened_s + ctx->learned->clock_offset_s - STARTED_EARLIER_S;
}

Verdict s3_read_find(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    g_autoptr(S3Answer) a = s3_answer_new(rs, "ListMultipartUploadsResult");
    if (up->found == NULL)
        up->found = g_ptr_array_new_with_free_func(g_free);
    if (a->is_error && s3_not_allowed(ctx, a, rs)) {
        ctx->learned->list_uploads = LEARNED_REFUSED;
        ctx->learned->dirty = true;
        upload_say(up, "this store does not list uploads: an unfinished one may be left there");
        return VERDICT_OK;
    }
    if (a->is_error && g_strcmp0(a->code, "NoSuchUpload") == 0)
        return VERDICT_OK; /* rclone says so of a bucket that never had any */
    if (a->is_error)
        return s3_failed(ctx, up, a, rs, error);
    s3_learn_clock(ctx, rs);

    for (unsigned i = 0; i < a->body->rows->len && up->found->len < MAX_FOUND; i++) {
        const char *id = body_row_field(a->body, i, "UploadId");
        if (id != NULL && *id != '\0' && may_be_ours(ctx, up, a, i))
            g_ptr_array_add(up->found, g_strdup(id));
    }
    /* The key itself sorts before all others that begin with it: once the marker is behind it, nothing more can follow. */
    g_autofree char *next_key = listed_key(a, s3_answer_field(a, "NextKeyMarker"));
    const char *next_id = s3_answer_field(a, "NextUploadIdMarker");
    if (!is_truncated(a) || g_strcmp0(next_key, up->key) != 0 || next_id == NULL) {
        set_marker(up, NULL);
        return VERDICT_OK;
    }
    g_autofree char *marker = g_strconcat(next_key, "\n", next_id, NULL);
    if (g_strcmp0(marker, up->list_marker) == 0 || up->found->len >= MAX_FOUND) {
        set_marker(up, NULL);
        return VERDICT_OK;
    }
    set_marker(up, g_steal_pointer(&marker));
    return VERDICT_MORE;
}

/* ---- RESUME: which parts the store has. list_marker is "MARKER COVERED": parts up to number COVERED have been compared. */

static unsigned marker_number(const Upload *up, unsigned word)
{
    guint64 number = 0;
    g_auto(GStrv) words = g_strsplit(up->list_marker == NULL ? "" : up->list_marker, " ", 2);
    if (g_strv_length(words) > word)
        g_ascii_string_to_unsigned(words[word], 10, 0, G_MAXUINT, &number, NULL);
    return (unsigned)number;
}

bool s3_ask_resume(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    if (!s3_has_id(up, error))
        return false;
    GString *query = g_string_new("max-parts=" PAGE_ITEMS);
    if (up->list_marker != NULL) {
        g_autofree char *marker = g_strdup_printf("%u", marker_number(up, 0));
        s3_query_add(query, "part-number-marker", marker);
    }
    s3_query_add(query, "uploadId", up->upload_id);
    *rq_out = list_request(ctx, up->key, query);
    return true;
}

static bool listed_number(const char *text, guint64 most, guint64 *out)
{
    return text != NULL && g_ascii_string_to_unsigned(text, 10, 0, most, out, NULL);
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

/* A part counts when its size is right and nothing contradicts what is known of it. One whose answer was lost is taken as listed. */
static void compare_part(Upload *up, unsigned part, const S3Answer *a, unsigned row)
{
    Part *p = &up->parts[part];
    guint64 bytes;
    const char *etag = body_row_field(a->body, row, "ETag");
    const bool fits = listed_number(body_row_field(a->body, row, "Size"), G_MAXUINT64, &bytes) && bytes == upload_part_bytes(up, part) &&
                      (p->etag == NULL || etag == NULL || *etag == '\0' || s3_etag_equal(p->etag, etag)) &&
                      !checksum_differs(a, row, p->digest);
    if (fits && p->etag == NULL && etag != NULL && *etag != '\0')
        p->etag = g_strdup(etag);
    p->done = fits && p->etag != NULL;
    if (!p->done)
        g_clear_pointer(&p->etag, g_free);
}

/* Compares one page; returns the highest part number listed. */
static unsigned compare_page(Upload *up, const S3Answer *a, bool *listed)
{
    guint64 number, highest = 0;
    for (unsigned i = 0; i < a->body->rows->len; i++) {
        if (!listed_number(body_row_field(a->body, i, "PartNumber"), up->n_parts, &number) || number == 0)
            continue;
        listed[number - 1] = true;
        compare_part(up, (unsigned)number - 1, a, i);
        highest = MAX(highest, number);
    }
    return (unsigned)highest;
}

static Verdict resume_failed(const DestCtx *ctx, Upload *up, S3Answer *a, const Response *rs, GError **error)
{
    if (s3_not_allowed(ctx, a, rs)) {
        ctx->learned->list_parts = LEARNED_REFUSED;
        ctx->learned->dirty = true;
        upload_say(up, "this store does not list parts: resumed from the journal");
        set_marker(up, NULL);
        return VERDICT_OK;
    }
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
    s3_learn_clock(ctx, rs);

    g_autofree bool *listed = g_new0(bool, up->n_parts);
    const unsigned highest = compare_page(up, a, listed);
    guint64 next = 0;
    const bool grows = listed_number(s3_answer_field(a, "NextPartNumberMarker"), G_MAXUINT, &next) && next > marker_number(up, 0);
    const bool more = is_truncated(a) && grows && next <= up->n_parts;
    /* A list that breaks off says nothing about the parts behind it. */
    const unsigned covered = more || (is_truncated(a) && !grows) ? highest : up->n_parts;
    for (unsigned i = marker_number(up, 1); i < covered; i++)
        if (!listed[i] && up->parts[i].done) {
            up->parts[i].done = false;
            g_clear_pointer(&up->parts[i].etag, g_free);
        }
    set_marker(up, more ? g_strdup_printf("%u %u", (unsigned)next, MAX(covered, marker_number(up, 1))) : NULL);
    return more ? VERDICT_MORE : VERDICT_OK;
}
