/* session_fixture.h - a road that a broker's grant leads to, without a network: requests out, answers in. Used by the tests of session.c,
 * azure.c and chunks.c only. */
#pragma once

#include <string.h>

#include "core/dest/session.h"

#define NOW_S INT64_C(1768469400) /* 2026-01-15T09:30:00Z */
#define MIB   (UINT64_C(1) << 20)
#define KIB   (UINT64_C(1) << 10)
#define NONCE "0123456789abcdef0123456789abcdef"

typedef struct {
    DestConf   *conf;
    Credentials creds;
    DestLearned learned;
    DestCtx     ctx;
    Upload     *up;
    Request    *rq;
    GError     *error;
} Fixture;

/* options: name, value, ..., NULL; may be NULL. secret: name, value, or NULL. */
static inline void fixture_open(Fixture *f, const DestOps *ops, const char *endpoint, const char *const *options, const char *const secret[2])
{
    *f = (Fixture){ .conf = dest_conf_new() };
    f->conf->endpoint = g_strdup(endpoint);
    for (unsigned i = 0; options != NULL && options[i] != NULL; i += 2)
        g_hash_table_insert(f->conf->options, g_strdup(options[i]), g_strdup(options[i + 1]));
    if (secret != NULL) {
        f->creds.secrets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, secret_free);
        g_hash_table_insert(f->creds.secrets, g_strdup(secret[0]), g_strdup(secret[1]));
    }
    f->ctx = (DestCtx){ .ops = ops, .conf = f->conf, .creds = &f->creds, .learned = &f->learned, .now_s = NOW_S };
    f->ctx.priv = ops->open(f->conf, &f->error);
}

static inline void fixture_upload(Fixture *f, const char *key, uint64_t bytes, uint64_t part_size)
{
    upload_free(f->up);
    f->up = upload_new(key, bytes, INT64_C(1700000000123456789));
    f->up->nonce = g_strdup(NONCE);
    f->up->content_type = g_strdup("image/png");
    g_assert_true(f->ctx.ops->plan(&f->ctx, f->up, part_size, NULL));
}

/* lines: "Name: value" headers, NULL. */
static inline void fixture_grant(Fixture *f, const char *url, const char *const *lines)
{
    grant_free(f->up->grant);
    f->up->grant = g_new0(Grant, 1);
    f->up->grant->url = g_strdup(url);
    f->up->grant->headers = g_ptr_array_new_with_free_func(g_free);
    for (unsigned i = 0; lines != NULL && lines[i] != NULL; i++)
        g_ptr_array_add(f->up->grant->headers, g_strdup(lines[i]));
}

static inline void fixture_clear(Fixture *f)
{
    if (f->ctx.priv != NULL)
        f->ctx.ops->close(f->ctx.priv);
    upload_free(f->up);
    request_free(f->rq);
    dest_conf_free(f->conf);
    g_clear_pointer(&f->creds.secrets, g_hash_table_unref);
    g_clear_error(&f->error);
    *f = (Fixture){ 0 };
}

static inline void digests(Fixture *f, char fill)
{
    g_autofree char *data = g_strnfill(f->up->size_bytes, fill);
    for (unsigned i = 0; i < f->up->n_parts; i++) {
        f->up->parts[i].digest = g_new0(DigestSet, 1);
        digest_of(f->ctx.ops->digests(&f->ctx, f->up), data, upload_part_bytes(f->up, i), f->up->parts[i].digest);
    }
}

static inline void ask(Fixture *f, Phase phase, unsigned part)
{
    g_clear_error(&f->error);
    g_clear_pointer(&f->rq, request_free);
    g_assert_true(f->ctx.ops->step[phase].ask(&f->ctx, f->up, part, &f->rq, &f->error));
    g_assert_no_error(f->error);
}

/* "METHOD URL|header|header bytes@offset" of the last request. */
static inline void assert_asked(Fixture *f, Phase phase, unsigned part, const char *expected)
{
    ask(f, phase, part);
    GString *text = g_string_new(f->rq->method);
    g_string_append_printf(text, " %s", f->rq->url);
    for (unsigned i = 0; i < f->rq->headers->len; i++)
        g_string_append_printf(text, "|%s", (char *)f->rq->headers->pdata[i]);
    if (f->rq->n_spans > 0)
        g_string_append_printf(text, " %d@%d", (int)f->rq->spans[0].length, (int)f->rq->spans[0].offset);
    g_assert_cmpstr(text->str, ==, expected);
    g_string_free(text, TRUE);
}

/* headers: "name: value\n..." */
static inline Verdict answer(Fixture *f, Phase phase, unsigned part, int status, const char *headers, const char *body)
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
    g_assert_cmpint(f->error == NULL, ==, verdict == VERDICT_OK || verdict == VERDICT_MORE);
    if (f->error != NULL) {
        g_assert_null(strstr(f->error->message, "SIGNATURE"));
        g_assert_null(strstr(f->error->message, "SESSIONID"));
    }
    return verdict;
}
