#include "s3_answers.h"

#include <string.h>

#include "answer.h"
#include "s3_url.h"

typedef struct {
    const char *code; /* NULL in the table of statuses */
    int status;       /* 0 = any */
    S3Class class;
    FaultCode fault;
    const char *hint;
} Meaning;

/* By code; the first row that fits counts. A '*' at the end stands for any rest. */
static const Meaning by_code[] = {
    { "SlowDown*", 0, S3_THROTTLE, FAULT_SLOW_DOWN, NULL },
    { "ServiceUnavailable", 0, S3_THROTTLE, FAULT_SLOW_DOWN, NULL },
    { "TooManyRequests", 0, S3_THROTTLE, FAULT_SLOW_DOWN, NULL },
    { "ServerBusy", 0, S3_THROTTLE, FAULT_SLOW_DOWN, NULL },
    { "RequestLimitExceeded", 0, S3_THROTTLE, FAULT_SLOW_DOWN, NULL },
    { "BandwidthLimitExceeded", 0, S3_THROTTLE, FAULT_SLOW_DOWN, NULL },
    { "QpsLimitExceeded", 0, S3_THROTTLE, FAULT_SLOW_DOWN, NULL }, /* of OSS, as the next two */
    { "UploadTrafficRateLimitExceeded", 0, S3_THROTTLE, FAULT_SLOW_DOWN, NULL },
    { "DownloadTrafficRateLimitExceeded", 0, S3_THROTTLE, FAULT_SLOW_DOWN, NULL },
    { "Throttling*", 0, S3_THROTTLE, FAULT_SLOW_DOWN, NULL },
    { "RequestTimeout", 503, S3_THROTTLE, FAULT_SLOW_DOWN, NULL }, /* MinIO: a lock was not to be had */
    { "RequestTimeout*", 0, S3_RETRY, FAULT_STALLED, NULL },
    { "IncompleteBody", 0, S3_RETRY, FAULT_BROKEN, NULL },
    { "InternalError", 0, S3_RETRY, FAULT_SERVER, NULL },
    { "InternalFailure", 0, S3_RETRY, FAULT_SERVER, NULL },
    { "InternalServerError", 0, S3_RETRY, FAULT_SERVER, NULL },
    { "OperationAborted", 0, S3_RETRY, FAULT_CONFLICT, NULL },
    { "ConditionalRequestConflict", 0, S3_RETRY, FAULT_CONFLICT, NULL },
    { "BadDigest", 0, S3_RETRY_BOUNDED, FAULT_CHECKSUM, NULL },
    { "InvalidDigest", 0, S3_RETRY_BOUNDED, FAULT_CHECKSUM, NULL },
    { "XAmzContentSHA256Mismatch", 0, S3_RETRY_BOUNDED, FAULT_CHECKSUM, NULL },
    { "XAmzContentChecksumMismatch", 0, S3_RETRY_BOUNDED, FAULT_CHECKSUM, NULL },

    { "RequestTimeTooSkewed", 0, S3_FIX_CLOCK, FAULT_CLOCK, NULL },
    { "PermanentRedirect", 0, S3_REDIRECT_REGION, FAULT_REGION, NULL },
    { "AuthorizationHeaderMalformed", 0, S3_REDIRECT_REGION, FAULT_REGION, NULL },
    { "IllegalLocationConstraintException", 0, S3_REDIRECT_REGION, FAULT_REGION, NULL },
    { "InvalidRegion", 0, S3_REDIRECT_REGION, FAULT_REGION, NULL },
    { "TemporaryRedirect", 0, S3_REDIRECT_ONCE, FAULT_ENDPOINT, NULL },
    { "SecondLevelDomainForbidden", 0, S3_DROP_FEATURE, FAULT_ENDPOINT,
      "this store takes the bucket in the host name only (--addressing virtual)" },

    { "ExpiredToken*", 0, S3_REFRESH_CREDENTIALS, FAULT_EXPIRED, NULL },
    { "InvalidToken", 0, S3_REFRESH_CREDENTIALS, FAULT_EXPIRED, NULL },
    { "TokenRefreshRequired", 0, S3_REFRESH_CREDENTIALS, FAULT_EXPIRED, NULL },
    { "SecurityTokenExpired", 0, S3_REFRESH_CREDENTIALS, FAULT_EXPIRED, NULL },
    { "InvalidSecurityToken", 0, S3_REFRESH_CREDENTIALS, FAULT_EXPIRED, NULL },
    { "SecurityTokenNotSupported", 0, S3_REFRESH_CREDENTIALS, FAULT_EXPIRED, NULL },
    { "AccessDenied", 0, S3_REFUSE, FAULT_DENIED, NULL },
    { "AllAccessDisabled", 0, S3_REFUSE, FAULT_DENIED, NULL },
    { "UserDisable", 0, S3_REFUSE, FAULT_DENIED, "the account is closed, or has not been paid for" },
    { "AccountProblem", 0, S3_REFUSE, FAULT_DENIED, NULL },
    { "SignatureDoesNotMatch", 0, S3_REFUSE, FAULT_SIGNATURE, NULL },
    { "InvalidAccessKeyId", 0, S3_REFUSE, FAULT_UNKNOWN_KEY, NULL },
    { "KMS.*", 0, S3_REFUSE, FAULT_REFUSED, "the key for encryption (--sse) cannot be used" },

    { "NoSuchBucket", 0, S3_REFUSE, FAULT_NO_BUCKET, NULL },
    { "InvalidBucketName", 0, S3_REFUSE, FAULT_NO_BUCKET, NULL },
    { "NoSuchUpload", 0, S3_RESTART_UPLOAD, FAULT_UPLOAD_GONE, NULL },
    { "InvalidPart", 0, S3_RESTART_UPLOAD, FAULT_PART, NULL },
    { "EntityTooSmall", 0, S3_RESTART_UPLOAD, FAULT_PART, "parts are too small for this store (--part-size)" },
    { "InvalidPartOrder", 0, S3_REFUSE, FAULT_BUG, NULL },
    { "MalformedXML", 0, S3_REFUSE, FAULT_BUG, NULL },
    { "EntityTooLarge", 0, S3_REFUSE, FAULT_TOO_LARGE, NULL },
    { "PreconditionFailed", 0, S3_EXISTS, FAULT_EXISTS, NULL },
    { "FileAlreadyExists", 0, S3_EXISTS, FAULT_EXISTS, NULL },
    { "ObjectAlreadyExists", 0, S3_EXISTS, FAULT_EXISTS, NULL },

    { "AccessControlListNotSupported", 0, S3_DROP_ACL, FAULT_UNSUPPORTED, "this bucket takes no --acl" },
    { "NotImplemented", 0, S3_DROP_FEATURE, FAULT_UNSUPPORTED, NULL },
    { "MethodNotAllowed", 0, S3_REFUSE, FAULT_UNSUPPORTED, NULL },
    { "QuotaExceeded", 0, S3_REFUSE, FAULT_QUOTA, NULL },
    { "XMinioAdminBucketQuotaExceeded", 0, S3_REFUSE, FAULT_QUOTA, NULL },
    { "XMinioStorageFull", 0, S3_REFUSE, FAULT_QUOTA, NULL },
    { "StorageCapExceeded", 0, S3_REFUSE, FAULT_QUOTA, NULL },
    { "CallbackFailed", 0, S3_CALLBACK_FAILED, FAULT_REFUSED, "the object is stored, the store's callback failed" },

    { "KeyTooLongError", 0, S3_REFUSE, FAULT_KEY, "shorten the name or the prefix" },
    { "InvalidObjectName", 0, S3_REFUSE, FAULT_KEY, NULL },
    { "MetadataTooLarge", 0, S3_REFUSE, FAULT_REFUSED, "fewer or shorter --meta" },
    { "InvalidStorageClass", 0, S3_REFUSE, FAULT_REFUSED, "another --storage-class" },
    { "InvalidTag", 0, S3_REFUSE, FAULT_REFUSED, "correct --tag" },
    { "InvalidArgument", 0, S3_REFUSE, FAULT_REFUSED, NULL },
    { "InvalidRequest", 0, S3_REFUSE, FAULT_REFUSED, NULL },
    { "MissingContentLength", 0, S3_REFUSE, FAULT_REFUSED, "a proxy in between may have dropped Content-Length" },
    { "InvalidObjectState", 0, S3_REFUSE, FAULT_REFUSED, NULL },
};

/* By status, where there is no code or an unknown one. */
static const Meaning by_status[] = {
    { NULL, 301, S3_REDIRECT_REGION, FAULT_REGION, NULL },
    { NULL, 307, S3_REDIRECT_ONCE, FAULT_ENDPOINT, NULL },
    { NULL, 401, S3_REFUSE, FAULT_DENIED, NULL },
    { NULL, 403, S3_REFUSE, FAULT_DENIED, NULL },
    { NULL, 404, S3_REFUSE, FAULT_ENDPOINT, NULL },
    { NULL, 405, S3_REFUSE, FAULT_UNSUPPORTED, NULL },
    { NULL, 407, S3_REFUSE, FAULT_PROXY, NULL },
    { NULL, 408, S3_RETRY, FAULT_STALLED, NULL },
    { NULL, 409, S3_RETRY, FAULT_CONFLICT, NULL },
    { NULL, 412, S3_EXISTS, FAULT_EXISTS, NULL },
    { NULL, 413, S3_REFUSE, FAULT_TOO_LARGE, "a proxy or the store limits the size of a request (smaller --part-size)" },
    { NULL, 425, S3_RETRY, FAULT_SERVER, NULL },
    { NULL, 429, S3_THROTTLE, FAULT_SLOW_DOWN, NULL },
    { NULL, 501, S3_DROP_FEATURE, FAULT_UNSUPPORTED, NULL },
    { NULL, 503, S3_THROTTLE, FAULT_SLOW_DOWN, NULL },
    { NULL, 507, S3_REFUSE, FAULT_QUOTA, NULL },
};

static const char *const class_names[] = { [S3_FINE] = "fine",
                                           [S3_RETRY] = "retry",
                                           [S3_RETRY_BOUNDED] = "retry-bounded",
                                           [S3_THROTTLE] = "throttle",
                                           [S3_REFRESH_CREDENTIALS] = "refresh-credentials",
                                           [S3_RENEW_URL] = "renew-url",
                                           [S3_FIX_CLOCK] = "fix-clock",
                                           [S3_REDIRECT_REGION] = "redirect-region",
                                           [S3_REDIRECT_ONCE] = "redirect-once",
                                           [S3_RESTART_UPLOAD] = "restart-upload",
                                           [S3_EXISTS] = "exists",
                                           [S3_DROP_ACL] = "drop-acl",
                                           [S3_DROP_FEATURE] = "drop-feature",
                                           [S3_CALLBACK_FAILED] = "stored-but-callback-failed",
                                           [S3_REFUSE] = "refuse" };

const char *s3_answer_class(const S3Answer *a)
{
    return class_names[a->class];
}

Verdict s3_class_verdict(S3Class class)
{
    static const Verdict verdicts[] = {
        [S3_FINE] = VERDICT_OK,
        [S3_RETRY] = VERDICT_RETRY,
        [S3_RETRY_BOUNDED] = VERDICT_RETRY,
        [S3_THROTTLE] = VERDICT_RETRY,
        [S3_REFRESH_CREDENTIALS] = VERDICT_FAIL,
        [S3_RENEW_URL] = VERDICT_FAIL,
        [S3_FIX_CLOCK] = VERDICT_AGAIN,
        [S3_REDIRECT_REGION] = VERDICT_AGAIN,
        [S3_REDIRECT_ONCE] = VERDICT_RETRY,
        [S3_RESTART_UPLOAD] = VERDICT_RESTART,
        [S3_EXISTS] = VERDICT_FAIL,
        [S3_DROP_ACL] = VERDICT_AGAIN,
        [S3_DROP_FEATURE] = VERDICT_AGAIN,
        [S3_CALLBACK_FAILED] = VERDICT_UNKNOWN,
        [S3_REFUSE] = VERDICT_FAIL,
    };
    return verdicts[class];
}

/* ---- reading */

static bool code_fits(const char *pattern, const char *code)
{
    const size_t bytes = strlen(pattern);
    if (pattern[bytes - 1] == '*')
        return strncmp(pattern, code, bytes - 1) == 0;
    return g_str_equal(pattern, code);
}

static const Meaning *find_code(const char *code, int status)
{
    for (unsigned i = 0; code != NULL && i < G_N_ELEMENTS(by_code); i++)
        if (code_fits(by_code[i].code, code) && (by_code[i].status == 0 || by_code[i].status == status))
            return &by_code[i];
    return NULL;
}

static Meaning find_status(int status)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(by_status); i++)
        if (by_status[i].status == status)
            return by_status[i];
    if (status >= 500)
        return (Meaning){ .class = S3_RETRY, .fault = FAULT_SERVER };
    if (status >= 400)
        return (Meaning){ .class = S3_REFUSE, .fault = FAULT_REFUSED };
    if (status >= 300)
        return (Meaning){ .class = S3_REFUSE, .fault = FAULT_ENDPOINT };
    return (Meaning){ .class = S3_RETRY, .fault = FAULT_BAD_ANSWER };
}

/* A request with an optional header that this store does not know, told in many ways. */
static bool is_unknown_header(const S3Answer *a)
{
    if (g_strcmp0(a->code, "InvalidArgument") != 0 && g_strcmp0(a->code, "InvalidRequest") != 0)
        return false;
    const bool refusing = s3_answer_names(a, "unsupported") || s3_answer_names(a, "not supported") || s3_answer_names(a, "not implemented");
    return refusing && (s3_answer_names(a, "header") || s3_answer_names(a, "checksum") || s3_answer_names(a, "x-amz-"));
}

static bool is_expired_url(const S3Answer *a)
{
    const bool told = s3_answer_names(a, "request has expired") || s3_answer_names(a, "policy expired");
    return g_strcmp0(a->code, "AccessDenied") == 0 && (told || s3_answer_field(a, "Expires") != NULL);
}

static void classify(S3Answer *a, const Response *rs)
{
    /* under a 2xx the status is a lie: the document counts, as if it came with 500 */
    const int status = a->status < 300 && a->code != NULL ? 500 : a->status;
    const Meaning *known = find_code(a->code, status);
    const Meaning meaning = known != NULL ? *known : find_status(status);
    a->class = meaning.class;
    a->fault = meaning.fault;
    a->hint = meaning.hint;
    if (is_expired_url(a)) {
        a->class = S3_RENEW_URL;
        a->fault = FAULT_EXPIRED;
    } else if (is_unknown_header(a)) {
        a->class = S3_DROP_FEATURE;
        a->fault = FAULT_UNSUPPORTED;
    } else if (a->code == NULL && a->status == 400 && response_header(rs, "x-amz-bucket-region") != NULL) {
        a->class = S3_REDIRECT_REGION; /* HEAD has no body to say so */
        a->fault = FAULT_REGION;
    }
}

static bool is_error_document(const Body *body)
{
    return g_strcmp0(body->root, "Error") == 0 || g_strcmp0(body->root, "ErrorResponse") == 0;
}

/* rclone's server calls its answer InitiateMultipartUpload, without the Result. */
static bool is_short_for(const Body *body, const char *root)
{
    return body->state == BODY_WHOLE && body->root != NULL && g_str_has_prefix(root, body->root) &&
           g_str_equal(root + strlen(body->root), "Result");
}

static bool is_fine(const S3Answer *a, const Response *rs, const char *root)
{
    if (a->status < 200 || a->status > 299 || is_error_document(a->body))
        return false;
    if (root != NULL)
        return body_is(a->body, root) || is_short_for(a->body, root);
    /* A login page of the network in between answers 200 to everything. A store sends no document here, or names an ETag. */
    return a->body->state == BODY_EMPTY || response_header(rs, "etag") != NULL;
}

/* OSS tells the error of a HEAD, which has no body, in a header. */
static Body *read_body(const Response *rs)
{
    const char *told = rs->body->len == 0 ? response_header(rs, "x-oss-err") : NULL;
    if (told == NULL)
        return body_parse(rs->body->data, rs->body->len);
    gsize bytes;
    g_autofree guchar *document = g_base64_decode(told, &bytes);
    return body_parse(document, bytes);
}

S3Answer *s3_answer_new(const Response *rs, const char *root)
{
    S3Answer *a = g_new0(S3Answer, 1);
    a->status = rs->status;
    a->body = read_body(rs);
    a->is_error = !is_fine(a, rs, root);
    const char *id = response_header(rs, "x-amz-request-id");
    a->own_id = g_strdup(id != NULL ? id : response_header(rs, "x-oss-request-id"));
    a->request_id = a->own_id;
    if (!a->is_error)
        return a;
    if (is_error_document(a->body)) {
        a->code = s3_answer_field(a, "Code");
        a->message = s3_answer_field(a, "Message");
        a->request_id = s3_answer_field(a, "RequestId");
        if (a->request_id == NULL)
            a->request_id = a->own_id;
    }
    if (a->code != NULL && *a->code == '\0')
        a->code = NULL;
    classify(a, rs);
    return a;
}

void s3_answer_free(S3Answer *a)
{
    if (a == NULL)
        return;
    body_free(a->body);
    g_free(a->own_id);
    g_free(a);
}

const char *s3_answer_field(const S3Answer *a, const char *name)
{
    const char *value = NULL;
    if (g_strcmp0(a->body->root, "ErrorResponse") == 0)
        value = body_row_field(a->body, 0, name);
    return value != NULL ? value : body_field(a->body, name);
}

static bool has_word(const char *text, const char *word)
{
    if (text == NULL)
        return false;
    g_autofree char *lower = g_ascii_strdown(text, -1);
    return strstr(lower, word) != NULL;
}

bool s3_answer_names(const S3Answer *a, const char *word)
{
    static const char *const fields[] = { "Message", "Header", "ArgumentName", "Details", "Condition" };
    for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++)
        if (has_word(s3_answer_field(a, fields[i]), word))
            return true;
    return false;
}

/* "bucket.s3.eu-west-1.amazonaws.com", "s3-eu-west-1.amazonaws.com" -> "eu-west-1" */
static char *region_of_endpoint(const char *endpoint)
{
    const char *begin = endpoint == NULL ? NULL : g_strrstr(endpoint, "s3");
    const char *end = begin == NULL ? NULL : strstr(begin, ".amazonaws.");
    if (end == NULL || end - begin < 4 || (begin[2] != '.' && begin[2] != '-'))
        return NULL;
    return g_strndup(begin + 3, (gsize)(end - begin - 3));
}

/* "the region 'us-east-1' is wrong; expecting 'eu-central-1'" */
static char *region_of_message(const char *message)
{
    static const char expecting[] = "expecting '";
    const char *begin = message == NULL ? NULL : strstr(message, expecting);
    if (begin == NULL)
        return NULL;
    begin += strlen(expecting);
    return g_strndup(begin, strcspn(begin, "'"));
}

char *s3_answer_region(const S3Answer *a, const Response *rs)
{
    g_autofree char *region = g_strdup(response_header(rs, "x-amz-bucket-region"));
    if (region == NULL && a->class == S3_REDIRECT_REGION)
        region = g_strdup(s3_answer_field(a, "Region"));
    if (region == NULL)
        region = region_of_message(a->message);
    if (region == NULL)
        region = region_of_endpoint(s3_answer_field(a, "Endpoint"));
    return region != NULL && s3_region_valid(region) ? g_steal_pointer(&region) : NULL;
}

bool s3_parse_time(const char *text, int64_t *unix_s_out)
{
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) t = text == NULL ? NULL : g_date_time_new_from_iso8601(text, utc);
    if (t != NULL)
        *unix_s_out = g_date_time_to_unix(t);
    return t != NULL;
}

bool s3_answer_time(const S3Answer *a, const Response *rs, int64_t *unix_s_out)
{
    return response_date(rs, unix_s_out) || s3_parse_time(s3_answer_field(a, "ServerTime"), unix_s_out);
}

/* ---- words for the person */

static const char *body_words(const S3Answer *a)
{
    switch (a->body->state) {
    case BODY_EMPTY:
        return "no words from the server";
    case BODY_ALIEN:
        return "the answer is not XML";
    case BODY_CUT:
        return "the answer was cut";
    case BODY_WHOLE:
        break;
    }
    return a->code != NULL ? "no message" : "not the answer of an object store";
}

char *s3_answer_cause(const S3Answer *a, const Credentials *creds)
{
    const bool told = a->message != NULL && *a->message != '\0';
    return answer_cause_hint(a->status, a->code, told ? a->message : body_words(a), a->hint, a->request_id, creds);
}

/* ---- ETags */

static char *unquoted(const char *etag)
{
    const size_t bytes = strlen(etag);
    if (bytes >= 2 && etag[0] == '"' && etag[bytes - 1] == '"')
        return g_strndup(etag + 1, bytes - 2);
    return g_strdup(etag);
}

char *s3_etag_md5(const char *etag, const Response *rs)
{
    const char *sse = response_header(rs, "x-amz-server-side-encryption");
    if (etag == NULL || (sse != NULL && g_str_has_prefix(sse, "aws:kms")) ||
        response_header(rs, "x-amz-server-side-encryption-customer-algorithm") != NULL)
        return NULL;
    g_autofree char *bare = unquoted(etag);
    const size_t hex_digits = strspn(bare, "0123456789abcdefABCDEF");
    const char *rest = bare + hex_digits;
    if (hex_digits != 32 || (*rest != '\0' && (*rest != '-' || rest[1] == '\0' || rest[1 + strspn(rest + 1, "0123456789")] != '\0')))
        return NULL;
    return g_steal_pointer(&bare);
}

bool s3_etag_equal(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return false;
    g_autofree char *bare_a = unquoted(a), *bare_b = unquoted(b);
    return g_ascii_strcasecmp(bare_a, bare_b) == 0;
}
