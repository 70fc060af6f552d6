#include "qiniu_priv.h"

#include <inttypes.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

/* developer.qiniu.com/kodo: limits of multipart v2 and of forms. */
#define PART_MIN_BYTES MIB
#define PART_MAX_BYTES GIB
#define FORM_MAX_BYTES GIB
#define MAX_PARTS      10000

enum { MAX_ASKED = 4096 };

/* ---- plan */

static bool plan_form(Upload *up, GError **error)
{
    if (up->size_bytes > FORM_MAX_BYTES) {
        fault_set(error, FAULT_TOO_LARGE, "Qiniu takes forms up to 1 GiB (--qiniu-version v2 sends larger files)");
        return false;
    }
    upload_plan(up, false, 0);
    return true;
}

/* Parts of 4 MiB as long as there are enough of them: the hash of the object then follows from theirs. */
static bool plan_parts(Upload *up, uint64_t wanted, GError **error)
{
    if (up->size_bytes > MAX_PARTS * PART_MAX_BYTES) {
        fault_set(error, FAULT_TOO_LARGE, "Qiniu takes objects up to %d parts of 1 GiB", MAX_PARTS);
        return false;
    }
    if (wanted > PART_MAX_BYTES || (wanted > 0 && wanted < PART_MIN_BYTES)) {
        fault_set(error, FAULT_USAGE, "--part-size is 1 MiB to 1 GiB for Qiniu");
        return false;
    }
    const uint64_t at_least = (up->size_bytes + MAX_PARTS - 1) / MAX_PARTS;
    const uint64_t part = MAX(wanted > 0 ? wanted : QINIU_BLOCK_BYTES, at_least);
    upload_plan(up, true, (part + MIB - 1) / MIB * MIB);
    return true;
}

static bool qiniu_plan(const DestCtx *ctx, Upload *up, uint64_t part_size_wanted, GError **error)
{
    const Qiniu *q = qiniu_of(ctx);
    const size_t key_bytes = strlen(up->key);
    if (key_bytes == 0 || key_bytes > QINIU_MAX_KEY_BYTES || !g_utf8_validate(up->key, -1, NULL)) {
        fault_set(error, FAULT_KEY, "a key of Qiniu is UTF-8 of 1 to %d bytes, this one has %zu; rename the file or shorten the prefix",
                  QINIU_MAX_KEY_BYTES, key_bytes);
        return false;
    }
    up->look_first = q->only_new;
    if (up->size_bytes <= QINIU_BLOCK_BYTES || q->way == QINIU_FORM)
        return plan_form(up, error);
    if (q->way == QINIU_V2)
        return plan_parts(up, part_size_wanted, error);
    upload_plan(up, true, QINIU_BLOCK_BYTES);
    return true;
}

/* ---- the form */

static void add_pairs(Form *form, const GPtrArray *pairs)
{
    for (unsigned i = 0; i + 1 < pairs->len; i += 2)
        form_field(form, pairs->pdata[i], pairs->pdata[i + 1]);
}

static void add_crc(Form *form, const DigestSet *digest)
{
    if (digest == NULL || (digest->have & DIGEST_BIT(DIGEST_CRC32)) == 0)
        return;
    const uint8_t *v = digest->value[DIGEST_CRC32];
    g_autofree char *decimal = g_strdup_printf("%" PRIu32, (uint32_t)v[0] << 24 | (uint32_t)v[1] << 16 | (uint32_t)v[2] << 8 | v[3]);
    form_field(form, "crc32", decimal);
}

static bool ask_form(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    const Qiniu *q = qiniu_of(ctx);
    g_autoptr(QiniuPass) pass = qiniu_pass_new(ctx, up, error);
    if (pass == NULL)
        return false;
    g_autoptr(Form) form = form_new(up->nonce != NULL ? up->nonce : up->key);
    form_field(form, "token", pass->token);
    if (pass->key != NULL)
        form_field(form, "key", pass->key);
    add_crc(form, up->parts[part].digest);
    add_pairs(form, q->vars);
    add_pairs(form, q->metas);
    add_pairs(form, q->traits);
    Request *rq = qiniu_request(ctx, "POST", qiniu_up_host(ctx), g_strdup("/"));
    const char *type = up->content_type != NULL ? up->content_type : "application/octet-stream";
    form_file(form, rq, "file", up->name != NULL ? up->name : "file", type, 0, up->size_bytes);
    *rq_out = rq;
    return true;
}

/* ---- what a way does in a phase */

static bool has_keys(const DestCtx *ctx, const Upload *up)
{
    QiniuKeys keys;
    return up->grant == NULL && qiniu_of(ctx)->bucket != NULL && qiniu_keys(ctx, &keys);
}

static bool ask_look(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    return has_keys(ctx, up) ? qiniu_ask_stat(ctx, up, part, rq_out, error) : true;
}

/* With a token alone nobody can look; what was confirmed stands. */
static bool ask_verify(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    if (has_keys(ctx, up))
        return qiniu_ask_stat(ctx, up, part, rq_out, error);
    if (up->etag != NULL)
        return true;
    fault_set(error, FAULT_BAD_ANSWER, "whether the object arrived cannot be told with an upload token alone");
    return false;
}

static Verdict read_form(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    const Verdict verdict = qiniu_read_object(ctx, up, rs, error);
    up->parts[part].done = verdict == VERDICT_OK;
    return verdict;
}

/* The upload id, or the blocks, may be gone because the object is there: only a look can tell. */
static Verdict read_close(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)
{
    (void)part;
    const Verdict verdict = qiniu_read_object(ctx, up, rs, error);
    const bool dead = rs->status == 612 || rs->status == 701;
    return dead && verdict == VERDICT_RESTART && has_keys(ctx, up) ? VERDICT_UNKNOWN : verdict;
}

#define COMMON_STEPS                                                                                                                       \
    [PHASE_LOOK] = { ask_look, qiniu_read_look }, [PHASE_VERIFY] = { ask_verify, qiniu_read_verify },                                      \
    [PHASE_REMOVE] = { qiniu_ask_remove, qiniu_read_remove }

/* A row without functions: nothing to ask. Blocks of v1 are opened by nobody, belong together by mkfile alone, and end by themselves. */
static const DestStep ways[][N_PHASES] = {
    [QINIU_V2] = { COMMON_STEPS, [PHASE_RESUME] = { qiniu_ask_resume, qiniu_read_resume },
                   [PHASE_OPEN] = { qiniu_ask_open, qiniu_read_open }, [PHASE_PART] = { qiniu_ask_part, qiniu_read_part },
                   [PHASE_CLOSE] = { qiniu_ask_close, read_close }, [PHASE_ABORT] = { qiniu_ask_abort, qiniu_read_abort } },
    [QINIU_V1] = { COMMON_STEPS, [PHASE_RESUME] = { qiniu_ask_expired_block, qiniu_read_expired_block },
                   [PHASE_PART] = { qiniu_ask_block, qiniu_read_block }, [PHASE_CLOSE] = { qiniu_ask_mkfile, read_close } },
    [QINIU_FORM] = { COMMON_STEPS, [PHASE_PART] = { ask_form, read_form } },
};

/* An upload that is only there to be aborted has no plan. */
static const DestStep *step_of(const DestCtx *ctx, const Upload *up, Phase phase)
{
    return &ways[up->multipart || phase == PHASE_ABORT ? qiniu_of(ctx)->way : QINIU_FORM][phase];
}

/* ---- hosts come before everything else, and are left when they fail
 *
 * A destination does not hear of requests that got no answer; but one that is asked for again while no answer to it was read is such a one.
 */

static char *name_of(const Upload *up, Phase phase, unsigned part)
{
    return g_strdup_printf("%p/%d/%u", (const void *)up, (int)phase, part);
}

static void note_asked(Qiniu *q, char *name /* taken */, const Request *rq, bool query)
{
    const char *host = strstr(rq->url, "://") + 3;
    if (g_hash_table_size(q->asked) >= MAX_ASKED)
        g_hash_table_remove_all(q->asked); /* of uploads that ended without an answer */
    g_hash_table_insert(q->asked, name, query ? g_strdup("?") : g_strndup(host, strcspn(host, "/")));
}

static bool qiniu_ask(const DestCtx *ctx, const Upload *up, Phase phase, unsigned part, Request **rq_out, GError **error)
{
    Qiniu *q = qiniu_of(ctx);
    g_autofree char *name = name_of(up, phase, part);
    const char *unanswered = g_hash_table_lookup(q->asked, name);
    const DestStep *step = step_of(ctx, up, phase);
    const bool query = qiniu_lacks_hosts(ctx) && (step->ask != NULL || phase == PHASE_OPEN); /* once, before many blocks need it */
    if (step->ask == NULL && !query)
        return true;
    if (g_strcmp0(unanswered, "?") == 0)
        q->query_at++;
    else if (unanswered != NULL)
        qiniu_leave_host(ctx, unanswered);
    const bool asked = query ? qiniu_ask_hosts(ctx, up, rq_out, error) : step->ask(ctx, up, part, rq_out, error);
    if (asked && *rq_out != NULL)
        note_asked(q, g_steal_pointer(&name), *rq_out, query);
    return asked;
}

static bool is_host_fault(int status)
{
    return status == 502 || status == 503 || status == 504 || status == 599 || status == 500;
}

static Verdict qiniu_read(const DestCtx *ctx, Upload *up, Phase phase, unsigned part, const Response *rs, GError **error)
{
    Qiniu *q = qiniu_of(ctx);
    g_autofree char *name = name_of(up, phase, part);
    g_autofree char *host = g_strdup(g_hash_table_lookup(q->asked, name));
    g_hash_table_remove(q->asked, name);
    if (g_strcmp0(host, "?") == 0)
        return qiniu_read_hosts(ctx, rs, error);
    if (host != NULL && is_host_fault(rs->status))
        qiniu_leave_host(ctx, host);
    const DestStep *step = step_of(ctx, up, phase);
    return step->read == NULL ? VERDICT_MORE : step->read(ctx, up, part, rs, error); /* NULL: it was for hosts, and they were forgotten */
}

/* A step does not know its phase: one pair for each. */
#define STEP(name, phase)                                                                                                                  \
    static bool ask_##name(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)                          \
    {                                                                                                                                      \
        return qiniu_ask(ctx, up, phase, part, rq_out, error);                                                                             \
    }                                                                                                                                      \
    static Verdict read_##name(const DestCtx *ctx, Upload *up, unsigned part, const Response *rs, GError **error)                          \
    {                                                                                                                                      \
        return qiniu_read(ctx, up, phase, part, rs, error);                                                                                \
    }

STEP(step_look, PHASE_LOOK)
STEP(step_resume, PHASE_RESUME)
STEP(step_open, PHASE_OPEN)
STEP(step_part, PHASE_PART)
STEP(step_close, PHASE_CLOSE)
STEP(step_verify, PHASE_VERIFY)
STEP(step_abort, PHASE_ABORT)
STEP(step_remove, PHASE_REMOVE)

/* ---- the row */

/* Independent of what was learned, for that is kept under this name. */
static char *qiniu_where(const DestCtx *ctx)
{
    const Qiniu *q = qiniu_of(ctx);
    const char *host = q->hosts != NULL ? q->hosts[0] : q->query[0];
    return g_strdup_printf("%s://%s/%s", q->plain ? "http" : "https", host, q->bucket == NULL ? "" : q->bucket);
}

const DestOps dest_qiniu = {
    .scheme = "qiniu",
    .form = DEST_FORM_BUCKET,
    .help = "qiniu://BUCKET/PREFIX",
    .shared = qiniu_shared,
    .opts = qiniu_opts,
    .secrets = qiniu_secrets,
    .own_public_url = true,
    .open = qiniu_open,
    .close = qiniu_close,
    .digests = qiniu_digests,
    .plan = qiniu_plan,
    .url = qiniu_url,
    .where = qiniu_where,
    .share = qiniu_share,
    .step = {
        [PHASE_LOOK] = { ask_step_look, read_step_look },
        [PHASE_RESUME] = { ask_step_resume, read_step_resume },
        [PHASE_OPEN] = { ask_step_open, read_step_open },
        [PHASE_PART] = { ask_step_part, read_step_part },
        [PHASE_CLOSE] = { ask_step_close, read_step_close },
        [PHASE_VERIFY] = { ask_step_verify, read_step_verify },
        [PHASE_ABORT] = { ask_step_abort, read_step_abort },
        [PHASE_REMOVE] = { ask_step_remove, read_step_remove },
    },
};
