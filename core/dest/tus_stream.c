#include "tus_priv.h"

#include <string.h>

bool tus_is_joined(const Upload *up)
{
    return up->upload_id != NULL && strchr(up->upload_id, ' ') != NULL;
}

unsigned tus_streams(const Upload *up)
{
    unsigned n = up->upload_id != NULL;
    for (const char *p = up->upload_id; p != NULL && *p != '\0'; p++)
        n += *p == ' ';
    return n;
}

/* NULL when it was not created yet. Caller frees. */
char *tus_stream_url(const Upload *up, unsigned n)
{
    if (!tus_is_joined(up))
        return g_strdup(up->upload_id != NULL ? up->upload_id : up->grant != NULL ? up->grant->url : NULL);
    g_auto(GStrv) urls = g_strsplit(up->upload_id, " ", -1);
    return n < g_strv_length(urls) ? g_strdup(urls[n]) : NULL;
}

void tus_set_stream_url(Upload *up, unsigned n, const char *url)
{
    if (!tus_is_joined(up)) {
        upload_set(&up->upload_id, url);
        return;
    }
    g_auto(GStrv) urls = g_strsplit(up->upload_id, " ", -1);
    upload_set(&urls[n], url);
    g_autofree char *all = g_strjoinv(" ", urls);
    upload_set(&up->upload_id, all);
}

uint64_t tus_stream_bytes(const Upload *up, unsigned part)
{
    return tus_is_joined(up) ? upload_part_bytes(up, part) : up->size_bytes;
}

/* What the server has confirmed of the stream that a part belongs to. */
uint64_t tus_confirmed_bytes(const Upload *up, unsigned part)
{
    if (tus_is_joined(up))
        return up->parts[part].done ? upload_part_bytes(up, part) : up->parts[part].kept_bytes;
    return upload_done_bytes(up);
}

/* Where the object can be found, and removed, later. */
void tus_remember_object(Upload *up, const char *url)
{
    g_autofree char *key = tus_key_of(url);
    upload_set(&up->url, url);
    upload_set(&up->stored_key, key);
}

void tus_prove(Upload *up)
{
    bool sums = up->n_parts > 0;
    for (unsigned i = 0; i < up->n_parts; i++)
        sums = sums && g_strcmp0(up->parts[i].etag, TUS_SUM_VERIFIED) == 0;
    up->verified = sums ? VERIFIED_CHECKSUM : VERIFIED_SIZE;
}

/* The server has this much of the stream. True: all of it. */
bool tus_take_offset(Upload *up, unsigned part, uint64_t offset)
{
    const unsigned first = tus_is_joined(up) ? part : 0, end = tus_is_joined(up) ? part + 1 : up->n_parts;
    for (unsigned i = first; i < end; i++) {
        Part *p = &up->parts[i];
        const uint64_t bytes = upload_part_bytes(up, i), kept = MIN(offset, bytes);
        p->done = up->multipart && kept == bytes;
        p->kept_bytes = p->done ? 0 : kept;
        offset -= kept;
    }
    g_clear_pointer(&up->parts[part].handle, g_free);
    if (!tus_is_joined(up) && upload_done_bytes(up) == up->size_bytes)
        tus_prove(up);
    return tus_is_joined(up) ? up->parts[part].done : upload_done_bytes(up) == up->size_bytes;
}
