#include "upload.h"

#include "rate.h"

enum { BACKOFF_BASE_MS = 1000, BACKOFF_CAP_MS = 20000 };

static void enter(Walk *w, Phase phase)
{
    w->phase = phase;
    w->out = false;
    w->tries = w->agains = w->pages = 0;
    w->not_before_us = 0;
}

/* The object is there: what failed is its announcement, whatever kept it from being made. */
static void unannounced(GError **error)
{
    GError *cause = *error;
    *error = NULL;
    fault_set(error, FAULT_NOT_ANNOUNCED, "stored, but the application was not told: %s", cause->message);
    g_error_free(cause);
}

static void end(Walk *w, StepKind kind, GError *error)
{
    if (w->phase == PHASE_NOTIFY && kind == STEP_FAILED && error != NULL && fault_code(error) != FAULT_NOT_ANNOUNCED)
        unannounced(&error);
    w->phase = N_PHASES;
    w->end = kind;
    g_clear_error(&w->error);
    w->error = error;
}

static bool has(const DestOps *ops, const Upload *up, Phase phase)
{
    return ops->step[phase].ask != NULL && (up->without & PHASE_BIT(phase)) == 0;
}

/* What follows from the plan. */
static void fit(Walk *w, const DestOps *ops, const Upload *up, unsigned parts_at_once)
{
    w->n_parts = up->n_parts;
    w->serial = up->serial;
    w->max_out = up->serial ? 1 : MAX(parts_at_once, 1);
    w->probe = up->probe;
    w->has_open = up->multipart && has(ops, up, PHASE_OPEN);
    w->has_find = has(ops, up, PHASE_FIND);
    w->has_resume = has(ops, up, PHASE_RESUME);
    w->has_close = up->multipart && has(ops, up, PHASE_CLOSE);
    w->has_verify = has(ops, up, PHASE_VERIFY);
    w->has_notify = has(ops, up, PHASE_NOTIFY);
    g_free(w->parts);
    w->parts = g_new0(WalkPart, up->n_parts);
    for (unsigned i = 0; i < up->n_parts; i++)
        if (up->parts[i].done)
            w->parts[i].state = PART_DONE;
}

/* Parts were sent that nothing puts together any more: what is there is no object. */
static void end_other_way(Walk *w)
{
    GError *error = NULL;
    fault_set(&error, FAULT_UPLOAD_GONE, "the file is sent another way now: what the server can, or the configuration, has changed");
    end(w, STEP_RESTART, error);
}

void walk_init(Walk *w, const DestOps *ops, const Upload *up, WalkBegin begin, unsigned parts_at_once, unsigned digests, bool verify)
{
    *w = (Walk){ .digests = digests, .verify = verify };
    fit(w, ops, up, parts_at_once);
    if (begin == WALK_NOTIFY && w->has_notify)
        enter(w, PHASE_NOTIFY);
    else if (begin == WALK_NEW && up->look_first && has(ops, up, PHASE_LOOK))
        enter(w, PHASE_LOOK);
    else if (begin == WALK_FIND && w->has_find)
        enter(w, PHASE_FIND);
    else if (begin == WALK_RESUME && w->has_resume)
        enter(w, PHASE_RESUME);
    else if (begin == WALK_CLOSE && w->has_close)
        enter(w, PHASE_CLOSE);
    else if (begin == WALK_CLOSE)
        end_other_way(w);
    else
        enter(w, w->has_open && begin != WALK_RESUME ? PHASE_OPEN : PHASE_PART);
}

void walk_replanned(Walk *w, const DestOps *ops, const Upload *up, unsigned parts_at_once)
{
    if (w->phase == PHASE_LOOK)
        fit(w, ops, up, parts_at_once);
}

void walk_clear(Walk *w)
{
    g_clear_pointer(&w->parts, g_free);
    g_clear_error(&w->error);
    *w = (Walk){ .phase = N_PHASES, .end = STEP_FAILED };
}

/* ------------------------------------------------------------------ what next */

static bool all_parts_done(const Walk *w)
{
    for (unsigned i = w->first_open; i < w->n_parts; i++)
        if (w->parts[i].state != PART_DONE)
            return false;
    return true;
}

/* A part that came from an earlier run or a listing may lack its digest, which the checksum of the whole needs. */
static bool needs_hash(const Walk *w, const Upload *up, unsigned part)
{
    const DigestSet *set = up->parts[part].digest;
    return w->digests != 0 && (set == NULL || (set->have & w->digests) != w->digests);
}

static Step wait_until(int64_t at_us)
{
    return (Step){ .kind = STEP_WAIT, .at_us = at_us };
}

static Step next_part(Walk *w, const Upload *up, int64_t now_us)
{
    int64_t soonest = 0;
    unsigned ahead = 0;
    while (w->first_open < w->n_parts && w->parts[w->first_open].state == PART_DONE)
        w->first_open++;
    for (unsigned i = w->first_open; i < w->n_parts && ahead < 2 * w->max_out + 1; i++) {
        WalkPart *p = &w->parts[i];
        if (p->state == PART_DONE)
            continue;
        ahead++;
        if (p->state == PART_IDLE && !needs_hash(w, up, i))
            p->state = PART_READY;
        if (p->state == PART_IDLE && w->n_hashing < w->max_out + 1) {
            p->state = PART_HASHING;
            w->n_hashing++;
            return (Step){ .kind = STEP_HASH, .phase = PHASE_PART, .part = i };
        }
        if (p->state != PART_READY || w->n_out >= w->max_out || (w->serial && i != w->first_open))
            continue;
        const int64_t not_before_us = MAX(p->not_before_us, w->blows > 0 ? w->hold_us : 0);
        if (not_before_us <= now_us) {
            p->state = PART_OUT;
            w->n_out++;
            return (Step){ .kind = STEP_ASK, .phase = PHASE_PART, .part = i };
        }
        soonest = soonest == 0 ? not_before_us : MIN(soonest, not_before_us);
    }
    return wait_until(soonest);
}

/* CLOSE wants the digest of every part, also of those that an earlier run sent. */
static Step hash_before_close(Walk *w, const Upload *up)
{
    for (unsigned i = 0; i < w->n_parts; i++)
        if (w->parts[i].state == PART_DONE && needs_hash(w, up, i)) {
            if (w->n_hashing > w->max_out)
                return wait_until(0);
            w->parts[i].state = PART_HASHING;
            w->n_hashing++;
            return (Step){ .kind = STEP_HASH, .phase = PHASE_PART, .part = i };
        }
    return w->n_hashing > 0 ? wait_until(0) : (Step){ .kind = STEP_ASK };
}

static Step ask_once(Walk *w, int64_t now_us)
{
    if (w->out)
        return wait_until(0);
    if (w->not_before_us > now_us)
        return wait_until(w->not_before_us);
    w->out = true;
    return (Step){ .kind = STEP_ASK, .phase = w->phase };
}

/* The object is there and proved as far as it can be. */
static void announce_object(Walk *w, const Upload *up)
{
    if (w->has_notify && up->notify)
        enter(w, PHASE_NOTIFY);
    else
        end(w, STEP_DONE, NULL);
}

static void after_object(Walk *w, const Upload *up)
{
    if (w->verify && w->has_verify && up->verified == VERIFIED_NOT)
        enter(w, PHASE_VERIFY);
    else
        announce_object(w, up);
}

Step walk_next(Walk *w, const Upload *up, int64_t now_us)
{
    if (w->phase == PHASE_PART) {
        const Step step = next_part(w, up, now_us);
        if (step.kind != STEP_WAIT || !all_parts_done(w))
            return step;
        if (!w->has_close) {
            after_object(w, up);
        } else {
            const Step hash = hash_before_close(w, up);
            if (hash.kind != STEP_ASK)
                return hash;
            enter(w, PHASE_CLOSE);
        }
    }
    if (w->phase == N_PHASES)
        return (Step){ .kind = w->end };
    return ask_once(w, now_us);
}

void walk_hashed(Walk *w, const Upload *up, unsigned part)
{
    if (w->parts == NULL || w->parts[part].state != PART_HASHING)
        return;
    w->n_hashing--;
    w->parts[part].state = up->parts[part].done ? PART_DONE : PART_READY;
}

/* ------------------------------------------------------------------ what it means */

/* Counters of a request: those of its part, else of the phase. */
static void remember(Walk *w, GError *error)
{
    g_clear_error(&w->error);
    w->error = error;
}

/* What another connection holds it lets go by itself, when the server notices that this one is dead. */
static unsigned most_tries(const GError *error)
{
    return fault_code(error) == FAULT_CONFLICT ? WALK_TRIES_LOCKED : WALK_TRIES;
}

static void later(Walk *w, Phase phase, unsigned part, GError *error, bool counts, int64_t retry_after_ms, double random01, int64_t now_us)
{
    if (phase == PHASE_PART && counts && w->blows > 0 && now_us < w->hold_us) {
        w->parts[part].not_before_us = w->hold_us; /* the same outage as that of a neighbour */
        remember(w, error);
        return;
    }
    unsigned *tries = phase == PHASE_PART ? &w->parts[part].tries : &w->tries;
    int64_t *at = phase == PHASE_PART ? &w->parts[part].not_before_us : &w->not_before_us;
    if (counts && phase == PHASE_PART)
        w->blows++;
    if (counts && (++*tries >= most_tries(error) || w->blows >= most_tries(error))) {
        end(w, STEP_FAILED, error);
        return;
    }
    *at = counts ? now_us + 1000 * backoff_ms(MAX(*tries, w->blows), BACKOFF_BASE_MS, BACKOFF_CAP_MS, retry_after_ms, random01) : now_us;
    if (counts && phase == PHASE_PART)
        w->hold_us = *at;
    remember(w, error);
}

static void again(Walk *w, Phase phase, unsigned part, GError *error, int64_t now_us)
{
    unsigned *agains = phase == PHASE_PART ? &w->parts[part].agains : &w->agains;
    if (++*agains > WALK_AGAIN)
        end(w, STEP_FAILED, error);
    else
        later(w, phase, part, error, false, -1, 0, now_us);
}

/* The server may have opened an upload whose id nobody heard: it is looked for before another one is opened. */
static void find_lost(Walk *w, GError *error, double random01, int64_t now_us)
{
    if (++w->lost_opens >= WALK_TRIES) {
        end(w, STEP_FAILED, error);
        return;
    }
    enter(w, PHASE_FIND);
    w->tries = w->lost_opens;
    w->not_before_us = now_us + 1000 * backoff_ms(w->tries, BACKOFF_BASE_MS, BACKOFF_CAP_MS, -1, random01);
    g_clear_error(&w->error);
    w->error = error;
}

/* How much arrived only the server can tell; parts that get through, and bytes of them, show that it goes on. */
static void probe(Walk *w, GError *error, bool counts, int64_t retry_after_ms, double random01, int64_t now_us)
{
    if (counts && ++w->blows >= most_tries(error)) {
        end(w, STEP_FAILED, error);
        return;
    }
    enter(w, PHASE_RESUME);
    if (counts)
        w->not_before_us = now_us + 1000 * backoff_ms(w->blows, BACKOFF_BASE_MS, BACKOFF_CAP_MS, retry_after_ms, random01);
    remember(w, error);
}

static bool probes(const Walk *w, Phase phase)
{
    return phase == PHASE_PART && w->probe && w->has_resume;
}

static void back_in(Walk *w, Phase phase, unsigned part, PartState to)
{
    if (phase != PHASE_PART) {
        w->out = false;
    } else if (w->parts != NULL && w->parts[part].state == PART_OUT) {
        w->n_out--;
        w->parts[part].state = to;
    }
}

static void phase_through(Walk *w, const Upload *up, Phase phase)
{
    g_clear_error(&w->error);
    switch (phase) {
    case PHASE_LOOK:
        enter(w, w->has_open ? PHASE_OPEN : PHASE_PART);
        break;
    case PHASE_FIND:
        enter(w, PHASE_OPEN);
        break;
    case PHASE_RESUME:
        for (unsigned i = 0; i < w->n_parts; i++)
            if (w->parts[i].state != PART_HASHING) /* it is still being read; walk_hashed sees to it */
                w->parts[i].state = up->parts[i].done ? PART_DONE : PART_IDLE;
        w->first_open = 0;
        if (upload_done_bytes(up) > w->probed_bytes) {
            w->probed_bytes = upload_done_bytes(up);
            w->blows = 0;
        }
        enter(w, PHASE_PART);
        break;
    case PHASE_OPEN:
        enter(w, PHASE_PART);
        break;
    case PHASE_CLOSE:
        after_object(w, up);
        break;
    case PHASE_VERIFY:
        announce_object(w, up);
        break;
    case PHASE_NOTIFY:
        end(w, STEP_DONE, NULL);
        break;
    case PHASE_PART:
    case PHASE_ABORT:
    case PHASE_REMOVE:
    case N_PHASES:
        break;
    }
}

/* The upload is gone or its outcome open: only the object itself can tell. */
static void ask_object(Walk *w, GError *error)
{
    if (!w->has_verify) {
        end(w, STEP_RESTART, error);
        return;
    }
    w->closed_unknown = true;
    enter(w, PHASE_VERIFY);
    g_clear_error(&w->error);
    w->error = error;
}

static void restart(Walk *w, Phase phase, GError *error)
{
    if (phase == PHASE_VERIFY && w->closed_unknown && !w->close_again && w->has_close) {
        /* not there: Complete was perhaps never heard; it is harmless to say it twice */
        w->close_again = true;
        w->closed_unknown = false;
        enter(w, PHASE_CLOSE);
        g_clear_error(&w->error);
        w->error = error;
    } else if (phase == PHASE_RESUME && fault_code(error) == FAULT_UPLOAD_GONE) {
        w->close_again = true; /* there is nothing left to complete */
        ask_object(w, error);
    } else {
        end(w, phase == PHASE_NOTIFY ? STEP_FAILED : STEP_RESTART, error);
    }
}

/* A server that always names another page would be asked for ever. */
static void next_page(Walk *w)
{
    GError *error = NULL;
    if (++w->pages < WALK_PAGES)
        return;
    fault_set(&error, FAULT_BAD_ANSWER, "the server was asked %d times and is not through", WALK_PAGES);
    end(w, STEP_FAILED, error);
}

void walk_answer(Walk *w, const Upload *up, Phase phase, unsigned part, Verdict verdict, GError *error, int64_t retry_after_ms,
                 double random01, int64_t now_us)
{
    back_in(w, phase, part, verdict == VERDICT_OK ? PART_DONE : PART_READY);
    if (w->phase == N_PHASES) {
        g_clear_error(&error);
        return;
    }
    switch (verdict) {
    case VERDICT_OK:
        g_clear_error(&error);
        if (phase != PHASE_RESUME) /* that only counts when there was more than the last time */
            w->blows = 0;
        phase_through(w, up, phase);
        break;
    case VERDICT_MORE:
        g_clear_error(&error);
        if (phase != PHASE_PART) /* there bytes bound it */
            next_page(w);
        break;
    case VERDICT_AGAIN:
        again(w, phase, part, error, now_us);
        break;
    case VERDICT_RETRY:
        if (phase == PHASE_OPEN && w->has_find && fault_code(error) == FAULT_BAD_ANSWER) {
            find_lost(w, error, random01, now_us);
            break;
        }
        if (probes(w, phase))
            probe(w, error, true, retry_after_ms, random01, now_us);
        else
            later(w, phase, part, error, true, retry_after_ms, random01, now_us);
        break;
    case VERDICT_RESTART:
        restart(w, phase, error);
        break;
    case VERDICT_UNKNOWN:
        ask_object(w, error);
        break;
    case VERDICT_FAIL:
        end(w, STEP_FAILED, error);
        break;
    }
}

void walk_broken(Walk *w, Phase phase, unsigned part, GError *error, bool free_retry, double random01, int64_t now_us)
{
    back_in(w, phase, part, PART_READY);
    if (w->phase == N_PHASES) {
        g_clear_error(&error);
        return;
    }
    const FaultInfo *info = fault_info((int)fault_code(error));
    if (info->cure == CURE_RESTART && phase != PHASE_NOTIFY)
        end(w, STEP_RESTART, error);
    else if (info->cure == CURE_USER)
        end(w, STEP_FAILED, error);
    else if (phase == PHASE_CLOSE && !free_retry)
        ask_object(w, error);
    else if (phase == PHASE_OPEN && !free_retry && w->has_find && fault_code(error) != FAULT_CONNECT && fault_code(error) != FAULT_RESOLVE)
        find_lost(w, error, random01, now_us);
    else if (probes(w, phase))
        probe(w, error, !free_retry, -1, random01, now_us);
    else if (free_retry)
        again(w, phase, part, error, now_us);
    else
        later(w, phase, part, error, true, -1, random01, now_us);
}

void walk_withdrawn(Walk *w, Phase phase, unsigned part)
{
    back_in(w, phase, part, PART_READY);
}

void walk_fail(Walk *w, GError *error)
{
    end(w, fault_info((int)fault_code(error))->cure == CURE_RESTART ? STEP_RESTART : STEP_FAILED, error);
}

void walk_hurry(Walk *w)
{
    w->not_before_us = w->hold_us = 0;
    for (unsigned i = 0; w->parts != NULL && i < w->n_parts; i++)
        w->parts[i].not_before_us = 0;
}

bool walk_retrying(const Walk *w, unsigned *tries_out, int64_t *at_us_out)
{
    unsigned tries = w->phase == N_PHASES ? 0 : w->tries;
    int64_t at = w->not_before_us;
    for (unsigned i = w->first_open; w->phase == PHASE_PART && w->parts != NULL && i < w->n_parts; i++)
        if (w->parts[i].state == PART_READY && MAX(w->parts[i].tries, w->blows) > tries) {
            tries = MAX(w->parts[i].tries, w->blows);
            at = MAX(w->parts[i].not_before_us, w->blows > 0 ? w->hold_us : 0);
        }
    *tries_out = tries;
    *at_us_out = at;
    return tries > 0;
}
