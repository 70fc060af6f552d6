#include "imgpool.h"

#include <string.h>
#include <unistd.h>

#include "fault.h"
#include "imgkeeper.h"
#include "imgproc/imgproc.h"

enum {
    DEFAULT_SPOOL_MIB = 512,
    DEFAULT_SPOOL_FILES = 64,
    DEFAULT_DEADLINE_MS = 120000,
    WORKERS_MAX = 64,
    MEMORY_PER_WORKER_MIB = 512,
    QUEUE_MAX = 64,                /* pictures waiting or at work; each holds a descriptor */
    CLEANED_MORE_BYTES = 64 << 10, /* by which a source may grow when its EXIF is written anew */
};

/* A submitted job that nobody cancelled. */
typedef struct {
    ImgTask *task;
    ImgOutcome *outcome; /* with the objects that were in the spool */
} Live;

struct ImgPool {
    void (*wake)(void *ctx);
    void *wake_ctx;
    Spool *spool;
    ImgKeeper *keeper;
    GHashTable *live; /* ImgTask.id -> Live */
    GQueue ready;     /* ImgOutcome that needed no worker */
    unsigned handed;  /* tasks that the keeper has */
};

static void object_clear(ImgObject *o)
{
    g_free(o->staged);
    g_free(o->content_type);
    g_free(o->extension);
    g_free(o->recipe);
    g_free(o->note);
    *o = (ImgObject){ 0 };
}

void imgpool_outcome_free(ImgOutcome *o)
{
    if (o == NULL)
        return;
    g_clear_error(&o->error);
    g_free(o->failed);
    for (unsigned i = 0; i < G_N_ELEMENTS(o->objects); i++)
        object_clear(&o->objects[i]);
    g_clear_pointer(&o->rgb, g_bytes_unref);
    g_free(o);
}

static void let_go_all(ImgPool *p, ImgOutcome *o)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(o->objects); i++) {
        if (o->objects[i].staged != NULL)
            spool_let_go(p->spool, o->objects[i].staged);
        object_clear(&o->objects[i]);
    }
}

static void live_free(gpointer data)
{
    Live *l = data;
    imgpool_outcome_free(l->outcome);
    g_free(l);
}

static unsigned default_workers(void)
{
    const long memory_mib = sysconf(_SC_PHYS_PAGES) / 1024 * (sysconf(_SC_PAGESIZE) / 1024);
    const unsigned by_memory = memory_mib > MEMORY_PER_WORKER_MIB ? (unsigned)(memory_mib / MEMORY_PER_WORKER_MIB) : 1;
    return MIN(g_get_num_processors(), by_memory);
}

ImgPool *imgpool_new(const ImgPoolConf *conf, void (*wake)(void *ctx), void *ctx, GError **error)
{
    const uint64_t spool_bytes = conf->spool_bytes != 0 ? conf->spool_bytes : (uint64_t)DEFAULT_SPOOL_MIB << 20;
    const unsigned workers = MIN(conf->workers != 0 ? conf->workers : default_workers(), WORKERS_MAX);
    const unsigned deadline_ms = conf->deadline_ms != 0 ? conf->deadline_ms : DEFAULT_DEADLINE_MS;
    Spool *spool = spool_new(conf->spool_dir, spool_bytes, conf->spool_files != 0 ? conf->spool_files : DEFAULT_SPOOL_FILES, error);
    if (spool == NULL)
        return NULL;
    ImgPool *p = g_new0(ImgPool, 1);
    p->spool = spool;
    p->wake = wake;
    p->wake_ctx = ctx;
    p->live = g_hash_table_new_full(NULL, NULL, NULL, live_free);
    p->keeper = imgkeeper_new(conf->worker, workers, deadline_ms, spool, wake, ctx, error);
    if (p->keeper == NULL)
        g_clear_pointer(&p, imgpool_free);
    return p;
}

void imgpool_free(ImgPool *p)
{
    if (p == NULL)
        return;
    imgkeeper_free(p->keeper);
    g_queue_clear_full(&p->ready, (GDestroyNotify)imgpool_outcome_free);
    g_hash_table_unref(p->live);
    spool_free(p->spool);
    g_free(p);
}

bool imgpool_takes(const char *content_type, bool vectors)
{
    static const char *const types[] = { "image/jpeg", "image/png",  "image/gif",  "image/webp",
                                         "image/tiff", "image/heic", "image/heif", "image/avif" };
    for (gsize i = 0; content_type != NULL && i < G_N_ELEMENTS(types); i++)
        if (g_ascii_strcasecmp(content_type, types[i]) == 0)
            return true;
    return vectors && (g_strcmp0(content_type, "image/svg+xml") == 0 || g_strcmp0(content_type, "application/pdf") == 0);
}

/* ------------------------------------------------------------------ in */

/* Without the keeper's help: from the spool, or a mistake of the caller's. */
static void answer_at_once(ImgPool *p, ImgOutcome *o)
{
    g_queue_push_tail(&p->ready, o);
    p->wake(p->wake_ctx);
}

/* False: *error_out says which is none. */
static bool read_recipes(const char *const *texts, unsigned n, ImgRecipe *recipes_out, GError **error)
{
    for (unsigned i = 0; i < n; i++) {
        g_autofree char *why = NULL;
        if (!recipe_parse(texts[i], &recipes_out[i], &why)) {
            fault_set(error, FAULT_USAGE, "no such way to prepare pictures: %s: %s", texts[i], why);
            return false;
        }
    }
    return true;
}

static void object_of_file(ImgObject *o, SpoolFile *f)
{
    *o = (ImgObject){ .staged = f->staged,
                      .staged_bytes = f->bytes,
                      .content_type = f->content_type,
                      .extension = f->extension,
                      .recipe = f->recipe,
                      .note = f->note,
                      .picture = f->picture };
}

/* It takes the room of the first rendition, which is as large. */
static void plan_cleaning(const SourceId *src, const ImgRecipe *recipe, ImgMaking *out)
{
    recipe_text(recipe, out->recipe);
    g_autofree char *what = g_strconcat("cleaned ", out->recipe, NULL);
    out->key = spool_key(src, what);
    out->bytes_max = MIN(src->size_bytes + CLEANED_MORE_BYTES, (uint64_t)RECIPE_BYTES_MAX);
    out->temp_fd = -1;
}

/* What is in the spool goes to the outcome, the rest to the task. */
static void divide(ImgPool *p, const SourceId *src, const ImgRecipe *recipes, ImgOutcome *o, ImgTask *t)
{
    for (unsigned i = 0; i < o->n; i++) {
        SpoolFile f;
        ImgMaking *m = &t->making[t->n];
        recipe_text(&recipes[i], m->recipe);
        g_autofree char *key = spool_key(src, m->recipe);
        if (spool_find(p->spool, key, &f)) {
            object_of_file(&o->objects[i], &f);
            continue;
        }
        m->index = i;
        m->key = g_steal_pointer(&key);
        m->bytes_max = MIN(MAX(recipes[i].max_bytes, src->size_bytes) + CLEANED_MORE_BYTES, (uint64_t)RECIPE_BYTES_MAX);
        t->reserved_bytes += m->bytes_max;
        t->n++;
    }
    t->reserved_files = t->n;
    if (t->n > 0 && recipes[0].metadata != METADATA_ALL)
        plan_cleaning(src, &recipes[0], &t->instead);
}

static void hand_over(ImgPool *p, ImgTask *t, ImgOutcome *o)
{
    Live *l = g_new0(Live, 1);
    *l = (Live){ .task = t, .outcome = o };
    imgkeeper_send(p->keeper, t);
    g_hash_table_insert(p->live, GUINT_TO_POINTER(t->id), l);
    p->handed++;
}

static bool begin(ImgPool *p, ImgTask *t, ImgOutcome *o)
{
    if (t->n == 0) {
        imgtask_free(t);
        answer_at_once(p, o);
        return true;
    }
    if (p->handed < QUEUE_MAX && spool_reserve(p->spool, t->reserved_bytes, t->reserved_files, o->n - t->n)) {
        hand_over(p, t, o);
        return true;
    }
    imgtask_free(t);
    let_go_all(p, o);
    imgpool_outcome_free(o);
    return false;
}

bool imgpool_submit(ImgPool *p, int fd, const SourceId *src, const char *const *recipes, unsigned n, gpointer user)
{
    g_assert(n >= 1 && n <= RECIPES_MAX);
    ImgRecipe read[RECIPES_MAX];
    g_autoptr(GError) error = NULL;
    const bool known = read_recipes(recipes, n, read, &error);
    ImgTask *t = known ? imgtask_new(fd) : NULL;
    if (known && t == NULL)
        return false; /* no descriptor left: later */
    ImgOutcome *o = g_new0(ImgOutcome, 1);
    o->user = user;
    if (!known) {
        o->error = g_steal_pointer(&error);
        answer_at_once(p, o);
        return true;
    }
    o->n = n;
    divide(p, src, read, o, t);
    return begin(p, t, o);
}

static gboolean is_preview(gpointer id, gpointer live, gpointer user)
{
    (void)id, (void)user;
    return ((const Live *)live)->task->preview_px != 0;
}

bool imgpool_preview(ImgPool *p, int fd, unsigned edge_px, gpointer user)
{
    if (g_hash_table_find(p->live, is_preview, NULL) != NULL)
        return false;
    ImgTask *t = imgtask_new(fd);
    if (t == NULL)
        return false;
    t->preview_px = CLAMP(edge_px, 1, WIRE_PREVIEW_EDGE_MAX);
    ImgOutcome *o = g_new0(ImgOutcome, 1);
    o->user = user;
    hand_over(p, t, o);
    return true;
}

void imgpool_cancel(ImgPool *p, gpointer user)
{
    for (GList *l = p->ready.head, *next; l != NULL; l = next) {
        next = l->next;
        ImgOutcome *o = l->data;
        if (o->user != user)
            continue;
        let_go_all(p, o);
        imgpool_outcome_free(o);
        g_queue_delete_link(&p->ready, l);
    }
    GHashTableIter iter;
    gpointer id, value;
    g_hash_table_iter_init(&iter, p->live);
    while (g_hash_table_iter_next(&iter, &id, &value)) {
        const Live *l = value;
        if (l->outcome->user != user)
            continue;
        imgkeeper_cancel(p->keeper, l->task->id);
        let_go_all(p, l->outcome);
        g_hash_table_iter_remove(&iter);
    }
}

int imgpool_percent(const ImgPool *p, gconstpointer user)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, p->live);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const Live *l = value;
        if (l->outcome->user == user && l->task->preview_px == 0)
            return atomic_load(&l->task->percent);
    }
    return -1;
}

/* ------------------------------------------------------------------ out */

static SpoolFile file_of_result(const ImgMaking *m)
{
    const WireResult *w = &m->result;
    const ImgResult r = { .kind = IMG_MADE,
                          .format = (ImgFormat)w->format,
                          .cleaned = w->cleaned != 0,
                          .source_format = (ImgFormat)w->source_format,
                          .source_width_px = w->source_width_px,
                          .source_height_px = w->source_height_px,
                          .width_px = w->width_px,
                          .height_px = w->height_px,
                          .frames = w->frames,
                          .quality = w->quality,
                          .encodes = w->encodes };
    return (SpoolFile){ .bytes = w->bytes,
                        .crc = m->crc,
                        .content_type = g_strdup(img_format_type(r.format)),
                        .extension = g_strdup(img_format_extension(r.format)),
                        .recipe = img_result_text(&r),
                        .note = w->note[0] != 0 ? g_strdup(w->note) : NULL,
                        .picture = { r.format, r.width_px, r.height_px, r.frames, r.quality, r.encodes, r.cleaned } };
}

/* The temporary files of what was made move into the spool. */
static bool settle(ImgPool *p, ImgTask *t, ImgOutcome *o)
{
    for (unsigned i = 0; i < t->n; i++) {
        ImgMaking *m = &t->making[i];
        ImgObject *object = &o->objects[m->index];
        if (m->result.outcome != WIRE_MADE) {
            object->note = m->result.note[0] != 0 ? g_strdup(m->result.note) : NULL;
            object->picture = (SpoolPicture){ .format = m->result.source_format,
                                              .width_px = m->result.source_width_px,
                                              .height_px = m->result.source_height_px };
            spool_temp_drop(p->spool, m->temp);
            g_clear_pointer(&m->temp, g_free);
            continue;
        }
        SpoolFile f = file_of_result(m);
        const bool committed = spool_commit(p->spool, m->key, m->temp, &f, &o->error);
        g_clear_pointer(&m->temp, g_free);
        if (!committed) {
            spool_file_clear(&f);
            return false;
        }
        object_of_file(object, &f);
    }
    return true;
}

static ImgOutcome *outcome_of_task(ImgPool *p, ImgTask *t, ImgOutcome *o)
{
    o->error = g_steal_pointer(&t->error);
    o->failed = o->error == NULL ? g_steal_pointer(&t->failed) : NULL;
    o->took_us = t->took_us;
    o->rgb = g_steal_pointer(&t->rgb);
    o->width_px = t->width_px;
    o->height_px = t->height_px;
    if (o->error == NULL && o->failed == NULL && settle(p, t, o))
        return o;
    let_go_all(p, o);
    if (o->failed != NULL && t->cleaning && t->making[0].answered && settle(p, t, o))
        o->clean = t->making[0].result.outcome == WIRE_AS_IS;
    imgkeeper_drop_temps(p->spool, t);
    o->n = 0;
    return o;
}

ImgOutcome *imgpool_take(ImgPool *p)
{
    ImgOutcome *o = g_queue_pop_head(&p->ready);
    ImgTask *t;
    while (o == NULL && (t = imgkeeper_take(p->keeper)) != NULL) {
        Live *l = g_hash_table_lookup(p->live, GUINT_TO_POINTER(t->id));
        p->handed--;
        if (t->reserved_files > 0)
            spool_unreserve(p->spool, t->reserved_bytes, t->reserved_files);
        if (l != NULL) {
            o = outcome_of_task(p, t, g_steal_pointer(&l->outcome));
            g_hash_table_remove(p->live, GUINT_TO_POINTER(t->id));
        } else {
            imgkeeper_drop_temps(p->spool, t);
        }
        imgtask_free(t);
    }
    return o;
}

/* ------------------------------------------------------------------ the spool */

char *imgpool_staged_path(const ImgPool *p, const char *staged)
{
    return spool_path(p->spool, staged);
}

bool imgpool_hold(ImgPool *p, const char *staged)
{
    return spool_hold(p->spool, staged);
}

void imgpool_release(ImgPool *p, const char *staged)
{
    spool_release(p->spool, staged);
}

void imgpool_let_go(ImgPool *p, const char *staged)
{
    spool_let_go(p->spool, staged);
}

void imgpool_sweep(ImgPool *p, const GHashTable *keep)
{
    spool_sweep(p->spool, keep);
}

unsigned imgpool_pending(const ImgPool *p)
{
    return g_hash_table_size(p->live) + g_queue_get_length((GQueue *)&p->ready);
}
