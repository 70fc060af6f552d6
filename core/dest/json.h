/* json.h - reads JSON answers, and values in them, within bounds. json-glib is spoken to from json.c alone (and where hoist keeps its own JSON).
 *
 * An answer is hostile until read: bounded in bytes and depth, no NUL, valid UTF-8. What is not JSON is FAULT_BAD_ANSWER with the start of
 * the text, made harmless, so that a login page or a proxy's error can be recognised.
 * Pointers: RFC 6901 ("" = the whole document, "~1" = "/", "~0" = "~", array index decimal without leading zeros).
 * Owned: a Json owns its document; what a look-up returns is borrowed unless said otherwise. Threads: reentrant.
 */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>

#include "dest.h"

#define JSON_MAX_BYTES (1024 * 1024)
#define JSON_MAX_DEPTH 32

typedef struct Json Json;

/* what: "the application's answer", for the error. NULL and FAULT_BAD_ANSWER when it is no JSON. */
Json       *json_parse(const void *data, size_t bytes, const char *what, GError **error);
Json       *json_answer(const Response *rs, const char *what, GError **error);
/* A document that is one string: an answer of type text/plain. Takes a copy, without white space around it. */
Json       *json_of_text(const void *data, size_t bytes);
void        json_free(Json *json);
JsonNode   *json_root(const Json *json);
/* NULL when there is nothing; a JSON null counts as nothing. */
JsonNode   *json_at(const Json *json, const char *pointer);
JsonNode   *json_node_at(JsonNode *node, const char *pointer);
const char *json_string_at(const Json *json, const char *pointer);             /* NULL when absent or no string */
bool        json_int_at(const Json *json, const char *pointer, int64_t *out);   /* numbers, and strings that are decimal numbers */
/* Strings as they are, numbers and booleans as text; NULL for anything else, and for text that holds a NUL. Caller frees. */
char       *json_text_of(JsonNode *node);
/* The application's own words for an error: message, error, error.message, errors[0].message, detail, else the first 200 characters; harmless
 * and bounded. Never NULL; caller frees. */
char       *json_error_words(const Response *rs);
/* Compact. Caller frees. */
char       *json_print(JsonNode *node);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Json, json_free)
