#include "report_images.h"

#include <string.h>

#include "fmt.h"
#include "jsonline.h"

/* ------------------------------------------------------------------ JSON */

static void json_object(JsonBuilder *json, const HoistObject *o, const char *out_dir)
{
    g_autofree char *out = out_dir != NULL ? g_build_filename(out_dir, o->key, NULL) : NULL;
    json_builder_begin_object(json);
    jsonline_text(json, "name", o->name);
    jsonline_bytes(json, "key", o->key);
    jsonline_bytes(json, "out", out);
    jsonline_number(json, "bytes", (int64_t)o->bytes);
    jsonline_text(json, "recipe", o->recipe);
    jsonline_text(json, "note", o->note);
    jsonline_text(json, "format", o->format);
    if (o->width_px != 0) {
        jsonline_number(json, "width", o->width_px);
        jsonline_number(json, "height", o->height_px);
    }
    if (o->recipe != NULL) {
        jsonline_number(json, "frames", o->frames);
        jsonline_number(json, "quality", o->quality);
        jsonline_number(json, "encodes", o->encodes);
        jsonline_bool(json, "cleaned", o->cleaned);
    }
    json_builder_end_object(json);
}

static void json_image(const HoistImage *image, const char *out_dir, GString *text)
{
    g_autoptr(JsonBuilder) json = jsonline_new("image");
    jsonline_bytes(json, "path", image->path);
    jsonline_bytes(json, "name", image->name);
    jsonline_text(json, "type", image->type);
    jsonline_number(json, "bytes", (int64_t)image->bytes);
    json_builder_set_member_name(json, "objects");
    json_builder_begin_array(json);
    for (unsigned i = 0; i < image->n_objects; i++)
        json_object(json, &image->objects[i], out_dir);
    json_builder_end_array(json);
    jsonline_text(json, "failed", image->failed);
    jsonline_text(json, "note", image->note);
    jsonline_end_seconds(json, image->seconds, text);
}

/* ------------------------------------------------------------------ for people */

/* In percent. */
static int change_of(uint64_t before, uint64_t after)
{
    return before > 0 ? (int)(((double)after - (double)before) * 100 / (double)before) : 0;
}

/* What became of the pixels: "webp 1920x1280 q80, 1 encode". What they were is known from the file. */
static const char *done_of(const char *recipe)
{
    const char *arrow = strstr(recipe, "-> ");
    return arrow != NULL ? arrow + 3 : recipe;
}

static void append_object(GString *text, const HoistObject *o, uint64_t source_bytes, bool named)
{
    g_string_append_printf(text, "%7s -> %7s  %+4d %%", fmt_size(source_bytes).s, fmt_size(o->bytes).s, change_of(source_bytes, o->bytes));
    if (named)
        g_string_append_printf(text, "  %s:", o->name);
    g_string_append_printf(text, "%s%s", named ? " " : "  ", o->recipe != NULL ? done_of(o->recipe) : "as it is");
    if (o->note != NULL) {
        g_autofree char *note = hoist_text(o->note);
        g_string_append_printf(text, " (%s)", note);
    }
    g_string_append_c(text, '\n');
}

/* Numbers first: they align whatever the names are. */
static void plain_image(const HoistImage *image, GString *text)
{
    g_autofree char *name = hoist_text(image->name);
    if (image->failed != NULL) {
        g_autofree char *why = hoist_text(image->failed);
        g_string_append_printf(text, "%s: failed: %s\n", name, why);
    } else if (image->n_objects == 0) {
        g_string_append_printf(text, "%s: left alone: %s\n", name, image->note != NULL ? image->note : "");
    } else if (image->n_objects == 1) {
        g_string_append_printf(text, "%-32s ", name);
        append_object(text, &image->objects[0], image->bytes, false);
    } else {
        g_string_append_printf(text, "%s\n", name);
        for (unsigned i = 0; i < image->n_objects; i++) {
            g_string_append_printf(text, "%-32s ", "");
            append_object(text, &image->objects[i], image->bytes, true);
        }
    }
}

/* ------------------------------------------------------------------ both */

void report_image(ImagesCounts *counts, const HoistImage *image, const char *out_dir, bool json, GString *text)
{
    counts->failed += image->failed != NULL;
    counts->left_alone += image->failed == NULL && image->n_objects == 0;
    if (image->failed == NULL && image->n_objects > 0) {
        counts->pictures++;
        counts->source_bytes += image->bytes;
    }
    for (unsigned i = 0; image->failed == NULL && i < image->n_objects; i++)
        counts->bytes += image->objects[i].bytes;
    if (json)
        json_image(image, out_dir, text);
    else
        plain_image(image, text);
}

static void json_summary(const ImagesCounts *counts, double seconds, GString *text)
{
    g_autoptr(JsonBuilder) json = jsonline_new("summary");
    jsonline_number(json, "pictures", (int64_t)counts->pictures);
    jsonline_number(json, "failed", (int64_t)counts->failed);
    jsonline_number(json, "left_alone", (int64_t)counts->left_alone);
    jsonline_number(json, "source_bytes", (int64_t)counts->source_bytes);
    jsonline_number(json, "bytes", (int64_t)counts->bytes);
    if (counts->interrupted)
        jsonline_bool(json, "interrupted", TRUE);
    jsonline_end_seconds(json, seconds, text);
}

void report_images_summary(const ImagesCounts *counts, double seconds, bool json, GString *text)
{
    if (json) {
        json_summary(counts, seconds, text);
        return;
    }
    if (counts->pictures == 0)
        g_string_append(text, "no pictures");
    else
        g_string_append_printf(text, "%s: %s -> %s, %+d %%, in %s, %.1f a second", fmt_plural(counts->pictures, "picture").s,
                               fmt_size(counts->source_bytes).s, fmt_size(counts->bytes).s, change_of(counts->source_bytes, counts->bytes),
                               fmt_took(seconds).s, seconds > 0 ? (double)counts->pictures / seconds : 0);
    if (counts->failed > 0)
        g_string_append_printf(text, "; %s failed", fmt_count(counts->failed).s);
    if (counts->left_alone > 0)
        g_string_append_printf(text, "; %s left alone", fmt_count(counts->left_alone).s);
    if (counts->interrupted)
        g_string_append(text, "; interrupted");
    g_string_append_c(text, '\n');
}
