#include "tus_priv.h"

#include <string.h>

/* What OPTIONS told, as facts of the endpoint. A server may be given more to do later: it is asked again after a day. */
#define FACT_ASKED      "tus.asked"      /* when, wall clock s */
#define FACT_EXTENSIONS "tus.extensions" /* "creation,termination" */
#define FACT_MAX_SIZE   "tus.max-size"
#define FACT_SUMS       "tus.checksums" /* "sha1,md5" */
#define FACT_BODY_MAX   "tus.body-max"  /* learned from 413 */
#define FACT_MOVED      "tus.moved"     /* where creation was redirected to */

enum { ASK_AGAIN_S = 24 * 3600 };

#define BODY_FIRST_CUT (UINT64_C(64) << 20)
#define BODY_LEAST     (UINT64_C(64) << 10)

static uint64_t fact_number(const DestCtx *ctx, const char *name)
{
    guint64 number = 0;
    const char *text = dest_learned_fact(ctx->learned, name);
    return text != NULL && g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, &number, NULL) ? number : 0;
}

static void set_number(const DestCtx *ctx, const char *name, uint64_t number)
{
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, number);
    dest_learned_set_fact(ctx->learned, name, text);
}

static bool in_list(const char *list, const char *word)
{
    g_auto(GStrv) words = g_strsplit(list == NULL ? "" : list, ",", -1);
    return g_strv_contains((const char *const *)words, word);
}

bool tus_knows(const DestCtx *ctx)
{
    const int64_t asked_s = (int64_t)fact_number(ctx, FACT_ASKED);
    return asked_s != 0 && asked_s + ASK_AGAIN_S > ctx->now_s && asked_s - ASK_AGAIN_S < ctx->now_s;
}

bool tus_has(const DestCtx *ctx, const char *extension)
{
    return tus_of(ctx) != NULL && in_list(dest_learned_fact(ctx->learned, FACT_EXTENSIONS), extension);
}

void tus_forget(const DestCtx *ctx, const char *extension)
{
    g_autoptr(GStrvBuilder) kept = g_strv_builder_new();
    g_auto(GStrv) words = g_strsplit(dest_learned_fact(ctx->learned, FACT_EXTENSIONS), ",", -1);
    for (unsigned i = 0; words[i] != NULL; i++)
        if (!g_str_equal(words[i], extension))
            g_strv_builder_add(kept, words[i]);
    g_auto(GStrv) rest = g_strv_builder_end(kept);
    g_autofree char *list = g_strjoinv(",", rest);
    dest_learned_set_fact(ctx->learned, FACT_EXTENSIONS, list);
}

uint64_t tus_max_bytes(const DestCtx *ctx)
{
    return fact_number(ctx, FACT_MAX_SIZE);
}

uint64_t tus_body_max(const DestCtx *ctx)
{
    const uint64_t most = fact_number(ctx, FACT_BODY_MAX);
    return most == 0 ? G_MAXUINT64 : most;
}

bool tus_cut_body(const DestCtx *ctx, uint64_t bytes)
{
    if (bytes <= BODY_LEAST)
        return false;
    set_number(ctx, FACT_BODY_MAX, MAX(MIN(bytes / 2, BODY_FIRST_CUT), BODY_LEAST));
    return true;
}

bool tus_sum(const DestCtx *ctx, DigestKind *kind_out)
{
    static const DigestKind best_first[] = { DIGEST_SHA1, DIGEST_SHA256, DIGEST_MD5 };
    const Tus *tus = tus_of(ctx);
    if (tus == NULL || tus->sum == TUS_SUM_NONE || !tus_has(ctx, "checksum"))
        return false;
    const char *sums = dest_learned_fact(ctx->learned, FACT_SUMS);
    for (unsigned i = 0; i < G_N_ELEMENTS(best_first); i++)
        if ((tus->sum == TUS_SUM_AUTO || tus->kind == best_first[i]) && in_list(sums, digest_name(best_first[i]))) {
            *kind_out = best_first[i];
            return true;
        }
    return false;
}

void tus_sum_refused(const DestCtx *ctx)
{
    tus_forget(ctx, "checksum");
}

const char *tus_create_url(const DestCtx *ctx)
{
    const char *moved = dest_learned_fact(ctx->learned, FACT_MOVED);
    return moved != NULL && tus_same_origin(moved, tus_of(ctx)->endpoint) ? moved : tus_of(ctx)->endpoint;
}

void tus_moved(const DestCtx *ctx, const char *url)
{
    dest_learned_set_fact(ctx->learned, FACT_MOVED, url);
}

/* ---- OPTIONS */

bool tus_ask_look(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)part, (void)error;
    if (!tus_knows(ctx))
        *rq_out = tus_request(ctx, up, "OPTIONS", tus_create_url(ctx));
    return true;
}

/* The known words of a list, in lower case; what a server invents is not kept. Caller frees. */
static char *known_words(const char *list, const char *const *known)
{
    g_autoptr(GStrvBuilder) kept = g_strv_builder_new();
    g_autofree char *lower = g_ascii_strdown(list == NULL ? "" : list, -1);
    g_auto(GStrv) words = g_strsplit(lower, ",", -1);
    for (unsigned i = 0; known[i] != NULL; i++)
        for (unsigned k = 0; words[k] != NULL; k++)
            if (g_str_equal(g_strstrip(words[k]), known[i])) {
                g_strv_builder_add(kept, known[i]);
                break;
            }
    g_auto(GStrv) found = g_strv_builder_end(kept);
    return g_strjoinv(",", found);
}

static void learn(const DestCtx *ctx, const Response *rs, bool is_tus)
{
    static const char *const extensions[] = { "creation",    "creation-with-upload", "expiration", "checksum",
                                              "termination", "concatenation",        NULL };
    static const char *const sums[] = { "sha1", "sha256", "md5", NULL };
    g_autofree char *has = is_tus ? known_words(response_header(rs, "tus-extension"), extensions) : g_strdup("creation");
    g_autofree char *knows = known_words(response_header(rs, "tus-checksum-algorithm"), sums);
    uint64_t most = 0;
    const bool limited = is_tus && tus_number(rs, "tus-max-size", &most) && most > 0;
    DestLearned *l = ctx->learned;
    dest_learned_set_fact(l, FACT_EXTENSIONS, has);
    dest_learned_set_fact(l, FACT_SUMS, *knows != '\0' ? knows : "sha1"); /* which every server must know */
    dest_learned_set_fact(l, FACT_BODY_MAX, NULL);
    dest_learned_set_fact(l, FACT_MAX_SIZE, NULL);
    if (limited)
        set_number(ctx, FACT_MAX_SIZE, most);
    set_number(ctx, FACT_ASKED, (uint64_t)ctx->now_s);
}

/* A server that does not answer OPTIONS may work all the same; what it lacks shows when it is asked for it. */
Verdict tus_read_look(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)up, (void)part;
    const char *versions = response_header(rs, "tus-version");
    const bool fine = rs->status >= 200 && rs->status < 300;
    const bool is_tus = fine && (versions != NULL || response_header(rs, "tus-extension") != NULL);
    g_autofree char *ours = versions == NULL ? NULL : known_words(versions, (const char *const[]){ "1.0.0", NULL });
    g_autofree char *to = NULL;
    if (is_tus && ours != NULL && *ours == '\0') {
        fault_set(error, FAULT_UNSUPPORTED, "the server speaks another version of tus than 1.0.0");
        return VERDICT_FAIL;
    }
    if (tus_redirect(tus_create_url(ctx), rs, &to, NULL)) {
        fault_set(error, FAULT_ENDPOINT, "%d: the server sends on in circles", rs->status);
        tus_moved(ctx, to);
        return VERDICT_AGAIN;
    }
    if (fine || rs->status == 404 || rs->status == 405 || rs->status == 501)
        learn(ctx, rs, is_tus);
    return VERDICT_OK;
}
