#include "input_seq.h"

#include <string.h>

#define MAX_PARAMS   8
#define FOREIGN_MODS (8 | 16 | 32) /* Super, Hyper, Meta: the desktop's, not ours */

typedef struct {
    char prefix;                /* '<', '=', '>', '?' or 0 */
    unsigned param[MAX_PARAMS]; /* 0 = not given */
    unsigned sub[MAX_PARAMS];   /* behind the first colon: kitty's shifted key, event type */
    unsigned n_params;
    bool plain; /* nothing in it but prefix, digits, ';' and ':' */
    char final;
} Csi;

static void csi_parse(const uint8_t *p, size_t n, Csi *csi)
{
    memset(csi, 0, sizeof *csi);
    csi->plain = true;
    csi->final = (char)p[n - 1];
    size_t i = 0;
    if (n > 1 && p[0] >= '<' && p[0] <= '?')
        csi->prefix = (char)p[i++];
    unsigned colons = 0;
    if (i < n - 1)
        csi->n_params = 1;
    for (; i < n - 1; i++) {
        if (p[i] == ';') {
            csi->n_params++;
            colons = 0;
        } else if (p[i] == ':') {
            colons++;
        } else if (p[i] < '0' || p[i] > '9') {
            csi->plain = false;
        } else if (csi->n_params <= MAX_PARAMS && colons <= 1) {
            unsigned *value = colons == 0 ? &csi->param[csi->n_params - 1] : &csi->sub[csi->n_params - 1];
            *value = MIN(*value * 10 + (unsigned)(p[i] - '0'), 0x1fffff);
        }
    }
    csi->n_params = MIN(csi->n_params, MAX_PARAMS);
}

static uint32_t key_of_letter(char final)
{
    switch (final) {
    case 'A':
        return KEY_UP_;
    case 'B':
        return KEY_DOWN_;
    case 'C':
        return KEY_RIGHT_;
    case 'D':
        return KEY_LEFT_;
    case 'F':
        return KEY_END_;
    case 'H':
        return KEY_HOME_;
    case 'P':
    case 'Q':
    case 'R':
    case 'S':
        return KEY_F1_ + (uint32_t)(final - 'P');
    default:
        return 0;
    }
}

static uint32_t key_of_number(unsigned number)
{
    static const uint32_t keys[] = {
        [1] = KEY_HOME_,    [2] = KEY_INSERT_,  [3] = KEY_DELETE_,  [4] = KEY_END_,      [5] = KEY_PGUP_,
        [6] = KEY_PGDN_,    [7] = KEY_HOME_,    [8] = KEY_END_,     [11] = KEY_F1_,      [12] = KEY_F1_ + 1,
        [13] = KEY_F1_ + 2, [14] = KEY_F1_ + 3, [15] = KEY_F1_ + 4, [17] = KEY_F1_ + 5,  [18] = KEY_F1_ + 6,
        [19] = KEY_F1_ + 7, [20] = KEY_F1_ + 8, [21] = KEY_F1_ + 9, [23] = KEY_F1_ + 10, [24] = KEY_F12_,
    };
    return number < G_N_ELEMENTS(keys) ? keys[number] : 0;
}

/* Code points of the kitty protocol for keys of the number pad. */
static uint32_t key_of_keypad(unsigned code)
{
    static const uint32_t keys[] = { '0',       '1',       '2',       '3',       '4',       '5',         '6',
                                     '7',       '8',       '9',       '.',       '/',       '*',         '-',
                                     '+',       '\r',      '=',       ',',       KEY_LEFT_, KEY_RIGHT_,  KEY_UP_,
                                     KEY_DOWN_, KEY_PGUP_, KEY_PGDN_, KEY_HOME_, KEY_END_,  KEY_INSERT_, KEY_DELETE_ };
    const unsigned first = 57399;
    return code >= first && code - first < G_N_ELEMENTS(keys) ? keys[code - first] : 0;
}

static SeqKind key(InputEvent *ev, uint32_t code, unsigned mods)
{
    ev->kind = INPUT_KEY;
    ev->key = code;
    ev->mods = mods;
    return SEQ_EVENT;
}

static SeqKind key_of_code(InputEvent *ev, unsigned code, unsigned shifted, unsigned mods)
{
    const unsigned unshifted = mods & ~(unsigned)MOD_SHIFT;
    if (code >= 0xe000 && code <= 0xf8ff) {
        const uint32_t pad = key_of_keypad(code);
        return pad != 0 ? key(ev, pad, mods) : SEQ_NOTHING;
    }
    if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return SEQ_NOTHING;
    if (code == '\t' && (mods & MOD_SHIFT))
        return key(ev, KEY_BACKTAB_, unshifted);
    if (code < ' ' || code == 127)
        return key(ev, code, mods);
    if ((mods & MOD_CTRL) && code < 128 && g_ascii_isalpha((char)code))
        return key(ev, code & 0x1f, mods & MOD_ALT);
    if ((mods & MOD_SHIFT) && shifted > ' ' && shifted <= 0x10ffff)
        return key(ev, shifted, unshifted);
    if ((mods & MOD_SHIFT) && code < 128)
        return key(ev, (uint32_t)g_ascii_toupper((char)code), unshifted);
    return key(ev, code, mods);
}

static SeqKind mouse(InputEvent *ev, int button, int x, int y)
{
    const bool moved = (button & 32) != 0;
    if (moved || x < 0 || y < 0)
        return SEQ_NOTHING;
    ev->kind = INPUT_MOUSE;
    ev->button = button;
    ev->x = x;
    ev->y = y;
    return SEQ_EVENT;
}

static SeqKind tilde(const Csi *csi, unsigned mods, InputEvent *ev)
{
    if (csi->param[0] == 200)
        return SEQ_PASTE;
    if (csi->param[0] == 201)
        return SEQ_NOTHING; /* the end mark of a paste that was given up */
    if (csi->param[0] == 27 && csi->n_params == 3)
        return key_of_code(ev, csi->param[2], 0, mods);
    const uint32_t code = key_of_number(csi->param[0]);
    return code != 0 ? key(ev, code, mods) : SEQ_UNKNOWN;
}

/* ESC [ < button ; x ; y M, released with m. */
static SeqKind mouse_sgr(const Csi *csi, InputEvent *ev)
{
    if (!csi->plain || csi->n_params != 3 || (csi->final != 'M' && csi->final != 'm'))
        return SEQ_UNKNOWN;
    return csi->final == 'M' ? mouse(ev, (int)csi->param[0], (int)csi->param[1] - 1, (int)csi->param[2] - 1) : SEQ_NOTHING;
}

static SeqKind focus(InputEvent *ev, bool focused)
{
    ev->kind = INPUT_FOCUS;
    ev->focused = focused;
    return SEQ_EVENT;
}

/* Nothing but parameters and a final byte. */
static SeqKind csi_key(const Csi *csi, InputEvent *ev)
{
    const unsigned bits = csi->param[1] > 0 ? csi->param[1] - 1 : 0;
    const unsigned mods = bits & (MOD_SHIFT | MOD_ALT | MOD_CTRL);
    const bool released = csi->sub[1] == 3;
    const bool position = csi->final == 'R' && csi->param[1] > 8; /* of the cursor, not F3 */
    const uint32_t letter = csi->param[0] <= 1 && !position ? key_of_letter(csi->final) : 0;
    if (csi->final != '~' && csi->final != 'u' && letter == 0)
        return SEQ_UNKNOWN;
    if (released || (bits & FOREIGN_MODS) != 0)
        return SEQ_NOTHING;
    if (csi->final == '~')
        return tilde(csi, mods, ev);
    return csi->final == 'u' ? key_of_code(ev, csi->param[0], csi->sub[0], mods) : key(ev, letter, mods);
}

SeqKind seq_csi(const uint8_t *body, size_t n, InputEvent *ev)
{
    Csi csi;
    csi_parse(body, n, &csi);
    if (n == 2 && body[0] == '[' && csi.final >= 'A' && csi.final <= 'E')
        return key(ev, KEY_F1_ + (uint32_t)(csi.final - 'A'), 0); /* Linux console */
    if (n == 1 && csi.final == 'M')
        return SEQ_MOUSE_X10;
    if (n == 1 && (csi.final == 'I' || csi.final == 'O'))
        return focus(ev, csi.final == 'I');
    if (csi.prefix == '<')
        return mouse_sgr(&csi, ev);
    if (!csi.plain || csi.prefix != 0)
        return SEQ_UNKNOWN;
    return csi.final == 'Z' ? key(ev, KEY_BACKTAB_, 0) : csi_key(&csi, ev);
}

SeqKind seq_ss3(uint8_t byte, InputEvent *ev)
{
    const uint32_t letter = key_of_letter((char)byte);
    if (letter != 0)
        return key(ev, letter, 0);
    if (byte == 'M')
        return key(ev, '\r', 0);
    if (byte == 'X' || (byte >= 'j' && byte <= 'y'))
        return key(ev, byte == 'X' ? '=' : byte - 0x40u, 0); /* number pad: 'p' is 0, 'k' is + */
    return SEQ_NOTHING;
}

SeqKind seq_mouse_x10(const uint8_t body[3], InputEvent *ev)
{
    const int button = body[0] - 32;
    const bool released = (button & 3) == 3 && button < 64;
    return released ? SEQ_NOTHING : mouse(ev, button, body[1] - 33, body[2] - 33);
}
