#include "broker_priv.h"

#include <string.h>

enum { PATIENCE_S = 30 }; /* a longer "timeout" makes an answer a slow one */

/* ---- URLs and headers ---- */

char *url_origin(const char *url)
{
    g_autoptr(GUri) uri = g_uri_parse(url, G_URI_FLAGS_ENCODED | G_URI_FLAGS_SCHEME_NORMALIZE, NULL);
    const char *scheme = uri == NULL ? NULL : g_uri_get_scheme(uri);
    const bool plain = g_strcmp0(scheme, "http") == 0;
    if ((!plain && g_strcmp0(scheme, "https") != 0) || g_uri_get_host(uri) == NULL || *g_uri_get_host(uri) == '\0' ||
        g_uri_get_userinfo(uri) != NULL)
        return NULL;
    g_autofree char *host = g_ascii_strdown(g_uri_get_host(uri), -1);
    const bool v6 = strchr(host, ':') != NULL;
    const int port = g_uri_get_port(uri), usual = plain ? 80 : 443;
    if (port <= 0 || port == usual)
        return g_strdup_printf("%s://%s%s%s", scheme, v6 ? "[" : "", host, v6 ? "]" : "");
    return g_strdup_printf("%s://%s%s%s:%d", scheme, v6 ? "[" : "", host, v6 ? "]" : "", port);
}

static bool one_word(const char *text)
{
    for (const char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p <= 0x20 || *p == 0x7f)
            return false;
    return *text != '\0';
}

bool broker_check_url(const Broker *b, const char *url, GError **error)
{
    g_autofree char *origin = one_word(url) ? url_origin(url) : NULL;
    if (origin == NULL) {
        fault_set(error, FAULT_BAD_ANSWER, "what the application hands out is no http or https address");
        return false;
    }
    if (b->plain_ok || !g_str_has_prefix(origin, "http:"))
        return true;
    fault_set(error, FAULT_ENDPOINT, "the application hands out an address without TLS (%s); allow-http = true takes it", origin);
    return false;
}

bool broker_check_header(const char *name, const char *value, GError **error)
{
    bool ok = *name != '\0';
    for (const char *p = name; ok && *p != '\0'; p++)
        ok = g_ascii_isalnum(*p) || strchr("!#$%&'*+-.^_`|~", *p) != NULL;
    if (ok && strpbrk(value, "\r\n") == NULL)
        return true;
    g_autofree char *shown = hoist_text(name);
    fault_set(error, FAULT_BAD_ANSWER, "the header \"%s\" holds what no header may hold (line ends, or such a name)", shown);
    return false;
}

/* ---- requests ---- */

static bool names_secret(const Placeholder *p, bool whole, void *data, GError **error)
{
    (void)whole, (void)data, (void)error;
    return !g_str_equal(p->root, "secret") && !g_str_equal(p->root, "env");
}

static bool pairs_secretless(const GPtrArray *pairs, const Visitor *visitor)
{
    for (unsigned i = 0; pairs != NULL && i + 1 < pairs->len; i += 2)
        if (!template_visit(pairs->pdata[i + 1], visitor, NULL))
            return false;
    return true;
}

static bool is_secretless(const DescRequest *d)
{
    const Visitor visitor = { names_secret, NULL, NULL };
    return template_visit(d->url, &visitor, NULL) && pairs_secretless(d->query, &visitor) && pairs_secretless(d->headers, &visitor) &&
           pairs_secretless(d->form, &visitor) && pairs_secretless(d->urlencoded, &visitor) &&
           (d->body == NULL || template_visit(d->body, &visitor, NULL)) &&
           (d->json == NULL || template_visit_json(d->json, &visitor, NULL));
}

static void append_pair(GString *out, const char *name, const char *value)
{
    uri_escape_append(out, name, strlen(name), false);
    g_string_append_c(out, '=');
    uri_escape_append(out, value, strlen(value), false);
}

/* Pairs as a query or an urlencoded body, behind what out holds. */
static Fill append_pairs(const Scope *s, const GPtrArray *pairs, char first, GString *out, GError **error)
{
    for (unsigned i = 0; pairs != NULL && i + 1 < pairs->len; i += 2) {
        char *value = NULL;
        const Fill fill = fill_text(s, pairs->pdata[i + 1], &value, error);
        if (fill != FILL_OK)
            return fill;
        if (first != '\0')
            g_string_append_c(out, first);
        append_pair(out, pairs->pdata[i], value);
        secret_free(value);
        first = '&';
    }
    return FILL_OK;
}

static Fill fill_url(const Scope *s, const DescRequest *d, Request *rq, GError **error)
{
    char *url = NULL;
    Fill fill = fill_text(s, d->url, &url, error);
    if (fill != FILL_OK)
        return fill;
    GString *out = g_string_new(url);
    fill = append_pairs(s, d->query, strchr(url, '?') == NULL ? '?' : '&', out, error);
    secret_free(url);
    rq->url = g_string_free(out, FALSE);
    return fill;
}

static bool has_header(const Request *rq, const char *name)
{
    const size_t bytes = strlen(name);
    for (unsigned i = 0; i < rq->headers->len; i++)
        if (g_ascii_strncasecmp(rq->headers->pdata[i], name, bytes) == 0 && ((const char *)rq->headers->pdata[i])[bytes] == ':')
            return true;
    return false;
}

static Fill fill_headers(const Scope *s, const DescRequest *d, Request *rq, GError **error)
{
    for (unsigned i = 0; d->headers != NULL && i + 1 < d->headers->len; i += 2) {
        char *value = NULL;
        Fill fill = fill_text(s, d->headers->pdata[i + 1], &value, error);
        if (fill == FILL_OK && !broker_check_header(d->headers->pdata[i], value, error))
            fill = FILL_FAILED;
        if (fill == FILL_OK)
            request_header(rq, d->headers->pdata[i], value);
        secret_free(value);
        if (fill != FILL_OK)
            return fill;
    }
    return FILL_OK;
}

static Fill fill_form(const Scope *s, const DescRequest *d, Request *rq, GError **error)
{
    g_autoptr(Form) form = form_new(s->up->nonce);
    for (unsigned i = 0; i + 1 < d->form->len; i += 2) {
        char *value = NULL;
        const Fill fill = fill_text(s, d->form->pdata[i + 1], &value, error);
        if (fill != FILL_OK)
            return fill;
        form_field(form, d->form->pdata[i], value);
        secret_free(value);
    }
    form_end(form, rq);
    return FILL_OK;
}

static void take_body(Request *rq, const char *type, char *text)
{
    if (type != NULL && !has_header(rq, "Content-Type"))
        request_header(rq, "Content-Type", type);
    request_body_bytes(rq, g_bytes_new_take(text, strlen(text)));
}

static Fill fill_body(const Scope *s, const DescRequest *d, Request *rq, GError **error)
{
    Fill fill = FILL_OK;
    if (d->json != NULL) {
        g_autoptr(JsonNode) node = NULL;
        fill = fill_json(s, d->json, &node, error);
        if (fill == FILL_OK)
            take_body(rq, "application/json", json_print(node));
    } else if (d->form != NULL) {
        fill = fill_form(s, d, rq, error);
    } else if (d->urlencoded != NULL) {
        GString *out = g_string_new(NULL);
        fill = append_pairs(s, d->urlencoded, '\0', out, error);
        take_body(rq, "application/x-www-form-urlencoded", g_string_free(out, FALSE));
    } else if (d->body != NULL) {
        char *text = NULL;
        fill = fill_text(s, d->body, &text, error);
        if (fill == FILL_OK)
            take_body(rq, NULL, text);
    }
    return fill;
}

/* Only the application itself hears who we are. */
static bool sign_in(const Scope *s, const DescRequest *d, Request *rq, GError **error)
{
    const Broker *b = broker_of(s->ctx);
    g_autofree char *origin = url_origin(rq->url);
    if (origin == NULL || !one_word(rq->url)) {
        fault_set(error, FAULT_CONFIG, "%s: a request to the application has no http or https address", b->desc->file);
        return false;
    }
    if (g_strcmp0(origin, b->origin) != 0) {
        if (!is_secretless(d))
            fault_set(error, FAULT_CONFIG, "%s: a secret would go to %s, which is not the application (%s)", b->desc->file, origin,
                      b->origin);
        return is_secretless(d);
    }
    for (unsigned i = 0; i < b->sign_ins->len; i++) {
        const SignIn *row = &g_array_index(b->sign_ins, SignIn, i);
        const char *secret = credentials_secret(s->ctx->creds, row->name);
        if (secret == NULL) {
            fault_set(error, FAULT_SIGN_IN, "the secret \"%s\" for the application is not set", row->name);
            return false;
        }
        char *value = g_strconcat(row->before, secret, NULL);
        request_header(rq, row->header, value);
        secret_free(value);
    }
    return true;
}

Fill broker_request(const Scope *s, const DescRequest *d, Request **rq_out, GError **error)
{
    const char *method = d->method == NULL ? "GET" : d->method;
    g_autoptr(Request) rq = request_new(g_intern_string(method));
    Fill fill = fill_url(s, d, rq, error);
    if (fill == FILL_OK)
        fill = fill_headers(s, d, rq, error);
    if (fill == FILL_OK)
        fill = fill_body(s, d, rq, error);
    if (fill == FILL_OK && !sign_in(s, d, rq, error))
        fill = FILL_FAILED;
    if (fill != FILL_OK)
        return fill;
    rq->answer_max = JSON_MAX_BYTES;
    rq->slow_answer = d->timeout_s > PATIENCE_S;
    *rq_out = g_steal_pointer(&rq);
    return FILL_OK;
}

/* ---- answers ---- */

bool status_ok(const GArray *ok, int status)
{
    for (unsigned i = 0; ok != NULL && i < ok->len; i++)
        if (g_array_index(ok, int, i) == status)
            return true;
    return ok == NULL && status >= 200 && status < 300;
}

Verdict broker_refused(const DestCtx *ctx, const Response *rs, const char *what, GError **error)
{
    static const AnswerRow rows[] = {
        { 401, NULL, VERDICT_FAIL, FAULT_SIGN_IN, "the application wants a sign-in, or another one (sign-in, secret)" },
        { 403, NULL, VERDICT_FAIL, FAULT_SIGN_IN, "the application refuses; is the sign-in right (sign-in, secret)?" },
        { 409, "duplicate", VERDICT_FAIL, FAULT_EXISTS, NULL },
        { 409, "exists", VERDICT_FAIL, FAULT_EXISTS, NULL },
        { 0, NULL, VERDICT_OK, FAULT_NONE, NULL },
    };
    g_autofree char *words = json_error_words(rs);
    const Verdict verdict = answer_failed(rows, rs, NULL, *words == '\0' ? NULL : words, ctx->creds, error);
    if (error != NULL)
        g_prefix_error(error, "%s: ", what);
    return verdict;
}

static bool says_something(JsonNode *node)
{
    if (node == NULL || (JSON_NODE_HOLDS_ARRAY(node) && json_array_get_length(json_node_get_array(node)) == 0))
        return false;
    g_autofree char *text = json_text_of(node);
    return text == NULL || (*text != '\0' && !g_str_equal(text, "false") && !g_str_equal(text, "0"));
}

static char *words_of(JsonNode *node)
{
    JsonNode *message = json_node_at(node, "/message");
    if (JSON_NODE_HOLDS_ARRAY(node))
        message = json_node_at(node, "/0/message") != NULL ? json_node_at(node, "/0/message") : json_node_at(node, "/0");
    g_autofree char *words = json_text_of(message != NULL ? message : node);
    return words != NULL ? g_steal_pointer(&words) : json_print(node);
}

bool broker_accepted(const DestCtx *ctx, const DescRequest *d, const Response *rs, const char *what, Verdict *verdict_out, GError **error)
{
    if (!status_ok(d->ok, rs->status)) {
        *verdict_out = broker_refused(ctx, rs, what, error);
        return false;
    }
    g_autoptr(Json) json = d->refusal == NULL ? NULL : json_answer(rs, what, NULL);
    JsonNode *refusal = json == NULL ? NULL : json_at(json, d->refusal);
    if (!says_something(refusal))
        return true;
    g_autofree char *words = words_of(refusal);
    g_autofree char *cause = answer_cause(rs->status, NULL, words, NULL, ctx->creds);
    fault_set(error, FAULT_REFUSED, "%s: %s", what, cause);
    *verdict_out = VERDICT_FAIL;
    return false;
}

/* A text/plain answer of which the whole is wanted. */
static bool wants_text(const GPtrArray *sources, const Response *rs)
{
    const char *type = response_header(rs, "content-type");
    bool whole = type != NULL && g_ascii_strncasecmp(type, "text/plain", strlen("text/plain")) == 0;
    for (unsigned i = 0; sources != NULL && i < sources->len; i++) {
        const Source *source = sources->pdata[i];
        whole &= source->pointer == NULL || *source->pointer == '\0';
    }
    return whole;
}

static bool wants_json(const GPtrArray *sources)
{
    for (unsigned i = 0; sources != NULL && i < sources->len; i++)
        if (((const Source *)sources->pdata[i])->pointer != NULL)
            return true;
    return false;
}

static JsonNode *source_value(const Source *source, const Response *rs, const Json *json, const Body *xml)
{
    if (source->constant != NULL)
        return json_node_ref(source->constant);
    if (source->pointer != NULL) {
        JsonNode *node = json == NULL ? NULL : json_at(json, source->pointer);
        return node == NULL ? NULL : json_node_ref(node);
    }
    g_autofree char *lower = source->header == NULL ? NULL : g_ascii_strdown(source->header, -1);
    const char *text = lower != NULL ? response_header(rs, lower) : xml == NULL ? NULL : body_field(xml, source->xml);
    return text == NULL ? NULL : json_node_init_string(json_node_alloc(), text);
}

static JsonNode *resolved(JsonNode *node, const char *url)
{
    g_autofree char *text = json_text_of(node);
    g_autofree char *whole = text == NULL || url == NULL ? NULL : g_uri_resolve_relative(url, text, G_URI_FLAGS_ENCODED, NULL);
    return whole == NULL ? json_node_ref(node) : json_node_init_string(json_node_alloc(), whole);
}

static bool lacks(const Source *source, const char *what, GError **error)
{
    const char *kind = source->pointer != NULL ? "" : source->header != NULL ? "the header " : "the element ";
    const char *name = source->pointer != NULL ? source->pointer : source->header != NULL ? source->header : source->xml;
    fault_set(error, FAULT_BAD_ANSWER, "%s lacks %s\"%s\" (%s): is it the right description?", what, kind, name == NULL ? "" : name,
              source->name);
    return false;
}

static bool extract_all(const GPtrArray *sources, const Response *rs, const Json *json, const char *url, const char *what,
                        JsonObject *values, GError **error)
{
    g_autoptr(Body) xml = NULL;
    for (unsigned i = 0; sources != NULL && i < sources->len; i++) {
        const Source *source = sources->pdata[i];
        if (source->xml != NULL && xml == NULL)
            xml = body_parse(rs->body->data, rs->body->len);
        g_autoptr(JsonNode) node = source_value(source, rs, json, xml);
        if (node == NULL && !source->optional)
            return lacks(source, what, error);
        if (node != NULL)
            json_object_set_member(values, source->name, source->resolve ? resolved(node, url) : json_node_ref(node));
    }
    return true;
}

bool broker_extract(const GPtrArray *sources, const Response *rs, const char *url, const char *what, JsonObject **out, Json **json_out,
                    GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(Json) json = wants_text(sources, rs) ? json_of_text(rs->body->data, rs->body->len) : json_answer(rs, what, &cause);
    bool needed = json == NULL && wants_json(sources);
    for (unsigned i = 0; needed && i < sources->len; i++) {
        const Source *source = sources->pdata[i];
        if (source->pointer != NULL && !source->optional) {
            g_autofree char *words = answer_words(cause->message, ANSWER_MAX_CAUSE_BYTES, NULL); /* a grant that was cut is a secret, too */
            fault_set(error, FAULT_BAD_ANSWER, "%s", words);
            return false;
        }
    }
    g_autoptr(JsonObject) values = json_object_new();
    if (!extract_all(sources, rs, json, url, what, values, error))
        return false;
    *out = g_steal_pointer(&values);
    if (json_out != NULL)
        *json_out = g_steal_pointer(&json);
    return true;
}
