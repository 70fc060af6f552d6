#include "tiff_head.h"

#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum {
    TAG_SUBFILE_TYPE = 0x00fe,
    TAG_MAKE = 0x010f,
    TAG_SUB_IFDS = 0x014a,
    TAG_DNG_VERSION = 0xc612,
    SUBFILE_REDUCED = 1,
    ENTRY_BYTES = 12,
    ENTRIES_MAX = 512,
    HEAD_BYTES = 10,
};

static uint32_t number(const uint8_t *p, unsigned n, bool little)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < n; i++)
        value = value << 8 | p[little ? n - 1 - i : i];
    return value;
}

bool tiff_head_is_raw(int fd)
{
    uint8_t head[HEAD_BYTES], count[2], entry[ENTRY_BYTES];
    if (pread(fd, head, sizeof head, 0) != (ssize_t)sizeof head)
        return false;
    const bool little = head[0] == 'I';
    off_t at = (off_t)number(head + 4, 4, little);
    if (memcmp(head + 8, "CR", 2) == 0)
        return true;
    if (pread(fd, count, sizeof count, at) != (ssize_t)sizeof count)
        return false;
    bool made = false, sub = false;
    const uint32_t entries = number(count, 2, little);
    at += (off_t)sizeof count;
    for (uint32_t i = 0; i < entries && i < ENTRIES_MAX && pread(fd, entry, sizeof entry, at) == (ssize_t)sizeof entry; i++) {
        const uint32_t tag = number(entry, 2, little);
        const unsigned width = number(entry + 2, 2, little) == 3 ? 2 : 4; /* SHORT or LONG */
        if (tag == TAG_DNG_VERSION || (tag == TAG_SUBFILE_TYPE && (number(entry + 8, width, little) & SUBFILE_REDUCED) != 0))
            return true;
        made = made || tag == TAG_MAKE;
        sub = sub || tag == TAG_SUB_IFDS;
        at += ENTRY_BYTES;
    }
    return made && sub;
}
