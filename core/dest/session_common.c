#include <string.h>

#include "session.h"

#define MAX_PIECES 10000

Verdict session_expired(const Upload *up, const char *cause, GError **error)
{
    fault_set(error, FAULT_EXPIRED, "%s", cause);
    return up->grant != NULL ? VERDICT_AGAIN : VERDICT_FAIL;
}

bool session_is_empty(uint64_t kept, GError **error)
{
    if (kept > 0)
        fault_set(error, FAULT_GRANT, "the application handed out an upload that holds %" G_GUINT64_FORMAT " bytes already: of which file?",
                  kept);
    return kept == 0;
}

void session_kept(Upload *up, uint64_t kept)
{
    for (unsigned i = 0; i < up->n_parts; i++) {
        const uint64_t begin = upload_part_offset(up, i), bytes = upload_part_bytes(up, i);
        Part *p = &up->parts[i];
        const uint64_t of_part = kept <= begin ? 0 : MIN(kept - begin, bytes);
        p->done = of_part == bytes && i + 1 < up->n_parts;
        p->kept_bytes = p->done ? 0 : of_part;
    }
}

uint64_t session_front(const Upload *up)
{
    uint64_t front = 0;
    for (unsigned i = 0; i < up->n_parts; i++) {
        if (!up->parts[i].done)
            return front + up->parts[i].kept_bytes;
        front += upload_part_bytes(up, i);
    }
    return front;
}

static uint64_t round_up(uint64_t bytes, uint64_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

void session_plan(Upload *up, uint64_t wanted, uint64_t usual, uint64_t unit, uint64_t most)
{
    const uint64_t least = round_up(up->size_bytes / MAX_PIECES + 1, unit);
    const uint64_t piece = round_up(wanted > 0 ? wanted : usual, unit);
    upload_plan(up, true, CLAMP(MAX(piece, least), unit, most));
    up->serial = true;
    up->probe = true;
}

char *session_range(uint64_t offset, uint64_t length, uint64_t total)
{
    return g_strdup_printf("bytes %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT, offset, offset + length - 1, total);
}

static bool read_number(const char *text, size_t bytes, uint64_t *out)
{
    g_autofree char *digits = g_strndup(text, bytes);
    guint64 n;
    if (!g_ascii_string_to_unsigned(digits, 10, 0, G_MAXINT64, &n, NULL))
        return false;
    *out = n;
    return true;
}

static const char *behind_unit(const char *text)
{
    return g_str_has_prefix(text, "bytes=") || g_str_has_prefix(text, "bytes ") ? text + strlen("bytes=") : text;
}

bool session_range_begin(const char *text, uint64_t *begin_out)
{
    const char *begin = behind_unit(text);
    return read_number(begin, strcspn(begin, "-"), begin_out);
}

bool session_range_end(const char *text, uint64_t *end_out)
{
    const char *dash = strchr(text, '-');
    return dash != NULL && read_number(dash + 1, strcspn(dash + 1, "/,"), end_out);
}

bool session_take_url(const DestCtx *ctx, Upload *up, const char *base, const char *url, GError **error)
{
    g_autofree char *absolute = url == NULL ? NULL : g_uri_resolve_relative(base, url, G_URI_FLAGS_ENCODED, NULL);
    const bool secure = absolute != NULL && g_str_has_prefix(absolute, "https://");
    if (absolute == NULL || (!secure && !g_str_has_prefix(absolute, "http://"))) {
        fault_set(error, FAULT_BAD_ANSWER, "the server opened a session without a usable address");
        return false;
    }
    if (!secure && g_ascii_strncasecmp(base, "https:", strlen("https:")) == 0) {
        fault_set(error, FAULT_ENDPOINT, "the server wants the session to go on without TLS");
        return false;
    }
    secret_free(up->upload_id);
    up->upload_id = g_steal_pointer(&absolute);
    up->opened_s = ctx->now_s;
    return true;
}

void session_grant_headers(const Upload *up, Request *rq)
{
    for (unsigned i = 0; up->grant->headers != NULL && i < up->grant->headers->len; i++)
        g_ptr_array_add(rq->headers, g_strdup(up->grant->headers->pdata[i]));
}

bool session_has_grant(const Upload *up, GError **error)
{
    if (up->grant == NULL || up->grant->url == NULL)
        fault_set(error, FAULT_BUG, "the upload has no grant");
    return up->grant != NULL && up->grant->url != NULL;
}
