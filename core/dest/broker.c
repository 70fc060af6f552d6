#include "broker_priv.h"

#include <string.h>

/* ---- the store's answers ---- */

static const AnswerRow store_rows[] = {
    { 0, "NoSuchUpload", VERDICT_RESTART, FAULT_UPLOAD_GONE, NULL },
    { 0, "EntityTooLarge", VERDICT_FAIL, FAULT_TOO_LARGE, NULL },
    { 0, "MaxMessageLengthExceeded", VERDICT_FAIL, FAULT_TOO_LARGE, NULL },
    { 0, "RequestBodyTooLarge", VERDICT_FAIL, FAULT_TOO_LARGE, NULL },
    { 0, "BadDigest", VERDICT_RETRY, FAULT_CHECKSUM, NULL },
    { 0, "Md5Mismatch", VERDICT_RETRY, FAULT_CHECKSUM, NULL },
    { 0, "XAmzContentChecksumMismatch", VERDICT_RETRY, FAULT_CHECKSUM, NULL },
    { 0, "SignatureDoesNotMatch", VERDICT_FAIL, FAULT_GRANT,
      "the application signed another request than its description makes (headers, type, size)" },
    { 0, "RequestTimeTooSkewed", VERDICT_FAIL, FAULT_GRANT, "the clock of the application, which signs, is wrong" },
    { 0, "NoSuchBucket", VERDICT_FAIL, FAULT_NO_BUCKET, NULL },
    { 0, "ContainerNotFound", VERDICT_FAIL, FAULT_NO_BUCKET, NULL },
    { 0, "QuotaExceeded", VERDICT_FAIL, FAULT_QUOTA, NULL },
    { 0, "BlobAlreadyExists", VERDICT_FAIL, FAULT_EXISTS, NULL },
    { 0, "Duplicate", VERDICT_FAIL, FAULT_EXISTS, NULL },
    { 0, "SlowDown", VERDICT_RETRY, FAULT_SLOW_DOWN, NULL },
    { 0, "expired", VERDICT_FAIL, FAULT_GRANT, "what the application granted has ended" },
    { 401, NULL, VERDICT_FAIL, FAULT_GRANT, "the store does not accept what the application granted" },
    { 403, NULL, VERDICT_FAIL, FAULT_GRANT, "the store does not accept what the application granted" },
    { 0, NULL, VERDICT_OK, FAULT_NONE, NULL },
};

/* Companion of Uppy hides this one in a page of HTML with status 500. */
static bool body_holds(const Response *rs, const char *word)
{
    return rs->body->len > 0 && g_strstr_len((const char *)rs->body->data, rs->body->len, word) != NULL;
}

/* The SDK of the broker signed the checksum of nothing, for it had no body when it signed. */
static bool binds_empty_checksum(const char *url)
{
    g_autofree char *lower = url == NULL ? NULL : g_ascii_strdown(url, -1);
    return lower != NULL && strstr(lower, "x-amz-checksum-crc32=aaaaaa") != NULL;
}

static void read_words(const Response *rs, char **code_out, char **message_out)
{
    g_autoptr(Body) xml = body_parse(rs->body->data, rs->body->len);
    g_autoptr(Json) json = xml->root == NULL ? json_answer(rs, "", NULL) : NULL;
    const char *code = xml->root != NULL ? body_field(xml, "Code") : response_header(rs, "x-ms-error-code");
    if (code == NULL && json != NULL)
        code = json_string_at(json, "/error/code") != NULL ? json_string_at(json, "/error/code") : json_string_at(json, "/code");
    if (code == NULL && json != NULL)
        code = json_string_at(json, "/error");
    if (code == NULL && body_holds(rs, "NoSuchUpload"))
        code = "NoSuchUpload";
    const char *message = xml->root == NULL ? NULL : body_field(xml, "Message");
    *code_out = g_strdup(code);
    *message_out = message != NULL ? g_strdup(message) : json_error_words(rs);
}

Verdict store_refused(const DestCtx *ctx, const Response *rs, const char *url, bool *may_renew_out, GError **error)
{
    g_autofree char *code = NULL, *message = NULL;
    read_words(rs, &code, &message);
    *may_renew_out = rs->status == 403 || (rs->status / 100 == 4 && words_say_expired(code, message));
    if (rs->status == 400 && binds_empty_checksum(url)) {
        g_autofree char *cause = answer_cause(rs->status, code, message, NULL, ctx->creds);
        fault_set(
            error, FAULT_REFUSED,
            "%s - the broker signs the checksum of an empty body: set AWS_REQUEST_CHECKSUM_CALCULATION=WHEN_REQUIRED in its environment",
            cause);
        return VERDICT_FAIL;
    }
    return answer_failed(store_rows, rs, code, *message == '\0' ? NULL : message, ctx->creds, error);
}

/* ---- proof ---- */

static bool same_base64(const DigestSet *digest, DigestKind kind, const char *value)
{
    g_autofree char *ours = digest_base64(digest, kind);
    return ours != NULL && g_str_equal(ours, value);
}

/* A checksum that the store computed, in a header of its own. */
static bool check_header(const Response *rs, const char *header, const DigestSet *digest, DigestKind kind, Verified *verified_out,
                         GError **error)
{
    const char *value = response_header(rs, header);
    if (value == NULL || (digest->have & DIGEST_BIT(kind)) == 0)
        return true;
    if (!same_base64(digest, kind, value)) {
        fault_set(error, FAULT_CHECKSUM, "the store's %s of what it received is not that of what was sent", digest_name(kind));
        return false;
    }
    *verified_out = VERIFIED_CHECKSUM;
    return true;
}

bool etag_is_md5(const char *etag, const DigestSet *digest)
{
    if (etag == NULL || (digest->have & DIGEST_BIT(DIGEST_MD5)) == 0)
        return false;
    g_autofree char *hex = digest_hex(digest->value[DIGEST_MD5], digest_bytes(DIGEST_MD5));
    const char *bare = g_str_has_prefix(etag, "W/") ? etag + strlen("W/") : etag;
    const char *digits = bare + (*bare == '"');
    return g_ascii_strncasecmp(digits, hex, strlen(hex)) == 0 && strcmp(digits + strlen(hex), *bare == '"' ? "\"" : "") == 0;
}

bool broker_prove(const Response *rs, const DigestSet *digest, Verified *verified_out, GError **error)
{
    Verified verified = VERIFIED_NOT;
    if (digest == NULL)
        return true;
    for (DigestKind kind = 0; kind < N_DIGESTS; kind++) {
        g_autofree char *header = g_strconcat("x-amz-checksum-", digest_name(kind), NULL);
        if (!check_header(rs, header, digest, kind, &verified, error))
            return false;
    }
    if (!check_header(rs, "content-md5", digest, DIGEST_MD5, &verified, error))
        return false;
    if (verified == VERIFIED_NOT && etag_is_md5(response_header(rs, "etag"), digest))
        verified = VERIFIED_ETAG; /* one that differs may be no MD5 at all: encrypted objects */
    *verified_out = verified;
    return true;
}

/* ---- stored ---- */

static void set_result(const Scope *s, const char *name, char **field)
{
    const char *text = pair_value(broker_of(s->ctx)->desc->result, name);
    char *value = NULL;
    if (text != NULL && fill_text(s, text, &value, NULL) == FILL_OK && *value != '\0')
        upload_set(field, value);
    g_free(value);
}

static void add_members(JsonObject *into, JsonObject *from)
{
    JsonObjectIter it;
    const char *name;
    JsonNode *node;
    json_object_iter_init_ordered(&it, from);
    while (json_object_iter_next_ordered(&it, &name, &node))
        json_object_set_member(into, name, json_node_ref(node));
}

Verdict broker_stored(const Scope *s, Upload *up, const Response *rs, JsonObject *extracted, GError **error)
{
    const Description *d = broker_of(s->ctx)->desc;
    g_autoptr(JsonObject) answer = NULL;
    g_autoptr(JsonObject) memo = memo_read(up);
    const char *url = s->grant == NULL ? NULL : s->grant->url;
    if (!broker_extract(extracted != NULL ? NULL : d->after, rs, url, "the object is stored, but the answer", &answer, NULL, error))
        return VERDICT_FAIL;
    if (extracted != NULL)
        add_members(answer, extracted);
    Scope all = *s;
    all.answer = answer;
    all.uploaded = rs;
    all.memo = memo_object(memo, "names");
    set_result(&all, "url", &up->url);
    set_result(&all, "id", &up->stored_key);
    set_result(&all, "key", &up->stored_key);
    return memo_keep(&all, up, error) ? VERDICT_OK : VERDICT_FAIL;
}

/* ---- one whole request: put and form ---- */

static bool is_form(const Description *d)
{
    return g_str_equal(d->upload.kind, "form");
}

static unsigned digests_whole(const DestCtx *ctx, const Upload *up)
{
    (void)up;
    const bool useless = ctx->learned->checksum[DIGEST_MD5] == LEARNED_IGNORED;
    return broker_of(ctx)->digests | (useless ? 0 : DIGEST_BIT(DIGEST_MD5));
}

static bool plan_whole(const DestCtx *ctx, Upload *up, uint64_t part_size_wanted, GError **error)
{
    (void)ctx, (void)part_size_wanted, (void)error;
    upload_plan(up, false, 0);
    return true;
}

/* What is sent: the grant, or what a description without one says. */
static Grant *grant_to_send(const DestCtx *ctx, const Upload *up, GError **error)
{
    const Scope s = { .ctx = ctx, .up = up };
    g_autoptr(JsonObject) none = json_object_new();
    Grant *grant = NULL;
    if (grant_fill(&s, none, NULL, &grant, error) == FILL_ABSENT)
        fault_set(error, FAULT_BUG, "a value of the upload is not known");
    return grant;
}

static const char *field_value(const GPtrArray *fields, const char *name)
{
    for (unsigned i = 0; fields != NULL && i + 1 < fields->len; i += 2)
        if (g_ascii_strcasecmp(fields->pdata[i], name) == 0)
            return fields->pdata[i + 1];
    return NULL;
}

static void put_form(const DescUpload *u, const Upload *up, const Grant *grant, Request *rq)
{
    g_autoptr(Form) form = form_new(up->nonce);
    for (unsigned i = 0; grant->fields != NULL && i + 1 < grant->fields->len; i += 2)
        form_field(form, grant->fields->pdata[i], grant->fields->pdata[i + 1]);
    const char *slash = strrchr(up->key, '/'), *type = field_value(grant->fields, "content-type");
    const char *name = up->name != NULL ? up->name : slash == NULL ? up->key : slash + 1;
    const char *own = up->content_type == NULL ? "application/octet-stream" : up->content_type;
    form_file(form, rq, u->file_field == NULL ? "file" : u->file_field, name, type != NULL ? type : own, 0, up->size_bytes);
}

static Request *upload_request(const DestCtx *ctx, const Upload *up, const Grant *grant)
{
    const Description *d = broker_of(ctx)->desc;
    const char *method = d->upload.method != NULL ? d->upload.method : is_form(d) ? "POST" : "PUT";
    Request *rq = request_new(g_intern_string(method));
    rq->url = g_strdup(grant->url);
    for (unsigned i = 0; grant->headers != NULL && i < grant->headers->len; i++)
        g_ptr_array_add(rq->headers, g_strdup(grant->headers->pdata[i]));
    if (is_form(d))
        put_form(&d->upload, up, grant, rq);
    else if (up->size_bytes > 0)
        request_body_file(rq, 0, up->size_bytes);
    return rq;
}

static bool ask_whole(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    const bool has_grant = broker_of(ctx)->desc->grant.given;
    if (has_grant && !grant_fresh(ctx, up))
        return grant_ask(ctx, up, rq_out, error);
    g_autoptr(Grant) own = has_grant ? NULL : grant_to_send(ctx, up, error);
    if (!has_grant && own == NULL)
        return false;
    *rq_out = upload_request(ctx, up, has_grant ? up->grant : own);
    return true;
}

static Verdict take_grant(const DestCtx *ctx, Upload *up, const Response *rs, GError **error)
{
    const Verdict verdict = grant_read(ctx, up, rs, error);
    if (verdict == VERDICT_OK)
        return VERDICT_MORE; /* now the file */
    if (verdict != VERDICT_MORE)
        return verdict;
    upload_say(up, "the application has this file already: nothing was sent");
    up->parts[0].done = true;
    up->notify = false;
    return VERDICT_OK;
}

static void learn_proof(const DestCtx *ctx, const Upload *up)
{
    if (up->verified != VERIFIED_NOT || ctx->learned->checksum[DIGEST_MD5] == LEARNED_IGNORED)
        return;
    ctx->learned->checksum[DIGEST_MD5] = LEARNED_IGNORED; /* the next file need not be read for it */
    ctx->learned->dirty = true;
}

static Verdict read_whole(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    const Description *d = broker_of(ctx)->desc;
    if (d->grant.given && (up->grant == NULL || up->grant->expires_s == BROKER_ENDED))
        return take_grant(ctx, up, rs, error);
    if (!status_ok(d->upload.ok, rs->status)) {
        bool may_renew = false;
        const Verdict verdict = store_refused(ctx, rs, up->grant == NULL ? NULL : up->grant->url, &may_renew, error);
        if (!may_renew || up->step > 0 || !d->grant.given)
            return verdict;
        up->step++; /* once */
        grant_drop(up);
        return VERDICT_AGAIN;
    }
    if (!broker_prove(rs, up->parts[part].digest, &up->verified, error))
        return VERDICT_RETRY;
    learn_proof(ctx, up);
    upload_set(&up->etag, response_header(rs, "etag"));
    const Scope s = { .ctx = ctx, .up = up, .grant = up->grant };
    return broker_stored(&s, up, rs, NULL, error);
}

static const BrokerWay broker_whole = { .digests = digests_whole,
                                        .plan = plan_whole,
                                        .step = { [PHASE_PART] = { ask_whole, read_whole } } };

/* ---- NOTIFY ---- */

/* The next request that is to be made, from up->step on; those that name what is not there are passed over. */
static bool next_notify(const DestCtx *ctx, const Upload *up, unsigned *step_out, Request **rq_out, GError **error)
{
    const GPtrArray *notify = broker_of(ctx)->desc->notify;
    g_autoptr(JsonObject) memo = memo_read(up);
    const Scope s = { .ctx = ctx, .up = up, .memo = memo_object(memo, "names") };
    for (unsigned i = up->step; notify != NULL && i < notify->len; i++) {
        const Fill fill = broker_request(&s, notify->pdata[i], rq_out, error);
        *step_out = i;
        if (fill != FILL_ABSENT)
            return fill == FILL_OK;
    }
    return true;
}

static bool ask_notify(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part;
    unsigned step = 0;
    return next_notify(ctx, up, &step, rq_out, error);
}

/* The object is there: whatever the application says, only the announcement is repeated. */
static Verdict read_notify(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    unsigned step = up->step;
    g_autoptr(Request) asked = NULL;
    if (!next_notify(ctx, up, &step, &asked, error) || asked == NULL)
        return asked == NULL && (error == NULL || *error == NULL) ? VERDICT_OK : VERDICT_FAIL;
    g_autoptr(GError) cause = NULL;
    Verdict refused = VERDICT_FAIL;
    if (!broker_accepted(ctx, broker_of(ctx)->desc->notify->pdata[step], rs, "the application's answer", &refused, &cause)) {
        fault_set(error, FAULT_NOT_ANNOUNCED, "stored, but the application was not told: %s", cause->message);
        return refused == VERDICT_RETRY ? VERDICT_RETRY : VERDICT_FAIL;
    }
    up->step = step + 1;
    g_autoptr(Request) next = NULL;
    if (!next_notify(ctx, up, &step, &next, error))
        return VERDICT_FAIL;
    return next != NULL ? VERDICT_MORE : VERDICT_OK;
}

/* ---- which way an upload goes ---- */

/* Phases other than PART are those of parts: an upload that is there only to be aborted has no plan. */
static const BrokerWay *way_of(const DestCtx *ctx, const Upload *up, Phase phase)
{
    if (broker_of(ctx)->inner != NULL)
        return &broker_inner;
    return up->multipart || phase != PHASE_PART ? &broker_parts : &broker_whole;
}

#define HAND_ON(name, phase)                                                                                                               \
    static bool ask_##name(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)                          \
    {                                                                                                                                      \
        const DestStep *step = &way_of(ctx, up, phase)->step[phase];                                                                       \
        return step->ask == NULL || step->ask(ctx, up, part, rq_out, error);                                                               \
    }                                                                                                                                      \
    static Verdict read_##name(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)                          \
    {                                                                                                                                      \
        const DestStep *step = &way_of(ctx, up, phase)->step[phase];                                                                       \
        return step->read == NULL ? VERDICT_OK : step->read(ctx, up, part, rs, error);                                                     \
    }

HAND_ON(look, PHASE_LOOK)
HAND_ON(find, PHASE_FIND)
HAND_ON(resume, PHASE_RESUME)
HAND_ON(open, PHASE_OPEN)
HAND_ON(part, PHASE_PART)
HAND_ON(close, PHASE_CLOSE)
HAND_ON(verify, PHASE_VERIFY)
HAND_ON(abort, PHASE_ABORT)

static unsigned broker_digests(const DestCtx *ctx, const Upload *up)
{
    const BrokerWay *way = up == NULL ? broker_of(ctx)->inner != NULL ? &broker_inner : &broker_whole : way_of(ctx, up, PHASE_PART);
    return way->digests(ctx, up);
}

static bool type_allowed(const GPtrArray *types, const char *type)
{
    for (unsigned i = 0; types != NULL && i < types->len; i++)
        if (g_pattern_match_simple(types->pdata[i], type))
            return true;
    return types == NULL;
}

static bool broker_plan(const DestCtx *ctx, Upload *up, uint64_t part_size_wanted, GError **error)
{
    const Broker *b = broker_of(ctx);
    const DescUpload *u = &b->desc->upload;
    const char *type = up->content_type == NULL ? "application/octet-stream" : up->content_type;
    if (u->max_size > 0 && up->size_bytes > (uint64_t)u->max_size) {
        fault_set(error, FAULT_TOO_LARGE, "%s takes files up to %" G_GINT64_FORMAT " bytes", b->desc->file, u->max_size);
        return false;
    }
    if (!type_allowed(u->types, type)) {
        g_autofree char *shown = hoist_text(type);
        fault_set(error, FAULT_REFUSED, "%s does not take files of type %s", b->desc->file, shown);
        return false;
    }
    const BrokerWay *way = b->inner != NULL                                       ? &broker_inner
                           : up->size_bytes > b->parts_from || b->parts_from == 0 ? &broker_parts
                                                                                  : &broker_whole;
    if (!way->plan(ctx, up, part_size_wanted, error))
        return false;
    for (Phase phase = 0; phase < N_PHASES; phase++)
        if (way->step[phase].ask == NULL && phase != PHASE_NOTIFY)
            up->without |= PHASE_BIT(phase);
    up->notify = b->desc->notify != NULL && b->desc->notify->len > 0;
    return true;
}

/* ---- open and close ---- */

static void sign_in_clear(gpointer data)
{
    g_free(((SignIn *)data)->header);
}

static void broker_close(void *priv)
{
    Broker *b = priv;
    if (b == NULL)
        return;
    inner_close(b);
    description_free(b->desc);
    g_hash_table_unref(b->vars);
    g_hash_table_unref(b->env);
    g_hash_table_unref(b->asked);
    g_array_unref(b->sign_ins);
    g_ptr_array_unref(b->secrets);
    g_ptr_array_unref(b->kept);
    g_free(b->origin);
    g_free(b);
}

static Description *load(const DestConf *conf, GError **error)
{
    const char *own = dest_conf_option(conf, "broker");
    return description_load(own != NULL ? own : conf->bucket, error);
}

static void *broker_open(const DestConf *conf, GError **error)
{
    Broker *b = g_new0(Broker, 1);
    b->vars = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    b->env = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, secret_free);
    b->sign_ins = g_array_new(FALSE, TRUE, sizeof(SignIn));
    g_array_set_clear_func(b->sign_ins, sign_in_clear);
    b->secrets = g_ptr_array_new_with_free_func(g_free);
    b->asked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    b->kept = g_ptr_array_new_with_free_func(g_free);
    b->desc = load(conf, error);
    if (b->desc == NULL || !broker_check(b, conf, error) || !inner_open(b, conf, error)) {
        broker_close(b);
        return NULL;
    }
    return b;
}

static const char *const *broker_secrets(const void *priv)
{
    return (const char *const *)((const Broker *)priv)->secrets->pdata;
}

static char *broker_where(const DestCtx *ctx)
{
    const Broker *b = broker_of(ctx);
    return b->origin == NULL ? g_strdup(b->desc->file) : g_strdup_printf("%s (%s)", b->origin, ctx->conf->bucket);
}

static char *broker_url(const DestCtx *ctx, const char *key)
{
    (void)ctx, (void)key;
    return NULL;
}

static const HoistOpt broker_opts[] = {
    { "broker", 0, HOIST_OPT_TEXT, "NAME|FILE", NULL, "the name of a description, or the path of one",
      "how the application is asked (default: the name behind broker:)", false, true },
    { "var", 0, HOIST_OPT_TEXT, "NAME=VALUE", NULL, "NAME=VALUE", "variable of a broker's description", true, true },
    { "sign-in", 0, HOIST_OPT_TEXT, "HOW", NULL, "bearer, cookie, csrf, header:NAME",
      "how a broker's application knows you; the value is a secret", true, true },
    { "parts-from", 0, HOIST_OPT_SIZE, "SIZE", NULL, "like 8M, 1.5GiB",
      "a broker's larger files go in parts, where its description has them", false, true },
    { 0 },
};
static const char *const broker_shared[] = { "secret", "addressing", "allow-http", NULL };

const DestOps dest_broker = {
    .scheme = "broker",
    .form = DEST_FORM_NAME,
    .help = "broker:NAME",
    .shared = broker_shared,
    .opts = broker_opts,
    .open = broker_open,
    .close = broker_close,
    .more_secrets = broker_secrets,
    .digests = broker_digests,
    .plan = broker_plan,
    .url = broker_url,
    .where = broker_where,
    .step = {
        [PHASE_LOOK] = { ask_look, read_look },
        [PHASE_FIND] = { ask_find, read_find },
        [PHASE_RESUME] = { ask_resume, read_resume },
        [PHASE_OPEN] = { ask_open, read_open },
        [PHASE_PART] = { ask_part, read_part },
        [PHASE_CLOSE] = { ask_close, read_close },
        [PHASE_VERIFY] = { ask_verify, read_verify },
        [PHASE_NOTIFY] = { ask_notify, read_notify },
        [PHASE_ABORT] = { ask_abort, read_abort },
    },
};
