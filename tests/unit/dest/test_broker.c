/* The broker road without a network: descriptions, grants and when they end, what goes where, signed parts, temporary keys, announcements.
 */
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>

#include "core/dest/broker_priv.h"

extern const DestOps dest_broker;

static const int64_t NOW_S = 1768469400; /* 2026-01-15T09:30:00Z */

#define APP "\"schema\":\"hoist-broker-1\",\"vars\":{\"base\":\"https://app.example.com\"},"
#define GRANT                                                                                                                              \
    "\"grant\":{\"method\":\"POST\",\"url\":\"{{base}}/sign\",\"json\":{\"name\":\"{{file.name}}\"},\"extract\":{\"url\":\"/url\"}},"
#define PUT   "\"upload\":{\"kind\":\"put\",\"url\":\"{{grant.url}}\"}"
#define PLAIN "{" APP GRANT PUT "}"

/* ---- a rig: one opened broker, one upload */

typedef struct {
    DestConf *conf;
    DestLearned learned;
    Credentials creds;
    DestCtx ctx;
    Upload *up;
} Rig;

static void *open_text(DestConf *conf, const char *text, GError **error)
{
    g_autofree char *path = NULL;
    const int fd = g_file_open_tmp("hoist-XXXXXX.json", &path, NULL);
    g_assert_cmpint(fd, >=, 0);
    g_close(fd, NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_free(conf->bucket);
    conf->bucket = g_strdup(path);
    void *priv = dest_broker.open(conf, error);
    g_unlink(path);
    return priv;
}

static Upload *upload_of(uint64_t bytes)
{
    Upload *up = upload_new("a/pic 1.jpg", bytes, NOW_S * 1000000000);
    up->name = g_strdup("pic 1.jpg");
    up->content_type = g_strdup("image/jpeg");
    up->nonce = g_strdup("5f0c9a7e2d430f0e1b1b6f5f1a2c3d4e");
    return up;
}

static void plan(Rig *r, uint64_t bytes)
{
    GError *error = NULL;
    upload_free(r->up);
    r->up = upload_of(bytes);
    g_assert_true(dest_broker.plan(&r->ctx, r->up, 0, &error));
    g_assert_no_error(error);
}

/* options: name, value, name, value ... NULL */
static void rig_open(Rig *r, const char *text, const char *const *options)
{
    GError *error = NULL;
    *r = (Rig){ .conf = dest_conf_new() };
    for (; options != NULL && *options != NULL; options += 2)
        g_hash_table_insert(r->conf->options, g_strdup(options[0]), g_strdup(options[1]));
    r->creds.secrets = g_hash_table_new(g_str_hash, g_str_equal);
    g_hash_table_insert(r->creds.secrets, (char *)"token", (char *)"SECRETTOKEN");
    g_hash_table_insert(r->creds.secrets, (char *)"cookie", (char *)"SECRETCOOKIE");
    g_hash_table_insert(r->creds.secrets, (char *)"x-own", (char *)"SECRETOWN");
    r->ctx = (DestCtx){ .ops = &dest_broker, .conf = r->conf, .learned = &r->learned, .creds = &r->creds, .now_s = NOW_S };
    r->ctx.priv = open_text(r->conf, text, &error);
    g_assert_no_error(error);
    plan(r, 1000);
}

static void rig_clear(Rig *r)
{
    dest_broker.close(r->ctx.priv);
    upload_free(r->up);
    dest_conf_free(r->conf);
    g_hash_table_unref(r->creds.secrets);
    dest_learned_clear(&r->learned);
}

static Request *ask(Rig *r, Phase phase, unsigned part)
{
    GError *error = NULL;
    Request *rq = NULL;
    g_assert_true(dest_broker.step[phase].ask(&r->ctx, r->up, part, &rq, &error));
    g_assert_no_error(error);
    return rq;
}

/* headers: "name: value\n..." */
static Response *response(int status, const char *headers, const char *body)
{
    Response *rs = response_new();
    rs->status = status;
    g_auto(GStrv) lines = g_strsplit(headers == NULL ? "" : headers, "\n", -1);
    for (unsigned i = 0; lines[i] != NULL && *lines[i] != '\0'; i++) {
        const char *colon = strchr(lines[i], ':');
        response_add_header(rs, lines[i], (size_t)(colon - lines[i]), colon + 1, strlen(colon + 1));
    }
    if (body != NULL)
        g_byte_array_append(rs->body, (const guint8 *)body, (guint)strlen(body));
    return rs;
}

static Verdict give(Rig *r, Phase phase, unsigned part, int status, const char *headers, const char *body, GError **error)
{
    g_autoptr(Response) rs = response(status, headers, body);
    return dest_broker.step[phase].read(&r->ctx, r->up, part, rs, error);
}

static void expect(Rig *r, Phase phase, unsigned part, int status, const char *headers, const char *body, Verdict wanted)
{
    g_autoptr(GError) error = NULL;
    const Verdict verdict = give(r, phase, part, status, headers, body, &error);
    if (verdict != wanted)
        g_error("%d %s: verdict %d, not %d: %s", status, body, verdict, wanted, error == NULL ? "no error" : error->message);
    g_assert_cmpint(wanted != VERDICT_OK && wanted != VERDICT_MORE, ==, error != NULL);
}

static void expect_fault(Rig *r, Phase phase, int status, const char *body, Verdict wanted, FaultCode fault, const char *words)
{
    g_autoptr(GError) error = NULL;
    const Verdict verdict = give(r, phase, 0, status, NULL, body, &error);
    if (verdict != wanted || fault_code(error) != fault || (words != NULL && strstr(error->message, words) == NULL))
        g_error("%d %s: verdict %d, fault %s: %s", status, body, verdict, fault_info(fault_code(error))->name,
                error == NULL ? "" : error->message);
}

static bool has_text(const Request *rq, const char *text)
{
    if (strstr(rq->url, text) != NULL)
        return true;
    for (unsigned i = 0; i < rq->headers->len; i++)
        if (strstr(rq->headers->pdata[i], text) != NULL)
            return true;
    return false;
}

static char *body_of(const Request *rq)
{
    GString *out = g_string_new(NULL);
    for (unsigned i = 0; i < rq->n_spans; i++)
        if (rq->spans[i].bytes != NULL)
            g_string_append_len(out, g_bytes_get_data(rq->spans[i].bytes, NULL), (gssize)g_bytes_get_size(rq->spans[i].bytes));
    return g_string_free(out, FALSE);
}

static void put_digest(Rig *r)
{
    DigestSet *set = g_new0(DigestSet, 1);
    digest_of(DIGEST_BIT(DIGEST_MD5) | DIGEST_BIT(DIGEST_SHA256) | DIGEST_BIT(DIGEST_CRC32), "hello", 5, set);
    r->up->parts[0].digest = set;
}

/* ---- descriptions */

static void test_refused_descriptions(void)
{
    static const struct {
        const char *text, *words;
    } rows[] = {
        { "{", "is not JSON" },
        { "[]", "/: an object is needed" },
        { "{\"schema\":\"hoist-broker-1\"}", "\"upload\" is missing" },
        { "{\"schema\":\"hoist-broker-2\"," PUT "}", "/schema: allowed are hoist-broker-1" },
        { "{" APP GRANT PUT ",\"grnat\":{}}", "/grnat: unknown member; known are schema" },
        { "{" APP "\"grant\":{\"url\":\"{{base}}\",\"extract\":{\"url\":{\"pointer\":\"/u\",\"opt\":true}}}," PUT "}",
          "/grant/extract/url/opt: unknown member" },
        { "{" APP "\"grant\":{\"url\":7,\"extract\":{\"url\":\"/u\"}}," PUT "}", "/grant/url: a text is needed" },
        { "{" APP "\"grant\":{\"url\":\"{{base}}\",\"extract\":{\"url\":\"u\"}}," PUT "}", "/grant/extract/url: a JSON pointer" },
        { "{" APP "\"grant\":{\"url\":\"{{base}}\",\"ok\":[99],\"extract\":{\"url\":\"/u\"}}," PUT "}", "/grant/ok: a status" },
        { "{" APP GRANT "\"upload\":{\"kind\":\"push\",\"url\":\"{{grant.url}}\"}}", "/upload/kind: allowed are put|form" },
        { "{" APP GRANT "\"upload\":{\"kind\":\"put\"}}", "\"url\" is missing" },
        { "{" APP GRANT "\"upload\":{\"kind\":\"resumable\",\"url\":\"{{grant.url}}\"}}", "needs a \"protocol\"" },
        { "{" APP GRANT "\"upload\":{\"kind\":\"put\",\"url\":\"{{grant.uri}}\"}}", "{{grant.uri}} is not extracted" },
        { "{" APP GRANT "\"upload\":{\"kind\":\"put\",\"url\":\"{{grant.url|sha}}\"}}", "filters are url" },
        { "{" APP GRANT "\"upload\":{\"kind\":\"put\",\"url\":\"{{grant.url\"}}", "a {{ has no }}" },
        { "{" APP GRANT "\"upload\":{\"kind\":\"put\",\"url\":\"{{grant.url}}\",\"headers\":{\"X\":\"{{secret.token}}\"}}}",
          "{{secret.token}} cannot be named here" },
        { "{" APP GRANT "\"upload\":{\"kind\":\"put\",\"url\":\"{{grant.url}}\",\"headers\":{\"X Y\":\"1\"}}}", "is no name of a header" },
        { "{" APP GRANT PUT ",\"notify\":{\"url\":\"{{base}}/done\",\"json\":{\"u\":\"{{grant.url}}\"}}}", "is a secret" },
        { "{" APP GRANT PUT ",\"result\":{\"url\":\"{{grant.url}}\"}}", "is a secret" },
        { "{" APP GRANT PUT ",\"result\":{\"uri\":\"x\"}}", "known are url, key, id" },
        { "{" APP GRANT PUT ",\"notify\":{\"url\":\"{{base}}/done\",\"method\":\"GET\",\"json\":{}}}", "none with GET" },
        { "{" APP GRANT PUT ",\"notify\":{\"url\":\"{{nobase}}/done\"}}", "{{nobase}} is unknown" },
        { "{" APP GRANT PUT ",\"notify\":{\"url\":\"{{base}}/{{file.colour}}\"}}", "{{file.colour}} is unknown" },
        { "{" APP GRANT PUT ",\"notify\":{\"url\":\"{{base}}/{{env.HOME}}\"}}", "not in allow_env" },
        { "{" APP "\"grant\":{\"url\":\"{{file.name}}/x\",\"extract\":{\"url\":\"/u\"}}," PUT "}", "known beforehand" },
        { "{" APP "\"grant\":{\"url\":\"ftp://h/x\",\"extract\":{\"url\":\"/u\"}}," PUT "}", "does not begin with http" },
        { "{" APP GRANT
          "\"upload\":{\"kind\":\"resumable\",\"protocol\":\"tus\",\"url\":\"{{grant.url}}\",\"headers\":{\"X\":\"{{file.md5_hex}}\"}}}",
          "goes whole" },
        { "{" APP GRANT "\"upload\":{\"kind\":\"multipart\"}}", "needs \"multipart\"" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(DestConf) conf = dest_conf_new();
        void *priv = open_text(conf, rows[i].text, &error);
        if (priv != NULL || strstr(error->message, rows[i].words) == NULL)
            g_error("row %u: %s", i, priv != NULL ? "taken" : error->message);
        g_assert_error(error, FAULT, FAULT_CONFIG);
        g_assert_true(g_str_has_prefix(error->message, conf->bucket));
    }
}

static void refuse_options(const char *text, const char *name, const char *value, const char *words)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DestConf) conf = dest_conf_new();
    g_hash_table_insert(conf->options, g_strdup(name), g_strdup(value));
    g_assert_null(open_text(conf, text, &error));
    g_assert_error(error, FAULT, FAULT_CONFIG);
    if (strstr(error->message, words) == NULL)
        g_error("%s", error->message);
}

static void test_options(void)
{
    static const char unset[] = "{\"schema\":\"hoist-broker-1\",\"vars\":{\"base\":null}," GRANT PUT "}";
    refuse_options(unset, "var", "", "\"base\" is not set: var = base=VALUE");
    refuse_options(unset, "var", "home=x", "known are base");
    refuse_options(unset, "var", "base", "write NAME=VALUE");
    refuse_options(unset, "var", "base=example.com", "does not begin with http");
    refuse_options(PLAIN, "sign-in", "basic", "allowed: bearer, cookie, csrf, header:NAME");
    refuse_options(PLAIN, "sign-in", "header:a b", "allowed:");
    refuse_options("{\"schema\":\"hoist-broker-1\",\"upload\":{\"kind\":\"put\",\"url\":\"https://h/x\"}}", "sign-in", "bearer",
                   "asks no application");
    refuse_options(PLAIN, "broker", "no-such-thing", "uppy-companion");
    refuse_options(PLAIN, "broker", "./mine.json", "written in full");
}

/* What comes with hoist opens once its variables are set. */
static void test_shipped(void)
{
    g_autofree char *folder = g_build_filename(g_getenv("HOIST_TEST_DATA"), "..", "assets", "brokers", NULL);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    unsigned n = 0;
    g_assert_nonnull(dir);
    for (const char *file; (file = g_dir_read_name(dir)) != NULL;) {
        if (!g_str_has_suffix(file, ".json"))
            continue;
        g_autoptr(GError) error = NULL;
        g_autofree char *name = g_strndup(file, strlen(file) - strlen(".json"));
        g_autoptr(Description) d = description_load(name, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(d->name, ==, name);
        g_assert_nonnull(d->about);
        g_autoptr(GString) vars = g_string_new(NULL);
        for (unsigned i = 0; d->vars != NULL && i + 1 < d->vars->len; i += 2)
            if (d->vars->pdata[i + 1] == NULL)
                g_string_append_printf(vars, "%s=https://app.example.com\n", (const char *)d->vars->pdata[i]);
        g_autoptr(DestConf) conf = dest_conf_new();
        conf->bucket = g_strdup(name);
        g_hash_table_insert(conf->options, g_strdup("var"), g_strdup(vars->str));
        void *priv = dest_broker.open(conf, &error);
        g_assert_no_error(error);
        dest_broker.close(priv);
        n++;
    }
    g_assert_cmpuint(n, >=, 28);
}

/* ---- templates */

static void test_templates(void)
{
    static const struct {
        const char *text, *filled;
    } rows[] = {
        { "{{file.name}}", "pic 1.jpg" },
        { "{{file.stem}}-{{file.ext}}", "pic 1-jpg" },
        { "{{ file.name | url }}", NULL },
        { "{{file.name|url}}", "pic%201.jpg" },
        { "{{file.path|path}}", "a/pic%201.jpg" },
        { "{{file.path|url}}", "a%2Fpic%201.jpg" },
        { "{{file.name|b64}}", "cGljIDEuanBn" },
        { "{{vars.base|lower|b64url}}", "aHR0cHM6Ly9hcHAuZXhhbXBsZS5jb20=" },
        { "{{file.size}}", "1000" },
        { "{{file.type}}", "image/jpeg" },
        { "{{file.mtime}}", "1768469400" },
        { "{{uuid}}", "5f0c9a7e-2d43-4f0e-9b1b-6f5f1a2c3d4e" },
        { "{{now.unix}} {{now.iso}}", "1768469400 2026-01-15T09:30:00Z" },
        { "{{file.md5_hex}}", "5d41402abc4b2a76b9719d911017c592" },
        { "{{file.sha256_b64}}", "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=" },
        { "{{file.crc32_decimal}}", "907060870" },
        { "no placeholder }} here", "no placeholder }} here" },
    };
    Rig r;
    rig_open(&r, PLAIN, NULL);
    put_digest(&r);
    const Scope s = { .ctx = &r.ctx, .up = r.up };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *filled = NULL;
        g_assert_cmpint(fill_text(&s, rows[i].text, &filled, &error), ==, rows[i].filled == NULL ? FILL_FAILED : FILL_OK);
        g_assert_cmpstr(filled, ==, rows[i].filled);
    }
    rig_clear(&r);
}

static void test_plain_filter(void)
{
    static const char text[] = "{" APP GRANT PUT ",\"result\":{\"url\":\"{{grant.url|plain}}\"}}";
    Rig r;
    rig_open(&r, text, NULL);
    expect(&r, PHASE_PART, 0, 200, NULL, "{\"url\":\"https://s.example/k?X-Amz-Signature=0#f\"}", VERDICT_MORE);
    expect(&r, PHASE_PART, 0, 200, NULL, NULL, VERDICT_OK);
    g_assert_cmpstr(r.up->url, ==, "https://s.example/k");
    g_assert_null(strstr(r.up->memo, "Signature"));
    rig_clear(&r);
}

/* ---- when grants end */

static void test_expiry(void)
{
    static const struct {
        const char *url;
        int64_t at_s;
    } urls[] = {
        { "https://b/k?X-Amz-Date=20260115T093000Z&X-Amz-Expires=60&X-Amz-Signature=0", 1768469460 },
        { "https://b/k?X-Goog-Date=20260115T093000Z&X-Goog-Expires=600", 1768470000 },
        { "https://b/k?x-oss-date=20260115T093000Z&x-oss-expires=600", 1768470000 },
        { "https://b/k?sv=2021&se=2026-01-15T10%3A30%3A00Z&sig=0", 1768473000 },
        { "https://b/k?AWSAccessKeyId=x&Expires=1768469500&Signature=0", 1768469500 },
        { "https://b/k?expires=1768473000000&signature=0", 1768473000 },
        { "https://b/k?expires=300", 0 }, /* not known from when on */
        { "https://b/k?X-Amz-Date=nonsense&X-Amz-Expires=60", 0 },
        { "https://b/k?se=nonsense", 0 },
        { "https://b/k", 0 },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(urls); i++)
        g_assert_cmpint(url_expires_s(urls[i].url), ==, urls[i].at_s);

    static const struct {
        const char *name, *json;
        int64_t at_s;
    } fields[] = {
        { "Policy", "{\"expiration\":\"2026-01-15T10:30:00.000Z\",\"conditions\":[]}", 1768473000 },
        { "policy", "{\"expiration\":\"2026-01-15T10:30:00Z\"}", 1768473000 },
        { "policy", "not json", 0 },
        { "token", "{\"scope\":\"b\",\"deadline\":1768470000}", 1768470000 },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++) {
        g_autoptr(GPtrArray) pairs = g_ptr_array_new_with_free_func(g_free);
        g_autofree char *base64 = g_base64_encode((const guchar *)fields[i].json, strlen(fields[i].json));
        g_ptr_array_add(pairs, g_strdup(fields[i].name));
        g_ptr_array_add(pairs, g_str_equal(fields[i].name, "token") ? g_strconcat("AK:sign:", base64, NULL) : g_strdup(base64));
        g_assert_cmpint(fields_expire_s(pairs), ==, fields[i].at_s);
    }
    g_assert_cmpint(time_text_s("300", NOW_S), ==, NOW_S + 300);
    g_assert_cmpint(time_text_s("1768470000", NOW_S), ==, 1768470000);
    g_assert_cmpint(time_text_s("1768470000000", NOW_S), ==, 1768470000);
    g_assert_cmpint(time_text_s("2026-01-15T10:30:00Z", NOW_S), ==, 1768473000);
    g_assert_cmpint(time_text_s("soon", NOW_S), ==, 0);
}

static char *dated(int64_t lives_s)
{
    return g_strdup_printf("{\"url\":\"https://s.example/k?X-Amz-Date=20260115T093000Z&X-Amz-Expires=%d\"}", (int)lives_s);
}

static void test_renewal(void)
{
    Rig r;
    rig_open(&r, PLAIN, NULL);
    g_autofree char *minutes = dated(300), *seconds = dated(20), *past = dated(1);
    g_autoptr(Request) first = ask(&r, PHASE_PART, 0);
    g_assert_cmpstr(first->url, ==, "https://app.example.com/sign");
    expect(&r, PHASE_PART, 0, 200, NULL, minutes, VERDICT_MORE);
    r.ctx.now_s = NOW_S + 269;
    g_autoptr(Request) in_time = ask(&r, PHASE_PART, 0);
    g_assert_true(g_str_has_prefix(in_time->url, "https://s.example/"));
    r.ctx.now_s = NOW_S + 271; /* less than half a minute is left */
    g_autoptr(Request) late = ask(&r, PHASE_PART, 0);
    g_assert_cmpstr(late->url, ==, "https://app.example.com/sign");
    r.ctx.now_s = NOW_S;
    expect(&r, PHASE_PART, 0, 200, NULL, seconds, VERDICT_MORE); /* a short one is used all the same, not asked for again and again */
    g_autoptr(Request) is_short = ask(&r, PHASE_PART, 0);
    g_assert_true(g_str_has_prefix(is_short->url, "https://s.example/"));
    grant_drop(r.up);
    r.ctx.now_s = NOW_S + 100; /* so is one that has ended by our clock */
    expect(&r, PHASE_PART, 0, 200, NULL, past, VERDICT_MORE);
    g_autoptr(Request) ended = ask(&r, PHASE_PART, 0);
    g_assert_true(g_str_has_prefix(ended->url, "https://s.example/"));
    rig_clear(&r);
}

static void test_refused_once(void)
{
    static const struct {
        int status;
        const char *body;
        bool again;
    } rows[] = {
        { 403, "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>", true },
        { 403, "", true },
        { 400, "<Error><Code>ExpiredToken</Code></Error>", true },
        { 401, "{\"error\":\"expired token\"}", true },
        { 400, "<Error><Code>EntityTooLarge</Code></Error>", false },
        { 404, "<Error><Code>NoSuchBucket</Code></Error>", false },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Rig r;
        rig_open(&r, PLAIN, NULL);
        expect(&r, PHASE_PART, 0, 200, NULL, "{\"url\":\"https://s.example/k\"}", VERDICT_MORE);
        expect(&r, PHASE_PART, 0, rows[i].status, NULL, rows[i].body, rows[i].again ? VERDICT_AGAIN : VERDICT_FAIL);
        if (rows[i].again) {
            g_autoptr(Request) again = ask(&r, PHASE_PART, 0);
            g_assert_cmpstr(again->url, ==, "https://app.example.com/sign");
            expect(&r, PHASE_PART, 0, 200, NULL, "{\"url\":\"https://s.example/k\"}", VERDICT_MORE);
            expect(&r, PHASE_PART, 0, rows[i].status, NULL, rows[i].body, VERDICT_FAIL);
        }
        rig_clear(&r);
    }
}

/* ---- grants that are none */

static void test_bad_grants(void)
{
    static const struct {
        int status;
        const char *body;
        Verdict verdict;
        FaultCode fault;
        const char *words;
    } rows[] = {
        { 401, "{\"message\":\"who are you\"}", VERDICT_FAIL, FAULT_SIGN_IN, "who are you" },
        { 403, "{\"error\":{\"message\":\"not yours\"}}", VERDICT_FAIL, FAULT_SIGN_IN, "not yours" },
        { 409, "{\"statusCode\":\"409\",\"error\":\"Duplicate\",\"message\":\"The resource already exists\"}", VERDICT_FAIL, FAULT_EXISTS,
          "exists" },
        { 413, "{\"message\":\"10 MB\"}", VERDICT_FAIL, FAULT_TOO_LARGE, "10 MB" },
        { 422, "{\"errors\":[{\"message\":\"no\"}]}", VERDICT_FAIL, FAULT_REFUSED, "no" },
        { 429, "", VERDICT_RETRY, FAULT_SLOW_DOWN, NULL },
        { 500, "<html>oops</html>", VERDICT_RETRY, FAULT_SERVER, "oops" },
        { 503, "", VERDICT_RETRY, FAULT_SLOW_DOWN, NULL },
        { 302, "", VERDICT_FAIL, FAULT_ENDPOINT, "302" },
        { 200, "<html>Sign in</html>", VERDICT_FAIL, FAULT_BAD_ANSWER, "Sign in" },
        { 200, "", VERDICT_FAIL, FAULT_BAD_ANSWER, "empty" },
        { 200, "{\"uri\":\"x\"}", VERDICT_FAIL, FAULT_BAD_ANSWER, "lacks \"/url\" (url)" },
        { 200, "{\"url\":null}", VERDICT_FAIL, FAULT_BAD_ANSWER, "/url" },
        { 200, "{\"url\":[1]}", VERDICT_FAIL, FAULT_BAD_ANSWER, "no text" },
        { 200, "{\"url\":\"/relative\"}", VERDICT_FAIL, FAULT_BAD_ANSWER, "no http or https address" },
        { 200, "{\"url\":\"file:///etc/passwd\"}", VERDICT_FAIL, FAULT_BAD_ANSWER, "no http or https address" },
        { 200, "{\"url\":\"https://h/a\\r\\nX: y\"}", VERDICT_FAIL, FAULT_BAD_ANSWER, "no http or https address" },
        { 200, "{\"url\":\"https://me:pw@h/\"}", VERDICT_FAIL, FAULT_BAD_ANSWER, "no http or https address" },
        { 200, "{\"url\":\"http://s.example/k\"}", VERDICT_FAIL, FAULT_ENDPOINT, "allow-http" },
        { 200, "{\"url\":\"https://s/?X-Amz-Signature=SECRETSIG", VERDICT_FAIL, FAULT_BAD_ANSWER, "X-Amz" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Rig r;
        rig_open(&r, PLAIN, NULL);
        if (i == G_N_ELEMENTS(rows) - 1) { /* cut in the middle: what it gave away is not told */
            g_autoptr(GError) error = NULL;
            g_assert_cmpint(give(&r, PHASE_PART, 0, 200, NULL, rows[i].body, &error), ==, VERDICT_FAIL);
            g_assert_null(strstr(error->message, "SECRETSIG"));
        } else {
            expect_fault(&r, PHASE_PART, rows[i].status, rows[i].body, rows[i].verdict, rows[i].fault, rows[i].words);
        }
        g_assert_null(r.up->grant);
        rig_clear(&r);
    }
}

static void test_plain_http(void)
{
    static const char plain_app[] = "{\"schema\":\"hoist-broker-1\",\"vars\":{\"base\":\"http://127.0.0.1:8080\"}," GRANT PUT "}";
    static const char *const allow[] = { "allow-http", "true", NULL };
    Rig r;
    rig_open(&r, plain_app, NULL);
    expect(&r, PHASE_PART, 0, 200, NULL, "{\"url\":\"http://s.example/k\"}", VERDICT_MORE);
    rig_clear(&r);
    rig_open(&r, PLAIN, allow);
    expect(&r, PHASE_PART, 0, 200, NULL, "{\"url\":\"http://s.example/k\"}", VERDICT_MORE);
    rig_clear(&r);
}

static void test_answer_bounds(void)
{
    Rig r;
    rig_open(&r, PLAIN, NULL);
    g_autoptr(Request) rq = ask(&r, PHASE_PART, 0);
    g_assert_cmpuint(rq->answer_max, <=, JSON_MAX_BYTES);
    g_autofree char *deep = g_strnfill(5000, '[');
    expect(&r, PHASE_PART, 0, 200, NULL, deep, VERDICT_FAIL);
    rig_clear(&r);
}

static void test_refusal_in_an_answer(void)
{
    static const char text[] =
        "{" APP "\"grant\":{\"method\":\"POST\",\"url\":\"{{base}}/x\",\"refusal\":\"/o/0/error\",\"extract\":{\"url\":{\"pointer\":"
        "\"/url\",\"optional\":true}}}," PUT "}";
    Rig r;
    rig_open(&r, text, NULL);
    expect_fault(&r, PHASE_PART, 200, "{\"o\":[{\"error\":{\"code\":422,\"message\":\"too odd\"}}]}", VERDICT_FAIL, FAULT_REFUSED,
                 "too odd");
    expect(&r, PHASE_PART, 0, 200, NULL, "{\"o\":[{}],\"url\":\"https://s.example/\"}", VERDICT_MORE);
    rig_clear(&r);
}

/* ---- what goes where */

#define HEADERS_FROM                                                                                                                       \
    "{" APP GRANT                                                                                                                          \
    "\"upload\":{\"kind\":\"put\",\"url\":\"{{grant.url}}\",\"headers\":{\"X-A\":\"described\",\"X-B\":\"b\"},\"headers_from\":\"/h\"}}"

static void test_headers_from(void)
{
    static const char *const bodies[] = {
        "{\"url\":\"https://s.example/k\",\"h\":{\"x-a\":\"given\",\"X-N\":7,\"Host\":\"s.example\",\"Content-Length\":\"1000\"}}",
        "{\"url\":\"https://s.example/k\",\"h\":[{\"key\":\"x-a\",\"value\":\"given\"},{\"name\":\"X-N\",\"value\":7}]}",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(bodies); i++) {
        Rig r;
        rig_open(&r, HEADERS_FROM, NULL);
        expect(&r, PHASE_PART, 0, 200, NULL, bodies[i], VERDICT_MORE);
        g_autoptr(Request) rq = ask(&r, PHASE_PART, 0);
        g_assert_cmpuint(rq->headers->len, ==, 3);
        g_assert_cmpstr(rq->headers->pdata[0], ==, "x-a: given");
        g_assert_cmpstr(rq->headers->pdata[1], ==, "X-N: 7");
        g_assert_cmpstr(rq->headers->pdata[2], ==, "X-B: b");
        rig_clear(&r);
    }
}

static void test_hostile_headers(void)
{
    static const char *const bodies[] = {
        "{\"url\":\"https://s.example/k\",\"h\":{\"X\":\"a\\r\\nEvil: 1\"}}",
        "{\"url\":\"https://s.example/k\",\"h\":{\"X\\r\\nEvil\":\"1\"}}",
        "{\"url\":\"https://s.example/k\",\"h\":{\"X\":\"a\\u0000b\"}}",
        "{\"url\":\"https://s.example/k\",\"h\":{\"X\":[1]}}",
        "{\"url\":\"https://s.example/k\",\"h\":[{\"name\":\"X\"}]}",
        "{\"url\":\"https://s.example/k\",\"h\":\"X: 1\"}",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(bodies); i++) {
        Rig r;
        rig_open(&r, HEADERS_FROM, NULL);
        expect_fault(&r, PHASE_PART, 200, bodies[i], VERDICT_FAIL, FAULT_BAD_ANSWER, NULL);
        g_assert_null(r.up->grant);
        rig_clear(&r);
    }
}

static void test_sign_in(void)
{
    static const char text[] =
        "{" APP GRANT PUT
        ",\"notify\":[{\"method\":\"POST\",\"url\":\"{{base}}/done\"},{\"method\":\"POST\",\"url\":\"https://other.example/\"}]}";
    static const char *const options[] = { "sign-in", "bearer\ncookie\nheader:X-Own", NULL };
    Rig r;
    rig_open(&r, text, options);
    const char *const *names = dest_broker.more_secrets(r.ctx.priv);
    g_assert_true(g_strv_contains(names, "token") && g_strv_contains(names, "cookie") && g_strv_contains(names, "x-own"));
    g_autoptr(Request) grant = ask(&r, PHASE_PART, 0);
    g_assert_true(has_text(grant, "Authorization: Bearer SECRETTOKEN") && has_text(grant, "Cookie: SECRETCOOKIE") &&
                  has_text(grant, "X-Own: SECRETOWN"));
    expect(&r, PHASE_PART, 0, 200, NULL, "{\"url\":\"https://app.example.com/store?X-Amz-Signature=1\"}", VERDICT_MORE);
    g_autoptr(Request) put = ask(&r, PHASE_PART, 0);
    g_assert_false(has_text(put, "SECRET")); /* even a store on the application's own host */
    expect(&r, PHASE_PART, 0, 200, NULL, NULL, VERDICT_OK);
    g_autoptr(Request) own = ask(&r, PHASE_NOTIFY, 0);
    g_assert_true(has_text(own, "Bearer SECRETTOKEN"));
    g_assert_false(has_text(own, "Signature"));
    expect(&r, PHASE_NOTIFY, 0, 200, NULL, NULL, VERDICT_MORE);
    g_autoptr(Request) other = ask(&r, PHASE_NOTIFY, 0);
    g_assert_cmpstr(other->url, ==, "https://other.example/");
    g_assert_false(has_text(other, "SECRET"));
    expect(&r, PHASE_NOTIFY, 0, 200, NULL, NULL, VERDICT_OK);
    rig_clear(&r);
}

static void test_secrets_stay_at_home(void)
{
    static const char text[] =
        "{" APP GRANT PUT ",\"notify\":{\"url\":\"https://other.example/\",\"headers\":{\"X\":\"{{secret.token}}\"}}}";
    static const char *const options[] = { "sign-in", "csrf", NULL };
    g_autoptr(GError) error = NULL, missing = NULL;
    Request *rq = NULL;
    Rig r;
    rig_open(&r, text, NULL);
    g_assert_false(dest_broker.step[PHASE_NOTIFY].ask(&r.ctx, r.up, 0, &rq, &error));
    g_assert_error(error, FAULT, FAULT_CONFIG);
    rig_clear(&r);
    rig_open(&r, PLAIN, options);
    g_assert_false(dest_broker.step[PHASE_PART].ask(&r.ctx, r.up, 0, &rq, &missing));
    g_assert_error(missing, FAULT, FAULT_SIGN_IN);
    rig_clear(&r);
}

static void test_form_fields(void)
{
    static const char text[] =
        "{" APP "\"grant\":{\"url\":\"{{base}}/f\",\"extract\":{\"url\":\"/url\",\"folder\":{\"pointer\":\"/folder\",\"optional\":true}}},"
        "\"upload\":{\"kind\":\"form\",\"url\":\"{{grant.url}}\",\"fields_from\":\"/"
        "fields\",\"fields\":{\"extra\":\"{{file.size}}\",\"folder\":"
        "\"{{grant.folder}}\"},\"file_field\":\"upload\"}}";
    Rig r;
    rig_open(&r, text, NULL);
    expect_fault(&r, PHASE_PART, 200, "{\"url\":\"https://s.example/\"}", VERDICT_FAIL, FAULT_BAD_ANSWER, "/fields");
    expect(&r, PHASE_PART, 0, 200, NULL, "{\"url\":\"https://s.example/\",\"fields\":{\"Content-Type\":\"image/x\",\"key\":\"k\"}}",
           VERDICT_MORE);
    g_autoptr(Request) rq = ask(&r, PHASE_PART, 0);
    g_autofree char *body = body_of(rq);
    g_assert_cmpstr(rq->method, ==, "POST");
    g_assert_cmpuint(rq->n_spans, ==, 3);
    const char *type = strstr(body, "image/x"), *key = strstr(body, "\"key\""), *extra = strstr(body, "\"extra\""),
               *file = strstr(body, "name=\"upload\"; filename=\"pic 1.jpg\"");
    g_assert_true(type != NULL && type < key && key < extra && extra < file);
    g_assert_null(strstr(body, "folder"));
    g_assert_nonnull(strstr(file, "Content-Type: image/x"));
    rig_clear(&r);
}

static void test_without_grant(void)
{
    static const char text[] = "{\"schema\":\"hoist-broker-1\",\"vars\":{\"up\":\"https://"
                               "s.example\"},\"upload\":{\"kind\":\"put\",\"url\":\"{{up}}/{{file.path|path}}\","
                               "\"headers\":{\"Content-Type\":\"{{file.type}}\"}}}";
    Rig r;
    rig_open(&r, text, NULL);
    g_autoptr(Request) rq = ask(&r, PHASE_PART, 0);
    g_assert_cmpstr(rq->url, ==, "https://s.example/a/pic%201.jpg");
    expect_fault(&r, PHASE_PART, 403, "", VERDICT_FAIL, FAULT_GRANT, "403");
    expect(&r, PHASE_PART, 0, 201, NULL, NULL, VERDICT_OK);
    rig_clear(&r);
}

/* ---- proof */

static void test_proof(void)
{
    static const struct {
        const char *headers;
        Verdict verdict;
        Verified verified;
    } rows[] = {
        { "etag: \"5d41402abc4b2a76b9719d911017c592\"", VERDICT_OK, VERIFIED_ETAG },
        { "etag: 5D41402ABC4B2A76B9719D911017C592", VERDICT_OK, VERIFIED_ETAG },
        { "etag: \"00000000000000000000000000000000\"", VERDICT_OK, VERIFIED_NOT },
        { "etag: \"5d41402abc4b2a76b9719d911017c592-1\"", VERDICT_OK, VERIFIED_NOT },
        { "content-md5: XUFAKrxLKna5cZ2REBfFkg==", VERDICT_OK, VERIFIED_CHECKSUM },
        { "x-amz-checksum-sha256: LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=", VERDICT_OK, VERIFIED_CHECKSUM },
        { "x-amz-checksum-sha256: AAAAul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=", VERDICT_RETRY, VERIFIED_NOT },
        { NULL, VERDICT_OK, VERIFIED_NOT },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Rig r;
        rig_open(&r, PLAIN, NULL);
        g_assert_cmphex(dest_broker.digests(&r.ctx, r.up), ==, DIGEST_BIT(DIGEST_MD5));
        put_digest(&r);
        expect(&r, PHASE_PART, 0, 200, NULL, "{\"url\":\"https://s.example/k\"}", VERDICT_MORE);
        expect(&r, PHASE_PART, 0, 200, rows[i].headers, NULL, rows[i].verdict);
        g_assert_cmpint(r.up->verified, ==, rows[i].verified);
        if (rows[i].verdict == VERDICT_OK) /* what proves nothing is not computed again */
            g_assert_cmphex(dest_broker.digests(&r.ctx, r.up), ==, rows[i].verified == VERIFIED_NOT ? 0 : DIGEST_BIT(DIGEST_MD5));
        rig_clear(&r);
    }
}

/* ---- after and notify */

#define LFS                                                                                                                                \
    "{" APP "\"grant\":{\"method\":\"POST\",\"url\":\"{{base}}/batch\",\"extract\":{\"url\":{\"pointer\":\"/"                              \
    "up\",\"optional\":true},\"verify\":{\"pointer\":"                                                                                     \
    "\"/verify\",\"optional\":true},\"n\":{\"pointer\":\"/n\",\"optional\":true}}}," PUT                                                   \
    ",\"notify\":[{\"method\":\"POST\",\"url\":\"{{grant.verify}}\",\"json\":{\"n\":"                                                      \
    "\"{{grant.n}}\"}},{\"method\":\"POST\",\"url\":\"{{base}}/"                                                                           \
    "done\",\"json\":{\"size\":\"{{file.size}}\",\"etag\":\"{{upload.etag}}\"}}]}"

static void test_already_there(void)
{
    Rig r;
    rig_open(&r, LFS, NULL);
    expect(&r, PHASE_PART, 0, 200, NULL, "{}", VERDICT_OK);
    g_assert_nonnull(r.up->note);
    g_assert_false(r.up->notify);
    rig_clear(&r);
}

/* A stored file, then a restart: another Upload, with the memo alone. */
static void test_notify_after_restart(void)
{
    Rig r;
    rig_open(&r, LFS, NULL);
    g_assert_true(r.up->notify);
    expect(&r, PHASE_PART, 0, 200, NULL, "{\"up\":\"https://s.example/k?sig=SECRETSIG\",\"verify\":\"https://app.example.com/v\",\"n\":7}",
           VERDICT_MORE);
    expect(&r, PHASE_PART, 0, 200, "etag: \"e1\"", NULL, VERDICT_OK);
    g_assert_null(strstr(r.up->memo, "SECRETSIG"));
    g_autofree char *memo = g_strdup(r.up->memo);
    plan(&r, 1000);
    r.up->memo = g_steal_pointer(&memo);
    g_autoptr(Request) verify = ask(&r, PHASE_NOTIFY, 0);
    g_autofree char *said = body_of(verify);
    g_assert_cmpstr(verify->url, ==, "https://app.example.com/v");
    g_assert_cmpstr(said, ==, "{\"n\":7}");
    expect(&r, PHASE_NOTIFY, 0, 200, NULL, NULL, VERDICT_MORE);
    g_autoptr(Request) done = ask(&r, PHASE_NOTIFY, 0);
    g_autofree char *told = body_of(done);
    g_assert_cmpstr(told, ==, "{\"size\":1000,\"etag\":\"\\\"e1\\\"\"}");
    expect(&r, PHASE_NOTIFY, 0, 200, NULL, NULL, VERDICT_OK);
    rig_clear(&r);
}

static void test_notify_is_left_out(void)
{
    Rig r;
    rig_open(&r, LFS, NULL);
    expect(&r, PHASE_PART, 0, 200, NULL, "{\"up\":\"https://s.example/k\"}", VERDICT_MORE);
    expect(&r, PHASE_PART, 0, 200, "etag: e", NULL, VERDICT_OK);
    g_autoptr(Request) done = ask(&r, PHASE_NOTIFY, 0);
    g_assert_cmpstr(done->url, ==, "https://app.example.com/done");
    expect(&r, PHASE_NOTIFY, 0, 204, NULL, NULL, VERDICT_OK);
    rig_clear(&r);
}

/* Whatever the application says, the upload is not repeated. */
static void test_notify_refused(void)
{
    static const struct {
        int status;
        Verdict verdict;
    } rows[] = { { 400, VERDICT_FAIL },  { 401, VERDICT_FAIL },  { 404, VERDICT_FAIL },  { 302, VERDICT_FAIL },
                 { 409, VERDICT_RETRY }, { 429, VERDICT_RETRY }, { 500, VERDICT_RETRY }, { 503, VERDICT_RETRY } };
    Rig r;
    rig_open(&r, "{" APP GRANT PUT ",\"notify\":{\"method\":\"POST\",\"url\":\"{{base}}/done\"}}", NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        expect_fault(&r, PHASE_NOTIFY, rows[i].status, "{\"message\":\"busy\"}", rows[i].verdict, FAULT_NOT_ANNOUNCED,
                     "stored, but the application was not told");
    rig_clear(&r);
}

static void test_after(void)
{
    static const char text[] =
        "{" APP GRANT PUT ",\"after\":{\"key\":\"/Key\",\"where\":{\"xml\":\"Location\",\"optional\":true}},\"result\":{\"url\":\"{{base}}/"
        "{{answer.key|path}}\",\"key\":"
        "\"{{answer.key}}\"}}";
    Rig r;
    rig_open(&r, text, NULL);
    expect(&r, PHASE_PART, 0, 200, NULL, "{\"url\":\"https://s.example/k\"}", VERDICT_MORE);
    expect_fault(&r, PHASE_PART, 200, "<html>", VERDICT_FAIL, FAULT_BAD_ANSWER, "stored, but");
    expect_fault(&r, PHASE_PART, 200, "{}", VERDICT_FAIL, FAULT_BAD_ANSWER, "\"/Key\"");
    expect(&r, PHASE_PART, 0, 200, NULL, "{\"Key\":\"b/pic 1.jpg\"}", VERDICT_OK);
    g_assert_cmpstr(r.up->url, ==, "https://app.example.com/b/pic%201.jpg");
    g_assert_cmpstr(r.up->stored_key, ==, "b/pic 1.jpg");
    rig_clear(&r);
}

static void test_limits(void)
{
    static const char text[] =
        "{" APP GRANT "\"upload\":{\"kind\":\"put\",\"url\":\"{{grant.url}}\",\"max_size\":1000,\"types\":[\"image/*\",\"text/plain\"]}}";
    static const struct {
        const char *type;
        uint64_t bytes;
        FaultCode fault;
    } rows[] = { { "image/png", 1000, FAULT_NONE },
                 { "text/plain", 5, FAULT_NONE },
                 { "image/png", 1001, FAULT_TOO_LARGE },
                 { "text/html", 5, FAULT_REFUSED },
                 { NULL, 5, FAULT_REFUSED } };
    Rig r;
    rig_open(&r, text, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Upload) up = upload_of(rows[i].bytes);
        upload_set(&up->content_type, rows[i].type);
        g_assert_cmpint(dest_broker.plan(&r.ctx, up, 0, &error), ==, rows[i].fault == FAULT_NONE);
        g_assert_cmpint(fault_code(error), ==, rows[i].fault);
    }
    rig_clear(&r);
}

/* ---- signed parts */

#define MIB (UINT64_C(1) << 20)

static void companion(Rig *r)
{
    static const char *const options[] = { "broker", "uppy-companion", "var", "companion=https://c.example", "parts-from", "8MiB", NULL };
    rig_open(r, PLAIN, options);
    plan(r, 20 * MIB);
    g_assert_true(r->up->multipart);
    g_assert_cmpuint(r->up->n_parts, ==, 3);
}

static void create(Rig *r)
{
    g_autoptr(Request) rq = ask(r, PHASE_OPEN, 0);
    g_autofree char *body = body_of(rq);
    g_assert_cmpstr(rq->url, ==, "https://c.example/s3/multipart");
    g_assert_cmpstr(body, ==, "{\"filename\":\"pic 1.jpg\",\"type\":\"image/jpeg\",\"metadata\":{\"name\":\"pic 1.jpg\"}}");
    expect(r, PHASE_OPEN, 0, 200, NULL, "{\"key\":\"k/1 a\",\"uploadId\":\"i/d\",\"bucket\":\"b\"}", VERDICT_OK);
    g_assert_cmpstr(r->up->upload_id, ==, "i/d");
}

static void sign_and_put(Rig *r, unsigned part, const char *etag)
{
    g_autofree char *url = g_strdup_printf("https://c.example/s3/multipart/i%%2Fd/%u?key=k%%2F1%%20a", part + 1),
                    *header = g_strdup_printf("etag: %s", etag);
    g_autoptr(Request) sign = ask(r, PHASE_PART, part);
    g_assert_cmpstr(sign->method, ==, "GET");
    g_assert_cmpstr(sign->url, ==, url);
    expect(r, PHASE_PART, part, 200, NULL, "{\"url\":\"https://s.example/k?X-Amz-Signature=1\",\"expires\":300}", VERDICT_MORE);
    g_autoptr(Request) put = ask(r, PHASE_PART, part);
    g_assert_cmpstr(put->method, ==, "PUT");
    g_assert_cmpuint(put->headers->len, ==, 0);
    g_assert_cmpuint(put->spans[0].offset, ==, part * 8 * MIB);
    expect(r, PHASE_PART, part, 200, header, NULL, VERDICT_OK);
    g_assert_null(r->up->parts[part].handle);
}

static void test_parts(void)
{
    Rig r;
    companion(&r);
    create(&r);
    for (unsigned i = 0; i < 3; i++)
        sign_and_put(&r, i, "\"e\"");
    g_autoptr(Request) complete = ask(&r, PHASE_CLOSE, 0);
    g_autofree char *body = body_of(complete);
    g_assert_cmpstr(complete->url, ==, "https://c.example/s3/multipart/i%2Fd/complete?key=k%2F1%20a");
    g_assert_cmpstr(body, ==,
                    "{\"parts\":[{\"PartNumber\":1,\"ETag\":\"\\\"e\\\"\"},{\"PartNumber\":2,\"ETag\":\"\\\"e\\\"\"},{\"PartNumber\":3,"
                    "\"ETag\":\"\\\"e\\\"\"}]}");
    g_assert_true(complete->slow_answer);
    expect(&r, PHASE_CLOSE, 0, 200, NULL, "{\"location\":\"https://s.example/k\",\"key\":\"k/1 a\"}", VERDICT_OK);
    g_assert_cmpstr(r.up->url, ==, "https://s.example/k");
    g_assert_cmpstr(r.up->stored_key, ==, "k/1 a");
    g_autoptr(Request) verify = ask(&r, PHASE_VERIFY, 0);
    g_assert_null(verify); /* complete was answered */
    rig_clear(&r);
}

/* After a restart: the id and the memo are there. */
static void test_parts_resumed(void)
{
    Rig r;
    companion(&r);
    create(&r);
    g_autofree char *memo = g_strdup(r.up->memo);
    plan(&r, 20 * MIB);
    r.up->upload_id = g_strdup("i/d");
    r.up->memo = g_steal_pointer(&memo);
    r.up->parts[2].done = true; /* the store knows better */
    g_autoptr(Request) list = ask(&r, PHASE_RESUME, 0);
    g_assert_cmpstr(list->url, ==, "https://c.example/s3/multipart/i%2Fd?key=k%2F1%20a");
    expect(&r, PHASE_RESUME, 0, 200, NULL,
           "[{\"PartNumber\":1,\"ETag\":\"\\\"a\\\"\",\"Size\":8388608},{\"PartNumber\":2,\"ETag\":\"\\\"b\\\"\",\"Size\":17},{"
           "\"PartNumber\":99,\"ETag\":\"x\",\"Size\":1},{}]",
           VERDICT_OK);
    g_assert_true(r.up->parts[0].done && !r.up->parts[1].done && !r.up->parts[2].done);
    g_assert_cmpstr(r.up->parts[0].etag, ==, "\"a\"");
    sign_and_put(&r, 1, "\"b\"");
    rig_clear(&r);
}

static void test_part_renewed_once(void)
{
    static const char denied[] = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";
    static const char answer[] = "{\"url\":\"https://s.example/k?X-Amz-Date=20260115T093000Z&X-Amz-Expires=300\"}";
    Rig r;
    companion(&r);
    create(&r);
    expect(&r, PHASE_PART, 1, 200, NULL, answer, VERDICT_MORE);
    expect(&r, PHASE_PART, 1, 403, NULL, denied, VERDICT_AGAIN);
    g_autoptr(Request) again = ask(&r, PHASE_PART, 1);
    g_assert_true(g_str_has_prefix(again->url, "https://c.example/"));
    expect(&r, PHASE_PART, 1, 200, NULL, answer, VERDICT_MORE);
    g_autoptr(Request) put = ask(&r, PHASE_PART, 1);
    g_assert_true(g_str_has_prefix(put->url, "https://s.example/"));
    expect(&r, PHASE_PART, 1, 403, NULL, denied, VERDICT_FAIL);
    expect(&r, PHASE_PART, 2, 200, NULL, answer, VERDICT_MORE); /* its own count */
    r.ctx.now_s = NOW_S + 280;                                  /* just in time */
    g_autoptr(Request) fresh = ask(&r, PHASE_PART, 2);
    g_assert_true(g_str_has_prefix(fresh->url, "https://c.example/"));
    rig_clear(&r);
}

static void test_parts_gone(void)
{
    static const char page[] = "<!DOCTYPE html><html><body><pre>NoSuchUpload: The specified upload does not exist.</pre></body></html>";
    static const Phase phases[] = { PHASE_RESUME, PHASE_PART, PHASE_CLOSE };
    for (unsigned i = 0; i < G_N_ELEMENTS(phases); i++) {
        Rig r;
        companion(&r);
        create(&r);
        expect_fault(&r, phases[i], 500, page, VERDICT_RESTART, FAULT_UPLOAD_GONE, "NoSuchUpload");
        expect(&r, phases[i], 0, 500, NULL, "oops", VERDICT_RETRY);
        rig_clear(&r);
    }
    Rig r;
    companion(&r);
    create(&r);
    expect(&r, PHASE_ABORT, 0, 500, NULL, page, VERDICT_OK);
    expect(&r, PHASE_VERIFY, 0, 500, NULL, page, VERDICT_RESTART); /* complete is said once more */
    expect(&r, PHASE_VERIFY, 0, 200, NULL, "[]", VERDICT_RESTART);
    expect(&r, PHASE_VERIFY, 0, 502, NULL, "", VERDICT_RETRY);
    rig_clear(&r);
}

static void test_empty_checksum_trap(void)
{
    Rig r;
    companion(&r);
    create(&r);
    expect(&r, PHASE_PART, 0, 200, NULL,
           "{\"url\":\"https://s.example/k?x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32\"}", VERDICT_MORE);
    expect_fault(&r, PHASE_PART, 400, "<Error><Code>BadDigest</Code></Error>", VERDICT_FAIL, FAULT_REFUSED,
                 "AWS_REQUEST_CHECKSUM_CALCULATION=WHEN_REQUIRED");
    rig_clear(&r);
}

/* One to be aborted comes without a plan. */
static void test_abort_without_plan(void)
{
    Rig r;
    companion(&r);
    create(&r);
    g_autofree char *memo = g_strdup(r.up->memo);
    upload_free(r.up);
    r.up = upload_new("a/pic 1.jpg", 0, 0);
    r.up->upload_id = g_strdup("i/d");
    r.up->memo = g_steal_pointer(&memo);
    g_autoptr(Request) abort_rq = ask(&r, PHASE_ABORT, 0);
    g_assert_cmpstr(abort_rq->method, ==, "DELETE");
    g_assert_cmpstr(abort_rq->url, ==, "https://c.example/s3/multipart/i%2Fd?key=k%2F1%20a");
    rig_clear(&r);
}

static void test_part_urls(void)
{
    static const char text[] = "{" APP "\"upload\":{\"kind\":\"multipart\",\"part_size\":8388608},\"multipart\":{\"create\":{\"method\":"
                               "\"POST\",\"url\":\"{{base}}/c\",\"extract\":{\"id\":\"/id\"}},"
                               "\"part_urls\":\"/urls\",\"complete\":{\"method\":\"POST\",\"url\":\"{{base}}/d/"
                               "{{mp.id}}\",\"json\":\"{{parts}}\"},\"part_names\":[\"n\",\"e\"]}}";
    static const char *const bodies[] = { "{\"id\":5,\"urls\":[\"https://s.example/1\",\"https://s.example/2\"]}",
                                          "{\"id\":5,\"urls\":{\"2\":\"https://s.example/2\",\"1\":\"https://s.example/1\"}}" };
    for (unsigned i = 0; i < G_N_ELEMENTS(bodies); i++) {
        Rig r;
        rig_open(&r, text, NULL);
        plan(&r, 10 * MIB);
        expect_fault(&r, PHASE_OPEN, 200, "{\"id\":5,\"urls\":[\"https://s.example/1\"]}", VERDICT_FAIL, FAULT_BAD_ANSWER, "part 2");
        expect(&r, PHASE_OPEN, 0, 200, NULL, bodies[i], VERDICT_OK);
        g_autoptr(Request) put = ask(&r, PHASE_PART, 1);
        g_assert_cmpstr(put->url, ==, "https://s.example/2");
        expect(&r, PHASE_PART, 0, 200, "etag: a", NULL, VERDICT_OK);
        expect(&r, PHASE_PART, 1, 200, "etag: b", NULL, VERDICT_OK);
        g_autoptr(Request) complete = ask(&r, PHASE_CLOSE, 0);
        g_autofree char *body = body_of(complete);
        g_assert_cmpstr(body, ==, "[{\"n\":1,\"e\":\"a\"},{\"n\":2,\"e\":\"b\"}]");
        plan(&r, 10 * MIB); /* after a restart they are lost */
        g_autoptr(GError) error = NULL;
        Request *none = NULL;
        g_assert_false(dest_broker.step[PHASE_PART].ask(&r.ctx, r.up, 0, &none, &error));
        g_assert_error(error, FAULT, FAULT_UPLOAD_GONE);
        rig_clear(&r);
    }
}

/* ---- roads behind a grant */

static void test_temporary_keys(void)
{
    static const char *const options[] = { "broker", "uppy-companion-sts", "var",
                                           "companion=https://c.example\nendpoint=http://127.0.0.1:9000", NULL };
    static const char keys[] = "{\"credentials\":{\"AccessKeyId\":\"AKIAEXAMPLE\",\"SecretAccessKey\":\"SECRETKEY\",\"SessionToken\":"
                               "\"SESSION\",\"Expiration\":\"2026-01-15T10:30:00Z\"},"
                               "\"bucket\":\"b\",\"region\":\"eu-west-1\"}";
    Rig r;
    rig_open(&r, PLAIN, options);
    g_assert_cmphex(dest_broker.digests(&r.ctx, r.up) & DIGEST_BIT(DIGEST_SHA256), !=, 0); /* without TLS, before the keys are there */
    plan(&r, 40 * MIB);
    g_autoptr(Request) sts = ask(&r, PHASE_OPEN, 0);
    g_assert_cmpstr(sts->url, ==, "https://c.example/s3/sts");
    expect(&r, PHASE_OPEN, 0, 200, NULL, keys, VERDICT_MORE);
    g_autoptr(Request) open = ask(&r, PHASE_OPEN, 0);
    g_assert_cmpstr(open->url, ==, "http://127.0.0.1:9000/b/a/pic%201.jpg?uploads=");
    g_assert_true(has_text(open, "x-amz-security-token: SESSION") && has_text(open, "/eu-west-1/s3/"));
    expect(&r, PHASE_OPEN, 0, 200, NULL, "<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>",
           VERDICT_OK);
    r.ctx.now_s = 1768473000 - 60; /* they end soon: each request that would go asks first, and hears its own answer */
    g_autoptr(Request) one = ask(&r, PHASE_PART, 0), two = ask(&r, PHASE_PART, 1);
    g_assert_cmpstr(one->url, ==, sts->url);
    g_assert_cmpstr(two->url, ==, sts->url);
    r.ctx.now_s = NOW_S;
    expect(&r, PHASE_PART, 0, 200, NULL, keys, VERDICT_MORE);
    expect(&r, PHASE_PART, 1, 200, NULL, keys, VERDICT_MORE);
    g_assert_false(r.up->parts[1].done);
    g_assert_true(r.up->memo == NULL || strstr(r.up->memo, "SECRETKEY") == NULL);
    rig_clear(&r);
}

static void test_tus_created_by_the_application(void)
{
    static const char *const options[] = { "broker", "tus-created", "var", "base=https://app.example.com", NULL };
    Rig r;
    rig_open(&r, PLAIN, options);
    g_autoptr(Request) grant = ask(&r, PHASE_OPEN, 0);
    g_assert_cmpstr(grant->url, ==, "https://app.example.com/videos");
    expect(&r, PHASE_OPEN, 0, 201, "location: /files/24e5?key=1\nstream-media-id: m7", NULL, VERDICT_OK);
    g_assert_cmpstr(r.up->upload_id, ==, "https://app.example.com/files/24e5?key=1");
    g_autoptr(Request) patch = ask(&r, PHASE_PART, 0);
    g_assert_cmpstr(patch->method, ==, "PATCH");
    g_assert_cmpstr(patch->url, ==, r.up->upload_id);
    g_autofree char *memo = g_strdup(r.up->memo), *id = g_strdup(r.up->upload_id);
    plan(&r, 1000); /* after a restart */
    r.up->memo = g_steal_pointer(&memo);
    r.up->upload_id = g_steal_pointer(&id);
    g_autoptr(Request) head = ask(&r, PHASE_RESUME, 0);
    g_assert_cmpstr(head->method, ==, "HEAD");
    expect(&r, PHASE_RESUME, 0, 200, "tus-resumable: 1.0.0\nupload-offset: 600\nupload-length: 1000", NULL, VERDICT_OK);
    expect(&r, PHASE_PART, 0, 204, "tus-resumable: 1.0.0\nupload-offset: 1000", NULL, VERDICT_OK);
    g_assert_cmpstr(r.up->url, ==, "https://app.example.com/files/24e5");
    g_assert_cmpstr(r.up->stored_key, ==, "m7");
    rig_clear(&r);
}

static void test_session(void)
{
    static const char *const options[] = { "broker", "gcs-session", "var", "base=https://app.example.com", NULL };
    Rig r;
    rig_open(&r, PLAIN, options);
    g_autoptr(Request) grant = ask(&r, PHASE_OPEN, 0);
    g_assert_true(g_str_has_prefix(grant->url, "https://app.example.com/"));
    expect(&r, PHASE_OPEN, 0, 200, NULL, "{\"url\":\"https://storage.googleapis.com/b/o?X-Goog-Signature=00\"}", VERDICT_MORE);
    g_autoptr(Request) start = ask(&r, PHASE_OPEN, 0);
    g_assert_true(has_text(start, "x-goog-resumable: start") && has_text(start, "X-Goog-Signature"));
    expect(&r, PHASE_OPEN, 0, 201, "location: https://storage.googleapis.com/b/o?upload_id=u", NULL, VERDICT_OK);
    grant_drop(r.up);
    g_autoptr(Request) part = ask(&r, PHASE_PART, 0); /* needs no grant any more */
    g_assert_true(has_text(part, "upload_id=u"));
    rig_clear(&r);
}

/* ---- damage */

static char *damaged(GRand *rand, const char *text)
{
    GString *out = g_string_new(text);
    const gint32 n = g_rand_int_range(rand, 1, 4);
    for (gint32 i = 0; i < n && out->len > 2; i++) {
        const gint32 at = g_rand_int_range(rand, 0, (gint32)out->len - 1);
        switch (g_rand_int_range(rand, 0, 4)) {
        case 0:
            out->str[at] = (char)g_rand_int_range(rand, 1, 256);
            break;
        case 1:
            g_string_erase(out, at, g_rand_int_range(rand, 1, MIN(20, (gint32)out->len - at) + 1));
            break;
        case 2:
            g_string_insert(out, at, g_rand_boolean(rand) ? "{{grant." : "\"}},[null,{\"");
            break;
        default:
            g_string_insert_len(out, at, text, MIN((gssize)strlen(text), 30));
            break;
        }
    }
    return g_string_free(out, FALSE);
}

static void drive(Rig *r, GRand *rand)
{
    static const char *const answers[] = {
        "{\"url\":\"https://s.example/"
        "k?X-Amz-Date=20260115T093000Z&X-Amz-Expires=60\",\"fields\":{\"policy\":\"eyJleHBpcmF0aW9uIjoiMjAyNiJ9\",\"key\":\"k\"},"
        "\"expires\":300}",
        "{\"key\":\"k\",\"uploadId\":\"id\",\"url\":\"https://s.example/\",\"location\":\"https://s.example/k\"}",
        "[{\"PartNumber\":1,\"ETag\":\"a\",\"Size\":8388608},{\"PartNumber\":2,\"ETag\":\"b\",\"Size\":1}]",
        "<Error><Code>AccessDenied</Code><Message>expired</Message></Error>",
    };
    static const Phase phases[] = {
        PHASE_OPEN, PHASE_PART, PHASE_PART, PHASE_RESUME, PHASE_CLOSE, PHASE_VERIFY, PHASE_NOTIFY, PHASE_ABORT
    };
    static const int statuses[] = { 200, 200, 201, 403, 500 };
    for (unsigned i = 0; i < G_N_ELEMENTS(phases); i++) {
        g_autoptr(GError) error = NULL, why = NULL;
        g_autoptr(Request) rq = NULL;
        g_autofree char *body = damaged(rand, answers[g_rand_int_range(rand, 0, G_N_ELEMENTS(answers))]);
        const bool asked = dest_broker.step[phases[i]].ask(&r->ctx, r->up, 0, &rq, &error);
        g_assert_cmpint(asked, ==, error == NULL);
        if (!asked || rq == NULL)
            continue;
        const Verdict verdict = give(r, phases[i], 0, statuses[g_rand_int_range(rand, 0, G_N_ELEMENTS(statuses))], "etag: e", body, &why);
        g_assert_cmpint(verdict == VERDICT_OK || verdict == VERDICT_MORE, ==, why == NULL);
    }
}

/* Damaged descriptions and answers: refused or not, every verdict but success has a cause, and nothing breaks. */
static void test_damage(void)
{
    static const char *const descriptions[] = { "uppy-companion", "git-lfs",          "uppy-companion-sts",
                                                "tus-created",    "azure-sas-blocks", "cloudinary-chunks" };
    g_autoptr(GRand) rand = g_rand_new_with_seed(20260115);
    for (unsigned i = 0; i < 1200; i++) {
        g_autofree char *file = g_strconcat(descriptions[i % G_N_ELEMENTS(descriptions)], ".json", NULL), *whole = NULL;
        g_autofree char *path = g_build_filename(g_getenv("HOIST_TEST_DATA"), "..", "assets", "brokers", file, NULL);
        g_assert_true(g_file_get_contents(path, &whole, NULL, NULL));
        for (char *null; (null = strstr(whole, ": null,")) != NULL || (null = strstr(whole, ": null\n")) != NULL;)
            memcpy(null, ": \"//\"", 6); /* a variable that is set, if not well */
        g_autoptr(GString) text = g_string_new(whole);
        g_string_replace(text, "\"//\"", "\"https://app.example.com\"", 0);
        g_autofree char *bad = i % 3 == 0 ? g_strdup(text->str) : damaged(rand, text->str);
        g_autoptr(GError) error = NULL;
        Rig r = { .conf = dest_conf_new() };
        r.ctx = (DestCtx){ .ops = &dest_broker, .conf = r.conf, .learned = &r.learned, .now_s = NOW_S };
        r.ctx.priv = open_text(r.conf, bad, &error);
        g_assert_cmpint(r.ctx.priv == NULL, ==, error != NULL);
        r.up = upload_of((i % 2) * 12 * MIB + 5);
        if (r.ctx.priv != NULL && dest_broker.plan(&r.ctx, r.up, 0, NULL))
            drive(&r, rand);
        if (r.ctx.priv != NULL)
            dest_broker.close(r.ctx.priv);
        upload_free(r.up);
        dest_conf_free(r.conf);
        dest_learned_clear(&r.learned);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dest/broker/refused-descriptions", test_refused_descriptions);
    g_test_add_func("/dest/broker/options", test_options);
    g_test_add_func("/dest/broker/what-comes-with-hoist-opens", test_shipped);
    g_test_add_func("/dest/broker/templates", test_templates);
    g_test_add_func("/dest/broker/a-url-without-its-signature", test_plain_filter);
    g_test_add_func("/dest/broker/when-grants-end", test_expiry);
    g_test_add_func("/dest/broker/grants-are-renewed", test_renewal);
    g_test_add_func("/dest/broker/a-refused-grant-is-renewed-once", test_refused_once);
    g_test_add_func("/dest/broker/bad-grants", test_bad_grants);
    g_test_add_func("/dest/broker/plain-http", test_plain_http);
    g_test_add_func("/dest/broker/answers-are-bounded", test_answer_bounds);
    g_test_add_func("/dest/broker/a-refusal-with-status-200", test_refusal_in_an_answer);
    g_test_add_func("/dest/broker/headers-from-the-answer", test_headers_from);
    g_test_add_func("/dest/broker/hostile-headers", test_hostile_headers);
    g_test_add_func("/dest/broker/sign-in-goes-to-the-application-alone", test_sign_in);
    g_test_add_func("/dest/broker/secrets-go-nowhere-else", test_secrets_stay_at_home);
    g_test_add_func("/dest/broker/form-fields-in-order", test_form_fields);
    g_test_add_func("/dest/broker/without-a-grant", test_without_grant);
    g_test_add_func("/dest/broker/proof", test_proof);
    g_test_add_func("/dest/broker/already-there", test_already_there);
    g_test_add_func("/dest/broker/notify-after-a-restart", test_notify_after_restart);
    g_test_add_func("/dest/broker/a-notify-without-its-value-is-left-out", test_notify_is_left_out);
    g_test_add_func("/dest/broker/a-refused-notify-repeats-no-upload", test_notify_refused);
    g_test_add_func("/dest/broker/after", test_after);
    g_test_add_func("/dest/broker/size-and-type", test_limits);
    g_test_add_func("/dest/broker/parts", test_parts);
    g_test_add_func("/dest/broker/parts-resumed", test_parts_resumed);
    g_test_add_func("/dest/broker/a-part-is-renewed-once", test_part_renewed_once);
    g_test_add_func("/dest/broker/parts-that-are-gone", test_parts_gone);
    g_test_add_func("/dest/broker/the-checksum-of-nothing", test_empty_checksum_trap);
    g_test_add_func("/dest/broker/abort-without-a-plan", test_abort_without_plan);
    g_test_add_func("/dest/broker/all-part-urls-at-once", test_part_urls);
    g_test_add_func("/dest/broker/temporary-keys", test_temporary_keys);
    g_test_add_func("/dest/broker/tus-created-by-the-application", test_tus_created_by_the_application);
    g_test_add_func("/dest/broker/a-session-needs-its-grant-once", test_session);
    g_test_add_func("/dest/broker/damage", test_damage);
    return g_test_run();
}
