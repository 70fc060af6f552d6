#include "broker_priv.h"

#include <string.h>

#define TYPED_PREFIX "json:" /* of the values of a grant: what was no string, as it came */
static const char WHAT[] = "the application's grant";

enum { MILLISECONDS_FROM = 100000000, RELATIVE_BELOW = 1000000000 }; /* years 5138 in seconds; 2001 */

/* ---- when a grant ends ---- */

/* ISO 8601, or the basic form of AWS. */
static int64_t iso_s(const char *text)
{
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) t = g_date_time_new_from_iso8601(text, utc);
    return t == NULL ? 0 : g_date_time_to_unix(t);
}

int64_t time_text_s(const char *text, int64_t now_s)
{
    gint64 number = 0;
    if (!g_ascii_string_to_signed(text, 10, 0, G_MAXINT64 / 2, &number, NULL))
        return iso_s(text);
    if (number / 1000 >= MILLISECONDS_FROM)
        number /= 1000;
    return number < RELATIVE_BELOW ? now_s + number : number;
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a <= 0 ? b : b <= 0 ? a : MIN(a, b);
}

static const char *query_value(GHashTable *query, const char *const *names)
{
    for (; *names != NULL; names++)
        if (g_hash_table_lookup(query, *names) != NULL)
            return g_hash_table_lookup(query, *names);
    return NULL;
}

/* SigV4 and its relatives: a date, and seconds from there. */
static int64_t dated_expiry_s(GHashTable *query)
{
    static const char *const dates[] = { "x-amz-date", "x-goog-date", "x-oss-date", NULL };
    static const char *const lives[] = { "x-amz-expires", "x-goog-expires", "x-oss-expires", NULL };
    const char *date = query_value(query, dates), *life = query_value(query, lives);
    gint64 seconds = 0;
    if (date == NULL || life == NULL || !g_ascii_string_to_signed(life, 10, 1, G_MAXINT32, &seconds, NULL))
        return 0;
    const int64_t from = iso_s(date);
    return from == 0 ? 0 : from + seconds;
}

int64_t url_expires_s(const char *url)
{
    static const char *const moments[] = { "se", "expires", "deadline", NULL };
    const char *mark = strchr(url, '?');
    g_autofree char *text = mark == NULL ? NULL : g_strndup(mark + 1, strcspn(mark + 1, "#"));
    g_autoptr(GHashTable) query = text == NULL ? NULL : g_uri_parse_params(text, -1, "&", G_URI_PARAMS_CASE_INSENSITIVE, NULL);
    if (query == NULL)
        return 0;
    const char *moment = query_value(query, moments);
    const int64_t at = moment == NULL ? 0 : time_text_s(moment, 0);
    return sooner(dated_expiry_s(query), at < RELATIVE_BELOW ? 0 : at);
}

/* A policy, base64 in either alphabet: expiration of S3 and OSS, deadline of Qiniu. */
static int64_t policy_expires_s(const char *base64)
{
    g_autofree char *standard = g_strdelimit(g_strdelimit(g_strdup(base64), "-", '+'), "_", '/');
    gsize bytes = 0;
    g_autofree guchar *text = g_base64_decode(standard, &bytes);
    g_autoptr(Json) json = text == NULL ? NULL : json_parse(text, bytes, "a policy", NULL);
    if (json == NULL)
        return 0;
    int64_t deadline_s = 0;
    if (json_int_at(json, "/deadline", &deadline_s))
        return deadline_s;
    const char *expiration = json_string_at(json, "/expiration");
    return expiration == NULL ? 0 : iso_s(expiration);
}

int64_t fields_expire_s(const GPtrArray *fields)
{
    int64_t at = 0;
    for (unsigned i = 0; fields != NULL && i + 1 < fields->len; i += 2) {
        const char *name = fields->pdata[i], *value = fields->pdata[i + 1];
        if (g_ascii_strcasecmp(name, "policy") == 0)
            at = sooner(at, policy_expires_s(value));
        const char *colon = strrchr(value, ':'); /* ACCESS_KEY:SIGNATURE:POLICY */
        if (g_ascii_strcasecmp(name, "token") == 0 && colon != NULL)
            at = sooner(at, policy_expires_s(colon + 1));
    }
    return at;
}

/* What the application says of it: expires_in beats expires_at. */
static int64_t told_expires_s(const DestCtx *ctx, const GHashTable *values)
{
    static const char *const names[] = { "expires_in", "expires_at", "expires" };
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *text = g_hash_table_lookup((GHashTable *)values, names[i]);
        if (text != NULL && *text != '\0')
            return time_text_s(text, ctx->now_s + ctx->learned->clock_offset_s);
    }
    return 0;
}

static int64_t token_expires_s(const GHashTable *values)
{
    const char *token = g_hash_table_lookup((GHashTable *)values, "token");
    const char *colon = token == NULL ? NULL : strrchr(token, ':');
    return colon == NULL ? 0 : policy_expires_s(colon + 1);
}

int64_t renew_at_s(const DestCtx *ctx, int64_t expires_s)
{
    const int64_t now_s = ctx->now_s + ctx->learned->clock_offset_s;
    const int64_t left_s = expires_s - now_s;
    if (expires_s <= 0 || left_s <= 0)
        return 0;
    return expires_s - MIN(BROKER_LEEWAY_S, left_s / 2);
}

bool words_say_expired(const char *code, const char *message)
{
    g_autofree char *all = g_strconcat(code == NULL ? "" : code, " ", message == NULL ? "" : message, NULL);
    g_autofree char *lower = g_ascii_strdown(all, -1);
    return strstr(lower, "expired") != NULL;
}

/* ---- values ---- */

void values_put(GHashTable *values, const char *name, JsonNode *node)
{
    char *text = json_text_of(node);
    const bool is_string = JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING;
    if (!is_string)
        g_hash_table_insert(values, g_strconcat(TYPED_PREFIX, name, NULL), json_print(node));
    if (text != NULL)
        g_hash_table_insert(values, g_strdup(name), text);
}

JsonNode *values_get(const GHashTable *values, const char *name)
{
    if (values == NULL)
        return NULL;
    g_autofree char *typed = g_strconcat(TYPED_PREFIX, name, NULL);
    const char *printed = g_hash_table_lookup((GHashTable *)values, typed);
    if (printed != NULL)
        return json_from_string(printed, NULL);
    const char *text = g_hash_table_lookup((GHashTable *)values, name);
    return text == NULL ? NULL : json_node_init_string(json_node_alloc(), text);
}

/* ---- pairs of an answer: {"name": "value"}, or [{"name"|"key": ..., "value": ...}] ---- */

static bool add_pair(GPtrArray *pairs, const char *name, JsonNode *value, const char *pointer, GError **error)
{
    char *text = json_text_of(value);
    if (text == NULL || name == NULL) {
        secret_free(text);
        fault_set(error, FAULT_BAD_ANSWER, "%s: what stands at \"%s\" is no object of texts", WHAT, pointer);
        return false;
    }
    g_ptr_array_add(pairs, g_strdup(name));
    g_ptr_array_add(pairs, text);
    return true;
}

static bool add_row(GPtrArray *pairs, JsonNode *row, const char *pointer, GError **error)
{
    JsonNode *name = json_node_at(row, "/name") != NULL ? json_node_at(row, "/name") : json_node_at(row, "/key");
    g_autofree char *text = json_text_of(name);
    JsonNode *value = json_node_at(row, "/value");
    if (text != NULL && value != NULL)
        return add_pair(pairs, text, value, pointer, error);
    return add_pair(pairs, NULL, row, pointer, error);
}

static GPtrArray *pairs_new(void)
{
    return g_ptr_array_new_with_free_func(secret_free);
}

static bool pairs_at(const Json *json, const char *pointer, GPtrArray *pairs, GError **error)
{
    JsonNode *node = json == NULL ? NULL : json_at(json, pointer);
    if (node != NULL && JSON_NODE_HOLDS_ARRAY(node)) {
        JsonArray *array = json_node_get_array(node);
        for (guint i = 0; i < json_array_get_length(array); i++)
            if (!add_row(pairs, json_array_get_element(array, i), pointer, error))
                return false;
        return true;
    }
    if (node == NULL || !JSON_NODE_HOLDS_OBJECT(node)) {
        fault_set(error, FAULT_BAD_ANSWER, "%s lacks \"%s\": is it the right description?", WHAT, pointer);
        return false;
    }
    JsonObjectIter it;
    const char *name;
    JsonNode *value;
    json_object_iter_init_ordered(&it, json_node_get_object(node));
    while (json_object_iter_next_ordered(&it, &name, &value))
        if (!add_pair(pairs, name, value, pointer, error))
            return false;
    return true;
}

static bool has_name(const GPtrArray *pairs, const char *name)
{
    for (unsigned i = 0; i + 1 < pairs->len; i += 2)
        if (g_ascii_strcasecmp(pairs->pdata[i], name) == 0)
            return true;
    return false;
}

/* Pairs of the description, behind those of the answer, which win. */
static Fill add_described(const Scope *s, const GPtrArray *described, GPtrArray *pairs, GError **error)
{
    g_autoptr(GPtrArray) given = g_ptr_array_copy(pairs, (GCopyFunc)(void (*)(void))g_strdup, NULL);
    g_ptr_array_set_free_func(given, secret_free);
    for (unsigned i = 0; described != NULL && i + 1 < described->len; i += 2) {
        char *value = NULL;
        if (has_name(given, described->pdata[i]))
            continue;
        const Fill fill = fill_text(s, described->pdata[i + 1], &value, error);
        if (fill == FILL_FAILED)
            return fill;
        if (fill == FILL_ABSENT)
            continue; /* a field of an optional value */
        g_ptr_array_add(pairs, g_strdup(described->pdata[i]));
        g_ptr_array_add(pairs, value);
    }
    return FILL_OK;
}

/* Connection headers are the transfer's own. */
static bool is_hop(const char *name)
{
    static const char *const hop[] = { "host", "content-length", "connection", "transfer-encoding", "expect" };
    for (unsigned i = 0; i < G_N_ELEMENTS(hop); i++)
        if (g_ascii_strcasecmp(name, hop[i]) == 0)
            return true;
    return false;
}

static bool headers_of(const GPtrArray *pairs, GPtrArray *lines, GError **error)
{
    for (unsigned i = 0; i + 1 < pairs->len; i += 2) {
        if (!broker_check_header(pairs->pdata[i], pairs->pdata[i + 1], error))
            return false;
        if (!is_hop(pairs->pdata[i]))
            g_ptr_array_add(lines, g_strconcat(pairs->pdata[i], ": ", pairs->pdata[i + 1], NULL));
    }
    return true;
}

/* ---- a grant ---- */

static Fill fill_pairs(const Scope *s, const Json *json, Grant *grant, GError **error)
{
    const DescUpload *u = &broker_of(s->ctx)->desc->upload;
    g_autoptr(GPtrArray) headers = pairs_new();
    grant->fields = pairs_new();
    grant->headers = pairs_new();
    const bool has_headers = u->headers_from != NULL && json != NULL && json_at(json, u->headers_from) != NULL;
    if ((has_headers && !pairs_at(json, u->headers_from, headers, error)) ||
        (u->fields_from != NULL && !pairs_at(json, u->fields_from, grant->fields, error)))
        return FILL_FAILED;
    Fill fill = add_described(s, u->headers, headers, error);
    if (fill == FILL_OK)
        fill = add_described(s, u->fields, grant->fields, error);
    return fill == FILL_OK && !headers_of(headers, grant->headers, error) ? FILL_FAILED : fill;
}

Fill grant_fill(const Scope *s, JsonObject *values, Json *json, Grant **out, GError **error)
{
    const Broker *b = broker_of(s->ctx);
    g_autoptr(Grant) grant = g_new0(Grant, 1);
    grant->values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, secret_free);
    JsonObjectIter it;
    const char *name;
    JsonNode *node;
    json_object_iter_init_ordered(&it, values);
    while (json_object_iter_next_ordered(&it, &name, &node))
        values_put(grant->values, name, node);
    Scope inner = *s;
    inner.grant = grant;
    Fill fill = b->desc->upload.url == NULL ? FILL_OK : fill_text(&inner, b->desc->upload.url, &grant->url, error);
    if (grant->url != NULL && *grant->url == '\0' && b->inner != NULL)
        g_clear_pointer(&grant->url, g_free); /* a variable that was left empty: the road's own endpoint */
    g_autofree char *own = grant->url == NULL ? NULL : broker_fixed_text(b, b->desc->upload.url); /* written by the person */
    if (fill == FILL_OK && grant->url != NULL && own == NULL && !broker_check_url(b, grant->url, error))
        fill = FILL_FAILED;
    if (fill == FILL_OK)
        fill = fill_pairs(&inner, json, grant, error);
    if (fill != FILL_OK)
        return fill;
    int64_t at = sooner(told_expires_s(s->ctx, grant->values), fields_expire_s(grant->fields));
    at = sooner(at, token_expires_s(grant->values));
    at = sooner(at, grant->url == NULL ? 0 : url_expires_s(grant->url));
    grant->expires_s = renew_at_s(s->ctx, at);
    *out = g_steal_pointer(&grant);
    return FILL_OK;
}

bool grant_fresh(const DestCtx *ctx, const Upload *up)
{
    Grant *grant = up->grant;
    if (grant == NULL)
        return false;
    if (grant->expires_s > 0 && grant->expires_s <= ctx->now_s + ctx->learned->clock_offset_s)
        grant->expires_s = BROKER_ENDED;
    return grant->expires_s != BROKER_ENDED;
}

bool grant_ask(const DestCtx *ctx, const Upload *up, Request **rq_out, GError **error)
{
    const Scope s = { .ctx = ctx, .up = up };
    const Fill fill = broker_request(&s, &broker_of(ctx)->desc->grant, rq_out, error);
    if (fill == FILL_ABSENT)
        fault_set(error, FAULT_BUG, "a value of the request for a grant is not known");
    return fill == FILL_OK;
}

/* The URL that was asked, for answers that name another one relative to it. */
static char *asked_url(const DestCtx *ctx, const Upload *up)
{
    const Scope s = { .ctx = ctx, .up = up };
    char *url = NULL;
    return fill_text(&s, broker_of(ctx)->desc->grant.url, &url, NULL) == FILL_OK ? url : NULL;
}

Verdict grant_read(const DestCtx *ctx, Upload *up, const Response *rs, GError **error)
{
    const DescRequest *d = &broker_of(ctx)->desc->grant;
    Verdict refused = VERDICT_FAIL;
    if (!broker_accepted(ctx, d, rs, WHAT, &refused, error))
        return refused;
    answer_learn_clock(ctx, rs);
    g_autofree char *url = asked_url(ctx, up);
    g_autoptr(JsonObject) values = NULL;
    g_autoptr(Json) json = NULL;
    if (!broker_extract(d->extract, rs, url, WHAT, &values, &json, error))
        return VERDICT_FAIL;
    const Scope s = { .ctx = ctx, .up = up };
    Grant *grant = NULL;
    const Fill fill = grant_fill(&s, values, json, &grant, error);
    if (fill == FILL_FAILED)
        return VERDICT_FAIL;
    if (fill == FILL_ABSENT)
        return VERDICT_MORE;
    grant_drop(up);
    up->grant = grant;
    return VERDICT_OK;
}

void grant_drop(Upload *up)
{
    g_clear_pointer(&up->grant, grant_free);
}

/* ---- the memo ---- */

JsonObject *memo_read(const Upload *up)
{
    g_autoptr(Json) json = up->memo == NULL ? NULL : json_parse(up->memo, strlen(up->memo), "the memo", NULL);
    if (json == NULL || !JSON_NODE_HOLDS_OBJECT(json_root(json)))
        return json_object_new();
    JsonObject *memo = json_object_new(); /* the parsed one is immutable */
    JsonObjectIter it;
    const char *name;
    JsonNode *node;
    json_object_iter_init_ordered(&it, json_node_get_object(json_root(json)));
    while (json_object_iter_next_ordered(&it, &name, &node))
        json_object_set_member(memo, name, json_node_ref(node));
    return memo;
}

void memo_write(Upload *up, JsonObject *memo)
{
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), memo);
    g_free(up->memo);
    up->memo = json_object_get_size(memo) == 0 ? NULL : json_print(node);
}

JsonObject *memo_object(JsonObject *memo, const char *member)
{
    JsonNode *node = json_object_get_member(memo, member);
    return node != NULL && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

typedef struct {
    const Scope *scope;
    JsonObject *names;
} Keeping;

static bool keep_value(const Placeholder *p, bool whole, void *data, GError **error)
{
    (void)whole;
    Keeping *k = data;
    JsonNode *node = NULL;
    const Fill fill = fill_value(k->scope, p, &node, error);
    if (fill == FILL_OK)
        json_object_set_member(k->names, p->text, node);
    return fill != FILL_FAILED;
}

bool memo_keep(const Scope *s, Upload *up, GError **error)
{
    const GPtrArray *kept = broker_of(s->ctx)->kept;
    g_autoptr(JsonObject) memo = memo_read(up);
    g_autoptr(JsonObject) names = json_object_new();
    Keeping k = { .scope = s, .names = names };
    Scope with_memo = *s;
    with_memo.memo = memo_object(memo, "names");
    k.scope = &with_memo;
    const Visitor visitor = { keep_value, NULL, &k };
    for (unsigned i = 0; i < kept->len; i++) {
        g_autofree char *template = g_strdup_printf("{{%s}}", (const char *)kept->pdata[i]);
        if (!template_visit(template, &visitor, error))
            return false;
    }
    if (json_object_get_size(names) > 0)
        json_object_set_object_member(memo, "names", g_steal_pointer(&names));
    memo_write(up, memo);
    return true;
}
