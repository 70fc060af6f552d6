/* http_peer.h - a small HTTP server with bad manners, for tests: one thread, one connection at a time unless told otherwise.
 *
 * The first path segment of the request chooses what it does (see http_peer.c). Every connection is a thread. Loopback only.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

typedef struct HttpPeer HttpPeer;

HttpPeer *http_peer_new(void);
void      http_peer_free(HttpPeer *p);                              /* closes its connections, joins its threads */
char     *http_peer_url(const HttpPeer *p, const char *path);       /* "http://127.0.0.1:PORT/path"; caller frees */
unsigned  http_peer_requests(HttpPeer *p);                          /* headers seen so far */
unsigned  http_peer_connections(HttpPeer *p);
char     *http_peer_last_header(HttpPeer *p);                       /* whole header of the last request; caller frees */
GBytes   *http_peer_last_body(HttpPeer *p);                         /* of the last request that was read to its end; caller unrefs */
