#include "errand.h"

#include <string.h>

#include "rate.h"
#include "settings.h"
#include "store.h"

enum { BACKOFF_BASE_MS = 500, BACKOFF_CAP_MS = 20000, MAX_AGAIN = 4 };

/* ---- DEST/KEY ---- */

/* Where the key begins, and the '/' before it belongs to neither half; 0 = there is none. */
static size_t key_start(const char *text, const DestOps *ops)
{
    const char *authority = strchr(text, '/');
    authority = authority != NULL && authority > text && authority[-1] == ':' && authority[1] == '/' ? authority - 1 : NULL;
    const char *slash =
        ops != NULL && ops->form == DEST_FORM_URL ? strrchr(text, '/') : strchr(authority != NULL ? authority + 3 : text, '/');
    if (slash == NULL || (authority != NULL && slash <= authority + 3))
        return 0;
    return (size_t)(slash + 1 - text);
}

bool errand_split(const char *dest_key, char **dest_out, char **key_out, GError **error)
{
    g_autofree char *scheme = g_strndup(dest_key, strcspn(dest_key, ":+/"));
    const char behind = dest_key[strlen(scheme)];
    const DestOps *ops = behind == ':' || behind == '+' ? dest_by_scheme(scheme) : NULL;
    const bool url = ops != NULL && ops->form == DEST_FORM_URL && behind == '+';
    const size_t start = key_start(dest_key, url ? ops : NULL);
    if (start < 2 || dest_key[start] == '\0') {
        g_autofree char *shown = hoist_text(dest_key);
        fault_set(error, FAULT_USAGE, "\"%s\" is not DEST/KEY: s3://BUCKET/KEY, or NAME/KEY with a [dest NAME] of config.ini", shown);
        return false;
    }
    *dest_out = g_strndup(dest_key, url ? start : start - 1);
    *key_out = url ? g_uri_unescape_string(dest_key + start, NULL) : NULL;
    if (*key_out == NULL)
        *key_out = g_strdup(dest_key + start);
    return true;
}

/* ---- which roads can ---- */

static const char *const words[] = { [ERRAND_SHARE] = "share", [ERRAND_REMOVE] = "remove" };

bool errand_possible(const DestOps *ops, ErrandKind kind)
{
    return kind == ERRAND_SHARE ? ops->share != NULL : ops->step[PHASE_REMOVE].ask != NULL;
}

static bool check_possible(const DestOps *ops, ErrandKind kind, GError **error)
{
    if (errand_possible(ops, kind))
        return true;
    g_autoptr(GString) list = g_string_new(NULL);
    for (const DestOps *const *other = dest_table(); *other != NULL; other++)
        if (errand_possible(*other, kind))
            g_string_append_printf(list, "%s%s", list->len > 0 ? ", " : "", (*other)->scheme);
    fault_set(error, FAULT_USAGE, "%s has no way to %s an object; these have: %s", ops->scheme, words[kind], list->str);
    return false;
}

/* ---- open and close ---- */

/* Everything but the secrets themselves. */
static bool prepare(Errand *errand, const HoistSettings *settings, const char *dest, ErrandKind kind, GError **error)
{
    errand->settings = hoist_settings_dup(settings);
    if (!hoist_settings_set(errand->settings, "to", dest, "DEST/KEY", error))
        return false;
    errand->conf = settings_dest(errand->settings, error);
    if (errand->conf == NULL)
        return false;
    errand->ops = dest_by_scheme(errand->conf->scheme);
    if (!check_possible(errand->ops, kind, error) || !settings_check_dest(errand->settings, NULL, NULL, error))
        return false;
    errand->priv = errand->ops->open(errand->conf, error);
    return errand->priv != NULL;
}

/* A link for the wrong region would be refused, and nothing is sent that could find out. */
static void recall(Errand *errand)
{
    const DestCtx ctx = { .ops = errand->ops, .conf = errand->conf, .priv = errand->priv };
    g_autofree char *dir = hoist_state_dir(errand->settings), *where = errand->ops->where(&ctx);
    StoreView *store = store_view_open(dir, NULL);
    g_autofree char *text = store == NULL ? NULL : store_view_learned(store, where);
    if (text != NULL)
        dest_learned_from_text(&errand->learned, text);
    store_view_close(store);
}

bool errand_open(Errand *errand, const HoistSettings *settings, const char *dest, ErrandKind kind, GError **error)
{
    g_autoptr(GError) unread = NULL; /* a destination that needs the files says so itself */
    if (!prepare(errand, settings, dest, kind, error))
        return false;
    errand->aws = aws_config_load(creds_env_process, NULL, NULL, &unread);
    recall(errand);
    errand->creds = creds_of_dest(errand->aws, errand->settings, errand->ops, errand->priv, error);
    return errand->creds != NULL;
}

void errand_clear(Errand *errand)
{
    if (errand->priv != NULL)
        errand->ops->close(errand->priv);
    g_clear_pointer(&errand->creds, credentials_free);
    g_clear_pointer(&errand->conf, dest_conf_free);
    g_clear_pointer(&errand->settings, hoist_settings_free);
    g_clear_pointer(&errand->aws, aws_config_free);
    dest_learned_clear(&errand->learned);
    *errand = (Errand){ 0 };
}

static DestCtx ctx_of(Errand *errand)
{
    return (DestCtx){ .ops = errand->ops,
                      .conf = errand->conf,
                      .priv = errand->priv,
                      .creds = errand->creds,
                      .learned = &errand->learned,
                      .now_s = g_get_real_time() / G_USEC_PER_SEC };
}

static char *full_key(const Errand *errand, const char *key)
{
    return g_strconcat(errand->conf->prefix != NULL ? errand->conf->prefix : "", key, NULL);
}

/* ---- one phase by hand ---- */

typedef struct {
    Errand *errand;
    Transfer *transfer;
    Upload *up;
    Phase phase;
    unsigned tries, agains;
    int status; /* of the last answer */
} Walked;

static TransferAnswer *send(Transfer *transfer, Request *rq)
{
    TransferAnswer *answer;
    transfer_start(transfer, rq, -1, NULL);
    while ((answer = transfer_take(transfer)) == NULL)
        transfer_wait(transfer, -1, -1);
    return answer;
}

/* Takes error. False: it stands. */
static bool try_later(Walked *w, GError *cause, int64_t retry_after_ms, GError **error)
{
    if (++w->tries >= ERRAND_TRIES) {
        g_propagate_error(error, cause);
        return false;
    }
    g_error_free(cause);
    g_usleep(
        (gulong)(1000 * MIN(backoff_ms(w->tries, BACKOFF_BASE_MS, BACKOFF_CAP_MS, retry_after_ms, g_random_double()), BACKOFF_CAP_MS)));
    return true;
}

static bool broken(Walked *w, TransferAnswer *answer, GError **error)
{
    GError *cause = g_steal_pointer(&answer->error);
    if (fault_info((int)fault_code(cause))->cure == CURE_TIME)
        return try_later(w, cause, -1, error);
    g_propagate_error(error, cause);
    return false;
}

/* True: go on, unless *done_out. */
static bool judge(Walked *w, const DestCtx *ctx, const Response *rs, bool *done_out, GError **error)
{
    GError *cause = NULL;
    w->status = rs->status;
    const Verdict verdict = w->errand->ops->step[w->phase].read(ctx, w->up, 0, rs, &cause);
    *done_out = verdict == VERDICT_OK;
    if (verdict == VERDICT_OK || verdict == VERDICT_MORE) {
        w->tries = w->agains = 0;
        g_clear_error(&cause);
        return true;
    }
    if (verdict == VERDICT_AGAIN && ++w->agains <= MAX_AGAIN) {
        g_clear_error(&cause);
        return true;
    }
    if (verdict == VERDICT_RETRY)
        return try_later(w, cause, response_retry_after_ms(rs, ctx->now_s + ctx->learned->clock_offset_s), error);
    g_propagate_error(error, cause);
    return false;
}

/* One request; *done_out when the phase is through. */
static bool walk_once(Walked *w, bool *done_out, GError **error)
{
    const DestCtx ctx = ctx_of(w->errand);
    Request *rq = NULL;
    if (!w->errand->ops->step[w->phase].ask(&ctx, w->up, 0, &rq, error))
        return false;
    if (rq == NULL) {
        *done_out = true;
        return true;
    }
    g_autoptr(TransferAnswer) answer = send(w->transfer, rq);
    return answer->rs == NULL ? broken(w, answer, error) : judge(w, &ctx, answer->rs, done_out, error);
}

static bool is_absent(int status)
{
    enum { QINIU_NO_SUCH_FILE = 612 };
    return status == 404 || status == 410 || status == QINIU_NO_SUCH_FILE;
}

bool errand_remove(Errand *errand, Transfer *transfer, const char *key, bool *absent_out, GError **error)
{
    g_autoptr(Upload) up = upload_new(key, 0, 0);
    Walked w = { .errand = errand, .transfer = transfer, .up = up, .phase = PHASE_REMOVE };
    bool done = false, absent = false;
    for (unsigned n = 0; n < ERRAND_MAX_REQUESTS && !done; n++) {
        if (!walk_once(&w, &done, error))
            return false;
        absent |= is_absent(w.status) && w.agains == 0 && w.tries == 0;
    }
    if (!done)
        fault_set(error, FAULT_BAD_ANSWER, "the server was asked %d times and is not through", ERRAND_MAX_REQUESTS);
    *absent_out = absent;
    return done;
}

/* ---- the face (hoist.h) ---- */

char *hoist_share(const HoistSettings *settings, const char *dest_key, unsigned seconds, GError **error)
{
    g_auto(Errand) errand = { 0 };
    g_autofree char *dest = NULL, *key = NULL;
    if (!errand_split(dest_key, &dest, &key, error) || !errand_open(&errand, settings, dest, ERRAND_SHARE, error))
        return NULL;
    const DestCtx ctx = ctx_of(&errand);
    g_autofree char *full = full_key(&errand, key);
    return errand.ops->share(&ctx, full, seconds, error);
}

static Transfer *transfer_of(const Errand *errand, GError **error)
{
    const char *profile = hoist_settings_get(errand->settings, "profile");
    g_autofree char *ca = errand->aws == NULL ? NULL : creds_ca_bundle(errand->aws, profile, creds_env_process, NULL);
    const TransferConf conf = { .max_connections = 1, .lanes = 1, .ca_file = ca };
    return transfer_new(&conf, error);
}

/* Everything that can be wrong with the words themselves, before the first object is gone. */
static bool check_all(const HoistSettings *settings, char *const *dest_keys, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (; *dest_keys != NULL; dest_keys++) {
        g_auto(Errand) errand = { 0 };
        g_autofree char *dest = NULL, *key = NULL;
        if (!errand_split(*dest_keys, &dest, &key, error))
            return false;
        if (g_hash_table_contains(seen, dest))
            continue;
        if (!prepare(&errand, settings, dest, ERRAND_REMOVE, error))
            return false;
        g_hash_table_add(seen, g_steal_pointer(&dest));
    }
    return true;
}

/* All keys of one destination, from the first on; those that are done are marked. */
static bool remove_of(const HoistSettings *settings, char *const *dest_keys, unsigned first, bool *marks, HoistRemoved each, void *ctx,
                      GError **error)
{
    g_auto(Errand) errand = { 0 };
    g_autofree char *dest = NULL, *unused = NULL;
    if (!errand_split(dest_keys[first], &dest, &unused, error) || !errand_open(&errand, settings, dest, ERRAND_REMOVE, error))
        return false;
    Transfer *transfer = transfer_of(&errand, error);
    for (unsigned i = first; transfer != NULL && dest_keys[i] != NULL; i++) {
        g_autofree char *its_dest = NULL, *key = NULL;
        g_autoptr(GError) cause = NULL;
        bool absent = false;
        if (marks[i] || !errand_split(dest_keys[i], &its_dest, &key, NULL) || !g_str_equal(its_dest, dest))
            continue;
        g_autofree char *full = full_key(&errand, key);
        marks[i] = true;
        const bool done = errand_remove(&errand, transfer, full, &absent, &cause);
        each(dest_keys[i], done && !absent, done ? NULL : cause, ctx);
    }
    transfer_free(transfer);
    return transfer != NULL;
}

bool hoist_remove(const HoistSettings *settings, char *const *dest_keys, HoistRemoved each, void *ctx, GError **error)
{
    if (!check_all(settings, dest_keys, error))
        return false;
    g_autofree bool *marks = g_new0(bool, g_strv_length((char **)dest_keys) + 1);
    for (unsigned i = 0; dest_keys[i] != NULL; i++)
        if (!marks[i] && !remove_of(settings, dest_keys, i, marks, each, ctx, error))
            return false;
    return true;
}
