#include "qiniu_priv.h"

#include <string.h>

#define NEAR_END_S 5 /* a token that ends sooner is as good as ended */

/* ---- own policies */

typedef enum { MEMBER_TEXT, MEMBER_NUMBER, MEMBER_SIZE, MEMBER_SWITCH } MemberKind;

static const struct {
    const char *option, *member;
    MemberKind kind;
} members[] = {
    { "return-body", "returnBody", MEMBER_TEXT },
    { "callback-url", "callbackUrl", MEMBER_TEXT },
    { "callback-body", "callbackBody", MEMBER_TEXT },
    { "callback-body-type", "callbackBodyType", MEMBER_TEXT },
    { "callback-host", "callbackHost", MEMBER_TEXT },
    { "persistent-ops", "persistentOps", MEMBER_TEXT },
    { "persistent-notify-url", "persistentNotifyUrl", MEMBER_TEXT },
    { "persistent-pipeline", "persistentPipeline", MEMBER_TEXT },
    { "mime-limit", "mimeLimit", MEMBER_TEXT },
    { "fsize-limit", "fsizeLimit", MEMBER_SIZE },
    { "file-type", "fileType", MEMBER_NUMBER },
    { "detect-mime", "detectMime", MEMBER_SWITCH },
    { "delete-after-days", "deleteAfterDays", MEMBER_NUMBER },
};

static void add_int(JsonBuilder *json, const char *member, int64_t value)
{
    json_builder_set_member_name(json, member);
    json_builder_add_int_value(json, value);
}

static void add_text(JsonBuilder *json, const char *member, const char *value)
{
    json_builder_set_member_name(json, member);
    json_builder_add_string_value(json, value);
}

static void add_option(JsonBuilder *json, const char *member, MemberKind kind, const char *value)
{
    uint64_t bytes = 0;
    if (kind == MEMBER_TEXT)
        add_text(json, member, value);
    else if (kind == MEMBER_NUMBER)
        add_int(json, member, g_ascii_strtoll(value, NULL, 10));
    else if (kind == MEMBER_SWITCH && g_str_equal(value, "true"))
        add_int(json, member, 1);
    else if (kind == MEMBER_SIZE && hoist_parse_size(value, &bytes))
        add_int(json, member, (int64_t)MIN(bytes, (uint64_t)G_MAXINT64));
}

/* A scope with the key allows to replace the object, unless insertOnly forbids it. */
static char *own_policy(const DestCtx *ctx, const char *key)
{
    static const char default_body[] = "bucket=$(bucket)&key=$(key)&hash=$(etag)&size=$(fsize)";
    const Qiniu *q = qiniu_of(ctx);
    g_autofree char *scope = g_strconcat(q->bucket, ":", key, NULL);
    g_autoptr(JsonBuilder) json = json_builder_new();
    json_builder_begin_object(json);
    add_text(json, "scope", scope);
    add_int(json, "deadline", qiniu_now_s(ctx) + q->token_life_s);
    if (q->only_new)
        add_int(json, "insertOnly", 1);
    for (unsigned i = 0; i < G_N_ELEMENTS(members); i++) {
        const char *value = dest_conf_option(ctx->conf, members[i].option);
        if (value != NULL)
            add_option(json, members[i].member, members[i].kind, value);
    }
    if (dest_conf_option(ctx->conf, "callback-url") != NULL && dest_conf_option(ctx->conf, "callback-body") == NULL)
        add_text(json, "callbackBody", default_body);
    json_builder_end_object(json);
    g_autoptr(JsonNode) root = json_builder_get_root(json);
    return json_print(root);
}

bool qiniu_keys(const DestCtx *ctx, QiniuKeys *keys_out)
{
    const QiniuKeys keys = { credentials_secret(ctx->creds, "access-key"), credentials_secret(ctx->creds, "secret-key") };
    *keys_out = keys;
    return keys.access != NULL && keys.secret != NULL;
}

int64_t qiniu_now_s(const DestCtx *ctx)
{
    return ctx->now_s + ctx->learned->clock_offset_s;
}

/* ---- what a policy allows */

static bool type_fits(const char *pattern, const char *type)
{
    const size_t bytes = strlen(pattern);
    if (bytes > 0 && pattern[bytes - 1] == '*')
        return g_ascii_strncasecmp(pattern, type, bytes - 1) == 0;
    return g_ascii_strcasecmp(pattern, type) == 0;
}

/* "image/\*;video/mp4" are those allowed, "!text/html" those that are not. */
static bool type_allowed(const char *limit, const char *type)
{
    const bool forbidding = *limit == '!';
    g_auto(GStrv) patterns = g_strsplit(limit + forbidding, ";", -1);
    bool listed = false;
    for (unsigned i = 0; patterns[i] != NULL; i++)
        listed = listed || type_fits(g_strstrip(patterns[i]), type);
    return listed != forbidding;
}

static bool check_size(const Json *policy, const Upload *up, GError **error)
{
    int64_t most = 0, least = 0;
    json_int_at(policy, "/fsizeLimit", &most);
    json_int_at(policy, "/fsizeMin", &least);
    if (most > 0 && up->size_bytes > (uint64_t)most)
        fault_set(error, FAULT_TOO_LARGE, "the upload token allows %" G_GINT64_FORMAT " bytes at most (fsizeLimit)", most);
    else if (least > 0 && up->size_bytes < (uint64_t)least)
        fault_set(error, FAULT_REFUSED, "the upload token wants %" G_GINT64_FORMAT " bytes at least (fsizeMin)", least);
    else
        return true;
    return false;
}

/* What the server finds out by itself cannot be judged here. */
static bool check_type(const Json *policy, const Upload *up, GError **error)
{
    int64_t detects = 0;
    const char *limit = json_string_at(policy, "/mimeLimit");
    json_int_at(policy, "/detectMime", &detects);
    if (limit == NULL || *limit == '\0' || detects != 0 || up->content_type == NULL || type_allowed(limit, up->content_type))
        return true;
    fault_set(error, FAULT_REFUSED, "the upload token does not allow the type %s (mimeLimit)", up->content_type);
    return false;
}

static bool check_deadline(const DestCtx *ctx, const Json *policy, GError **error)
{
    int64_t deadline = 0;
    const int64_t now_s = qiniu_now_s(ctx);
    if (!json_int_at(policy, "/deadline", &deadline)) {
        fault_set(error, FAULT_REFUSED, "the upload token's policy names no deadline");
        return false;
    }
    if (deadline > now_s + NEAR_END_S)
        return true;
    fault_set(error, FAULT_EXPIRED, "the upload token ended %" G_GINT64_FORMAT " s ago", MAX(now_s - deadline, 0));
    return false;
}

static bool key_listed(const Json *policy, const char *key)
{
    JsonNode *list = json_at(policy, "/keylimit");
    if (list == NULL || !JSON_NODE_HOLDS_ARRAY(list) || key == NULL)
        return true;
    JsonArray *keys = json_node_get_array(list);
    for (guint i = 0; i < json_array_get_length(keys); i++) {
        g_autofree char *one = json_text_of(json_array_get_element(keys, i));
        if (g_strcmp0(one, key) == 0)
            return true;
    }
    return false;
}

/* "bucket" or "bucket:key"; the key may hold colons. Without a key of our own that of the scope is it. */
static bool take_scope(QiniuPass *pass, const Json *policy, GError **error)
{
    int64_t prefixal = 0;
    const char *scope = json_string_at(policy, "/scope");
    const char *colon = scope == NULL ? NULL : strchr(scope, ':');
    json_int_at(policy, "/isPrefixalScope", &prefixal);
    if (scope == NULL || *scope == '\0' || scope == colon) {
        fault_set(error, FAULT_REFUSED, "the upload token's policy names no bucket (scope)");
        return false;
    }
    pass->bucket = colon == NULL ? g_strdup(scope) : g_strndup(scope, (gsize)(colon - scope));
    if (colon != NULL && pass->key == NULL && prefixal == 0)
        pass->key = g_strdup(colon + 1);
    const bool fits = colon == NULL || pass->key == NULL || g_str_equal(pass->key, colon + 1) ||
                      (prefixal != 0 && g_str_has_prefix(pass->key, colon + 1));
    if (!fits || !key_listed(policy, pass->key)) {
        fault_set(error, FAULT_DENIED, "the upload token is for another key than this one (%s)", fits ? "keylimit" : "scope");
        return false;
    }
    return true;
}

static bool check(const DestCtx *ctx, const Upload *up, QiniuPass *pass, GError **error)
{
    g_autofree char *text = qiniu_token_policy(pass->token);
    g_autoptr(Json) policy = text == NULL ? NULL : json_parse(text, strlen(text), "the policy", NULL);
    if (policy == NULL) {
        fault_set(error, FAULT_REFUSED, "what was handed out is no upload token of Qiniu");
        return false;
    }
    pass->access = qiniu_token_access(pass->token);
    pass->own_answer = json_at(policy, "/returnBody") != NULL || json_at(policy, "/callbackUrl") != NULL;
    return take_scope(pass, policy, error) && check_deadline(ctx, policy, error) && check_size(policy, up, error) &&
           check_type(policy, up, error);
}

static bool take_own(const DestCtx *ctx, const Upload *up, QiniuPass *pass, GError **error)
{
    QiniuKeys keys;
    if (!qiniu_keys(ctx, &keys) || qiniu_of(ctx)->bucket == NULL) {
        fault_set(error, FAULT_NO_CREDENTIALS, "there is neither a pair of Qiniu keys nor an upload token");
        return false;
    }
    g_autofree char *policy = own_policy(ctx, up->key);
    pass->token = qiniu_upload_token(&keys, policy);
    pass->key = g_strdup(up->key);
    return true;
}

static bool take_granted(const Grant *grant, QiniuPass *pass, GError **error)
{
    const char *token = grant->values == NULL ? NULL : g_hash_table_lookup(grant->values, "token");
    if (token == NULL) {
        fault_set(error, FAULT_BAD_ANSWER, "the application handed out no upload token");
        return false;
    }
    pass->token = g_strdup(token);
    pass->key = g_strdup(g_hash_table_lookup(grant->values, "key"));
    return true;
}

QiniuPass *qiniu_pass_new(const DestCtx *ctx, const Upload *up, GError **error)
{
    g_autoptr(QiniuPass) pass = g_new0(QiniuPass, 1);
    const bool taken = up->grant != NULL ? take_granted(up->grant, pass, error) : take_own(ctx, up, pass, error);
    return taken && check(ctx, up, pass, error) ? g_steal_pointer(&pass) : NULL;
}

void qiniu_pass_free(QiniuPass *pass)
{
    if (pass == NULL)
        return;
    secret_free(pass->token);
    g_free(pass->access);
    g_free(pass->bucket);
    g_free(pass->key);
    g_free(pass);
}
