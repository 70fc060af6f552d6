/* given.h - what a person gives to every object of an S3-like store: --header, --meta, --tag, and what hoist adds to them.
 *
 * S3 and OSS differ in the prefix of their own headers ("x-amz-", "x-oss-") alone. Metadata beyond US-ASCII travels as an encoded word
 * (RFC 2047). The nonce lets VERIFY recognise our own object; mtime is what rclone writes and reads. Errors: FAULT_USAGE.
 * Owned: everything a Given points to but vendor. Threads: reentrant.
 */
#pragma once

#include "dest.h"

#define GIVEN_NONCE "meta-hoist-nonce" /* behind the vendor's prefix */

/* Zeroed memory is an empty one. */
typedef struct {
    const char *vendor;         /* "x-amz-"; static */
    GPtrArray  *headers;        /* of char*: name, value, name, value ... ready to send */
    bool        own_content_type; /* one of them is Content-Type */
    char       *tagging;        /* query-encoded, or NULL */
} Given;

/* given must be zeroed; clear it whatever the result. Checks acl and storage-class as well. */
bool given_open(Given *given, const DestConf *conf, const char *vendor, GError **error);
void given_clear(Given *given);
/* Splits "name SEPARATOR value"; false when a half is missing or holds what it must not. Caller frees both. */
bool given_split(const char *text, char separator, char **name_out, char **value_out);
/* An option that becomes a header: US-ASCII without control characters, not empty; not set is fine. */
bool given_plain(const DestConf *conf, const char *option, GError **error);

typedef void (*GivenSend)(gpointer to, const char *name, const char *value);
/* Type, headers, metadata, mtime and nonce; not acl, class, encryption and tags. */
void given_each(const Given *given, const Upload *up, GivenSend send, gpointer to);
void given_to_request(gpointer rq, const char *name, const char *value);
