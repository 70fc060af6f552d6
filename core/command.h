/* command.h - commands as JSON, for the inbox: laid there by one hoist, obeyed by another. Paths are bytes, hence base64. No secrets. */
#pragma once

#include "hoist.h"

char         *command_to_json(const HoistCommand *cmd);         /* caller frees */
HoistCommand *command_from_json(const char *json, GError **error);      /* FAULT_USAGE when it is none; bounded */
