#include <string.h>

#include "dav_priv.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

/* Nextcloud developer manual, "Chunked file upload": 5 MiB to 5 GiB, 10000 at most. A few less: their list holds the folder too. */
#define CHUNK_DEFAULT_BYTES (16 * MIB)
#define CHUNK_MIN_BYTES     (5 * MIB)
#define CHUNK_MAX_BYTES     (5 * GIB)
#define MAX_CHUNKS          9990

/* up->step while collections are made: 0 = not begun; then 1 + level on the way up, and STEP_DOWN more on the way down. */
enum { STEP_DOWN = 1 << 16, STEP_MADE = 1 << 17 };
enum { STEP_OBJECT = 1 << 19, STEP_CLEAN = 1 << 20 }; /* of VERIFY, which may find what CLOSE left */
enum { STEP_BEFORE = 1 << 18 };                       /* of OPEN: what has the name now? */

/* Handle of a file that is known to be there under its temporary name. After a restart that is not known: MOVE may have been obeyed, and to
 * repeat it would make some servers (x/net/webdav) remove the file that it made. */
#define STAGED "staged"

DavWay dav_way(const Upload *up)
{
    if (!up->multipart)
        return DAV_WHOLE;
    return up->n_parts == 1 ? DAV_STAGED : DAV_CHUNKED;
}

/* ---- plan */

static bool takes_chunks(const DestCtx *ctx)
{
    return dav_of(ctx)->chunks != NULL && dest_learned_fact(ctx->learned, DAV_FACT_CHUNKING) == NULL;
}

static bool plan_chunks(Upload *up, uint64_t part_size_wanted, GError **error)
{
    const uint64_t at_least = (up->size_bytes + MAX_CHUNKS - 1) / MAX_CHUNKS;
    const uint64_t wanted = part_size_wanted > 0 ? part_size_wanted : CHUNK_DEFAULT_BYTES;
    const uint64_t chunk = (MAX(wanted, at_least) + MIB - 1) / MIB * MIB;
    if (wanted < CHUNK_MIN_BYTES || wanted > CHUNK_MAX_BYTES) {
        fault_set(error, FAULT_USAGE, "--part-size is 5 MiB to 5 GiB for chunks of Nextcloud");
        return false;
    }
    if (chunk > CHUNK_MAX_BYTES) {
        fault_set(error, FAULT_TOO_LARGE, "Nextcloud takes files up to %d chunks of 5 GiB", MAX_CHUNKS);
        return false;
    }
    upload_plan(up, true, chunk);
    return true;
}

static bool dav_plan(const DestCtx *ctx, Upload *up, uint64_t part_size_wanted, GError **error)
{
    const Dav *dav = dav_of(ctx);
    const bool cannot_move = g_strcmp0(dest_learned_fact(ctx->learned, DAV_FACT_MOVE), "no") == 0;
    const uint64_t whole = part_size_wanted > 0 ? part_size_wanted : CHUNK_DEFAULT_BYTES;
    if (!dav_key_valid(up->key, error))
        return false;
    up->look_first = dav->only_new;
    if (takes_chunks(ctx) && up->size_bytes > whole)
        return plan_chunks(up, part_size_wanted, error);
    if (dav->nextcloud || cannot_move) {
        upload_plan(up, false, 0);
        if (!dav->nextcloud)
            upload_say(up, "this server cannot rename: written in place");
        return true;
    }
    upload_plan(up, true, MAX(up->size_bytes, 1));
    up->without = PHASE_BIT(PHASE_RESUME);
    return true;
}

static unsigned dav_digests(const DestCtx *ctx, const Upload *up)
{
    const Dav *dav = dav_of(ctx);
    return dav->checks && (up == NULL || dav_way(up) != DAV_CHUNKED) ? DIGEST_BIT(dav->digest) : 0;
}

/* ---- requests */

static Request *object_request(const DestCtx *ctx, const char *method, const Upload *up, GError **error)
{
    g_autofree char *path = dav_object_path(dav_of(ctx), up->key);
    return dav_request(ctx, method, path, error);
}

static Request *staging_request(const DestCtx *ctx, const char *method, const Upload *up, const char *below, GError **error)
{
    g_autofree char *staging = dav_staging_path(dav_of(ctx), up);
    g_autofree char *path = g_strconcat(staging, below, NULL);
    return dav_request(ctx, method, path, error);
}

static void destination_header(const DestCtx *ctx, const Upload *up, Request *rq)
{
    const Dav *dav = dav_of(ctx);
    g_autofree char *path = dav_object_path(dav, up->key);
    g_autofree char *url = g_strconcat(dav->origin, path, NULL);
    request_header(rq, "Destination", dest_learned_fact(ctx->learned, DAV_FACT_DESTINATION) == NULL ? url : path);
}

static void number_header(Request *rq, const char *name, uint64_t number)
{
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, number);
    request_header(rq, name, text);
}

static int64_t mtime_s(const Upload *up)
{
    return up->mtime_ns / 1000000000;
}

static void mtime_header(const DestCtx *ctx, const Upload *up, Request *rq)
{
    if (dav_of(ctx)->nextcloud && mtime_s(up) > 0)
        number_header(rq, "X-OC-Mtime", (uint64_t)mtime_s(up));
}

static bool hand_over(Request *rq, Request **rq_out)
{
    *rq_out = rq;
    return rq != NULL;
}

/* ---- the collections above */

static unsigned level_of(unsigned step)
{
    return step == 0 ? 0 : step % STEP_DOWN - 1;
}

static bool collection_known(const DestCtx *ctx, const Upload *up)
{
    const Dav *dav = dav_of(ctx);
    g_autofree char *path = dav_collection_path(dav, up->key, 0);
    return g_str_equal(path, "/") || g_hash_table_contains(dav->collections, path);
}

static void remember_collection(Dav *dav, char *path /* taken */)
{
    if (g_hash_table_size(dav->collections) >= DAV_MAX_COLLECTIONS)
        g_hash_table_remove_all(dav->collections);
    g_hash_table_add(dav->collections, path);
}

/* Nobody is sure any more what is there. */
static Verdict begin_collections(const DestCtx *ctx, Upload *up)
{
    g_hash_table_remove_all(dav_of(ctx)->collections);
    up->step = 1;
    return VERDICT_MORE;
}

static bool making_collections(const Upload *up)
{
    return up->step != 0 && up->step != STEP_MADE;
}

static bool ask_collection(const DestCtx *ctx, const Upload *up, Request **rq_out, GError **error)
{
    g_autofree char *path = dav_collection_path(dav_of(ctx), up->key, level_of(up->step));
    return hand_over(dav_request(ctx, "MKCOL", path, error), rq_out);
}

/* OK: all of them are there. Where one is missing that is above, that one is made first. */
static Verdict read_collection(const DestCtx *ctx, Upload *up, const Response *rs, GError **error)
{
    Dav *dav = dav_of(ctx);
    const unsigned level = level_of(up->step);
    g_autofree char *path = dav_collection_path(dav, up->key, level);
    if (dav_succeeded(rs) || rs->status == 405) { /* 405: it exists */
        remember_collection(dav, g_steal_pointer(&path));
        up->step = STEP_DOWN + level;
        return level == 0 ? VERDICT_OK : VERDICT_MORE;
    }
    g_autofree char *above = dav_collection_path(dav, up->key, level + 1);
    if ((rs->status == 409 || rs->status == 404) && up->step < STEP_DOWN && above != NULL) {
        up->step = level + 2;
        return VERDICT_MORE;
    }
    return dav_failed(ctx, up, rs, error);
}

/* The same in the middle of another phase, whose request is asked for again behind it. */
static Verdict read_collection_before(const DestCtx *ctx, Upload *up, const Response *rs, GError **error)
{
    const Verdict verdict = read_collection(ctx, up, rs, error);
    if (verdict != VERDICT_OK)
        return verdict;
    up->step = STEP_MADE;
    return VERDICT_MORE;
}

/* ---- LOOK */

static bool ask_look(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    g_autofree char *path = dav_object_path(dav_of(ctx), up->key);
    return hand_over(dav_stat_request(ctx, path, error), rq_out);
}

static Verdict read_look(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)up, (void)part;
    DavStat stat = { 0 };
    const Verdict verdict = dav_stat_read(ctx, rs, &stat, error);
    dav_stat_clear(&stat);
    if (verdict == VERDICT_MORE)
        return VERDICT_OK;
    if (verdict != VERDICT_OK)
        return verdict;
    fault_set(error, FAULT_EXISTS, "a file of this name is there already");
    return VERDICT_FAIL;
}

/* ---- RESUME */

static bool ask_resume(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    if (dav_way(up) != DAV_CHUNKED)
        return true; /* nothing of a file is kept before all of it is there */
    g_autofree char *path = dav_staging_path(dav_of(ctx), up);
    return hand_over(dav_list_request(ctx, path, error), rq_out);
}

static Verdict read_resume(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    return dav_list_read(ctx, up, rs, error);
}

/* ---- OPEN */

static bool ask_open(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    if (dav_way(up) != DAV_CHUNKED)
        return up->step == 0 && collection_known(ctx, up) ? true : ask_collection(ctx, up, rq_out, error);
    if (up->step == STEP_BEFORE)
        return ask_look(ctx, up, part, rq_out, error);
    if (up->step != 0)
        return ask_collection(ctx, up, rq_out, error);
    if (!hand_over(staging_request(ctx, "MKCOL", up, "", error), rq_out))
        return false;
    destination_header(ctx, up, *rq_out);
    return true;
}

static Verdict read_chunk_folder(const DestCtx *ctx, Upload *up, const Response *rs, GError **error)
{
    const bool exists = rs->status == 405; /* of an answer that was lost, or an earlier run */
    if (exists || dav_succeeded(rs)) {
        up->step = collection_known(ctx, up) ? STEP_BEFORE : 1;
        return VERDICT_MORE;
    }
    if (rs->status != 404 && rs->status != 409 && rs->status != 501)
        return dav_failed(ctx, up, rs, error);
    dest_learned_set_fact(ctx->learned, DAV_FACT_CHUNKING, "no");
    fault_set(error, FAULT_UNSUPPORTED, "%d: this server takes no chunks, files go whole", rs->status);
    return VERDICT_RESTART;
}

/* Should the answer to MOVE be lost and the folder of chunks be gone, another ETag than this shows that it was obeyed. */
static Verdict read_before(const DestCtx *ctx, Upload *up, const Response *rs, GError **error)
{
    DavStat stat = { 0 };
    const Verdict verdict = dav_stat_read(ctx, rs, &stat, error);
    upload_set(&up->memo, stat.etag);
    dav_stat_clear(&stat);
    return verdict == VERDICT_MORE ? VERDICT_OK : verdict;
}

static Verdict read_open_collection(const DestCtx *ctx, Upload *up, const Response *rs, GError **error)
{
    Verdict verdict = VERDICT_OK;
    if (rs->status == 403 && level_of(up->step) == 0) /* who may not make it may still write into it: the PUT tells */
        remember_collection(dav_of(ctx), dav_collection_path(dav_of(ctx), up->key, 0));
    else
        verdict = read_collection(ctx, up, rs, error);
    if (verdict != VERDICT_OK || dav_way(up) != DAV_CHUNKED)
        return verdict;
    up->step = STEP_BEFORE;
    return VERDICT_MORE;
}

static Verdict read_open(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    Verdict verdict;
    if (dav_way(up) == DAV_CHUNKED && up->step == 0)
        verdict = read_chunk_folder(ctx, up, rs, error);
    else if (up->step == STEP_BEFORE)
        verdict = read_before(ctx, up, rs, error);
    else
        verdict = read_open_collection(ctx, up, rs, error);
    if (verdict == VERDICT_OK)
        up->step = 0;
    return verdict;
}

/* ---- PART */

static bool ask_chunk(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    g_autofree char *name = g_strdup_printf("%0*u", DAV_CHUNK_DIGITS, part + 1);
    Request *rq = staging_request(ctx, "PUT", up, name, error);
    if (!hand_over(rq, rq_out))
        return false;
    destination_header(ctx, up, rq);
    number_header(rq, "OC-Total-Length", up->size_bytes);
    request_body_file(rq, upload_part_offset(up, part), upload_part_bytes(up, part));
    return true;
}

static bool ask_put(const DestCtx *ctx, const Upload *up, Request **rq_out, GError **error)
{
    const Dav *dav = dav_of(ctx);
    const bool whole = dav_way(up) == DAV_WHOLE;
    Request *rq = whole ? object_request(ctx, "PUT", up, error) : staging_request(ctx, "PUT", up, "", error);
    if (!hand_over(rq, rq_out))
        return false;
    if (up->content_type != NULL)
        request_header(rq, "Content-Type", up->content_type);
    mtime_header(ctx, up, rq);
    g_autofree char *checksum = dav_checksum_text(ctx, up);
    if (checksum != NULL)
        request_header(rq, "OC-Checksum", checksum);
    if (whole && dav->nextcloud)
        request_header(rq, "X-NC-WebDAV-AutoMkcol", "1");
    if (whole && dav->only_new)
        request_header(rq, "If-None-Match", "*");
    if (up->size_bytes > 0)
        request_body_file(rq, 0, up->size_bytes);
    return true;
}

static bool ask_part(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    if (dav_way(up) == DAV_CHUNKED)
        return ask_chunk(ctx, up, part, rq_out, error);
    return making_collections(up) ? ask_collection(ctx, up, rq_out, error) : ask_put(ctx, up, rq_out, error);
}

static const char *etag_of(const Response *rs)
{
    const char *etag = response_header(rs, "oc-etag");
    return etag != NULL ? etag : response_header(rs, "etag");
}

/* The server says that the file is there under its name. "" stands for an ETag that it does not tell. */
static void confirm(Upload *up, const Response *rs)
{
    const char *etag = etag_of(rs);
    upload_set(&up->etag, etag == NULL ? "" : etag);
}

static Verdict read_chunk(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    if (dav_succeeded(rs)) {
        up->parts[part].done = true;
        return VERDICT_OK;
    }
    if (rs->status != 404 && rs->status != 409)
        return dav_failed(ctx, up, rs, error);
    fault_set(error, FAULT_UPLOAD_GONE, "%d: the server has removed the chunks that were sent", rs->status);
    return VERDICT_RESTART;
}

/* Without the collection above servers answer 409, 404, or (nginx) 500. */
static Verdict put_failed(const DestCtx *ctx, Upload *up, const Response *rs, GError **error)
{
    const bool homeless = rs->status == 404 || rs->status == 409 || rs->status == 500;
    if (homeless && up->step == 0)
        return begin_collections(ctx, up);
    if (rs->status == 412 && dav_way(up) == DAV_WHOLE) {
        fault_set(error, FAULT_EXISTS, "412: a file of this name is there already");
        up->refused_exists = true;
        up->step = 0;
        return VERDICT_UNKNOWN;
    }
    return dav_failed(ctx, up, rs, error);
}

static Verdict read_part(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    if (dav_way(up) == DAV_CHUNKED)
        return read_chunk(ctx, up, part, rs, error);
    if (making_collections(up))
        return read_collection_before(ctx, up, rs, error);
    if (!dav_succeeded(rs))
        return put_failed(ctx, up, rs, error);
    upload_set(&up->parts[part].etag, etag_of(rs));
    upload_set(&up->parts[part].handle, STAGED);
    up->parts[part].done = true;
    up->step = 0;
    if (dav_way(up) == DAV_WHOLE)
        confirm(up, rs);
    return VERDICT_OK;
}

/* ---- CLOSE */

static bool ask_staging(const DestCtx *ctx, const Upload *up, Request **rq_out, GError **error)
{
    g_autofree char *path = dav_staging_path(dav_of(ctx), up);
    return hand_over(dav_stat_request(ctx, path, error), rq_out);
}

static bool ask_move(const DestCtx *ctx, const Upload *up, Request **rq_out, GError **error)
{
    const bool chunked = dav_way(up) == DAV_CHUNKED;
    Request *rq = staging_request(ctx, "MOVE", up, chunked ? ".file" : "", error);
    if (!hand_over(rq, rq_out))
        return false;
    rq->slow_answer = rq->once = true;
    destination_header(ctx, up, rq);
    request_header(rq, "Overwrite", dav_of(ctx)->only_new ? "F" : "T");
    if (chunked) {
        number_header(rq, "OC-Total-Length", up->size_bytes);
        mtime_header(ctx, up, rq);
    }
    return true;
}

static bool looks_before_move(const Upload *up)
{
    return dav_way(up) == DAV_STAGED && up->parts[0].handle == NULL;
}

static bool ask_close(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    if (looks_before_move(up))
        return ask_staging(ctx, up, rq_out, error);
    return making_collections(up) ? ask_collection(ctx, up, rq_out, error) : ask_move(ctx, up, rq_out, error);
}

static Verdict read_before_move(const DestCtx *ctx, Upload *up, const Response *rs, GError **error)
{
    DavStat stat = { 0 };
    const Verdict verdict = dav_stat_read(ctx, rs, &stat, error);
    dav_stat_clear(&stat);
    if (verdict == VERDICT_OK)
        upload_set(&up->parts[0].handle, STAGED);
    else if (verdict == VERDICT_MORE)
        fault_set(error, FAULT_UPLOAD_GONE, "404: the temporary file is gone");
    else
        return verdict;
    return verdict == VERDICT_OK ? VERDICT_MORE : VERDICT_UNKNOWN;
}

static Verdict cannot_move(const DestCtx *ctx, const Response *rs, GError **error)
{
    dest_learned_set_fact(ctx->learned, DAV_FACT_MOVE, "no");
    fault_set(error, FAULT_UNSUPPORTED, "%d: this server cannot rename, files are written in place", rs->status);
    return VERDICT_RESTART;
}

/* A proxy that changes scheme or host makes an absolute Destination one of another server; what fails twice is not used. */
static Verdict staged_move_failed(const DestCtx *ctx, Upload *up, const Response *rs, GError **error)
{
    if (rs->status == 405 || rs->status == 501)
        return cannot_move(ctx, rs, error);
    if ((rs->status == 400 || rs->status == 502) && dest_learned_fact(ctx->learned, DAV_FACT_DESTINATION) == NULL) {
        dest_learned_set_fact(ctx->learned, DAV_FACT_DESTINATION, "path");
        fault_set(error, FAULT_ENDPOINT, "%d: the server does not know its own address in Destination", rs->status);
        return VERDICT_AGAIN;
    }
    if (rs->status != 500 && rs->status != 502)
        return dav_failed(ctx, up, rs, error);
    if (dest_learned_fact(ctx->learned, DAV_FACT_MOVE) != NULL)
        return cannot_move(ctx, rs, error);
    dest_learned_set_fact(ctx->learned, DAV_FACT_MOVE, "doubt");
    return dav_failed(ctx, up, rs, error);
}

static Verdict chunked_move_failed(const DestCtx *ctx, const Upload *up, const Response *rs, GError **error)
{
    g_autoptr(GError) cause = NULL;
    const Verdict verdict = dav_failed(ctx, up, rs, &cause);
    if (rs->status != 400 || fault_code(cause) != FAULT_REFUSED) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return verdict;
    }
    fault_set(error, FAULT_PART, "%s", cause->message);
    return VERDICT_RESTART;
}

static Verdict read_close(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    if (looks_before_move(up))
        return read_before_move(ctx, up, rs, error);
    if (making_collections(up))
        return read_collection_before(ctx, up, rs, error);
    if (rs->status == 409 && up->step == 0)
        return begin_collections(ctx, up); /* removed since */
    up->step = 0;
    if (dav_succeeded(rs)) {
        if (g_strcmp0(dest_learned_fact(ctx->learned, DAV_FACT_MOVE), "doubt") == 0)
            dest_learned_set_fact(ctx->learned, DAV_FACT_MOVE, NULL);
        confirm(up, rs);
        return VERDICT_OK;
    }
    if (rs->status == 404 || rs->status == 412 || rs->status == 504) { /* said before, perhaps: the answer was lost */
        up->refused_exists = rs->status == 412;
        fault_set(error, up->refused_exists ? FAULT_EXISTS : FAULT_UPLOAD_GONE, "%d: whether the file got its name is to be seen",
                  rs->status);
        return VERDICT_UNKNOWN;
    }
    return dav_way(up) == DAV_CHUNKED ? chunked_move_failed(ctx, up, rs, error) : staged_move_failed(ctx, up, rs, error);
}

/* ---- VERIFY */

static bool asks_staging(const Upload *up)
{
    return up->etag == NULL && up->multipart && up->step != STEP_OBJECT;
}

static bool ask_verify(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    if (up->step == STEP_CLEAN)
        return hand_over(staging_request(ctx, "DELETE", up, "", error), rq_out);
    return asks_staging(up) ? ask_staging(ctx, up, rq_out, error) : ask_look(ctx, up, part, rq_out, error);
}

/* What waits under its temporary name was not moved; its name is unique, so nobody but us could have. */
static Verdict read_staging(const DestCtx *ctx, Upload *up, const Response *rs, GError **error)
{
    DavStat stat = { 0 };
    const Verdict verdict = dav_stat_read(ctx, rs, &stat, error);
    dav_stat_clear(&stat);
    if (verdict != VERDICT_OK && verdict != VERDICT_MORE)
        return verdict;
    if (verdict == VERDICT_MORE)
        upload_set(&up->parts[0].handle, NULL);
    if (verdict == VERDICT_MORE || up->refused_exists) {
        up->step = verdict == VERDICT_MORE ? STEP_OBJECT : STEP_CLEAN;
        return VERDICT_MORE;
    }
    fault_set(error, FAULT_BROKEN, "the file still has its temporary name: the server did not rename it");
    return VERDICT_RESTART;
}

/* In a property some servers leave out the quotes that the header has. */
static bool same_etag(const char *told, const char *put)
{
    g_autofree char *a = g_strdelimit(g_strdup(told == NULL ? "" : told), "\"", ' '),
                    *b = g_strdelimit(g_strdup(put == NULL ? "" : put), "\"", ' ');
    return *g_strstrip(a) != '\0' && g_str_equal(a, g_strstrip(b));
}

/* No answer said so: the file counts only when it is known to be the one that was sent. */
static bool is_ours(const DestCtx *ctx, const Upload *up, const Response *rs, const DavStat *stat, DavProof proof)
{
    int64_t server_s = ctx->now_s;
    const bool staged = dav_way(up) == DAV_STAGED;
    if (!stat->has_size || stat->size_bytes != up->size_bytes || proof == DAV_PROOF_WRONG || stat->collection)
        return false;
    if (proof == DAV_PROOF_CHECKSUM || (staged && same_etag(stat->etag, up->parts[0].etag)))
        return true;
    if (dav_of(ctx)->nextcloud)
        return mtime_s(up) > 0 && stat->modified_s == mtime_s(up) && !same_etag(stat->etag, up->memo);
    response_date(rs, &server_s);
    return staged && up->opened_s > 0 && stat->modified_s >= up->opened_s + (server_s - ctx->now_s) - 1;
}

static Verdict judge_unconfirmed(const DestCtx *ctx, const Upload *up, const Response *rs, const DavStat *stat, DavProof proof,
                                 GError **error)
{
    if (is_ours(ctx, up, rs, stat, proof))
        return VERDICT_OK;
    if (up->refused_exists) {
        fault_set(error, FAULT_EXISTS, "412: a file of this name is there already");
        return VERDICT_FAIL;
    }
    fault_set(error, FAULT_UPLOAD_GONE, "the server has the upload no more, and the file of this name is another one");
    return VERDICT_RESTART;
}

static Verdict judge_confirmed(const Upload *up, const DavStat *stat, DavProof proof, GError **error)
{
    if (stat->has_size && stat->size_bytes != up->size_bytes) {
        fault_set(error, FAULT_SIZE, "the server has %" G_GUINT64_FORMAT " bytes, the file %" G_GUINT64_FORMAT, stat->size_bytes,
                  up->size_bytes);
        return VERDICT_RESTART;
    }
    if (proof == DAV_PROOF_WRONG) {
        fault_set(error, FAULT_CHECKSUM, "the server's checksum is not that of the file");
        return VERDICT_RESTART;
    }
    return VERDICT_OK;
}

static Verdict read_object(const DestCtx *ctx, Upload *up, const Response *rs, DavStat *stat, GError **error)
{
    const bool no_propfind = dest_learned_fact(ctx->learned, DAV_FACT_PROPFIND) != NULL;
    const Verdict found = dav_stat_read(ctx, rs, stat, error);
    if (found == VERDICT_MORE) {
        fault_set(error, FAULT_UPLOAD_GONE, "404: the file is not there");
        return VERDICT_RESTART;
    }
    if (up->etag != NULL && (found == VERDICT_FAIL || (found == VERDICT_AGAIN && no_propfind))) {
        g_clear_error(error);
        upload_say(up, "not verified: this server does not let us look at files");
        return VERDICT_OK;
    }
    if (found != VERDICT_OK)
        return found;
    const DavProof proof = dav_prove(ctx, up, stat->checksums);
    const Verdict verdict = up->etag == NULL ? judge_unconfirmed(ctx, up, rs, stat, proof, error) : judge_confirmed(up, stat, proof, error);
    if (verdict != VERDICT_OK)
        return verdict;
    up->verified = proof == DAV_PROOF_CHECKSUM ? VERIFIED_CHECKSUM : stat->has_size ? VERIFIED_SIZE : VERIFIED_NOT;
    if (up->etag == NULL || stat->etag != NULL)
        upload_set(&up->etag, stat->etag != NULL ? stat->etag : "");
    return VERDICT_OK;
}

static Verdict read_verify(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    if (up->step == STEP_CLEAN) {
        up->step = 0;
        fault_set(error, FAULT_EXISTS, "412: a file of this name is there already");
        return VERDICT_FAIL;
    }
    if (asks_staging(up))
        return read_staging(ctx, up, rs, error);
    DavStat stat = { 0 };
    const Verdict verdict = read_object(ctx, up, rs, &stat, error);
    dav_stat_clear(&stat);
    if (verdict == VERDICT_RESTART)
        up->step = 0;
    return verdict;
}

/* ---- ABORT and REMOVE */

static bool ask_abort(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    return hand_over(staging_request(ctx, "DELETE", up, "", error), rq_out);
}

static Verdict read_abort(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    return dav_succeeded(rs) || rs->status == 404 ? VERDICT_OK : dav_failed(ctx, up, rs, error);
}

/* A DELETE of a collection takes all that is in it: looked at first. */
static bool ask_remove(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    if (!dav_key_valid(up->key, error))
        return false;
    return up->step == 0 ? ask_look(ctx, up, part, rq_out, error) : hand_over(object_request(ctx, "DELETE", up, error), rq_out);
}

static Verdict read_remove(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    if (up->step != 0)
        return read_abort(ctx, up, part, rs, error);
    DavStat stat = { 0 };
    const Verdict verdict = dav_stat_read(ctx, rs, &stat, error);
    const bool collection = stat.collection;
    dav_stat_clear(&stat);
    if (verdict == VERDICT_MORE)
        return VERDICT_OK; /* gone already */
    if (verdict != VERDICT_OK)
        return verdict;
    if (collection) {
        fault_set(error, FAULT_KEY, "this is a folder: only files are removed");
        return VERDICT_FAIL;
    }
    up->step = 1;
    return VERDICT_MORE;
}

/* ---- the row */

static char *dav_where(const DestCtx *ctx)
{
    return g_strconcat(dav_of(ctx)->origin, dav_of(ctx)->path, NULL);
}

static char *dav_url(const DestCtx *ctx, const char *key)
{
    g_autofree char *path = dav_object_path(dav_of(ctx), key);
    return g_strconcat(dav_of(ctx)->origin, path, NULL);
}

const DestOps dest_dav = {
    .scheme = "dav",
    .form = DEST_FORM_URL,
    .help = "dav+https://HOST/PATH",
    .shared = dav_shared,
    .opts = dav_opts,
    .secrets = dav_secrets,
    .own_ids = true,
    .open = dav_open,
    .close = dav_close,
    .digests = dav_digests,
    .plan = dav_plan,
    .url = dav_url,
    .where = dav_where,
    .step = {
        [PHASE_LOOK] = { ask_look, read_look },
        [PHASE_RESUME] = { ask_resume, read_resume },
        [PHASE_OPEN] = { ask_open, read_open },
        [PHASE_PART] = { ask_part, read_part },
        [PHASE_CLOSE] = { ask_close, read_close },
        [PHASE_VERIFY] = { ask_verify, read_verify },
        [PHASE_ABORT] = { ask_abort, read_abort },
        [PHASE_REMOVE] = { ask_remove, read_remove },
    },
};
