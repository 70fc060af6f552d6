/* jsonline.h - one JSON object a line, "event" first: the members that reports share. Pure. Format: the manual page hoist.1, section EVENTS. */
#pragma once

#include <json-glib/json-glib.h>
#include <stdint.h>

JsonBuilder *jsonline_new(const char *event); /* caller unrefs */
void jsonline_end(JsonBuilder *json, GString *text); /* appends the object and a newline */
void jsonline_end_seconds(JsonBuilder *json, double seconds, GString *text); /* the same, with "seconds" to the millisecond as last member */
void jsonline_text(JsonBuilder *json, const char *name, const char *value); /* NULL: the member is left out */
/* Bytes that may not be UTF-8: NAME for people, NAME_b64 for programs when the first is not the truth. */
void jsonline_bytes(JsonBuilder *json, const char *name, const char *value);
void jsonline_number(JsonBuilder *json, const char *name, int64_t value);
void jsonline_bool(JsonBuilder *json, const char *name, gboolean value);
