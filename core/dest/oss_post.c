#include "oss_priv.h"

#include "policy.h"

/* Name and value of the fields that sign: V4's stand in the policy, V1's do not. */
static void write_signer(const OssSigner *s, Policy *policy, Form *form)
{
    if (s->token != NULL)
        policy_field(policy, "x-oss-security-token", s->token);
    if (s->version == OSS_V1) {
        form_field(form, "OSSAccessKeyId", s->access_key);
        return;
    }
    char date[17];
    g_autofree char *credential = oss_credential(s, date);
    policy_field(policy, "x-oss-signature-version", "OSS4-HMAC-SHA256");
    policy_field(policy, "x-oss-credential", credential);
    policy_field(policy, "x-oss-date", date);
}

static void write_signature(const OssSigner *s, Policy *policy, Form *form)
{
    g_autofree char *base64 = policy_end(policy), *signature = oss_sign_policy(s, base64);
    form_field(form, "policy", base64);
    form_field(form, s->version == OSS_V1 ? "Signature" : "x-oss-signature", signature);
}

/* Variables of the callback are fields of their own here, where a PUT has one header for all. */
static void write_callback(const DestCtx *ctx, Form *form)
{
    const Oss *oss = oss_of(ctx);
    GHashTableIter it;
    gpointer name, value;
    if (oss->callback != NULL)
        form_field(form, "callback", oss->callback);
    if (oss->callback_fields != NULL)
        g_hash_table_iter_init(&it, oss->callback_fields);
    while (oss->callback_fields != NULL && g_hash_table_iter_next(&it, &name, &value))
        form_field(form, name, value);
}

static void write_form(const DestCtx *ctx, const Upload *up, const OssSigner *s, Form *form)
{
    g_autofree char *end = policy_expiration(ctx, up, "%Y-%m-%dT%H:%M:%S.000Z");
    g_autoptr(Policy) policy = policy_new(form, end);
    form_field(form, "key", up->key);
    policy_condition(policy, "bucket", oss_of(ctx)->bucket);
    policy_condition(policy, "key", up->key);
    policy_range(policy, up->size_bytes, up->size_bytes); /* a body that was cut or has grown is refused */
    policy_field(policy, "success_action_status", "200");
    oss_each_header(ctx, up, policy_field, policy);
    write_callback(ctx, form);
    if (s == NULL)
        return; /* a bucket that anybody may write to wants no policy */
    write_signer(s, policy, form);
    write_signature(s, policy, form);
}

bool oss_ask_post(const DestCtx *ctx, const Upload *up, Request **rq_out, GError **error)
{
    (void)error;
    OssSigner s;
    const bool signing = oss_signer(ctx, up->key, &s);
    g_autoptr(Form) form = form_new(up->nonce);
    write_form(ctx, up, signing ? &s : NULL, form);
    Request *rq = request_new("POST");
    rq->url = oss_object_url(ctx, NULL);
    form_file(form, rq, "file", policy_file_name(up->key), up->content_type, 0, up->size_bytes);
    rq->slow_answer = true;
    *rq_out = rq;
    return true;
}
