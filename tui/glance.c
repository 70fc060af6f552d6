#include "glance.h"

enum {
    EDGE_CELLS_PX = 320,
    EDGE_GRAPHICS_PX = 640,
    WORDS_US = 1000 * 1000,         /* of waiting, before it is told */
    PATIENCE_US = 60 * 1000 * 1000, /* then the answer is taken for lost */
};

/* What is known of one file; pixels and words NULL: nothing came. */
typedef struct {
    int64_t id;
    HoistPicture pixels;
    char *words;
    Mosaic *mosaic;
    int columns, rows; /* that it was made for; it may be NULL even so */
} Kept;

struct Glance {
    MosaicLook look;
    GQueue kept; /* of Kept, last used first */
    size_t bytes;

    int64_t id; /* what the last frame showed; 0 = nothing */
    int columns, rows;
    bool shown;
    int64_t since_us; /* since then that file */
    bool long_wait;   /* for it */

    int64_t asked_id, asked_us; /* 0 = no answer is due */
};

static size_t bytes_of(const Kept *k)
{
    return (k->pixels.rgb == NULL ? 0 : g_bytes_get_size(k->pixels.rgb)) + (k->mosaic == NULL ? 0 : k->mosaic->bytes);
}

static void kept_free(gpointer data)
{
    Kept *k = data;
    if (k->pixels.rgb != NULL)
        g_bytes_unref(k->pixels.rgb);
    mosaic_free(k->mosaic);
    g_free(k->words);
    g_free(k);
}

Glance *glance_new(void)
{
    Glance *p = g_new0(Glance, 1);
    p->look = (MosaicLook){ .colours = 256 };
    g_queue_init(&p->kept);
    return p;
}

void glance_free(Glance *p)
{
    if (p == NULL)
        return;
    g_queue_clear_full(&p->kept, kept_free);
    g_free(p);
}

/* ------------------------------------------------------------------ what is kept */

static GList *find(const Glance *p, int64_t id)
{
    for (GList *link = p->kept.head; link != NULL; link = link->next)
        if (((Kept *)link->data)->id == id)
            return link;
    return NULL;
}

static Kept *kept_of(const Glance *p, int64_t id)
{
    const GList *link = find(p, id);
    return link == NULL ? NULL : link->data;
}

static void drop(Glance *p, GList *link)
{
    p->bytes -= bytes_of(link->data);
    kept_free(link->data);
    g_queue_delete_link(&p->kept, link);
}

/* The one that is shown stays, however large it is. */
static void bound(Glance *p)
{
    while (p->kept.length > 1 && (p->kept.length > GLANCE_KEPT || p->bytes > GLANCE_BYTES))
        drop(p, p->kept.tail);
}

static void forget_mosaic(Glance *p, Kept *k)
{
    p->bytes -= bytes_of(k);
    g_clear_pointer(&k->mosaic, mosaic_free);
    k->columns = k->rows = 0;
    p->bytes += bytes_of(k);
}

static void make_mosaic(Glance *p, Kept *k)
{
    forget_mosaic(p, k);
    p->bytes -= bytes_of(k);
    k->mosaic = mosaic_new(&k->pixels, p->columns, p->rows, &p->look);
    k->columns = p->columns;
    k->rows = p->rows;
    p->bytes += bytes_of(k);
    bound(p);
}

void glance_set_look(Glance *p, const MosaicLook *look)
{
    if (mosaic_look_equal(&p->look, look))
        return;
    p->look = *look;
    for (GList *link = p->kept.head; link != NULL; link = link->next)
        forget_mosaic(p, link->data);
}

/* ------------------------------------------------------------------ in a frame */

void glance_begin(Glance *p)
{
    p->shown = false;
}

static bool is_ready(const Glance *p, const Kept *k)
{
    return k->pixels.rgb == NULL || (k->columns == p->columns && k->rows == p->rows);
}

const Mosaic *glance_show(Glance *p, int64_t id, int columns, int rows, int64_t now_us)
{
    if (id != p->id) {
        p->since_us = now_us;
        p->long_wait = false;
    }
    p->id = id;
    p->columns = columns;
    p->rows = rows;
    p->shown = true;
    GList *link = find(p, id);
    if (link == NULL)
        return NULL;
    g_queue_unlink(&p->kept, link);
    g_queue_push_head_link(&p->kept, link);
    const Kept *k = link->data;
    return is_ready(p, k) ? k->mosaic : NULL;
}

const char *glance_words(const Glance *p)
{
    const Kept *k = kept_of(p, p->id);
    if (k != NULL)
        return k->words;
    return p->long_wait ? "the preview follows" : NULL;
}

bool glance_has(const Glance *p, int64_t id)
{
    const Kept *k = kept_of(p, id);
    return k != NULL && k->pixels.rgb != NULL;
}

/* ------------------------------------------------------------------ between frames */

int64_t glance_deadline_us(const Glance *p)
{
    if (!p->shown)
        return -1;
    const Kept *k = kept_of(p, p->id);
    if (k != NULL)
        return is_ready(p, k) ? -1 : 0;
    if (p->asked_id == 0)
        return p->since_us + GLANCE_REST_US;
    const int64_t lost_us = p->asked_us + PATIENCE_US, words_us = p->since_us + WORDS_US;
    return p->long_wait ? lost_us : MIN(words_us, lost_us);
}

bool glance_work(Glance *p, int64_t now_us, int64_t *ask_out)
{
    *ask_out = 0;
    if (p->asked_id != 0 && now_us >= p->asked_us + PATIENCE_US)
        glance_answer(p, p->asked_id, NULL, "no answer");
    if (!p->shown)
        return false;
    Kept *k = kept_of(p, p->id);
    if (k == NULL && p->asked_id == 0 && now_us >= p->since_us + GLANCE_REST_US) {
        *ask_out = p->asked_id = p->id;
        p->asked_us = now_us;
    }
    const bool waited = k == NULL && now_us >= p->since_us + WORDS_US;
    const bool news = waited && !p->long_wait;
    p->long_wait = waited;
    if (k == NULL || is_ready(p, k))
        return news;
    make_mosaic(p, k);
    return true;
}

unsigned glance_edge_px(const Glance *p)
{
    return p->look.graphics == GRAPHICS_CELLS ? EDGE_CELLS_PX : EDGE_GRAPHICS_PX;
}

void glance_answer(Glance *p, int64_t id, const HoistPicture *picture, const char *why)
{
    GList *old = find(p, id);
    if (id == p->asked_id)
        p->asked_id = 0;
    if (old != NULL)
        drop(p, old);
    Kept *k = g_new0(Kept, 1);
    k->id = id;
    if (picture != NULL && picture->rgb != NULL) {
        k->pixels = *picture;
        g_bytes_ref(k->pixels.rgb);
    } else {
        g_autofree char *text = hoist_text(why == NULL ? "not a picture" : why);
        k->words = g_strdup_printf("no preview: %s", text);
    }
    g_queue_push_head(&p->kept, k);
    p->bytes += bytes_of(k);
    if (p->shown && p->id == id && k->pixels.rgb != NULL)
        make_mosaic(p, k);
    bound(p);
}

/* ------------------------------------------------------------------ for tests */

unsigned glance_kept(const Glance *p)
{
    return p->kept.length;
}

size_t glance_bytes(const Glance *p)
{
    return p->bytes;
}
