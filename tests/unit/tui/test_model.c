#include <glib.h>
#include <string.h>

#include "fake.h"
#include "tui/model.h"

typedef struct {
    FakeStore store;
    Model *m;
    int64_t now_us;
} Fix;

static void setup(Fix *f, gconstpointer data)
{
    (void)data;
    fake_init(&f->store);
    f->m = model_new(fake_page, &f->store);
    model_set_height(f->m, 10);
    f->now_us = G_USEC_PER_SEC;
}

static void teardown(Fix *f, gconstpointer data)
{
    (void)data;
    model_free(f->m);
    fake_clear(&f->store);
}

static void refresh(Fix *f)
{
    f->now_us += 10 * G_USEC_PER_SEC;
    g_assert_true(model_refresh(f->m, f->now_us, NULL));
}

static void fill(Fix *f, unsigned n, HoistState state)
{
    for (unsigned i = 0; i < n; i++) {
        g_autofree char *name = g_strdup_printf("f%05u.jpg", i);
        fake_add(&f->store, state, name, 1000);
    }
}

static HoistRow *store_row(Fix *f, int64_t id)
{
    return g_ptr_array_index(f->store.rows, id - 1);
}

/* What the engine does: the store first, then the event. */
static void change(Fix *f, int64_t id, HoistState state, HoistRowChange what)
{
    HoistRow *row = store_row(f, id);
    row->state = state;
    HoistEvent ev = { .kind = HOIST_EVENT_ROW, .row = row, .change = what };
    model_event(f->m, &ev, f->now_us);
}

static int64_t id_at(Fix *f, unsigned i)
{
    const ModelRow *mr = model_at(f->m, i);
    return mr == NULL ? 0 : mr->row->id;
}

static int64_t selected_id(Fix *f)
{
    const ModelRow *mr = model_selected(f->m);
    return mr == NULL ? 0 : mr->row->id;
}

static void test_empty(Fix *f, gconstpointer data)
{
    (void)data;
    refresh(f);
    g_assert_cmpuint(model_visible(f->m), ==, 0);
    g_assert_null(model_selected(f->m));
    model_move(f->m, 5);
    model_move(f->m, -5);
    model_bottom(f->m);
    model_top(f->m);
    model_mark(f->m);
    model_mark_all(f->m, true);
    model_set_range(f->m, true);
    g_assert_cmpuint(marks_count(model_marks(f->m)), ==, 0);
    g_assert_false(model_more_below(f->m));
    g_assert_cmpint(model_deadline_us(f->m), ==, -1);
}

static void test_active_on_top_done_at_the_bottom(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f, 6, HOIST_QUEUED);
    refresh(f);
    change(f, 1, HOIST_DONE, HOIST_ROW_DONE);
    change(f, 3, HOIST_ACTIVE, HOIST_ROW_STARTED);
    change(f, 5, HOIST_FAILED, HOIST_ROW_FAILED);
    refresh(f);
    static const int64_t expected[] = { 3, 2, 4, 5, 6, 1 };
    g_assert_cmpuint(model_visible(f->m), ==, 6);
    for (unsigned i = 0; i < 6; i++)
        g_assert_cmpint(id_at(f, i), ==, expected[i]);
}

static void test_moving_row_is_shown_once(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f, 3, HOIST_QUEUED);
    refresh(f);
    HoistRow *row = store_row(f, 2); /* the store still says queued */
    g_autoptr(HoistRow) active = hoist_row_dup(row);
    active->state = HOIST_ACTIVE;
    active->acked_bytes = 500;
    HoistEvent ev = { .kind = HOIST_EVENT_ROW, .row = active, .change = HOIST_ROW_PROGRESS };
    model_event(f->m, &ev, f->now_us);
    refresh(f);
    g_assert_cmpuint(model_visible(f->m), ==, 3);
    g_assert_cmpint(id_at(f, 0), ==, 2);
    g_assert_cmpuint(model_at(f->m, 0)->row->acked_bytes, ==, 500);
    g_assert_cmpint(id_at(f, 1), ==, 1);
    g_assert_cmpint(id_at(f, 2), ==, 3);
    model_set_tab(f->m, TAB_QUEUED);
    g_assert_cmpuint(model_visible(f->m), ==, 2);
    model_set_tab(f->m, TAB_ACTIVE);
    g_assert_cmpuint(model_visible(f->m), ==, 1);
}

static void test_progress_reads_no_pages(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f, 100, HOIST_QUEUED);
    refresh(f);
    change(f, 1, HOIST_ACTIVE, HOIST_ROW_STARTED);
    refresh(f);
    const unsigned pages = f->store.pages;
    for (unsigned i = 0; i < 1000; i++)
        change(f, 1, HOIST_ACTIVE, HOIST_ROW_PROGRESS);
    g_assert_cmpint(model_deadline_us(f->m), ==, -1);
    refresh(f);
    g_assert_cmpuint(f->store.pages, ==, pages);
}

static void test_event_before_its_commit(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f, 3, HOIST_QUEUED);
    refresh(f);
    change(f, 1, HOIST_DONE, HOIST_ROW_DONE);
    store_row(f, 1)->state = HOIST_QUEUED; /* what a page read too early says */
    refresh(f);
    change(f, 1, HOIST_DONE, HOIST_ROW_DONE);
    store_row(f, 1)->state = HOIST_QUEUED;
    g_assert_true(model_refresh(f->m, f->now_us + 300000, NULL));
    g_assert_cmpint(id_at(f, 0), ==, 1);
    g_assert_cmpint(model_at(f->m, 0)->row->state, ==, HOIST_DONE);
    store_row(f, 1)->state = HOIST_DONE;
    g_assert_cmpint(model_deadline_us(f->m), ==, f->now_us + 500000);
    g_assert_true(model_refresh(f->m, f->now_us + 500000, NULL));
    g_assert_cmpint(id_at(f, 2), ==, 1);
    g_assert_cmpint(model_deadline_us(f->m), ==, -1);
}

static void test_done_at_the_edge_skips_nothing(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f, 200, HOIST_QUEUED);
    refresh(f);
    for (int64_t id = 1; id <= 20; id++)
        change(f, id, HOIST_DONE, HOIST_ROW_DONE); /* all that is held, the last row among them */
    for (unsigned i = 0; i < 60; i++)
        model_move(f->m, 1);
    g_assert_cmpint(selected_id(f), ==, 61);
    refresh(f);
    model_top(f->m);
    g_assert_cmpint(selected_id(f), ==, 21);
}

static void test_pages_are_read_at_most_four_times_a_second(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f, 100, HOIST_QUEUED);
    refresh(f);
    const unsigned pages = f->store.pages;
    const int64_t start = f->now_us;
    for (int64_t id = 1; id <= 100; id++) {
        f->now_us = start + id * 10000;
        change(f, id, HOIST_DONE, HOIST_ROW_DONE);
        g_assert_true(model_refresh(f->m, f->now_us, NULL));
    }
    g_assert_cmpuint(f->store.pages - pages, <=, 4 * 2);
}

static void test_long_list_holds_little(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f, 5000, HOIST_QUEUED);
    refresh(f);
    for (unsigned i = 1; i < 5000; i++) {
        model_move(f->m, 1);
        g_assert_cmpint(selected_id(f), ==, i + 1);
    }
    model_move(f->m, 1);
    g_assert_cmpint(selected_id(f), ==, 5000);
    g_assert_cmpint(id_at(f, 9), ==, 5000);
    g_assert_false(model_more_below(f->m));
    g_assert_true(model_more_above(f->m));
    for (unsigned i = 1; i < 5000; i++) {
        model_move(f->m, -1);
        g_assert_cmpint(selected_id(f), ==, 5000 - i);
    }
    model_move(f->m, -1);
    g_assert_cmpint(selected_id(f), ==, 1);
    g_assert_false(model_more_above(f->m));
    g_assert_cmpuint(f->store.longest, <=, 600);
}

static void test_pages_of_many_rows(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f, 3000, HOIST_QUEUED);
    refresh(f);
    for (int64_t id = 1; id + 9 <= 3000; id += 9, model_move(f->m, 9))
        g_assert_cmpint(selected_id(f), ==, id);
    model_top(f->m);
    g_assert_cmpint(selected_id(f), ==, 1);
    model_bottom(f->m);
    g_assert_cmpint(selected_id(f), ==, 3000);
    g_assert_cmpint(id_at(f, 0), ==, 2991);
    model_move(f->m, -9);
    g_assert_cmpint(selected_id(f), ==, 2991);
    model_top(f->m);
    g_assert_cmpint(id_at(f, 0), ==, 1);
}

static void test_bottom_of_two_groups(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f, 40, HOIST_QUEUED);
    for (int64_t id = 1; id <= 5; id++)
        store_row(f, id)->state = HOIST_DONE;
    refresh(f);
    model_bottom(f->m);
    g_assert_cmpint(selected_id(f), ==, 5);
    g_assert_cmpint(id_at(f, 4), ==, 40);
    for (unsigned i = 0; i < 39; i++)
        model_move(f->m, -1);
    g_assert_cmpint(selected_id(f), ==, 6);
}

static void test_selection_keeps_its_file(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f, 30, HOIST_QUEUED);
    refresh(f);
    model_move(f->m, 4);
    g_assert_cmpint(selected_id(f), ==, 5);
    change(f, 9, HOIST_ACTIVE, HOIST_ROW_STARTED);
    g_assert_cmpint(id_at(f, 0), ==, 9);
    g_assert_cmpint(selected_id(f), ==, 5);
    g_ptr_array_remove_index(f->store.rows, 0);
    model_stale(f->m);
    refresh(f);
    g_assert_cmpint(selected_id(f), ==, 5);
}

static void test_selection_does_not_sink_with_done_files(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f, 50, HOIST_QUEUED);
    refresh(f);
    model_move(f->m, 1);
    change(f, 2, HOIST_ACTIVE, HOIST_ROW_STARTED);
    refresh(f);
    g_assert_cmpint(selected_id(f), ==, 2);
    change(f, 2, HOIST_DONE, HOIST_ROW_DONE);
    refresh(f);
    g_assert_cmpint(selected_id(f), ==, 1);
    g_assert_cmpint(id_at(f, 0), ==, 1);
}

static void test_untouched_list_stays_at_the_top(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f, 50, HOIST_QUEUED);
    refresh(f);
    for (int64_t id = 1; id < 20; id++) {
        change(f, id, HOIST_ACTIVE, HOIST_ROW_STARTED);
        g_assert_cmpint(selected_id(f), ==, id);
        change(f, id, HOIST_DONE, HOIST_ROW_DONE);
        refresh(f);
        g_assert_cmpint(id_at(f, 0), ==, id + 1);
    }
}

static void test_removed_rows_leave_a_neighbour(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f, 5, HOIST_DONE);
    refresh(f);
    model_bottom(f->m);
    g_ptr_array_set_size(f->store.rows, 3);
    model_stale(f->m);
    refresh(f);
    g_assert_cmpint(selected_id(f), ==, 3);
    g_ptr_array_set_size(f->store.rows, 0);
    model_stale(f->m);
    refresh(f);
    g_assert_null(model_selected(f->m));
}

static void test_list_shrinks_under_a_far_window(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f, 3000, HOIST_QUEUED);
    refresh(f);
    model_bottom(f->m);
    g_ptr_array_set_size(f->store.rows, 20);
    model_stale(f->m);
    refresh(f);
    g_assert_cmpuint(model_visible(f->m), ==, 10);
    g_assert_nonnull(model_selected(f->m));
}

static void test_broken_store_keeps_rows(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f, 5, HOIST_QUEUED);
    refresh(f);
    f->store.broken = true;
    model_stale(f->m);
    f->now_us += G_USEC_PER_SEC;
    g_autoptr(GError) error = NULL;
    g_assert_false(model_refresh(f->m, f->now_us, &error));
    g_assert_nonnull(error);
    g_assert_cmpuint(model_visible(f->m), ==, 5);
}

static void test_filter(Fix *f, gconstpointer data)
{
    (void)data;
    fake_add(&f->store, HOIST_QUEUED, "Clip.mov", 1);
    fake_add(&f->store, HOIST_FAILED, "clip2.mov", 1);
    fake_add(&f->store, HOIST_QUEUED, "scan.tiff", 1);
    refresh(f);
    change(f, 3, HOIST_ACTIVE, HOIST_ROW_STARTED);
    model_set_filter(f->m, "CLIP");
    g_assert_cmpuint(model_visible(f->m), ==, 2);
    model_set_filter(f->m, "clip s:failed");
    g_assert_cmpuint(model_visible(f->m), ==, 1);
    g_assert_cmpint(id_at(f, 0), ==, 2);
    model_set_filter(f->m, "scan");
    g_assert_cmpint(id_at(f, 0), ==, 3);
    model_set_tab(f->m, TAB_FAILED);
    g_assert_cmpuint(model_visible(f->m), ==, 0);
    model_set_filter(f->m, NULL);
    g_assert_cmpint(id_at(f, 0), ==, 2);
}

static void test_marks_and_targets(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f, 20, HOIST_QUEUED);
    store_row(f, 3)->acked_bytes = 700;
    store_row(f, 4)->state = HOIST_FAILED;
    refresh(f);
    g_assert_cmpuint(model_count_targets(f->m, 1u << HOIST_QUEUED, NULL), ==, 1);
    model_move(f->m, 2);
    model_mark(f->m);
    model_move(f->m, 1);
    model_mark(f->m);
    uint64_t acked = 0;
    g_assert_cmpuint(model_count_targets(f->m, 1u << HOIST_QUEUED, &acked), ==, 1);
    g_assert_cmpuint(model_count_targets(f->m, 1u << HOIST_FAILED, NULL), ==, 1);
    g_assert_cmpuint(acked, ==, 700);
    g_autoptr(GArray) ids = model_targets(f->m, 1u << HOIST_FAILED);
    g_assert_cmpuint(ids->len, ==, 1);
    g_assert_cmpint(g_array_index(ids, int64_t, 0), ==, 4);
    change(f, 4, HOIST_QUEUED, HOIST_ROW_QUEUED);
    g_assert_cmpuint(model_count_targets(f->m, 1u << HOIST_QUEUED, NULL), ==, 2);
    model_mark_all(f->m, true);
    g_assert_cmpuint(marks_count(model_marks(f->m)), ==, 18);
    model_mark_all(f->m, false);
    g_assert_cmpuint(marks_count(model_marks(f->m)), ==, 20);
    model_mark_none(f->m);
    g_assert_cmpuint(marks_count(model_marks(f->m)), ==, 0);
}

static void test_range(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f, 20, HOIST_QUEUED);
    refresh(f);
    model_move(f->m, 2);
    model_set_range(f->m, true);
    model_move(f->m, 4);
    model_set_range(f->m, false);
    model_move(f->m, 4);
    g_assert_cmpuint(marks_count(model_marks(f->m)), ==, 5);
    g_assert_true(marks_has(model_marks(f->m), 3));
    g_assert_true(marks_has(model_marks(f->m), 7));
    g_assert_false(marks_has(model_marks(f->m), 8));
}

static void test_all_of_many_can_be_marked(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f, 2500, HOIST_QUEUED);
    refresh(f);
    model_mark_all(f->m, false);
    g_assert_cmpuint(marks_count(model_marks(f->m)), ==, 2500);
}

static void test_follow(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f, 50, HOIST_QUEUED);
    refresh(f);
    model_bottom(f->m);
    model_set_follow(f->m, true);
    change(f, 30, HOIST_ACTIVE, HOIST_ROW_STARTED);
    g_assert_cmpint(selected_id(f), ==, 30);
    change(f, 30, HOIST_DONE, HOIST_ROW_DONE);
    change(f, 31, HOIST_ACTIVE, HOIST_ROW_STARTED);
    refresh(f);
    g_assert_cmpint(selected_id(f), ==, 31);
    model_move(f->m, 1);
    g_assert_false(model_follow(f->m));
}

static void test_log_is_harmless_and_bounded(Fix *f, gconstpointer data)
{
    (void)data;
    fake_add(&f->store, HOIST_QUEUED, "\033]0;owned\a.jpg", 10);
    refresh(f);
    for (unsigned i = 0; i < 2000; i++)
        change(f, 1, HOIST_DONE, HOIST_ROW_DONE);
    g_assert_cmpuint(model_log_length(f->m), ==, 500);
    g_assert_null(strchr(model_log_line(f->m, 0)->text, '\033'));
    g_assert_nonnull(strstr(model_log_line(f->m, 0)->text, "^[]0;owned^G.jpg"));
}

static void test_log_tells_why_a_picture_fell_back(Fix *f, gconstpointer data)
{
    (void)data;
    fake_add(&f->store, HOIST_QUEUED, "a.jpg", 10)->note = g_strdup("sent as it is: the picture is damaged: \033[31mEOF");
    fake_add(&f->store, HOIST_QUEUED, "b.bin", 10)->note = g_strdup("resumed: 12 of 40 parts were there");
    refresh(f);
    change(f, 1, HOIST_DONE, HOIST_ROW_DONE);
    g_assert_nonnull(strstr(model_log_line(f->m, 0)->text, "  sent as it is: the picture is damaged: ^[[31mEOF"));
    g_assert_cmpint(model_log_line(f->m, 0)->kind, ==, LINE_WARN);
    change(f, 2, HOIST_DONE, HOIST_ROW_DONE);
    g_assert_null(strstr(model_log_line(f->m, 0)->text, "resumed"));
    g_assert_cmpint(model_log_line(f->m, 0)->kind, ==, LINE_GOOD);
}

static void test_countdown_animates_only_on_the_screen(Fix *f, gconstpointer data)
{
    (void)data;
    fill(f, 50, HOIST_QUEUED);
    store_row(f, 40)->retry_in_ms = 5000;
    refresh(f);
    g_assert_false(model_animated(f->m));
    model_bottom(f->m);
    model_move(f->m, -12);
    g_assert_true(model_animated(f->m));
}

static void test_trend(void)
{
    static Trend t;
    double out[100];
    g_assert_cmpuint(trend_columns(&t, 100, out), ==, 0);
    g_assert_cmpfloat(trend_top(&t), ==, 0);
    for (unsigned i = 0; i < 50; i++)
        trend_add(&t, i, i * 500000);
    g_assert_cmpuint(trend_columns(&t, 100, out), ==, 50);
    g_assert_cmpfloat(out[49], ==, 49);
    g_assert_cmpfloat(trend_top(&t), ==, 50);
    trend_add(&t, 30, 49 * 500000 + 1000);
    g_assert_cmpuint(trend_columns(&t, 100, out), ==, 50);
    g_assert_cmpuint(trend_columns(&t, 10, out), ==, 10);
    g_assert_cmpfloat(out[9], ==, 49);
    for (unsigned i = 0; i < 5000; i++) {
        trend_add(&t, i % 7 == 0 ? 9e6 : 1e6, (100 + i) * 500000);
        g_assert_cmpuint(trend_columns(&t, 77, out), <=, 77);
    }
    g_assert_cmpfloat(trend_peak(&t), ==, 9e6);
    g_assert_cmpfloat(trend_top(&t), ==, 1e7);
}

static unsigned wholes_read;

static HoistRow *read_whole(void *ctx, int64_t id, GError **error)
{
    (void)error;
    const FakeStore *store = ctx;
    HoistRow *row = hoist_row_dup(g_ptr_array_index(store->rows, id - 1));
    wholes_read++;
    row->n_objects = id == 3 ? 1 : 2;
    row->objects = g_new0(HoistObject, row->n_objects);
    row->objects[0].bytes = (uint64_t)id;
    return row;
}

/* Once for a selection, however often it is drawn; again after changes; of a moving file, once a second. */
static void test_objects_are_read_once(Fix *f, gconstpointer data)
{
    (void)data;
    unsigned n = 7;
    fill(f, 3, HOIST_QUEUED);
    refresh(f);
    g_assert_null(model_objects(f->m, &n));
    g_assert_cmpuint(n, ==, 0);
    model_set_whole(f->m, read_whole);
    wholes_read = 0;
    for (unsigned i = 0; i < 5; i++) {
        g_assert_cmpuint(model_objects(f->m, &n)->bytes, ==, 1);
        g_assert_cmpuint(n, ==, 2);
    }
    g_assert_cmpuint(wholes_read, ==, 1);
    model_move(f->m, 1);
    g_assert_cmpuint(model_objects(f->m, &n)->bytes, ==, 2);
    model_move(f->m, 1);
    g_assert_null(model_objects(f->m, &n)); /* one object: the row says it all */
    g_assert_cmpuint(wholes_read, ==, 3);
    model_top(f->m);
    change(f, 1, HOIST_ACTIVE, HOIST_ROW_STARTED);
    refresh(f);
    g_assert_nonnull(model_objects(f->m, &n));
    g_assert_nonnull(model_objects(f->m, &n));
    g_assert_cmpuint(wholes_read, ==, 4);
    model_set_now(f->m, f->now_us + G_USEC_PER_SEC);
    g_assert_nonnull(model_objects(f->m, &n));
    g_assert_nonnull(model_objects(f->m, &n));
    g_assert_cmpuint(wholes_read, ==, 5);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    static const struct {
        const char *path;
        void (*run)(Fix *, gconstpointer);
    } tests[] = {
        { "/model/empty", test_empty },
        { "/model/objects-are-read-once", test_objects_are_read_once },
        { "/model/active-on-top-done-at-the-bottom", test_active_on_top_done_at_the_bottom },
        { "/model/moving-row-is-shown-once", test_moving_row_is_shown_once },
        { "/model/progress-reads-no-pages", test_progress_reads_no_pages },
        { "/model/event-before-its-commit", test_event_before_its_commit },
        { "/model/done-at-the-edge-skips-nothing", test_done_at_the_edge_skips_nothing },
        { "/model/pages-are-read-at-most-four-times-a-second", test_pages_are_read_at_most_four_times_a_second },
        { "/model/long-list-holds-little", test_long_list_holds_little },
        { "/model/pages-of-many-rows", test_pages_of_many_rows },
        { "/model/bottom-of-two-groups", test_bottom_of_two_groups },
        { "/model/selection-keeps-its-file", test_selection_keeps_its_file },
        { "/model/selection-does-not-sink-with-done-files", test_selection_does_not_sink_with_done_files },
        { "/model/untouched-list-stays-at-the-top", test_untouched_list_stays_at_the_top },
        { "/model/removed-rows-leave-a-neighbour", test_removed_rows_leave_a_neighbour },
        { "/model/list-shrinks-under-a-far-window", test_list_shrinks_under_a_far_window },
        { "/model/broken-store-keeps-rows", test_broken_store_keeps_rows },
        { "/model/filter", test_filter },
        { "/model/marks-and-targets", test_marks_and_targets },
        { "/model/range", test_range },
        { "/model/all-of-many-can-be-marked", test_all_of_many_can_be_marked },
        { "/model/follow", test_follow },
        { "/model/log-is-harmless-and-bounded", test_log_is_harmless_and_bounded },
        { "/model/log-tells-why-a-picture-fell-back", test_log_tells_why_a_picture_fell_back },
        { "/model/countdown-animates-only-on-the-screen", test_countdown_animates_only_on_the_screen },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fix, NULL, setup, tests[i].run, teardown);
    g_test_add_func("/model/trend", test_trend);
    return g_test_run();
}
