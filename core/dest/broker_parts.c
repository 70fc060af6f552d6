#include "broker_priv.h"

#include <string.h>

/* What a store takes at most is not ours to know; these are the limits of S3, whose signed parts are what brokers hand out. */
enum { MAX_PARTS = 10000 };
#define MIB                (UINT64_C(1) << 20)
#define PART_DEFAULT_BYTES (8 * MIB)
#define PART_MIN_BYTES     (5 * MIB)

/* A part's handle is "UNTIL URL": when another one is asked for, wall clock, 0 = never. In front of that, or alone until it is known: the
 * one before was refused, and there is no third. */
#define SECOND "!"

static const DescParts *parts_of(const DestCtx *ctx)
{
    return &broker_of(ctx)->desc->multipart;
}

static unsigned digests(const DestCtx *ctx, const Upload *up)
{
    (void)up;
    return ctx->learned->checksum[DIGEST_MD5] == LEARNED_IGNORED ? 0 : DIGEST_BIT(DIGEST_MD5);
}

static bool plan(const DestCtx *ctx, Upload *up, uint64_t part_size_wanted, GError **error)
{
    const Description *d = broker_of(ctx)->desc;
    const uint64_t described = d->upload.part_size > 0 ? (uint64_t)d->upload.part_size : PART_DEFAULT_BYTES;
    const uint64_t at_least = (up->size_bytes + MAX_PARTS - 1) / MAX_PARTS;
    const uint64_t wanted = part_size_wanted > 0 ? part_size_wanted : described;
    if (part_size_wanted > 0 && part_size_wanted < PART_MIN_BYTES) {
        fault_set(error, FAULT_USAGE, "--part-size is 5 MiB or more here");
        return false;
    }
    upload_plan(up, true, MAX(wanted, at_least));
    if (!d->multipart.list.given)
        up->without |= PHASE_BIT(PHASE_RESUME) | PHASE_BIT(PHASE_VERIFY);
    if (!d->multipart.abort.given)
        up->without |= PHASE_BIT(PHASE_ABORT);
    return true;
}

/* ---- what placeholders see here */

typedef struct {
    JsonObject *memo;
    Scope scope;
} Sight;

static Sight sight_of(const DestCtx *ctx, const Upload *up, unsigned part)
{
    Sight s = { .memo = memo_read(up) };
    s.scope = (Scope){ .ctx = ctx, .up = up, .mp = memo_object(s.memo, "mp"), .part = part };
    return s;
}

/* The description may be another one by now than that which the upload began with: what it does not tell counts as no answer. */
static bool ask(const Scope *s, const DescRequest *d, Request **rq_out, GError **error)
{
    if (!d->given) {
        fault_set(error, FAULT_UPLOAD_GONE, "the description does not say any more how this upload goes on");
        return false;
    }
    const Fill fill = broker_request(s, d, rq_out, error);
    if (fill == FILL_ABSENT)
        fault_set(error, FAULT_UPLOAD_GONE, "what the application said about this upload is lost");
    return fill == FILL_OK;
}

static bool ask_with(const DestCtx *ctx, const Upload *up, unsigned part, const DescRequest *d, Request **rq_out, GError **error)
{
    Sight s = sight_of(ctx, up, part);
    const bool ok = ask(&s.scope, d, rq_out, error);
    json_object_unref(s.memo);
    return ok;
}

/* Companion says 500 and a page of HTML; others 404. */
static bool is_gone(const Response *rs)
{
    const char *body = (const char *)rs->body->data;
    return rs->status >= 400 && body != NULL && g_strstr_len(body, rs->body->len, "NoSuchUpload") != NULL;
}

static Verdict gone(const char *what, const Response *rs, GError **error)
{
    fault_set(error, FAULT_UPLOAD_GONE, "%s: %d NoSuchUpload", what, rs->status);
    return VERDICT_RESTART;
}

/* VERDICT_OK, or what a refusal means. */
static Verdict accepted(const DestCtx *ctx, const DescRequest *d, const Response *rs, const char *what, GError **error)
{
    Verdict refused = VERDICT_FAIL;
    if (is_gone(rs))
        return gone(what, rs, error);
    return broker_accepted(ctx, d, rs, what, &refused, error) ? VERDICT_OK : refused;
}

/* ---- OPEN: create */

static bool ask_open(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    const Scope s = { .ctx = ctx, .up = up };
    return ask(&s, &parts_of(ctx)->create, rq_out, error);
}

/* ---- a part's own URL */

static bool is_second(const Part *p)
{
    return p->handle != NULL && g_str_has_prefix(p->handle, SECOND);
}

static void set_handle(Part *p, const char *handle)
{
    secret_free(p->handle);
    p->handle = g_strdup(handle);
}

static void set_url(const DestCtx *ctx, Part *p, const char *url)
{
    const int64_t until_s = renew_at_s(ctx, url_expires_s(url));
    char *handle = g_strdup_printf("%s%" G_GINT64_FORMAT " %s", is_second(p) ? SECOND : "", until_s, url);
    secret_free(p->handle);
    p->handle = handle;
}

/* NULL: to be asked for. */
static const char *url_of(const Part *p)
{
    const char *space = p->handle == NULL ? NULL : strchr(p->handle, ' ');
    return space == NULL ? NULL : space + 1;
}

static bool has_ended(const DestCtx *ctx, const Part *p)
{
    const int64_t until_s = g_ascii_strtoll(p->handle + (is_second(p) ? strlen(SECOND) : 0), NULL, 10);
    return until_s > 0 && until_s <= ctx->now_s + ctx->learned->clock_offset_s;
}

/* The URLs of all parts at once: a list, or an object by number. */
static bool take_urls(const DestCtx *ctx, Upload *up, const Json *json, GError **error)
{
    const char *pointer = parts_of(ctx)->part_urls;
    for (unsigned i = 0; i < up->n_parts; i++) {
        JsonNode *urls = json == NULL ? NULL : json_at(json, pointer);
        g_autofree char *at = urls == NULL ? NULL : g_strdup_printf("/%u", JSON_NODE_HOLDS_ARRAY(urls) ? i : i + 1);
        g_autofree char *url = at == NULL ? NULL : json_text_of(json_node_at(urls, at));
        if (url == NULL) {
            fault_set(error, FAULT_BAD_ANSWER, "the application's answer lacks the URL of part %u at \"%s\"", i + 1, pointer);
            return false;
        }
        if (!broker_check_url(broker_of(ctx), url, error))
            return false;
        set_url(ctx, &up->parts[i], url);
    }
    return true;
}

static Verdict read_open(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    static const char what[] = "the application's answer to create";
    const DescParts *m = parts_of(ctx);
    const Verdict verdict = accepted(ctx, &m->create, rs, what, error);
    g_autoptr(JsonObject) values = NULL;
    g_autoptr(Json) json = NULL;
    if (verdict != VERDICT_OK)
        return verdict;
    answer_learn_clock(ctx, rs);
    if (!broker_extract(m->create.extract, rs, NULL, what, &values, &json, error) ||
        (m->part_urls != NULL && !take_urls(ctx, up, json, error)))
        return VERDICT_FAIL;
    g_autofree char *id = json_text_of(json_object_get_member(values, "id"));
    if (id == NULL || *id == '\0') {
        fault_set(error, FAULT_BAD_ANSWER, "%s has no id that is a text", what);
        return VERDICT_FAIL;
    }
    upload_set(&up->upload_id, id);
    up->opened_s = ctx->now_s;
    g_autoptr(JsonObject) memo = json_object_new();
    for (unsigned i = 0; i < m->create.extract->len; i++) { /* secrets are not for the store */
        const Source *source = m->create.extract->pdata[i];
        if (source->secret)
            json_object_remove_member(values, source->name);
    }
    json_object_set_object_member(memo, "mp", g_steal_pointer(&values));
    memo_write(up, memo);
    return VERDICT_OK;
}

/* ---- PART: sign, then put */

static bool ask_part(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    const DescParts *m = parts_of(ctx);
    Part *p = &up->parts[part];
    if (url_of(p) != NULL && m->sign.given && has_ended(ctx, p))
        set_handle(p, is_second(p) ? SECOND : NULL); /* read sees by it that another one was asked for */
    if (url_of(p) == NULL && !m->sign.given) {
        fault_set(error, FAULT_UPLOAD_GONE, "the application gave the parts' addresses once, and they are lost");
        return false;
    }
    if (url_of(p) == NULL)
        return ask_with(ctx, up, part, &m->sign, rq_out, error);
    Request *rq = request_new("PUT");
    rq->url = g_strdup(url_of(p));
    if (upload_part_bytes(up, part) > 0)
        request_body_file(rq, upload_part_offset(up, part), upload_part_bytes(up, part));
    *rq_out = rq;
    return true;
}

static Verdict take_handle(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    static const char what[] = "the application's signature of a part";
    Part *p = &up->parts[part];
    const Verdict verdict = accepted(ctx, &parts_of(ctx)->sign, rs, what, error);
    if (verdict != VERDICT_OK)
        return verdict;
    g_autoptr(JsonObject) values = NULL;
    if (!broker_extract(parts_of(ctx)->sign.extract, rs, NULL, what, &values, NULL, error))
        return VERDICT_FAIL;
    char *url = json_text_of(json_object_get_member(values, "url"));
    if (url == NULL || !broker_check_url(broker_of(ctx), url, error)) {
        secret_free(url);
        fault_set(error, FAULT_BAD_ANSWER, "%s names no URL", what);
        return VERDICT_FAIL;
    }
    set_url(ctx, p, url);
    secret_free(url);
    return VERDICT_MORE;
}

static Verdict part_refused(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    Part *p = &up->parts[part];
    bool may_renew = false;
    const Verdict verdict = store_refused(ctx, rs, url_of(p), &may_renew, error);
    if (!may_renew || is_second(p) || !parts_of(ctx)->sign.given)
        return verdict;
    set_handle(p, SECOND);
    return VERDICT_AGAIN;
}

static Verdict read_part(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    Part *p = &up->parts[part];
    if (url_of(p) == NULL)
        return take_handle(ctx, up, part, rs, error);
    if (is_gone(rs))
        return gone("the store's answer to a part", rs, error);
    if (!status_ok(NULL, rs->status))
        return part_refused(ctx, up, part, rs, error);
    const char *etag = response_header(rs, "etag");
    Verified verified = VERIFIED_NOT;
    if (etag == NULL || *etag == '\0') {
        fault_set(error, FAULT_BAD_ANSWER, "%d: the store took the part without naming an ETag", rs->status);
        return VERDICT_RETRY;
    }
    if (!broker_prove(rs, p->digest, &verified, error))
        return VERDICT_RETRY;
    if (verified == VERIFIED_NOT && ctx->learned->checksum[DIGEST_MD5] != LEARNED_IGNORED) {
        ctx->learned->checksum[DIGEST_MD5] = LEARNED_IGNORED;
        ctx->learned->dirty = true;
    }
    upload_set(&p->etag, etag);
    p->done = true;
    set_handle(p, NULL);
    return VERDICT_OK;
}

/* ---- RESUME: list; VERIFY: the same, when the answer to complete was lost */

static bool ask_list(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    return ask_with(ctx, up, 0, &parts_of(ctx)->list.listing, rq_out, error);
}

static void take_row(const DescList *list, Upload *up, JsonNode *row)
{
    g_autofree char *number = json_text_of(json_node_at(row, list->number)), *etag = json_text_of(json_node_at(row, list->etag));
    g_autofree char *size = list->size == NULL ? NULL : json_text_of(json_node_at(row, list->size));
    guint64 n = 0, bytes = 0;
    if (etag == NULL || number == NULL || !g_ascii_string_to_unsigned(number, 10, 1, up->n_parts, &n, NULL))
        return;
    const bool same_size = size == NULL || (g_ascii_string_to_unsigned(size, 10, 0, G_MAXUINT64, &bytes, NULL) &&
                                            bytes == upload_part_bytes(up, (unsigned)n - 1));
    Part *p = &up->parts[n - 1];
    p->done = same_size;
    upload_set(&p->etag, same_size ? etag : NULL);
}

static Verdict read_list(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    static const char what[] = "the application's list of parts";
    const DescList *list = &parts_of(ctx)->list;
    const Verdict verdict = accepted(ctx, &list->listing, rs, what, error);
    if (verdict != VERDICT_OK)
        return verdict;
    answer_learn_clock(ctx, rs);
    g_autoptr(Json) json = json_answer(rs, what, error);
    JsonNode *rows = json == NULL ? NULL : json_at(json, list->parts);
    if (json == NULL)
        return VERDICT_RETRY;
    if (rows == NULL || !JSON_NODE_HOLDS_ARRAY(rows)) {
        fault_set(error, FAULT_BAD_ANSWER, "%s is none at \"%s\"", what, list->parts);
        return VERDICT_FAIL;
    }
    for (unsigned i = 0; i < up->n_parts; i++)
        up->parts[i].done = false;
    JsonArray *array = json_node_get_array(rows);
    for (guint i = 0; i < json_array_get_length(array); i++)
        take_row(list, up, json_array_get_element(array, i));
    return VERDICT_OK;
}

static bool ask_verify(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    g_autoptr(JsonObject) memo = memo_read(up);
    if (json_object_has_member(memo, "closed")) /* complete was answered: there is nobody to ask for more proof */
        return true;
    return ask_list(ctx, up, part, rq_out, error);
}

/* Still listed, or not: complete is said once more. A store that has it says so, or does not know the upload, which then begins anew. */
static Verdict read_verify(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)ctx, (void)up, (void)part;
    if (rs->status >= 500 && !is_gone(rs)) {
        fault_set(error, FAULT_SERVER, "%d: whether the upload was completed is not known", rs->status);
        return VERDICT_RETRY;
    }
    fault_set(error, FAULT_UPLOAD_GONE, "whether the upload was completed is not known");
    return VERDICT_RESTART;
}

/* ---- CLOSE: complete */

static JsonNode *parts_node(const DestCtx *ctx, const Upload *up)
{
    const GPtrArray *names = parts_of(ctx)->part_names;
    const char *number = names == NULL ? "PartNumber" : names->pdata[0], *etag = names == NULL ? "ETag" : names->pdata[1];
    JsonArray *array = json_array_sized_new(up->n_parts);
    for (unsigned i = 0; i < up->n_parts; i++) {
        JsonObject *row = json_object_new();
        json_object_set_int_member(row, number, i + 1);
        json_object_set_string_member(row, etag, up->parts[i].etag == NULL ? "" : up->parts[i].etag);
        json_array_add_object_element(array, row);
    }
    JsonNode *node = json_node_init_array(json_node_alloc(), array);
    json_array_unref(array);
    return node;
}

static bool ask_close(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    Sight s = sight_of(ctx, up, 0);
    g_autoptr(JsonNode) parts = parts_node(ctx, up);
    s.scope.parts = parts;
    const bool ok = ask(&s.scope, &parts_of(ctx)->complete, rq_out, error);
    if (ok)
        (*rq_out)->slow_answer = true;
    json_object_unref(s.memo);
    return ok;
}

/* Each part's ETag is its MD5: the store has what was sent. */
static void judge_parts(Upload *up)
{
    for (unsigned i = 0; i < up->n_parts; i++) {
        const Part *p = &up->parts[i];
        if (p->digest == NULL || (p->digest->have & DIGEST_BIT(DIGEST_MD5)) == 0 || p->etag == NULL)
            return;
        if (!etag_is_md5(p->etag, p->digest))
            return;
    }
    up->verified = VERIFIED_ETAG;
}

static Verdict read_close(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    static const char what[] = "the application's answer to complete";
    const DescParts *m = parts_of(ctx);
    const Verdict verdict = accepted(ctx, &m->complete, rs, what, error);
    if (verdict != VERDICT_OK)
        return verdict;
    g_autoptr(JsonObject) values = NULL;
    if (!broker_extract(m->complete.extract, rs, NULL, what, &values, NULL, error))
        return VERDICT_FAIL;
    judge_parts(up);
    Sight s = sight_of(ctx, up, 0);
    const Verdict stored = broker_stored(&s.scope, up, rs, values, error);
    json_object_unref(s.memo);
    if (stored != VERDICT_OK)
        return stored;
    g_autoptr(JsonObject) memo = memo_read(up);
    json_object_set_boolean_member(memo, "closed", TRUE);
    memo_write(up, memo);
    return VERDICT_OK;
}

/* ---- ABORT */

static bool ask_abort(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    return !parts_of(ctx)->abort.given || ask_with(ctx, up, 0, &parts_of(ctx)->abort, rq_out, error);
}

static Verdict read_abort(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)up, (void)part;
    if (is_gone(rs) || rs->status == 404)
        return VERDICT_OK; /* what was wanted */
    return accepted(ctx, &parts_of(ctx)->abort, rs, "the application's answer to abort", error);
}

const BrokerWay broker_parts = {
    .digests = digests,
    .plan = plan,
    .step = {
        [PHASE_RESUME] = { ask_list, read_list },
        [PHASE_OPEN] = { ask_open, read_open },
        [PHASE_PART] = { ask_part, read_part },
        [PHASE_CLOSE] = { ask_close, read_close },
        [PHASE_VERIFY] = { ask_verify, read_verify },
        [PHASE_ABORT] = { ask_abort, read_abort },
    },
};
