#include "graphics.h"

#include <stdio.h>
#include <string.h>

/* The kitty query draws nothing: one pixel, a=q. */
#define QUERY "\033_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\033\\\033]1337;ReportCellSize\033\\\033[16t"

enum { CELL_PX_MAX = 200 };

static const char *const names[] = { "cells", "kitty", "sixel", "iterm", "auto", "none" };

Graphics graphics_by_name(const char *name)
{
    for (unsigned i = 0; name != NULL && i < G_N_ELEMENTS(names); i++)
        if (g_str_equal(name, names[i]))
            return (Graphics)i;
    return GRAPHICS_CELLS;
}

const char *graphics_name(Graphics graphics)
{
    return names[graphics];
}

static bool is_set(const char *variable)
{
    const char *value = g_getenv(variable);
    return value != NULL && *value != '\0';
}

const char *graphics_query(GraphicsTalk *talk)
{
    const char *type = g_getenv("TERM");
    const bool lost = type == NULL || g_str_has_prefix(type, "tmux") || g_str_has_prefix(type, "screen") || g_str_has_prefix(type, "linux");
    talk->over = talk->wish == GRAPHICS_CELLS || talk->wish == GRAPHICS_NONE || lost || is_set("TMUX") || is_set("STY");
    return talk->over ? NULL : QUERY;
}

/* "\033[?62;4;22c": 4 is sixel. */
static void device_attributes(GraphicsTalk *talk, const char *numbers)
{
    g_auto(GStrv) words = g_strsplit(numbers, ";", -1);
    for (char **word = words; *word != NULL; word++)
        talk->can[GRAPHICS_SIXEL] |= g_str_equal(*word, "4") || g_str_equal(*word, "4c");
    talk->over = true;
}

void graphics_reply(GraphicsTalk *talk, const char *sequence)
{
    int height = 0, width = 0;
    char end = 0;
    if (talk->over)
        return;
    if (g_str_has_prefix(sequence, "\033_Gi=31;OK"))
        talk->can[GRAPHICS_KITTY] = true;
    else if (g_str_has_prefix(sequence, "\033]1337;ReportCellSize="))
        talk->can[GRAPHICS_ITERM] = true;
    else if (sscanf(sequence, "\033[6;%d;%d%c", &height, &width, &end) == 3 && end == 't') {
        talk->cell_height_px = height > 0 && height <= CELL_PX_MAX ? height : 0;
        talk->cell_width_px = width > 0 && width <= CELL_PX_MAX ? width : 0;
    } else if (g_str_has_prefix(sequence, "\033[?") && g_str_has_suffix(sequence, "c"))
        device_attributes(talk, sequence + strlen("\033[?"));
}

/* Of sixels the size in cells must be known, or they would cover what stands beside them. */
static bool usable(const GraphicsTalk *talk, Graphics graphics)
{
    return talk->can[graphics] && (graphics != GRAPHICS_SIXEL || (talk->cell_width_px > 0 && talk->cell_height_px > 0));
}

Graphics graphics_now(const GraphicsTalk *talk)
{
    if (!talk->over)
        return GRAPHICS_CELLS;
    for (Graphics g = GRAPHICS_KITTY; g <= GRAPHICS_ITERM; g++)
        if ((talk->wish == g || talk->wish == GRAPHICS_AUTO) && usable(talk, g))
            return g;
    return GRAPHICS_CELLS;
}

const char *graphics_erase(Graphics graphics)
{
    return graphics == GRAPHICS_KITTY ? "\033_Ga=d,d=A,q=2\033\\" : NULL;
}
