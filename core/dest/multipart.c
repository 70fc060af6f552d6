#include "multipart.h"

#include <string.h>

#include "s3_url.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

/* S3 User Guide, "Amazon S3 multipart upload limits"; OSS has the same but for smaller parts. */
#define WHOLE_MAX_BYTES    (16 * MIB) /* larger ones go in parts, unless the person's parts are larger */
#define PART_DEFAULT_BYTES (8 * MIB)
#define PART_MAX_BYTES     (5 * GIB)
#define MAX_PARTS          10000
#define OBJECT_MAX_BYTES   (MAX_PARTS * PART_MAX_BYTES)

enum {
    MAX_FOUND = 1000,
    STARTED_EARLIER_S = 900, /* the store's clock, and the way there */
};

/* ---- plan */

bool multipart_check_part_size(const DestConf *conf, uint64_t part_min_bytes, const char *store, GError **error)
{
    const char *text = dest_conf_option(conf, "part-size");
    uint64_t bytes;
    if (text == NULL || (hoist_parse_size(text, &bytes) && bytes >= part_min_bytes && bytes <= PART_MAX_BYTES))
        return true;
    const uint64_t unit = part_min_bytes % MIB == 0 ? MIB : 1024;
    fault_set(error, FAULT_USAGE, "--part-size %s: %s takes parts of %" G_GUINT64_FORMAT "%s..5GiB", text, store, part_min_bytes / unit,
              unit == MIB ? "MiB" : "KiB");
    return false;
}

static uint64_t round_up(uint64_t bytes, uint64_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

bool multipart_plan(Upload *up, uint64_t part_size_wanted, uint64_t part_min_bytes, const char *store, GError **error)
{
    const size_t key_bytes = strlen(up->key);
    if (key_bytes == 0 || key_bytes > S3_MAX_KEY_BYTES) {
        fault_set(error, FAULT_KEY, "the key has %zu bytes, %s takes 1 to %d; shorten the name or the prefix", key_bytes, store,
                  S3_MAX_KEY_BYTES);
        return false;
    }
    if (up->size_bytes > OBJECT_MAX_BYTES) {
        fault_set(error, FAULT_TOO_LARGE, "%s takes objects up to %d parts of 5 GiB (48.8 TiB)", store, MAX_PARTS);
        return false;
    }
    const uint64_t whole = part_size_wanted > 0 ? MIN(part_size_wanted, PART_MAX_BYTES) : WHOLE_MAX_BYTES;
    if (up->size_bytes <= whole) {
        upload_plan(up, false, 0);
        return true;
    }
    const uint64_t wanted = part_size_wanted > 0 ? part_size_wanted : PART_DEFAULT_BYTES,
                   at_least = (up->size_bytes + MAX_PARTS - 1) / MAX_PARTS;
    const uint64_t unit = part_min_bytes < MIB && wanted < MIB ? 1 : MIB;
    if (part_size_wanted > PART_MAX_BYTES || round_up(wanted, unit) < part_min_bytes) {
        fault_set(error, FAULT_USAGE, "%s does not take parts of this size (--part-size)", store);
        return false;
    }
    upload_plan(up, true, round_up(MAX(wanted, at_least), unit));
    return true;
}

/* ---- queries and the document that completes */

bool multipart_has_id(const Upload *up, GError **error)
{
    if (up->upload_id == NULL)
        fault_set(error, FAULT_BUG, "the upload has no id yet");
    return up->upload_id != NULL;
}

char *multipart_query(const Upload *up, unsigned part_number)
{
    GString *query = g_string_new(NULL);
    if (part_number > 0)
        g_string_append_printf(query, "partNumber=%u", part_number);
    s3_query_add(query, "uploadId", up->upload_id);
    return g_string_free(query, FALSE);
}

char *multipart_find_query(const Upload *up)
{
    GString *query = g_string_new("uploads=");
    s3_query_add(query, "encoding-type", "url");
    s3_query_add(query, "max-uploads", MULTIPART_PAGE_ITEMS);
    s3_query_add(query, "prefix", up->key);
    const char *id = up->list_marker == NULL ? NULL : strrchr(up->list_marker, '\n');
    if (id != NULL) {
        g_autofree char *key = g_strndup(up->list_marker, (gsize)(id - up->list_marker));
        s3_query_add(query, "key-marker", key);
        s3_query_add(query, "upload-id-marker", id + 1);
    }
    return g_string_free(query, FALSE);
}

static unsigned marker_number(const Upload *up, unsigned word)
{
    guint64 number = 0;
    g_auto(GStrv) words = g_strsplit(up->list_marker == NULL ? "" : up->list_marker, " ", 2);
    if (g_strv_length(words) > word)
        g_ascii_string_to_unsigned(words[word], 10, 0, G_MAXUINT, &number, NULL);
    return (unsigned)number;
}

char *multipart_resume_query(const Upload *up)
{
    GString *query = g_string_new("max-parts=" MULTIPART_PAGE_ITEMS);
    if (up->list_marker != NULL) {
        g_autofree char *marker = g_strdup_printf("%u", marker_number(up, 0));
        s3_query_add(query, "part-number-marker", marker);
    }
    s3_query_add(query, "uploadId", up->upload_id);
    return g_string_free(query, FALSE);
}

static void append_element(GString *xml, const char *name, const char *value)
{
    g_autofree char *escaped = g_markup_escape_text(value, -1);
    g_string_append_printf(xml, "<%s>%s</%s>", name, escaped, name);
}

static void append_part(GString *xml, const Part *p, unsigned number, const char *checksum_element, DigestKind kind)
{
    g_autofree char *checksum = checksum_element != NULL && p->digest != NULL ? digest_base64(p->digest, kind) : NULL;
    g_string_append_printf(xml, "<Part><PartNumber>%u</PartNumber>", number);
    append_element(xml, "ETag", p->etag);
    if (checksum != NULL)
        append_element(xml, checksum_element, checksum);
    g_string_append(xml, "</Part>");
}

GBytes *multipart_complete(const Upload *up, const char *xml_namespace, const char *checksum_element, DigestKind kind, GError **error)
{
    GString *xml = g_string_new("<CompleteMultipartUpload");
    if (xml_namespace != NULL)
        g_string_append_printf(xml, " xmlns=\"%s\"", xml_namespace);
    g_string_append_c(xml, '>');
    for (unsigned i = 0; i < up->n_parts; i++) {
        if (!up->parts[i].done || up->parts[i].etag == NULL) {
            fault_set(error, FAULT_BUG, "completing while part %u is missing", i + 1);
            g_string_free(xml, TRUE);
            return NULL;
        }
        append_part(xml, &up->parts[i], i + 1, checksum_element, kind);
    }
    g_string_append(xml, "</CompleteMultipartUpload>");
    return g_string_free_to_bytes(xml);
}

/* ---- answers */

Verdict multipart_opened(const DestCtx *ctx, Upload *up, const S3Answer *a, GError **error)
{
    const char *id = s3_answer_field(a, "UploadId");
    if (id == NULL || *id == '\0') {
        fault_set(error, FAULT_BAD_ANSWER, "%d: the store opened an upload without an id", a->status);
        return VERDICT_RETRY;
    }
    upload_set(&up->upload_id, id);
    up->opened_s = ctx->now_s;
    return VERDICT_OK;
}

static bool is_truncated(const S3Answer *a)
{
    return g_strcmp0(s3_answer_field(a, "IsTruncated"), "true") == 0;
}

static void set_marker(Upload *up, char *marker)
{
    g_free(up->list_marker);
    up->list_marker = marker;
}

Verdict multipart_find_refused(const DestCtx *ctx, Upload *up)
{
    ctx->learned->list_uploads = LEARNED_REFUSED;
    ctx->learned->dirty = true;
    upload_say(up, "this store does not list uploads: an unfinished one may be left there");
    return VERDICT_OK;
}

Verdict multipart_resume_refused(const DestCtx *ctx, Upload *up)
{
    ctx->learned->list_parts = LEARNED_REFUSED;
    ctx->learned->dirty = true;
    upload_say(up, "this store does not list parts: resumed from the journal");
    set_marker(up, NULL);
    return VERDICT_OK;
}

bool multipart_aborted(Upload *up, const S3Answer *a)
{
    if (!a->is_error || (a->status == 404 && g_strcmp0(a->code, "NoSuchBucket") != 0))
        return true;
    if (a->status != 405 && a->status != 501)
        return false;
    upload_say(up, "this store does not abort uploads: unfinished parts stay there");
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

Verdict multipart_found(const DestCtx *ctx, Upload *up, const S3Answer *a)
{
    if (up->found == NULL)
        up->found = g_ptr_array_new_with_free_func(g_free);
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

static bool listed_number(const char *text, guint64 most, guint64 *out)
{
    return text != NULL && g_ascii_string_to_unsigned(text, 10, 0, most, out, NULL);
}

/* One whose answer was lost is taken as listed. */
static void compare_part(Upload *up, unsigned part, const S3Answer *a, unsigned row, MultipartDiffers differs)
{
    Part *p = &up->parts[part];
    guint64 bytes;
    const char *etag = body_row_field(a->body, row, "ETag");
    const bool fits = listed_number(body_row_field(a->body, row, "Size"), G_MAXUINT64, &bytes) && bytes == upload_part_bytes(up, part) &&
                      (p->etag == NULL || etag == NULL || *etag == '\0' || s3_etag_equal(p->etag, etag)) && !differs(a, row, p->digest);
    if (fits && p->etag == NULL && etag != NULL && *etag != '\0')
        p->etag = g_strdup(etag);
    p->done = fits && p->etag != NULL;
    if (!p->done)
        g_clear_pointer(&p->etag, g_free);
}

/* Compares one page; returns the highest part number listed. */
static unsigned compare_page(Upload *up, const S3Answer *a, MultipartDiffers differs, bool *listed)
{
    guint64 number, highest = 0;
    for (unsigned i = 0; i < a->body->rows->len; i++) {
        if (!listed_number(body_row_field(a->body, i, "PartNumber"), up->n_parts, &number) || number == 0)
            continue;
        listed[number - 1] = true;
        compare_part(up, (unsigned)number - 1, a, i, differs);
        highest = MAX(highest, number);
    }
    return (unsigned)highest;
}

Verdict multipart_resumed(Upload *up, const S3Answer *a, MultipartDiffers differs)
{
    g_autofree bool *listed = g_new0(bool, up->n_parts);
    const unsigned highest = compare_page(up, a, differs, listed);
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
