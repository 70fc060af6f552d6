#include "hoist.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>

/* A terminal gives no hint how it quoted the names: every reading below is tried, and the files that exist decide. */

#define DROP_MAX_PATHS 100000 /* of one payload; more is no drop by hand */
#define DROP_MAX_TESTS 400000 /* existence tests of one payload, all readings together */

typedef struct {
    HoistExists exists;
    void *ctx;
    const char *host;
    GHashTable *memo; /* char* -> char*: the spelling that exists, or "" */
    unsigned tests_left;
} Drop;

typedef struct {
    GPtrArray *paths; /* of char*, absolute; NULL = the payload cannot be read this way */
    GArray *found;    /* of bool */
    unsigned n_found;
} Reading;

typedef enum { READ_URIS, READ_SH, READ_SQ, READ_DQ, READ_SP, READ_GR, READ_NL, READ_RAW, N_READINGS } ReadingKind;

static void reading_clear(Reading *r)
{
    g_clear_pointer(&r->paths, g_ptr_array_unref);
    g_clear_pointer(&r->found, g_array_unref);
    r->n_found = 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_path_start(const char *p, const char *end)
{
    return p < end && (*p == '/' || (end - p >= 5 && g_ascii_strncasecmp(p, "file:", 5) == 0));
}

/* ------------------------------------------------------------------ existence */

static bool exists_lstat(const char *path, void *ctx)
{
    (void)ctx;
    struct stat st;
    return lstat(path, &st) == 0;
}

static bool drop_test(Drop *d, const char *path)
{
    if (d->tests_left == 0 || strlen(path) >= PATH_MAX)
        return false;
    d->tests_left--;
    return d->exists(path, d->ctx);
}

/* Undoes what terminals do to control bytes in a name: CR for LF, \' for ', control pictures U+2400.. for C0 and DEL. */
enum { UNDO_CR = 1, UNDO_QUOTE = 2, UNDO_PICTURES = 4 };

static char *undo(const char *path, unsigned what)
{
    GString *out = g_string_sized_new(strlen(path));
    for (const char *p = path; *p != '\0'; p++) {
        const unsigned char *u = (const unsigned char *)p;
        const bool picture = u[0] == 0xe2 && u[1] == 0x90 && ((u[2] > 0x80 && u[2] <= 0x9f) || u[2] == 0xa1);
        if ((what & UNDO_CR) && *p == '\r') {
            g_string_append_c(out, '\n');
        } else if ((what & UNDO_QUOTE) && p[0] == '\\' && p[1] == '\'') {
            g_string_append_c(out, '\'');
            p++;
        } else if ((what & UNDO_PICTURES) && picture) {
            g_string_append_c(out, u[2] == 0xa1 ? 0x7f : (char)(u[2] - 0x80));
            p += 2;
        } else {
            g_string_append_c(out, *p);
        }
    }
    return g_string_free(out, FALSE);
}

static char *find_spelling(Drop *d, const char *path)
{
    static const unsigned tries[] = { UNDO_CR, UNDO_QUOTE, UNDO_PICTURES, UNDO_CR | UNDO_PICTURES };
    if (drop_test(d, path))
        return g_strdup(path);
    for (unsigned i = 0; i < G_N_ELEMENTS(tries); i++) {
        g_autofree char *other = undo(path, tries[i]);
        if (!g_str_equal(other, path) && drop_test(d, other))
            return g_steal_pointer(&other);
    }
    const size_t length = strlen(path);
    if (length > 1 && path[length - 1] == '/') {
        g_autofree char *other = g_strndup(path, length - 1);
        if (drop_test(d, other))
            return g_steal_pointer(&other);
    }
    return g_strdup("");
}

/* The path as it is spelled on the disk, or NULL; borrowed from the memo. */
static const char *drop_find(Drop *d, const char *path)
{
    const char *known = g_hash_table_lookup(d->memo, path);
    if (known == NULL) {
        char *spelling = find_spelling(d, path);
        g_hash_table_insert(d->memo, g_strdup(path), spelling);
        known = spelling;
    }
    return *known == '\0' ? NULL : known;
}

/* ------------------------------------------------------------------ words */

/* file:[//host]/path -> /path; NULL when it is another host's, has a line end, a broken escape or a NUL. */
static char *path_from_uri(const Drop *d, const char *uri)
{
    const char *p = uri + strlen("file:");
    if (g_str_has_prefix(p, "//")) {
        p += 2;
        const size_t host_length = strcspn(p, "/");
        const bool here = host_length == 0 || (host_length == 9 && g_ascii_strncasecmp(p, "localhost", 9) == 0) ||
                          (d->host != NULL && host_length == strlen(d->host) && g_ascii_strncasecmp(p, d->host, host_length) == 0);
        if (!here)
            return NULL;
        p += host_length;
    }
    return *p == '/' && strpbrk(p, "\r\n") == NULL ? g_uri_unescape_string(p, NULL) : NULL;
}

/* A word or piece -> absolute path; NULL when it is none. */
static char *path_from_word(const Drop *d, const char *word)
{
    if (*word == '/')
        return g_strdup(word);
    return is_path_start(word, word + strlen(word)) ? path_from_uri(d, word) : NULL;
}

static void reading_add(Drop *d, Reading *r, const char *path)
{
    const char *spelling = drop_find(d, path);
    const bool found = spelling != NULL;
    g_ptr_array_add(r->paths, g_strdup(found ? spelling : path));
    g_array_append_val(r->found, found);
    r->n_found += found;
}

static void reading_init(Reading *r)
{
    r->paths = g_ptr_array_new_with_free_func(g_free);
    r->found = g_array_new(FALSE, FALSE, sizeof(bool));
}

/* All words are absolute paths, or the reading fails. */
static void reading_from_words(Drop *d, GPtrArray *words, Reading *r)
{
    const unsigned first = words->len > 0 && g_str_equal(words->pdata[0], "&") ? 1 : 0; /* PowerShell's call operator */
    if (words->len == first || words->len > DROP_MAX_PATHS)
        return;
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    for (unsigned i = first; i < words->len; i++) {
        char *path = path_from_word(d, words->pdata[i]);
        if (path == NULL)
            return;
        g_ptr_array_add(paths, path);
    }
    reading_init(r);
    for (unsigned i = 0; i < paths->len; i++)
        reading_add(d, r, paths->pdata[i]);
}

/* ------------------------------------------------------------------ readings that quote */

typedef struct {
    const char *p, *end;
    GString *word;
} Lexer;

static bool lex_single(Lexer *lx, bool escapes)
{
    for (; lx->p < lx->end; lx->p++) {
        if (*lx->p == '\'') {
            lx->p++;
            return true;
        }
        if (escapes && *lx->p == '\\' && lx->p + 1 < lx->end && (lx->p[1] == '\'' || lx->p[1] == '\\'))
            lx->p++;
        g_string_append_c(lx->word, *lx->p);
    }
    return false;
}

static bool lex_double(Lexer *lx, bool c_escapes)
{
    for (; lx->p < lx->end; lx->p++) {
        if (*lx->p == '"') {
            lx->p++;
            return true;
        }
        char c = *lx->p;
        if (c == '\\' && lx->p + 1 < lx->end) {
            const char next = lx->p[1];
            if (strchr("\"\\$`!", next) != NULL)
                c = *++lx->p;
            else if (c_escapes && strchr("nrt", next) != NULL) {
                c = next == 'n' ? '\n' : next == 'r' ? '\r' : '\t';
                lx->p++;
            }
        }
        g_string_append_c(lx->word, c);
    }
    return false;
}

/* Behind the backslash of $'...': at least one byte is there. False for a NUL. */
static bool lex_ansi_escape(Lexer *lx)
{
    static const char letters[] = "abefnrtv", values[] = "\a\b\033\f\n\r\t\v";
    const char *letter = strchr(letters, *lx->p);
    unsigned value = 0, digits = 0;
    if (*lx->p == 'x' && lx->p + 1 < lx->end && g_ascii_isxdigit(lx->p[1])) {
        for (lx->p++; lx->p < lx->end && digits < 2 && g_ascii_isxdigit(*lx->p); digits++)
            value = value * 16 + (unsigned)g_ascii_xdigit_value(*lx->p++);
    } else if (*lx->p >= '0' && *lx->p <= '7') {
        for (; lx->p < lx->end && digits < 3 && *lx->p >= '0' && *lx->p <= '7'; digits++)
            value = value * 8 + (unsigned)(*lx->p++ - '0');
    } else {
        value = (unsigned char)(letter != NULL ? values[letter - letters] : *lx->p);
        lx->p++;
    }
    g_string_append_c(lx->word, (char)value);
    return (value & 0xff) != 0;
}

static bool lex_ansi(Lexer *lx)
{
    while (lx->p < lx->end) {
        const char c = *lx->p++;
        if (c == '\'')
            return true;
        if (c != '\\')
            g_string_append_c(lx->word, c);
        else if (lx->p == lx->end || !lex_ansi_escape(lx))
            return false;
    }
    return false;
}

static bool lex_word(Lexer *lx, ReadingKind kind)
{
    while (lx->p < lx->end && !is_space(*lx->p)) {
        const char c = *lx->p++;
        if (c == '\'') {
            if (!lex_single(lx, kind == READ_SQ))
                return false;
        } else if (c == '"') {
            if (!lex_double(lx, kind == READ_DQ))
                return false;
        } else if (c == '$' && lx->p < lx->end && *lx->p == '\'') {
            lx->p++;
            if (!lex_ansi(lx))
                return false;
        } else if (c == '\\') {
            if (lx->p == lx->end)
                return false;
            g_string_append_c(lx->word, *lx->p++);
        } else {
            g_string_append_c(lx->word, c);
        }
    }
    return true;
}

static bool split_shell(const char *s, size_t n, ReadingKind kind, GPtrArray *words)
{
    g_autoptr(GString) word = g_string_new(NULL);
    Lexer lx = { s, s + n, word };
    for (;;) {
        while (lx.p < lx.end && is_space(*lx.p))
            lx.p++;
        if (lx.p == lx.end)
            return true;
        g_string_truncate(word, 0);
        if (!lex_word(&lx, kind) || words->len >= DROP_MAX_PATHS)
            return false;
        g_ptr_array_add(words, g_strndup(word->str, word->len));
    }
}

/* WezTerm's default: only "\ " is an escape; every blank before a path start cuts. */
static bool split_spaces(const char *s, size_t n, GPtrArray *words)
{
    const char *end = s + n;
    while (end > s && is_space(end[-1]) && (end - s < 2 || end[-2] != '\\'))
        end--;
    g_autoptr(GString) word = g_string_new(NULL);
    for (const char *p = s; p < end; p++) {
        if (*p == '\\' && p + 1 < end && p[1] == ' ') {
            g_string_append_c(word, *++p);
        } else if ((*p == ' ' || *p == '\r' || *p == '\n') && is_path_start(p + 1, end)) {
            if (words->len >= DROP_MAX_PATHS)
                return false;
            g_ptr_array_add(words, g_strndup(word->str, word->len));
            g_string_truncate(word, 0);
        } else {
            g_string_append_c(word, *p);
        }
    }
    g_ptr_array_add(words, g_strndup(word->str, word->len));
    return true;
}

/* Terminator: '...' with quotes inside left as they are; cut at "' '" before a path start. */
static bool split_greedy(const char *s, size_t n, GPtrArray *words)
{
    const char *end = s + n;
    while (end > s && is_space(end[-1]))
        end--;
    if (end - s < 3 || *s != '\'' || end[-1] != '\'')
        return false;
    end--;
    const char *start = s + 1;
    for (const char *p = start; p + 3 < end; p++) {
        if (memcmp(p, "' '", 3) != 0 || !is_path_start(p + 3, end))
            continue;
        if (words->len >= DROP_MAX_PATHS)
            return false;
        g_ptr_array_add(words, g_strndup(start, (gsize)(p - start)));
        start = p + 3;
        p += 2;
    }
    g_ptr_array_add(words, g_strndup(start, (gsize)(end - start)));
    return true;
}

/* text/uri-list, RFC 2483: lines of file: URIs, comments begin with '#'. */
static bool split_uris(const char *s, size_t n, GPtrArray *words)
{
    const char *end = s + n;
    for (const char *p = s; p < end;) {
        const char *eol = p;
        while (eol < end && *eol != '\r' && *eol != '\n')
            eol++;
        if (eol > p && *p != '#') {
            if (*p == '/' || !is_path_start(p, eol) || words->len >= DROP_MAX_PATHS)
                return false;
            g_ptr_array_add(words, g_strndup(p, (gsize)(eol - p)));
        }
        p = eol + 1;
    }
    return words->len > 0;
}

/* ------------------------------------------------------------------ readings without quotes */

/* Offsets where a path may start: 0, then behind each separator that a path start follows. False when there are too many. */
static bool find_cuts(const char *s, size_t n, bool spaces, GArray *starts)
{
    size_t at = 0;
    if (!is_path_start(s, s + n))
        return false;
    g_array_append_val(starts, at);
    for (at = 1; at < n; at++) {
        const char sep = s[at - 1];
        if ((sep == '\n' || sep == '\r' || (spaces && sep == ' ')) && is_path_start(s + at, s + n)) {
            if (starts->len >= DROP_MAX_PATHS)
                return false;
            g_array_append_val(starts, at);
        }
    }
    return true;
}

static char *piece_path(const Drop *d, const char *s, size_t from, size_t to)
{
    g_autofree char *piece = g_strndup(s + from, to - from);
    return path_from_word(d, piece);
}

static bool piece_exists(Drop *d, const char *s, size_t from, size_t to)
{
    g_autofree char *path = piece_path(d, s, from, to);
    return path != NULL && drop_find(d, path) != NULL;
}

/* A name that holds a cut lies in a directory whose name ends where the cut is: without it nothing longer exists. */
static bool may_go_on(Drop *d, const char *s, size_t n, size_t from, size_t cut)
{
    if (cut - from >= PATH_MAX)
        return false;
    const char *slash = memchr(s + cut, '/', n - cut);
    return slash != NULL && piece_exists(d, s, from, (size_t)(slash - s));
}

/* The segmentation in which every piece exists, with the fewest pieces, the longest first: next_out[i] = cut where piece i ends. */
static bool segment(Drop *d, const char *s, size_t n, const GArray *starts, unsigned *next_out)
{
    const unsigned n_starts = starts->len;
    g_autofree unsigned *pieces = g_new(unsigned, n_starts + 1); /* G_MAXUINT = not possible */
    pieces[n_starts] = 0;
    for (unsigned i = n_starts; i-- > 0;) {
        const size_t from = g_array_index(starts, size_t, i);
        pieces[i] = G_MAXUINT;
        for (unsigned j = i + 1; j <= n_starts; j++) {
            const size_t cut = j < n_starts ? g_array_index(starts, size_t, j) : n;
            const size_t to = j < n_starts ? cut - 1 : n;
            if (pieces[j] != G_MAXUINT && pieces[j] + 1 <= pieces[i] && piece_exists(d, s, from, to)) {
                pieces[i] = pieces[j] + 1;
                next_out[i] = j;
            }
            if (j < n_starts && !may_go_on(d, s, n, from, cut))
                break;
        }
    }
    return pieces[0] != G_MAXUINT;
}

static void reading_from_cuts(Drop *d, const char *s, size_t n, const GArray *starts, const unsigned *next, Reading *r)
{
    reading_init(r);
    for (unsigned i = 0; i < starts->len;) {
        const unsigned j = next != NULL ? next[i] : i + 1;
        const size_t to = j < starts->len ? g_array_index(starts, size_t, j) - 1 : n;
        g_autofree char *path = piece_path(d, s, g_array_index(starts, size_t, i), to);
        if (path == NULL) {
            reading_clear(r);
            return;
        }
        reading_add(d, r, path);
        i = j;
    }
}

static void read_raw(Drop *d, const char *s, size_t n, bool spaces, Reading *r)
{
    size_t stripped = n;
    while (stripped > 0 && is_space(s[stripped - 1]))
        stripped--;
    const size_t one_less = n > 0 && is_space(s[n - 1]) && s[n - 1] != '\t' ? n - 1 : n;
    const size_t lengths[] = { n, one_less, stripped };
    g_autoptr(GArray) starts = g_array_new(FALSE, FALSE, sizeof(size_t));
    if (!find_cuts(s, stripped, spaces, starts))
        return;
    g_autofree unsigned *next = g_new0(unsigned, starts->len + 1);
    for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
        if ((i == 0 || lengths[i] != lengths[i - 1]) && segment(d, s, lengths[i], starts, next)) {
            reading_from_cuts(d, s, lengths[i], starts, next, r);
            return;
        }
    }
    reading_from_cuts(d, s, stripped, starts, NULL, r);
}

/* ------------------------------------------------------------------ choice */

static void read_as(Drop *d, const char *s, size_t n, ReadingKind kind, Reading *r)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
    bool ok = false;
    switch (kind) {
    case READ_URIS:
        ok = split_uris(s, n, words);
        break;
    case READ_SH:
    case READ_SQ:
    case READ_DQ:
        ok = split_shell(s, n, kind, words);
        break;
    case READ_SP:
        ok = split_spaces(s, n, words);
        break;
    case READ_GR:
        ok = split_greedy(s, n, words);
        break;
    case READ_NL:
    case READ_RAW:
        read_raw(d, s, n, kind == READ_RAW, r);
        break;
    case N_READINGS:
        break;
    }
    if (ok)
        reading_from_words(d, words, r);
}

static bool sends_raw_paths(const char *hint)
{
    return hint != NULL && (strstr(hint, "kitty") != NULL || strstr(hint, "alacritty") != NULL || strstr(hint, "foot") != NULL);
}

/* Nothing exists: the syntax alone says which reading the person is shown. */
static const Reading *by_syntax(const Reading *readings, const char *s, size_t n)
{
    bool quoted = false, lines = false;
    for (size_t i = 0; i < n; i++) {
        quoted |= s[i] == '\'' || s[i] == '"' || s[i] == '\\';
        lines |= (s[i] == '\n' || s[i] == '\r') && is_path_start(s + i + 1, s + n);
    }
    static const ReadingKind quoting[] = { READ_SH, READ_SQ, READ_GR };
    for (unsigned i = 0; quoted && i < G_N_ELEMENTS(quoting); i++)
        if (readings[quoting[i]].paths != NULL)
            return &readings[quoting[i]];
    if (readings[READ_URIS].paths != NULL)
        return &readings[READ_URIS];
    return &readings[lines ? READ_NL : READ_RAW];
}

/* The reading with every path found, else with the most, else by syntax; its paths are NULL when it is no drop. */
static const Reading *choose(Drop *d, const char *s, size_t n, bool raw_first, Reading *readings)
{
    static const ReadingKind orders[2][N_READINGS] = {
        { READ_URIS, READ_SH, READ_SQ, READ_DQ, READ_SP, READ_GR, READ_NL, READ_RAW },
        { READ_URIS, READ_NL, READ_RAW, READ_SH, READ_SQ, READ_DQ, READ_SP, READ_GR },
    };
    const Reading *best = NULL;
    for (unsigned i = 0; i < N_READINGS; i++) {
        Reading *r = &readings[orders[raw_first][i]];
        read_as(d, s, n, orders[raw_first][i], r);
        if (r->paths != NULL && r->n_found == r->paths->len)
            return r;
        if (r->n_found > 0 && (best == NULL || r->n_found > best->n_found))
            best = r;
    }
    return best != NULL ? best : by_syntax(readings, s, n);
}

HoistDropVerdict hoist_drop_read(const char *bytes, size_t n, const char *terminal_hint, const char *host, HoistExists exists, void *ctx,
                                 char ***paths_out, GArray **found_out)
{
    *paths_out = NULL;
    if (found_out != NULL)
        *found_out = NULL;
    if (n == 0 || memchr(bytes, '\0', n) != NULL)
        return HOIST_NOT_A_DROP;
    Drop d = { exists != NULL ? exists : exists_lstat, ctx, host, g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
               DROP_MAX_TESTS };
    Reading readings[N_READINGS] = { 0 };
    const Reading *r = choose(&d, bytes, n, sends_raw_paths(terminal_hint), readings);
    HoistDropVerdict verdict = HOIST_NOT_A_DROP;
    if (r->paths != NULL) {
        verdict = r->n_found == r->paths->len ? HOIST_DROP : HOIST_DROP_MISSING;
        *paths_out = g_new0(char *, r->paths->len + 1);
        for (unsigned i = 0; i < r->paths->len; i++)
            (*paths_out)[i] = g_steal_pointer(&r->paths->pdata[i]);
        if (found_out != NULL)
            *found_out = g_array_ref(r->found);
    }
    for (unsigned i = 0; i < N_READINGS; i++)
        reading_clear(&readings[i]);
    g_hash_table_unref(d.memo);
    return verdict;
}
