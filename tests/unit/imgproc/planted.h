/* planted.h - pictures for the tests of metadata: real files, filled with everything that must not leave, by exiftool.
 *
 * Every value that must go holds the word PLANTED_SECRET. Threads: one.
 */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>

#include "imgproc/metadata.h"

#define PLANTED_SECRET "Qz7secret"

typedef struct {
    const char *base; /* below the folder of pictures */
    bool exif;        /* the container holds EXIF */
    bool tail;        /* bytes may follow the end */
} PlantedKind;

extern const PlantedKind planted_kinds[];
enum { N_PLANTED_KINDS = 9 };

/* The files of HOIST_TEST_DATA/images and HOIST_IMAGES; caller unrefs an array of paths. */
GPtrArray *planted_pictures(void);
GBytes *planted_load(const char *base);
GBytes *planted_file(const PlantedKind *kind);
ImgKind planted_kind(GBytes *file);
/* What exiftool finds in these bytes: "group:tag" -> value. Caller unrefs. */
JsonObject *planted_tags(GBytes *file);
/* Of many files at once, an object each in the same order; caller unrefs. */
JsonArray *planted_tags_of_all(GPtrArray *files);
/* Everything exiftool finds is needed for showing, or SAFE and the level allows it; where: for the message. */
void planted_check_tags(JsonObject *tags, RecipeMetadata level, const char *where);
bool planted_holds(GBytes *file, const char *text);
