#include "imgproc.h"

#include <time.h>

#include "anim.h"
#include "picture.h"
#include "rendition.h"

enum { DECODE_PERCENT = 50 };

typedef struct {
    const ImgWatch *outer;
    unsigned from, to; /* percent of the whole job */
    unsigned told;
} Part;

bool img_init(const char *argv0)
{
    g_setenv("VIPS_WARNING", "1", TRUE);         /* any value: none of libvips's warnings on stderr */
    g_setenv("VIPS_DISC_THRESHOLD", "4g", TRUE); /* never to a temporary file: the sandbox forbids one */
    if (VIPS_INIT(argv0) != 0)
        return false;
    vips_block_untrusted_set(TRUE);
    vips_concurrency_set(1);
    vips_cache_set_max(0);
    return true;
}

int64_t img_cpu_us(void)
{
    struct timespec t;
    return clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0 ? (int64_t)t.tv_sec * G_USEC_PER_SEC + t.tv_nsec / 1000 : 0;
}

bool img_too_late(const ImgWatch *watch)
{
    return watch->deadline_us != 0 && img_cpu_us() >= watch->deadline_us;
}

static void tell(void *ctx, unsigned percent)
{
    Part *part = ctx;
    const unsigned now = part->from + (part->to - part->from) * MIN(percent, 100) / 100;
    if (now <= part->told)
        return;
    part->told = now;
    if (part->outer->progress != NULL)
        part->outer->progress(part->outer->ctx, now);
}

static void begin_part(Part *part, unsigned from, unsigned to)
{
    part->from = from;
    part->to = to;
}

static void fill_source(const ImgProbe *probe, ImgResult *out)
{
    out->source_format = probe_format(probe->kind);
    out->source_width_px = probe->swapped ? probe->height_px : probe->width_px;
    out->source_height_px = probe->swapped ? probe->width_px : probe->height_px;
}

static unsigned edge_wanted(const ImgRecipe *recipes, unsigned n)
{
    unsigned most = 0;
    for (unsigned i = 0; i < n; i++) {
        if (recipes[i].max_edge_px == 0)
            return RECIPE_EDGE_MAX;
        most = MAX(most, recipes[i].max_edge_px);
    }
    return most;
}

static void pass_or_fail(Picture *picture, const ImgRecipe *recipe, const ImgWatch *watch, const char *why, ImgResult *out)
{
    if (!rendition_pass(picture, recipe, why, out))
        rendition_fail(watch, "its metadata cannot be taken out", out);
}

/* Nothing that is opened: each recipe gets the source itself, or none of them. */
static void refuse_all(Picture *picture, const ImgRecipe *recipes, unsigned n, const ImgWatch *watch, ImgOutcomeKind refusal,
                       const char *why, ImgResult *out)
{
    for (unsigned i = 0; i < n; i++) {
        fill_source(&picture->probe, &out[i]);
        if (refusal == IMG_FAILED)
            rendition_fail(watch, why, &out[i]);
        else
            pass_or_fail(picture, &recipes[i], watch, why, &out[i]);
    }
}

static void render_frames(Picture *picture, const ImgRecipe *recipes, unsigned n, Part *part, ImgResult *out)
{
    const ImgWatch watch = { .deadline_us = part->outer->deadline_us, .progress = tell, .ctx = part };
    for (unsigned i = 0; i < n; i++) {
        begin_part(part, 100 * i / n, 100 * (i + 1) / n);
        anim_render(picture->fd, &picture->probe, picture_file(picture), &recipes[i], &watch, &out[i]);
    }
}

static void render_pixels(Picture *picture, const ImgRecipe *recipes, unsigned n, Part *part, ImgResult *out)
{
    const ImgWatch watch = { .deadline_us = part->outer->deadline_us, .progress = tell, .ctx = part };
    begin_part(part, 0, DECODE_PERCENT);
    const bool decoded = picture_decode(picture, edge_wanted(recipes, n), &watch);
    for (unsigned i = 0; i < n; i++) {
        fill_source(&picture->probe, &out[i]);
        begin_part(part, DECODE_PERCENT + DECODE_PERCENT * i / n, DECODE_PERCENT + DECODE_PERCENT * (i + 1) / n);
        if (decoded)
            rendition_make(picture, &recipes[i], &watch, &out[i]);
        else
            rendition_fail(&watch, i > 0 ? out[0].note : NULL, &out[i]);
    }
}

static bool is_vector(ImgKind kind)
{
    return kind == KIND_SVG || kind == KIND_PDF;
}

/* One recipe at a time: each has its own size, and not each may ask for pixels. */
static void render_vector(int fd, const ImgRecipe *recipe, const ImgProbe *known, const char *why_not, Part *part, ImgResult *out)
{
    Picture picture = { .fd = fd, .probe = *known };
    ImgOutcomeKind refusal = IMG_AS_IS;
    g_autofree char *why = NULL;
    VipsImage *opened = recipe->vectors ? probe_vector(fd, recipe->max_edge_px, &picture.probe, &refusal, &why) : NULL;
    if (opened != NULL) {
        picture_init(&picture, fd, &picture.probe, opened);
        render_pixels(&picture, recipe, 1, part, out);
    } else {
        refuse_all(&picture, recipe, 1, part->outer, refusal, why != NULL ? why : why_not, out);
    }
    picture_clear(&picture);
    if (recipe->vectors)
        probe_vector_end();
}

void img_render(int fd, const ImgRecipe *recipes, unsigned n, const ImgWatch *watch, ImgResult *out)
{
    Part part = { .outer = watch };
    ImgProbe probe;
    ImgOutcomeKind refusal;
    g_autofree char *why = NULL;
    for (unsigned i = 0; i < n; i++)
        out[i] = (ImgResult){ 0 };
    vips_error_clear();
    VipsImage *opened = probe_file(fd, &probe, &refusal, &why);
    Picture picture = { .fd = fd, .probe = probe };
    if (opened != NULL)
        picture_init(&picture, fd, &probe, opened);
    if (is_vector(probe.kind))
        for (unsigned i = 0; i < n; i++)
            render_vector(fd, &recipes[i], &probe, why, &part, &out[i]);
    else if (opened == NULL)
        refuse_all(&picture, recipes, n, watch, refusal, why, out);
    else if (probe.animated)
        render_frames(&picture, recipes, n, &part, out);
    else
        render_pixels(&picture, recipes, n, &part, out);
    picture_clear(&picture);
    begin_part(&part, 100, 100);
    tell(&part, 100);
    vips_error_clear();
}

void img_clean(int fd, const ImgRecipe *recipe, ImgResult *out)
{
    Picture picture = { .fd = fd };
    *out = (ImgResult){ 0 };
    probe_kind_of(fd, &picture.probe);
    out->source_format = probe_format(picture.probe.kind);
    if (out->source_format == IMG_FORMAT_NONE || !rendition_pass(&picture, recipe, "", out))
        rendition_fail(NULL, "its metadata cannot be taken out", out);
    picture_clear(&picture);
}
