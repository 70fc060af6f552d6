/* tus.h - tus 1.0 for a road whose application creates the upload and hands out its URL (Vimeo, Cloudflare Stream, servers of one's own).
 *
 * The steps RESUME, PART and ABORT of dest_tus serve an upload that has a URL already: up->upload_id, else up->grant->url. They then send
 * the headers of the grant alone, need nothing of ctx->priv, and ask for no creation. OPEN, that is getting the URL, is the road's own.
 * Threads: engine thread. Source: tus-resumable-upload-protocol 1.0.0, "Core Protocol".
 */
#pragma once

#include "dest.h"

extern const DestOps dest_tus;

/* One stream from the first byte to the last, cut only where part_size_wanted says so (0 = not at all). Leaves OPEN in, CLOSE and VERIFY out. */
void tus_plan_granted(Upload *up, uint64_t part_size_wanted);
