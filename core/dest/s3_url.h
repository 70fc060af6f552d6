/* s3_url.h - from endpoint, bucket and key to the URL that is signed and sent.
 *
 * The path is encoded once and never normalised ("a/../b" and "a//b" are keys). Default ports are dropped, for curl would send them in Host.
 * Virtual-host style puts the bucket before the host; path style is used where that cannot work: no DNS label, a dot under TLS, an address.
 * Sources: S3 User Guide, "Virtual hosting of buckets" and "Bucket naming rules"; S3 API Reference, "Authenticating Requests".
 * Errors: FAULT_USAGE, saying what is allowed; an endpoint with a password in it is never repeated. Threads: reentrant.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define S3_MAX_KEY_BYTES    1024
#define S3_MAX_BUCKET_BYTES 255
#define S3_MAX_REGION_BYTES 63
#define S3_DEFAULT_REGION   "us-east-1"

typedef enum {
    S3_STYLE_AUTO,
    S3_STYLE_PATH,
    S3_STYLE_VIRTUAL,           /* so far the numbers of DestLearned.style */
    S3_STYLE_DOMAIN,            /* the endpoint is a name of the bucket itself */
} S3Style;

/* Zeroed memory is AWS itself: scheme https, host made from the region. */
typedef struct {
    bool  plain;        /* http */
    char *host;         /* lower case, IPv6 without brackets; NULL = AWS in the region of the request */
    int   port;         /* -1 or 0 = the scheme's */
    char *base;         /* path in front of all others: "/s3/base"; NULL = none */
    char *region;       /* told by an AWS host ("s3.eu-west-1.amazonaws.com"); NULL */
} S3Endpoint;

/* url NULL or "" = AWS. out must be zeroed; clear it whatever the result. */
bool s3_endpoint_parse(S3Endpoint *out, const char *url, GError **error);
void s3_endpoint_clear(S3Endpoint *ep);
bool s3_endpoint_is_aws(const S3Endpoint *ep);

bool s3_check_bucket(const S3Endpoint *ep, const char *bucket, GError **error);
bool s3_check_key(const char *key, GError **error);
bool s3_region_valid(const char *region);

/* The style that is used for this bucket when `wanted` is asked for. */
S3Style s3_style(const S3Endpoint *ep, const char *bucket, S3Style wanted);
/* URL of an object, or of the bucket (key NULL); no query. Caller frees. */
char   *s3_url(const S3Endpoint *ep, const char *region, const char *bucket, const char *key, S3Style wanted);
/* Appends "&name=value", both encoded; the first one without '&'. */
void    s3_query_add(GString *query, const char *name, const char *value);
/* Decodes "%2B" and '+' as in listings of encoding-type url; NULL when malformed. Caller frees. */
char   *s3_url_decode(const char *text);
