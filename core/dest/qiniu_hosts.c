#include "qiniu_priv.h"

#include <string.h>

/* Facts of DestLearned: hosts by blanks, the time until which they count, and the one in use. */
#define FACT_UP    "qiniu.up"
#define FACT_RS    "qiniu.rs"
#define FACT_UNTIL "qiniu.until"
#define FACT_AT    "qiniu.at"

enum { MAX_HOSTS = 8, MAX_HOST_BYTES = 253, MIN_TTL_S = 60, MAX_TTL_S = 7 * 86400, OLD_ONES_S = 300 };

static bool host_valid(const char *host)
{
    if (host == NULL || !g_ascii_isalnum(*host) || strlen(host) > MAX_HOST_BYTES)
        return false;
    for (const char *p = host; *p != '\0'; p++)
        if (!g_ascii_isalnum(*p) && strchr("-_.:", *p) == NULL)
            return false;
    return true;
}

/* ---- which one */

static char **list_of(const DestCtx *ctx)
{
    const char *learned = dest_learned_fact(ctx->learned, FACT_UP);
    if (qiniu_of(ctx)->hosts != NULL)
        return g_strdupv(qiniu_of(ctx)->hosts);
    return g_strsplit(learned == NULL ? "" : learned, " ", -1);
}

bool qiniu_lacks_hosts(const DestCtx *ctx)
{
    const char *until = dest_learned_fact(ctx->learned, FACT_UNTIL);
    if (qiniu_of(ctx)->hosts != NULL)
        return false;
    return dest_learned_fact(ctx->learned, FACT_UP) == NULL || until == NULL || g_ascii_strtoll(until, NULL, 10) <= ctx->now_s;
}

/* The learned one, set when none is: what is borrowed must stay. */
const char *qiniu_up_host(const DestCtx *ctx)
{
    const char *at = dest_learned_fact(ctx->learned, FACT_AT);
    if (at != NULL)
        return at;
    if (qiniu_of(ctx)->hosts != NULL)
        return qiniu_of(ctx)->hosts[0];
    g_auto(GStrv) hosts = list_of(ctx);
    dest_learned_set_fact(ctx->learned, FACT_AT, hosts[0]);
    return dest_learned_fact(ctx->learned, FACT_AT);
}

const char *qiniu_rs_host(const DestCtx *ctx)
{
    const char *learned = dest_learned_fact(ctx->learned, FACT_RS);
    if (qiniu_of(ctx)->rs != NULL)
        return qiniu_of(ctx)->rs;
    return learned != NULL ? learned : "rs.qiniuapi.com";
}

void qiniu_leave_host(const DestCtx *ctx, const char *host)
{
    g_auto(GStrv) hosts = list_of(ctx);
    const unsigned n = g_strv_length(hosts);
    if (n == 0 || g_strcmp0(host, qiniu_up_host(ctx)) != 0)
        return; /* left already, on behalf of another request */
    unsigned at = n - 1;
    for (unsigned i = 0; i < n; i++)
        if (g_str_equal(hosts[i], host))
            at = i;
    dest_learned_set_fact(ctx->learned, FACT_AT, hosts[(at + 1) % n]);
}

Request *qiniu_request(const DestCtx *ctx, const char *method, const char *host, char *path)
{
    Request *rq = request_new(method);
    rq->url = g_strconcat(qiniu_of(ctx)->plain ? "http://" : "https://", host, path, NULL);
    g_free(path);
    return rq;
}

/* ---- the query API */

static char *access_of(const DestCtx *ctx, const Upload *up, char **bucket_out, GError **error)
{
    QiniuKeys keys;
    if (up->grant == NULL && qiniu_keys(ctx, &keys)) {
        *bucket_out = g_strdup(qiniu_of(ctx)->bucket);
        return g_strdup(keys.access);
    }
    g_autoptr(QiniuPass) pass = qiniu_pass_new(ctx, up, error);
    if (pass == NULL)
        return NULL;
    *bucket_out = g_steal_pointer(&pass->bucket);
    return g_steal_pointer(&pass->access);
}

bool qiniu_ask_hosts(const DestCtx *ctx, const Upload *up, Request **rq_out, GError **error)
{
    const Qiniu *q = qiniu_of(ctx);
    g_autofree char *bucket = NULL, *access = access_of(ctx, up, &bucket, error);
    if (access == NULL)
        return false;
    GString *path = g_string_new("/v4/query?ak=");
    uri_escape_append(path, access, strlen(access), false);
    g_string_append(path, "&bucket=");
    uri_escape_append(path, bucket, strlen(bucket), false);
    *rq_out = qiniu_request(ctx, "GET", q->query[q->query_at % g_strv_length(q->query)], g_string_free(path, FALSE));
    return true;
}

/* Up to MAX_HOSTS names of an array, by blanks; NULL when there is none. */
static char *names_at(const Json *json, const char *pointer)
{
    JsonNode *node = json_at(json, pointer);
    JsonArray *array = node != NULL && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    GString *names = g_string_new(NULL);
    for (guint i = 0; array != NULL && i < MIN(json_array_get_length(array), (guint)MAX_HOSTS); i++) {
        JsonNode *element = json_array_get_element(array, i);
        const bool text = JSON_NODE_HOLDS_VALUE(element) && json_node_get_value_type(element) == G_TYPE_STRING;
        const char *name = text ? json_node_get_string(element) : NULL;
        if (host_valid(name))
            g_string_append_printf(names, "%s%s", names->len > 0 ? " " : "", name);
    }
    return g_string_free(names, names->len == 0);
}

/* The API is away, but what it said earlier is likely still true. */
static bool use_old_ones(const DestCtx *ctx)
{
    if (dest_learned_fact(ctx->learned, FACT_UP) == NULL)
        return false;
    g_autofree char *until = g_strdup_printf("%" G_GINT64_FORMAT, ctx->now_s + OLD_ONES_S);
    dest_learned_set_fact(ctx->learned, FACT_UNTIL, until);
    return true;
}

static void learn(const DestCtx *ctx, const Json *json, const char *up_names)
{
    int64_t ttl_s = 0;
    g_auto(GStrv) hosts = g_strsplit(up_names, " ", -1);
    g_autofree char *rs_names = names_at(json, "/hosts/0/rs/domains");
    json_int_at(json, "/hosts/0/ttl", &ttl_s);
    g_autofree char *until = g_strdup_printf("%" G_GINT64_FORMAT, ctx->now_s + CLAMP(ttl_s, MIN_TTL_S, MAX_TTL_S));
    g_autofree char *rs = rs_names == NULL ? NULL : g_strndup(rs_names, strcspn(rs_names, " "));
    const char *at = dest_learned_fact(ctx->learned, FACT_AT);
    dest_learned_set_fact(ctx->learned, FACT_UP, up_names);
    dest_learned_set_fact(ctx->learned, FACT_UNTIL, until);
    if (rs != NULL)
        dest_learned_set_fact(ctx->learned, FACT_RS, rs);
    if (at == NULL || !g_strv_contains((const char *const *)hosts, at))
        dest_learned_set_fact(ctx->learned, FACT_AT, hosts[0]);
}

Verdict qiniu_read_hosts(const DestCtx *ctx, const Response *rs, GError **error)
{
    static const AnswerRow rows[] = {
        { 401, NULL, VERDICT_FAIL, FAULT_UNKNOWN_KEY, NULL },   { 612, NULL, VERDICT_FAIL, FAULT_NO_BUCKET, NULL },
        { 631, NULL, VERDICT_FAIL, FAULT_NO_BUCKET, NULL },     { 404, "bucket", VERDICT_FAIL, FAULT_NO_BUCKET, NULL },
        { 400, "bucket", VERDICT_FAIL, FAULT_NO_BUCKET, NULL }, { 0 }
    };
    g_autoptr(Json) json = rs->status == 200 ? json_answer(rs, "the answer of the query API", error) : NULL;
    g_autofree char *names = json == NULL ? NULL : names_at(json, "/hosts/0/up/domains");
    if (names != NULL) {
        learn(ctx, json, names);
        return VERDICT_MORE;
    }
    if (rs->status == 200 || rs->status >= 500)
        qiniu_of(ctx)->query_at++;
    if (rs->status != 401 && rs->status != 631 && rs->status != 612 && use_old_ones(ctx)) {
        g_clear_error(error);
        return VERDICT_MORE;
    }
    if (json != NULL)
        fault_set(error, FAULT_BAD_ANSWER, "the answer of the query API names no host for uploads");
    if (rs->status == 200)
        return VERDICT_RETRY;
    g_autofree char *words = json_error_words(rs);
    return answer_failed(rows, rs, NULL, words, ctx->creds, error);
}

/* ---- another region */

/* Where the part of a name begins that one owner has: its last two labels, or three where the last two are like "com.cn". NULL: no name. */
static const char *family_of(const char *name)
{
    const char *labels[3] = { NULL };
    const char *end = name + strlen(name);
    for (unsigned i = 0; i < G_N_ELEMENTS(labels) && end > name; i++) {
        const char *dot = end;
        while (dot > name && dot[-1] != '.')
            dot--;
        labels[i] = dot;
        end = dot > name ? dot - 1 : dot;
    }
    if (labels[1] == NULL || g_ascii_isdigit(labels[0][0])) /* an address has no labels */
        return NULL;
    const bool shared = strlen(labels[0]) == 2 && labels[0] - labels[1] <= 4;
    return shared ? labels[2] : labels[1];
}

bool qiniu_host_is_kin(const char *host, const char *known)
{
    if (!host_valid(host) || known == NULL)
        return false;
    g_autofree char *a = g_ascii_strdown(host, (gssize)strcspn(host, ":")), *b = g_ascii_strdown(known, (gssize)strcspn(known, ":"));
    const char *family_a = family_of(a), *family_b = family_of(b);
    return g_str_equal(a, b) || (family_a != NULL && g_strcmp0(family_a, family_b) == 0);
}

bool qiniu_learn_region(const DestCtx *ctx, const char *words)
{
    static const char mark[] = "please use ";
    const char *at = strstr(words, mark);
    if (at == NULL)
        return false;
    at += strlen(mark);
    g_autofree char *host = g_strndup(at, strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:"));
    while (*host != '\0' && strchr(".:", host[strlen(host) - 1]) != NULL)
        host[strlen(host) - 1] = '\0'; /* the end of a sentence */
    if (g_str_equal(host, qiniu_up_host(ctx)) || !qiniu_host_is_kin(host, qiniu_up_host(ctx)))
        return false;
    if (qiniu_of(ctx)->hosts == NULL)
        dest_learned_set_fact(ctx->learned, FACT_UP, host);
    dest_learned_set_fact(ctx->learned, FACT_AT, host);
    return true;
}
