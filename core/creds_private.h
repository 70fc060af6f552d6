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

/* What a command printed: a buffer of CREDS_PROCESS_MAX_BYTES that never moves and is wiped when freed. */
typedef GString CredsAnswer;
CredsAnswer *creds_answer_new(void);
void         creds_answer_free(CredsAnswer *answer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CredsAnswer, creds_answer_free)

/* Runs a command and appends its standard output to answer: split like a shell but without one, stdin closed. Blocks up to timeout_ms.
 * FAULT_NO_CREDENTIALS when it fails, FAULT_CONFIG when it cannot be parsed; errors begin with what and hold the first words of its
 * standard error, never of its output. */
bool         creds_command_run(const char *what, const char *command, unsigned timeout_ms, CredsAnswer *answer, GError **error);
/* Runs credential_process and reads its answer. Caller frees. Source: AWS SDKs and Tools Reference Guide, "Process credential provider". */
Credentials *creds_process_run(const char *command, unsigned timeout_ms, GError **error);
