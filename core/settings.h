/* settings.h - settings as the engine uses them: frozen into a batch, and turned into a destination.
 *
 * What clients see of settings is in hoist.h. A value has four sources, strongest first: set by hoist_settings_set, HOIST_* variables,
 * the [dest NAME] group that "to" names, [hoist] of config.ini. Repeat options do not add up over sources: the strongest one counts.
 * JSON is {"option": "text as given", "repeat option": ["a", "b"]}; only options that differ in source from the default are in it, and
 * "to" is already expanded, with the name it came from in "dest" and the names of the options that were given beside it in "given"; what is made of
 * pictures is in "recipes". Files that a batch was queued with read the same on any later day.
 * Threads: one HoistSettings belongs to one thread at a time; duplicates may go to others. No secrets are ever in one.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "dest/dest.h"
#include "hoist.h"
#include "imgproc/recipe.h"

#define SETTINGS_MAX_VALUES      1000           /* of one repeat option */
#define SETTINGS_MAX_VALUE_BYTES 8192           /* of one value */
#define SETTINGS_MAX_JSON_BYTES  (4 * 1024 * 1024)
#define SETTINGS_MAX_FILE_BYTES  (256 * 1024)   /* config.ini */

typedef enum { SETTINGS_FILE, SETTINGS_ENV, SETTINGS_GIVEN, N_SETTINGS_SOURCES } SettingsSource;

/* One layer of values: of a source, or of a [dest NAME] group. */
typedef struct SettingsLayer SettingsLayer;
SettingsLayer *settings_layer_new(void);
void           settings_layer_free(SettingsLayer *layer);
/* Checks and sets value (NULL = on, for a switch); a repeat option gets one more value. code is that of the error. */
bool           settings_layer_set(SettingsLayer *layer, const char *name, const char *value, const char *origin, FaultCode code,
                                   GError **error);
void           settings_layer_set_origin(SettingsLayer *layer, const char *origin);    /* where the group begins: "config.ini line 3" */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SettingsLayer, settings_layer_free)

const HoistOpt *settings_opt(const char *name);                         /* NULL when unknown */
char           *settings_env_name(const HoistOpt *opt);                 /* "HOIST_PART_SIZE"; caller frees */
void            settings_take_layer(HoistSettings *s, SettingsSource source, SettingsLayer *layer);    /* takes layer */
/* dests: char* -> SettingsLayer*, both owned by the table; takes the reference. */
void            settings_take_dests(HoistSettings *s, GHashTable *dests);
const char     *settings_dest_name(const HoistSettings *s);             /* NAME when "to" is a [dest NAME]; NULL; borrowed */
bool            settings_is_set(const HoistSettings *s, const char *name);      /* by any source, as opposed to the default */

/* Caller frees. per_batch_only leaves out what is of the engine as a whole. */
char          *settings_to_json(const HoistSettings *s, bool per_batch_only);
/* NULL and FAULT_USAGE when it is no such JSON or an option is unknown or wrong. */
HoistSettings *settings_from_json(const char *json, GError **error);

/* Where an option was set for this destination alone: by hoist_settings_set ("--acl") or in its [dest NAME] ("config.ini line 7"). NULL when it
 * was not, whatever [hoist] and the environment say. Borrowed. */
const char    *settings_explicit_origin(const HoistSettings *s, const char *name);
const char    *settings_dest_origin(const HoistSettings *s);            /* where the [dest NAME] of "to" begins; NULL; borrowed */
/* The names of the [dest NAME] groups, sorted; borrowed keys, free the list. */
GList         *settings_dest_names(const HoistSettings *s);

/* Where the value that counts was set; NULL = the default does. rank_out (NULL = not wanted): how near it was set, 0 = given for these files,
 * then the environment, [dest NAME], [hoist]; untouched when NULL. Borrowed. */
enum { SETTINGS_RANK_DEST = 2, SETTINGS_RANK_DEFAULT = 4 };
const char    *settings_origin(const HoistSettings *s, const char *name, unsigned *rank_out);

/* ---- settings_images.c ---- */

#define SETTINGS_MAX_RECIPE_NAME 32     /* bytes of NAME in [images NAME]: it becomes a part of keys */

/* What is made of a picture: renditions by name ("web"; the only one of --images has the recipe's name), each with its recipe as the full text of
 * imgproc/recipe.h. Resolved from "renditions" or "images", the [images NAME] groups and the options that change recipes; frozen into the JSON
 * of a batch. n 0: pictures go as they are. */
typedef struct {
    char *name, *recipe;
} Rendition;
typedef struct {
    Rendition list[RECIPES_MAX];
    unsigned n;
    bool named;                 /* of "renditions": keys tell the name, of a single one, too */
    bool keep_original;
    bool vectors;               /* one of the recipes takes SVG and PDF */
} Renditions;
/* FAULT_USAGE or FAULT_CONFIG names the option or line that is wrong. renditions_clear *out. */
bool           settings_renditions(const HoistSettings *s, Renditions *out, GError **error);
void           renditions_clear(Renditions *r);
/* "images" or "renditions" when the other one was set nearer and counts in its stead; false for all else. */
bool           settings_outdone(const HoistSettings *s, const char *name);
/* The same as texts "NAME RECIPE", for JSON; NULL when they do not resolve. g_strfreev. */
char         **settings_recipes(const HoistSettings *s);
/* NAME of an [images NAME]: letters, digits, "-" and "_"; no preset's, nor "none" or "original". */
bool           settings_recipe_name_fits(const char *name);
/* The recipe of a group as its full text. words: "NAME=VALUE" each, "like=PRESET" among them; sizes and switches as people write them. NULL and *why_out
 * (caller frees) when a word is wrong; *which_out is its index, or that of the NULL at the end when they do not go together. */
char          *settings_recipe_of_group(char *const *words, unsigned *which_out, char **why_out);
/* The recipes of [images NAME]: char* -> char*, full texts; takes the reference. */
void           settings_take_images(HoistSettings *s, GHashTable *groups);
const char    *settings_images_group(const HoistSettings *s, const char *name);         /* NULL: there is none; borrowed */
const char *const *settings_frozen_recipes(const HoistSettings *s);     /* of a frozen batch, as settings_recipes; NULL: not frozen; borrowed */
/* May a file of this type be sent? By "types"; without them, any. type: a media type, perhaps with parameters. */
bool           settings_type_allowed(const HoistSettings *s, const char *type);

/* ---- settings_dest.c ---- */

bool           settings_heeds(const DestOps *ops, const char *name);    /* does this option mean anything for this destination? */
bool           settings_heeds_everywhere(const char *name);             /* what is done before a destination has a say: key, include */
char          *settings_heeders(const char *name);                      /* "s3, oss"; caller frees */
/* A correction of [dest NAME] counts for files that wait, too: what frozen has from that group and now says otherwise is taken from now, but
 * for what the files were given themselves and for what makes them what they are (to, key, images, filters, the protocol of uploads that are open). */
void           settings_refresh(HoistSettings *frozen, const HoistSettings *now);
/* The template of keys: "key", else what suits the destination. An application sees names alone, which must differ. Borrowed. */
const char    *settings_key_template(const HoistSettings *s);
/* Where uploads of these settings go: "to" parsed, endpoint, region and the destination's own options. For s3 what was not given comes
 * from AWS's variables and files (creds.h). FAULT_USAGE without "to"; FAULT_CONFIG when AWS's files are broken. Caller frees. */
DestConf      *settings_dest(const HoistSettings *s, GError **error);
typedef struct AwsConfig AwsConfig;     /* creds.h */
/* As hoist_settings_check_dest; aws (may be NULL) is asked whether there is a key pair. */
bool           settings_check_dest(const HoistSettings *s, const AwsConfig *aws, char **warning_out, GError **error);
