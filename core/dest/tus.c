#include "tus_priv.h"

#include <string.h>

#define MIB (UINT64_C(1) << 20)

#define SMALL_BYTES        MIB        /* created and sent in one request where the server takes that */
#define SUM_CHUNK_BYTES    (8 * MIB)  /* of a checksum: one that differs costs a chunk */
#define SUM_MAX_BYTES      (64 * MIB) /* longer ones are not read twice */
#define PARALLEL_MIN_BYTES (32 * MIB)
#define PARALLEL_PART      (16 * MIB)

/* PARALLEL_PARTS: their URLs travel in one header. */
enum { MAX_CHUNKS = 10000, PARALLEL_PARTS = 32 };

/* What Part.etag says of one whose checksum the server verified, and Part.handle of one whose offset has to be asked for. */
#define SUM_VERIFIED   "verified"
#define OFFSET_UNKNOWN "offset?"

/* ---- streams */

static bool is_joined(const Upload *up)
{
    return up->upload_id != NULL && strchr(up->upload_id, ' ') != NULL;
}

static unsigned n_streams(const Upload *up)
{
    unsigned n = up->upload_id != NULL;
    for (const char *p = up->upload_id; p != NULL && *p != '\0'; p++)
        n += *p == ' ';
    return n;
}

/* NULL when it was not created yet. Caller frees. */
static char *stream_url(const Upload *up, unsigned n)
{
    if (!is_joined(up))
        return g_strdup(up->upload_id != NULL ? up->upload_id : up->grant != NULL ? up->grant->url : NULL);
    g_auto(GStrv) urls = g_strsplit(up->upload_id, " ", -1);
    return n < g_strv_length(urls) ? g_strdup(urls[n]) : NULL;
}

static void set_stream_url(Upload *up, unsigned n, const char *url)
{
    if (!is_joined(up)) {
        upload_set(&up->upload_id, url);
        return;
    }
    g_auto(GStrv) urls = g_strsplit(up->upload_id, " ", -1);
    upload_set(&urls[n], url);
    g_autofree char *all = g_strjoinv(" ", urls);
    upload_set(&up->upload_id, all);
}

static uint64_t stream_bytes(const Upload *up, unsigned part)
{
    return is_joined(up) ? upload_part_bytes(up, part) : up->size_bytes;
}

/* What the server has confirmed of the stream that a part belongs to. */
static uint64_t confirmed_bytes(const Upload *up, unsigned part)
{
    if (is_joined(up))
        return up->parts[part].done ? upload_part_bytes(up, part) : up->parts[part].kept_bytes;
    return upload_done_bytes(up);
}

/* Where the object can be found, and removed, later. */
static void remember_object(Upload *up, const char *url)
{
    g_autofree char *key = tus_key_of(url);
    upload_set(&up->url, url);
    upload_set(&up->stored_key, key);
}

static void prove(Upload *up)
{
    bool sums = up->n_parts > 0;
    for (unsigned i = 0; i < up->n_parts; i++)
        sums = sums && g_strcmp0(up->parts[i].etag, SUM_VERIFIED) == 0;
    up->verified = sums ? VERIFIED_CHECKSUM : VERIFIED_SIZE;
}

/* The server has this much of the stream. True: all of it. */
static bool take_offset(Upload *up, unsigned part, uint64_t offset)
{
    const unsigned first = is_joined(up) ? part : 0, end = is_joined(up) ? part + 1 : up->n_parts;
    for (unsigned i = first; i < end; i++) {
        Part *p = &up->parts[i];
        const uint64_t bytes = upload_part_bytes(up, i), kept = MIN(offset, bytes);
        p->done = up->multipart && kept == bytes;
        p->kept_bytes = p->done ? 0 : kept;
        offset -= kept;
    }
    g_clear_pointer(&up->parts[part].handle, g_free);
    if (!is_joined(up) && upload_done_bytes(up) == up->size_bytes)
        prove(up);
    return is_joined(up) ? up->parts[part].done : upload_done_bytes(up) == up->size_bytes;
}

/* ---- plan */

static unsigned digests(const DestCtx *ctx, const Upload *up)
{
    DigestKind kind;
    if (!tus_sum(ctx, &kind))
        return 0;
    return up == NULL || up->part_size <= SUM_MAX_BYTES || tus_of(ctx)->sum == TUS_SUM_GIVEN ? DIGEST_BIT(kind) : 0;
}

void tus_plan_granted(Upload *up, uint64_t part_size_wanted)
{
    const uint64_t least = up->size_bytes / MAX_CHUNKS + 1;
    upload_plan(up, true, part_size_wanted == 0 ? MAX(up->size_bytes, 1) : MAX(part_size_wanted, least));
    up->serial = up->probe = true;
    up->without |= PHASE_BIT(PHASE_CLOSE) | PHASE_BIT(PHASE_VERIFY);
}

static bool plan_parallel(const DestCtx *ctx, Upload *up, uint64_t part_size_wanted)
{
    const uint64_t least = (up->size_bytes - 1) / PARALLEL_PARTS + 1;
    const uint64_t wanted = part_size_wanted > 0 ? part_size_wanted : MAX(PARALLEL_PART, least);
    DigestKind kind;
    if (!tus_has(ctx, "concatenation") || !tus_of(ctx)->parallel || up->size_bytes < PARALLEL_MIN_BYTES)
        return false;
    if (wanted < least || wanted >= up->size_bytes || (tus_sum(ctx, &kind) && wanted > SUM_MAX_BYTES))
        return false; /* too many, or too long to be checked */
    upload_plan(up, true, wanted);
    return true;
}

static bool plan(const DestCtx *ctx, Upload *up, uint64_t part_size_wanted, GError **error)
{
    DigestKind kind;
    const uint64_t most = tus_max_bytes(ctx);
    up->look_first = !tus_knows(ctx);
    up->serial = up->probe = false;
    up->without = 0;
    if (most != 0 && up->size_bytes > most) {
        fault_set(error, FAULT_TOO_LARGE, "the server takes files up to %" G_GUINT64_FORMAT " bytes (Tus-Max-Size)", most);
        return false;
    }
    if (up->size_bytes > 0 && plan_parallel(ctx, up, part_size_wanted))
        return true;
    const bool small = up->size_bytes <= SMALL_BYTES && (part_size_wanted == 0 || up->size_bytes <= part_size_wanted);
    tus_plan_granted(up, part_size_wanted > 0 ? part_size_wanted : tus_sum(ctx, &kind) ? SUM_CHUNK_BYTES : 0);
    if (small)
        upload_plan(up, false, 0);
    return true;
}

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

static void add_number(Request *rq, const char *name, uint64_t number)
{
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, number);
    request_header(rq, name, text);
}

static void add_sum(const DestCtx *ctx, const Part *part, Request *rq)
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
    add_number(rq, "Upload-Length", bytes);
    if (partial)
        request_header(rq, "Upload-Concat", "partial");
    else if (*metadata != '\0')
        request_header(rq, "Upload-Metadata", metadata);
    *rq_out = rq;
    return true;
}

static bool ask_small(const DestCtx *ctx, const Upload *up, Request **rq_out, GError **error)
{
    if (!ask_create(ctx, up, false, up->size_bytes, rq_out, error))
        return false;
    if (sends_at_once(ctx, up)) {
        request_header(*rq_out, "Content-Type", "application/offset+octet-stream");
        add_sum(ctx, &up->parts[0], *rq_out);
        request_body_file(*rq_out, 0, up->size_bytes);
    }
    return true;
}

static bool is_one_of(int status, const int *statuses, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (status == statuses[i])
            return true;
    return false;
}

/* Some servers say that they join partial uploads, and want of each what only the whole has. */
static bool joins_not(int status)
{
    static const int statuses[] = { 400, 403, 405, 409, 422, 501 };
    return is_one_of(status, statuses, G_N_ELEMENTS(statuses));
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

static bool ask_open(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    return ask_create(ctx, up, !up->serial, up->serial ? up->size_bytes : upload_part_bytes(up, up->step), rq_out, error);
}

static Verdict read_open(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    g_autofree char *url = NULL;
    const Verdict verdict = read_created(ctx, up, rs, &url, error);
    if (verdict != VERDICT_OK)
        return verdict;
    up->opened_s = ctx->now_s;
    if (up->serial) {
        upload_set(&up->upload_id, url);
        remember_object(up, url);
        return VERDICT_OK;
    }
    g_autofree char *all = up->step == 0 ? g_strdup(url) : g_strdup_printf("%s %s", up->upload_id, url);
    upload_set(&up->upload_id, all);
    return ++up->step < up->n_parts ? VERDICT_MORE : VERDICT_OK;
}

static Verdict read_small(const DestCtx *ctx, Upload *up, const Response *rs, GError **error)
{
    g_autofree char *url = NULL;
    uint64_t offset = 0;
    const bool sent = sends_at_once(ctx, up);
    const Verdict verdict = read_created(ctx, up, rs, &url, error);
    if (verdict != VERDICT_OK)
        return verdict;
    upload_set(&up->upload_id, url);
    remember_object(up, url);
    const bool told = tus_number(rs, "upload-offset", &offset);
    if (offset > (sent ? up->size_bytes : 0)) {
        fault_set(error, FAULT_SIZE, "the server counts %" G_GUINT64_FORMAT " bytes of a new upload", offset);
        return VERDICT_RESTART;
    }
    if (sent && !told)
        up->parts[0].handle = g_strdup(OFFSET_UNKNOWN);
    else if (take_offset(up, 0, offset))
        return VERDICT_OK;
    return VERDICT_MORE;
}

/* ---- HEAD: how much of a stream is there */

static void ask_head(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out)
{
    g_autofree char *url = stream_url(up, part);
    *rq_out = tus_request(ctx, up, "HEAD", url);
}

static Verdict head_refused(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    GError *why = NULL;
    g_autofree char *from = stream_url(up, part), *to = NULL;
    if (tus_redirect(from, rs, &to, &why)) {
        set_stream_url(up, part, to);
        g_propagate_error(error, why);
        return VERDICT_AGAIN;
    }
    if (rs->status == 403 || rs->status == 404 || rs->status == 410) {
        fault_set(error, FAULT_UPLOAD_GONE, "%d: the server knows this upload no more", rs->status);
        return VERDICT_RESTART;
    }
    const Verdict verdict = why != NULL ? VERDICT_FAIL : tus_failed(ctx, rs, &why);
    g_propagate_error(error, why);
    return verdict;
}

static Verdict check_head(const DestCtx *ctx, const Upload *up, unsigned part, const Response *rs, uint64_t offset, GError **error)
{
    uint64_t length = stream_bytes(up, part);
    tus_number(rs, "upload-length", &length);
    if (length != stream_bytes(up, part) || offset > length)
        fault_set(error, FAULT_SIZE, "the server counts %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " bytes, the file has others", offset,
                  length);
    else if (offset < confirmed_bytes(up, part))
        fault_set(error, FAULT_UPLOAD_GONE, "the server lost bytes that it had confirmed");
    else if (offset < length && tus_expired(ctx, rs))
        fault_set(error, FAULT_UPLOAD_GONE, "the upload has expired at the server");
    else
        return VERDICT_OK;
    return VERDICT_RESTART;
}

static Verdict read_head(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    uint64_t offset;
    if (rs->status < 200 || rs->status >= 300)
        return head_refused(ctx, up, part, rs, error);
    if (!tus_number(rs, "upload-offset", &offset))
        return tus_not_tus(rs, "Upload-Offset", VERDICT_RETRY, error);
    const Verdict verdict = check_head(ctx, up, part, rs, offset, error);
    if (verdict == VERDICT_OK)
        take_offset(up, part, offset);
    return verdict;
}

/* The next stream that is not known to be complete; n_parts = none. */
static unsigned next_stream(const Upload *up)
{
    unsigned n = up->step;
    while (n < up->n_parts && up->parts[n].done)
        n++;
    return n;
}

static bool ask_resume(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    g_autofree char *url = stream_url(up, 0);
    if (up->multipart && (up->serial == is_joined(up) || (is_joined(up) && n_streams(up) != up->n_parts))) {
        fault_set(error, FAULT_UPLOAD_GONE, "the server's features changed: the file is sent another way now");
        return false;
    }
    const unsigned n = is_joined(up) ? next_stream(up) : 0;
    if (url != NULL && n < up->n_parts)
        ask_head(ctx, up, n, rq_out);
    return true;
}

static Verdict read_resume(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    const unsigned n = is_joined(up) ? next_stream(up) : 0;
    const Verdict verdict = read_head(ctx, up, n, rs, error);
    if (verdict != VERDICT_OK || !is_joined(up)) {
        if (verdict == VERDICT_OK && up->url == NULL && up->upload_id != NULL)
            remember_object(up, up->upload_id);
        return verdict;
    }
    up->step = n + 1;
    return next_stream(up) < up->n_parts ? VERDICT_MORE : VERDICT_OK;
}

/* ---- PART */

static uint64_t rest_bytes(const DestCtx *ctx, const Upload *up, unsigned part)
{
    return MIN(upload_part_bytes(up, part) - up->parts[part].kept_bytes, tus_body_max(ctx));
}

/* A checksum is of the whole part. */
static bool sends_whole(const DestCtx *ctx, const Upload *up, unsigned part)
{
    return up->parts[part].kept_bytes == 0 && rest_bytes(ctx, up, part) == upload_part_bytes(up, part);
}

static void ask_patch(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out)
{
    g_autofree char *url = stream_url(up, part);
    const uint64_t kept = up->parts[part].kept_bytes, in_file = upload_part_offset(up, part) + kept;
    Request *rq = tus_request(ctx, up, "PATCH", url);
    request_header(rq, "Content-Type", "application/offset+octet-stream");
    add_number(rq, "Upload-Offset", is_joined(up) ? kept : in_file);
    if (sends_whole(ctx, up, part))
        add_sum(ctx, &up->parts[part], rq);
    request_body_file(rq, in_file, rest_bytes(ctx, up, part));
    rq->slow_answer = in_file + rq->body_bytes == up->size_bytes; /* the server may put it where it belongs first */
    *rq_out = rq;
}

static bool ask_part(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    const Part *p = &up->parts[part];
    g_autofree char *url = stream_url(up, part);
    if (url == NULL)
        return ask_small(ctx, up, rq_out, error);
    if (p->handle != NULL)
        ask_head(ctx, up, part, rq_out);
    else if (!p->done && p->kept_bytes < upload_part_bytes(up, part))
        ask_patch(ctx, up, part, rq_out);
    return true;
}

/* The server counts otherwise than we do, or did not say. */
static Verdict lost_count(Upload *up, unsigned part, Verdict otherwise)
{
    if (up->probe)
        return otherwise; /* RESUME asks it */
    upload_set(&up->parts[part].handle, OFFSET_UNKNOWN);
    return VERDICT_AGAIN;
}

static Verdict patch_refused(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    DigestKind kind;
    if (rs->status < 400 || rs->status == 404 || rs->status == 410)
        return head_refused(ctx, up, part, rs, error);
    GError *why = NULL;
    const uint64_t sent = rest_bytes(ctx, up, part);
    const bool summed = sends_whole(ctx, up, part) && up->parts[part].digest != NULL && tus_sum(ctx, &kind);
    const Verdict verdict = tus_failed(ctx, rs, &why);
    if (rs->status == 413 && tus_cut_body(ctx, sent)) {
        g_error_free(why);
        return VERDICT_MORE;
    }
    g_propagate_error(error, why);
    if (rs->status == 409)
        return lost_count(up, part, VERDICT_RETRY);
    if (rs->status == 400 && summed && tus_of(ctx)->sum == TUS_SUM_AUTO) {
        tus_sum_refused(ctx);
        return VERDICT_AGAIN;
    }
    return verdict;
}

static Verdict read_patch(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    DigestKind kind;
    Part *p = &up->parts[part];
    uint64_t offset;
    const uint64_t begin = is_joined(up) ? 0 : upload_part_offset(up, part), before = begin + p->kept_bytes;
    const uint64_t sent = rest_bytes(ctx, up, part);
    const bool summed = sends_whole(ctx, up, part) && p->digest != NULL && tus_sum(ctx, &kind);
    if (rs->status < 200 || rs->status >= 300)
        return patch_refused(ctx, up, part, rs, error);
    if (!tus_number(rs, "upload-offset", &offset))
        return lost_count(up, part, tus_not_tus(rs, "Upload-Offset", VERDICT_RETRY, error));
    if (offset < before || offset > before + sent) {
        fault_set(error, FAULT_SIZE,
                  "the server counts %" G_GUINT64_FORMAT " bytes after %" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT " more", offset,
                  before, sent);
        return VERDICT_RESTART;
    }
    if (offset == before) {
        fault_set(error, FAULT_SERVER, "%d: the server took nothing of what was sent", rs->status);
        return VERDICT_RETRY;
    }
    if (summed && offset == before + sent)
        upload_set(&p->etag, SUM_VERIFIED);
    take_offset(up, part, offset);
    return offset == begin + upload_part_bytes(up, part) ? VERDICT_OK : VERDICT_MORE;
}

static Verdict read_part(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    g_autofree char *url = stream_url(up, part);
    if (url == NULL)
        return read_small(ctx, up, rs, error);
    if (up->parts[part].handle == NULL)
        return read_patch(ctx, up, part, rs, error);
    const Verdict verdict = read_head(ctx, up, part, rs, error);
    return verdict == VERDICT_OK ? VERDICT_MORE : verdict;
}

/* ---- CLOSE: partial uploads become one */

static char *path_of(const char *url)
{
    const char *authority = strstr(url, "://");
    const char *path = authority == NULL ? NULL : strchr(authority + strlen("://"), '/');
    return g_strdup(path == NULL ? url : path);
}

static bool ask_close(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    if (tus_of(ctx) == NULL || n_streams(up) != up->n_parts) {
        fault_set(error, FAULT_UPLOAD_GONE, "not all partial uploads are known");
        return false;
    }
    const char *endpoint = tus_create_url(ctx);
    g_autoptr(GString) concat = g_string_new("final;");
    for (unsigned i = 0; i < up->n_parts; i++) {
        g_autofree char *url = stream_url(up, i);
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

static Verdict read_close(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    g_autofree char *url = NULL;
    Verdict verdict = read_created(ctx, up, rs, &url, error);
    if (verdict == VERDICT_FAIL && rs->status >= 400 && rs->status != 401 && rs->status != 413)
        verdict = VERDICT_RESTART; /* the parts are worthless */
    if (verdict != VERDICT_OK)
        return verdict;
    upload_set(&up->upload_id, url);
    remember_object(up, url);
    return VERDICT_OK;
}

/* ---- VERIFY: of joined uploads only, one stream is confirmed with its last byte */

static bool ask_verify(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part, (void)error;
    ask_head(ctx, up, 0, rq_out);
    return true;
}

static Verdict read_verify(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    uint64_t length, offset;
    if (rs->status < 200 || rs->status >= 300)
        return head_refused(ctx, up, 0, rs, error);
    if (is_joined(up)) { /* the answer that named the whole was lost, and nobody can tell */
        fault_set(error, FAULT_BAD_ANSWER, "whether the parts were joined is unknown");
        return VERDICT_RESTART;
    }
    if (!tus_number(rs, "upload-length", &length))
        return tus_not_tus(rs, "Upload-Length", VERDICT_RETRY, error);
    if (length != up->size_bytes) {
        fault_set(error, FAULT_SIZE, "the joined upload has %" G_GUINT64_FORMAT " bytes", length);
        return VERDICT_RESTART;
    }
    if (!tus_number(rs, "upload-offset", &offset) || offset != length) {
        fault_set(error, FAULT_CONFLICT, "the server has not joined the parts yet");
        return VERDICT_RETRY;
    }
    prove(up);
    return VERDICT_OK;
}

/* ---- ABORT, REMOVE */

static bool ask_abort(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part, (void)error;
    g_autofree char *url = stream_url(up, up->step);
    const bool offered = tus_of(ctx) == NULL || !tus_knows(ctx) || tus_has(ctx, "termination");
    if (url != NULL && offered && upload_id_is_url(url))
        *rq_out = tus_request(ctx, up, "DELETE", url);
    return true;
}

/* What is not there, or cannot be taken away, is left to expire. */
static bool is_let_go(int status)
{
    static const int statuses[] = { 400, 404, 405, 410, 501 };
    if (is_one_of(status, statuses, G_N_ELEMENTS(statuses)))
        return true;
    return status >= 200 && status < 300;
}

static Verdict read_abort(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    if (!is_let_go(rs->status))
        return tus_failed(ctx, rs, error);
    if (++up->step < n_streams(up))
        return VERDICT_MORE;
    up->step = 0;
    return VERDICT_OK;
}

static bool ask_remove(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part, (void)error;
    g_autoptr(GString) url = g_string_new(tus_of(ctx)->root);
    uri_escape_append(url, up->key, strlen(up->key), true);
    *rq_out = tus_request(ctx, up, "DELETE", url->str);
    return true;
}

static Verdict read_remove(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)up, (void)part;
    const bool absent = rs->status == 404 || rs->status == 410;
    return absent || (rs->status >= 200 && rs->status < 300) ? VERDICT_OK : tus_failed(ctx, rs, error);
}

/* ---- the row */

/* Only the server knows, and says so. */
static char *url_of(const DestCtx *ctx, const char *key)
{
    (void)ctx, (void)key;
    return NULL;
}

static char *where(const DestCtx *ctx)
{
    return g_strndup(tus_of(ctx)->root, strlen(tus_of(ctx)->root) - 1);
}

const DestOps dest_tus = {
    .scheme = "tus",
    .form = DEST_FORM_URL,
    .help = "tus+https://HOST/files/",
    .shared = tus_shared,
    .opts = tus_opts,
    .secrets = tus_secrets,
    .open = tus_open,
    .close = tus_close,
    .digests = digests,
    .plan = plan,
    .url = url_of,
    .where = where,
    .step = { [PHASE_LOOK] = { tus_ask_look, tus_read_look },
              [PHASE_RESUME] = { ask_resume, read_resume },
              [PHASE_OPEN] = { ask_open, read_open },
              [PHASE_PART] = { ask_part, read_part },
              [PHASE_CLOSE] = { ask_close, read_close },
              [PHASE_VERIFY] = { ask_verify, read_verify },
              [PHASE_ABORT] = { ask_abort, read_abort },
              [PHASE_REMOVE] = { ask_remove, read_remove } },
};
