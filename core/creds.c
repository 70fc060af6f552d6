#include "creds_private.h"

#include <string.h>

const char *creds_env_process(const char *name, void *ctx)
{
    (void)ctx;
    return g_getenv(name);
}

const char *creds_env_first(const char *names)
{
    g_auto(GStrv) list = g_strsplit(names == NULL ? "" : names, "|", -1);
    for (char **name = list; *name != NULL; name++) {
        const char *value = **name == '\0' ? NULL : g_getenv(*name);
        if (value != NULL && *value != '\0')
            return value;
    }
    return NULL;
}

/* What the providers look at. */
typedef struct {
    const AwsConfig *config;
    const char *profile;
    bool explicit_profile;
    bool look_only; /* nothing is run */
    CredsEnv env;
    void *ctx;
} Search;

static const char *variable(const Search *s, const char *name)
{
    const char *value = s->env(name, s->ctx);
    return value == NULL || *value == '\0' ? NULL : value;
}

bool creds_check(const Credentials *c, const char *where, GError **error)
{
    const char *const texts[] = { c->access_key, c->secret_key, c->session_token };
    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++)
        for (const char *p = texts[i]; p != NULL && *p != '\0'; p++)
            if (!g_ascii_isgraph(*p)) {
                fault_set(error, FAULT_CONFIG, "%s: a key holds a blank, a line end or a character that keys never have", where);
                return false;
            }
    return true;
}

/* NULL without error when both keys are absent. */
static Credentials *static_keys(const char *access, const char *secret, const char *token, const char *where, GError **error)
{
    if (access == NULL && secret == NULL)
        return NULL;
    if (access == NULL || secret == NULL) {
        fault_set(error, FAULT_CONFIG, "%s: has the %s key but not the %s key", where, access == NULL ? "secret" : "access",
                  access == NULL ? "access" : "secret");
        return NULL;
    }
    g_autoptr(Credentials) c = g_new0(Credentials, 1);
    c->access_key = g_strdup(access);
    c->secret_key = g_strdup(secret);
    c->session_token = g_strdup(token);
    return creds_check(c, where, error) ? g_steal_pointer(&c) : NULL;
}

/* ---- the providers: NULL without error = not here, ask the next ---- */

static Credentials *from_env(const Search *s, GError **error)
{
    if (s->explicit_profile)
        return NULL;
    const char *token = variable(s, "AWS_SESSION_TOKEN");
    if (token == NULL)
        token = variable(s, "AWS_SECURITY_TOKEN");
    return static_keys(variable(s, "AWS_ACCESS_KEY_ID"), variable(s, "AWS_SECRET_ACCESS_KEY"), token,
                       "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", error);
}

static Credentials *from_file(const Search *s, bool credentials_file, GError **error)
{
    const char *const keys[] = { "aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_security_token" };
    const char *values[G_N_ELEMENTS(keys)];
    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++)
        values[i] = aws_config_value_of(s->config, credentials_file, s->profile, keys[i]);
    g_autofree char *where = g_strdup_printf("profile \"%s\" of AWS's %s file", s->profile, credentials_file ? "credentials" : "config");
    return static_keys(values[0], values[1], values[2] != NULL ? values[2] : values[3], where, error);
}

static Credentials *from_credentials_file(const Search *s, GError **error)
{
    return from_file(s, true, error);
}

static Credentials *from_config_file(const Search *s, GError **error)
{
    return from_file(s, false, error);
}

static Credentials *from_process(const Search *s, GError **error)
{
    const char *command = aws_config_value(s->config, s->profile, "credential_process");
    if (command == NULL || s->look_only)
        return command == NULL ? NULL : g_new0(Credentials, 1);
    Credentials *c = creds_process_run(command, CREDS_PROCESS_TIMEOUT_MS, error);
    if (c == NULL)
        g_prefix_error(error, "profile \"%s\": ", s->profile);
    return c;
}

/* Sources that hoist cannot ask by itself yet. The AWS command line asks every one of them. */
static Credentials *not_yet(const Search *s, const char *what, GError **error)
{
    g_autofree char *profile = g_shell_quote(s->profile);
    fault_set(error, FAULT_NO_CREDENTIALS,
              "%s, which hoist cannot use yet; run eval \"$(aws configure export-credentials --profile %s --format env)\" and start hoist "
              "without "
              "--profile, or use a profile whose credential_process is: aws configure export-credentials --profile %s",
              what, profile, profile);
    return NULL;
}

static Credentials *profile_not_yet(const Search *s, const char *key, const char *what, GError **error)
{
    if (aws_config_value(s->config, s->profile, key) == NULL)
        return NULL;
    g_autofree char *text = g_strdup_printf("profile \"%s\" %s (%s)", s->profile, what, key);
    return not_yet(s, text, error);
}

static Credentials *from_role(const Search *s, GError **error)
{
    return profile_not_yet(s, "role_arn", "assumes a role", error);
}

static Credentials *from_web_identity(const Search *s, GError **error)
{
    if (variable(s, "AWS_WEB_IDENTITY_TOKEN_FILE") == NULL)
        return NULL;
    return not_yet(s, "AWS_WEB_IDENTITY_TOKEN_FILE asks for a role by web identity", error);
}

static Credentials *from_sso(const Search *s, GError **error)
{
    const char *key = aws_config_value(s->config, s->profile, "sso_session") != NULL ? "sso_session" : "sso_start_url";
    return profile_not_yet(s, key, "signs in by IAM Identity Center", error);
}

static Credentials *from_login(const Search *s, GError **error)
{
    return profile_not_yet(s, "login_session", "signs in by aws login", error);
}

static Credentials *from_container(const Search *s, GError **error)
{
    if (variable(s, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") == NULL && variable(s, "AWS_CONTAINER_CREDENTIALS_FULL_URI") == NULL)
        return NULL;
    return not_yet(s, "the environment offers the credentials of a container (AWS_CONTAINER_CREDENTIALS_...)", error);
}

/* Order of botocore's resolver. What needs more network, instance metadata, belongs at the end. */
static const struct {
    const char *name;
    Credentials *(*find)(const Search *s, GError **error);
} providers[] = {
    { "env", from_env },
    { "assume-role", from_role },
    { "assume-role-with-web-identity", from_web_identity },
    { "sso", from_sso },
    { "shared-credentials-file", from_credentials_file },
    { "login", from_login },
    { "custom-process", from_process },
    { "config-file", from_config_file },
    { "container-role", from_container },
};

static Credentials *find(const AwsConfig *c, const char *explicit_profile, bool look_only, CredsEnv env, void *ctx, GError **error)
{
    if (c == NULL) { /* aws_config_load failed, and its caller went on */
        fault_set(error, FAULT_CONFIG, "AWS's config and credentials files could not be read");
        return NULL;
    }
    const bool given = explicit_profile != NULL && *explicit_profile != '\0';
    const Search s = { c, aws_config_profile(c, explicit_profile, env, ctx), given, look_only, env, ctx };
    if (!g_str_equal(s.profile, "default") && !aws_config_has_profile(c, s.profile)) {
        fault_set(error, FAULT_CONFIG, "there is no profile \"%s\" in AWS's config and credentials files (aws configure list-profiles)",
                  s.profile);
        return NULL;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(providers); i++) {
        g_autoptr(GError) cause = NULL;
        Credentials *found = providers[i].find(&s, &cause);
        if (found != NULL) {
            found->origin = g_strdup(providers[i].name);
            return found;
        }
        if (cause != NULL) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return NULL;
        }
    }
    fault_set(error, FAULT_NO_CREDENTIALS, "no keys: %sprofile \"%s\" of AWS's config and credentials files has none",
              given ? "" : "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set, and ", s.profile);
    return NULL;
}

Credentials *creds_find(const AwsConfig *c, const char *explicit_profile, CredsEnv env, void *ctx, GError **error)
{
    return find(c, explicit_profile, false, env, ctx, error);
}

bool creds_exist(const AwsConfig *c, const char *explicit_profile, CredsEnv env, void *ctx, GError **error)
{
    g_autoptr(Credentials) found = find(c, explicit_profile, true, env, ctx, error);
    return found != NULL;
}
