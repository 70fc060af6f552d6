#include "tus_priv.h"

#include <string.h>

#define MIB (UINT64_C(1) << 20)

#define SMALL_BYTES        MIB        /* created and sent in one request where the server takes that */
#define SUM_CHUNK_BYTES    (8 * MIB)  /* of a checksum: one that differs costs a chunk */
#define SUM_MAX_BYTES      (64 * MIB) /* longer ones are not read twice */
#define PARALLEL_MIN_BYTES (32 * MIB)
#define PARALLEL_PART      (16 * MIB)

/* What the memo of a granted upload says once the server was asked how much it has. Until then nothing was sent that could be there. */
#define ASKED "asked"

/* PARALLEL_PARTS: their URLs travel in one header. */
enum { MAX_CHUNKS = 10000, PARALLEL_PARTS = 32 };

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
    if (!tus_may_sign_in(ctx, error))
        return false;
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

/* ---- HEAD: how much of a stream is there */

static void ask_head(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out)
{
    g_autofree char *url = tus_stream_url(up, part);
    *rq_out = tus_request(ctx, up, "HEAD", url);
}

static Verdict head_refused(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    GError *why = NULL;
    g_autofree char *from = tus_stream_url(up, part), *to = NULL;
    if (tus_redirect(from, rs, &to, &why)) {
        tus_set_stream_url(up, part, to);
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
    uint64_t length = tus_stream_bytes(up, part);
    tus_number(rs, "upload-length", &length);
    if (length != tus_stream_bytes(up, part) || offset > length)
        fault_set(error, FAULT_SIZE, "the server counts %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " bytes, the file has others", offset,
                  length);
    else if (offset < tus_confirmed_bytes(up, part))
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
        tus_take_offset(up, part, offset);
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
    g_autofree char *url = tus_stream_url(up, 0);
    if (up->multipart && (up->serial == tus_is_joined(up) || (tus_is_joined(up) && tus_streams(up) != up->n_parts))) {
        fault_set(error, FAULT_UPLOAD_GONE, "the server's features changed: the file is sent another way now");
        return false;
    }
    const unsigned n = tus_is_joined(up) ? next_stream(up) : 0;
    if (url != NULL && n < up->n_parts)
        ask_head(ctx, up, n, rq_out);
    return true;
}

static Verdict read_resume(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    const unsigned n = tus_is_joined(up) ? next_stream(up) : 0;
    const Verdict verdict = read_head(ctx, up, n, rs, error);
    if (tus_of(ctx) == NULL)
        upload_set(&up->memo, ASKED);
    if (verdict != VERDICT_OK || !tus_is_joined(up)) {
        if (verdict == VERDICT_OK && up->url == NULL && up->upload_id != NULL)
            tus_remember_object(up, up->upload_id);
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
    g_autofree char *url = tus_stream_url(up, part);
    const uint64_t kept = up->parts[part].kept_bytes, in_file = upload_part_offset(up, part) + kept;
    Request *rq = tus_request(ctx, up, "PATCH", url);
    request_header(rq, "Content-Type", "application/offset+octet-stream");
    tus_add_number(rq, "Upload-Offset", tus_is_joined(up) ? kept : in_file);
    if (sends_whole(ctx, up, part))
        tus_add_sum(ctx, &up->parts[part], rq);
    request_body_file(rq, in_file, rest_bytes(ctx, up, part));
    rq->slow_answer = in_file + rq->body_bytes == up->size_bytes; /* the server may put it where it belongs first */
    *rq_out = rq;
}

static bool ask_part(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    const Part *p = &up->parts[part];
    g_autofree char *url = tus_stream_url(up, part);
    if (url == NULL)
        return tus_ask_small(ctx, up, rq_out, error);
    if (p->handle != NULL)
        ask_head(ctx, up, part, rq_out);
    else if (!p->done && p->kept_bytes < upload_part_bytes(up, part))
        ask_patch(ctx, up, part, rq_out);
    return true;
}

/* The first bytes of an upload that was handed out just now, and the server has some already: of another file, or of its version before. */
static bool is_used(const DestCtx *ctx, const Upload *up)
{
    return tus_of(ctx) == NULL && up->memo == NULL && upload_done_bytes(up) == 0;
}

/* The server counts otherwise than we do, or did not say. */
static Verdict lost_count(Upload *up, unsigned part, Verdict otherwise)
{
    if (up->probe)
        return otherwise; /* RESUME asks it */
    upload_set(&up->parts[part].handle, TUS_OFFSET_UNKNOWN);
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
    if (rs->status == 409 && is_used(ctx, up)) {
        g_clear_error(error);
        fault_set(error, FAULT_GRANT, "the application handed out an upload that holds bytes already: of which file?");
        return VERDICT_FAIL;
    }
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
    const uint64_t begin = tus_is_joined(up) ? 0 : upload_part_offset(up, part), before = begin + p->kept_bytes;
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
        upload_set(&p->etag, TUS_SUM_VERIFIED);
    tus_take_offset(up, part, offset);
    return offset == begin + upload_part_bytes(up, part) ? VERDICT_OK : VERDICT_MORE;
}

static Verdict read_part(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    g_autofree char *url = tus_stream_url(up, part);
    if (url == NULL)
        return tus_read_small(ctx, up, rs, error);
    if (up->parts[part].handle == NULL)
        return read_patch(ctx, up, part, rs, error);
    const Verdict verdict = read_head(ctx, up, part, rs, error);
    return verdict == VERDICT_OK ? VERDICT_MORE : verdict;
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
    if (tus_is_joined(up)) { /* the answer that named the whole was lost, and nobody can tell */
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
    tus_prove(up);
    return VERDICT_OK;
}

/* ---- ABORT, REMOVE */

static bool ask_abort(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part, (void)error;
    g_autofree char *url = tus_stream_url(up, up->step);
    const bool offered = tus_of(ctx) == NULL || !tus_knows(ctx) || tus_has(ctx, "termination");
    if (url != NULL && offered && upload_id_is_url(url))
        *rq_out = tus_request(ctx, up, "DELETE", url);
    return true;
}

/* What is not there, or cannot be taken away, is left to expire. */
static bool is_let_go(int status)
{
    static const int statuses[] = { 400, 404, 405, 410, 501 };
    if (tus_is_one_of(status, statuses, G_N_ELEMENTS(statuses)))
        return true;
    return status >= 200 && status < 300;
}

static Verdict read_abort(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    if (!is_let_go(rs->status))
        return tus_failed(ctx, rs, error);
    if (++up->step < tus_streams(up))
        return VERDICT_MORE;
    up->step = 0;
    return VERDICT_OK;
}

static bool ask_remove(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    if (!tus_may_sign_in(ctx, error))
        return false;
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
              [PHASE_OPEN] = { tus_ask_open, tus_read_open },
              [PHASE_PART] = { ask_part, read_part },
              [PHASE_CLOSE] = { tus_ask_close, tus_read_close },
              [PHASE_VERIFY] = { ask_verify, read_verify },
              [PHASE_ABORT] = { ask_abort, read_abort },
              [PHASE_REMOVE] = { ask_remove, read_remove } },
};
