#include "core/upload.h"

static bool no_ask(const DestCtx *ctx, const Upload *up, unsigned part, Request **rq_out, GError **error)
{
    (void)ctx, (void)up, (void)part, (void)rq_out, (void)error;
    return false;
}

static const DestOps parallel = {
    .scheme = "test",
    .step = { [PHASE_LOOK] = { no_ask, NULL },
              [PHASE_FIND] = { no_ask, NULL },
              [PHASE_RESUME] = { no_ask, NULL },
              [PHASE_OPEN] = { no_ask, NULL },
              [PHASE_PART] = { no_ask, NULL },
              [PHASE_CLOSE] = { no_ask, NULL },
              [PHASE_VERIFY] = { no_ask, NULL },
              [PHASE_NOTIFY] = { no_ask, NULL },
              [PHASE_ABORT] = { no_ask, NULL } },
};

typedef struct {
    Upload *up;
    Walk walk;
    int64_t now_us;
} Fixture;

static Fixture begin(unsigned parts, WalkBegin how, unsigned at_once, unsigned digests)
{
    Fixture f = { .up = upload_new("key", parts * 10, 0), .now_us = 1000 };
    upload_plan(f.up, parts > 1, 10);
    walk_init(&f.walk, &parallel, f.up, how, at_once, digests, true);
    return f;
}

static void end(Fixture *f)
{
    walk_clear(&f->walk);
    upload_free(f->up);
}

static Step next(Fixture *f)
{
    return walk_next(&f->walk, f->up, f->now_us);
}

static void expect_ask(Fixture *f, Phase phase, unsigned part)
{
    const Step step = next(f);
    g_assert_cmpint(step.kind, ==, STEP_ASK);
    g_assert_cmpint(step.phase, ==, phase);
    g_assert_cmpuint(step.part, ==, part);
}

static void expect(Fixture *f, StepKind kind)
{
    g_assert_cmpint(next(f).kind, ==, kind);
}

static void answer(Fixture *f, Phase phase, unsigned part, Verdict verdict, FaultCode code)
{
    GError *error = NULL;
    if (code != FAULT_NONE)
        fault_set(&error, code, "a fault");
    if (phase == PHASE_PART && verdict == VERDICT_OK)
        f->up->parts[part].done = true;
    walk_answer(&f->walk, f->up, phase, part, verdict, error, -1, 0.5, f->now_us);
}

static void test_single_put(void)
{
    Fixture f = begin(1, WALK_NEW, 4, 0);
    expect_ask(&f, PHASE_PART, 0);
    expect(&f, STEP_WAIT);
    f.up->verified = VERIFIED_ETAG;
    answer(&f, PHASE_PART, 0, VERDICT_OK, FAULT_NONE);
    expect(&f, STEP_DONE);
    end(&f);
}

static void test_unproven_object_is_verified(void)
{
    Fixture f = begin(1, WALK_NEW, 4, 0);
    expect_ask(&f, PHASE_PART, 0);
    answer(&f, PHASE_PART, 0, VERDICT_OK, FAULT_NONE);
    expect_ask(&f, PHASE_VERIFY, 0);
    answer(&f, PHASE_VERIFY, 0, VERDICT_OK, FAULT_NONE);
    expect(&f, STEP_DONE);
    end(&f);
}

static void test_parts_go_in_parallel_up_to_the_limit(void)
{
    Fixture f = begin(5, WALK_NEW, 2, 0);
    expect_ask(&f, PHASE_OPEN, 0);
    expect(&f, STEP_WAIT);
    answer(&f, PHASE_OPEN, 0, VERDICT_OK, FAULT_NONE);
    expect_ask(&f, PHASE_PART, 0);
    expect_ask(&f, PHASE_PART, 1);
    expect(&f, STEP_WAIT);
    answer(&f, PHASE_PART, 1, VERDICT_OK, FAULT_NONE);
    expect_ask(&f, PHASE_PART, 2);
    answer(&f, PHASE_PART, 0, VERDICT_OK, FAULT_NONE);
    answer(&f, PHASE_PART, 2, VERDICT_OK, FAULT_NONE);
    expect_ask(&f, PHASE_PART, 3);
    expect_ask(&f, PHASE_PART, 4);
    answer(&f, PHASE_PART, 3, VERDICT_OK, FAULT_NONE);
    expect(&f, STEP_WAIT); /* not closed while a part is out */
    answer(&f, PHASE_PART, 4, VERDICT_OK, FAULT_NONE);
    f.up->verified = VERIFIED_CHECKSUM;
    expect_ask(&f, PHASE_CLOSE, 0);
    answer(&f, PHASE_CLOSE, 0, VERDICT_OK, FAULT_NONE);
    expect(&f, STEP_DONE);
    end(&f);
}

static void give_digest(Fixture *f, unsigned part, unsigned have)
{
    f->up->parts[part].digest = g_new0(DigestSet, 1);
    f->up->parts[part].digest->have = have;
    walk_hashed(&f->walk, f->up, part);
}

static void test_parts_are_hashed_before_they_are_sent(void)
{
    const unsigned md5 = DIGEST_BIT(DIGEST_MD5);
    Fixture f = begin(3, WALK_NEW, 1, md5);
    answer(&f, PHASE_OPEN, 0, VERDICT_OK, FAULT_NONE);
    Step step = next(&f);
    g_assert_cmpint(step.kind, ==, STEP_HASH);
    g_assert_cmpuint(step.part, ==, 0);
    step = next(&f); /* one ahead, so that the next is ready in time */
    g_assert_cmpint(step.kind, ==, STEP_HASH);
    g_assert_cmpuint(step.part, ==, 1);
    expect(&f, STEP_WAIT);
    give_digest(&f, 0, md5);
    step = next(&f);
    g_assert_cmpint(step.kind, ==, STEP_ASK);
    g_assert_cmpuint(step.part, ==, 0);
    end(&f);
}

static void test_resumed_parts_are_hashed_before_close(void)
{
    const unsigned crc = DIGEST_BIT(DIGEST_CRC64NVME);
    Fixture f = begin(2, WALK_RESUME, 2, crc);
    expect_ask(&f, PHASE_RESUME, 0);
    f.up->parts[0].done = f.up->parts[1].done = true;
    answer(&f, PHASE_RESUME, 0, VERDICT_OK, FAULT_NONE);
    expect(&f, STEP_HASH);
    expect(&f, STEP_HASH);
    expect(&f, STEP_WAIT);
    give_digest(&f, 1, crc);
    expect(&f, STEP_WAIT);
    give_digest(&f, 0, crc);
    expect_ask(&f, PHASE_CLOSE, 0);
    end(&f);
}

static void test_three_tries_then_failed(void)
{
    Fixture f = begin(1, WALK_NEW, 1, 0);
    for (int i = 0; i < WALK_TRIES; i++) {
        expect_ask(&f, PHASE_PART, 0);
        answer(&f, PHASE_PART, 0, VERDICT_RETRY, FAULT_SERVER);
        const Step step = next(&f);
        if (i < WALK_TRIES - 1) {
            g_assert_cmpint(step.kind, ==, STEP_WAIT);
            g_assert_cmpint(step.at_us, >, f.now_us);
            f.now_us = step.at_us;
        }
    }
    expect(&f, STEP_FAILED);
    g_assert_error(f.walk.error, FAULT, FAULT_SERVER);
    end(&f);
}

static void broken(Fixture *f, unsigned part)
{
    GError *error = NULL;
    fault_set(&error, FAULT_CONNECT, "refused");
    walk_broken(&f->walk, PHASE_PART, part, error, false, 0.5, f->now_us);
}

/* All parts that are out fail in the same moment: that is one blow, and no part runs into it again at once. */
static void test_an_outage_is_one_try(void)
{
    Fixture f = begin(4, WALK_NEW, 4, 0);
    answer(&f, PHASE_OPEN, 0, VERDICT_OK, FAULT_NONE);
    for (int round = 1; round < WALK_TRIES; round++) {
        for (unsigned i = 0; i < 4; i++)
            g_assert_cmpint(next(&f).kind, ==, STEP_ASK);
        for (unsigned i = 0; i < 4; i++)
            broken(&f, i);
        const Step step = next(&f);
        g_assert_cmpint(step.kind, ==, STEP_WAIT);
        g_assert_cmpint(step.at_us, >, f.now_us);
        f.now_us = step.at_us;
    }
    expect_ask(&f, PHASE_PART, 0);
    answer(&f, PHASE_PART, 0, VERDICT_OK, FAULT_NONE); /* it is over: what comes later begins to count anew */
    expect_ask(&f, PHASE_PART, 1);
    broken(&f, 1);
    g_assert_cmpint(next(&f).kind, ==, STEP_WAIT);
    end(&f);
}

static void test_retry_after_is_honoured(void)
{
    Fixture f = begin(1, WALK_NEW, 1, 0);
    expect_ask(&f, PHASE_PART, 0);
    GError *error = NULL;
    fault_set(&error, FAULT_SLOW_DOWN, "slow down");
    walk_answer(&f.walk, f.up, PHASE_PART, 0, VERDICT_RETRY, error, 7000, 0.0, f.now_us);
    g_assert_cmpint(next(&f).at_us, >=, f.now_us + 7000 * 1000);
    end(&f);
}

static void test_corrections_are_free_but_bounded(void)
{
    Fixture f = begin(1, WALK_NEW, 1, 0);
    for (int i = 0; i < WALK_AGAIN; i++) {
        expect_ask(&f, PHASE_PART, 0);
        answer(&f, PHASE_PART, 0, VERDICT_AGAIN, FAULT_REGION);
    }
    expect_ask(&f, PHASE_PART, 0);
    answer(&f, PHASE_PART, 0, VERDICT_AGAIN, FAULT_REGION);
    expect(&f, STEP_FAILED);
    end(&f);
}

/* Parts that nothing puts together are no object, even when all of them are there. */
static void test_what_cannot_be_completed_begins_anew(void)
{
    Fixture f = { .up = upload_new("key", 20, 0), .now_us = 1000 };
    upload_plan(f.up, true, 10);
    f.up->parts[0].done = f.up->parts[1].done = true;
    f.up->without = PHASE_BIT(PHASE_CLOSE);
    walk_init(&f.walk, &parallel, f.up, WALK_CLOSE, 2, 0, true);
    expect(&f, STEP_RESTART);
    g_assert_cmpint(fault_code(f.walk.error), ==, FAULT_UPLOAD_GONE);
    end(&f);
}

static void test_a_list_without_end(void)
{
    Fixture f = begin(2, WALK_FIND, 2, 0);
    for (unsigned i = 1; i < WALK_PAGES; i++) {
        expect_ask(&f, PHASE_FIND, 0);
        answer(&f, PHASE_FIND, 0, VERDICT_MORE, FAULT_NONE);
    }
    expect_ask(&f, PHASE_FIND, 0);
    answer(&f, PHASE_FIND, 0, VERDICT_MORE, FAULT_NONE);
    expect(&f, STEP_FAILED);
    g_assert_cmpint(fault_code(f.walk.error), ==, FAULT_BAD_ANSWER);
    end(&f);
}

static Fixture at_close(void)
{
    Fixture f = begin(2, WALK_CLOSE, 2, 0);
    expect_ask(&f, PHASE_CLOSE, 0);
    return f;
}

static void test_lost_complete_answer_head_decides(void)
{
    Fixture f = at_close();
    GError *error = NULL;
    fault_set(&error, FAULT_BROKEN, "connection reset");
    walk_broken(&f.walk, PHASE_CLOSE, 0, error, false, 0.5, f.now_us);
    expect_ask(&f, PHASE_VERIFY, 0);
    answer(&f, PHASE_VERIFY, 0, VERDICT_OK, FAULT_NONE);
    expect(&f, STEP_DONE);
    end(&f);
}

static void test_complete_is_said_twice_then_begun_anew(void)
{
    Fixture f = at_close();
    answer(&f, PHASE_CLOSE, 0, VERDICT_UNKNOWN, FAULT_UPLOAD_GONE);
    expect_ask(&f, PHASE_VERIFY, 0);
    answer(&f, PHASE_VERIFY, 0, VERDICT_RESTART, FAULT_SIZE);
    expect_ask(&f, PHASE_CLOSE, 0);
    answer(&f, PHASE_CLOSE, 0, VERDICT_UNKNOWN, FAULT_UPLOAD_GONE);
    expect_ask(&f, PHASE_VERIFY, 0);
    answer(&f, PHASE_VERIFY, 0, VERDICT_RESTART, FAULT_SIZE);
    expect(&f, STEP_RESTART);
    end(&f);
}

static void test_vanished_upload_may_have_been_completed(void)
{
    Fixture f = begin(2, WALK_RESUME, 2, 0);
    expect_ask(&f, PHASE_RESUME, 0);
    answer(&f, PHASE_RESUME, 0, VERDICT_RESTART, FAULT_UPLOAD_GONE);
    expect_ask(&f, PHASE_VERIFY, 0);
    answer(&f, PHASE_VERIFY, 0, VERDICT_RESTART, FAULT_SIZE);
    expect(&f, STEP_RESTART); /* no second Complete: there is nothing to complete */
    end(&f);
}

static void test_look_comes_before_anything_new(void)
{
    for (unsigned parts = 1; parts <= 2; parts++) {
        Fixture f = begin(parts, WALK_NEW, 2, 0);
        walk_clear(&f.walk);
        f.up->look_first = true;
        walk_init(&f.walk, &parallel, f.up, WALK_NEW, 2, 0, true);
        expect_ask(&f, PHASE_LOOK, 0);
        answer(&f, PHASE_LOOK, 0, VERDICT_OK, FAULT_NONE);
        expect_ask(&f, parts > 1 ? PHASE_OPEN : PHASE_PART, 0);
        walk_clear(&f.walk);
        walk_init(&f.walk, &parallel, f.up, WALK_NEW, 2, 0, true);
        expect_ask(&f, PHASE_LOOK, 0);
        answer(&f, PHASE_LOOK, 0, VERDICT_FAIL, FAULT_EXISTS);
        expect(&f, STEP_FAILED);
        end(&f);
    }
}

static void test_find_comes_before_open(void)
{
    Fixture f = begin(2, WALK_FIND, 2, 0);
    expect_ask(&f, PHASE_FIND, 0);
    answer(&f, PHASE_FIND, 0, VERDICT_MORE, FAULT_NONE);
    expect_ask(&f, PHASE_FIND, 0);
    answer(&f, PHASE_FIND, 0, VERDICT_OK, FAULT_NONE);
    expect_ask(&f, PHASE_OPEN, 0);
    end(&f);
}

static void lose_open(Fixture *f)
{
    GError *error = NULL;
    fault_set(&error, FAULT_BROKEN, "cut");
    expect_ask(f, PHASE_OPEN, 0);
    walk_broken(&f->walk, PHASE_OPEN, 0, error, false, 0.5, f->now_us);
}

static void test_a_lost_answer_of_open_is_looked_for(void)
{
    Fixture f = begin(2, WALK_NEW, 2, 0);
    for (unsigned i = 1; i < WALK_TRIES; i++) {
        lose_open(&f);
        const Step wait = next(&f);
        g_assert_cmpint(wait.kind, ==, STEP_WAIT);
        f.now_us = wait.at_us;
        expect_ask(&f, PHASE_FIND, 0);
        answer(&f, PHASE_FIND, 0, VERDICT_OK, FAULT_NONE);
    }
    lose_open(&f);
    expect(&f, STEP_FAILED);
    end(&f);
}

static void test_late_answers_after_the_end_change_nothing(void)
{
    Fixture f = begin(3, WALK_NEW, 3, 0);
    answer(&f, PHASE_OPEN, 0, VERDICT_OK, FAULT_NONE);
    expect_ask(&f, PHASE_PART, 0);
    expect_ask(&f, PHASE_PART, 1);
    answer(&f, PHASE_PART, 0, VERDICT_FAIL, FAULT_DENIED);
    expect(&f, STEP_FAILED);
    answer(&f, PHASE_PART, 1, VERDICT_OK, FAULT_NONE);
    expect(&f, STEP_FAILED);
    g_assert_error(f.walk.error, FAULT, FAULT_DENIED);
    end(&f);
}

static void test_a_changed_source_restarts_and_an_unreadable_one_fails(void)
{
    Fixture f = begin(1, WALK_NEW, 1, 0);
    GError *error = NULL;
    fault_set(&error, FAULT_SOURCE_CHANGED, "it has grown");
    walk_fail(&f.walk, error);
    expect(&f, STEP_RESTART);
    end(&f);
    f = begin(1, WALK_NEW, 1, 0);
    error = NULL;
    fault_set(&error, FAULT_SOURCE_IO, "input/output error");
    walk_broken(&f.walk, PHASE_PART, 0, error, false, 0.5, f.now_us);
    expect(&f, STEP_FAILED);
    end(&f);
}

/* ---- applications: a grant before the part, a word after the object */

static Fixture begin_announcing(unsigned parts, WalkBegin how)
{
    Fixture f = { .up = upload_new("key", parts * 10, 0), .now_us = 1000 };
    upload_plan(f.up, parts > 1, 10);
    f.up->notify = true;
    f.up->verified = VERIFIED_ETAG;
    walk_init(&f.walk, &parallel, f.up, how, 2, 0, true);
    return f;
}

static void test_a_part_of_several_requests(void)
{
    Fixture f = begin_announcing(2, WALK_NEW);
    answer(&f, PHASE_OPEN, 0, VERDICT_OK, FAULT_NONE);
    expect_ask(&f, PHASE_PART, 0);
    expect_ask(&f, PHASE_PART, 1);
    answer(&f, PHASE_PART, 0, VERDICT_MORE, FAULT_NONE); /* it has its URL now */
    expect_ask(&f, PHASE_PART, 0);
    answer(&f, PHASE_PART, 0, VERDICT_OK, FAULT_NONE);
    answer(&f, PHASE_PART, 1, VERDICT_MORE, FAULT_NONE);
    expect_ask(&f, PHASE_PART, 1);
    answer(&f, PHASE_PART, 1, VERDICT_OK, FAULT_NONE);
    expect_ask(&f, PHASE_CLOSE, 0);
    end(&f);
}

static void test_the_object_is_announced(void)
{
    Fixture f = begin_announcing(2, WALK_CLOSE);
    expect_ask(&f, PHASE_CLOSE, 0);
    answer(&f, PHASE_CLOSE, 0, VERDICT_OK, FAULT_NONE);
    expect_ask(&f, PHASE_NOTIFY, 0);
    answer(&f, PHASE_NOTIFY, 0, VERDICT_MORE, FAULT_NONE);
    expect_ask(&f, PHASE_NOTIFY, 0);
    answer(&f, PHASE_NOTIFY, 0, VERDICT_OK, FAULT_NONE);
    expect(&f, STEP_DONE);
    end(&f);
    f = begin_announcing(1, WALK_NEW);
    f.up->verified = VERIFIED_NOT;
    expect_ask(&f, PHASE_PART, 0);
    answer(&f, PHASE_PART, 0, VERDICT_OK, FAULT_NONE);
    expect_ask(&f, PHASE_VERIFY, 0); /* the application hears of what is proved */
    answer(&f, PHASE_VERIFY, 0, VERDICT_OK, FAULT_NONE);
    expect_ask(&f, PHASE_NOTIFY, 0);
    end(&f);
}

/* Whatever becomes of the announcement, nothing is sent again for it. */
static void test_a_failed_announcement_repeats_nothing(void)
{
    static const Verdict bad[] = { VERDICT_RESTART, VERDICT_FAIL };
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        Fixture f = begin_announcing(3, WALK_NOTIFY);
        expect_ask(&f, PHASE_NOTIFY, 0);
        answer(&f, PHASE_NOTIFY, 0, bad[i], FAULT_UPLOAD_GONE);
        expect(&f, STEP_FAILED);
        end(&f);
    }
    Fixture f = begin_announcing(1, WALK_NOTIFY);
    for (unsigned i = 0; i < WALK_TRIES; i++) {
        expect_ask(&f, PHASE_NOTIFY, 0);
        GError *error = NULL;
        fault_set(&error, FAULT_CHECKSUM, "a fault that starts an upload anew");
        walk_broken(&f.walk, PHASE_NOTIFY, 0, error, false, 0.5, f.now_us);
        f.now_us += 60 * G_USEC_PER_SEC;
    }
    expect(&f, STEP_FAILED);
    g_assert_error(f.walk.error, FAULT, FAULT_NOT_ANNOUNCED); /* not the fault of the road to the application: the file is stored */
    end(&f);
}

static void test_an_upload_without_a_phase(void)
{
    Fixture f = { .up = upload_new("key", 10, 0), .now_us = 1000 };
    upload_plan(f.up, true, 10);
    f.up->without = PHASE_BIT(PHASE_OPEN) | PHASE_BIT(PHASE_CLOSE) | PHASE_BIT(PHASE_VERIFY);
    walk_init(&f.walk, &parallel, f.up, WALK_NEW, 2, 0, true);
    expect_ask(&f, PHASE_PART, 0);
    answer(&f, PHASE_PART, 0, VERDICT_OK, FAULT_NONE);
    expect(&f, STEP_DONE);
    end(&f);
}

/* ---- one stream, whose offset only the server knows */

static Fixture begin_probing(unsigned parts, unsigned digests)
{
    Fixture f = { .up = upload_new("key", parts * 10, 0), .now_us = 1000 };
    upload_plan(f.up, true, 10);
    f.up->serial = f.up->probe = true;
    f.up->without = PHASE_BIT(PHASE_CLOSE) | PHASE_BIT(PHASE_VERIFY);
    walk_init(&f.walk, &parallel, f.up, WALK_NEW, 4, digests, true);
    expect_ask(&f, PHASE_OPEN, 0);
    answer(&f, PHASE_OPEN, 0, VERDICT_OK, FAULT_NONE);
    return f;
}

/* A part goes out and fails; the server is asked how much it has. */
static void fail_and_probe(Fixture *f, unsigned part, FaultCode code, uint64_t kept_bytes)
{
    GError *error = NULL;
    expect_ask(f, PHASE_PART, part);
    expect(f, STEP_WAIT);
    fault_set(&error, code, "a fault");
    walk_broken(&f->walk, PHASE_PART, part, error, false, 0.5, f->now_us);
    f->now_us += G_USEC_PER_SEC * 60;
    if (f->walk.phase == N_PHASES)
        return;
    expect_ask(f, PHASE_RESUME, 0);
    f->up->parts[part].kept_bytes = kept_bytes;
    answer(f, PHASE_RESUME, 0, VERDICT_OK, FAULT_NONE);
}

static void test_probing_ends_without_progress(void)
{
    Fixture f = begin_probing(2, 0);
    for (unsigned i = 0; i < WALK_TRIES; i++)
        fail_and_probe(&f, 0, FAULT_BROKEN, 0);
    expect(&f, STEP_FAILED);
    end(&f);
}

static void test_progress_gives_new_tries(void)
{
    Fixture f = begin_probing(2, 0);
    for (unsigned i = 0; i < 3 * WALK_TRIES; i++)
        fail_and_probe(&f, 0, FAULT_BROKEN, i + 1);
    expect_ask(&f, PHASE_PART, 0);
    answer(&f, PHASE_PART, 0, VERDICT_OK, FAULT_NONE);
    expect_ask(&f, PHASE_PART, 1);
    f.up->verified = VERIFIED_SIZE;
    answer(&f, PHASE_PART, 1, VERDICT_OK, FAULT_NONE);
    expect(&f, STEP_DONE);
    end(&f);
}

static void test_a_lock_is_waited_for(void)
{
    Fixture f = begin_probing(1, 0);
    fail_and_probe(&f, 0, FAULT_BROKEN, 0);
    expect_ask(&f, PHASE_PART, 0);
    answer(&f, PHASE_PART, 0, VERDICT_RETRY, FAULT_CONFLICT);
    for (unsigned i = 1; i < WALK_TRIES_LOCKED; i++) {
        f.now_us += G_USEC_PER_SEC * 60;
        expect_ask(&f, PHASE_RESUME, 0);
        answer(&f, PHASE_RESUME, 0, VERDICT_RETRY, FAULT_CONFLICT);
    }
    f.now_us += G_USEC_PER_SEC * 60;
    expect_ask(&f, PHASE_RESUME, 0);
    answer(&f, PHASE_RESUME, 0, VERDICT_RETRY, FAULT_CONFLICT);
    expect(&f, STEP_FAILED);
    end(&f);
}

static void test_probing_while_a_part_is_hashed(void)
{
    const unsigned sha1 = DIGEST_BIT(DIGEST_SHA1);
    Fixture f = begin_probing(3, sha1);
    expect(&f, STEP_HASH);
    expect(&f, STEP_HASH);
    give_digest(&f, 0, sha1);
    expect_ask(&f, PHASE_PART, 0);
    expect(&f, STEP_HASH); /* the third */
    GError *error = NULL;
    fault_set(&error, FAULT_BROKEN, "a fault");
    walk_broken(&f.walk, PHASE_PART, 0, error, false, 0.5, f.now_us);
    f.now_us += G_USEC_PER_SEC * 60;
    expect_ask(&f, PHASE_RESUME, 0);
    answer(&f, PHASE_RESUME, 0, VERDICT_OK, FAULT_NONE);
    give_digest(&f, 1, sha1);
    give_digest(&f, 2, sha1);
    g_assert_cmpuint(f.walk.n_hashing, ==, 0);
    expect_ask(&f, PHASE_PART, 0);
    end(&f);
}

/* The second is hashed sooner than the first, and has to wait for it. */
static void test_one_at_a_time_is_in_order(void)
{
    const unsigned sha1 = DIGEST_BIT(DIGEST_SHA1);
    Fixture f = begin_probing(3, sha1);
    expect(&f, STEP_HASH);
    expect(&f, STEP_HASH);
    give_digest(&f, 1, sha1);
    expect(&f, STEP_HASH);
    expect(&f, STEP_WAIT);
    give_digest(&f, 0, sha1);
    expect_ask(&f, PHASE_PART, 0);
    answer(&f, PHASE_PART, 0, VERDICT_OK, FAULT_NONE);
    expect_ask(&f, PHASE_PART, 1);
    end(&f);
}

static void test_look_may_change_the_plan(void)
{
    Fixture f = { .up = upload_new("key", 40, 0), .now_us = 1000 };
    upload_plan(f.up, false, 0);
    f.up->look_first = true;
    walk_init(&f.walk, &parallel, f.up, WALK_NEW, 2, 0, true);
    expect_ask(&f, PHASE_LOOK, 0);
    upload_plan(f.up, true, 10);
    walk_replanned(&f.walk, &parallel, f.up, 2);
    answer(&f, PHASE_LOOK, 0, VERDICT_OK, FAULT_NONE);
    expect_ask(&f, PHASE_OPEN, 0);
    answer(&f, PHASE_OPEN, 0, VERDICT_OK, FAULT_NONE);
    expect_ask(&f, PHASE_PART, 0);
    expect_ask(&f, PHASE_PART, 1);
    expect(&f, STEP_WAIT);
    end(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/upload/single-put", test_single_put);
    g_test_add_func("/upload/unproven-object-is-verified", test_unproven_object_is_verified);
    g_test_add_func("/upload/part-of-several-requests", test_a_part_of_several_requests);
    g_test_add_func("/upload/announced", test_the_object_is_announced);
    g_test_add_func("/upload/failed-announcement", test_a_failed_announcement_repeats_nothing);
    g_test_add_func("/upload/without-a-phase", test_an_upload_without_a_phase);
    g_test_add_func("/upload/parts-in-parallel", test_parts_go_in_parallel_up_to_the_limit);
    g_test_add_func("/upload/hashed-before-sent", test_parts_are_hashed_before_they_are_sent);
    g_test_add_func("/upload/hashed-before-close", test_resumed_parts_are_hashed_before_close);
    g_test_add_func("/upload/three-tries", test_three_tries_then_failed);
    g_test_add_func("/upload/an-outage-is-one-try", test_an_outage_is_one_try);
    g_test_add_func("/upload/retry-after", test_retry_after_is_honoured);
    g_test_add_func("/upload/corrections-are-bounded", test_corrections_are_free_but_bounded);
    g_test_add_func("/upload/lost-complete-answer", test_lost_complete_answer_head_decides);
    g_test_add_func("/upload/complete-twice-then-anew", test_complete_is_said_twice_then_begun_anew);
    g_test_add_func("/upload/vanished-upload", test_vanished_upload_may_have_been_completed);
    g_test_add_func("/upload/look-first", test_look_comes_before_anything_new);
    g_test_add_func("/upload/find-before-open", test_find_comes_before_open);
    g_test_add_func("/upload/lost-open-answer", test_a_lost_answer_of_open_is_looked_for);
    g_test_add_func("/upload/late-answers", test_late_answers_after_the_end_change_nothing);
    g_test_add_func("/upload/probing-ends", test_probing_ends_without_progress);
    g_test_add_func("/upload/progress-gives-new-tries", test_progress_gives_new_tries);
    g_test_add_func("/upload/a-lock-is-waited-for", test_a_lock_is_waited_for);
    g_test_add_func("/upload/probing-while-hashing", test_probing_while_a_part_is_hashed);
    g_test_add_func("/upload/one-at-a-time-is-in-order", test_one_at_a_time_is_in_order);
    g_test_add_func("/upload/a-list-without-end", test_a_list_without_end);
    g_test_add_func("/upload/what-cannot-be-completed-begins-anew", test_what_cannot_be_completed_begins_anew);
    g_test_add_func("/upload/look-may-change-the-plan", test_look_may_change_the_plan);
    g_test_add_func("/upload/source-faults", test_a_changed_source_restarts_and_an_unreadable_one_fails);
    return g_test_run();
}
