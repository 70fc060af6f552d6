/* creds_private.h - what awsconfig.c, creds.c and creds_process.c know of each other. Threads and wiping as in creds.h. */
#pragma once

#include <stdbool.h>

#include "creds.h"

#define CREDS_PROCESS_MAX_BYTES  (64 * 1024)
#define CREDS_PROCESS_TIMEOUT_MS (60 * 1000)

bool        aws_config_has_profile(const AwsConfig *c, const char *profile);
/* As aws_config_value, of one of the two files. */
const char *aws_config_value_of(const AwsConfig *c, bool credentials_file, const char *profile, const char *key);

/* Printable ASCII without blanks, as keys and tokens are; else FAULT_CONFIG that names where but not what. */
bool         creds_check(const Credentials *c, const char *where, GError **error);

/* Runs credential_process: split like a shell but without one, stdin closed, at most CREDS_PROCESS_MAX_BYTES of answer. Blocks up to
 * timeout_ms. FAULT_NO_CREDENTIALS when the command fails, FAULT_CONFIG when it cannot be parsed; errors hold the first words of its
 * standard error, never of its output. Caller frees. Source: AWS SDKs and Tools Reference Guide, "Process credential provider". */
Credentials *creds_process_run(const char *command, unsigned timeout_ms, GError **error);
