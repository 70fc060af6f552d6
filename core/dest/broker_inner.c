#include "broker_priv.h"

#include <string.h>

#include "session.h"
#include "tus.h"

extern const DestOps dest_s3, dest_qiniu;

#define KEYS_LEEWAY_S 120 /* temporary keys have to last until the request that they sign has arrived */

typedef enum {
    GRANT_OPENS,   /* asked for once: what it names is then the upload's id */
    GRANT_IS_KEYS, /* temporary keys, shared by all uploads of the batch */
    GRANT_SIGNS,   /* a token that each request needs */
} GrantUse;

static const struct {
    const char *protocol;
    const DestOps *ops;
    GrantUse use;
} inners[] = {
    { "tus", &dest_tus, GRANT_OPENS },       { "gcs", &dest_gcs, GRANT_OPENS },
    { "ranged", &dest_ranged, GRANT_OPENS }, { "uploadthing", &dest_uploadthing, GRANT_OPENS },
    { "azure", &dest_azure, GRANT_SIGNS },   { "chunks", &dest_chunks, GRANT_SIGNS },
    { "s3", &dest_s3, GRANT_IS_KEYS },       { "qiniu-v2", &dest_qiniu, GRANT_SIGNS },
};

static GrantUse use_of(const Broker *b)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(inners); i++)
        if (inners[i].ops == b->inner)
            return inners[i].use;
    g_assert_not_reached();
}

static bool is_tus(const Broker *b)
{
    return b->inner == &dest_tus;
}

/* ---- open and close */

static void set_option(DestConf *conf, const char *name, const char *value)
{
    if (value != NULL)
        g_hash_table_insert(conf->options, g_strdup(name), g_strdup(value));
}

/* The bucket of temporary keys comes with them; until then it is a name that any endpoint takes. */
static bool reopen(Broker *b, const char *bucket, const char *region, const char *endpoint, GError **error)
{
    DestConf *conf = b->inner_conf;
    if (b->inner_priv != NULL && g_strcmp0(conf->bucket, bucket) == 0 && g_strcmp0(conf->region, region) == 0 &&
        g_strcmp0(conf->endpoint, endpoint) == 0)
        return true;
    upload_set(&conf->bucket, bucket);
    upload_set(&conf->region, region);
    upload_set(&conf->endpoint, endpoint);
    void *priv = b->inner->open(conf, error);
    if (priv == NULL)
        return false;
    if (b->inner_priv != NULL)
        b->inner->close(b->inner_priv);
    b->inner_priv = priv;
    return true;
}

bool inner_open(Broker *b, const DestConf *conf, GError **error)
{
    const DescUpload *u = &b->desc->upload;
    if (!g_str_equal(u->kind, "resumable"))
        return true;
    for (unsigned i = 0; i < G_N_ELEMENTS(inners); i++)
        if (g_str_equal(inners[i].protocol, u->protocol))
            b->inner = inners[i].ops;
    if (b->inner == NULL) {
        fault_set(error, FAULT_CONFIG, "%s: upload: protocol %s is not built in", b->desc->file, u->protocol);
        return false;
    }
    b->inner_conf = dest_conf_new();
    b->inner_conf->name = g_strdup(conf->name);
    b->inner_conf->scheme = g_strdup(b->inner->scheme);
    b->inner_conf->prefix = g_strdup("");
    if (is_tus(b))
        return true;
    const bool keys = use_of(b) == GRANT_IS_KEYS;
    g_autofree char *url = u->url == NULL ? NULL : broker_fixed_text(b, u->url);
    if (url == NULL && u->url != NULL && use_of(b) == GRANT_SIGNS && b->inner == &dest_qiniu) {
        fault_set(error, FAULT_CONFIG, "%s: upload: with this protocol \"url\" is a host that is known beforehand", b->desc->file);
        return false;
    }
    set_option(b->inner_conf, "addressing", dest_conf_option(conf, "addressing"));
    return reopen(b, keys ? "bucket" : NULL, NULL, url != NULL && *url == '\0' ? NULL : url, error);
}

void inner_close(Broker *b)
{
    if (b->inner != NULL && b->inner_priv != NULL)
        b->inner->close(b->inner_priv);
    b->inner_priv = NULL;
    g_clear_pointer(&b->inner_conf, dest_conf_free);
    g_clear_pointer(&b->inner_creds, credentials_free);
}

/* What the inner road sees: nothing of what the application alone may hear. */
static DestCtx inner_ctx(const DestCtx *ctx)
{
    const Broker *b = broker_of(ctx);
    DestCtx inner = *ctx;
    inner.ops = b->inner;
    inner.conf = b->inner_conf;
    inner.priv = b->inner_priv;
    inner.creds = b->inner_creds;
    return inner;
}

/* ---- grants */

static bool keys_fresh(const DestCtx *ctx)
{
    const Broker *b = broker_of(ctx);
    return b->inner_creds != NULL && (b->inner_until_s == 0 || b->inner_until_s > ctx->now_s + ctx->learned->clock_offset_s);
}

static bool needs_grant(const DestCtx *ctx, const Upload *up, Phase phase)
{
    const GrantUse use = use_of(broker_of(ctx));
    if (use == GRANT_IS_KEYS)
        return !keys_fresh(ctx);
    if (use == GRANT_SIGNS)
        return !grant_fresh(ctx, up);
    const bool opens = phase == PHASE_OPEN || (phase == PHASE_PART && !up->multipart);
    return opens && !upload_id_is_url(up->upload_id) && !grant_fresh(ctx, up);
}

/* Requests that are out for a grant: a part cannot tell by up->grant alone, which its neighbour may have renewed meanwhile. */
static char *asked_name(const Upload *up, Phase phase, unsigned part)
{
    return g_strdup_printf("%p/%d/%u", (const void *)up, (int)phase, part);
}

static void note_asked(Broker *b, const Upload *up, Phase phase, unsigned part, bool grant)
{
    g_autofree char *name = asked_name(up, phase, part);
    if (grant)
        g_hash_table_add(b->asked, g_steal_pointer(&name));
    else
        g_hash_table_remove(b->asked, name);
}

static bool was_asked(Broker *b, const Upload *up, Phase phase, unsigned part)
{
    g_autofree char *name = asked_name(up, phase, part);
    return g_hash_table_remove(b->asked, name);
}

static char *value_text(const Grant *grant, const char *name)
{
    return g_strdup(g_hash_table_lookup(grant->values, name));
}

static Verdict take_keys(const DestCtx *ctx, const Upload *up, GError **error)
{
    Broker *b = broker_of(ctx);
    const Grant *grant = up->grant;
    g_autoptr(Credentials) keys = g_new0(Credentials, 1);
    keys->access_key = value_text(grant, "access_key");
    keys->secret_key = value_text(grant, "secret_key");
    keys->session_token = value_text(grant, "session_token");
    keys->expires_s = grant->expires_s;
    keys->origin = g_strdup(b->origin);
    const char *bucket = g_hash_table_lookup(grant->values, "bucket"), *region = g_hash_table_lookup(grant->values, "region");
    if (keys->access_key == NULL || keys->secret_key == NULL || bucket == NULL) {
        fault_set(error, FAULT_BAD_ANSWER, "the application's temporary keys lack one of access_key, secret_key, bucket");
        return VERDICT_FAIL;
    }
    const int64_t left_s = keys->expires_s - (ctx->now_s + ctx->learned->clock_offset_s);
    if (!reopen(b, bucket, region, grant->url, error))
        return VERDICT_FAIL;
    b->inner_until_s = keys->expires_s == 0 ? 0 : keys->expires_s - MIN(KEYS_LEEWAY_S, left_s / 2); /* short-lived ones serve as well */
    credentials_free(b->inner_creds);
    b->inner_creds = g_steal_pointer(&keys);
    return VERDICT_MORE;
}

/* Values that result and notify name are kept now: the grant does not outlive a restart. */
static Verdict take_grant(const DestCtx *ctx, Upload *up, Phase phase, const Response *rs, GError **error)
{
    const Broker *b = broker_of(ctx);
    const Verdict verdict = grant_read(ctx, up, rs, error);
    if (verdict == VERDICT_MORE) {
        fault_set(error, FAULT_UNSUPPORTED, "the application says that it has this file already");
        return VERDICT_FAIL;
    }
    if (verdict != VERDICT_OK)
        return verdict;
    const Scope s = { .ctx = ctx, .up = up, .grant = up->grant };
    if (!memo_keep(&s, up, error))
        return VERDICT_FAIL;
    if (use_of(b) == GRANT_IS_KEYS)
        return take_keys(ctx, up, error);
    if (!is_tus(b) || phase != PHASE_OPEN)
        return VERDICT_MORE;
    upload_set(&up->upload_id, up->grant->url);
    up->opened_s = ctx->now_s;
    return VERDICT_OK;
}

/* ---- the memo is shared: the inner road's own stands in a member of it */

static char *inner_memo(const Upload *up)
{
    g_autoptr(JsonObject) memo = memo_read(up);
    const char *text = json_object_get_string_member_with_default(memo, "inner", NULL);
    return g_strdup(text);
}

static void wrap_memo(Upload *up, char *whole /* taken */)
{
    g_autofree char *inner = up->memo;
    up->memo = whole;
    g_autoptr(JsonObject) memo = memo_read(up);
    if (inner != NULL)
        json_object_set_string_member(memo, "inner", inner);
    else
        json_object_remove_member(memo, "inner");
    memo_write(up, memo);
}

/* ---- phases */

static bool inner_ask(const DestCtx *ctx, const Upload *up, Phase phase, unsigned part, Request **rq_out, GError **error)
{
    Broker *b = broker_of(ctx);
    const DestStep *step = &b->inner->step[phase];
    const bool grant = needs_grant(ctx, up, phase);
    if (step->ask == NULL)
        return true;
    note_asked(b, up, phase, part, grant);
    if (grant)
        return grant_ask(ctx, up, rq_out, error);
    const DestCtx inner = inner_ctx(ctx);
    g_autofree char *memo = inner_memo(up);
    Upload view = *up;
    view.memo = memo;
    if (b->inner->own_ids && view.upload_id == NULL)
        view.upload_id = up->nonce;
    return step->ask(&inner, &view, part, rq_out, error);
}

static bool all_done(const Upload *up, Phase phase, unsigned part)
{
    for (unsigned i = 0; i < up->n_parts; i++)
        if (!up->parts[i].done && (phase != PHASE_PART || i != part))
            return false;
    return true;
}

static bool is_end(const Broker *b, const Upload *up, Phase phase, unsigned part)
{
    const bool closes = up->multipart && b->inner->step[PHASE_CLOSE].ask != NULL && (up->without & PHASE_BIT(PHASE_CLOSE)) == 0;
    if (closes)
        return phase == PHASE_CLOSE;
    return (phase == PHASE_PART || phase == PHASE_RESUME) && all_done(up, phase, part);
}

static Verdict finish(const DestCtx *ctx, Upload *up, const Response *rs, GError **error)
{
    const Broker *b = broker_of(ctx);
    if (use_of(b) == GRANT_IS_KEYS && up->url == NULL) {
        const DestCtx inner = inner_ctx(ctx);
        up->url = b->inner->url(&inner, up->key);
    }
    const Scope s = { .ctx = ctx, .up = up, .grant = up->grant };
    return broker_stored(&s, up, rs, NULL, error);
}

/* What has ended is asked for again; the walk bounds how often. */
static Verdict renewed(const DestCtx *ctx, Upload *up, Verdict verdict)
{
    Broker *b = broker_of(ctx);
    if (up->grant != NULL)
        up->grant->expires_s = BROKER_ENDED;
    if (use_of(b) == GRANT_IS_KEYS)
        g_clear_pointer(&b->inner_creds, credentials_free);
    return verdict == VERDICT_FAIL || verdict == VERDICT_RETRY ? VERDICT_AGAIN : verdict;
}

static Verdict inner_read(const DestCtx *ctx, Upload *up, Phase phase, unsigned part, const Response *rs, GError **error)
{
    Broker *b = broker_of(ctx);
    if (was_asked(b, up, phase, part))
        return take_grant(ctx, up, phase, rs, error);
    const DestCtx inner = inner_ctx(ctx);
    g_autoptr(GError) cause = NULL;
    char *whole = up->memo;
    up->memo = inner_memo(up);
    if (b->inner->own_ids && up->upload_id == NULL)
        upload_set(&up->upload_id, up->nonce);
    Verdict verdict = b->inner->step[phase].read(&inner, up, part, rs, &cause);
    wrap_memo(up, whole);
    if (fault_code(cause) == FAULT_EXPIRED && (use_of(b) != GRANT_OPENS || phase == PHASE_OPEN)) {
        verdict = renewed(ctx, up, verdict);
        cause->code = FAULT_GRANT; /* should it come to that: the remedy is not to sign in to AWS */
    }
    if (cause != NULL)
        g_propagate_error(error, g_steal_pointer(&cause));
    return verdict == VERDICT_OK && is_end(b, up, phase, part) ? finish(ctx, up, rs, error) : verdict;
}

#define STEP(name, phase)                                                                                                                  \
    static bool ask_##name(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)                          \
    {                                                                                                                                      \
        return inner_ask(ctx, up, phase, part, rq_out, error);                                                                             \
    }                                                                                                                                      \
    static Verdict read_##name(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)                          \
    {                                                                                                                                      \
        return inner_read(ctx, up, phase, part, rs, error);                                                                                \
    }

STEP(look, PHASE_LOOK)
STEP(find, PHASE_FIND)
STEP(resume, PHASE_RESUME)
STEP(open, PHASE_OPEN)
STEP(part, PHASE_PART)
STEP(close, PHASE_CLOSE)
STEP(verify, PHASE_VERIFY)
STEP(abort, PHASE_ABORT)

/* ---- plan */

/* The first file is read before the keys are there: as if they were. */
static unsigned digests(const DestCtx *ctx, const Upload *up)
{
    static const Credentials some;
    const Broker *b = broker_of(ctx);
    DestCtx inner = inner_ctx(ctx);
    if (use_of(b) == GRANT_IS_KEYS && inner.creds == NULL)
        inner.creds = &some;
    return is_tus(b) ? 0 : b->inner->digests(&inner, up);
}

static bool plan(const DestCtx *ctx, Upload *up, uint64_t part_size_wanted, GError **error)
{
    const Broker *b = broker_of(ctx);
    const DestCtx inner = inner_ctx(ctx);
    const uint64_t described = (uint64_t)b->desc->upload.part_size;
    const uint64_t wanted = part_size_wanted > 0 ? part_size_wanted : described;
    if (is_tus(b))
        tus_plan_granted(up, wanted);
    else if (!b->inner->plan(&inner, up, wanted, error))
        return false;
    for (Phase phase = 0; phase < N_PHASES; phase++)
        if (b->inner->step[phase].ask == NULL)
            up->without |= PHASE_BIT(phase);
    if (use_of(b) != GRANT_IS_KEYS) {
        up->look_first = false;
        up->without |= PHASE_BIT(PHASE_LOOK) | PHASE_BIT(PHASE_FIND);
    }
    up->without &= ~PHASE_BIT(PHASE_NOTIFY);
    return true;
}

const BrokerWay broker_inner = {
    .digests = digests,
    .plan = plan,
    .step = { [PHASE_LOOK] = { ask_look, read_look },
              [PHASE_FIND] = { ask_find, read_find },
              [PHASE_RESUME] = { ask_resume, read_resume },
              [PHASE_OPEN] = { ask_open, read_open },
              [PHASE_PART] = { ask_part, read_part },
              [PHASE_CLOSE] = { ask_close, read_close },
              [PHASE_VERIFY] = { ask_verify, read_verify },
              [PHASE_ABORT] = { ask_abort, read_abort } },
};
