#!/bin/bash
# run.sh [WORKLOAD...]: what an upload costs the client, beside bare libcurl and other clients. See README.md here; --help lists the options.
exec python3 "$(dirname "$0")/run.py" "$@"
