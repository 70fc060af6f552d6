#include "creds_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "settings.h"

#define SECRET_MAX_BYTES 16384

/* ---- where a secret is looked for */

typedef struct {
    const DestSecret *row;
    const char *spec;  /* what follows NAME= in an option "secret"; NULL = the row's own variable */
    bool look_only;    /* commands are not run: they count as answered */
    GString *warnings; /* NULL = nobody wants them */
} Look;

static const char *spec_of(char *const *list, const char *name)
{
    const size_t n = strlen(name);
    const char *spec = NULL;
    for (; *list != NULL; list++) /* the last one counts */
        if (strncmp(*list, name, n) == 0 && (*list)[n] == '=')
            spec = *list + n + 1;
    return spec;
}

/* "A|B" -> "A or B"; NULL is "". */
static char *spoken(const char *variables)
{
    g_auto(GStrv) list = g_strsplit(variables == NULL ? "" : variables, "|", -1);
    return g_strjoinv(" or ", list);
}

static void missing(const Look *look, const char *why, GError **error)
{
    const char *name = look->row->name;
    g_autofree char *variables = spoken(look->row->env);
    g_autofree char *set = look->row->env != NULL ? g_strdup_printf("set %s, or say", variables) : g_strdup("say");
    fault_set(error, FAULT_NO_CREDENTIALS,
              "the secret \"%s\" is missing: %s; %s where it is: secret = %s=env:VARIABLE, %s=file:PATH or %s=command:COMMAND", name, why,
              set, name, name, name);
}

/* NULL without error = not set. */
static char *from_variable(const Look *look, const char *variable, GError **error)
{
    (void)look, (void)error;
    return g_strdup(creds_env_first(variable));
}

static bool read_bounded(int fd, CredsAnswer *into)
{
    for (;;) {
        char buffer[1024];
        const ssize_t n = read(fd, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR)
            continue;
        const size_t kept = n > 0 ? MIN((size_t)n, SECRET_MAX_BYTES - into->len) : 0;
        g_string_append_len(into, buffer, (gssize)kept);
        digest_wipe(buffer, sizeof buffer);
        if (n <= 0 || kept < (size_t)n || memchr(into->str, '\n', into->len) != NULL)
            return n >= 0;
    }
}

static char *first_line(const CredsAnswer *text)
{
    size_t n = strcspn(text->str, "\n");
    n -= n > 0 && text->str[n - 1] == '\r';
    return n == 0 ? NULL : g_strndup(text->str, n);
}

static char *from_file(const Look *look, const char *path, GError **error)
{
    g_autofree char *full = g_str_has_prefix(path, "~/") ? g_build_filename(g_get_home_dir(), path + 2, NULL) : g_strdup(path);
    g_autofree char *shown = hoist_text(path);
    const int fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st = { 0 };
    g_autoptr(CredsAnswer) text = creds_answer_new();
    const bool regular = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    const bool fine = regular && read_bounded(fd, text);
    g_autofree char *why = fine ? NULL : g_strdup_printf("%s: %s", shown, fd >= 0 && !regular ? "is no file" : g_strerror(errno));
    if (fd >= 0)
        close(fd);
    if (!fine) {
        missing(look, why, error);
        return NULL;
    }
    if (look->warnings != NULL && (st.st_mode & (S_IRGRP | S_IROTH)) != 0)
        g_string_append_printf(look->warnings, "%sothers can read %s, which holds the secret \"%s\" (chmod 600)",
                               look->warnings->len ? "; " : "", shown, look->row->name);
    return first_line(text);
}

static char *from_command(const Look *look, const char *command, GError **error)
{
    if (look->look_only)
        return g_strdup("?");
    g_autoptr(CredsAnswer) answer = creds_answer_new();
    g_autofree char *what = g_strdup_printf("the command for the secret \"%s\"", look->row->name);
    return creds_command_run(what, command, CREDS_PROCESS_TIMEOUT_MS, answer, error) ? first_line(answer) : NULL;
}

static const struct {
    const char *prefix;
    char *(*get)(const Look *look, const char *rest, GError **error);
    const char *empty;
} sources[] = {
    { "env:", from_variable, "the variable that the option secret names is not set" },
    { "file:", from_file, "the first line of its file is empty" },
    { "command:", from_command, "the first line that its command printed is empty" },
};

/* NULL and error when it is not to be had, NULL alone when it may be missing. */
static char *look_up(const Look *look, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autofree char *value = NULL, *unset = NULL;
    const char *why = "it has no variable of its own";
    if (look->spec == NULL && look->row->env != NULL) {
        value = from_variable(look, look->row->env, NULL);
        g_autofree char *variables = spoken(look->row->env);
        why = unset = g_strdup_printf("%s is not set", variables);
    }
    for (unsigned i = 0; look->spec != NULL && i < G_N_ELEMENTS(sources); i++)
        if (g_str_has_prefix(look->spec, sources[i].prefix)) {
            value = sources[i].get(look, look->spec + strlen(sources[i].prefix), &cause);
            why = sources[i].empty;
        }
    for (const char *p = value; p != NULL && *p != '\0' && cause == NULL; p++)
        if (g_ascii_iscntrl(*p))
            fault_set(&cause, FAULT_CONFIG, "the secret \"%s\" holds a control character", look->row->name);
    if (cause == NULL && value == NULL && (look->spec != NULL || !look->row->optional))
        missing(look, why, &cause);
    if (cause == NULL)
        return g_steal_pointer(&value);
    if (value != NULL)
        digest_wipe(value, strlen(value));
    g_propagate_error(error, g_steal_pointer(&cause));
    return NULL;
}

/* ---- all of a destination */

/* Of DestSecret: the rows of the destination, and the names that its configuration adds. */
static GArray *rows_of(const DestOps *ops, const void *priv)
{
    GArray *rows = g_array_new(FALSE, FALSE, sizeof(DestSecret));
    for (const DestSecret *row = ops->secrets; row != NULL && row->name != NULL; row++)
        g_array_append_val(rows, *row);
    const char *const *names = ops->more_secrets != NULL ? ops->more_secrets(priv) : NULL;
    for (; names != NULL && *names != NULL; names++) {
        const DestSecret row = { .name = *names };
        g_array_append_val(rows, row);
    }
    return rows;
}

static bool get_all(const HoistSettings *s, const GArray *rows, bool look_only, GHashTable *into, GString *warnings, GError **error)
{
    g_auto(GStrv) list = hoist_settings_list(s, "secret");
    for (guint i = 0; i < rows->len; i++) {
        const DestSecret *row = &g_array_index(rows, DestSecret, i);
        const Look look = { row, spec_of(list, row->name), look_only, warnings };
        g_autoptr(GError) cause = NULL;
        char *value = look_up(&look, &cause);
        if (cause != NULL) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return false;
        }
        if (value != NULL)
            g_hash_table_insert(into, g_strdup(row->name), value);
    }
    return true;
}

static GHashTable *table_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, secret_free);
}

Credentials *creds_of_dest(const AwsConfig *aws, const HoistSettings *s, const DestOps *ops, const void *priv, GError **error)
{
    g_autoptr(GHashTable) secrets = table_new();
    g_autoptr(GArray) rows = rows_of(ops, priv);
    if (!get_all(s, rows, false, secrets, NULL, error))
        return NULL;
    g_autoptr(GError) cause = NULL;
    Credentials *c = ops->aws ? creds_find(aws, hoist_settings_get(s, "profile"), creds_env_process, NULL, &cause) : NULL;
    if (c == NULL && ops->aws && (g_hash_table_size(secrets) == 0 || fault_code(cause) != FAULT_NO_CREDENTIALS)) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return NULL;
    }
    if (c == NULL) {
        c = g_new0(Credentials, 1);
        c->origin = g_strdup("secrets");
    }
    c->secrets = g_steal_pointer(&secrets);
    return c;
}

bool creds_same(const Credentials *a, const Credentials *b)
{
    if (g_strcmp0(a->access_key, b->access_key) != 0 || g_strcmp0(a->secret_key, b->secret_key) != 0 ||
        g_strcmp0(a->session_token, b->session_token) != 0)
        return false;
    const unsigned n = a->secrets == NULL ? 0 : g_hash_table_size(a->secrets);
    if (n != (b->secrets == NULL ? 0 : g_hash_table_size(b->secrets)))
        return false;
    GHashTableIter it;
    gpointer name, value;
    if (n > 0)
        g_hash_table_iter_init(&it, a->secrets);
    while (n > 0 && g_hash_table_iter_next(&it, &name, &value))
        if (g_strcmp0(value, g_hash_table_lookup(b->secrets, name)) != 0)
            return false;
    return true;
}

bool creds_dest_ready(const AwsConfig *aws, const HoistSettings *s, const DestOps *ops, const void *priv, char **warning_out,
                      GError **error)
{
    g_autoptr(GHashTable) secrets = table_new();
    g_autoptr(GArray) rows = rows_of(ops, priv);
    g_autoptr(GString) warnings = g_string_new(NULL);
    if (!get_all(s, rows, true, secrets, warnings, error))
        return false;
    if (ops->aws && aws != NULL && g_hash_table_size(secrets) == 0 &&
        !creds_exist(aws, hoist_settings_get(s, "profile"), creds_env_process, NULL, error))
        return false;
    if (warning_out != NULL)
        *warning_out = warnings->len > 0 ? g_string_free(g_steal_pointer(&warnings), FALSE) : NULL;
    return true;
}

char *creds_unknown_secret(const HoistSettings *s, const DestOps *ops, const void *priv)
{
    g_autoptr(GArray) rows = rows_of(ops, priv);
    g_autoptr(GString) names = g_string_new(NULL);
    for (guint i = 0; i < rows->len; i++)
        g_string_append_printf(names, "%s%s", i > 0 ? ", " : "", g_array_index(rows, DestSecret, i).name);
    g_auto(GStrv) list = hoist_settings_list(s, "secret");
    for (char **spec = list; *spec != NULL; spec++) {
        const size_t n = strcspn(*spec, "=");
        bool known = false;
        for (guint i = 0; i < rows->len; i++) {
            const char *name = g_array_index(rows, DestSecret, i).name;
            known |= strlen(name) == n && strncmp(name, *spec, n) == 0;
        }
        g_autofree char *name = g_strndup(*spec, n), *shown = hoist_text(name);
        if (!known)
            return g_strdup_printf("there is no secret \"%s\" here; allowed: %s", shown, names->len > 0 ? names->str : "none");
    }
    return NULL;
}
