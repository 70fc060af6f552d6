#include "hoist.h"

#include <string.h>

static const char *const state_names[HOIST_N_STATES] = {
    [HOIST_QUEUED] = "queued",       [HOIST_PREPARING] = "preparing", [HOIST_ACTIVE] = "active", [HOIST_COMPLETING] = "completing",
    [HOIST_DONE] = "done",           [HOIST_FAILED] = "failed",       [HOIST_PAUSED] = "paused", [HOIST_CANCELLING] = "cancelling",
    [HOIST_CANCELLED] = "cancelled",
};

const char *hoist_state_name(HoistState state)
{
    return (unsigned)state < HOIST_N_STATES ? state_names[state] : "unknown";
}

bool hoist_state_by_name(const char *name, HoistState *state_out)
{
    for (unsigned i = 0; name != NULL && i < HOIST_N_STATES; i++) {
        if (strcmp(name, state_names[i]) != 0)
            continue;
        *state_out = (HoistState)i;
        return true;
    }
    return false;
}

const char *hoist_verified_text(HoistVerified v)
{
    switch (v) {
    case HOIST_VERIFIED_SIZE:
        return "size only";
    case HOIST_VERIFIED_ETAG:
        return "verified by ETag";
    case HOIST_VERIFIED_CHECKSUM:
        return "verified by checksum";
    case HOIST_VERIFIED_NOT:
        break;
    }
    return "not verified";
}

#define ROW_TEXTS(row)                                                                                                                     \
    {                                                                                                                                      \
        &(row)->path, &(row)->name, &(row)->key, &(row)->dest, &(row)->upload_id, &(row)->recipe, &(row)->note, &(row)->wait,              \
            &(row)->fault, &(row)->cause, &(row)->remedy, &(row)->url, &(row)->etag, &(row)->checksum, &(row)->version                     \
    }

#define OBJECT_TEXTS(o)                                                                                                                    \
    {                                                                                                                                      \
        &(o)->name, &(o)->key, &(o)->url, &(o)->etag, &(o)->checksum, &(o)->version, &(o)->recipe                                          \
    }

HoistRow *hoist_row_dup(const HoistRow *row)
{
    if (row == NULL)
        return NULL;
    HoistRow *copy = g_memdup2(row, sizeof *row);
    char **const texts[] = ROW_TEXTS(copy);
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++)
        *texts[i] = g_strdup(*texts[i]);
    copy->objects = row->n_objects > 0 ? g_memdup2(row->objects, row->n_objects * sizeof *row->objects) : NULL;
    for (unsigned n = 0; n < row->n_objects; n++) {
        char **const of_object[] = OBJECT_TEXTS(&copy->objects[n]);
        for (unsigned i = 0; i < G_N_ELEMENTS(of_object); i++)
            *of_object[i] = g_strdup(*of_object[i]);
    }
    return copy;
}

void hoist_row_free(HoistRow *row)
{
    if (row == NULL)
        return;
    char **const texts[] = ROW_TEXTS(row);
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(*texts[i]);
    for (unsigned n = 0; n < row->n_objects; n++) {
        char **const of_object[] = OBJECT_TEXTS(&row->objects[n]);
        for (unsigned i = 0; i < G_N_ELEMENTS(of_object); i++)
            g_free(*of_object[i]);
    }
    g_free(row->objects);
    g_free(row);
}
