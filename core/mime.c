#include "mime.h"

#include <gio/gio.h>
#include <magic.h>
#include <pthread.h>
#include <string.h>

#define UNKNOWN "application/octet-stream" /* what both libraries say when they know nothing */

/* ---- what the bytes say ---- */

/* Without its readers of text (2 ms a file; GIO tells text in 0.1 ms) and of what lies inside containers, which hostile files are made for.
 */
enum {
    MAGIC_FLAGS = MAGIC_MIME_TYPE | MAGIC_NO_CHECK_COMPRESS | MAGIC_NO_CHECK_CDF | MAGIC_NO_CHECK_ELF | MAGIC_NO_CHECK_TEXT |
                  MAGIC_NO_CHECK_ENCODING | MAGIC_NO_CHECK_TOKENS | MAGIC_NO_CHECK_CSV | MAGIC_NO_CHECK_JSON | MAGIC_NO_CHECK_APPTYPE,
};

/* One for all threads: a second would map its tables again, and few files are asked about at the same time. */
static pthread_mutex_t magic_lock = PTHREAD_MUTEX_INITIALIZER;
static magic_t magic_cookie; /* under lock; lives as long as the process */
static bool magic_missing;   /* under lock: its tables are not installed */

static void open_magic_locked(void)
{
    magic_cookie = magic_open(MAGIC_FLAGS);
    magic_missing = magic_cookie == NULL || magic_load(magic_cookie, NULL) != 0;
}

/* Registered names for libmagic's own. */
static const char *registered(const char *type)
{
    static const char *const names[][2] = { { "audio/x-m4a", "audio/mp4" },
                                            { "video/x-m4v", "video/mp4" },
                                            { "audio/x-hx-aac-adts", "audio/aac" },
                                            { "video/MP2T", "video/mp2t" } };
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        if (g_str_equal(type, names[i][0]))
            return names[i][1];
    return type;
}

/* NULL when unknown. Caller frees. */
static char *ask_magic(const void *head, size_t head_bytes)
{
    char *answer = NULL;
    pthread_mutex_lock(&magic_lock);
    if (magic_cookie == NULL && !magic_missing)
        open_magic_locked();
    const char *type = magic_missing ? NULL : magic_buffer(magic_cookie, head, head_bytes);
    if (type != NULL && !g_str_equal(type, UNKNOWN) && strchr(type, '/') != NULL)
        answer = g_strdup(registered(type));
    pthread_mutex_unlock(&magic_lock);
    return answer;
}

/* NULL when unknown. Caller frees. */
static char *ask_gio(const char *name, const void *head, size_t head_bytes, bool *uncertain_out)
{
    gboolean uncertain = TRUE;
    g_autofree char *content = g_content_type_guess(name, head, head_bytes, &uncertain);
    g_autofree char *type = g_content_type_get_mime_type(content);
    if (uncertain_out != NULL)
        *uncertain_out = uncertain;
    return g_strcmp0(type, UNKNOWN) == 0 ? NULL : g_steal_pointer(&type);
}

/* Up to end; the head may cut the last character in two, nothing else. */
static bool is_utf8(const char *text, size_t n, const char **end_out)
{
    return memchr(text, '\0', n) == NULL &&
           (g_utf8_validate_len(text, n, end_out) ||
            (text + n - *end_out <= 3 && g_utf8_get_char_validated(*end_out, text + n - *end_out) == (gunichar)-2));
}

/* NULL when unknown. Caller frees. */
static char *by_bytes(const void *head, size_t head_bytes)
{
    const char *end;
    if (is_utf8(head, head_bytes, &end))
        return ask_gio(NULL, head, head_bytes, NULL);
    g_autofree char *type = ask_magic(head, head_bytes);
    /* libmagic reads the first brand of these alone: AVIF may begin with "mif1", and videos of one maker are sound to it. */
    const bool doubtful = type == NULL || g_str_equal(type, "image/heif") || g_str_equal(type, "audio/mp4");
    g_autofree char *other = doubtful ? ask_gio(NULL, head, head_bytes, NULL) : NULL;
    /* "text/plain" is what it says when a handful of bytes has no control characters. */
    return other != NULL && !g_str_equal(other, "text/plain") ? g_steal_pointer(&other) : g_steal_pointer(&type);
}

/* ---- what counts ---- */

static bool is_picture(const char *type)
{
    return g_str_has_prefix(type, "image/");
}

static bool is_media(const char *type)
{
    return is_picture(type) || g_str_has_prefix(type, "video/") || g_str_has_prefix(type, "audio/");
}

/* An MP4 of a brand that no table has. */
static bool is_iso_media(const char *head, size_t head_bytes)
{
    return head_bytes >= 12 && memcmp(head + 4, "ftyp", 4) == 0;
}

/* The bytes say something (seen), and the name something else, or the same more exactly: camera raw is TIFF inside, a script is text. */
static char *settle(const char *named, const char *seen, bool strict)
{
    if (g_content_type_equals(named, seen))
        return g_strdup(seen);
    if (g_content_type_is_a(named, seen))
        return g_strdup(named);
    if (strict || is_media(seen))
        return g_strdup(seen);
    /* A page in the disguise of a picture: nobody shall see a picture in it, and no browser shall run it. */
    const bool playlist = !is_picture(named) && g_str_equal(seen, "text/plain");
    return g_strdup(playlist ? named : UNKNOWN);
}

static char *decide(const char *name, const void *head, size_t head_bytes, bool strict)
{
    bool uncertain = true;
    g_autofree char *named = name == NULL ? NULL : ask_gio(name, NULL, 0, &uncertain);
    const bool tells = named != NULL && !uncertain;
    if (head_bytes == 0 && strict)
        return NULL; /* an empty file is nothing, whatever it is called */
    if (head_bytes == 0 || (!strict && ((name != NULL && g_str_has_suffix(name, ".bin")) || (tells && !is_media(named)))))
        return g_steal_pointer(&named);
    g_autofree char *seen = by_bytes(head, head_bytes);
    if (!tells && !strict && (seen == NULL || !is_media(seen)))
        return ask_gio(name, head, head_bytes, NULL);
    if (!tells)
        return g_steal_pointer(&seen);
    if (seen != NULL)
        return settle(named, seen, strict);
    /* Of pictures, video and sound every kind is known, or nearly so. */
    return !strict || !is_media(named) || is_iso_media(head, head_bytes) ? g_steal_pointer(&named) : NULL;
}

static char *answer(const char *name, const void *head, size_t head_bytes, bool strict)
{
    const char *slash = name == NULL ? NULL : strrchr(name, '/'), *end;
    if (slash != NULL)
        name = slash + 1;
    if (head == NULL)
        head_bytes = 0;
    g_autofree char *type = decide(name == NULL || *name == '\0' ? NULL : name, head, head_bytes, strict);
    if (type == NULL || g_str_equal(type, "application/x-zerosize"))
        return g_strdup(UNKNOWN);
    if (!g_str_has_prefix(type, "text/") || head_bytes == 0 || !is_utf8(head, head_bytes, &end))
        return g_steal_pointer(&type);
    for (const char *p = head; p < end; p++)
        if ((unsigned char)*p >= 0x80)
            return g_strconcat(type, "; charset=utf-8", NULL);
    return g_steal_pointer(&type);
}

char *mime_of(const char *name, const void *head, size_t head_bytes)
{
    return answer(name, head, head_bytes, false);
}

char *mime_by_content(const char *name, const void *head, size_t head_bytes)
{
    return answer(name, head, head_bytes, true);
}

/* ---- patterns ---- */

static bool matches(const char *type, size_t n, const char *pattern)
{
    const size_t slash = strcspn(pattern, "/");
    if (g_str_equal(pattern + slash, "/*"))
        return n > slash && type[slash] == '/' && g_ascii_strncasecmp(type, pattern, slash) == 0;
    return strlen(pattern) == n && g_ascii_strncasecmp(type, pattern, n) == 0;
}

bool mime_among(const char *type, const char *const *patterns)
{
    const size_t n = strcspn(type, "; ");
    for (; *patterns != NULL; patterns++)
        if (matches(type, n, *patterns))
            return true;
    return false;
}
