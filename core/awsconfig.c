#include "creds_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* AWS's dialect of INI is no INI that a library reads: keys with ':' or '=', maps nested by indentation, "[profile NAME]", comments that
 * depend on the key. Each line is normalised here into section -> key -> value, and the values are wiped when they go. */

enum { MAX_FILE_BYTES = 1024 * 1024 };

struct AwsConfig {
    GHashTable *config, *credentials; /* profile -> table of key -> value */
    GHashTable *services;             /* of [services NAME] */
};

/* ---- tables ---- */

static void wipe_string(gpointer text)
{
    if (text != NULL)
        digest_wipe(text, strlen(text));
    g_free(text);
}

static GHashTable *sections_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_hash_table_unref);
}

static GHashTable *section_of(GHashTable *sections, const char *name)
{
    GHashTable *section = g_hash_table_lookup(sections, name);
    if (section == NULL) {
        section = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, wipe_string);
        g_hash_table_insert(sections, g_strdup(name), section);
    }
    return section;
}

/* ---- reading a file line by line ---- */

typedef struct {
    AwsConfig *out;
    bool credentials; /* which of the two files */
    const char *path;
    unsigned line;
    GHashTable *section; /* NULL = a section that means nothing here, or none yet */
    bool any_section;
    char *parent;  /* key whose value was empty: lines indented deeper are its map; else NULL */
    char *last;    /* last key at its indent */
    size_t indent; /* of last */
    bool has_secret;
    GPtrArray *warnings; /* may be NULL */
} Reader;

static void warn(const Reader *r, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void warn(const Reader *r, const char *format, ...)
{
    if (r->warnings == NULL)
        return;
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_ptr_array_add(r->warnings, g_strdup_printf("%s line %u: %s", r->credentials ? "credentials" : "config", r->line, text));
}

static bool refuse(const Reader *r, GError **error, const char *why)
{
    fault_set(error, FAULT_CONFIG, "%s line %u: %s", r->path, r->line, why); /* the line itself may be a secret */
    return false;
}

static char *unquoted(char *name)
{
    const size_t n = strlen(name);
    if (n >= 2 && (name[0] == '"' || name[0] == '\'') && name[n - 1] == name[0]) {
        name[n - 1] = '\0';
        return name + 1;
    }
    return name;
}

/* [default] beats [profile default]: the latter waits under a name that no profile has. */
#define PREFIXED_DEFAULT "profile default"

static bool read_header(Reader *r, char *line, GError **error)
{
    char *end = strchr(line, ']');
    if (end == NULL)
        return refuse(r, error, "a section lacks its ]");
    *end = '\0';
    char *name = g_strstrip(line + 1);
    g_clear_pointer(&r->parent, g_free);
    g_clear_pointer(&r->last, g_free);
    r->any_section = true;
    r->section = NULL;

    GHashTable *sections = r->credentials ? r->out->credentials : r->out->config;
    if (!r->credentials && !g_str_equal(name, "default")) {
        char *rest = name + strcspn(name, " \t");
        if (*rest == '\0')
            return true; /* a bare [dev] counts in the credentials file only */
        *rest++ = '\0';
        rest = unquoted(g_strstrip(rest));
        if (g_str_equal(name, "services"))
            sections = r->out->services;
        else if (!g_str_equal(name, "profile"))
            return true;
        else if (g_str_equal(rest, "default"))
            rest = (char *)PREFIXED_DEFAULT;
        name = rest;
    }
    if (g_hash_table_contains(sections, name))
        warn(r, "the section is there twice; its lines are added to the first, the last value counts");
    r->section = section_of(sections, name);
    return true;
}

static bool cuts_comments(const char *key)
{
    static const char *const keys[] = { "region",          "endpoint_url",        "services",          "role_arn",
                                        "source_profile",  "credential_source",   "role_session_name", "ignore_configured_endpoint_urls",
                                        "s3.endpoint_url", "s3.addressing_style", "sso_session",       "sso_region" };
    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++)
        if (g_str_equal(key, keys[i]))
            return true;
    return false;
}

static void cut_comment(const Reader *r, const char *key, char *value)
{
    for (char *p = value; *p != '\0'; p++)
        if ((*p == '#' || *p == ';') && p > value && g_ascii_isspace(p[-1])) {
            *p = '\0';
            g_strchomp(value);
            warn(r, "the comment behind the value of %s is cut off; AWS's own tools take it for part of the value", key);
            return;
        }
}

static bool read_pair(Reader *r, size_t indent, char *line, GError **error)
{
    char *delimiter = line + strcspn(line, "=:");
    const bool below = r->last != NULL && indent > r->indent;
    if (below && r->parent == NULL) {
        warn(r, "the line continues the value above it; hoist passes it over");
        return true;
    }
    if (*delimiter == '\0' || delimiter == line)
        return refuse(r, error, "is neither [section], key = value nor a comment");
    if (!r->any_section)
        return refuse(r, error, "stands before the first [section]");
    *delimiter = '\0';
    g_autofree char *word = g_ascii_strdown(g_strstrip(line), -1);
    char *value = g_strstrip(delimiter + 1);
    g_autofree char *key = below ? g_strdup_printf("%s.%s", r->parent, word) : g_strdup(word);
    if (!below) {
        g_free(r->last);
        g_free(r->parent);
        r->last = g_strdup(word);
        r->indent = indent;
        r->parent = *value == '\0' ? g_strdup(word) : NULL;
    }
    if (r->section == NULL)
        return true;
    if (cuts_comments(key))
        cut_comment(r, key, value);
    if (g_hash_table_contains(r->section, key))
        warn(r, "%s is there twice; the last one counts", key);
    r->has_secret |= g_str_equal(key, "aws_secret_access_key") || g_str_equal(key, "aws_session_token");
    g_hash_table_replace(r->section, g_strdup(key), g_strdup(value));
    return true;
}

static bool read_lines(Reader *r, char *text, GError **error)
{
    if (g_str_has_prefix(text, "\xef\xbb\xbf"))
        text += 3;
    while (*text != '\0') {
        char *end = strchrnul(text, '\n');
        char *next = *end == '\0' ? end : end + 1;
        *end = '\0';
        r->line++;
        const size_t indent = strspn(text, " \t");
        char *line = g_strstrip(text);
        const bool blank = *line == '\0' || *line == '#' || *line == ';';
        const bool header = *line == '[' && (indent == 0 || r->parent == NULL);
        if (!blank && !(header ? read_header(r, line, error) : read_pair(r, indent, line, error)))
            return false;
        text = next;
    }
    return true;
}

/* ---- files ---- */

static const char *variable(CredsEnv env, void *ctx, const char *name)
{
    const char *value = env(name, ctx);
    return value == NULL || *value == '\0' ? NULL : value;
}

static char *expanded(CredsEnv env, void *ctx, const char *path)
{
    if (!g_str_has_prefix(path, "~/"))
        return g_strdup(path);
    const char *home = variable(env, ctx, "HOME");
    return g_build_filename(home != NULL ? home : g_get_home_dir(), path + 2, NULL);
}

/* Whole file as text; NULL without error when there is none. */
static char *read_file(const char *path, struct stat *st_out, GError **error)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a FIFO must not hold us up */
    if (fd < 0) {
        if (errno != ENOENT && errno != ENOTDIR)
            fault_set(error, FAULT_CONFIG, "%s: %s", path, g_strerror(errno));
        return NULL;
    }
    g_autofree char *text = NULL;
    size_t n = 0;
    const char *why = NULL;
    if (fstat(fd, st_out) != 0 || !S_ISREG(st_out->st_mode) || st_out->st_size > MAX_FILE_BYTES) {
        why = "is no file, or larger than 1 MiB";
    } else {
        text = g_malloc((size_t)st_out->st_size + 1);
        for (ssize_t got = 1; got > 0; n += (size_t)MAX(got, 0)) {
            got = read(fd, text + n, (size_t)st_out->st_size - n);
            if (got < 0)
                why = g_strerror(errno);
        }
        text[n] = '\0';
        if (why == NULL && strlen(text) != n)
            why = "holds a NUL byte";
    }
    close(fd);
    if (why == NULL)
        return g_steal_pointer(&text);
    fault_set(error, FAULT_CONFIG, "%s: %s", path, why);
    if (text != NULL)
        digest_wipe(text, n);
    return NULL;
}

static bool load_file(AwsConfig *c, bool credentials, CredsEnv env, void *ctx, GPtrArray *warnings, GError **error)
{
    const char *named = variable(env, ctx, credentials ? "AWS_SHARED_CREDENTIALS_FILE" : "AWS_CONFIG_FILE");
    g_autofree char *path = expanded(env, ctx, named != NULL ? named : credentials ? "~/.aws/credentials" : "~/.aws/config");
    struct stat st;
    g_autoptr(GError) cause = NULL;
    g_autofree char *text = read_file(path, &st, &cause);
    if (text == NULL && cause == NULL)
        return true;
    if (text == NULL) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return false;
    }
    const size_t n = strlen(text);
    Reader r = { .out = c, .credentials = credentials, .path = path, .warnings = warnings };
    const bool ok = read_lines(&r, text, error);
    g_free(r.parent);
    g_free(r.last);
    digest_wipe(text, n);
    if (ok && r.has_secret && (st.st_mode & 077) != 0 && warnings != NULL)
        g_ptr_array_add(warnings, g_strdup_printf("%s holds secrets and others may read it: chmod 600 it", path));
    return ok;
}

AwsConfig *aws_config_load(CredsEnv env, void *ctx, GPtrArray *warnings_out, GError **error)
{
    g_autoptr(AwsConfig) c = g_new0(AwsConfig, 1);
    c->config = sections_new();
    c->credentials = sections_new();
    c->services = sections_new();
    if (!load_file(c, false, env, ctx, warnings_out, error) || !load_file(c, true, env, ctx, warnings_out, error))
        return NULL;
    gpointer name, section;
    if (g_hash_table_steal_extended(c->config, PREFIXED_DEFAULT, &name, &section)) {
        g_free(name);
        if (g_hash_table_contains(c->config, "default"))
            g_hash_table_unref(section);
        else
            g_hash_table_insert(c->config, g_strdup("default"), section);
    }
    return g_steal_pointer(&c);
}

void aws_config_free(AwsConfig *c)
{
    if (c == NULL)
        return;
    g_clear_pointer(&c->config, g_hash_table_unref);
    g_clear_pointer(&c->credentials, g_hash_table_unref);
    g_clear_pointer(&c->services, g_hash_table_unref);
    g_free(c);
}

/* ---- look-ups ---- */

const char *aws_config_profile(const AwsConfig *c, const char *explicit_profile, CredsEnv env, void *ctx)
{
    (void)c;
    if (explicit_profile != NULL && *explicit_profile != '\0')
        return explicit_profile;
    const char *name = variable(env, ctx, "AWS_PROFILE");
    if (name == NULL)
        name = variable(env, ctx, "AWS_DEFAULT_PROFILE");
    return name != NULL ? name : "default";
}

static const char *value_in(GHashTable *sections, const char *name, const char *key)
{
    GHashTable *section = g_hash_table_lookup(sections, name);
    const char *value = section == NULL ? NULL : g_hash_table_lookup(section, key);
    return value == NULL || *value == '\0' ? NULL : value;
}

bool aws_config_has_profile(const AwsConfig *c, const char *profile)
{
    return g_hash_table_contains(c->config, profile) || g_hash_table_contains(c->credentials, profile);
}

const char *aws_config_value_of(const AwsConfig *c, bool credentials_file, const char *profile, const char *key)
{
    return value_in(credentials_file ? c->credentials : c->config, profile, key);
}

const char *aws_config_value(const AwsConfig *c, const char *profile, const char *key)
{
    const char *value = value_in(c->credentials, profile, key);
    return value != NULL ? value : value_in(c->config, profile, key);
}

static bool is_true(const char *value)
{
    return value != NULL && g_ascii_strcasecmp(value, "true") == 0;
}

char *creds_s3_endpoint(const AwsConfig *c, const char *explicit_profile, CredsEnv env, void *ctx)
{
    const char *profile = aws_config_profile(c, explicit_profile, env, ctx);
    const char *ignore = variable(env, ctx, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    if (is_true(ignore != NULL ? ignore : aws_config_value(c, profile, "ignore_configured_endpoint_urls")))
        return NULL;
    const char *url = variable(env, ctx, "AWS_ENDPOINT_URL_S3");
    if (url == NULL)
        url = variable(env, ctx, "AWS_ENDPOINT_URL");
    const char *services = url == NULL ? aws_config_value(c, profile, "services") : NULL;
    if (services != NULL)
        url = value_in(c->services, services, "s3.endpoint_url");
    if (url == NULL)
        url = aws_config_value(c, profile, "endpoint_url");
    return g_strdup(url);
}

const char *creds_addressing(const AwsConfig *c, const char *explicit_profile, CredsEnv env, void *ctx)
{
    static const char *const styles[] = { "path", "virtual" };
    const char *style = aws_config_value(c, aws_config_profile(c, explicit_profile, env, ctx), "s3.addressing_style");
    for (unsigned i = 0; style != NULL && i < G_N_ELEMENTS(styles); i++)
        if (g_ascii_strcasecmp(style, styles[i]) == 0)
            return styles[i];
    return "auto";
}

char *creds_ca_bundle(const AwsConfig *c, const char *explicit_profile, CredsEnv env, void *ctx)
{
    const char *path = variable(env, ctx, "AWS_CA_BUNDLE");
    if (path == NULL)
        path = aws_config_value(c, aws_config_profile(c, explicit_profile, env, ctx), "ca_bundle");
    return path == NULL ? NULL : expanded(env, ctx, path);
}

/* It becomes part of a host name: letters, digits and inner hyphens. */
static bool region_ok(const char *region)
{
    const size_t n = strlen(region);
    for (size_t i = 0; i < n; i++) {
        const bool inner = region[i] == '-' && i > 0 && i + 1 < n;
        if (!g_ascii_islower(region[i]) && !g_ascii_isdigit(region[i]) && !inner)
            return false;
    }
    return n > 0 && n < 64;
}

char *creds_region(const AwsConfig *c, const char *explicit_profile, CredsEnv env, void *ctx, GError **error)
{
    const char *profile = aws_config_profile(c, explicit_profile, env, ctx);
    const char *where = "AWS_REGION", *region = variable(env, ctx, where);
    if (region == NULL)
        region = variable(env, ctx, where = "AWS_DEFAULT_REGION");
    if (region == NULL) {
        region = aws_config_value(c, profile, "region");
        where = "the AWS profile's region";
    }
    if (region == NULL || region_ok(region))
        return g_strdup(region);
    g_autofree char *shown = g_strndup(region, 80);
    fault_set(error, FAULT_CONFIG, "%s is \"%s\": a region is of lower-case letters, digits and hyphens, like eu-west-1", where, shown);
    return NULL;
}
