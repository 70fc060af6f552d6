#include "engine.h"

#include <unistd.h>

/* Pictures on their way through the workers. They wait in the order of the queue; other files pass them. */

bool engine_wants_image(const Job *job)
{
    const Renditions *r = &job->batch->renditions;
    return r->n > 0 && !job->rec.prepared && imgpool_takes(job->content_type, r->vectors);
}

static unsigned imaging_at_once(const Hoist *e)
{
    const unsigned workers = (unsigned)hoist_settings_number(e->settings, "image-workers");
    return 2 * (workers > 0 ? workers : g_get_num_processors()) + 2;
}

static bool submit_image(Hoist *e, Job *job)
{
    const Renditions *r = &job->batch->renditions;
    const char *recipes[RECIPES_MAX] = { NULL };
    for (unsigned i = 0; i < r->n; i++)
        recipes[i] = r->list[i].recipe;
    if (e->n_imaging >= imaging_at_once(e) || !imgpool_submit(e->imgpool, job->fd, &job->sent_id, recipes, r->n, job))
        return false;
    job->imaging = true;
    job->image_pct = -1;
    e->n_imaging++;
    if (job->state != HOIST_PREPARING)
        job_enter(job, HOIST_PREPARING);
    return true;
}

static void close_source(Job *job)
{
    if (job->fd >= 0)
        close(job->fd);
    job->fd = -1;
    g_clear_pointer(&job->content, g_bytes_unref);
}

void engine_prepare_image(Hoist *e, Job *job)
{
    const bool next = e->parked->len == 0 || job_by_place(job, e->parked->pdata[0]) < 0;
    if (next && submit_image(e, job))
        return;
    job->parked = true;
    close_source(job); /* a thousand parked pictures must not hold a thousand descriptors */
    guint at = e->parked->len;
    while (at > 0 && job_by_place(e->parked->pdata[at - 1], job) > 0) /* most come nearly in order */
        at--;
    g_ptr_array_insert(e->parked, (gint)at, job);
}

static gint parked_by_place(gconstpointer a, gconstpointer b)
{
    return job_by_place(*(Job *const *)a, *(Job *const *)b);
}

void engine_sort_parked(Hoist *e)
{
    g_ptr_array_sort(e->parked, parked_by_place);
}

/* False: there is no room for it yet. */
static bool unpark_first(Hoist *e)
{
    Job *job = e->parked->pdata[0];
    GError *error = NULL;
    job->fd = source_open(job->rec.path, &job->sent_id, &error);
    if (job->fd >= 0 && !source_check(job->fd, &job->rec.src, &error))
        close_source(job);
    if (job->fd >= 0 && !submit_image(e, job)) {
        close_source(job);
        return false;
    }
    g_ptr_array_remove_index(e->parked, 0);
    job->parked = false;
    if (error == NULL)
        return true;
    if (fault_code(error) == FAULT_SOURCE_CHANGED)
        engine_start_over(e, job, error);
    else
        engine_fail(e, job, error);
    return true;
}

void engine_unpark(Hoist *e)
{
    while (e->parked->len > 0 && e->n_imaging < imaging_at_once(e) && unpark_first(e))
        continue;
}

bool engine_images_moved(Hoist *e)
{
    bool moved = false;
    GHashTableIter it;
    gpointer value;
    if (e->n_imaging == 0)
        return false;
    g_hash_table_iter_init(&it, e->jobs);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        Job *job = value;
        const int pct = job->imaging ? imgpool_percent(e->imgpool, job) : job->image_pct;
        if (pct != job->image_pct)
            job->dirty = true;
        job->image_pct = pct;
        moved = moved || (job->dirty && job->imaging);
    }
    return moved;
}

/* ------------------------------------------------------------------ what came out of it */

static void let_go(Hoist *e, const ImgOutcome *o)
{
    for (unsigned i = 0; i < o->n; i++)
        if (o->objects[i].staged != NULL)
            imgpool_let_go(e->imgpool, o->objects[i].staged);
}

static void lay(Hoist *e, Job *job, const ImgOutcome *o)
{
    GError *error = NULL;
    if (engine_lay_objects(e, job, o, &error)) {
        engine_send_prepared(e, job);
        return;
    }
    let_go(e, o);
    if (error == NULL || engine_is_trouble(error)) {
        engine_store_trouble(e, error);
        engine_drop(e, job); /* found in the spool when it is taken again */
    } else {
        engine_fail(e, job, error);
    }
}

/* Nobody asked for it to be taken out. */
static bool keeps_metadata(const Job *job)
{
    ImgRecipe first;
    return recipe_parse(job->batch->renditions.list[0].recipe, &first, NULL) && first.metadata == METADATA_ALL;
}

/* The picture defeats the workers. */
static void on_defeated(Hoist *e, Job *job, const ImgOutcome *o)
{
    const char *policy = hoist_settings_get(job->batch->settings, "on-image-error");
    const bool fail = g_strcmp0(policy, "fail") == 0, skip = g_strcmp0(policy, "skip") == 0;
    ImgOutcome original = { .n = 1, .failed = o->failed, .objects = { o->objects[0] } };
    const char *staged = original.objects[0].staged;
    if (!fail && !skip) {
        const char *but = staged != NULL ? " but for its metadata" : o->clean || keeps_metadata(job) ? "" : ", with its metadata";
        g_autofree char *note = g_strdup_printf("sent as it is%s: %s", but, o->failed);
        original.objects[0].note = note;
        lay(e, job, &original);
        return;
    }
    GError *error = NULL;
    fault_set(&error, FAULT_IMAGE, "%s", o->failed);
    if (staged != NULL)
        imgpool_release(e->imgpool, staged);
    if (fail) {
        engine_fail(e, job, error);
        return;
    }
    g_autofree char *note = g_strdup_printf("skipped: %s", o->failed);
    engine_skip(e, job, error, note);
    g_error_free(error);
}

void engine_imaged(Hoist *e, ImgOutcome *o)
{
    Job *job = o->user;
    job->imaging = false;
    e->n_imaging--;
    e->totals_dirty = true;
    if (o->error != NULL && fault_code(o->error) == FAULT_SOURCE_CHANGED) {
        engine_start_over(e, job, g_steal_pointer(&o->error));
    } else if (o->error != NULL) {
        engine_fail(e, job, g_steal_pointer(&o->error));
    } else if (o->failed != NULL) {
        on_defeated(e, job, o);
    } else {
        lay(e, job, o);
    }
}

/* ------------------------------------------------------------------ a small picture for a person who looks at a row */

void engine_look_end(Hoist *e)
{
    Looking *look = &e->look;
    if (look->opening != NULL) {
        atomic_store(&look->opening->cancelled, true);
        look->opening->user = NULL;
    }
    if (look->working)
        imgpool_cancel(e->imgpool, look);
    if (look->fd >= 0)
        close(look->fd);
    *look = (Looking){ .fd = -1 };
}

static void tell_picture(Hoist *e, const ImgOutcome *o, const char *text)
{
    HoistEvent *ev = g_new0(HoistEvent, 1);
    ev->kind = HOIST_EVENT_PICTURE;
    ev->number = e->look.id;
    if (o != NULL && o->rgb != NULL) {
        ev->picture = g_new0(HoistPicture, 1);
        *ev->picture = (HoistPicture){ g_bytes_ref(o->rgb), o->width_px, o->height_px };
    } else {
        ev->text = g_strdup(text);
    }
    engine_tell(e, ev);
    engine_look_end(e);
}

void engine_look(Hoist *e, int64_t id, unsigned edge_px)
{
    engine_look_end(e); /* nobody waits for the one before any more */
    e->look.id = id;
    e->look.edge_px = edge_px;
    g_autoptr(GError) error = NULL;
    StoreJob rec = { 0 };
    const Job *job = g_hash_table_lookup(e->jobs, &id);
    if (job == NULL && !store_job_load(e->store, id, &rec, &error)) {
        tell_picture(e, NULL, "there is no such file in the queue");
        return;
    }
    e->look.opening = prep_task_new(PREP_OPEN, &e->look);
    e->look.opening->path = g_strdup(job != NULL ? job->rec.path : rec.path);
    prep_submit(e->prep, e->look.opening);
    store_job_clear(&rec);
}

void engine_look_opened(Hoist *e, PrepTask *task)
{
    e->look.opening = NULL;
    if (task->error != NULL) {
        tell_picture(e, NULL, task->error->message);
    } else if (!imgpool_takes(task->content_type, false)) {
        g_autofree char *text = g_strdup_printf("not a picture: %s", task->content_type);
        tell_picture(e, NULL, text);
    } else {
        e->look.fd = task->fd;
        task->fd = -1;
    }
}

/* The worker may still be at the one before. */
void engine_look_on(Hoist *e)
{
    Looking *look = &e->look;
    if (look->fd < 0 || look->working)
        return;
    look->working = imgpool_preview(e->imgpool, look->fd, look->edge_px, look);
}

void engine_looked(Hoist *e, const ImgOutcome *o)
{
    const char *why = o->error != NULL ? o->error->message : o->failed;
    e->look.working = false;
    tell_picture(e, o, why != NULL ? why : "there is nothing to show");
}
