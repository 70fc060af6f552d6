#include "extras.h"

#include <string.h>

static uint32_t be16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t be32(const uint8_t *p)
{
    return be16(p) << 16 | be16(p + 2);
}

static uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

/* A JFIF header may hold a preview of its own; 14 is the length of one without. */
static bool jpeg_segment_is_picture(uint8_t marker, const uint8_t *body, size_t size)
{
    if (marker == 0xe0)
        return size == 14 && memcmp(body, "JFIF", 5) == 0 && body[12] == 0 && body[13] == 0;
    if (marker == 0xee)
        return size == 12 && memcmp(body, "Adobe", 5) == 0;
    if (marker == 0xe2)
        return size > 12 && memcmp(body, "ICC_PROFILE", 12) == 0;
    return marker >= 0xc0 && marker <= 0xdd; /* frames, tables, scans, restart interval; no APPn, COM, JPGn */
}

/* Where the marker after the entropy-coded data of a scan stands; size when there is none. */
static size_t jpeg_skip_scan(const uint8_t *data, size_t size, size_t at)
{
    for (; at + 1 < size; at++)
        if (data[at] == 0xff && data[at + 1] != 0 && data[at + 1] != 0xff && (data[at + 1] < 0xd0 || data[at + 1] > 0xd7))
            return at;
    return size;
}

bool extras_in_jpeg(const uint8_t *data, size_t size)
{
    size_t at = 2;
    while (at + 4 <= size && data[at] == 0xff) {
        const uint8_t marker = data[at + 1];
        const size_t length = be16(data + at + 2);
        if (length < 2 || length > size - at - 2 || !jpeg_segment_is_picture(marker, data + at + 4, length - 2))
            return true;
        at += 2 + length;
        if (marker == 0xda)
            at = jpeg_skip_scan(data, size, at);
        if (at + 2 == size && data[at] == 0xff && data[at + 1] == 0xd9)
            return false;
    }
    return true;
}

bool extras_in_png(const uint8_t *data, size_t size)
{
    static const char needed[][5] = {
        "IHDR", "PLTE", "tRNS", "IDAT", "gAMA", "cHRM", "sRGB", "iCCP", "sBIT", "bKGD", "hIST", "pHYs", "cICP"
    };
    size_t at = 8;
    while (size >= 12 && at <= size - 12) {
        const size_t length = be32(data + at);
        if (length > size - at - 12)
            return true;
        if (memcmp(data + at + 4, "IEND", 4) == 0)
            return at + 12 + length != size;
        bool known = false;
        for (size_t i = 0; i < sizeof needed / sizeof needed[0] && !known; i++)
            known = memcmp(data + at + 4, needed[i], 4) == 0;
        if (!known)
            return true;
        at += 12 + length;
    }
    return true;
}

bool extras_in_webp(const uint8_t *data, size_t size)
{
    static const char needed[][5] = { "VP8 ", "VP8L", "VP8X", "ALPH", "ICCP" };
    if (size < 20 || (size_t)le32(data + 4) + 8 != size)
        return true;
    size_t at = 12;
    while (at + 8 <= size) {
        const size_t length = le32(data + at + 4);
        bool known = false;
        for (size_t i = 0; i < sizeof needed / sizeof needed[0] && !known; i++)
            known = memcmp(data + at, needed[i], 4) == 0;
        if (!known || length > size - at - 8)
            return true;
        at += 8 + length + (length & 1);
    }
    return at != size;
}

/* Over a chain of sub-blocks; size when it runs out of the file. */
static size_t gif_skip_blocks(const uint8_t *data, size_t size, size_t at)
{
    while (at < size && data[at] != 0)
        at += 1 + (size_t)data[at];
    return at < size ? at + 1 : size;
}

static size_t gif_table_bytes(uint8_t flags)
{
    return (flags & 0x80) != 0 ? (size_t)3 << ((flags & 7) + 1) : 0;
}

bool extras_in_gif(const uint8_t *data, size_t size)
{
    if (size < 14)
        return true;
    size_t at = 13 + gif_table_bytes(data[10]);
    while (at < size) {
        if (data[at] == 0x3b)
            return at + 1 != size;
        if (data[at] == 0x21 && at + 2 <= size && data[at + 1] == 0xf9)
            at = gif_skip_blocks(data, size, at + 2);
        else if (data[at] == 0x2c && at + 11 <= size)
            at = gif_skip_blocks(data, size, at + 11 + gif_table_bytes(data[at + 9]));
        else
            return true;
    }
    return true;
}
