/* What dav*.c ask of a WebDAV server, and what its answers make of an upload. */
#include <string.h>

#include "core/dest/dav_priv.h"

#define NOW_S  1768469400 /* 2026-01-15T09:30:00Z */
#define MIB    (UINT64_C(1) << 20)
#define NONCE  "0123456789abcdef0123456789abcdef"
#define PLAIN  "dav+https://files.example.net/base"
#define CLOUD  "dav+https://cloud.example.net/remote.php/dav/files/me/Photos"
#define CHUNKS "https://cloud.example.net/remote.php/dav/uploads/me/hoist-" NONCE "/"

typedef struct {
    DestConf *conf;
    Credentials creds;
    DestLearned learned;
    DestCtx ctx;
    Upload *up;
    Request *rq;
    GError *error;
} Fixture;

/* options: "name=value name=value"; "password" and "token" are secrets. */
static void open_at(Fixture *f, const char *to, const char *options)
{
    *f = (Fixture){ .conf = dest_conf_new() };
    f->creds.secrets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, secret_free);
    g_assert_true(dest_conf_parse(f->conf, to, NULL));
    g_auto(GStrv) words = g_strsplit(options, " ", -1);
    for (unsigned i = 0; words[i] != NULL; i++) {
        char *equals = strchr(words[i], '=');
        if (equals == NULL)
            continue;
        *equals = '\0';
        const bool secret = g_str_equal(words[i], "password") || g_str_equal(words[i], "token");
        g_hash_table_insert(secret ? f->creds.secrets : f->conf->options, g_strdup(words[i]), g_strdup(equals + 1));
    }
    const DestOps *ops = dest_by_scheme("dav");
    f->ctx = (DestCtx){ .ops = ops, .conf = f->conf, .creds = &f->creds, .learned = &f->learned, .now_s = NOW_S };
    f->ctx.priv = ops->open(f->conf, &f->error);
}

static void clear(Fixture *f)
{
    if (f->ctx.priv != NULL)
        f->ctx.ops->close(f->ctx.priv);
    upload_free(f->up);
    request_free(f->rq);
    dest_conf_free(f->conf);
    dest_learned_clear(&f->learned);
    g_clear_pointer(&f->creds.secrets, g_hash_table_unref);
    g_clear_error(&f->error);
}

static void upload(Fixture *f, const char *key, uint64_t bytes)
{
    upload_free(f->up);
    f->up = upload_new(key, bytes, INT64_C(1700000000123456789));
    f->up->nonce = g_strdup(NONCE);
    f->up->content_type = g_strdup("text/plain");
    f->up->opened_s = NOW_S - 5;
    g_assert_true(f->ctx.ops->plan(&f->ctx, f->up, 0, &f->error));
}

static void give_digest(Fixture *f, const char *content)
{
    DigestSet *set = f->up->parts[0].digest = g_new0(DigestSet, 1);
    digest_of(DIGEST_BIT(DIGEST_SHA1) | DIGEST_BIT(DIGEST_MD5), content, strlen(content), set);
}

static const char *sent(const Fixture *f, const char *name)
{
    const size_t bytes = strlen(name);
    for (unsigned i = 0; i < f->rq->headers->len; i++) {
        const char *line = f->rq->headers->pdata[i];
        if (g_ascii_strncasecmp(line, name, bytes) == 0 && line[bytes] == ':')
            return line + bytes + 2;
    }
    return NULL;
}

/* The next request: "METHOD URL", or "nothing". Caller frees. */
static char *asked(Fixture *f, Phase phase, unsigned part)
{
    g_clear_error(&f->error);
    g_clear_pointer(&f->rq, request_free);
    if (!f->ctx.ops->step[phase].ask(&f->ctx, f->up, part, &f->rq, &f->error))
        return g_strdup(f->error->message);
    return f->rq == NULL ? g_strdup("nothing") : g_strdup_printf("%s %s", f->rq->method, f->rq->url);
}

static void expect_ask(Fixture *f, Phase phase, unsigned part, const char *line)
{
    g_autofree char *found = asked(f, phase, part);
    g_assert_cmpstr(found, ==, line);
}

static Verdict answer(Fixture *f, Phase phase, unsigned part, int status, const char *header, const char *body)
{
    g_clear_error(&f->error);
    g_autoptr(Response) rs = response_new();
    rs->status = status;
    g_auto(GStrv) lines = g_strsplit(header == NULL ? "" : header, "\n", -1);
    for (unsigned i = 0; lines[i] != NULL; i++) {
        const char *colon = strchr(lines[i], ':');
        if (colon != NULL)
            response_add_header(rs, lines[i], (size_t)(colon - lines[i]), colon + 2, strlen(colon + 2));
    }
    if (body != NULL)
        g_byte_array_append(rs->body, (const guint8 *)body, (guint)strlen(body));
    const Verdict verdict = f->ctx.ops->step[phase].read(&f->ctx, f->up, part, rs, &f->error);
    if (verdict == VERDICT_OK || verdict == VERDICT_MORE)
        g_assert_no_error(f->error);
    else
        g_assert_nonnull(f->error);
    return verdict;
}

static void expect(Fixture *f, Phase phase, int status, const char *body, Verdict verdict, FaultCode fault)
{
    g_assert_cmpint(answer(f, phase, 0, status, NULL, body), ==, verdict);
    g_assert_cmpint(fault_code(f->error), ==, fault);
}

/* One resource as mod_dav, sabre or x/net/webdav describe it. */
static char *described(uint64_t bytes, const char *etag, const char *modified, const char *more)
{
    return g_strdup_printf(
        "<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\" xmlns:oc=\"http://owncloud.org/ns\"><D:response><D:href>/x</D:href>"
        "<D:propstat><D:prop><oc:quota/></D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat><D:propstat><D:prop>"
        "<D:getcontentlength>%" G_GUINT64_FORMAT "</D:getcontentlength><D:getetag>%s</D:getetag>"
        "<D:getlastmodified>%s</D:getlastmodified>%s</D:prop><D:status>HTTP/1.1 200 "
        "OK</D:status></D:propstat></D:response></D:multistatus>",
        bytes, etag, modified, more);
}

/* ---- configuration */

static void test_open_refuses(void)
{
    static const struct {
        const char *to, *options;
    } rows[] = {
        { "dav+https://h/a?b", "" },
        { "dav+https://h/a%2Fb", "" },
        { "dav+https://h/a", "user=a:b" },
        { "dav+https://h/a", "checksum=crc64nvme" },
        { "dav+http://files.example.net/a", "user=me" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Fixture f;
        open_at(&f, rows[i].to, rows[i].options);
        g_assert_null(f.ctx.priv);
        g_assert_cmpint(fault_code(f.error), ==, FAULT_USAGE);
        clear(&f);
    }
}

static void test_addresses(void)
{
    static const struct {
        const char *to, *options, *where, *chunks, *user;
        bool nextcloud;
    } rows[] = {
        { "dav+https://h:8443/a%20b/", "", "https://h:8443/a%20b", NULL, NULL, false },
        { "dav+http://[::1]:80", "user=me", "http://[::1]:80", NULL, "me", false },
        { "dav+https://h/nc/remote.php/dav/files/J%C3%B6rg@x/p", "", "https://h/nc/remote.php/dav/files/J%C3%B6rg%40x/p",
          "/nc/remote.php/dav/uploads/J%C3%B6rg%40x", "J\xc3\xb6rg@x", true },
        { "dav+https://h/remote.php/dav/files/me", "user=admin", "https://h/remote.php/dav/files/me", "/remote.php/dav/uploads/me", "admin",
          true },
        { "dav+https://h/remote.php/webdav/p", "user=me", "https://h/remote.php/webdav/p", "/remote.php/dav/uploads/me", "me", true },
        { "dav+https://h/remote.php/webdav/p", "", "https://h/remote.php/webdav/p", NULL, NULL, true },
        { "dav+https://h/public.php/dav/files/tOkEn", "", "https://h/public.php/dav/files/tOkEn", NULL, "tOkEn", true },
        { "dav+https://h/remote.php/dav/files/me", "nextcloud=off", "https://h/remote.php/dav/files/me", NULL, NULL, false },
        { "dav+https://h/dav", "nextcloud=on", "https://h/dav", NULL, NULL, true },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Fixture f;
        open_at(&f, rows[i].to, rows[i].options);
        g_assert_no_error(f.error);
        const Dav *dav = f.ctx.priv;
        g_autofree char *where = f.ctx.ops->where(&f.ctx), *url = f.ctx.ops->url(&f.ctx, "d/a b%.txt");
        g_autofree char *wanted = g_strconcat(rows[i].where, "/d/a%20b%25.txt", NULL);
        g_assert_cmpstr(where, ==, rows[i].where);
        g_assert_cmpstr(url, ==, wanted);
        g_assert_cmpstr(dav->chunks, ==, rows[i].chunks);
        g_assert_cmpstr(dav->user, ==, rows[i].user);
        g_assert_cmpint(dav->nextcloud, ==, rows[i].nextcloud);
        clear(&f);
    }
}

static void test_plan(void)
{
    static const struct {
        const char *to, *learned;
        uint64_t size, wanted, part_size;
        DavWay way;
    } rows[] = {
        { PLAIN, "", 0, 0, 1, DAV_STAGED },
        { PLAIN, "", 900 * MIB, 8 * MIB, 900 * MIB, DAV_STAGED },
        { PLAIN, "fact.dav.move=no", 900 * MIB, 0, 900 * MIB, DAV_WHOLE },
        { PLAIN, "fact.dav.move=doubt", 9, 0, 9, DAV_STAGED },
        { CLOUD, "", 0, 0, 0, DAV_WHOLE },
        { CLOUD, "", 16 * MIB, 0, 16 * MIB, DAV_WHOLE },
        { CLOUD, "", 16 * MIB + 1, 0, 16 * MIB, DAV_CHUNKED },
        { CLOUD, "", 16 * MIB, 5 * MIB, 5 * MIB, DAV_CHUNKED },
        { CLOUD, "", 9990 * 16 * MIB + 1, 0, 17 * MIB, DAV_CHUNKED },
        { CLOUD, "fact.dav.chunking=no", 900 * MIB, 0, 900 * MIB, DAV_WHOLE },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Fixture f;
        open_at(&f, rows[i].to, "user=me password=p");
        dest_learned_from_text(&f.learned, rows[i].learned);
        g_autoptr(Upload) up = upload_new("k", rows[i].size, 0);
        g_assert_true(f.ctx.ops->plan(&f.ctx, up, rows[i].wanted, &f.error));
        g_assert_cmpint(dav_way(up), ==, rows[i].way);
        g_assert_cmpuint(up->part_size, ==, rows[i].part_size);
        clear(&f);
    }
}

static void refuse_plan(const char *key, uint64_t size, uint64_t wanted, FaultCode code)
{
    Fixture f;
    open_at(&f, CLOUD, "password=p");
    g_autoptr(Upload) up = upload_new(key, size, 0);
    g_assert_false(f.ctx.ops->plan(&f.ctx, up, wanted, &f.error));
    g_assert_cmpint(fault_code(f.error), ==, code);
    clear(&f);
}

static void test_plan_refuses(void)
{
    refuse_plan("", 1, 0, FAULT_KEY);
    refuse_plan("a//b", 1, 0, FAULT_KEY);
    refuse_plan("a/../b", 1, 0, FAULT_KEY);
    refuse_plan("a/", 1, 0, FAULT_KEY);
    refuse_plan("k", 100 * MIB, 4 * MIB, FAULT_USAGE);
    refuse_plan("k", UINT64_C(9990) * 5120 * MIB + 1, 0, FAULT_TOO_LARGE);
}

/* ---- sign-in */

static void test_basic_is_sent_at_once(void)
{
    Fixture f;
    open_at(&f, PLAIN, "user=Aladdin password=sesame");
    upload(&f, "a", 1);
    expect_ask(&f, PHASE_PART, 0, "PUT https://files.example.net/base/.a.hoist-" NONCE);
    g_assert_cmpstr(sent(&f, "Authorization"), ==, "Basic QWxhZGRpbjpzZXNhbWU=");
    g_assert_null(f.rq->user);
    clear(&f);
}

static void test_bearer_wins_over_basic(void)
{
    Fixture f;
    open_at(&f, PLAIN, "user=me password=p token=T0KEN");
    upload(&f, "a", 1);
    expect_ask(&f, PHASE_PART, 0, "PUT https://files.example.net/base/.a.hoist-" NONCE);
    g_assert_cmpstr(sent(&f, "Authorization"), ==, "Bearer T0KEN");
    clear(&f);
}

static void test_digest_is_learned(void)
{
    Fixture f;
    open_at(&f, PLAIN, "user=me password=p");
    upload(&f, "a", 1);
    g_assert_cmpint(answer(&f, PHASE_PART, 0, 401, "WWW-Authenticate: Digest realm=\"x, Basic y\", nonce=\"n\"", NULL), ==, VERDICT_AGAIN);
    g_assert_true(f.learned.dirty);
    expect_ask(&f, PHASE_PART, 0, "PUT https://files.example.net/base/.a.hoist-" NONCE);
    g_assert_null(sent(&f, "Authorization"));
    g_assert_cmpstr(f.rq->user, ==, "me");
    g_assert_cmpstr(f.rq->password, ==, "p");
    g_assert_cmpint(answer(&f, PHASE_PART, 0, 401, "WWW-Authenticate: Basic realm=\"x\"", NULL), ==,
                    VERDICT_AGAIN); /* it was changed since */
    expect_ask(&f, PHASE_PART, 0, "PUT https://files.example.net/base/.a.hoist-" NONCE);
    g_assert_nonnull(sent(&f, "Authorization"));
    clear(&f);
}

static void test_wrong_password(void)
{
    static const struct {
        const char *options;
        FaultCode fault;
    } rows[] = {
        { "user=me password=hunter2", FAULT_SIGNATURE },
        { "token=hunter2", FAULT_SIGNATURE },
        { "user=me password=hunter2 dav-auth=basic", FAULT_SIGNATURE },
        { "", FAULT_NO_CREDENTIALS },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Fixture f;
        open_at(&f, PLAIN, rows[i].options);
        upload(&f, "a", 1);
        g_assert_cmpint(answer(&f, PHASE_OPEN, 0, 401, "WWW-Authenticate: Digest realm=\"x\"\nWWW-Authenticate: Basic realm=\"x\"",
                               "<d:error xmlns:d=\"DAV:\" xmlns:s=\"S\"><s:exception>Sabre\\DAV\\Exception\\NotAuthenticated</s:exception>"
                               "<s:message>hunter2 is wrong</s:message></d:error>"),
                        ==, VERDICT_FAIL);
        g_assert_cmpint(fault_code(f.error), ==, rows[i].fault);
        g_assert_nonnull(strstr(f.error->message, "401 NotAuthenticated"));
        g_assert_true(*rows[i].options == '\0' || strstr(f.error->message, "hunter2") == NULL);
        clear(&f);
    }
}

static void test_missing_secrets(void)
{
    static const struct {
        const char *to, *options;
        FaultCode fault;
    } rows[] = {
        { PLAIN, "user=me", FAULT_NO_CREDENTIALS },
        { PLAIN, "dav-auth=bearer", FAULT_NO_CREDENTIALS },
        { PLAIN, "dav-auth=basic password=p", FAULT_NO_CREDENTIALS },
        { "dav+http://files.example.net/a", "token=t", FAULT_USAGE },
        { "dav+http://files.example.net/a", "token=t dav-auth=bearer", FAULT_NONE },
        { "dav+http://127.0.0.1:9/a", "token=t", FAULT_NONE },
        { "dav+http://files.example.net/a", "user=me password=p dav-auth=digest", FAULT_NONE },
        { "dav+https://h/public.php/dav/files/tOkEn", "", FAULT_NONE },
        { PLAIN, "", FAULT_NONE },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Fixture f;
        open_at(&f, rows[i].to, rows[i].options);
        g_assert_no_error(f.error);
        upload(&f, "a", 1);
        g_free(asked(&f, PHASE_PART, 0));
        g_assert_cmpint(fault_code(f.error), ==, rows[i].fault);
        clear(&f);
    }
}

/* ---- plain WebDAV */

static void test_staged_upload(void)
{
    Fixture f;
    open_at(&f, PLAIN, "");
    upload(&f, "a b/c%.txt", 10);
    expect_ask(&f, PHASE_OPEN, 0, "MKCOL https://files.example.net/base/a%20b/");
    g_assert_cmpint(answer(&f, PHASE_OPEN, 0, 201, NULL, NULL), ==, VERDICT_OK);
    expect_ask(&f, PHASE_PART, 0, "PUT https://files.example.net/base/a%20b/.c%25.txt.hoist-" NONCE);
    g_assert_cmpstr(sent(&f, "Content-Type"), ==, "text/plain");
    g_assert_null(sent(&f, "X-OC-Mtime"));
    g_assert_cmpuint(f.rq->body_bytes, ==, 10);
    g_assert_cmpint(answer(&f, PHASE_PART, 0, 201, "ETag: \"e1\"", NULL), ==, VERDICT_OK);
    expect_ask(&f, PHASE_CLOSE, 0, "MOVE https://files.example.net/base/a%20b/.c%25.txt.hoist-" NONCE);
    g_assert_cmpstr(sent(&f, "Destination"), ==, "https://files.example.net/base/a%20b/c%25.txt");
    g_assert_cmpstr(sent(&f, "Overwrite"), ==, "T");
    g_assert_cmpint(answer(&f, PHASE_CLOSE, 0, 204, NULL, NULL), ==, VERDICT_OK);
    g_assert_cmpstr(f.up->etag, ==, "");
    expect_ask(&f, PHASE_VERIFY, 0, "PROPFIND https://files.example.net/base/a%20b/c%25.txt");
    g_assert_cmpstr(sent(&f, "Depth"), ==, "0");
    g_autofree char *body = described(10, "&quot;e1&quot;", "Thu, 15 Jan 2026 09:29:58 GMT", "<D:resourcetype/>");
    g_assert_cmpint(answer(&f, PHASE_VERIFY, 0, 207, NULL, body), ==, VERDICT_OK);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_SIZE);
    g_assert_cmpstr(f.up->etag, ==, "\"e1\"");
    expect_ask(&f, PHASE_ABORT, 0, "DELETE https://files.example.net/base/a%20b/.c%25.txt.hoist-" NONCE);
    expect(&f, PHASE_ABORT, 404, NULL, VERDICT_OK, FAULT_NONE);
    clear(&f);
}

static void test_collections_are_made_once(void)
{
    Fixture f;
    open_at(&f, PLAIN, "");
    upload(&f, "a/b/c", 1);
    expect_ask(&f, PHASE_OPEN, 0, "MKCOL https://files.example.net/base/a/b/");
    expect(&f, PHASE_OPEN, 409, NULL, VERDICT_MORE, FAULT_NONE);
    expect_ask(&f, PHASE_OPEN, 0, "MKCOL https://files.example.net/base/a/");
    expect(&f, PHASE_OPEN, 409, NULL, VERDICT_MORE, FAULT_NONE);
    expect_ask(&f, PHASE_OPEN, 0, "MKCOL https://files.example.net/base/");
    expect(&f, PHASE_OPEN, 405, NULL, VERDICT_MORE, FAULT_NONE);
    expect_ask(&f, PHASE_OPEN, 0, "MKCOL https://files.example.net/base/a/");
    expect(&f, PHASE_OPEN, 201, NULL, VERDICT_MORE, FAULT_NONE);
    expect_ask(&f, PHASE_OPEN, 0, "MKCOL https://files.example.net/base/a/b/");
    expect(&f, PHASE_OPEN, 201, NULL, VERDICT_OK, FAULT_NONE);
    upload(&f, "a/b/d", 1);
    expect_ask(&f, PHASE_OPEN, 0, "nothing");
    upload(&f, "a/e", 1);
    expect_ask(&f, PHASE_OPEN, 0, "nothing");
    upload(&f, "top", 1);
    expect_ask(&f, PHASE_OPEN, 0, "nothing");
    clear(&f);
    open_at(&f, "dav+https://files.example.net", "");
    upload(&f, "top", 1);
    expect_ask(&f, PHASE_OPEN, 0, "nothing"); /* the root is always there */
    clear(&f);
}

/* A server that never has the parent, whatever it says of it: no endless walk up and down. */
static void test_collections_end(void)
{
    Fixture f;
    open_at(&f, PLAIN, "");
    upload(&f, "a/b", 1);
    expect(&f, PHASE_OPEN, 409, NULL, VERDICT_MORE, FAULT_NONE);
    expect(&f, PHASE_OPEN, 405, NULL, VERDICT_MORE, FAULT_NONE);
    expect(&f, PHASE_OPEN, 409, NULL, VERDICT_RETRY, FAULT_CONFLICT);
    upload(&f, "c/b", 1);
    for (unsigned i = 0; i < 2; i++)
        expect(&f, PHASE_OPEN, 409, NULL, VERDICT_MORE, FAULT_NONE);
    expect(&f, PHASE_OPEN, 409, NULL, VERDICT_RETRY, FAULT_CONFLICT);
    upload(&f, "d/b", 1);
    expect(&f, PHASE_OPEN, 403, NULL, VERDICT_OK, FAULT_NONE); /* may still be written into */
    expect_ask(&f, PHASE_OPEN, 0, "nothing");
    clear(&f);
}

static void test_put_without_parent(void)
{
    static const int statuses[] = { 404, 409, 500 };
    for (unsigned i = 0; i < G_N_ELEMENTS(statuses); i++) {
        Fixture f;
        open_at(&f, PLAIN, "");
        upload(&f, "a/b", 1);
        g_assert_cmpint(answer(&f, PHASE_OPEN, 0, 405, NULL, NULL), ==, VERDICT_OK);
        expect(&f, PHASE_PART, statuses[i], NULL, VERDICT_MORE, FAULT_NONE);
        expect_ask(&f, PHASE_PART, 0, "MKCOL https://files.example.net/base/a/");
        expect(&f, PHASE_PART, 201, NULL, VERDICT_MORE, FAULT_NONE);
        expect_ask(&f, PHASE_PART, 0, "PUT https://files.example.net/base/a/.b.hoist-" NONCE);
        g_assert_cmpint(answer(&f, PHASE_PART, 0, statuses[i], NULL, NULL), !=, VERDICT_MORE);
        clear(&f);
    }
}

static void test_refusals(void)
{
    static const struct {
        const char *key;
        int status;
        const char *body;
        Verdict verdict;
        FaultCode fault;
    } rows[] = {
        { "a", 403, NULL, VERDICT_FAIL, FAULT_DENIED },
        { "a?", 403, NULL, VERDICT_FAIL, FAULT_KEY },
        { "dir./a", 400, NULL, VERDICT_FAIL, FAULT_KEY },
        { "a\xff", 400, NULL, VERDICT_FAIL, FAULT_KEY },
        { "a", 400, NULL, VERDICT_FAIL, FAULT_REFUSED },
        { "a", 400, "<d:error xmlns:d=\"DAV:\" xmlns:s=\"S\"><s:message>The computed checksum does not match</s:message></d:error>",
          VERDICT_RETRY, FAULT_CHECKSUM },
        { "a", 405, NULL, VERDICT_FAIL, FAULT_ENDPOINT },
        { "a", 308, NULL, VERDICT_FAIL, FAULT_ENDPOINT },
        { "a", 413, NULL, VERDICT_FAIL, FAULT_TOO_LARGE },
        { "a", 415, NULL, VERDICT_FAIL, FAULT_KEY },
        { "a", 423, NULL, VERDICT_RETRY, FAULT_CONFLICT },
        { "a", 429, NULL, VERDICT_RETRY, FAULT_SLOW_DOWN },
        { "a", 507, NULL, VERDICT_FAIL, FAULT_QUOTA },
        { "a", 207, NULL, VERDICT_RETRY, FAULT_BAD_ANSWER },
        { "a", 503, "<error><message>System in maintenance mode.</message></error>", VERDICT_RETRY, FAULT_SERVER },
        { "a", 502, "<html>", VERDICT_RETRY, FAULT_SERVER },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Fixture f;
        open_at(&f, PLAIN, "");
        upload(&f, rows[i].key, 1);
        expect(&f, PHASE_PART, rows[i].status, rows[i].body, rows[i].verdict, rows[i].fault);
        clear(&f);
    }
}

/* Uploaded, and known to wait under its temporary name. */
static void staged(Fixture *f, const char *key, uint64_t bytes)
{
    upload(f, key, bytes);
    g_assert_cmpint(answer(f, PHASE_PART, 0, 201, NULL, NULL), ==, VERDICT_OK);
}

/* A second MOVE of the same file would make some servers remove the first one's: after a restart it is looked for. */
static void test_move_after_a_restart(void)
{
    Fixture f;
    open_at(&f, PLAIN, "");
    upload(&f, "a", 1);
    expect_ask(&f, PHASE_CLOSE, 0, "PROPFIND https://files.example.net/base/.a.hoist-" NONCE);
    g_autofree char *body = described(1, "x", "", "");
    expect(&f, PHASE_CLOSE, 207, body, VERDICT_MORE, FAULT_NONE);
    expect_ask(&f, PHASE_CLOSE, 0, "MOVE https://files.example.net/base/.a.hoist-" NONCE);
    g_assert_true(f.rq->once);
    upload(&f, "a", 1);
    expect(&f, PHASE_CLOSE, 404, NULL, VERDICT_UNKNOWN, FAULT_UPLOAD_GONE);
    expect_ask(&f, PHASE_VERIFY, 0, "PROPFIND https://files.example.net/base/.a.hoist-" NONCE);
    clear(&f);
}

static void test_parent_gone_before_move(void)
{
    Fixture f;
    open_at(&f, PLAIN, "");
    staged(&f, "d/a", 1);
    expect(&f, PHASE_CLOSE, 409, NULL, VERDICT_MORE, FAULT_NONE);
    expect_ask(&f, PHASE_CLOSE, 0, "MKCOL https://files.example.net/base/d/");
    expect(&f, PHASE_CLOSE, 201, NULL, VERDICT_MORE, FAULT_NONE);
    expect_ask(&f, PHASE_CLOSE, 0, "MOVE https://files.example.net/base/d/.a.hoist-" NONCE);
    expect(&f, PHASE_CLOSE, 409, NULL, VERDICT_RETRY, FAULT_CONFLICT);
    clear(&f);
}

static void test_moves_that_fail(void)
{
    Fixture f;
    open_at(&f, PLAIN, "");
    staged(&f, "a", 1);
    expect(&f, PHASE_CLOSE, 502, NULL, VERDICT_AGAIN, FAULT_ENDPOINT); /* a proxy: without scheme and host */
    expect_ask(&f, PHASE_CLOSE, 0, "MOVE https://files.example.net/base/.a.hoist-" NONCE);
    g_assert_cmpstr(sent(&f, "Destination"), ==, "/base/a");
    expect(&f, PHASE_CLOSE, 502, NULL, VERDICT_RETRY, FAULT_SERVER);
    expect(&f, PHASE_CLOSE, 201, NULL, VERDICT_OK, FAULT_NONE);
    staged(&f, "b", 1);
    expect(&f, PHASE_CLOSE, 500, NULL, VERDICT_RETRY, FAULT_SERVER);
    expect(&f, PHASE_CLOSE, 500, NULL, VERDICT_RESTART, FAULT_UNSUPPORTED);
    upload(&f, "b", 1);
    g_assert_cmpint(dav_way(f.up), ==, DAV_WHOLE);
    g_assert_nonnull(f.up->note);
    expect_ask(&f, PHASE_PART, 0, "PUT https://files.example.net/base/b");
    clear(&f);

    open_at(&f, PLAIN, "");
    staged(&f, "a", 1);
    expect(&f, PHASE_CLOSE, 405, NULL, VERDICT_RESTART, FAULT_UNSUPPORTED);
    clear(&f);
}

static void test_long_name(void)
{
    Fixture f;
    open_at(&f, PLAIN, "");
    g_autofree char *dots = g_strnfill(159, 'n'), *key = g_strconcat("d/", dots, "\xc3\xbc-and-more-of-it.bin", NULL);
    upload(&f, key, 1);
    g_autofree char *path = dav_staging_path(f.ctx.priv, f.up), *wanted = g_strconcat("/base/d/.", dots, ".hoist-" NONCE, NULL);
    g_assert_cmpstr(path, ==, wanted);
    clear(&f);
}

/* ---- was it stored? */

static void lost_move(Fixture *f, const char *etag)
{
    open_at(f, PLAIN, "");
    upload(f, "a", 10);
    g_autofree char *header = g_strdup_printf("ETag: %s", etag);
    g_assert_cmpint(answer(f, PHASE_PART, 0, 201, header, NULL), ==, VERDICT_OK);
    expect_ask(f, PHASE_VERIFY, 0, "PROPFIND https://files.example.net/base/.a.hoist-" NONCE);
}

static void test_lost_move(void)
{
    static const struct {
        uint64_t bytes;
        const char *etag, *modified;
        Verdict verdict;
    } rows[] = {
        { 10, "\"e1\"", "", VERDICT_OK },                              /* the file that was put */
        { 10, "e1", "", VERDICT_OK },                                  /* some leave the quotes out there */
        { 10, "x", "Thu, 15 Jan 2026 09:29:56 GMT", VERDICT_OK },      /* written since we began */
        { 10, "x", "Thu, 15 Jan 2026 09:29:00 GMT", VERDICT_RESTART }, /* an older one of the same size */
        { 10, "x", "", VERDICT_RESTART },
        { 11, "\"e1\"", "Thu, 15 Jan 2026 09:29:56 GMT", VERDICT_RESTART },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Fixture f;
        lost_move(&f, "\"e1\"");
        expect(&f, PHASE_VERIFY, 404, NULL, VERDICT_MORE, FAULT_NONE);
        expect_ask(&f, PHASE_VERIFY, 0, "PROPFIND https://files.example.net/base/a");
        g_autofree char *body = described(rows[i].bytes, rows[i].etag, rows[i].modified, "");
        expect(&f, PHASE_VERIFY, 207, body, rows[i].verdict, rows[i].verdict == VERDICT_OK ? FAULT_NONE : FAULT_UPLOAD_GONE);
        g_assert_cmpint(f.up->verified, ==, rows[i].verdict == VERDICT_OK ? VERIFIED_SIZE : VERIFIED_NOT);
        clear(&f);
    }
}

static void test_move_not_done(void)
{
    Fixture f;
    lost_move(&f, "x");
    g_autofree char *body = described(10, "x", "", "");
    expect(&f, PHASE_VERIFY, 207, body, VERDICT_RESTART, FAULT_BROKEN); /* the walk asks for MOVE once more */
    expect_ask(&f, PHASE_CLOSE, 0, "MOVE https://files.example.net/base/.a.hoist-" NONCE);
    expect(&f, PHASE_CLOSE, 404, NULL, VERDICT_UNKNOWN, FAULT_UPLOAD_GONE);
    expect_ask(&f, PHASE_VERIFY, 0, "PROPFIND https://files.example.net/base/.a.hoist-" NONCE);
    clear(&f);
}

static void test_confirmed_is_compared(void)
{
    static const struct {
        uint64_t bytes;
        const char *more;
        Verdict verdict;
        FaultCode fault;
        Verified verified;
    } rows[] = {
        { 5, "", VERDICT_OK, FAULT_NONE, VERIFIED_SIZE },
        { 4, "", VERDICT_RESTART, FAULT_SIZE, VERIFIED_NOT },
        /* what was sent comes back: Nextcloud keeps it unread */
        { 5, "<oc:checksums><oc:checksum>SHA1:aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d</oc:checksum></oc:checksums>", VERDICT_OK,
          FAULT_NONE, VERIFIED_SIZE },
        /* ownCloud has computed more than it was told */
        { 5,
          "<oc:checksums><oc:checksum>SHA1:AAF4C61DDCC5E8A2DABEDE0F3B482CD9AEA9434D "
          "MD5:5d41402abc4b2a76b9719d911017c592</oc:checksum></oc:checksums>",
          VERDICT_OK, FAULT_NONE, VERIFIED_CHECKSUM },
        { 5, "<oc:checksums><oc:checksum>MD5:00000000000000000000000000000000</oc:checksum></oc:checksums>", VERDICT_RESTART,
          FAULT_CHECKSUM, VERIFIED_NOT },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Fixture f;
        open_at(&f, CLOUD, "password=p");
        upload(&f, "a", 5);
        give_digest(&f, "hello");
        expect_ask(&f, PHASE_PART, 0, "PUT https://cloud.example.net/remote.php/dav/files/me/Photos/a");
        g_assert_cmpstr(sent(&f, "OC-Checksum"), ==, "SHA1:aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d");
        g_assert_cmpstr(sent(&f, "X-OC-Mtime"), ==, "1700000000");
        g_assert_cmpint(answer(&f, PHASE_PART, 0, 201, "OC-ETag: \"o\"", NULL), ==, VERDICT_OK);
        g_assert_cmpstr(f.up->etag, ==, "\"o\"");
        g_autofree char *body = described(rows[i].bytes, "&quot;o&quot;", "", rows[i].more);
        expect(&f, PHASE_VERIFY, 207, body, rows[i].verdict, rows[i].fault);
        g_assert_cmpint(f.up->verified, ==, rows[i].verified);
        clear(&f);
    }
}

static void test_only_new(void)
{
    Fixture f;
    open_at(&f, PLAIN, "if-exists=fail");
    upload(&f, "a", 10);
    g_assert_true(f.up->look_first);
    expect_ask(&f, PHASE_LOOK, 0, "PROPFIND https://files.example.net/base/a");
    expect(&f, PHASE_LOOK, 404, NULL, VERDICT_OK, FAULT_NONE);
    g_autofree char *body = described(3, "x", "", "");
    expect(&f, PHASE_LOOK, 207, body, VERDICT_FAIL, FAULT_EXISTS);
    staged(&f, "a", 10);
    expect_ask(&f, PHASE_CLOSE, 0, "MOVE https://files.example.net/base/.a.hoist-" NONCE);
    g_assert_cmpstr(sent(&f, "Overwrite"), ==, "F");
    expect(&f, PHASE_CLOSE, 412, NULL, VERDICT_UNKNOWN, FAULT_EXISTS);
    expect(&f, PHASE_VERIFY, 207, body, VERDICT_MORE, FAULT_NONE); /* ours still has its temporary name, which nobody needs */
    expect_ask(&f, PHASE_VERIFY, 0, "DELETE https://files.example.net/base/.a.hoist-" NONCE);
    expect(&f, PHASE_VERIFY, 204, NULL, VERDICT_FAIL, FAULT_EXISTS);
    clear(&f);
}

static void test_without_propfind(void)
{
    Fixture f;
    open_at(&f, PLAIN, "if-exists=skip");
    upload(&f, "a", 10);
    expect(&f, PHASE_LOOK, 405, NULL, VERDICT_AGAIN, FAULT_UNSUPPORTED);
    expect_ask(&f, PHASE_LOOK, 0, "HEAD https://files.example.net/base/a");
    expect(&f, PHASE_LOOK, 404, NULL, VERDICT_OK, FAULT_NONE);
    upload_set(&f.up->etag, "");
    g_assert_cmpint(answer(&f, PHASE_VERIFY, 0, 200, "Content-Length: 10\nETag: \"h\"", NULL), ==, VERDICT_OK);
    g_assert_cmpint(f.up->verified, ==, VERIFIED_SIZE);
    f.up->verified = VERIFIED_NOT;
    expect(&f, PHASE_VERIFY, 405, NULL, VERDICT_OK, FAULT_NONE); /* no HEAD either: the PUT's own answer has to do */
    g_assert_cmpint(f.up->verified, ==, VERIFIED_NOT);
    g_assert_nonnull(f.up->note);
    clear(&f);
    open_at(&f, PLAIN, "if-exists=skip");
    upload(&f, "a", 10);
    expect(&f, PHASE_LOOK, 200, "<html>Sign in</html>", VERDICT_FAIL, FAULT_ENDPOINT);
    expect(&f, PHASE_LOOK, 207, "<html>Sign in</html>", VERDICT_RETRY, FAULT_BAD_ANSWER);
    expect(&f, PHASE_LOOK, 207, "<multistatus/>", VERDICT_RETRY, FAULT_BAD_ANSWER);
    clear(&f);
}

/* ---- chunks */

static void chunked(Fixture *f, const char *options)
{
    open_at(f, CLOUD, options);
    upload(f, "x/big", 40 * MIB);
    g_assert_cmpuint(f->up->n_parts, ==, 3);
}

static void test_chunked_upload(void)
{
    Fixture f;
    chunked(&f, "password=p");
    expect_ask(&f, PHASE_OPEN, 0, "MKCOL " CHUNKS);
    g_assert_cmpstr(sent(&f, "Destination"), ==, "https://cloud.example.net/remote.php/dav/files/me/Photos/x/big");
    expect(&f, PHASE_OPEN, 201, NULL, VERDICT_MORE, FAULT_NONE);
    expect_ask(&f, PHASE_OPEN, 0, "MKCOL https://cloud.example.net/remote.php/dav/files/me/Photos/x/");
    expect(&f, PHASE_OPEN, 405, NULL, VERDICT_MORE, FAULT_NONE);
    expect_ask(&f, PHASE_OPEN, 0, "PROPFIND https://cloud.example.net/remote.php/dav/files/me/Photos/x/big");
    g_autofree char *before = described(3, "&quot;old&quot;", "", "");
    expect(&f, PHASE_OPEN, 207, before, VERDICT_OK, FAULT_NONE);
    g_assert_cmpstr(f.up->memo, ==, "\"old\"");
    expect_ask(&f, PHASE_PART, 2, "PUT " CHUNKS "00003");
    g_assert_cmpstr(sent(&f, "OC-Total-Length"), ==, "41943040");
    g_assert_nonnull(sent(&f, "Destination"));
    g_assert_cmpuint(f.rq->body_bytes, ==, 8 * MIB);
    g_assert_cmpuint(f.rq->spans[0].offset, ==, 32 * MIB);
    expect(&f, PHASE_PART, 201, NULL, VERDICT_OK, FAULT_NONE);
    expect(&f, PHASE_PART, 404, NULL, VERDICT_RESTART, FAULT_UPLOAD_GONE);
    expect(&f, PHASE_PART, 507, NULL, VERDICT_FAIL, FAULT_QUOTA);
    expect_ask(&f, PHASE_CLOSE, 0, "MOVE " CHUNKS ".file");
    g_assert_cmpstr(sent(&f, "OC-Total-Length"), ==, "41943040");
    g_assert_cmpstr(sent(&f, "X-OC-Mtime"), ==, "1700000000");
    g_assert_true(f.rq->slow_answer);
    expect(&f, PHASE_CLOSE, 400, NULL, VERDICT_RESTART, FAULT_PART);
    expect(&f, PHASE_CLOSE, 423, NULL, VERDICT_RETRY, FAULT_CONFLICT);
    expect(&f, PHASE_CLOSE, 504, NULL, VERDICT_UNKNOWN, FAULT_UPLOAD_GONE);
    expect(&f, PHASE_CLOSE, 201, NULL, VERDICT_OK, FAULT_NONE);
    expect_ask(&f, PHASE_ABORT, 0, "DELETE " CHUNKS);
    clear(&f);
}

static void test_no_chunks_here(void)
{
    Fixture f;
    chunked(&f, "password=p");
    expect(&f, PHASE_OPEN, 404, NULL, VERDICT_RESTART, FAULT_UNSUPPORTED);
    upload(&f, "x/big", 40 * MIB);
    g_assert_cmpint(dav_way(f.up), ==, DAV_WHOLE);
    clear(&f);
    chunked(&f, "password=p");
    expect(&f, PHASE_OPEN, 405, NULL, VERDICT_MORE, FAULT_NONE); /* it was made before */
    clear(&f);
}

static void test_chunks_resume(void)
{
    static const char list[] =
        "<?xml version=\"1.0\"?><d:multistatus xmlns:d=\"DAV:\">"
        "<d:response><d:href>/remote.php/dav/uploads/me/hoist-x/</d:href><d:propstat><d:prop><d:getcontentlength/></d:prop>"
        "<d:status>HTTP/1.1 404 Not Found</d:status></d:propstat></d:response>"
        "<d:response><d:href>/u/00001</d:href><d:propstat><d:prop><d:getcontentlength>16777216</d:getcontentlength></d:prop>"
        "<d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
        "<d:response><d:href>/u/00002</d:href><d:propstat><d:prop><d:getcontentlength>16777215</d:getcontentlength></d:prop>"
        "<d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
        "<d:response><d:href>/u/3</d:href><d:propstat><d:prop><d:getcontentlength>8388608</d:getcontentlength></d:prop>"
        "<d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
        "<d:response><d:href>/u/00009</d:href><d:propstat><d:prop><d:getcontentlength>1</d:getcontentlength></d:prop>"
        "<d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response></d:multistatus>";
    Fixture f;
    chunked(&f, "password=p");
    f.up->parts[1].done = true; /* we thought so */
    expect_ask(&f, PHASE_RESUME, 0, "PROPFIND " CHUNKS);
    g_assert_cmpstr(sent(&f, "Depth"), ==, "1");
    expect(&f, PHASE_RESUME, 207, list, VERDICT_OK, FAULT_NONE);
    g_assert_true(f.up->parts[0].done);
    g_assert_false(f.up->parts[1].done);
    g_assert_false(f.up->parts[2].done);
    expect(&f, PHASE_RESUME, 404, NULL, VERDICT_RESTART, FAULT_UPLOAD_GONE);
    clear(&f);
}

/* The folder of chunks is gone: moved, or forgotten after a day. The time that we asked for and a new ETag tell. */
static void test_chunks_gone(void)
{
    static const struct {
        const char *etag, *modified;
        bool ours;
    } rows[] = {
        { "new", "Tue, 14 Nov 2023 22:13:20 GMT", true },
        { "old", "Tue, 14 Nov 2023 22:13:20 GMT", false }, /* what was there before */
        { "new", "Thu, 15 Jan 2026 09:30:00 GMT", false },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        Fixture f;
        chunked(&f, "password=p");
        upload_set(&f.up->memo, "\"old\"");
        expect_ask(&f, PHASE_VERIFY, 0, "PROPFIND " CHUNKS);
        expect(&f, PHASE_VERIFY, 404, NULL, VERDICT_MORE, FAULT_NONE);
        expect_ask(&f, PHASE_VERIFY, 0, "PROPFIND https://cloud.example.net/remote.php/dav/files/me/Photos/x/big");
        g_autofree char *body = described(40 * MIB, rows[i].etag, rows[i].modified, "");
        expect(&f, PHASE_VERIFY, 207, body, rows[i].ours ? VERDICT_OK : VERDICT_RESTART, rows[i].ours ? FAULT_NONE : FAULT_UPLOAD_GONE);
        clear(&f);
    }
}

/* ---- removal */

static void test_remove(void)
{
    Fixture f;
    open_at(&f, PLAIN, "");
    f.up = upload_new("a/b", 0, 0);
    expect_ask(&f, PHASE_REMOVE, 0, "PROPFIND https://files.example.net/base/a/b");
    g_autofree char *file = described(3, "x", "", "<D:resourcetype/>");
    expect(&f, PHASE_REMOVE, 207, file, VERDICT_MORE, FAULT_NONE);
    expect_ask(&f, PHASE_REMOVE, 0, "DELETE https://files.example.net/base/a/b");
    expect(&f, PHASE_REMOVE, 204, NULL, VERDICT_OK, FAULT_NONE);
    f.up->step = 0;
    g_autofree char *folder = described(3, "x", "", "<D:resourcetype><D:collection/></D:resourcetype>");
    expect(&f, PHASE_REMOVE, 207, folder, VERDICT_FAIL, FAULT_KEY);
    expect(&f, PHASE_REMOVE, 404, NULL, VERDICT_OK, FAULT_NONE);
    upload_free(f.up);
    f.up = upload_new("a/", 0, 0);
    g_free(asked(&f, PHASE_REMOVE, 0));
    g_assert_cmpint(fault_code(f.error), ==, FAULT_KEY);
    clear(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dest/dav/open-refuses", test_open_refuses);
    g_test_add_func("/dest/dav/addresses", test_addresses);
    g_test_add_func("/dest/dav/plan", test_plan);
    g_test_add_func("/dest/dav/plan-refuses", test_plan_refuses);
    g_test_add_func("/dest/dav/basic-is-sent-at-once", test_basic_is_sent_at_once);
    g_test_add_func("/dest/dav/bearer-wins-over-basic", test_bearer_wins_over_basic);
    g_test_add_func("/dest/dav/digest-is-learned", test_digest_is_learned);
    g_test_add_func("/dest/dav/wrong-password", test_wrong_password);
    g_test_add_func("/dest/dav/missing-secrets", test_missing_secrets);
    g_test_add_func("/dest/dav/staged-upload", test_staged_upload);
    g_test_add_func("/dest/dav/collections-are-made-once", test_collections_are_made_once);
    g_test_add_func("/dest/dav/collections-end", test_collections_end);
    g_test_add_func("/dest/dav/put-without-parent", test_put_without_parent);
    g_test_add_func("/dest/dav/refusals", test_refusals);
    g_test_add_func("/dest/dav/move-after-a-restart", test_move_after_a_restart);
    g_test_add_func("/dest/dav/parent-gone-before-move", test_parent_gone_before_move);
    g_test_add_func("/dest/dav/moves-that-fail", test_moves_that_fail);
    g_test_add_func("/dest/dav/long-name", test_long_name);
    g_test_add_func("/dest/dav/lost-move", test_lost_move);
    g_test_add_func("/dest/dav/move-not-done", test_move_not_done);
    g_test_add_func("/dest/dav/confirmed-is-compared", test_confirmed_is_compared);
    g_test_add_func("/dest/dav/only-new", test_only_new);
    g_test_add_func("/dest/dav/without-propfind", test_without_propfind);
    g_test_add_func("/dest/dav/chunked-upload", test_chunked_upload);
    g_test_add_func("/dest/dav/no-chunks-here", test_no_chunks_here);
    g_test_add_func("/dest/dav/chunks-resume", test_chunks_resume);
    g_test_add_func("/dest/dav/chunks-gone", test_chunks_gone);
    g_test_add_func("/dest/dav/remove", test_remove);
    return g_test_run();
}
