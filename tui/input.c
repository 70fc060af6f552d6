#include "input.h"

#include <string.h>

#include "core/hoist.h"
#include "input_seq.h"

/* Bytes wait in chunks with the time they came and are decoded when an event is wanted, so that a big paste costs its bytes and no more.
 *
 *      GROUND -> ESCAPE -> CSI | SS3 | STRING      one key, mouse report, focus or reply, then GROUND
 *      GROUND -> PASTE -> [OVERFLOW] -> GROUND     between the marks ESC[200~ and ESC[201~
 *      GROUND -> RUN -> GROUND                     perhaps a drop without marks; not one: its bytes are decoded again as keys
 *      GROUND -> X10                               three raw bytes of an old mouse report
 */
typedef enum { STATE_GROUND, STATE_ESCAPE, STATE_CSI, STATE_SS3, STATE_STRING, STATE_PASTE, STATE_OVERFLOW, STATE_RUN, STATE_X10 } State;

#define PASTE_MAX_BYTES    (8 * 1024 * 1024)
#define SEQUENCE_MAX_BYTES 4096
#define RUN_MIN_BYTES      4

#define LONE_ESCAPE_US 50000
#define SEQUENCE_US    1000000 /* a sequence cut in two by a slow network; then it is given up */
#define PASTE_IDLE_US  2000000
#define RUN_SHORT_US   5000 /* nobody types so fast */
#define RUN_GAP_US     30000

#define REPLACEMENT 0xfffd

typedef struct {
    uint8_t *bytes;
    size_t n, at;
    int64_t time_us;
} Chunk;

struct Input {
    char *hint, *host;
    bool (*exists)(const char *path, void *ctx);
    void *exists_ctx;
    State state;
    GQueue chunks;        /* of Chunk, not decoded yet */
    Chunk replay;         /* a run that was no drop; goes before the chunks; bytes NULL = none */
    GByteArray *sequence; /* from its ESC on */
    bool sequence_cut;    /* it was longer than SEQUENCE_MAX_BYTES */
    uint8_t string_last;  /* last byte of a STRING, kept or not */
    GByteArray *data;     /* of PASTE and RUN */
    const char *end_mark; /* of this paste */
    size_t end_matched;   /* bytes of the end mark that the paste ends in */
    uint8_t utf8[4];      /* a character that is not complete */
    unsigned n_utf8, want_utf8, utf8_mods;
    bool may_run;    /* the next byte may begin a drop: it is the first of a read, or follows a sequence */
    int64_t last_us; /* when the last decoded byte came */
    InputEvent *out;
};

Input *input_new(const char *terminal_hint, const char *host)
{
    Input *in = g_new0(Input, 1);
    in->hint = g_strdup(terminal_hint);
    in->host = g_strdup(host);
    in->sequence = g_byte_array_new();
    in->data = g_byte_array_new();
    g_queue_init(&in->chunks);
    return in;
}

static void chunk_free(void *p)
{
    Chunk *chunk = p;
    g_free(chunk->bytes);
    g_free(chunk);
}

void input_free(Input *in)
{
    if (in == NULL)
        return;
    g_queue_clear_full(&in->chunks, chunk_free);
    g_free(in->replay.bytes);
    g_byte_array_unref(in->sequence);
    g_byte_array_unref(in->data);
    input_event_free(in->out);
    g_free(in->hint);
    g_free(in->host);
    g_free(in);
}

void input_event_free(InputEvent *ev)
{
    if (ev == NULL)
        return;
    g_free(ev->text);
    g_free(ev);
}

void input_set_exists(Input *in, bool (*exists)(const char *path, void *ctx), void *ctx)
{
    in->exists = exists;
    in->exists_ctx = ctx;
}

/* ------------------------------------------------------------------ events */

static InputEvent *emit(Input *in, InputKind kind)
{
    g_assert(in->out == NULL);
    in->out = g_new0(InputEvent, 1);
    in->out->kind = kind;
    return in->out;
}

static void emit_key(Input *in, uint32_t key, unsigned mods)
{
    InputEvent *ev = emit(in, INPUT_KEY);
    ev->key = key;
    ev->mods = mods;
}

static void emit_text(Input *in, InputKind kind, const uint8_t *bytes, size_t n)
{
    InputEvent *ev = emit(in, kind);
    ev->text = g_malloc(n + 1);
    if (n > 0)
        memcpy(ev->text, bytes, n);
    ev->text[n] = '\0';
    ev->bytes = n;
}

static void emit_paste(Input *in, bool unterminated)
{
    emit_text(in, INPUT_PASTE, in->data->data, in->data->len);
    in->out->unterminated = unterminated;
    g_byte_array_unref(in->data); /* gives megabytes back */
    in->data = g_byte_array_new();
}

static void enter(Input *in, State state)
{
    in->state = state;
    if (state == STATE_GROUND) {
        g_byte_array_set_size(in->sequence, 0);
        in->sequence_cut = false;
    }
}

/* ------------------------------------------------------------------ whole sequences */

static void begin_paste(Input *in, bool c1)
{
    enter(in, STATE_PASTE);
    g_byte_array_set_size(in->data, 0);
    in->end_mark = c1 ? "\xc2\x9b"
                        "201~"
                      : "\033[201~";
    in->end_matched = 0;
}

static void finish_csi(Input *in)
{
    const GByteArray *seq = in->sequence;
    const bool c1 = seq->data[0] == 0xc2;
    InputEvent ev = { 0 };
    const SeqKind kind = in->sequence_cut ? SEQ_NOTHING : seq_csi(seq->data + 2, seq->len - 2, &ev);
    if (kind == SEQ_EVENT)
        *emit(in, ev.kind) = ev;
    else if (kind == SEQ_UNKNOWN)
        emit_text(in, INPUT_REPLY, seq->data, seq->len);
    in->may_run = true;
    enter(in, STATE_GROUND);
    if (kind == SEQ_PASTE)
        begin_paste(in, c1);
    else if (kind == SEQ_MOUSE_X10)
        in->state = STATE_X10;
}

static void finish_string(Input *in)
{
    if (!in->sequence_cut)
        emit_text(in, INPUT_REPLY, in->sequence->data, in->sequence->len);
    enter(in, STATE_GROUND);
    in->may_run = true;
}

/* ------------------------------------------------------------------ byte by byte */

static void sequence_add(Input *in, uint8_t byte)
{
    if (in->sequence->len < SEQUENCE_MAX_BYTES)
        g_byte_array_append(in->sequence, &byte, 1);
    else
        in->sequence_cut = true;
}

static void begin_sequence(Input *in, State state, uint8_t first, uint8_t second)
{
    enter(in, STATE_GROUND);
    sequence_add(in, first);
    if (second != 0)
        sequence_add(in, second);
    in->state = state;
    in->string_last = 0;
}

static bool introduces(uint8_t byte, State *state_out)
{
    if (byte == '[')
        *state_out = STATE_CSI;
    else if (byte == 'O')
        *state_out = STATE_SS3;
    else if (byte == ']' || byte == 'P' || byte == '_' || byte == '^' || byte == 'X')
        *state_out = STATE_STRING;
    else
        return false;
    return true;
}

static void finish_char(Input *in, uint32_t code, unsigned mods)
{
    State state;
    in->n_utf8 = 0;
    if (code >= 0x80 && code < 0xa0) { /* 0xC2 0x9B is CSI: ESC and the letter 0x40 below */
        if (introduces((uint8_t)(code - 0x40), &state))
            begin_sequence(in, state, 0xc2, (uint8_t)code);
        return;
    }
    emit_key(in, code, mods);
}

/* One byte of text, outside of sequences. False: the byte is to be looked at again. */
static bool text_byte(Input *in, uint8_t byte, unsigned mods)
{
    if (in->n_utf8 > 0) {
        const bool fits = (byte & 0xc0) == 0x80;
        if (fits) {
            in->utf8[in->n_utf8++] = byte;
            if (in->n_utf8 < in->want_utf8)
                return true;
        }
        const gunichar code = fits ? g_utf8_get_char_validated((const char *)in->utf8, (gssize)in->n_utf8) : REPLACEMENT;
        finish_char(in, code >= 0x110000 ? REPLACEMENT : code, in->utf8_mods);
        return fits;
    }
    if (byte >= 0x80) {
        in->want_utf8 = byte >= 0xf0 && byte < 0xf5 ? 4 : byte >= 0xe0 && byte < 0xf0 ? 3 : byte >= 0xc2 && byte < 0xe0 ? 2 : 1;
        in->utf8_mods = mods;
        if (in->want_utf8 == 1)
            emit_key(in, REPLACEMENT, mods);
        else
            in->utf8[in->n_utf8++] = byte;
    } else if (byte == 0) {
        emit_key(in, ' ', mods | MOD_CTRL);
    } else {
        emit_key(in, byte, mods);
    }
    return true;
}

static bool escape_byte(Input *in, uint8_t byte)
{
    State state;
    if (byte == 0x1b) {
        emit_key(in, 0x1b, 0); /* the second one begins anew */
        return true;
    }
    if (introduces(byte, &state)) {
        begin_sequence(in, state, 0x1b, byte);
        return true;
    }
    enter(in, STATE_GROUND);
    in->may_run = false;
    return text_byte(in, byte, MOD_ALT);
}

static bool csi_byte(Input *in, uint8_t byte)
{
    const bool console = in->sequence->len == 3 && in->sequence->data[2] == '['; /* ESC [ [ A */
    if (byte < 0x20 || byte > 0x7e) {
        enter(in, STATE_GROUND);
        return false;
    }
    sequence_add(in, byte);
    if (console || (byte >= 0x40 && (byte != '[' || in->sequence->len != 3)))
        finish_csi(in);
    return true;
}

static bool ss3_byte(Input *in, uint8_t byte)
{
    if (byte < 0x20 || byte > 0x7e) {
        enter(in, STATE_GROUND);
        return false;
    }
    InputEvent ev = { 0 };
    enter(in, STATE_GROUND);
    in->may_run = true;
    if (seq_ss3(byte, &ev) == SEQ_EVENT)
        *emit(in, ev.kind) = ev;
    return true;
}

/* OSC, DCS, APC, PM, SOS: up to BEL or ST. An ESC that is not ST's begins something else. */
static bool string_byte(Input *in, uint8_t byte)
{
    const uint8_t before = in->string_last;
    if (before == 0x1b && byte != '\\') {
        begin_sequence(in, STATE_ESCAPE, 0x1b, 0);
        return false;
    }
    if (byte == 0x18 || byte == 0x1a) {
        enter(in, STATE_GROUND);
        return true;
    }
    sequence_add(in, byte);
    in->string_last = byte;
    if (byte == 0x07 || before == 0x1b || (before == 0xc2 && byte == 0x9c))
        finish_string(in);
    return true;
}

static bool x10_byte(Input *in, uint8_t byte)
{
    if (byte < 0x20) {
        enter(in, STATE_GROUND);
        return false;
    }
    sequence_add(in, byte);
    if (in->sequence->len < 3)
        return true;
    InputEvent ev = { 0 };
    if (seq_mouse_x10(in->sequence->data, &ev) == SEQ_EVENT)
        *emit(in, ev.kind) = ev;
    enter(in, STATE_GROUND);
    in->may_run = true;
    return true;
}

static bool begins_run(const uint8_t *p, size_t n)
{
    const char *const file = "file:";
    return (p[0] != '\0' && strchr("/'\"~\\&$#", p[0]) != NULL) || g_ascii_strncasecmp((const char *)p, file, MIN(n, strlen(file))) == 0;
}

/* One byte in any state that goes byte by byte. False: it is to be looked at again. */
static bool one_byte(Input *in, uint8_t byte)
{
    switch (in->state) {
    case STATE_ESCAPE:
        return escape_byte(in, byte);
    case STATE_CSI:
        return csi_byte(in, byte);
    case STATE_SS3:
        return ss3_byte(in, byte);
    case STATE_STRING:
        return string_byte(in, byte);
    case STATE_X10:
        return x10_byte(in, byte);
    case STATE_GROUND:
    case STATE_PASTE:
    case STATE_OVERFLOW:
    case STATE_RUN:
        break;
    }
    if (byte == 0x1b && in->n_utf8 == 0) {
        begin_sequence(in, STATE_ESCAPE, byte, 0);
        return true;
    }
    in->may_run = false;
    return text_byte(in, byte, 0);
}

/* ------------------------------------------------------------------ pastes and runs */

/* How many of the bytes end the paste or belong to it. */
static size_t paste_bytes(Input *in, const uint8_t *p, size_t n)
{
    const size_t mark = strlen(in->end_mark);
    size_t used = 0;
    if (in->state == STATE_PASTE)
        n = MIN(n, PASTE_MAX_BYTES + mark - in->data->len);
    while (used < n && in->end_matched < mark) {
        if (in->end_matched == 0) {
            const uint8_t *next = memchr(p + used, in->end_mark[0], n - used);
            used = next != NULL ? (size_t)(next - p) + 1 : n;
            in->end_matched = next != NULL;
        } else if (p[used] == (uint8_t)in->end_mark[in->end_matched]) {
            in->end_matched++;
            used++;
        } else {
            in->end_matched = 0; /* the same byte may begin the mark */
        }
    }
    if (in->state == STATE_PASTE)
        g_byte_array_append(in->data, p, (guint)used);
    if (in->end_matched == mark) {
        if (in->state == STATE_PASTE) {
            g_byte_array_set_size(in->data, in->data->len - (guint)mark);
            emit_paste(in, false);
        }
        enter(in, STATE_GROUND);
        in->end_matched = 0;
        in->may_run = true;
    } else if (in->state == STATE_PASTE && in->data->len >= PASTE_MAX_BYTES + mark) {
        g_byte_array_set_size(in->data, PASTE_MAX_BYTES);
        emit_paste(in, true);
        in->state = STATE_OVERFLOW; /* what follows is no typing */
    }
    return used;
}

/* Reports and marks that follow a drop within its gap are no part of it. */
static size_t run_length(const uint8_t *p, size_t n)
{
    static const char *const ends[] = { "\033[200~", "\033[I", "\033[O", "\033[<" };
    const uint8_t *at = p;
    while ((at = memchr(at, 0x1b, n - (size_t)(at - p))) != NULL) {
        const size_t left = n - (size_t)(at - p);
        for (unsigned i = 0; i < G_N_ELEMENTS(ends); i++)
            if (left >= strlen(ends[i]) && memcmp(at, ends[i], strlen(ends[i])) == 0)
                return (size_t)(at - p);
        at++;
    }
    return n;
}

/* The run is over: a paste when it reads as a drop of which something is there, else keys. */
static void end_run(Input *in)
{
    const size_t n = run_length(in->data->data, in->data->len);
    char **paths = NULL;
    g_autoptr(GArray) found = NULL;
    HoistDropVerdict verdict = HOIST_NOT_A_DROP;
    if (n >= RUN_MIN_BYTES)
        verdict = hoist_drop_read((const char *)in->data->data, n, in->hint, in->host, in->exists, in->exists_ctx, &paths, &found);
    bool drop = verdict == HOIST_DROP;
    for (unsigned i = 0; verdict == HOIST_DROP_MISSING && i < found->len; i++)
        drop |= g_array_index(found, bool, i);
    g_strfreev(paths);
    in->state = STATE_GROUND;
    in->replay.n = in->data->len - (drop ? n : 0);
    in->replay.at = 0;
    in->replay.time_us = in->last_us;
    in->replay.bytes = in->replay.n > 0 ? g_memdup2(in->data->data + (drop ? n : 0), in->replay.n) : NULL;
    if (drop) {
        g_byte_array_set_size(in->data, (guint)n);
        emit_paste(in, false);
    }
    g_byte_array_set_size(in->data, 0);
}

/* ------------------------------------------------------------------ the clock */

static int64_t patience_us(const Input *in)
{
    switch (in->state) {
    case STATE_GROUND:
        return in->n_utf8 > 0 ? LONE_ESCAPE_US : -1;
    case STATE_ESCAPE:
        return LONE_ESCAPE_US;
    case STATE_CSI:
    case STATE_SS3:
    case STATE_STRING:
    case STATE_X10:
        return SEQUENCE_US;
    case STATE_PASTE:
    case STATE_OVERFLOW:
        return PASTE_IDLE_US;
    case STATE_RUN:
        return in->data->len < RUN_MIN_BYTES ? RUN_SHORT_US : RUN_GAP_US;
    }
    return -1;
}

/* Nothing came for as long as the state waits. */
static void give_up(Input *in)
{
    const GByteArray *seq = in->sequence;
    const uint32_t introducer = seq->len == 2 && seq->data[0] == 0x1b ? seq->data[1] : 0;
    switch (in->state) {
    case STATE_GROUND:
        in->n_utf8 = 0;
        emit_key(in, REPLACEMENT, in->utf8_mods);
        break;
    case STATE_ESCAPE:
        enter(in, STATE_GROUND);
        emit_key(in, 0x1b, 0);
        break;
    case STATE_CSI:
    case STATE_SS3:
    case STATE_STRING:
    case STATE_X10:
        enter(in, STATE_GROUND);
        if (introducer != 0)
            emit_key(in, introducer, MOD_ALT);
        break;
    case STATE_PASTE:
        enter(in, STATE_GROUND);
        g_byte_array_set_size(in->data, in->data->len - (guint)in->end_matched);
        emit_paste(in, true);
        break;
    case STATE_OVERFLOW:
        enter(in, STATE_GROUND);
        break;
    case STATE_RUN:
        end_run(in);
        break;
    }
}

static void tick(Input *in, int64_t now_us)
{
    const int64_t patience = patience_us(in);
    if (in->out == NULL && patience >= 0 && now_us - in->last_us >= patience)
        give_up(in);
}

/* ------------------------------------------------------------------ chunks */

/* Decodes until an event is there or the chunk is used up. */
static void decode(Input *in, Chunk *chunk, bool may_run)
{
    while (in->out == NULL && chunk->at < chunk->n) {
        const uint8_t *p = chunk->bytes + chunk->at;
        const size_t left = chunk->n - chunk->at;
        if (in->state == STATE_PASTE || in->state == STATE_OVERFLOW) {
            chunk->at += paste_bytes(in, p, left);
        } else if (in->state == STATE_GROUND && may_run && in->may_run && in->n_utf8 == 0 && begins_run(p, left)) {
            in->state = STATE_RUN;
        } else if (in->state == STATE_RUN) {
            g_byte_array_append(in->data, p, (guint)left);
            chunk->at = chunk->n;
            if (in->data->len > PASTE_MAX_BYTES)
                end_run(in);
        } else {
            chunk->at += one_byte(in, *p);
        }
    }
}

static void decode_replay(Input *in)
{
    in->may_run = false;
    decode(in, &in->replay, false);
    if (in->replay.at == in->replay.n) {
        g_clear_pointer(&in->replay.bytes, g_free);
        in->replay.n = in->replay.at = 0;
    }
}

static void decode_chunk(Input *in)
{
    Chunk *chunk = g_queue_peek_head(&in->chunks);
    if (chunk->at == 0) {
        tick(in, chunk->time_us);
        if (in->out != NULL || in->replay.bytes != NULL)
            return;
        in->last_us = chunk->time_us;
        in->may_run = true;
    }
    decode(in, chunk, true);
    if (chunk->at == chunk->n)
        chunk_free(g_queue_pop_head(&in->chunks));
}

void input_feed(Input *in, const char *bytes, size_t n, int64_t now_us)
{
    if (n == 0)
        return;
    Chunk *chunk = g_new0(Chunk, 1);
    chunk->bytes = g_memdup2(bytes, n);
    chunk->n = n;
    chunk->time_us = now_us;
    g_queue_push_tail(&in->chunks, chunk);
}

InputEvent *input_take(Input *in, int64_t now_us)
{
    while (in->out == NULL) {
        if (in->replay.bytes != NULL) {
            decode_replay(in);
        } else if (!g_queue_is_empty(&in->chunks)) {
            decode_chunk(in);
        } else {
            tick(in, now_us);
            if (in->replay.bytes == NULL)
                break;
        }
    }
    return g_steal_pointer(&in->out);
}

int64_t input_deadline_us(const Input *in)
{
    if (in->out != NULL || in->replay.bytes != NULL || in->chunks.length > 0)
        return 0;
    const int64_t patience = patience_us(in);
    return patience < 0 ? -1 : in->last_us + patience;
}

bool input_pasting(const Input *in, size_t *bytes_out)
{
    const bool pasting = in->state == STATE_PASTE || in->state == STATE_OVERFLOW;
    if (bytes_out != NULL)
        *bytes_out = pasting ? in->data->len : 0;
    return pasting;
}
