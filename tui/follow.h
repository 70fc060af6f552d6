/* follow.h - `hoist up` while another hoist holds the queue: lays the paths into its inbox and watches the store until they are through.
 * Reads by a HoistView, twice a second; nothing is written but the inbox. */
#pragma once

#include "cli.h"
#include "report.h"

typedef enum {
    FOLLOW_OVER, /* everything is through; *status_out is set */
    FOLLOW_FREE, /* nobody holds the queue any more: go on with an engine of our own */
} FollowEnd;

/* paths may be empty: the whole queue is followed. session is not open; it is when FOLLOW_FREE is returned, with these flags. */
FollowEnd follow_queue(const Options *o, char *const *paths, Session *session, unsigned flags, int *status_out);
