/* creds.h - where credentials, region and endpoint come from.
 *
 * Order (AWS SDKs and Tools Reference Guide, credential providers, and botocore's resolver, as far as no network is needed):
 * environment, profile of ~/.aws/credentials and config.
 * The rest of the chain (roles, SSO, containers, instance metadata) has its place in creds_find: a row of its table of providers.
 * A source that is present but broken is an error with its name; it is not skipped. Secrets are wiped when freed and never appear in
 * an error. Threads: engine thread and tests.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "dest/dest.h"

typedef struct AwsConfig AwsConfig;             /* both files, read once */

/* environ-like lookup, so that tests need not change the process: returns the value or NULL. */
typedef const char *(*CredsEnv)(const char *name, void *ctx);
const char *creds_env_process(const char *name, void *ctx);     /* getenv */
/* First of the variables "A|B" that is set to something; NULL = none, also when names is NULL. Borrowed from the environment. */
const char *creds_env_first(const char *names);

/* Reads AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE or their defaults. Missing files are empty.
 * warnings_out: char*, "config line 7: ..."; may be NULL. */
AwsConfig  *aws_config_load(CredsEnv env, void *ctx, GPtrArray *warnings_out, GError **error);
void        aws_config_free(AwsConfig *c);
/* Profile in use: named explicitly, else AWS_PROFILE, AWS_DEFAULT_PROFILE, "default". */
const char *aws_config_profile(const AwsConfig *c, const char *explicit_profile, CredsEnv env, void *ctx);
const char *aws_config_value(const AwsConfig *c, const char *profile, const char *key);         /* "region", "s3.addressing_style"; NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AwsConfig, aws_config_free)

/* FAULT_NO_CREDENTIALS when nobody answers; FAULT_CONFIG when a source is broken or c is NULL. Blocks for up to a minute when the
 * profile has a credential_process. */
Credentials *creds_find(const AwsConfig *c, const char *explicit_profile, CredsEnv env, void *ctx, GError **error);
/* Would creds_find answer? Runs no credential_process: one that is configured counts. */
bool         creds_exist(const AwsConfig *c, const char *explicit_profile, CredsEnv env, void *ctx, GError **error);

/* What a destination needs (secrets.c): each of ops->secrets and ops->more_secrets, from the option "secret" (NAME=env:VARIABLE,
 * NAME=file:PATH, NAME=command:COMMAND; the last of a name counts), else the row's own variable; with ops->aws also the key pair of
 * creds_find, which may be missing where a secret is there. A file or command gives its first line. FAULT_NO_CREDENTIALS names the secret
 * and the ways to give it. priv is what ops->open made. Blocks as creds_find does. Caller frees. */
Credentials *creds_of_dest(const AwsConfig *aws, const HoistSettings *s, const DestOps *ops, const void *priv, GError **error);
/* The same, as far as can be told without running a command. aws NULL = do not ask for the key pair. *warning_out (caller frees; NULL = not
 * wanted): files of secrets that others can read; NULL when there is none. */
bool         creds_dest_ready(const AwsConfig *aws, const HoistSettings *s, const DestOps *ops, const void *priv, char **warning_out, GError **error);
/* What is wrong with the option "secret" for this destination: a name that it does not know; NULL = nothing. Caller frees. */
char        *creds_unknown_secret(const HoistSettings *s, const DestOps *ops, const void *priv);
bool         creds_same(const Credentials *a, const Credentials *b);
/* AWS_REGION, AWS_DEFAULT_REGION, profile; NULL = none; FAULT_CONFIG when it is no region name. Caller frees. */
char        *creds_region(const AwsConfig *c, const char *explicit_profile, CredsEnv env, void *ctx, GError **error);
/* AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, services section, profile; NULL = the protocol's own. Caller frees. */
char        *creds_s3_endpoint(const AwsConfig *c, const char *explicit_profile, CredsEnv env, void *ctx);
/* "auto", "path", "virtual". */
const char  *creds_addressing(const AwsConfig *c, const char *explicit_profile, CredsEnv env, void *ctx);
char        *creds_ca_bundle(const AwsConfig *c, const char *explicit_profile, CredsEnv env, void *ctx);
