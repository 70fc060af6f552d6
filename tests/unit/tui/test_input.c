#include "tui/input.h"

#include <string.h>
#include <time.h>

#define MS 1000
#define T0 1000000

typedef struct {
    Input *in;
    GHashTable *exists;
    int64_t now_us;
} Fixture;

static bool exists_in_set(const char *path, void *ctx)
{
    return g_hash_table_contains(ctx, path);
}

static void setup(Fixture *f, gconstpointer data)
{
    (void)data;
    f->in = input_new(NULL, "thishost");
    f->exists = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    f->now_us = T0;
    input_set_exists(f->in, exists_in_set, f->exists);
}

static void teardown(Fixture *f, gconstpointer data)
{
    (void)data;
    g_assert_null(input_take(f->in, f->now_us));
    input_free(f->in);
    g_hash_table_unref(f->exists);
}

static void feed(Fixture *f, const char *text)
{
    input_feed(f->in, text, strlen(text), f->now_us);
}

static void wait_us(Fixture *f, int64_t us)
{
    f->now_us += us;
}

static InputEvent *take(Fixture *f, InputKind kind)
{
    InputEvent *ev = input_take(f->in, f->now_us);
    g_assert_nonnull(ev);
    g_assert_cmpint(ev->kind, ==, kind);
    return ev;
}

static void expect_none(Fixture *f)
{
    g_assert_null(input_take(f->in, f->now_us));
}

static void expect_key(Fixture *f, uint32_t key, unsigned mods)
{
    InputEvent *ev = take(f, INPUT_KEY);
    g_assert_cmphex(ev->key, ==, key);
    g_assert_cmpuint(ev->mods, ==, mods);
    input_event_free(ev);
}

static void expect_keys(Fixture *f, const char *ascii)
{
    for (; *ascii != '\0'; ascii++)
        expect_key(f, (unsigned char)*ascii, 0);
}

static void expect_paste(Fixture *f, const char *text, bool unterminated)
{
    InputEvent *ev = take(f, INPUT_PASTE);
    g_assert_cmpmem(ev->text, ev->bytes, text, strlen(text));
    g_assert_cmpint(ev->unterminated, ==, unterminated);
    input_event_free(ev);
}

static void expect_reply(Fixture *f, const char *text)
{
    InputEvent *ev = take(f, INPUT_REPLY);
    g_assert_cmpmem(ev->text, ev->bytes, text, strlen(text));
    input_event_free(ev);
}

/* ------------------------------------------------------------------ keys */

static const struct {
    const char *bytes;
    uint32_t key;
    unsigned mods;
} keys[] = {
    { "a", 'a', 0 },
    { "A", 'A', 0 },
    { "\r", '\r', 0 },
    { "\t", '\t', 0 },
    { "\x7f", 127, 0 },
    { "\x03", 3, 0 },
    { "\x1a", 26, 0 },
    { "\xc3\xa9", 0xe9, 0 },
    { "\xe5\x86\x99", 0x5199, 0 },
    { "\xf0\x9f\x91\xa8", 0x1f468, 0 },
    { "\033[A", KEY_UP_, 0 },
    { "\033OA", KEY_UP_, 0 },
    { "\033[B", KEY_DOWN_, 0 },
    { "\033[C", KEY_RIGHT_, 0 },
    { "\033[D", KEY_LEFT_, 0 },
    { "\033[H", KEY_HOME_, 0 },
    { "\033OF", KEY_END_, 0 },
    { "\033[1~", KEY_HOME_, 0 },
    { "\033[2~", KEY_INSERT_, 0 },
    { "\033[3~", KEY_DELETE_, 0 },
    { "\033[5~", KEY_PGUP_, 0 },
    { "\033[6~", KEY_PGDN_, 0 },
    { "\033[Z", KEY_BACKTAB_, 0 },
    { "\033OP", KEY_F1_, 0 },
    { "\033[11~", KEY_F1_, 0 },
    { "\033[[A", KEY_F1_, 0 },
    { "\033[[E", KEY_F1_ + 4, 0 },
    { "\033[15~", KEY_F1_ + 4, 0 },
    { "\033[24~", KEY_F12_, 0 },
    { "\033OM", '\r', 0 },
    { "\033Ok", '+', 0 },
    { "\033Op", '0', 0 },
    { "\xc2\x9b"
      "A",
      KEY_UP_, 0 },
    { "\033[1;2A", KEY_UP_, MOD_SHIFT },
    { "\033[1;5C", KEY_RIGHT_, MOD_CTRL },
    { "\033[1;3D", KEY_LEFT_, MOD_ALT },
    { "\033[3;5~", KEY_DELETE_, MOD_CTRL },
    { "\033[1;5P", KEY_F1_, MOD_CTRL },
    { "\033x", 'x', MOD_ALT },
    { "\033\xc3\xa9", 0xe9, MOD_ALT },
    { "\033\r", '\r', MOD_ALT },
    { "\033[27u", 27, 0 },
    { "\033[27;1;65u", 27, 0 },
    { "\033[97;5u", 1, 0 },
    { "\033[99;5u", 3, 0 },
    { "\033[122;5:1u", 26, 0 },
    { "\033[97;3u", 'a', MOD_ALT },
    { "\033[97;2u", 'A', 0 },
    { "\033[49:33;2u", '!', 0 },
    { "\033[97;65u", 'a', 0 },
    { "\033[9;2u", KEY_BACKTAB_, 0 },
    { "\033[13;2u", '\r', MOD_SHIFT },
    { "\033[127u", 127, 0 },
    { "\033[57414u", '\r', 0 },
    { "\033[57426u", KEY_DELETE_, 0 },
    { "\033[57419;2:1u", KEY_UP_, MOD_SHIFT },
    { "\033[27;5;105~", 9, 0 },
    { "\033[27;2;9~", KEY_BACKTAB_, 0 },
};

static void test_keys(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
        const size_t n = strlen(keys[i].bytes);
        for (size_t cut = 1; cut <= n; cut++) { /* whole, and cut in two reads 10 ms apart */
            Fixture f;
            setup(&f, NULL);
            input_feed(f.in, keys[i].bytes, cut, f.now_us);
            if (cut < n) {
                expect_none(&f);
                wait_us(&f, 10 * MS);
                feed(&f, keys[i].bytes + cut);
            }
            g_test_message("key %u cut at %zu", i, cut);
            expect_key(&f, keys[i].key, keys[i].mods);
            g_assert_cmpint(input_deadline_us(f.in), ==, -1);
            teardown(&f, NULL);
        }
    }
}

static void test_nothing(void)
{
    static const char *const silent[] = {
        "\033[97;1:3u",                 /* released */
        "\033[1;1:3A",   "\033[113;9u", /* Super-q */
        "\033[1;9A",     "\033[57441u", /* left Shift alone */
        "\033[<0;3;4m",                 /* button up */
        "\033[<35;3;4M",                /* motion */
        "\033[M#!!",                    /* old form, button up */
        "\033[201~",                    /* end mark of nothing */
        "\033[0u",       "\033[55296u", "\033[4294967295u",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(silent); i++) {
        Fixture f;
        setup(&f, NULL);
        feed(&f, silent[i]);
        g_test_message("%u", i);
        expect_none(&f);
        feed(&f, "x");
        expect_key(&f, 'x', 0);
        teardown(&f, NULL);
    }
}

static void test_ctrl_space(Fixture *f, gconstpointer data)
{
    (void)data;
    input_feed(f->in, "\0", 1, f->now_us);
    expect_key(f, ' ', MOD_CTRL);
    feed(f, "\033[32;5u");
    expect_key(f, ' ', MOD_CTRL);
}

static void test_lone_escape(Fixture *f, gconstpointer data)
{
    (void)data;
    feed(f, "\033");
    expect_none(f);
    g_assert_cmpint(input_deadline_us(f->in), ==, T0 + 50 * MS);
    wait_us(f, 49 * MS);
    expect_none(f);
    wait_us(f, 1 * MS);
    expect_key(f, 27, 0);
    g_assert_cmpint(input_deadline_us(f->in), ==, -1);

    feed(f, "\033"); /* what comes too late is no part of it, though nobody asked in between */
    wait_us(f, 60 * MS);
    feed(f, "x");
    expect_key(f, 27, 0);
    expect_key(f, 'x', 0);

    feed(f, "\033\033[A");
    expect_key(f, 27, 0);
    expect_key(f, KEY_UP_, 0);
}

static void test_alt_bracket(Fixture *f, gconstpointer data)
{
    (void)data;
    static const char introducers[] = "[O]P_^X";
    for (const char *p = introducers; *p != '\0'; p++) {
        const char bytes[] = { 27, *p, 0 };
        feed(f, bytes);
        expect_none(f);
        wait_us(f, 1000 * MS);
        expect_key(f, (unsigned char)*p, MOD_ALT);
    }
    feed(f, "\033[12;"); /* half a sequence is forgotten, not typed */
    wait_us(f, 1000 * MS);
    expect_none(f);
    feed(f, "3");
    expect_key(f, '3', 0);
}

static void test_invalid_utf8(Fixture *f, gconstpointer data)
{
    (void)data;
    feed(f, "\xff"
            "a\xc3"
            "b\xe5\x86\033[A\xed\xa0\x80"
            "c\xf8"
            "d\x80");
    expect_key(f, 0xfffd, 0);
    expect_key(f, 'a', 0);
    expect_key(f, 0xfffd, 0);
    expect_key(f, 'b', 0);
    expect_key(f, 0xfffd, 0);
    expect_key(f, KEY_UP_, 0);
    expect_key(f, 0xfffd, 0);
    expect_key(f, 'c', 0);
    expect_key(f, 0xfffd, 0);
    expect_key(f, 'd', 0);
    expect_key(f, 0xfffd, 0);
    feed(f, "\xe5\x86");
    expect_none(f);
    wait_us(f, 50 * MS);
    expect_key(f, 0xfffd, 0);
}

/* ------------------------------------------------------------------ mouse, focus, replies */

static void expect_mouse(Fixture *f, int button, int x, int y)
{
    InputEvent *ev = take(f, INPUT_MOUSE);
    g_assert_cmpint(ev->button, ==, button);
    g_assert_cmpint(ev->x, ==, x);
    g_assert_cmpint(ev->y, ==, y);
    input_event_free(ev);
}

static void test_mouse(Fixture *f, gconstpointer data)
{
    (void)data;
    feed(f, "\033[<0;1;1M\033[<0;1;1m\033[<64;120;40M\033[<20;300;2M\033[M !!\033[<0;0;1Mx");
    expect_mouse(f, 0, 0, 0);
    expect_mouse(f, 64, 119, 39);
    expect_mouse(f, 20, 299, 1);
    expect_mouse(f, 0, 0, 0);
    expect_key(f, 'x', 0);
}

static void test_focus(Fixture *f, gconstpointer data)
{
    (void)data;
    feed(f, "\033[I\033[O");
    for (int i = 0; i < 2; i++) {
        InputEvent *ev = take(f, INPUT_FOCUS);
        g_assert_cmpint(ev->focused, ==, i == 0);
        input_event_free(ev);
    }
}

static void test_replies(void)
{
    static const char *const replies[] = {
        "\033[?62;22c",
        "\033[>1;7600;0c",
        "\033[?2026;2$y",
        "\033[?1u",
        "\033[24;80R",
        "\033[8;24;80t",
        "\033[99~",
        "\033]11;rgb:1e1e/1e1e/1e1e\033\\",
        "\033]11;rgb:0/0/0\a",
        "\033P>|kitty(0.32.2)\033\\",
        "\033_Gi=31;OK\033\\",
        "\033]72;t=m:x=1:y=2;text/uri-list\033\\",
        "\302\23511;x\302\234",
        "\033]\033\\",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(replies); i++) {
        const size_t n = strlen(replies[i]);
        for (size_t cut = 1; cut <= n; cut++) {
            Fixture f;
            setup(&f, NULL);
            input_feed(f.in, replies[i], cut, f.now_us);
            wait_us(&f, 10 * MS);
            feed(&f, replies[i] + cut);
            feed(&f, "x");
            expect_reply(&f, replies[i]);
            expect_key(&f, 'x', 0);
            teardown(&f, NULL);
        }
    }
}

static void test_cut_off_sequences(Fixture *f, gconstpointer data)
{
    (void)data;
    feed(f, "\033]11;rgb\033[A"); /* a string that never ended */
    expect_key(f, KEY_UP_, 0);
    feed(f, "\033P>|x\x18q"); /* CAN */
    expect_key(f, 'q', 0);
    feed(f, "\033[12\033[B");
    expect_key(f, KEY_DOWN_, 0);
    feed(f, "\033[12\rx");
    expect_keys(f, "\rx");
    feed(f, "\033O\033[A");
    expect_key(f, KEY_UP_, 0);
    feed(f, "\033]never ended");
    wait_us(f, 999 * MS);
    expect_none(f);
    wait_us(f, 1 * MS);
    expect_none(f);
    feed(f, "q");
    expect_key(f, 'q', 0);
}

static void test_long_sequences(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autofree char *digits = g_strnfill(100000, '1');
    g_autofree char *csi = g_strconcat("\033[", digits, "~x", NULL);
    g_autofree char *osc = g_strconcat("\033]", digits, "\033\\y", NULL);
    g_autofree char *params = g_strnfill(3000, ';');
    g_autofree char *many = g_strconcat("\033[", params, "A", NULL);
    feed(f, csi);
    expect_key(f, 'x', 0);
    feed(f, osc);
    expect_key(f, 'y', 0);
    feed(f, many);
    expect_key(f, KEY_UP_, 0);
}

/* ------------------------------------------------------------------ pastes */

static void test_paste(Fixture *f, gconstpointer data)
{
    (void)data;
    feed(f, "j\033[200~q\033[A\r\n\x03\xff\033[20x\033[201~k");
    expect_key(f, 'j', 0);
    expect_paste(f, "q\033[A\r\n\x03\xff\033[20x", false);
    expect_key(f, 'k', 0);
    feed(f, "\033[200~\033[201~\033[200~b\033[201~");
    expect_paste(f, "", false);
    expect_paste(f, "b", false);
    feed(f, "\xc2\x9b"
            "200~c1\xc2\x9b"
            "201~");
    expect_paste(f, "c1", false);
    feed(f, "\033[200~\033\033[201~");
    expect_paste(f, "\033", false);
}

static void test_paste_cut_anywhere(void)
{
    static const char all[] = "\033[200~a\033[201b\033\033[201~k";
    for (size_t cut = 1; cut < sizeof all - 1; cut++) {
        Fixture f;
        setup(&f, NULL);
        input_feed(f.in, all, cut, f.now_us);
        wait_us(&f, 10 * MS);
        feed(&f, all + cut);
        expect_paste(&f, "a\033[201b\033", false);
        expect_key(&f, 'k', 0);
        teardown(&f, NULL);
    }
}

static void test_paste_progress(Fixture *f, gconstpointer data)
{
    (void)data;
    size_t bytes = 1;
    g_assert_false(input_pasting(f->in, &bytes));
    g_assert_cmpuint(bytes, ==, 0);
    feed(f, "\033[200~12345");
    expect_none(f);
    g_assert_true(input_pasting(f->in, &bytes));
    g_assert_cmpuint(bytes, ==, 5);
    feed(f, "\033[201~");
    expect_paste(f, "12345", false);
    g_assert_false(input_pasting(f->in, NULL));
}

static void test_paste_unterminated(Fixture *f, gconstpointer data)
{
    (void)data;
    feed(f, "\033[200~abc");
    expect_none(f);
    wait_us(f, 1900 * MS);
    feed(f, "def\033[2"); /* every byte starts the two seconds anew */
    expect_none(f);
    g_assert_cmpint(input_deadline_us(f->in), ==, f->now_us + 2000 * MS);
    wait_us(f, 2000 * MS);
    expect_paste(f, "abcdef", true);
    feed(f, "q\033[201~w"); /* keys work again, the late mark is swallowed */
    expect_keys(f, "qw");
}

static void test_paste_limit(Fixture *f, gconstpointer data)
{
    (void)data;
    const size_t limit = 8 * 1024 * 1024;
    g_autofree char *block = g_strnfill(65536, 'q');
    feed(f, "\033[200~");
    for (size_t sent = 0; sent < limit; sent += 65536)
        feed(f, block);
    expect_none(f);
    feed(f, "\033[201~");
    InputEvent *ev = take(f, INPUT_PASTE);
    g_assert_cmpuint(ev->bytes, ==, limit);
    g_assert_false(ev->unterminated);
    input_event_free(ev);

    feed(f, "\033[200~");
    for (size_t sent = 0; sent < 2 * limit; sent += 65536)
        feed(f, block);
    ev = take(f, INPUT_PASTE);
    g_assert_cmpuint(ev->bytes, ==, limit);
    g_assert_true(ev->unterminated);
    input_event_free(ev);
    expect_none(f); /* the second half is no typing */
    feed(f, "\033[201~x");
    expect_key(f, 'x', 0);
}

/* ------------------------------------------------------------------ drops without marks */

static void add_file(Fixture *f, const char *path)
{
    g_hash_table_add(f->exists, g_strdup(path));
}

static void test_drop_run(Fixture *f, gconstpointer data)
{
    (void)data;
    add_file(f, "/srv/a b");
    feed(f, "/srv/a b ");
    expect_none(f);
    g_assert_cmpint(input_deadline_us(f->in), ==, T0 + 30 * MS);
    wait_us(f, 30 * MS);
    expect_paste(f, "/srv/a b ", false);
    feed(f, "'/srv/a b' ");
    feed(f, "j"); /* a key within the gap spoils it: shown as keys, nothing is queued by accident */
    wait_us(f, 31 * MS);
    expect_keys(f, "'/srv/a b' j");
    feed(f, "'/srv/a b' ");
    wait_us(f, 31 * MS);
    feed(f, "j");
    expect_paste(f, "'/srv/a b' ", false);
    expect_key(f, 'j', 0);
}

static void test_drop_run_partly_there(Fixture *f, gconstpointer data)
{
    (void)data;
    add_file(f, "/srv/a");
    feed(f, "'/srv/a' '/srv/quit' "); /* an x or q of it must not become a key */
    wait_us(f, 30 * MS);
    expect_paste(f, "'/srv/a' '/srv/quit' ", false);
}

static void test_drop_run_is_typing(Fixture *f, gconstpointer data)
{
    (void)data;
    feed(f, "/"); /* the search key: held for the gap of a paste only */
    expect_none(f);
    g_assert_cmpint(input_deadline_us(f->in), ==, T0 + 5 * MS);
    wait_us(f, 5 * MS);
    expect_key(f, '/', 0);
    feed(f, "f");
    wait_us(f, 5 * MS);
    expect_key(f, 'f', 0);
    feed(f, "/srv/none\r\xc3\xa9\033[A");
    wait_us(f, 30 * MS);
    expect_keys(f, "/srv/none\r");
    expect_key(f, 0xe9, 0);
    expect_key(f, KEY_UP_, 0);
    feed(f, "'\033");
    wait_us(f, 60 * MS);
    expect_key(f, '\'', 0);
    expect_key(f, 27, 0);
    feed(f, "$'");
    input_feed(f->in, "\0z", 2, f->now_us);
    wait_us(f, 60 * MS);
    expect_keys(f, "$'");
    expect_key(f, ' ', MOD_CTRL);
    expect_key(f, 'z', 0);
}

static void test_drop_run_and_reports(Fixture *f, gconstpointer data)
{
    (void)data;
    add_file(f, "/srv/a");
    feed(f, "\033[I'/srv/a' \033[O"); /* the window gets the focus with the drop, and loses it */
    InputEvent *ev = take(f, INPUT_FOCUS);
    g_assert_true(ev->focused);
    input_event_free(ev);
    expect_none(f);
    wait_us(f, 30 * MS);
    expect_paste(f, "'/srv/a' ", false);
    ev = take(f, INPUT_FOCUS);
    g_assert_false(ev->focused);
    input_event_free(ev);

    feed(f, "/\033[200~text\033[201~");
    wait_us(f, 30 * MS);
    expect_key(f, '/', 0);
    expect_paste(f, "text", false);

    feed(f, "/\033[200~te"); /* the replay ends inside a paste */
    wait_us(f, 30 * MS);
    expect_key(f, '/', 0);
    expect_none(f);
    wait_us(f, 5 * MS);
    feed(f, "xt\033[201~");
    expect_paste(f, "text", false);
}

/* ------------------------------------------------------------------ size */

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static unsigned drain(Fixture *f)
{
    unsigned n = 0;
    wait_us(f, 5000 * MS);
    for (InputEvent *ev; (ev = input_take(f->in, f->now_us)) != NULL; input_event_free(ev))
        n++;
    return n;
}

static double cost(const char *unit, size_t bytes, unsigned *events_out)
{
    Fixture f;
    setup(&f, NULL);
    g_autoptr(GString) all = g_string_sized_new(bytes + 64);
    while (all->len < bytes)
        g_string_append(all, unit);
    const double start = seconds();
    for (size_t at = 0; at < all->len; at += 65536)
        input_feed(f.in, all->str + at, MIN(65536, all->len - at), f.now_us);
    *events_out = drain(&f);
    const double spent = seconds() - start;
    teardown(&f, NULL);
    return spent;
}

static void test_linear(void)
{
    static const char *const units[] = {
        "q",
        "\033",
        "\033[",
        "\033]",
        "\033[A",
        "\033[200~x\033[201~",
        "/a ",
        "'/a' ",
        "/a\033[I",
        "\033[200~\033[20",
        "\033]x\033[1;",
        "\xc3",
        "/ ",
        "file:///a%20b\n",
        "'a\\",
        "\"",
        "\033[<0;1;1M",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(units); i++) {
        unsigned few, many;
        cost(units[i], 40000, &few);
        const double once = cost(units[i], 100000, &few), eight = cost(units[i], 800000, &many);
        g_test_message("%u: 100 kB %.1f ms, 800 kB %.1f ms, %u events", i, once * 1e3, eight * 1e3, many);
        g_assert_cmpfloat(eight, <, once * 24 + 0.05);
    }
}

static void test_paste_100_kb(Fixture *f, gconstpointer data)
{
    (void)data;
    g_autoptr(GString) paste = g_string_new("\033[200~");
    while (paste->len < 105000)
        g_string_append_printf(paste, "'/srv/in/IMG %zu.jpg' ", paste->len);
    g_string_append(paste, "\033[201~jj");
    const double start = seconds();
    for (size_t at = 0; at < paste->len; at += 1024)
        input_feed(f->in, paste->str + at, MIN(1024, paste->len - at), f->now_us);
    InputEvent *ev = take(f, INPUT_PASTE);
    g_assert_cmpmem(ev->text, ev->bytes, paste->str + 6, paste->len - 14);
    input_event_free(ev);
    g_assert_cmpfloat(seconds() - start, <, 0.1);
    expect_keys(f, "jj");
}

static void test_noise(void)
{
    for (unsigned round = 0; round < 300; round++) {
        Fixture f;
        setup(&f, NULL);
        char bytes[2000];
        static const char spice[] = "\033[]OP;~u/'\"\x9b\xc2M<0123456789mAR?$\a\\";
        for (unsigned i = 0; i < sizeof bytes; i++)
            bytes[i] = g_test_rand_int_range(0, 3) ? spice[g_test_rand_int_range(0, sizeof spice)] : (char)g_test_rand_int_range(0, 256);
        for (unsigned at = 0; at < sizeof bytes;) {
            const unsigned wanted = (unsigned)g_test_rand_int_range(1, 200), n = MIN(wanted, (unsigned)sizeof bytes - at);
            input_feed(f.in, bytes + at, n, f.now_us);
            at += n;
            wait_us(&f, g_test_rand_int_range(0, 60) * MS);
        }
        g_assert_cmpuint(drain(&f), <=, sizeof bytes);
        g_assert_cmpint(input_deadline_us(f.in), ==, -1);
        teardown(&f, NULL);
    }
}

static void test_empty_feed(Fixture *f, gconstpointer data)
{
    (void)data;
    input_feed(f->in, "", 0, f->now_us);
    expect_none(f);
    g_assert_cmpint(input_deadline_us(f->in), ==, -1);
    input_free(NULL);
    input_event_free(NULL);
}

#define ADD(path, fn) g_test_add(path, Fixture, NULL, setup, fn, teardown)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/input/keys", test_keys);
    g_test_add_func("/input/no-event", test_nothing);
    ADD("/input/ctrl-space", test_ctrl_space);
    ADD("/input/lone-escape", test_lone_escape);
    ADD("/input/alt-bracket", test_alt_bracket);
    ADD("/input/invalid-utf8", test_invalid_utf8);
    ADD("/input/mouse", test_mouse);
    ADD("/input/focus", test_focus);
    g_test_add_func("/input/replies", test_replies);
    ADD("/input/cut-off-sequences", test_cut_off_sequences);
    ADD("/input/long-sequences", test_long_sequences);
    ADD("/input/paste", test_paste);
    g_test_add_func("/input/paste-cut-anywhere", test_paste_cut_anywhere);
    ADD("/input/paste-progress", test_paste_progress);
    ADD("/input/paste-unterminated", test_paste_unterminated);
    ADD("/input/paste-limit", test_paste_limit);
    ADD("/input/paste-100-kb", test_paste_100_kb);
    ADD("/input/drop-run", test_drop_run);
    ADD("/input/drop-run-partly-there", test_drop_run_partly_there);
    ADD("/input/drop-run-is-typing", test_drop_run_is_typing);
    ADD("/input/drop-run-and-reports", test_drop_run_and_reports);
    ADD("/input/empty-feed", test_empty_feed);
    g_test_add_func("/input/linear", test_linear);
    g_test_add_func("/input/noise", test_noise);
    return g_test_run();
}
