#include "answer.h"

#include <stdlib.h>
#include <string.h>

#define MAX_CODE_BYTES 64

/* ---- words for the person */

/* Printable and short: what a server says goes to a terminal. */
static char *plain_words(const char *text, size_t max_bytes)
{
    GString *out = g_string_new(NULL);
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    for (const char *p = valid; *p != '\0' && out->len < max_bytes; p = g_utf8_next_char(p)) {
        const gunichar c = g_utf8_get_char(p);
        if (g_unichar_isspace(c)) {
            if (out->len > 0 && out->str[out->len - 1] != ' ')
                g_string_append_c(out, ' ');
        } else {
            g_string_append_unichar(out, g_unichar_isprint(c) ? c : 0xfffd);
        }
    }
    return g_strchomp(g_string_free(out, FALSE));
}

static char *mask(char *text, const char *secret)
{
    if (secret == NULL || *secret == '\0' || strstr(text, secret) == NULL)
        return text;
    g_auto(GStrv) pieces = g_strsplit(text, secret, -1);
    g_free(text);
    return g_strjoinv("***", pieces);
}

static char *mask_secrets(char *text, const Credentials *creds)
{
    GHashTableIter it;
    gpointer secret;
    if (creds == NULL)
        return text;
    text = mask(mask(mask(text, creds->session_token), creds->secret_key), creds->access_key);
    if (creds->secrets == NULL)
        return text;
    g_hash_table_iter_init(&it, creds->secrets);
    while (g_hash_table_iter_next(&it, NULL, &secret))
        text = mask(text, secret);
    return text;
}

/* Servers quote what they were sent: values behind these words say how a request was signed, and queries of URLs are signatures. */
static char *mask_signing(char *text)
{
    static const struct {
        const char *pattern, *with;
    } rules[] = {
        { "(https?://[^\\s\"'<>?]*\\?)[^\\s\"'<>]+", "\\1***" },
        { "(signature|credential|token|accesskeyid|stringtosign|canonicalrequest|\\bsig(?=\\s*=))"
          "([\\w-]*[\"']?\\s*[=:>]\\s*[\"']?)[^\\s\"'<>,;&]+",
          "\\1\\2***" },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rules); i++) {
        g_autoptr(GRegex) regex = g_regex_new(rules[i].pattern, G_REGEX_CASELESS, 0, NULL);
        char *masked = g_regex_replace(regex, text, -1, 0, rules[i].with, 0, NULL);
        if (masked == NULL)
            continue;
        g_free(text);
        text = masked;
    }
    return text;
}

char *answer_words(const char *text, size_t max_bytes, const Credentials *creds)
{
    g_autofree char *masked = mask_secrets(mask_signing(g_utf8_make_valid(text, -1)), creds);
    return plain_words(masked, max_bytes);
}

char *answer_cause_hint(int status, const char *code, const char *message, const char *hint, const char *request_id,
                        const Credentials *creds)
{
    g_autofree char *words = message == NULL ? NULL : answer_words(message, ANSWER_MAX_CAUSE_BYTES, creds);
    g_autofree char *plain_code = code == NULL ? NULL : answer_words(code, MAX_CODE_BYTES, creds);
    g_autofree char *id = request_id == NULL ? NULL : answer_words(request_id, MAX_CODE_BYTES, creds);
    const bool has_code = plain_code != NULL && *plain_code != '\0', has_words = words != NULL && *words != '\0';

    GString *out = g_string_new(NULL);
    g_string_append_printf(out, "%d%s%s: %s", status, has_code ? " " : "", has_code ? plain_code : "",
                           has_words ? words : "no words from the server");
    if (hint != NULL)
        g_string_append_printf(out, " - %s", hint);
    if (id != NULL && *id != '\0')
        g_string_append_printf(out, " (request %s)", id);
    return g_string_free(out, FALSE);
}

char *answer_cause(int status, const char *code, const char *message, const char *request_id, const Credentials *creds)
{
    return answer_cause_hint(status, code, message, NULL, request_id, creds);
}

/* ---- meaning */

/* Statuses alone; classes of a hundred come last. */
static const AnswerRow common[] = {
    { 401, NULL, VERDICT_FAIL, FAULT_DENIED, NULL },
    { 403, NULL, VERDICT_FAIL, FAULT_DENIED, NULL },
    { 404, NULL, VERDICT_FAIL, FAULT_ENDPOINT, NULL },
    { 405, NULL, VERDICT_FAIL, FAULT_UNSUPPORTED, NULL },
    { 407, NULL, VERDICT_FAIL, FAULT_PROXY, NULL },
    { 408, NULL, VERDICT_RETRY, FAULT_STALLED, NULL },
    { 409, NULL, VERDICT_RETRY, FAULT_CONFLICT, NULL },
    { 410, NULL, VERDICT_FAIL, FAULT_ENDPOINT, NULL },
    { 412, NULL, VERDICT_FAIL, FAULT_EXISTS, NULL },
    { 413, NULL, VERDICT_FAIL, FAULT_TOO_LARGE, "a proxy or the server limits the size of a request" },
    { 423, NULL, VERDICT_RETRY, FAULT_CONFLICT, "the server keeps it locked" },
    { 425, NULL, VERDICT_RETRY, FAULT_SERVER, NULL },
    { 429, NULL, VERDICT_RETRY, FAULT_SLOW_DOWN, NULL },
    { 501, NULL, VERDICT_FAIL, FAULT_UNSUPPORTED, NULL },
    { 503, NULL, VERDICT_RETRY, FAULT_SLOW_DOWN, NULL },
    { 507, NULL, VERDICT_FAIL, FAULT_QUOTA, NULL },
};

static const AnswerRow classes[] = {
    [0] = { 0, NULL, VERDICT_RETRY, FAULT_BAD_ANSWER, NULL },
    [1] = { 0, NULL, VERDICT_RETRY, FAULT_BAD_ANSWER, NULL },
    [2] = { 0, NULL, VERDICT_RETRY, FAULT_BAD_ANSWER, NULL },
    [3] = { 0, NULL, VERDICT_FAIL, FAULT_ENDPOINT, "the server sends on to another address" },
    [4] = { 0, NULL, VERDICT_FAIL, FAULT_REFUSED, NULL },
    [5] = { 0, NULL, VERDICT_RETRY, FAULT_SERVER, NULL },
};

static bool has_word(const char *text, const char *word)
{
    if (text == NULL)
        return false;
    g_autofree char *lower = g_ascii_strdown(text, -1), *lower_word = g_ascii_strdown(word, -1);
    return strstr(lower, lower_word) != NULL;
}

static const AnswerRow *find_row(const AnswerRow *rows, int status, const char *code, const char *message)
{
    for (const AnswerRow *row = rows; row != NULL && (row->status != 0 || row->verdict != VERDICT_OK || row->fault != FAULT_NONE); row++)
        if ((row->status == 0 || row->status == status) && (row->word == NULL || has_word(code, row->word) || has_word(message, row->word)))
            return row;
    for (unsigned i = 0; i < G_N_ELEMENTS(common); i++)
        if (common[i].status == status)
            return &common[i];
    return &classes[CLAMP(status / 100, 0, (int)G_N_ELEMENTS(classes) - 1)];
}

Verdict answer_failed(const AnswerRow *rows, const Response *rs, const char *code, const char *message, const Credentials *creds,
                      GError **error)
{
    const AnswerRow *row = find_row(rows, rs->status, code, message);
    const char *id = response_header(rs, "x-request-id");
    if (id == NULL)
        id = response_header(rs, "x-ms-request-id");
    g_autofree char *cause = answer_cause_hint(rs->status, code, message, row->hint, id, creds);
    fault_set(error, row->fault, "%s", cause);
    return row->verdict;
}

bool answer_learn_clock(const DestCtx *ctx, const Response *rs)
{
    int64_t server_s;
    if (!response_date(rs, &server_s) || llabs(server_s - ctx->now_s - ctx->learned->clock_offset_s) <= ANSWER_CLOCK_LEEWAY_S)
        return false;
    ctx->learned->clock_offset_s = server_s - ctx->now_s;
    ctx->learned->dirty = true;
    return true;
}
