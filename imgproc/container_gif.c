#include "container.h"

#include <string.h>

enum {
    SCREEN = 13, /* header and logical screen descriptor */
    EXTENSION = 0x21,
    IMAGE = 0x2c,
    TRAILER = 0x3b,
    CONTROL = 0xf9,
    APPLICATION = 0xff,
    IMAGE_HEAD = 10,
    CONTROL_SIZE = 8, /* introducer, label, 4, its bytes, 0 */
    LOOP_AT = 14,     /* introducer, label, 11, name */
    LOOP_SIZE = 19,   /* and 3, 1, count, 0 */
};

static size_t table_bytes(uint8_t flags)
{
    return (flags & 0x80) != 0 ? (size_t)3 << ((flags & 7) + 1) : 0;
}

/* The end of the chain of sub-blocks that begins there; 0 when it runs out of the file. */
static size_t after_blocks(const Splice *s, size_t at)
{
    while (at < s->size && s->data[at] != 0)
        at += 1 + (size_t)s->data[at];
    return at < s->size ? at + 1 : 0;
}

static bool is_loop(const uint8_t *extension, size_t size)
{
    return size >= LOOP_SIZE && extension[1] == APPLICATION && extension[2] == 11 &&
           (memcmp(extension + 3, "NETSCAPE2.0", 11) == 0 || memcmp(extension + 3, "ANIMEXTS1.0", 11) == 0) && extension[LOOP_AT] == 3 &&
           extension[LOOP_AT + 1] == 1;
}

/* The extension at s->at: a frame's time and the loop stay, without further sub-blocks. False: it is cut. */
static bool clean_extension(Splice *s)
{
    const uint8_t *extension = s->data + s->at;
    const size_t end = splice_left(s) >= 2 ? after_blocks(s, s->at + 2) : 0;
    if (end == 0)
        return false;
    const size_t size = end - s->at;
    size_t wanted = 0;
    if (extension[1] == CONTROL && size >= CONTROL_SIZE && extension[2] == 4)
        wanted = CONTROL_SIZE;
    else if (is_loop(extension, size))
        wanted = LOOP_SIZE;
    if (wanted == size) {
        splice_keep(s, size);
        return true;
    }
    if (wanted > 0) {
        splice_keep(s, wanted - 1);
        splice_put(s, "", 1);
        splice_drop(s, 1);
        splice_drop(s, size - wanted);
    } else {
        splice_drop(s, size);
    }
    return true;
}

static bool keep_image(Splice *s)
{
    if (splice_left(s) < IMAGE_HEAD + 1)
        return false;
    const size_t end = after_blocks(s, s->at + IMAGE_HEAD + table_bytes(s->data[s->at + IMAGE_HEAD - 1]) + 1);
    if (end == 0)
        return false;
    splice_keep(s, end - s->at);
    return true;
}

MetadataResult gif_clean(const uint8_t *data, size_t size, RecipeMetadata level, GBytes **out_file)
{
    (void)level; /* a GIF has nothing that SAFE would keep */
    g_auto(Splice) s = { .data = data, .size = size };
    if (size < SCREEN || memcmp(data, "GIF8", 4) != 0 || size - SCREEN < table_bytes(data[10]))
        return METADATA_STUCK;
    splice_keep(&s, SCREEN + table_bytes(data[10]));
    bool pixels = false;
    while (splice_left(&s) > 0 && data[s.at] != TRAILER) {
        const bool image = data[s.at] == IMAGE;
        pixels = pixels || image;
        if (image ? keep_image(&s) : data[s.at] == EXTENSION && clean_extension(&s))
            continue;
        if (!pixels)
            return METADATA_STUCK;
        if (data[s.at] != EXTENSION)
            splice_keep(&s, splice_left(&s));
        return splice_end(&s, out_file);
    }
    if (splice_left(&s) > 0)
        splice_keep(&s, 1);
    return pixels ? splice_end(&s, out_file) : METADATA_STUCK;
}

bool gif_is_whole(const uint8_t *data, size_t size)
{
    const Splice s = { .data = data, .size = size };
    if (size < SCREEN)
        return false;
    size_t at = SCREEN + table_bytes(data[10]);
    while (at != 0 && at + 1 < size && data[at] != TRAILER) {
        if (data[at] == EXTENSION)
            at = after_blocks(&s, at + 2);
        else if (data[at] == IMAGE && size - at > IMAGE_HEAD)
            at = after_blocks(&s, at + IMAGE_HEAD + table_bytes(data[at + IMAGE_HEAD - 1]) + 1);
        else
            return false;
    }
    return at != 0 && at < size && data[at] == TRAILER;
}
