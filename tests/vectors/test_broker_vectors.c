/* broker.json: a description and the application's answer to the exact requests that follow. */
#include "vectors.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/dest/broker_priv.h"

extern const DestOps dest_broker;

typedef struct {
    const VectorCase *vc;
    DestConf *conf;
    DestLearned learned;
    DestCtx ctx;
    Upload *up;
} Rig;

/* ---- from the case to an upload */

static void put_digest(DigestSet *set, DigestKind kind, JsonObject *file, const char *hex_member)
{
    const char *hex = vectors_str(file, hex_member);
    g_autoptr(GBytes) bytes = hex == NULL ? NULL : vectors_from_hex(hex);
    if (bytes == NULL)
        return;
    memcpy(set->value[kind], g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    set->have |= DIGEST_BIT(kind);
}

static DigestSet *digests_of(JsonObject *file)
{
    DigestSet *set = g_new0(DigestSet, 1);
    put_digest(set, DIGEST_MD5, file, "md5_hex");
    put_digest(set, DIGEST_SHA256, file, "sha256_hex");
    if (json_object_has_member(file, "crc32_decimal")) {
        const guint32 crc = GUINT32_TO_BE((guint32)json_object_get_int_member(file, "crc32_decimal"));
        memcpy(set->value[DIGEST_CRC32], &crc, sizeof crc);
        set->have |= DIGEST_BIT(DIGEST_CRC32);
    }
    return set;
}

static Upload *upload_of(JsonObject *json)
{
    JsonObject *file = vectors_object(json, "file");
    g_auto(GStrv) words = g_strsplit(vectors_str(json, "uuid"), "-", -1);
    Upload *up = upload_new(vectors_str(file, "name"), (uint64_t)json_object_get_int_member(file, "size"),
                            json_object_get_int_member(file, "mtime") * 1000000000);
    up->name = g_strdup(vectors_str(file, "name"));
    up->content_type = g_strdup(vectors_str(file, "type"));
    up->nonce = g_strjoinv("", words);
    return up;
}

static bool rig_open(Rig *r, const VectorCase *vc)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    JsonNode *description = json_object_get_member(vc->json, "description");
    g_autofree char *text = json_print(description);
    const int fd = g_file_open_tmp("hoist-broker-XXXXXX.json", &path, NULL);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, text, strlen(text)), ==, (ssize_t)strlen(text));
    close(fd);
    *r = (Rig){ .vc = vc, .conf = dest_conf_new() };
    r->conf->bucket = g_strdup(path);
    r->ctx = (DestCtx){ .ops = &dest_broker, .conf = r->conf, .learned = &r->learned };
    r->ctx.now_s = json_object_get_int_member(vectors_object(vc->json, "now"), "unix");
    r->ctx.priv = dest_broker.open(r->conf, &error);
    unlink(path);
    if (r->ctx.priv == NULL) {
        vectors_fail(vc, "the description is refused: %s", error->message);
        return false;
    }
    r->up = upload_of(vc->json);
    if (!dest_broker.plan(&r->ctx, r->up, 0, &error)) {
        vectors_fail(vc, "no plan: %s", error->message);
        return false;
    }
    if (!r->up->multipart)
        r->up->parts[0].digest = digests_of(vectors_object(vc->json, "file"));
    return true;
}

static void rig_clear(Rig *r)
{
    if (r->ctx.priv != NULL)
        dest_broker.close(r->ctx.priv);
    upload_free(r->up);
    dest_conf_free(r->conf);
    dest_learned_clear(&r->learned);
}

static Response *response_of(JsonObject *json)
{
    Response *rs = response_new();
    rs->status = json == NULL ? 200 : (int)json_object_get_int_member(json, "status");
    JsonObject *headers = vectors_object(json, "headers");
    g_autoptr(GList) names = headers == NULL ? NULL : json_object_get_members(headers);
    for (GList *l = names; l != NULL; l = l->next) {
        const char *value = vectors_str(headers, l->data);
        response_add_header(rs, l->data, strlen(l->data), value, strlen(value));
    }
    g_autofree char *text = json == NULL ? NULL : g_strdup(vectors_str(json, "text"));
    if (text == NULL && json != NULL && json_object_has_member(json, "json"))
        text = json_print(json_object_get_member(json, "json"));
    if (text != NULL)
        g_byte_array_append(rs->body, (const guint8 *)text, (guint)strlen(text));
    return rs;
}

/* ---- from a request to what is expected */

static char *body_text(const Request *rq)
{
    GString *out = g_string_new(NULL);
    for (unsigned i = 0; i < rq->n_spans; i++)
        if (rq->spans[i].bytes != NULL)
            g_string_append_len(out, g_bytes_get_data(rq->spans[i].bytes, NULL), (gssize)g_bytes_get_size(rq->spans[i].bytes));
        else
            g_string_append_printf(out, "<file %u+%u>", (unsigned)rq->spans[i].offset, (unsigned)rq->spans[i].length);
    return g_string_free(out, FALSE);
}

static bool has_line(const Request *rq, const char *name, const char *value)
{
    g_autofree char *line = g_strdup_printf("%s: %s", name, value);
    for (unsigned i = 0; i < rq->headers->len; i++)
        if (g_ascii_strncasecmp(rq->headers->pdata[i], line, strlen(name) + 1) == 0 &&
            g_str_equal((const char *)rq->headers->pdata[i] + strlen(name), line + strlen(name)))
            return true;
    return false;
}

static void check_headers(const VectorCase *vc, const char *what, const Request *rq, JsonObject *expected, unsigned others)
{
    g_autoptr(GList) names = expected == NULL ? NULL : json_object_get_members(expected);
    for (GList *l = names; l != NULL; l = l->next)
        if (!has_line(rq, l->data, vectors_str(expected, l->data)))
            vectors_fail(vc, "%s lacks the header %s", what, (const char *)l->data);
    if (rq->headers->len > g_list_length(names) + others)
        vectors_fail(vc, "%s has %u headers, %u are expected", what, rq->headers->len, g_list_length(names));
}

static void check_request(const VectorCase *vc, const char *what, const Request *rq, JsonObject *expected)
{
    if (rq == NULL) {
        vectors_fail(vc, "%s: nothing is asked", what);
        return;
    }
    g_autofree char *body = body_text(rq);
    vectors_str_equal(vc, what, rq->method, vectors_str(expected, "method"));
    vectors_str_equal(vc, what, rq->url, vectors_str(expected, "url"));
    check_headers(vc, what, rq, vectors_object(expected, "headers"), 0);
    if (vectors_str(expected, "body") != NULL)
        vectors_str_equal(vc, what, body, vectors_str(expected, "body"));
    if (!json_object_has_member(expected, "json")) {
        if (vectors_str(expected, "body") == NULL && *body != '\0')
            vectors_fail(vc, "%s has a body: %s", what, body);
        return;
    }
    g_autoptr(JsonNode) node = json_from_string(body, NULL);
    if (node == NULL || !json_node_equal(node, json_object_get_member(expected, "json")))
        vectors_fail(vc, "%s: body is %s", what, body);
}

static void check_form(const VectorCase *vc, const Upload *up, const Request *rq, JsonObject *expected)
{
    JsonArray *fields = vectors_array(expected, "fields_before_file");
    GString *all = g_string_new(NULL);
    g_autofree char *body = body_text(rq), *file = NULL;
    const char *line = strstr(body, "\r\n");
    g_autofree char *boundary = g_strndup(body, line == NULL ? 0 : (size_t)(line - body));
    for (guint i = 0; fields != NULL && i < json_array_get_length(fields); i++) {
        JsonArray *pair = json_array_get_array_element(fields, i);
        g_string_append_printf(all, "%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n", boundary,
                               json_array_get_string_element(pair, 0), json_array_get_string_element(pair, 1));
    }
    file = g_strdup_printf("%s\r\nContent-Disposition: form-data; name=\"%s\"; filename=\"%s\"\r\nContent-Type: ", boundary,
                           vectors_str(expected, "file_field"), up->name);
    g_string_append(all, file);
    if (!g_str_has_prefix(body, all->str))
        vectors_fail(vc, "the form is %.1500s, not %s", body, all->str);
    g_string_free(all, TRUE);
    check_headers(vc, "the upload", rq, vectors_object(expected, "headers"), 1);
}

static void check_upload(const VectorCase *vc, const Upload *up, const Request *rq, JsonObject *expected)
{
    const char *kind = vectors_str(expected, "kind");
    if (rq == NULL) {
        vectors_fail(vc, "nothing is uploaded");
        return;
    }
    vectors_str_equal(vc, "method of the upload", rq->method, vectors_str(expected, "method"));
    vectors_str_equal(vc, "URL of the upload", rq->url, vectors_str(expected, "url"));
    if (g_str_equal(kind, "form")) {
        check_form(vc, up, rq, expected);
        return;
    }
    check_headers(vc, "the upload", rq, vectors_object(expected, "headers"), g_str_equal(kind, "put") ? 0 : 8);
    if (g_str_equal(kind, "put") && (rq->n_spans != 1 || rq->spans[0].bytes != NULL || rq->body_bytes != up->size_bytes))
        vectors_fail(vc, "the body is not the file");
}

static void check_values(const VectorCase *vc, const Grant *grant, JsonObject *expected)
{
    g_autoptr(GList) names = expected == NULL ? NULL : json_object_get_members(expected);
    for (GList *l = names; l != NULL; l = l->next) {
        g_autoptr(JsonNode) value = grant == NULL ? NULL : values_get(grant->values, l->data);
        if (value == NULL || !json_node_equal(value, json_object_get_member(expected, l->data)))
            vectors_fail(vc, "grant.%s differs", (const char *)l->data);
    }
}

/* ---- one case: grant, upload, and what follows, this last as after a restart */

static Phase first_phase(const Upload *up)
{
    return up->multipart ? PHASE_OPEN : PHASE_PART;
}

static Request *ask(Rig *r, Phase phase)
{
    g_autoptr(GError) error = NULL;
    Request *rq = NULL;
    if (!dest_broker.step[phase].ask(&r->ctx, r->up, 0, &rq, &error))
        vectors_fail(r->vc, "not asked: %s", error->message);
    return rq;
}

static void run_notify(Rig *r, JsonObject *expect)
{
    JsonObject *expected = vectors_object(expect, "notify_request"), *result = vectors_object(expect, "result");
    g_autoptr(Upload) again = upload_of(r->vc->json);
    again->memo = g_strdup(r->up->memo);
    dest_broker.plan(&r->ctx, again, 0, NULL);
    Upload *before = r->up;
    r->up = again;
    g_autoptr(Request) rq = ask(r, PHASE_NOTIFY);
    r->up = before;
    if (expected != NULL)
        check_request(r->vc, "notify", rq, expected);
    else if (rq != NULL)
        vectors_fail(r->vc, "notify is not expected");
    vectors_str_equal(r->vc, "result", r->up->url, result == NULL ? NULL : vectors_str(result, "url"));
    if (result != NULL && vectors_str(result, "id") != NULL)
        vectors_str_equal(r->vc, "id", r->up->stored_key, vectors_str(result, "id"));
    if (result != NULL && vectors_str(result, "key") != NULL)
        vectors_str_equal(r->vc, "key", r->up->stored_key, vectors_str(result, "key"));
}

static void run_upload(Rig *r, JsonObject *expect, Verdict granted)
{
    g_autoptr(GError) error = NULL;
    JsonObject *expected = vectors_object(expect, "upload_request"), *answer = vectors_object(r->vc->json, "upload_answer");
    const Phase phase = granted == VERDICT_MORE ? first_phase(r->up) : PHASE_PART;
    if (json_object_has_member(expected, "part_size") && r->up->part_size != (uint64_t)json_object_get_int_member(expected, "part_size") &&
        r->up->size_bytes > r->up->part_size)
        vectors_fail(r->vc, "parts have %u bytes", (unsigned)r->up->part_size);
    g_autoptr(Request) rq = ask(r, phase);
    check_upload(r->vc, r->up, rq, expected);
    if (r->up->multipart)
        return;
    g_autoptr(Response) rs = response_of(answer);
    const Verdict verdict = dest_broker.step[PHASE_PART].read(&r->ctx, r->up, 0, rs, &error);
    const bool needs_answer = answer == NULL && vectors_object(json_object_get_object_member(r->vc->json, "description"), "after") != NULL;
    if (verdict != VERDICT_OK && !needs_answer)
        vectors_fail(r->vc, "the upload's answer: %s", error == NULL ? "no error" : error->message);
    else if (verdict == VERDICT_OK)
        run_notify(r, expect);
}

static void run(Rig *r)
{
    g_autoptr(GError) error = NULL;
    JsonObject *expect = vectors_object(r->vc->json, "expect");
    const Phase phase = first_phase(r->up);
    g_autoptr(Request) rq = ask(r, phase);
    check_request(r->vc, "grant", rq, vectors_object(expect, "grant_request"));
    g_autoptr(Response) rs = response_of(vectors_object(r->vc->json, "grant_answer"));
    const Verdict verdict = dest_broker.step[phase].read(&r->ctx, r->up, 0, rs, &error);
    if (vectors_object(expect, "upload_request") == NULL) {
        if (verdict == VERDICT_MORE)
            vectors_fail(r->vc, "an upload is not expected");
        return;
    }
    if (verdict != VERDICT_MORE && verdict != VERDICT_OK) {
        vectors_fail(r->vc, "the grant is refused: %s", error == NULL ? "no error" : error->message);
        return;
    }
    check_values(r->vc, r->up->grant, vectors_object(expect, "grant"));
    run_upload(r, expect, verdict);
}

static bool check_case(const VectorCase *vc)
{
    Rig r = { 0 };
    if (*vc->kind != '\0')
        return false;
    if (rig_open(&r, vc))
        run(&r);
    rig_clear(&r);
    return true;
}

static void test_all(void)
{
    static const char *const formats[] = { "broker", NULL };
    vectors_each(formats, check_case);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vectors/broker", test_all);
    return g_test_run();
}
