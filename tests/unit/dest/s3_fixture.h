/* s3_fixture.h - an S3 destination without a network: options in, requests out, answers in. Used by the tests of s3*.c and post.c only. */
#pragma once

#include <string.h>

#include "core/dest/dest.h"

#define FIXTURE_NOW_S 1768469400 /* 2026-01-15T09:30:00Z */
#define MIB           (UINT64_C(1) << 20)

typedef struct {
    DestConf   *conf;
    Credentials creds;
    DestLearned learned;
    DestCtx     ctx;
    Upload     *up;
    Request    *rq;     /* the last one asked for */
    GError     *error;  /* of the last ask or read */
} Fixture;

/* options: name, value, ..., NULL; may be NULL. */
static inline void fixture_open_to(Fixture *f, const char *to, const char *endpoint, const char *const *options)
{
    *f = (Fixture){ .conf = dest_conf_new() };
    g_assert_true(dest_conf_parse(f->conf, to, NULL));
    f->conf->endpoint = g_strdup(endpoint);
    for (unsigned i = 0; options != NULL && options[i] != NULL; i += 2)
        g_hash_table_insert(f->conf->options, g_strdup(options[i]), g_strdup(options[i + 1]));
    f->creds = (Credentials){ .access_key = (char *)"AKIDEXAMPLE", .secret_key = (char *)"SECRETSECRETSECRET", .session_token = (char *)"TOKENTOKENTOKEN" };
    const DestOps *ops = dest_by_scheme(f->conf->scheme);
    f->ctx = (DestCtx){ .ops = ops, .conf = f->conf, .creds = &f->creds, .learned = &f->learned, .now_s = FIXTURE_NOW_S };
    f->ctx.priv = ops->open(f->conf, &f->error);
}

static inline void fixture_open(Fixture *f, const char *endpoint, const char *const *options)
{
    fixture_open_to(f, "s3://bucket/pre", endpoint, options);
}

static inline void fixture_clear(Fixture *f)
{
    if (f->ctx.priv != NULL)
        f->ctx.ops->close(f->ctx.priv);
    upload_free(f->up);
    request_free(f->rq);
    dest_conf_free(f->conf);
    g_clear_error(&f->error);
    *f = (Fixture){ 0 };
}

/* An upload of `bytes` times `fill`, planned with parts of part_size (0 = as s3 likes), with the digests that s3 wants. */
static inline void fixture_upload(Fixture *f, uint64_t bytes, uint64_t part_size, char fill)
{
    upload_free(f->up);
    f->up = upload_new("pre/a b.txt", bytes, INT64_C(1700000000123456789));
    f->up->nonce = g_strdup("0123456789abcdef0123456789abcdef");
    f->up->content_type = g_strdup("text/plain");
    g_assert_true(f->ctx.ops->plan(&f->ctx, f->up, part_size, NULL));
    g_autofree char *data = g_strnfill(f->up->part_size, fill);
    for (unsigned i = 0; i < f->up->n_parts; i++) {
        f->up->parts[i].digest = g_new0(DigestSet, 1);
        digest_of(f->ctx.ops->digests(&f->ctx, f->up), data, upload_part_bytes(f->up, i), f->up->parts[i].digest);
    }
}

static inline bool fixture_ask(Fixture *f, Phase phase, unsigned part)
{
    g_clear_error(&f->error);
    g_clear_pointer(&f->rq, request_free);
    return f->ctx.ops->step[phase].ask(&f->ctx, f->up, part, &f->rq, &f->error);
}

/* Value of a header of the last request, or NULL. */
static inline const char *fixture_sent(const Fixture *f, const char *name)
{
    const size_t bytes = strlen(name);
    for (unsigned i = 0; i < f->rq->headers->len; i++) {
        const char *line = f->rq->headers->pdata[i];
        if (g_ascii_strncasecmp(line, name, bytes) == 0 && strncmp(line + bytes, ": ", 2) == 0)
            return line + bytes + 2;
    }
    return NULL;
}

/* headers: "Name: value\n..." or NULL. */
static inline Verdict fixture_read(Fixture *f, Phase phase, unsigned part, int status, const char *headers, const char *body)
{
    g_clear_error(&f->error);
    g_autoptr(Response) rs = response_new();
    rs->status = status;
    g_auto(GStrv) lines = g_strsplit(headers == NULL ? "" : headers, "\n", -1);
    for (unsigned i = 0; lines[i] != NULL; i++) {
        const char *colon = strchr(lines[i], ':');
        if (colon != NULL)
            response_add_header(rs, lines[i], (size_t)(colon - lines[i]), colon + 1, strlen(colon + 1));
    }
    if (body != NULL)
        g_byte_array_append(rs->body, (const guint8 *)body, (guint)strlen(body));
    const Verdict verdict = f->ctx.ops->step[phase].read(&f->ctx, f->up, part, rs, &f->error);
    if (verdict == VERDICT_OK || verdict == VERDICT_MORE)
        g_assert_no_error(f->error);
    else
        g_assert_nonnull(f->error);
    if (f->error != NULL) {
        g_assert_null(strstr(f->error->message, f->creds.secret_key));
        g_assert_null(strstr(f->error->message, f->creds.session_token));
    }
    return verdict;
}

static inline char *fixture_error(const char *code, const char *more)
{
    return g_strdup_printf("<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>words</Message>%s<RequestId>R1</RequestId></Error>", code, more);
}

/* Reads <Error> with this status and code. */
static inline Verdict fixture_fail(Fixture *f, Phase phase, int status, const char *code, const char *more)
{
    g_autofree char *body = fixture_error(code, more);
    return fixture_read(f, phase, 0, status, NULL, body);
}

/* "x-amz-checksum-NAME: VALUE" for a part, or for the whole object (part -1). */
static inline char *fixture_checksum_header(const Fixture *f, DigestKind kind, int part)
{
    DigestSet whole = { .have = DIGEST_BIT(kind) };
    if (part < 0)
        g_assert_true(upload_object_digest(f->up, kind, whole.value[kind]));
    g_autofree char *value = digest_base64(part < 0 ? &whole : f->up->parts[part].digest, kind);
    return g_strdup_printf("x-amz-checksum-%s: %s\n", digest_name(kind), value);
}
