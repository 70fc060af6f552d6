#include "core/job.h"

static void test_lawful_changes(void)
{
    g_assert_true(job_may_enter(HOIST_QUEUED, HOIST_ACTIVE));
    g_assert_true(job_may_enter(HOIST_ACTIVE, HOIST_DONE));
    g_assert_true(job_may_enter(HOIST_COMPLETING, HOIST_QUEUED));
    g_assert_false(job_may_enter(HOIST_COMPLETING, HOIST_PAUSED)); /* the server is at work: its answer decides */
    for (int to = 0; to < HOIST_N_STATES; to++)
        g_assert_false(job_may_enter(HOIST_DONE, (HoistState)to)); /* what the server confirmed stays confirmed */
}

static void test_row_shows_what_is_sent(void)
{
    StoreJob rec = { .id = 7,
                     .path = (char *)"/a/photo.jpg",
                     .name = (char *)"a/photo.jpg",
                     .key = (char *)"p/a/photo.webp",
                     .state = HOIST_QUEUED,
                     .src = { .size_bytes = 1000 },
                     .staged = (char *)"abc",
                     .staged_bytes = 100 };
    Job *job = job_new(&rec, NULL);
    job_enter(job, HOIST_ACTIVE);
    fault_set(&job->fault, FAULT_CLOCK, "21 min behind");
    g_autoptr(HoistRow) row = job_row(job, "s3://b", NULL, 0, false);
    g_assert_cmpuint(row->source_bytes, ==, 1000);
    g_assert_cmpuint(row->bytes, ==, 100);
    g_assert_cmpint(row->state, ==, HOIST_ACTIVE);
    g_assert_cmpstr(row->fault, ==, "clock-skew");
    g_assert_cmpstr(row->cause, ==, "21 min behind");
    g_assert_nonnull(row->remedy);
    job_free(job);
}

static void test_starting_over_forgets_everything(void)
{
    StoreJob rec = { .id = 7, .path = (char *)"/a", .state = HOIST_QUEUED };
    Job *job = job_new(&rec, NULL);
    job->upload = upload_new("k", 30, 0);
    upload_plan(job->upload, true, 10);
    job->upload->parts[1].done = true;
    job_measure(job, NULL, 1000);
    g_assert_cmpuint(job->acked_bytes, ==, 10);
    job_forget_work(job);
    g_assert_cmpuint(job->acked_bytes, ==, 0);
    g_assert_null(job->upload);
    job_free(job);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/job/lawful-changes", test_lawful_changes);
    g_test_add_func("/job/row-shows-what-is-sent", test_row_shows_what_is_sent);
    g_test_add_func("/job/starting-over-forgets-everything", test_starting_over_forgets_everything);
    return g_test_run();
}
