#include "engine.h"

#include <string.h>
#include <unistd.h>

#include "imgproc/imgproc.h"
#include "key.h"

/* What becomes of one file: most become one object, pictures as many as they have renditions. They are sent one after the other; the job's
 * record is at one of them. */

enum { MAX_NUMBERED = 10000 };

/* ------------------------------------------------------------------ keys */

static const char *prefix_of(const Job *job)
{
    const char *prefix = job->batch->dest->row.prefix;
    return prefix != NULL ? prefix : "";
}

static const char *plain_key(const Job *job)
{
    return job->rec.plain != NULL ? job->rec.plain : job->rec.key;
}

static const char *extension_of(const char *key)
{
    const char *slash = strrchr(key, '/'), *name = slash != NULL ? slash + 1 : key, *dot = strrchr(name, '.');
    return dot != NULL && dot != name ? dot + 1 : "";
}

static char *rendition_key(const Job *job, const char *name, const char *extension_or_null)
{
    const char *plain = plain_key(job), *extension = extension_or_null != NULL ? extension_or_null : extension_of(plain);
    if (job->rec.pattern == NULL)
        return extension_or_null != NULL ? key_of_result(plain, extension) : g_strdup(plain);
    g_autofree char *key = key_of_pattern(job->rec.pattern, name, extension);
    return g_strconcat(prefix_of(job), key, NULL);
}

static char *original_key(const Job *job)
{
    const char *plain = plain_key(job), *prefix = prefix_of(job), *before = hoist_settings_get(job->batch->settings, "original-prefix");
    const char *below = g_str_has_prefix(plain, prefix) ? plain + strlen(prefix) : plain;
    return g_strconcat(prefix, before != NULL ? before : "", below, NULL);
}

static bool all_free(Hoist *e, const Job *job, char *const *keys, unsigned n, bool *free_out, GError **error)
{
    *free_out = true;
    for (unsigned i = 0; i < n && *free_out; i++) {
        for (unsigned k = 0; k < i; k++)
            *free_out = *free_out && !g_str_equal(keys[i], keys[k]);
        if (*free_out && !store_key_free(e->store, job->rec.batch, job->rec.id, keys[i], free_out, error))
            return false;
    }
    return true;
}

/* The same number for all objects of a file. */
static bool number_keys(Hoist *e, const Job *job, GPtrArray *objects, GError **error)
{
    const unsigned n = objects->len;
    for (unsigned number = 1; number < MAX_NUMBERED; number++) {
        char *keys[RECIPES_MAX + 2] = { NULL };
        bool free_keys = true, fit = true;
        for (unsigned i = 0; i < n; i++) {
            const StoreObject *o = objects->pdata[i];
            keys[i] = number == 1 ? g_strdup(o->key) : key_numbered(o->key, number);
            fit = fit && key_check(keys[i], error);
        }
        const bool ok = fit && all_free(e, job, keys, n, &free_keys, error);
        for (unsigned i = 0; i < n; i++) {
            StoreObject *o = objects->pdata[i];
            char *key = g_steal_pointer(&keys[i]);
            if (ok && free_keys) {
                g_free(o->key);
                o->key = g_steal_pointer(&key);
            }
            g_free(key);
        }
        if (!ok || free_keys)
            return ok;
    }
    fault_set(error, FAULT_KEY, "too many files want the key %s", plain_key(job));
    return false;
}

/* ------------------------------------------------------------------ laying them out */

static void add_object(GPtrArray *objects, const char *name, char *key /* taken */, const ImgObject *made, uint64_t source_bytes)
{
    StoreObject *o = g_new0(StoreObject, 1);
    *o = (StoreObject){ .name = g_strdup(name), .key = key, .bytes = source_bytes };
    if (made != NULL && made->staged != NULL) {
        o->bytes = made->staged_bytes;
        o->staged = g_strdup(made->staged);
        o->recipe = g_strdup(made->recipe);
    }
    g_ptr_array_add(objects, o);
}

/* The workers know no such picture: it only has the name of one. */
static bool is_no_picture(const ImgOutcome *o)
{
    bool known = false;
    for (unsigned i = 0; i < o->n; i++)
        known = known || o->objects[i].staged != NULL || o->objects[i].picture.format != IMG_FORMAT_NONE;
    return !known;
}

/* Each rendition has its object under its name, as it is or not: whoever builds links needs no list. What none can be made of is one object
 * under its own name. */
static GPtrArray *list_objects(const Job *job, const ImgOutcome *o)
{
    const Renditions *r = &job->batch->renditions;
    const uint64_t bytes = job->rec.src.size_bytes;
    GPtrArray *objects = g_ptr_array_new_with_free_func((GDestroyNotify)store_object_free);
    if (o->failed != NULL || is_no_picture(o))
        add_object(objects, r->list[0].name, g_strdup(plain_key(job)), &o->objects[0], bytes);
    else
        for (unsigned i = 0; i < o->n; i++)
            add_object(objects, r->list[i].name, rendition_key(job, r->list[i].name, o->objects[i].extension), &o->objects[i], bytes);
    if (!r->keep_original)
        return objects;
    g_autofree char *key = original_key(job);
    for (unsigned i = 0; i < objects->len; i++) {
        const StoreObject *there = objects->pdata[i];
        if (there->staged == NULL && g_str_equal(there->key, key))
            return objects; /* that is the original, where it should be */
    }
    add_object(objects, "original", g_steal_pointer(&key), NULL, bytes);
    return objects;
}

/* What an earlier round stored stays stored: prepared anew because the spool had lost the rest. */
static void keep_stored(const StoreJob *rec, GPtrArray *objects)
{
    const GPtrArray *before = rec->objects;
    for (unsigned i = 0; before != NULL && before->len == objects->len && i < objects->len; i++) {
        StoreObject *was = before->pdata[i], *now = objects->pdata[i];
        if (was->state == OBJECT_WAITS || !g_str_equal(was->name, now->name))
            continue;
        before->pdata[i] = now;
        objects->pdata[i] = was;
    }
}

static unsigned first_waiting(const GPtrArray *objects)
{
    for (unsigned i = 0; i < objects->len; i++)
        if (((const StoreObject *)objects->pdata[i])->state == OBJECT_WAITS)
            return i;
    return objects->len;
}

static char *note_of(const ImgOutcome *o)
{
    GString *note = g_string_new(NULL);
    for (unsigned i = 0; i < o->n; i++) {
        const char *one = o->objects[i].note;
        if (one == NULL || strstr(note->str, one) != NULL)
            continue;
        g_string_append_printf(note, "%s%s", note->len > 0 ? "; " : "", one);
    }
    return g_string_free(note, note->len == 0);
}

/* Each made picture comes with a hold. */
static void take_holds(Hoist *e, Job *job, const ImgOutcome *o)
{
    for (unsigned i = 0; i < o->n; i++) {
        const char *staged = o->objects[i].staged;
        bool wanted = job->rec.staged != NULL && g_strcmp0(job->rec.staged, staged) == 0;
        for (unsigned k = 0; job->rec.objects != NULL && k < job->rec.objects->len; k++) {
            const StoreObject *there = job->rec.objects->pdata[k];
            wanted = wanted || (there->state == OBJECT_WAITS && g_strcmp0(there->staged, staged) == 0);
        }
        if (staged != NULL && wanted)
            g_ptr_array_add(job->held, g_strdup(staged));
        else if (staged != NULL)
            imgpool_release(e->imgpool, staged);
    }
}

static void lay_one(Job *job, const StoreObject *only)
{
    StoreJob *rec = &job->rec;
    rec->acked_bytes -= MIN(rec->acked_bytes, rec->stored_bytes); /* there were several, some of them stored: none of these counts */
    job_forget_objects(job);
    if (!g_str_equal(rec->key, only->key)) {
        rec->plain = rec->key;
        rec->key = g_strdup(only->key);
    }
    g_free(rec->staged);
    g_free(rec->recipe);
    rec->staged = g_strdup(only->staged);
    rec->recipe = g_strdup(only->recipe);
    rec->staged_bytes = only->staged != NULL ? only->bytes : 0;
}

static void lay_several(Job *job, GPtrArray *objects)
{
    StoreJob *rec = &job->rec;
    const uint64_t in_parts = rec->acked_bytes - MIN(rec->acked_bytes, rec->stored_bytes);
    keep_stored(rec, objects);
    if (rec->plain == NULL)
        rec->plain = g_strdup(rec->key);
    g_clear_pointer(&rec->objects, g_ptr_array_unref);
    rec->objects = g_ptr_array_ref(objects);
    rec->n_objects = objects->len;
    rec->total_bytes = rec->stored_bytes = 0;
    for (unsigned i = 0; i < objects->len; i++) {
        const StoreObject *o = objects->pdata[i];
        rec->total_bytes += o->bytes;
        rec->stored_bytes += o->state != OBJECT_WAITS ? o->bytes : 0;
    }
    rec->acked_bytes = rec->stored_bytes + in_parts;
    job_at_object(job, MIN(first_waiting(objects), objects->len - 1));
}

bool engine_lay_objects(Hoist *e, Job *job, const ImgOutcome *o, GError **problem)
{
    GError *error = NULL;
    StoreJob *rec = &job->rec;
    if (e->store_retry_us != 0) /* which keys are taken cannot be told */
        return false;
    g_autoptr(GPtrArray) objects = list_objects(job, o);
    if (!number_keys(e, job, objects, problem))
        return false;
    const uint64_t bytes = job_bytes(job), acked = rec->acked_bytes;
    g_free(rec->note);
    rec->note = note_of(o);
    rec->prepared = true;
    if (objects->len > 1)
        lay_several(job, objects);
    else
        lay_one(job, objects->pdata[0]);
    if (!store_job_lay_objects(e->store, rec, &error))
        engine_store_trouble(e, error);
    take_holds(e, job, o);
    engine_count(e, rec->state, bytes, rec->state, job_bytes(job));
    const uint64_t now = rec->acked_bytes;
    rec->acked_bytes = acked;
    engine_acked(e, rec, now);
    job->acked_bytes = job->sent_bytes = now;
    engine_tell_row(e, job, HOIST_ROW_PREPARED);
    return true;
}

/* ------------------------------------------------------------------ from one to the next */

static void move_result(StoreJob *rec, StoreObject *o)
{
    char **const from[] = { &rec->stored_key, &rec->url, &rec->etag, &rec->version, &rec->checksum };
    char **const to[] = { &o->stored_key, &o->url, &o->etag, &o->version, &o->checksum };
    for (size_t i = 0; i < G_N_ELEMENTS(from); i++) {
        g_free(*to[i]);
        *to[i] = g_steal_pointer(from[i]);
    }
    o->verified = rec->verified;
}

/* The first speaks for all. */
static void show_first(Job *job)
{
    const StoreObject *o = job->rec.objects->pdata[0];
    StoreJob *rec = &job->rec;
    job_at_object(job, 0);
    rec->stored_key = g_strdup(o->stored_key);
    rec->url = g_strdup(o->url);
    rec->etag = g_strdup(o->etag);
    rec->version = g_strdup(o->version);
    rec->checksum = g_strdup(o->checksum);
    rec->verified = o->verified;
}

/* In the slot that it has, unless nothing may start any more. */
static void begin_next(Hoist *e, Job *job)
{
    GError *error = NULL;
    if (!store_job_queued(e->store, job->rec.id, 0, 0, NULL, NULL, &error))
        engine_store_trouble(e, error);
    engine_stored(e, job, HOIST_QUEUED);
    job->rec.tries = 0;
    if (!job->in_slot || e->paused || job->batch->dest->paused) {
        engine_drop(e, job);
        engine_look_again(e);
        return;
    }
    job_forget_work(job);
    job->resumed = job->resumed_noted = false;
    job->restarts = 0;
    job->wake_us = 0;
    g_clear_error(&job->fault);
    if (job->state != HOIST_QUEUED)
        job_enter(job, HOIST_QUEUED);
    job_enter(job, HOIST_ACTIVE);
    engine_open_source(e, job);
}

bool engine_next_object(Hoist *e, Job *job, ObjectState how)
{
    StoreJob *rec = &job->rec;
    if (rec->objects == NULL)
        return false;
    const unsigned n = rec->object;
    StoreObject *o = rec->objects->pdata[n];
    GError *error = NULL;
    engine_withdraw(e, job);
    o->state = how;
    move_result(rec, o);
    if (how == OBJECT_WAS_THERE)
        engine_reap_of(e, job);
    else if (job->upload_row != 0 && !store_upload_state(e->store, job->upload_row, UPLOAD_DONE, &error))
        engine_store_trouble(e, g_steal_pointer(&error));
    job->upload_row = 0;
    rec->stored_bytes += o->bytes;
    engine_acked(e, rec, rec->stored_bytes);
    if (how == OBJECT_STORED)
        e->moved_bytes += rec->stored_bytes - MIN(job->acked_bytes, rec->stored_bytes);
    job->acked_bytes = job->sent_bytes = rec->stored_bytes;
    const unsigned next = first_waiting(rec->objects);
    const bool more = next < rec->objects->len;
    if (more)
        job_at_object(job, next);
    else
        show_first(job);
    if (!store_job_object_over(e->store, rec, n, &error))
        engine_store_trouble(e, error);
    if (job_holds(job, o->staged))
        engine_release(e, job, o->staged);
    if (more)
        begin_next(e, job);
    return more;
}

unsigned engine_objects_there(const Job *job)
{
    unsigned n = 0;
    for (unsigned i = 0; job->rec.objects != NULL && i < job->rec.objects->len; i++)
        n += ((const StoreObject *)job->rec.objects->pdata[i])->state == OBJECT_WAS_THERE;
    return n;
}
