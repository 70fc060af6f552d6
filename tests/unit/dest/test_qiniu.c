/* What the Qiniu road asks for, and what answers make of an upload; no network. The tokens, signatures and etags: tests/vectors. */
#include <string.h>

#include "core/dest/dest.h"
#include "core/dest/qiniu_priv.h"

#define NOW_S  1768469400 /* 2026-01-15T09:30:00Z */
#define ACCESS "ACCESSKEYEXAMPLE"
#define SECRET "SECRETSECRETEXAMPLE"
#define MIB    (UINT64_C(1) << 20)
#define HOSTS                                                                                                                              \
    "{\"hosts\":[{\"region\":\"z0\",\"ttl\":86400,\"up\":{\"domains\":[\"upload.qiniup.com\",\"up.qiniup.com\"]},\"rs\":{\"domains\":["    \
    "\"rs-z0.qiniuapi.com\"]}}]}"

typedef struct {
    DestConf *conf;
    Credentials creds;
    DestLearned learned;
    DestCtx ctx;
    Upload *up;
    Request *rq;
    GError *error;
    const char *date; /* of answers; NULL = none */
} Fixture;

static void open_conf(Fixture *f, const char *to, const char *endpoint, const char *const *options)
{
    extern const DestOps dest_qiniu;
    *f = (Fixture){ .conf = dest_conf_new() };
    g_assert_true(dest_conf_parse(f->conf, to, NULL));
    f->conf->endpoint = g_strdup(endpoint);
    for (unsigned i = 0; options != NULL && options[i] != NULL; i += 2) {
        if (g_str_equal(options[i], "region"))
            f->conf->region = g_strdup(options[i + 1]);
        else
            g_hash_table_insert(f->conf->options, g_strdup(options[i]), g_strdup(options[i + 1]));
    }
    f->creds.secrets = g_hash_table_new(g_str_hash, g_str_equal);
    g_hash_table_insert(f->creds.secrets, (gpointer) "access-key", (gpointer)ACCESS);
    g_hash_table_insert(f->creds.secrets, (gpointer) "secret-key", (gpointer)SECRET);
    f->ctx = (DestCtx){ .ops = &dest_qiniu, .conf = f->conf, .creds = &f->creds, .learned = &f->learned, .now_s = NOW_S };
    f->ctx.priv = dest_qiniu.open(f->conf, &f->error);
}

static void setup(Fixture *f, const char *const *options)
{
    open_conf(f, "qiniu://bucket/pre", "https://up.example.com", options);
    g_assert_no_error(f->error);
}

static void clear(Fixture *f)
{
    if (f->ctx.priv != NULL)
        f->ctx.ops->close(f->ctx.priv);
    upload_free(f->up);
    request_free(f->rq);
    dest_conf_free(f->conf);
    dest_learned_clear(&f->learned);
    g_hash_table_unref(f->creds.secrets);
    g_clear_error(&f->error);
    *f = (Fixture){ 0 };
}

/* Of bytes times 'q'. Hashed once: thousands of tests want the same. */
static DigestSet *digest_of_q(unsigned kinds, uint64_t bytes)
{
    static GHashTable *known;
    if (known == NULL)
        known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autofree char *name = g_strdup_printf("%u %" G_GUINT64_FORMAT, kinds, bytes);
    DigestSet *set = g_hash_table_lookup(known, name);
    if (set == NULL) {
        g_autofree char *data = g_strnfill(bytes, 'q');
        set = g_new0(DigestSet, 1);
        digest_of(kinds, data, bytes, set);
        g_hash_table_insert(known, g_steal_pointer(&name), set);
    }
    return g_memdup2(set, sizeof *set);
}

/* bytes times 'q', planned, with the digests that are wanted. */
static void plan(Fixture *f, uint64_t bytes, uint64_t part_size)
{
    upload_free(f->up);
    f->up = upload_new("pre/a b.txt", bytes, 0);
    f->up->nonce = g_strdup("0123456789abcdef0123456789abcdef");
    f->up->name = g_strdup("a b.txt");
    f->up->content_type = g_strdup("text/plain");
    g_assert_true(f->ctx.ops->plan(&f->ctx, f->up, part_size, &f->error));
    for (unsigned i = 0; i < f->up->n_parts; i++)
        f->up->parts[i].digest = digest_of_q(f->ctx.ops->digests(&f->ctx, f->up), upload_part_bytes(f->up, i));
}

static bool ask(Fixture *f, Phase phase, unsigned part)
{
    g_clear_error(&f->error);
    g_clear_pointer(&f->rq, request_free);
    return f->ctx.ops->step[phase].ask(&f->ctx, f->up, part, &f->rq, &f->error);
}

static void asked(Fixture *f, Phase phase, unsigned part, const char *method, const char *url)
{
    const bool fine = ask(f, phase, part);
    g_assert_no_error(f->error);
    g_assert_true(fine && f->rq != NULL);
    g_assert_cmpstr(f->rq->method, ==, method);
    g_assert_cmpstr(f->rq->url, ==, url);
}

static void not_asked(Fixture *f, Phase phase, FaultCode fault)
{
    g_assert_false(ask(f, phase, 0));
    g_assert_null(f->rq);
    g_assert_cmpint(fault_code(f->error), ==, fault);
}

static const char *sent(const Fixture *f, const char *name)
{
    const size_t bytes = strlen(name);
    for (unsigned i = 0; i < f->rq->headers->len; i++) {
        const char *line = f->rq->headers->pdata[i];
        if (g_ascii_strncasecmp(line, name, bytes) == 0 && strncmp(line + bytes, ": ", 2) == 0)
            return line + bytes + 2;
    }
    return NULL;
}

static char *body(const Fixture *f)
{
    GString *text = g_string_new(NULL);
    for (unsigned i = 0; i < f->rq->n_spans; i++) {
        const Span *s = &f->rq->spans[i];
        if (s->bytes != NULL)
            g_string_append_len(text, g_bytes_get_data(s->bytes, NULL), (gssize)g_bytes_get_size(s->bytes));
        else
            g_string_append_printf(text, "<%u+%u>", (unsigned)s->offset, (unsigned)s->length);
    }
    return g_string_free(text, FALSE);
}

static Verdict answer(Fixture *f, Phase phase, unsigned part, int status, const char *text)
{
    g_clear_error(&f->error);
    g_autoptr(Response) rs = response_new();
    rs->status = status;
    response_add_header(rs, "X-Reqid", 7, "REQ7", 4);
    if (f->date != NULL)
        response_add_header(rs, "Date", 4, f->date, strlen(f->date));
    g_byte_array_append(rs->body, (const guint8 *)text, (guint)strlen(text));
    const Verdict verdict = f->ctx.ops->step[phase].read(&f->ctx, f->up, part, rs, &f->error);
    const bool quiet = verdict == VERDICT_OK || verdict == VERDICT_MORE;
    g_assert_true(quiet == (f->error == NULL));
    if (f->error != NULL)
        g_assert_null(strstr(f->error->message, SECRET));
    return verdict;
}

static void judged(Fixture *f, Phase phase, unsigned part, int status, const char *text, Verdict verdict, FaultCode fault)
{
    g_assert_cmpint(answer(f, phase, part, status, text), ==, verdict);
    g_assert_cmpint(fault_code(f->error), ==, fault);
}

static Json *policy_of(const char *token)
{
    g_autofree char *text = qiniu_token_policy(token);
    g_assert_nonnull(text);
    Json *json = json_parse(text, strlen(text), "policy", NULL);
    g_assert_nonnull(json);
    return json;
}

/* ---- configuration and plan */

static void test_open_refuses(void)
{
    static const char *const rows[][5] = {
        { "meta", "novalue", NULL },        { "meta", "a b=c", NULL },
        { "callback-var", "=1", NULL },     { "header", "X-Other: 1", NULL },
        { "header", "nocolon", NULL },      { "header", "Cache-Control: no-store", "qiniu-version", "v1", NULL },
        { "uc", "ftp://uc.example", NULL }, { "uc", "https://uc.example/path", NULL },
        { "rs", "rs.example", NULL },       { "return-body", "{}", "callback-url", "https://a.example", NULL },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Fixture f;
        open_conf(&f, "qiniu://bucket", NULL, rows[i]);
        g_assert_null(f.ctx.priv);
        g_assert_cmpint(fault_code(f.error), ==, FAULT_USAGE);
        clear(&f);
    }
    Fixture f;
    open_conf(&f, "qiniu://a b", NULL, NULL);
    g_assert_cmpint(fault_code(f.error), ==, FAULT_USAGE);
    clear(&f);
    open_conf(&f, "qiniu://bucket", "https://user@up.example", NULL);
    g_assert_cmpint(fault_code(f.error), ==, FAULT_USAGE);
    clear(&f);
}

static void test_plan(void)
{
    static const struct {
        const char *way;
        uint64_t size, wanted, part_size;
        bool multipart;
    } rows[] = {
        { "v2", 0, 0, 0, false },
        { "v2", 4 * MIB, 0, 4 * MIB, false },
        { "v2", 4 * MIB + 1, 0, 4 * MIB, true },
        { "v2", 40000 * MIB, 0, 4 * MIB, true },
        { "v2", 40000 * MIB + 1, 0, 5 * MIB, true },
        { "v2", 10 * MIB, 1 * MIB, 1 * MIB, true },
        { "v2", 10000 * 1024 * MIB, 0, 1024 * MIB, true },
        { "v1", 100 * MIB, 8 * MIB, 4 * MIB, true },
        { "v1", 4 * MIB, 0, 4 * MIB, false },
        { "form", 100 * MIB, 0, 100 * MIB, false },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *const options[] = { "qiniu-version", rows[i].way, NULL };
        Fixture f;
        setup(&f, options);
        g_autoptr(Upload) up = upload_new("k", rows[i].size, 0);
        g_assert_true(f.ctx.ops->plan(&f.ctx, up, rows[i].wanted, &f.error));
        g_assert_true(up->multipart == rows[i].multipart && up->part_size == rows[i].part_size && !up->look_first);
        clear(&f);
    }
}

static void test_plan_refuses(void)
{
    g_autofree char *long_key = g_strnfill(751, 'k');
    const struct {
        const char *way, *key;
        uint64_t size, wanted;
        FaultCode fault;
    } rows[] = {
        { "v2", "", 1, 0, FAULT_KEY },
        { "v2", long_key, 1, 0, FAULT_KEY },
        { "v2", "\xff", 1, 0, FAULT_KEY },
        { "v2", "k", 10000 * 1024 * MIB + 1, 0, FAULT_TOO_LARGE },
        { "v2", "k", 10 * MIB, MIB - 1, FAULT_USAGE },
        { "v2", "k", 10 * MIB, 1025 * MIB, FAULT_USAGE },
        { "form", "k", 1024 * MIB + 1, 0, FAULT_TOO_LARGE },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *const options[] = { "qiniu-version", rows[i].way, NULL };
        Fixture f;
        setup(&f, options);
        g_autoptr(Upload) up = upload_new(rows[i].key, rows[i].size, 0);
        g_assert_false(f.ctx.ops->plan(&f.ctx, up, rows[i].wanted, &f.error));
        g_assert_cmpint(fault_code(f.error), ==, rows[i].fault);
        clear(&f);
    }
}

/* ---- hosts */

static void test_hosts_that_are_told(void)
{
    static const struct {
        const char *endpoint, *options[5], *up, *rs, *where;
    } rows[] = {
        { "https://up-z1.qiniup.com",
          { NULL },
          "https://up-z1.qiniup.com/",
          "https://rs.qiniuapi.com/",
          "https://up-z1.qiniup.com/bucket" },
        { "http://127.0.0.1:9000/", { NULL }, "http://127.0.0.1:9000/", "http://127.0.0.1:9000/", "http://127.0.0.1:9000/bucket" },
        { "http://a.local", { "rs", "http://rs.local:81", NULL }, "http://a.local/", "http://rs.local:81/", "http://a.local/bucket" },
        { NULL, { "region", "z0", NULL }, "https://upload.qiniup.com/", "https://rs-z0.qiniuapi.com/", "https://upload.qiniup.com/bucket" },
        { NULL,
          { "region", "as0", NULL },
          "https://upload-as0.qiniup.com/",
          "https://rs-as0.qiniuapi.com/",
          "https://upload-as0.qiniup.com/bucket" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Fixture f;
        open_conf(&f, "qiniu://bucket", rows[i].endpoint, rows[i].options);
        g_assert_no_error(f.error);
        plan(&f, 10, 0);
        asked(&f, PHASE_PART, 0, "POST", rows[i].up);
        g_assert_true(ask(&f, PHASE_VERIFY, 0));
        g_assert_true(g_str_has_prefix(f.rq->url, rows[i].rs) && g_str_has_prefix(f.rq->url + strlen(rows[i].rs), "stat/"));
        g_autofree char *where = f.ctx.ops->where(&f.ctx);
        g_assert_cmpstr(where, ==, rows[i].where);
        clear(&f);
    }
}

static void test_hosts_are_asked_for(void)
{
    Fixture f;
    open_conf(&f, "qiniu://bucket", NULL, NULL);
    plan(&f, 10, 0);
    asked(&f, PHASE_PART, 0, "GET", "https://uc.qiniuapi.com/v4/query?ak=" ACCESS "&bucket=bucket");
    g_assert_null(sent(&f, "Authorization"));
    judged(&f, PHASE_PART, 0, 200, HOSTS, VERDICT_MORE, FAULT_NONE);
    asked(&f, PHASE_PART, 0, "POST", "https://upload.qiniup.com/");
    g_assert_true(f.learned.dirty);

    f.ctx.now_s += 86399; /* what was learned outlives the run, until its time is over */
    g_autofree char *text = dest_learned_to_text(&f.learned);
    dest_learned_clear(&f.learned);
    dest_learned_from_text(&f.learned, text);
    judged(&f, PHASE_PART, 0, 599, "{}", VERDICT_RETRY, FAULT_SERVER);
    asked(&f, PHASE_PART, 0, "POST", "https://up.qiniup.com/");
    f.ctx.now_s += 2;
    asked(&f, PHASE_PART, 0, "GET", "https://uc.qiniuapi.com/v4/query?ak=" ACCESS "&bucket=bucket");
    judged(&f, PHASE_PART, 0, 500, "{}", VERDICT_MORE, FAULT_NONE); /* the old ones do for a while */
    g_assert_true(ask(&f, PHASE_VERIFY, 0) && g_str_has_prefix(f.rq->url, "https://rs-z0.qiniuapi.com/stat/"));
    clear(&f);
}

static void test_hosts_cannot_be_learned(void)
{
    static const struct {
        int status;
        const char *text;
        Verdict verdict;
        FaultCode fault;
    } rows[] = {
        { 200, "no JSON", VERDICT_RETRY, FAULT_BAD_ANSWER },
        { 200, "{\"hosts\":[]}", VERDICT_RETRY, FAULT_BAD_ANSWER },
        { 200, "{\"hosts\":[{\"up\":{\"domains\":[\"a b\",\"-x\",\"x/y\",7,null]}}]}", VERDICT_RETRY, FAULT_BAD_ANSWER },
        { 631, "{\"error\":\"no such bucket\"}", VERDICT_FAIL, FAULT_NO_BUCKET },
        { 401, "{\"error\":\"bad ak\"}", VERDICT_FAIL, FAULT_UNKNOWN_KEY },
        { 502, "<html>", VERDICT_RETRY, FAULT_SERVER },
    };
    Fixture f;
    open_conf(&f, "qiniu://bucket", NULL, NULL);
    plan(&f, 10, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_assert_true(ask(&f, PHASE_PART, 0));
        g_assert_nonnull(strstr(f.rq->url, "/v4/query?"));
        judged(&f, PHASE_PART, 0, rows[i].status, rows[i].text, rows[i].verdict, rows[i].fault);
    }
    clear(&f);
    open_conf(&f, "qiniu://bucket", NULL, NULL);
    plan(&f, 10, 0);
    asked(&f, PHASE_PART, 0, "GET", "https://uc.qiniuapi.com/v4/query?ak=" ACCESS "&bucket=bucket");
    asked(&f, PHASE_PART, 0, "GET", "https://kodo-config.qiniuapi.com/v4/query?ak=" ACCESS "&bucket=bucket"); /* the first gave no answer */
    clear(&f);
}

static void test_hosts_without_answer_are_left(void)
{
    Fixture f;
    open_conf(&f, "qiniu://bucket", NULL, (const char *const[]){ "region", "z2", NULL });
    plan(&f, 10, 0);
    asked(&f, PHASE_PART, 0, "POST", "https://upload-z2.qiniup.com/");
    asked(&f, PHASE_PART, 0, "POST", "https://up-z2.qiniup.com/");
    asked(&f, PHASE_PART, 0, "POST", "https://upload-z2.qiniup.com/");
    judged(&f, PHASE_PART, 0, 400, "{\"error\":\"bad request\"}", VERDICT_FAIL, FAULT_REFUSED);
    asked(&f, PHASE_PART, 0, "POST", "https://upload-z2.qiniup.com/"); /* it did answer */
    clear(&f);
}

static void test_region(void)
{
    static const char told[] = "{\"error\":\"incorrect region, please use up-z1.qiniup.com, bucket is: bucket\"}";
    Fixture f;
    open_conf(&f, "qiniu://bucket", NULL, (const char *const[]){ "region", "z0", NULL });
    plan(&f, 10, 0);
    asked(&f, PHASE_PART, 0, "POST", "https://upload.qiniup.com/");
    judged(&f, PHASE_PART, 0, 400, told, VERDICT_AGAIN, FAULT_REGION);
    asked(&f, PHASE_PART, 0, "POST", "https://up-z1.qiniup.com/");
    judged(&f, PHASE_PART, 0, 400, told, VERDICT_FAIL, FAULT_REGION);
    judged(&f, PHASE_PART, 0, 400, "{\"error\":\"incorrect region, please use up.evil.com\"}", VERDICT_FAIL, FAULT_REGION);
    judged(&f, PHASE_PART, 0, 400, "{\"error\":\"incorrect region\"}", VERDICT_FAIL, FAULT_REGION);
    clear(&f);
}

static void test_kin(void)
{
    static const struct {
        const char *host, *known;
        bool kin;
    } rows[] = {
        { "up-z1.qiniup.com", "upload.qiniup.com", true },
        { "UP.QINIUP.COM:8080", "upload.qiniup.com", true },
        { "qiniup.com", "up.qiniup.com", true },
        { "127.0.0.1:2", "127.0.0.1:1", true },
        { "localhost:2", "localhost", true },
        { "evilqiniup.com", "up.qiniup.com", false },
        { "up.qiniup.com.evil.com", "up.qiniup.com", false },
        { "127.0.0.2", "127.0.0.1", false },
        { "10.1.0.1", "127.1.0.1", false },
        { "a.com.cn", "b.com.cn", false },
        { "x.a.com.cn", "y.a.com.cn", true },
        { "x.other.cn", "y.example.cn", false },
        { "", "up.qiniup.com", false },
        { "up.qiniup.com/x", "up.qiniup.com", false },
        { "user@up.qiniup.com", "up.qiniup.com", false },
        { "com", "up.qiniup.com", false },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        if (qiniu_host_is_kin(rows[i].host, rows[i].known) != rows[i].kin)
            g_error("%s and %s", rows[i].host, rows[i].known);
}

/* ---- tokens */

static void test_own_token(void)
{
    static const char *const options[] = { "return-body",
                                           "{\"k\":$(key)}",
                                           "if-exists",
                                           "fail",
                                           "fsize-limit",
                                           "1KiB",
                                           "file-type",
                                           "2",
                                           "mime-limit",
                                           "text/*",
                                           "detect-mime",
                                           "true",
                                           "token-life",
                                           "60",
                                           "persistent-ops",
                                           "avthumb/mp4",
                                           "delete-after-days",
                                           "7",
                                           NULL };
    Fixture f;
    setup(&f, options);
    plan(&f, 10, 0);
    g_assert_true(f.up->look_first);
    g_autoptr(QiniuPass) pass = qiniu_pass_new(&f.ctx, f.up, &f.error);
    g_assert_no_error(f.error);
    g_autoptr(Json) policy = policy_of(pass->token);
    static const struct {
        const char *pointer;
        int64_t value;
    } numbers[] = { { "/deadline", NOW_S + 60 }, { "/insertOnly", 1 }, { "/fsizeLimit", 1024 },
                    { "/fileType", 2 },          { "/detectMime", 1 }, { "/deleteAfterDays", 7 } };
    for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++) {
        int64_t value = -1;
        g_assert_true(json_int_at(policy, numbers[i].pointer, &value));
        g_assert_cmpint(value, ==, numbers[i].value);
    }
    g_assert_cmpstr(json_string_at(policy, "/scope"), ==, "bucket:pre/a b.txt");
    g_assert_cmpstr(json_string_at(policy, "/returnBody"), ==, "{\"k\":$(key)}");
    g_assert_cmpstr(json_string_at(policy, "/mimeLimit"), ==, "text/*");
    g_assert_cmpstr(json_string_at(policy, "/persistentOps"), ==, "avthumb/mp4");
    g_assert_true(pass->own_answer && g_str_has_prefix(pass->token, ACCESS ":"));
    clear(&f);
}

static void test_callback_token(void)
{
    Fixture f;
    setup(&f, (const char *const[]){ "callback-url", "https://a.example/cb;https://b.example/cb", "callback-host", "a.example", NULL });
    plan(&f, 10, 0);
    g_autoptr(QiniuPass) pass = qiniu_pass_new(&f.ctx, f.up, &f.error);
    g_autoptr(Json) policy = policy_of(pass->token);
    g_assert_cmpstr(json_string_at(policy, "/callbackUrl"), ==, "https://a.example/cb;https://b.example/cb");
    g_assert_cmpstr(json_string_at(policy, "/callbackHost"), ==, "a.example");
    g_assert_nonnull(strstr(json_string_at(policy, "/callbackBody"), "key=$(key)"));
    clear(&f);
}

static void test_no_keys(void)
{
    Fixture f;
    setup(&f, NULL);
    plan(&f, 10, 0);
    f.ctx.creds = NULL;
    not_asked(&f, PHASE_PART, FAULT_NO_CREDENTIALS);
    g_assert_true(ask(&f, PHASE_LOOK, 0) && f.rq == NULL); /* nobody may look; the token stands guard */
    clear(&f);
}

static void grant(Fixture *f, const char *policy, const char *key, const char *domain)
{
    const QiniuKeys keys = { "APPKEY", "APPSECRET" };
    grant_free(f->up->grant);
    f->up->grant = g_new0(Grant, 1);
    f->up->grant->values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_hash_table_insert(f->up->grant->values, g_strdup("token"), qiniu_upload_token(&keys, policy));
    if (key != NULL)
        g_hash_table_insert(f->up->grant->values, g_strdup("key"), g_strdup(key));
    if (domain != NULL)
        g_hash_table_insert(f->up->grant->values, g_strdup("domain"), g_strdup(domain));
}

static void test_granted_tokens_are_checked_before_anything_is_sent(void)
{
    static const struct {
        const char *policy, *key;
        FaultCode fault;
    } rows[] = {
        { "{\"scope\":\"b\",\"deadline\":1768473000}", "k", FAULT_NONE },
        { "{\"scope\":\"b:k\",\"deadline\":1768473000}", "k", FAULT_NONE },
        { "{\"scope\":\"b:k\",\"deadline\":1768473000}", NULL, FAULT_NONE },
        { "{\"scope\":\"b:x:y\",\"deadline\":1768473000}", "x:y", FAULT_NONE },
        { "{\"scope\":\"b:u/\",\"isPrefixalScope\":1,\"deadline\":1768473000}", "u/k", FAULT_NONE },
        { "{\"scope\":\"b\",\"keylimit\":[\"a\",\"k\"],\"deadline\":1768473000}", "k", FAULT_NONE },
        { "{\"scope\":\"b\",\"mimeLimit\":\"image/*;text/plain\",\"deadline\":1768473000}", "k", FAULT_NONE },
        { "{\"scope\":\"b\",\"mimeLimit\":\"image/*\",\"detectMime\":1,\"deadline\":1768473000}", "k", FAULT_NONE },
        { "{\"scope\":\"b\",\"fsizeMin\":10,\"fsizeLimit\":10,\"deadline\":1768473000}", "k", FAULT_NONE },
        { "{\"scope\":\"b:other\",\"deadline\":1768473000}", "k", FAULT_DENIED },
        { "{\"scope\":\"b:u/\",\"isPrefixalScope\":1,\"deadline\":1768473000}", "k", FAULT_DENIED },
        { "{\"scope\":\"b\",\"keylimit\":[\"a\"],\"deadline\":1768473000}", "k", FAULT_DENIED },
        { "{\"scope\":\"b\",\"deadline\":1768469400}", "k", FAULT_EXPIRED },
        { "{\"scope\":\"b\",\"deadline\":1}", "k", FAULT_EXPIRED },
        { "{\"scope\":\"b\",\"mimeLimit\":\"image/*\",\"deadline\":1768473000}", "k", FAULT_REFUSED },
        { "{\"scope\":\"b\",\"mimeLimit\":\"!text/plain\",\"deadline\":1768473000}", "k", FAULT_REFUSED },
        { "{\"scope\":\"b\",\"fsizeLimit\":9,\"deadline\":1768473000}", "k", FAULT_TOO_LARGE },
        { "{\"scope\":\"b\",\"fsizeMin\":11,\"deadline\":1768473000}", "k", FAULT_REFUSED },
        { "{\"scope\":\"b\"}", "k", FAULT_REFUSED },
        { "{\"scope\":7,\"deadline\":1768473000}", "k", FAULT_REFUSED },
        { "{\"scope\":\":k\",\"deadline\":1768473000}", "k", FAULT_REFUSED },
        { "[]", "k", FAULT_REFUSED },
        { "no JSON", "k", FAULT_REFUSED },
    };
    Fixture f;
    setup(&f, NULL);
    plan(&f, 10, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        grant(&f, rows[i].policy, rows[i].key, NULL);
        const bool fine = ask(&f, PHASE_PART, 0);
        if (fault_code(f.error) != rows[i].fault || fine != (rows[i].fault == FAULT_NONE))
            g_error("%s: %s", rows[i].policy, f.error == NULL ? "no fault" : f.error->message);
    }
    g_hash_table_remove(f.up->grant->values, "token");
    not_asked(&f, PHASE_PART, FAULT_BAD_ANSWER);
    g_hash_table_insert(f.up->grant->values, g_strdup("token"), g_strdup("no token"));
    not_asked(&f, PHASE_PART, FAULT_REFUSED);
    clear(&f);
}

static void test_granted_upload(void)
{
    Fixture f;
    setup(&f, NULL);
    f.ctx.creds = NULL;
    plan(&f, 5 * MIB, 0);
    grant(&f, "{\"scope\":\"theirs\",\"deadline\":1768473000}", NULL, "cdn.example");
    asked(&f, PHASE_OPEN, 0, "POST", "https://up.example.com/buckets/theirs/objects/~/uploads"); /* the server chooses the key */
    grant(&f, "{\"scope\":\"theirs\",\"deadline\":1768473000}", "app/1.txt", "cdn.example");
    asked(&f, PHASE_OPEN, 0, "POST", "https://up.example.com/buckets/theirs/objects/YXBwLzEudHh0/uploads");
    g_assert_true(g_str_has_prefix(sent(&f, "Authorization"), "UpToken APPKEY:"));
    judged(&f, PHASE_OPEN, 0, 401, "{\"error\":\"token out of date\"}", VERDICT_FAIL, FAULT_EXPIRED); /* the application renews it */

    plan(&f, 10, 0);
    grant(&f, "{\"scope\":\"theirs\",\"deadline\":1768473000}", "app/1.txt", "cdn.example");
    not_asked(&f, PHASE_VERIFY, FAULT_BAD_ANSWER);
    g_autofree char *etag = qiniu_expected_etag(f.up);
    g_autofree char *text = g_strdup_printf("{\"hash\":\"%s\",\"key\":\"app/1.txt\"}", etag);
    judged(&f, PHASE_PART, 0, 200, "<html>", VERDICT_RETRY, FAULT_BAD_ANSWER); /* nobody can look */
    judged(&f, PHASE_PART, 0, 614, "{\"error\":\"file exists\"}", VERDICT_FAIL, FAULT_EXISTS);
    judged(&f, PHASE_PART, 0, 200, text, VERDICT_OK, FAULT_NONE);
    g_assert_cmpstr(f.up->stored_key, ==, "app/1.txt");
    g_assert_cmpstr(f.up->url, ==, "https://cdn.example/app/1.txt");
    g_assert_true(ask(&f, PHASE_VERIFY, 0) && f.rq == NULL);
    clear(&f);
}

/* ---- the form */

static void test_form(void)
{
    static const char *const order[] = { "name=\"token\"",
                                         "name=\"key\"",
                                         "pre/a b.txt",
                                         "name=\"crc32\"",
                                         "name=\"x:user\"",
                                         "seven",
                                         "name=\"x-qn-meta-a\"",
                                         "1",
                                         "name=\"cacheControl\"",
                                         "max-age=60",
                                         "name=\"file\"",
                                         "filename=\"a b.txt\"",
                                         "text/plain",
                                         "<0+10>",
                                         NULL };
    Fixture f;
    setup(&f, (const char *const[]){ "callback-var", "user=seven", "meta", "a=1", "header", "cache-control: max-age=60", NULL });
    plan(&f, 10, 0);
    asked(&f, PHASE_PART, 0, "POST", "https://up.example.com/");
    g_autofree char *text = body(&f);
    const char *at = text;
    for (unsigned i = 0; order[i] != NULL; i++) {
        at = strstr(at, order[i]);
        if (at == NULL)
            g_error("%s is missing, or out of order:\n%s", order[i], text);
    }
    g_assert_null(strstr(at, "name="));
    g_autofree char *crc = g_strdup_printf("\r\n\r\n%u\r\n", (unsigned)crc_update(DIGEST_CRC32, 0, "qqqqqqqqqq", 10));
    g_assert_nonnull(strstr(text, crc));
    clear(&f);
}

static void test_answers_to_the_form(void)
{
    Fixture f;
    setup(&f, NULL);
    plan(&f, 10, 0);
    g_autofree char *etag = qiniu_expected_etag(f.up);
    g_autofree char *good = g_strdup_printf("{\"hash\":\"%s\",\"key\":\"pre/a b.txt\"}", etag);
    judged(&f, PHASE_PART, 0, 200, good, VERDICT_OK, FAULT_NONE);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_CHECKSUM);
    g_assert_true(g_str_has_prefix(f.up->checksum, "qetag:") && g_str_equal(f.up->etag, etag) && f.up->stored_key == NULL);

    plan(&f, 10, 0);
    judged(&f, PHASE_PART, 0, 200, "{\"hash\":\"FpLiADEaVoALPkdb8tJEJyRTXoe_\",\"key\":\"pre/a b.txt\"}", VERDICT_RETRY, FAULT_CHECKSUM);
    judged(&f, PHASE_PART, 0, 200, "", VERDICT_UNKNOWN, FAULT_BAD_ANSWER);
    judged(&f, PHASE_PART, 0, 614, "{\"error\":\"file exists\"}", VERDICT_UNKNOWN, FAULT_EXISTS);
    g_assert_true(f.up->refused_exists);
    judged(&f, PHASE_PART, 0, 200, "{\"key\":\"other\",\"persistentId\":\"z0.7\"}", VERDICT_OK, FAULT_NONE);
    g_assert_cmpstr(f.up->stored_key, ==, "other");
    g_assert_cmpint(f.up->verified, ==, VERIFIED_NOT);
    g_assert_nonnull(strstr(f.up->note, "z0.7"));

    plan(&f, 10, 0);
    judged(&f, PHASE_PART, 0, 579, "{\"error\":\"callback said 500\"}", VERDICT_OK, FAULT_NONE);
    g_assert_nonnull(strstr(f.up->note, "callback said 500"));
    g_assert_nonnull(f.up->etag);
    clear(&f);
}

static void test_answers_of_templates_prove_only_when_they_fit(void)
{
    Fixture f;
    setup(&f, (const char *const[]){ "return-body", "{}", NULL });
    plan(&f, 10, 0);
    judged(&f, PHASE_PART, 0, 200, "{\"hash\":\"d41d8cd98f00b204e9800998ecf8427e\"}", VERDICT_OK, FAULT_NONE);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_NOT);
    plan(&f, 10, 0);
    judged(&f, PHASE_PART, 0, 200, "{\"hash\":\"FpLiADEaVoALPkdb8tJEJyRTXoe_\"}", VERDICT_OK, FAULT_NONE);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_NOT);
    clear(&f);
}

static void test_refusals(void)
{
    static const struct {
        int status;
        const char *error;
        Verdict verdict;
        FaultCode fault;
    } rows[] = {
        { 400, "transfer acceleration is not configured on this bucket", VERDICT_FAIL, FAULT_ENDPOINT },
        { 400, "bad request", VERDICT_FAIL, FAULT_REFUSED },
        { 401, "bad token", VERDICT_FAIL, FAULT_SIGNATURE },
        { 401, "token out of date", VERDICT_FAIL, FAULT_CLOCK },
        { 403, "key doesn't match scope", VERDICT_FAIL, FAULT_DENIED },
        { 403, "limited mimeType: this file type is forbidden to upload", VERDICT_FAIL, FAULT_REFUSED },
        { 403, "request time is too skewed", VERDICT_FAIL, FAULT_CLOCK },
        { 403, "trial account", VERDICT_FAIL, FAULT_DENIED },
        { 404, "not found", VERDICT_FAIL, FAULT_ENDPOINT },
        { 405, "method", VERDICT_FAIL, FAULT_UNSUPPORTED },
        { 406, "crc32", VERDICT_RETRY, FAULT_CHECKSUM },
        { 413, "too large", VERDICT_FAIL, FAULT_TOO_LARGE },
        { 419, "frozen", VERDICT_FAIL, FAULT_DENIED },
        { 429, "slow", VERDICT_RETRY, FAULT_SLOW_DOWN },
        { 478, "mirror", VERDICT_FAIL, FAULT_REFUSED },
        { 500, "oops", VERDICT_RETRY, FAULT_SERVER },
        { 501, "no", VERDICT_FAIL, FAULT_UNSUPPORTED },
        { 502, "", VERDICT_RETRY, FAULT_SERVER },
        { 504, "", VERDICT_RETRY, FAULT_SERVER },
        { 509, "bandwidth", VERDICT_FAIL, FAULT_QUOTA },
        { 573, "too often", VERDICT_RETRY, FAULT_SLOW_DOWN },
        { 599, "oops", VERDICT_RETRY, FAULT_SERVER },
        { 608, "changed", VERDICT_RETRY, FAULT_CONFLICT },
        { 631, "no such bucket", VERDICT_FAIL, FAULT_NO_BUCKET },
        { 301, "moved", VERDICT_FAIL, FAULT_ENDPOINT },
    };
    Fixture f;
    setup(&f, NULL);
    plan(&f, 10, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = g_strdup_printf("{\"error\":\"%s " SECRET "\"}", rows[i].error);
        judged(&f, PHASE_PART, 0, rows[i].status, text, rows[i].verdict, rows[i].fault);
        g_assert_nonnull(strstr(f.error->message, "REQ7"));
    }
    clear(&f);
}

/* ---- v2 */

#define UPLOADS "https://up.example.com/buckets/bucket/objects/cHJlL2EgYi50eHQ=/uploads"

static void opened(Fixture *f, uint64_t bytes, uint64_t part_size)
{
    plan(f, bytes, part_size);
    asked(f, PHASE_OPEN, 0, "POST", UPLOADS);
    g_assert_true(g_str_has_prefix(sent(f, "Authorization"), "UpToken " ACCESS ":"));
    judged(f, PHASE_OPEN, 0, 200, "{\"uploadId\":\"ID/7\",\"expireAt\":1769000000}", VERDICT_OK, FAULT_NONE);
    g_assert_cmpstr(f->up->upload_id, ==, "ID/7");
}

static void test_v2(void)
{
    Fixture f;
    setup(&f, (const char *const[]){ "meta", "a=1", "callback-var", "b=2", NULL });
    opened(&f, 4 * MIB + 7, 0);
    asked(&f, PHASE_PART, 1, "PUT", UPLOADS "/ID%2F7/2");
    g_assert_cmpstr(sent(&f, "Content-MD5"), ==, "02a05c6e278d3e19afaca4f3f7cf47d9");
    g_autofree char *range = body(&f);
    g_assert_cmpstr(range, ==, "<4194304+7>");
    judged(&f, PHASE_PART, 1, 200, "{\"etag\":\"E2\"}", VERDICT_OK, FAULT_NONE);
    judged(&f, PHASE_PART, 0, 200, "{\"md5\":\"00000000000000000000000000000000\",\"etag\":\"E1\"}", VERDICT_RETRY, FAULT_CHECKSUM);
    judged(&f, PHASE_PART, 0, 200, "{}", VERDICT_RETRY, FAULT_BAD_ANSWER);
    judged(&f, PHASE_PART, 0, 612, "{\"error\":\"no such uploadId\"}", VERDICT_RESTART, FAULT_UPLOAD_GONE);
    g_assert_false(ask(&f, PHASE_CLOSE, 0));
    judged(&f, PHASE_PART, 0, 200, "{\"etag\":\"E\\\"1\"}", VERDICT_OK, FAULT_NONE);
    asked(&f, PHASE_CLOSE, 0, "POST", UPLOADS "/ID%2F7");
    g_autofree char *document = body(&f);
    g_assert_cmpstr(document, ==,
                    "{\"parts\":[{\"etag\":\"E\\\"1\",\"partNumber\":1},{\"etag\":\"E2\",\"partNumber\":2}],\"fname\":\"a b.txt\","
                    "\"mimeType\":\"text/plain\",\"metadata\":{\"x-qn-meta-a\":\"1\"},\"customVars\":{\"x:b\":\"2\"}}");
    g_assert_true(f.rq->slow_answer);
    asked(&f, PHASE_ABORT, 0, "DELETE", UPLOADS "/ID%2F7");
    judged(&f, PHASE_ABORT, 0, 612, "{}", VERDICT_OK, FAULT_NONE);
    clear(&f);
}

static void test_v2_completion(void)
{
    Fixture f;
    setup(&f, NULL);
    opened(&f, 4 * MIB + 7, 0);
    judged(&f, PHASE_CLOSE, 0, 612, "{\"error\":\"no such uploadId\"}", VERDICT_UNKNOWN,
           FAULT_UPLOAD_GONE); /* by an earlier try of ours? */
    judged(&f, PHASE_CLOSE, 0, 400, "{\"error\":\"invalid part\"}", VERDICT_RESTART, FAULT_PART);
    judged(&f, PHASE_CLOSE, 0, 200, "{\"hash\":\"lpLiADEaVoALPkdb8tJEJyRTXoe_\"}", VERDICT_RESTART, FAULT_CHECKSUM);
    judged(&f, PHASE_CLOSE, 0, 599, "", VERDICT_RETRY, FAULT_SERVER);
    g_autofree char *etag = qiniu_expected_etag(f.up);
    g_assert_true(etag[0] == 'l');
    g_autofree char *good = g_strdup_printf("{\"hash\":\"%s\"}", etag);
    judged(&f, PHASE_CLOSE, 0, 200, good, VERDICT_OK, FAULT_NONE);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_CHECKSUM);

    opened(&f, 20 * MIB, 8 * MIB); /* parts over 4 MiB: nothing to compare with */
    g_assert_null(qiniu_expected_etag(f.up));
    judged(&f, PHASE_CLOSE, 0, 200, good, VERDICT_OK, FAULT_NONE);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_NOT);
    opened(&f, 5 * MIB, 2 * MIB); /* smaller ones: another form of etag, which proves but does not accuse */
    g_autofree char *odd = qiniu_expected_etag(f.up);
    g_assert_true(odd[0] == 'n');
    judged(&f, PHASE_CLOSE, 0, 200, good, VERDICT_OK, FAULT_NONE);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_NOT);
    clear(&f);
}

static void test_v2_resume(void)
{
    Fixture f;
    setup(&f, NULL);
    opened(&f, 17 * MIB, 0);
    for (unsigned i = 0; i < 4; i++) {
        f.up->parts[i].done = true;
        f.up->parts[i].etag = g_strdup_printf("E%u", i + 1);
    }
    asked(&f, PHASE_RESUME, 0, "GET", UPLOADS "/ID%2F7?max-parts=1000&part-number-marker=0");
    judged(&f, PHASE_RESUME, 0, 200,
           "{\"partNumberMarker\":2,\"parts\":[{\"size\":4194304,\"etag\":\"E1\",\"partNumber\":1},{\"size\":4194304,\"etag\":\"other\","
           "\"partNumber\":2}]}",
           VERDICT_MORE, FAULT_NONE);
    asked(&f, PHASE_RESUME, 0, "GET", UPLOADS "/ID%2F7?max-parts=1000&part-number-marker=2");
    judged(&f, PHASE_RESUME, 0, 200,
           "{\"partNumberMarker\":0,\"parts\":[{\"size\":7,\"etag\":\"E4\",\"partNumber\":4},{\"size\":1048576,\"etag\":\"E5\","
           "\"partNumber\":5},"
           "{\"size\":1,\"etag\":\"E\",\"partNumber\":0},{\"size\":1,\"etag\":\"E\",\"partNumber\":6},{\"partNumber\":\"x\"},7,null]}",
           VERDICT_OK, FAULT_NONE);
    static const bool done[] = { true, false, false, false, true }; /* same; another etag; absent; another size; not in the journal */
    for (unsigned i = 0; i < G_N_ELEMENTS(done); i++)
        g_assert_true(f.up->parts[i].done == done[i] && (f.up->parts[i].etag != NULL) == done[i]);
    g_assert_null(f.up->list_marker);
    judged(&f, PHASE_RESUME, 0, 612, "{}", VERDICT_RESTART, FAULT_UPLOAD_GONE);
    judged(&f, PHASE_RESUME, 0, 200, "[", VERDICT_RETRY, FAULT_BAD_ANSWER);
    judged(&f, PHASE_RESUME, 0, 200, "{\"partNumberMarker\":-3}", VERDICT_OK, FAULT_NONE);
    g_assert_false(f.up->parts[0].done);
    clear(&f);
}

/* ---- v1 */

static char *block_text(const Fixture *f, unsigned part, int64_t expires, const char *host)
{
    const uint8_t *v = f->up->parts[part].digest->value[DIGEST_CRC32];
    const unsigned crc = (unsigned)v[0] << 24 | (unsigned)v[1] << 16 | (unsigned)v[2] << 8 | v[3];
    return g_strdup_printf(
        "{\"ctx\":\"CTX%u\",\"checksum\":\"x\",\"crc32\":%u,\"offset\":%u,\"host\":\"%s\",\"expired_at\":%" G_GINT64_FORMAT "}", part, crc,
        (unsigned)upload_part_bytes(f->up, part), host, expires);
}

static void block(Fixture *f, unsigned part, int64_t expires, const char *host)
{
    g_autofree char *text = block_text(f, part, expires, host);
    judged(f, PHASE_PART, part, 200, text, VERDICT_OK, FAULT_NONE);
}

static const char *const v1[] = { "qiniu-version", "v1", "meta", "a=1", "callback-var", "b=2", NULL };

static void test_v1(void)
{
    Fixture f;
    setup(&f, v1);
    plan(&f, 4 * MIB + 7, 0);
    g_assert_true(ask(&f, PHASE_OPEN, 0) && f.rq == NULL);
    asked(&f, PHASE_PART, 0, "POST", "https://up.example.com/mkblk/4194304");
    block(&f, 0, NOW_S + 86400, "http://up2.example.com");
    asked(&f, PHASE_PART, 1, "POST", "https://up.example.com/mkblk/7");
    g_autofree char *range = body(&f);
    g_assert_cmpstr(range, ==, "<4194304+7>");
    block(&f, 1, NOW_S + 86400, "http://up2.example.com");
    asked(&f, PHASE_CLOSE, 0, "POST",
          "https://up2.example.com/mkfile/4194311/key/cHJlL2EgYi50eHQ=/mimeType/dGV4dC9wbGFpbg==/fname/YSBiLnR4dA==/x:b/Mg==/x-qn-meta-a/"
          "MQ==");
    g_autofree char *contexts = body(&f);
    g_assert_cmpstr(contexts, ==, "CTX0,CTX1");
    g_assert_cmpstr(sent(&f, "Content-Type"), ==, "text/plain");
    judged(&f, PHASE_CLOSE, 0, 701, "{\"error\":\"ctx is expired\"}", VERDICT_UNKNOWN, FAULT_UPLOAD_GONE);
    block(&f, 1, NOW_S + 86400, "http://up.evil.com"); /* no token goes there */
    g_assert_true(ask(&f, PHASE_CLOSE, 0) && g_str_has_prefix(f.rq->url, "https://up.example.com/mkfile/"));
    g_assert_true(ask(&f, PHASE_ABORT, 0) && f.rq == NULL);
    g_assert_true(ask(&f, PHASE_VERIFY, 0) && g_str_has_prefix(sent(&f, "Authorization"), "QBox " ACCESS ":"));
    clear(&f);
}

static void test_v1_answers_that_do_not_fit(void)
{
    static const struct {
        const char *text;
        FaultCode fault;
    } rows[] = {
        { "", FAULT_BAD_ANSWER },
        { "{\"ctx\":\"C\",\"crc32\":1}", FAULT_BAD_ANSWER },
        { "{\"ctx\":\"C\",\"crc32\":1,\"offset\":3}", FAULT_BAD_ANSWER },
        { "{\"ctx\":\"\",\"crc32\":1,\"offset\":4194304}", FAULT_BAD_ANSWER },
        { "{\"ctx\":\"A,B\",\"crc32\":1,\"offset\":4194304}", FAULT_BAD_ANSWER },
        { "{\"ctx\":\"A\\r\\nB\",\"crc32\":1,\"offset\":4194304}", FAULT_BAD_ANSWER },
        { "{\"ctx\":\"C\",\"crc32\":1,\"offset\":4194304}", FAULT_CHECKSUM },
        { "{\"ctx\":\"C\",\"offset\":4194304}", FAULT_CHECKSUM },
    };
    Fixture f;
    setup(&f, v1);
    plan(&f, 4 * MIB + 7, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
        judged(&f, PHASE_PART, 0, 200, rows[i].text, VERDICT_RETRY, rows[i].fault);
    g_assert_false(f.up->parts[0].done);
    g_assert_false(ask(&f, PHASE_CLOSE, 0));
    clear(&f);
}

static void test_v1_resume(void)
{
    Fixture f;
    setup(&f, v1);
    plan(&f, 16 * MIB, 0);
    block(&f, 0, NOW_S + 86400, "http://up.example.com");
    block(&f, 2, NOW_S + 86400, "http://up.example.com");
    g_assert_true(ask(&f, PHASE_RESUME, 0) && f.rq == NULL); /* all will last */
    block(&f, 1, NOW_S + 3599, "http://up.example.com");
    block(&f, 3, NOW_S - 5, "http://up.example.com");
    asked(&f, PHASE_RESUME, 0, "POST", "https://up.example.com/mkblk/4194304");
    g_autofree char *range = body(&f);
    g_assert_cmpstr(range, ==, "<4194304+4194304>");
    g_autofree char *text = block_text(&f, 1, NOW_S + 86400, "http://up.example.com");
    judged(&f, PHASE_RESUME, 0, 200, text, VERDICT_OK, FAULT_NONE);
    static const bool done[] = { true, true, true, false };
    for (unsigned i = 0; i < G_N_ELEMENTS(done); i++)
        g_assert_true(f.up->parts[i].done == done[i]);
    clear(&f);
}

/* ---- objects that are there */

static void test_look(void)
{
    Fixture f;
    setup(&f, (const char *const[]){ "if-exists", "skip", NULL });
    plan(&f, 10, 0);
    asked(&f, PHASE_LOOK, 0, "GET", "https://up.example.com/stat/YnVja2V0OnByZS9hIGIudHh0");
    g_assert_true(g_str_has_prefix(sent(&f, "Authorization"), "Qiniu " ACCESS ":"));
    judged(&f, PHASE_LOOK, 0, 200, "{}", VERDICT_FAIL, FAULT_EXISTS);
    judged(&f, PHASE_LOOK, 0, 612, "{}", VERDICT_OK, FAULT_NONE);
    judged(&f, PHASE_LOOK, 0, 403, "{}", VERDICT_OK, FAULT_NONE);
    judged(&f, PHASE_LOOK, 0, 401, "{\"error\":\"bad token\"}", VERDICT_FAIL, FAULT_SIGNATURE);
    clear(&f);
}

static void test_verify(void)
{
    Fixture f;
    setup(&f, NULL);
    plan(&f, 10, 0);
    g_autofree char *etag = qiniu_expected_etag(f.up);
    g_autofree char *same = g_strdup_printf("{\"fsize\":10,\"hash\":\"%s\",\"putTime\":17684694000000000}", etag);
    static const char other[] = "{\"fsize\":10,\"hash\":\"FpLiADEaVoALPkdb8tJEJyRTXoe_\",\"putTime\":17684694000000000}";
    static const char fresh[] = "{\"fsize\":10,\"putTime\":17684694000000000}", old[] = "{\"fsize\":10,\"putTime\":17000000000000000}";
    const struct {
        bool confirmed, refused;
        int status;
        const char *text;
        Verdict verdict;
        FaultCode fault;
        Verified verified;
    } rows[] = {
        { false, false, 200, same, VERDICT_OK, FAULT_NONE, VERIFIED_CHECKSUM },
        { false, true, 200, same, VERDICT_OK, FAULT_NONE, VERIFIED_CHECKSUM },
        { false, false, 200, other, VERDICT_RESTART, FAULT_UPLOAD_GONE, VERIFIED_NOT },
        { false, true, 200, other, VERDICT_FAIL, FAULT_EXISTS, VERIFIED_NOT },
        { false, false, 200, fresh, VERDICT_RESTART, FAULT_UPLOAD_GONE, VERIFIED_NOT }, /* nobody says when this upload began */
        { false, false, 200, old, VERDICT_RESTART, FAULT_UPLOAD_GONE, VERIFIED_NOT },
        { false, true, 200, fresh, VERDICT_FAIL, FAULT_EXISTS, VERIFIED_NOT },
        { false, false, 612, "{}", VERDICT_RESTART, FAULT_UPLOAD_GONE, VERIFIED_NOT },
        { false, false, 403, "{}", VERDICT_FAIL, FAULT_DENIED, VERIFIED_NOT },
        { true, false, 200, same, VERDICT_OK, FAULT_NONE, VERIFIED_CHECKSUM },
        { true, false, 200, old, VERDICT_OK, FAULT_NONE, VERIFIED_SIZE },
        { true, false, 200, other, VERDICT_RESTART, FAULT_CHECKSUM, VERIFIED_NOT },
        { true, false, 200, "{\"fsize\":9}", VERDICT_RESTART, FAULT_SIZE, VERIFIED_NOT },
        { true, false, 200, "{}", VERDICT_RETRY, FAULT_BAD_ANSWER, VERIFIED_NOT },
        { true, false, 403, "{}", VERDICT_OK, FAULT_NONE, VERIFIED_NOT },
        { true, false, 404, "{}", VERDICT_OK, FAULT_NONE, VERIFIED_NOT },
        { true, false, 612, "{}", VERDICT_RESTART, FAULT_UPLOAD_GONE, VERIFIED_NOT },
        { true, false, 503, "", VERDICT_RETRY, FAULT_SERVER, VERIFIED_NOT },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        plan(&f, 10, 0);
        upload_set(&f.up->etag, rows[i].confirmed ? "" : NULL);
        f.up->refused_exists = rows[i].refused;
        judged(&f, PHASE_VERIFY, 0, rows[i].status, rows[i].text, rows[i].verdict, rows[i].fault);
        g_assert_cmpint(f.up->verified, ==, rows[i].verified);
    }
    clear(&f);
}

/* Without a hash to compare, what is there counts when it was put there after the upload began, by the clock of the server. The version
 * before, of the same size and a minute old, does not. */
static void test_verify_by_time(void)
{
    Fixture f;
    setup(&f, NULL);
    plan(&f, 10, 0);
    const struct {
        const char *date; /* the server's clock may be another one */
        int64_t put_s;
        Verdict verdict;
    } rows[] = {
        { "Thu, 15 Jan 2026 09:30:00 GMT", NOW_S - 5, VERDICT_OK },
        { "Thu, 15 Jan 2026 09:30:00 GMT", NOW_S - 10, VERDICT_OK },
        { "Thu, 15 Jan 2026 09:30:00 GMT", NOW_S - 60, VERDICT_RESTART },
        { "Thu, 15 Jan 2026 10:30:00 GMT", NOW_S + 3600 - 5, VERDICT_OK },
        { "Thu, 15 Jan 2026 10:30:00 GMT", NOW_S + 3600 - 60, VERDICT_RESTART },
        { NULL, NOW_S - 5, VERDICT_RESTART },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        plan(&f, 10, 0);
        f.up->opened_s = NOW_S - 10;
        f.date = rows[i].date;
        g_autofree char *stat = g_strdup_printf("{\"fsize\":10,\"putTime\":%" G_GINT64_FORMAT "}", rows[i].put_s * 10000000);
        judged(&f, PHASE_VERIFY, 0, 200, stat, rows[i].verdict, rows[i].verdict == VERDICT_OK ? FAULT_NONE : FAULT_UPLOAD_GONE);
    }
    clear(&f);
}

static void test_remove(void)
{
    Fixture f;
    setup(&f, NULL);
    f.up = upload_new("k", 0, 0);
    asked(&f, PHASE_REMOVE, 0, "POST", "https://up.example.com/delete/YnVja2V0Oms=");
    judged(&f, PHASE_REMOVE, 0, 200, "", VERDICT_OK, FAULT_NONE);
    judged(&f, PHASE_REMOVE, 0, 612, "", VERDICT_OK, FAULT_NONE);
    judged(&f, PHASE_REMOVE, 0, 401, "{\"error\":\"bad token\"}", VERDICT_FAIL, FAULT_SIGNATURE);
    clear(&f);
}

static void test_urls(void)
{
    Fixture f;
    setup(&f, NULL);
    g_assert_null(f.ctx.ops->url(&f.ctx, "k"));
    g_assert_null(f.ctx.ops->share(&f.ctx, "k", 60, &f.error));
    g_assert_cmpint(fault_code(f.error), ==, FAULT_USAGE);
    clear(&f);
    setup(&f, (const char *const[]){ "public-url", "https://cdn.example/b/", "fop", "imageView2/2/w/300|imageMogr2/strip", NULL });
    g_autofree char *url = f.ctx.ops->url(&f.ctx, "a b/中.jpg");
    g_assert_cmpstr(url, ==, "https://cdn.example/b/a%20b/%E4%B8%AD.jpg?imageView2/2/w/300%7CimageMogr2/strip");
    g_autofree char *link = f.ctx.ops->share(&f.ctx, "a b/中.jpg", 60, &f.error);
    g_autofree char *begin = g_strconcat(url, "&e=1768469460&token=" ACCESS ":", NULL);
    g_assert_true(g_str_has_prefix(link, begin));
    f.ctx.creds = NULL;
    g_assert_null(f.ctx.ops->share(&f.ctx, "k", 60, &f.error));
    g_assert_cmpint(fault_code(f.error), ==, FAULT_NO_CREDENTIALS);
    clear(&f);
}

/* Whatever comes: a verdict with its fault, nothing read beyond the end, nothing called proved. */
static void test_hostile_answers(void)
{
    static const char *const texts[] = { "",
                                         "null",
                                         "[]",
                                         "{}",
                                         "7",
                                         "\"x\"",
                                         "{\"hash\":7,\"key\":{},\"error\":[],\"uploadId\":{}}",
                                         "{\"hash\":\"\\u0000\"}",
                                         "{\"parts\":{\"a\":1},\"partNumberMarker\":99999999999999}",
                                         "{\"hosts\":{\"0\":{\"up\":{\"domains\":\"x\"}}}}",
                                         "{\"ctx\":[],\"offset\":1e300,\"crc32\":-1}",
                                         "{\"fsize\":-1,\"putTime\":\"x\",\"hash\":[1]}",
                                         "{\"error\":\"\xff\x1b[31m\"}" };
    static const int statuses[] = { 100, 200, 204, 298, 302, 400, 401, 403, 404, 500, 579, 599, 612, 614, 701, 999 };
    static const Phase phases[] = {
        PHASE_LOOK, PHASE_RESUME, PHASE_OPEN, PHASE_PART, PHASE_CLOSE, PHASE_VERIFY, PHASE_ABORT, PHASE_REMOVE
    };
    static const char *const ways[] = { "v2", "v1", "form" };
    for (unsigned w = 0; w < G_N_ELEMENTS(ways); w++) {
        Fixture f;
        setup(&f, (const char *const[]){ "qiniu-version", ways[w], NULL });
        for (unsigned i = 0; i < G_N_ELEMENTS(texts) * G_N_ELEMENTS(statuses) * G_N_ELEMENTS(phases); i++) {
            const Phase phase = phases[i % G_N_ELEMENTS(phases)];
            plan(&f, 4 * MIB + 1, 0);
            upload_set(&f.up->upload_id, "ID");
            if (w != 0 && (phase == PHASE_OPEN || phase == PHASE_ABORT || (w == 2 && (phase == PHASE_RESUME || phase == PHASE_CLOSE))))
                continue; /* never asked */
            answer(&f, phase, 0, statuses[i / G_N_ELEMENTS(phases) % G_N_ELEMENTS(statuses)],
                   texts[i / G_N_ELEMENTS(phases) / G_N_ELEMENTS(statuses)]);
            g_assert_cmpint(f.up->verified, !=, VERIFIED_CHECKSUM);
        }
        clear(&f);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dest/qiniu/open-refuses", test_open_refuses);
    g_test_add_func("/dest/qiniu/plan", test_plan);
    g_test_add_func("/dest/qiniu/plan-refuses", test_plan_refuses);
    g_test_add_func("/dest/qiniu/hosts-told", test_hosts_that_are_told);
    g_test_add_func("/dest/qiniu/hosts-asked-for", test_hosts_are_asked_for);
    g_test_add_func("/dest/qiniu/hosts-not-learned", test_hosts_cannot_be_learned);
    g_test_add_func("/dest/qiniu/hosts-without-answer-are-left", test_hosts_without_answer_are_left);
    g_test_add_func("/dest/qiniu/region", test_region);
    g_test_add_func("/dest/qiniu/kin", test_kin);
    g_test_add_func("/dest/qiniu/own-token", test_own_token);
    g_test_add_func("/dest/qiniu/callback-token", test_callback_token);
    g_test_add_func("/dest/qiniu/no-keys", test_no_keys);
    g_test_add_func("/dest/qiniu/granted-tokens-are-checked", test_granted_tokens_are_checked_before_anything_is_sent);
    g_test_add_func("/dest/qiniu/granted-upload", test_granted_upload);
    g_test_add_func("/dest/qiniu/form", test_form);
    g_test_add_func("/dest/qiniu/answers-to-the-form", test_answers_to_the_form);
    g_test_add_func("/dest/qiniu/answers-of-templates", test_answers_of_templates_prove_only_when_they_fit);
    g_test_add_func("/dest/qiniu/refusals", test_refusals);
    g_test_add_func("/dest/qiniu/v2", test_v2);
    g_test_add_func("/dest/qiniu/v2-completion", test_v2_completion);
    g_test_add_func("/dest/qiniu/v2-resume", test_v2_resume);
    g_test_add_func("/dest/qiniu/v1", test_v1);
    g_test_add_func("/dest/qiniu/v1-answers-that-do-not-fit", test_v1_answers_that_do_not_fit);
    g_test_add_func("/dest/qiniu/v1-resume", test_v1_resume);
    g_test_add_func("/dest/qiniu/look", test_look);
    g_test_add_func("/dest/qiniu/verify", test_verify);
    g_test_add_func("/dest/qiniu/verify-by-time", test_verify_by_time);
    g_test_add_func("/dest/qiniu/remove", test_remove);
    g_test_add_func("/dest/qiniu/urls", test_urls);
    g_test_add_func("/dest/qiniu/hostile-answers", test_hostile_answers);
    return g_test_run();
}
