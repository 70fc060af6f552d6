/* vectors.h - reads the JSON vector files and hands each case to a test; used by every program of the suite "vectors".
 *
 * A file is {"cases": [...]}; a case is an object with a unique "name" (or "id") and often a "kind". Its format is told by its file name:
 * "sigv4-suite.json", and as well "sigv4-suite-more.json" and "new-sigv4-suite.json". The known formats are a table in vectors.c.
 * Files come from $HOIST_TEST_DATA/vectors/data, and from $HOIST_VECTORS, a directory of more files, when that is set.
 * Nothing is passed over in silence: cases are counted and the count printed; an unknown file name, an empty file, a case without a
 * name and a kind that the test does not know are failures. Formats that have no test yet are printed with their count.
 */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>

typedef struct {
    const char *file; /* "sigv4-suite.json" */
    const char *name; /* of the case */
    const char *kind; /* "" when the case has none */
    JsonObject *json; /* the case; borrowed like the rest */
} VectorCase;

/* Checks one case; reports with vectors_fail and the like. False: the kind is not known to this test, which is a failure, too. */
typedef bool (*VectorFn)(const VectorCase *vc);

/* To be called inside a GTest case: runs fn over all cases of these formats ("sigv4-suite", without ".json"; ends with NULL). */
void vectors_each(const char *const *formats, VectorFn fn);

/* Reports file, case, kind and text, fails the running GTest case, and goes on. */
void vectors_fail(const VectorCase *vc, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Fails when they differ (NULL is a value of its own); returns whether they are equal. */
bool vectors_str_equal(const VectorCase *vc, const char *what, const char *actual, const char *expected);

/* Members that may be absent or null; of an object that may be NULL itself. Borrowed. */
const char *vectors_str(JsonObject *object, const char *member);    /* NULL when absent, null or no string */
JsonObject *vectors_object(JsonObject *object, const char *member); /* NULL when absent, null or no object */
JsonArray *vectors_array(JsonObject *object, const char *member);   /* NULL when absent, null or no array */

/* {"text"}, {"base64"}, {"repeat": byte, "length"}, {"generator": "xorshift32", "seed", "length"} -> bytes; NULL when it is none of these.
 */
GBytes *vectors_input(JsonObject *input);
/* "2f61" -> bytes; NULL when it is not hex. */
GBytes *vectors_from_hex(const char *hex);
