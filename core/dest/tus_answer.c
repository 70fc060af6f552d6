#include "tus_priv.h"

#include "answer.h"

#include <string.h>

#define MAX_WORDS_BYTES 400

/* tus 1.0, "Core Protocol" and "Checksum"; 423 is tusd's and others'. */
static const AnswerRow rows[] = {
    { 412, NULL, VERDICT_FAIL, FAULT_UNSUPPORTED, "the server does not speak tus 1.0.0" },
    { 415, NULL, VERDICT_FAIL, FAULT_REFUSED, "a proxy changes the type of the body" },
    { 423, NULL, VERDICT_RETRY, FAULT_CONFLICT, "an earlier connection still holds this upload" },
    { 460, NULL, VERDICT_RETRY, FAULT_CHECKSUM, "what arrived is not what was sent" },
    { 0, NULL, VERDICT_OK, FAULT_NONE, NULL },
};

/* A token may have ended: its source is read anew, once. */
static const AnswerRow rows_with_token[] = {
    { 401, NULL, VERDICT_FAIL, FAULT_EXPIRED, "the token is wrong, or its time is over" },
    { 0, NULL, VERDICT_OK, FAULT_NONE, NULL },
};
static const AnswerRow rows_without[] = {
    { 401, NULL, VERDICT_FAIL, FAULT_DENIED, "the server wants a token (HOIST_TUS_TOKEN), or --user and a password (HOIST_TUS_PASSWORD)" },
    { 0, NULL, VERDICT_OK, FAULT_NONE, NULL },
};

bool tus_is_one_of(int status, const int *statuses, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (status == statuses[i])
            return true;
    return false;
}

bool tus_number(const Response *rs, const char *lower_case_name, uint64_t *out)
{
    guint64 number;
    const char *value = response_header(rs, lower_case_name);
    if (value == NULL || !g_ascii_string_to_unsigned(value, 10, 0, G_MAXINT64, &number, NULL))
        return false;
    *out = number;
    return true;
}

Verdict tus_failed(const DestCtx *ctx, const Response *rs, GError **error)
{
    g_autofree char *words = g_strndup((const char *)rs->body->data, MIN(rs->body->len, MAX_WORDS_BYTES));
    const bool has_token = credentials_secret(ctx->creds, "token") != NULL;
    const bool ours = rs->status == 401 && tus_of(ctx) != NULL;
    return answer_failed(!ours ? rows : has_token ? rows_with_token : rows_without, rs, NULL, words, ctx->creds, error);
}

bool tus_redirect(const char *from, const Response *rs, char **url_out, GError **error)
{
    const char *location = response_header(rs, "location");
    if ((rs->status != 307 && rs->status != 308) || location == NULL)
        return false;
    g_autofree char *url = tus_resolve(from, location, NULL);
    if (url == NULL || !tus_same_origin(from, url)) {
        fault_set(error, FAULT_ENDPOINT, "%d: the server sends on to another address; name that one with --to", rs->status);
        return false;
    }
    fault_set(error, FAULT_ENDPOINT, "%d: the server sends on in circles", rs->status);
    *url_out = g_steal_pointer(&url);
    return true;
}

bool tus_expired(const DestCtx *ctx, const Response *rs)
{
    int64_t expires_s, now_s = ctx->now_s + ctx->learned->clock_offset_s;
    const char *value = response_header(rs, "upload-expires");
    if (value == NULL)
        return false;
    g_autoptr(Response) as_date = response_new(); /* the forms of dates are read in one place */
    response_add_header(as_date, "date", strlen("date"), value, strlen(value));
    if (!response_date(as_date, &expires_s))
        return false;
    response_date(rs, &now_s); /* both by the server's clock, when it tells it */
    return expires_s <= now_s;
}

Verdict tus_not_tus(const Response *rs, const char *header, Verdict verdict, GError **error)
{
    const bool tus = response_header(rs, "tus-resumable") != NULL;
    fault_set(error, FAULT_BAD_ANSWER, "%d without %s: %s", rs->status, header,
              tus ? "the server breaks the protocol, or a proxy drops its headers" : "no tus server answers here");
    return verdict;
}
