#include "report_images.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "fmt.h"

/* ------------------------------------------------------------------ JSON */

static void add_text(JsonBuilder *json, const char *name, const char *value)
{
    if (value == NULL)
        return;
    g_autofree char *valid = g_utf8_make_valid(value, -1);
    json_builder_set_member_name(json, name);
    json_builder_add_string_value(json, valid);
}

/* NAME_b64 for programs when NAME is not the truth. */
static void add_bytes(JsonBuilder *json, const char *name, const char *value)
{
    add_text(json, name, value);
    if (value == NULL || g_utf8_validate(value, -1, NULL))
        return;
    g_autofree char *b64_name = g_strconcat(name, "_b64", NULL);
    g_autofree char *b64 = g_base64_encode((const guchar *)value, strlen(value));
    add_text(json, b64_name, b64);
}

static void add_number(JsonBuilder *json, const char *name, uint64_t value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_int_value(json, (gint64)value);
}

static void add_seconds(JsonBuilder *json, double value)
{
    json_builder_set_member_name(json, "seconds");
    json_builder_add_double_value(json, (double)(int64_t)(value * 1000) / 1000);
}

static JsonBuilder *json_new(const char *event)
{
    JsonBuilder *json = json_builder_new_immutable();
    json_builder_begin_object(json);
    add_text(json, "event", event);
    return json;
}

static void json_end(JsonBuilder *json, GString *text)
{
    json_builder_end_object(json);
    g_autoptr(JsonNode) root = json_builder_get_root(json);
    g_autofree char *line = json_to_string(root, FALSE);
    g_string_append_printf(text, "%s\n", line);
}

static void json_object(JsonBuilder *json, const HoistObject *o, const char *out_dir)
{
    g_autofree char *out = out_dir != NULL ? g_build_filename(out_dir, o->key, NULL) : NULL;
    json_builder_begin_object(json);
    add_text(json, "name", o->name);
    add_bytes(json, "key", o->key);
    add_bytes(json, "out", out);
    add_number(json, "bytes", o->bytes);
    add_text(json, "recipe", o->recipe);
    add_text(json, "note", o->note);
    add_text(json, "format", o->format);
    if (o->width_px != 0) {
        add_number(json, "width", o->width_px);
        add_number(json, "height", o->height_px);
    }
    if (o->recipe != NULL) {
        add_number(json, "frames", o->frames);
        add_number(json, "quality", o->quality);
        add_number(json, "encodes", o->encodes);
        json_builder_set_member_name(json, "cleaned");
        json_builder_add_boolean_value(json, o->cleaned);
    }
    json_builder_end_object(json);
}

static void json_image(const HoistImage *image, const char *out_dir, GString *text)
{
    g_autoptr(JsonBuilder) json = json_new("image");
    add_bytes(json, "path", image->path);
    add_bytes(json, "name", image->name);
    add_text(json, "type", image->type);
    add_number(json, "bytes", image->bytes);
    json_builder_set_member_name(json, "objects");
    json_builder_begin_array(json);
    for (unsigned i = 0; i < image->n_objects; i++)
        json_object(json, &image->objects[i], out_dir);
    json_builder_end_array(json);
    add_text(json, "failed", image->failed);
    add_text(json, "note", image->note);
    add_seconds(json, image->seconds);
    json_end(json, text);
}

/* ------------------------------------------------------------------ for people */

/* "  7.2 MB ->   264 kB  -96 %", as wide for every file. */
static void append_sizes(GString *text, uint64_t before, uint64_t after)
{
    const int change = before > 0 ? (int)(((double)after - (double)before) * 100 / (double)before) : 0;
    g_string_append_printf(text, "%7s -> %7s  %+4d %%", fmt_size(before).s, fmt_size(after).s, change);
}

/* What became of the pixels: "webp 1920x1280 q80, 1 encode". What they were is known from the file. */
static const char *done_of(const char *recipe)
{
    const char *arrow = strstr(recipe, "-> ");
    return arrow != NULL ? arrow + 3 : recipe;
}

static void append_object(GString *text, const HoistObject *o, uint64_t source_bytes, bool named)
{
    append_sizes(text, source_bytes, o->bytes);
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
    g_autoptr(JsonBuilder) json = json_new("summary");
    add_number(json, "pictures", counts->pictures);
    add_number(json, "failed", counts->failed);
    add_number(json, "left_alone", counts->left_alone);
    add_number(json, "source_bytes", counts->source_bytes);
    add_number(json, "bytes", counts->bytes);
    add_seconds(json, seconds);
    json_end(json, text);
}

void report_images_summary(const ImagesCounts *counts, double seconds, bool json, GString *text)
{
    if (json) {
        json_summary(counts, seconds, text);
        return;
    }
    g_string_append_printf(text, "%s: ", fmt_plural(counts->pictures, "picture").s);
    append_sizes(text, counts->source_bytes, counts->bytes);
    g_string_append_printf(text, " in %s, %.1f a second", fmt_took(seconds).s, seconds > 0 ? (double)counts->pictures / seconds : 0);
    if (counts->failed > 0)
        g_string_append_printf(text, "; %s failed", fmt_count(counts->failed).s);
    if (counts->left_alone > 0)
        g_string_append_printf(text, "; %s left alone", fmt_count(counts->left_alone).s);
    g_string_append_c(text, '\n');
}
