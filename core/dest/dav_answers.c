#include <string.h>

#include "answer.h"
#include "body.h"
#include "dav_priv.h"

enum { MAX_PROPSTATS = 4 };

/* ---- reading a multistatus */

static bool is_status(const char *line, const char *code)
{
    const char *space = line == NULL ? NULL : strchr(line, ' ');
    return space != NULL && g_str_has_prefix(space + 1, code);
}

/* A property that the server gives; those that it lacks come in a propstat of another status. */
static const char *property(const Body *body, unsigned row, const char *name)
{
    for (unsigned n = 1; n <= MAX_PROPSTATS; n++) {
        char number[4] = "";
        if (n > 1)
            g_snprintf(number, sizeof number, "%u", n);
        g_autofree char *status = g_strdup_printf("propstat%s/status", number);
        g_autofree char *path = g_strdup_printf("propstat%s/prop/%s", number, name);
        if (is_status(body_row_field(body, row, status), "200"))
            return body_row_field(body, row, path);
    }
    return NULL;
}

static int64_t http_time(const char *text)
{
    int64_t unix_s = 0;
    if (text == NULL)
        return 0;
    g_autoptr(Response) rs = response_new();
    response_add_header(rs, "date", strlen("date"), text, strlen(text));
    return response_date(rs, &unix_s) ? unix_s : 0;
}

static bool read_bytes(const char *text, uint64_t *bytes_out)
{
    guint64 bytes;
    if (text == NULL || !g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, &bytes, NULL))
        return false;
    *bytes_out = bytes;
    return true;
}

/* NULL and an error when it is none. */
static Body *multistatus(const Response *rs, GError **error)
{
    g_autoptr(Body) body = body_parse(rs->body->data, rs->body->len);
    if (body_is(body, "multistatus"))
        return g_steal_pointer(&body);
    fault_set(error, FAULT_BAD_ANSWER, "%d: the answer to PROPFIND is no multistatus document", rs->status);
    return NULL;
}

/* ---- one resource */

void dav_stat_clear(DavStat *stat)
{
    g_free(stat->etag);
    g_free(stat->checksums);
    *stat = (DavStat){ 0 };
}

static bool has_propfind(const DestCtx *ctx)
{
    return dest_learned_fact(ctx->learned, DAV_FACT_PROPFIND) == NULL;
}

static Request *propfind(const DestCtx *ctx, const char *path, const char *depth, const char *properties, GError **error)
{
    Request *rq = dav_request(ctx, "PROPFIND", path, error);
    if (rq == NULL)
        return NULL;
    request_header(rq, "Depth", depth);
    request_header(rq, "Content-Type", "application/xml; charset=utf-8");
    char *document =
        g_strconcat("<?xml version=\"1.0\" encoding=\"utf-8\"?><d:propfind xmlns:d=\"DAV:\" xmlns:oc=\"http://owncloud.org/ns\">"
                    "<d:prop>",
                    properties, "</d:prop></d:propfind>", NULL);
    request_body_bytes(rq, g_bytes_new_take(document, strlen(document)));
    return rq;
}

Request *dav_stat_request(const DestCtx *ctx, const char *path, GError **error)
{
    if (!has_propfind(ctx))
        return dav_request(ctx, "HEAD", path, error);
    return propfind(ctx, path, "0", "<d:resourcetype/><d:getcontentlength/><d:getlastmodified/><d:getetag/><oc:checksums/>", error);
}

static Verdict stat_of_propfind(const Response *rs, DavStat *stat_out, GError **error)
{
    g_autoptr(Body) body = multistatus(rs, error);
    if (body == NULL || body->rows->len == 0) {
        fault_set(error, FAULT_BAD_ANSWER, "%d: the answer to PROPFIND names nothing", rs->status);
        return VERDICT_RETRY;
    }
    if (is_status(body_row_field(body, 0, "status"), "404"))
        return VERDICT_MORE;
    *stat_out = (DavStat){ .collection = property(body, 0, "resourcetype/collection") != NULL };
    stat_out->has_size = read_bytes(property(body, 0, "getcontentlength"), &stat_out->size_bytes);
    stat_out->etag = g_strdup(property(body, 0, "getetag"));
    stat_out->modified_s = http_time(property(body, 0, "getlastmodified"));
    stat_out->checksums = g_strdup(property(body, 0, "checksums/checksum"));
    return VERDICT_OK;
}

static Verdict stat_of_head(const Response *rs, DavStat *stat_out)
{
    *stat_out = (DavStat){ .etag = g_strdup(response_header(rs, "etag")) };
    stat_out->has_size = read_bytes(response_header(rs, "content-length"), &stat_out->size_bytes);
    stat_out->modified_s = http_time(response_header(rs, "last-modified"));
    return VERDICT_OK;
}

Verdict dav_stat_read(const DestCtx *ctx, const Response *rs, DavStat *stat_out, GError **error)
{
    if (rs->status == 404 || rs->status == 410)
        return VERDICT_MORE;
    if (rs->status == 207)
        return stat_of_propfind(rs, stat_out, error);
    if (rs->status == 405 || rs->status == 501) {
        dest_learned_set_fact(ctx->learned, DAV_FACT_PROPFIND, "no");
        fault_set(error, FAULT_UNSUPPORTED, "%d: this server answers neither PROPFIND nor HEAD", rs->status);
        return VERDICT_AGAIN;
    }
    if (!has_propfind(ctx) && rs->status == 200)
        return stat_of_head(rs, stat_out);
    if (rs->status >= 200 && rs->status < 300) {
        fault_set(error, FAULT_ENDPOINT, "%d to PROPFIND: this is not a WebDAV address", rs->status);
        return VERDICT_FAIL;
    }
    return dav_failed(ctx, NULL, rs, error);
}

/* ---- the folder of chunks */

Request *dav_list_request(const DestCtx *ctx, const char *path, GError **error)
{
    Request *rq = propfind(ctx, path, "1", "<d:getcontentlength/>", error);
    if (rq != NULL)
        rq->answer_max = ANSWER_MAX_LIST;
    return rq;
}

/* "/remote.php/dav/uploads/me/hoist-ID/00012" -> 11. */
static bool chunk_of_href(const char *href, unsigned n_parts, unsigned *part_out)
{
    const char *slash = href == NULL ? NULL : strrchr(href, '/');
    guint64 number;
    if (slash == NULL || strlen(slash + 1) != DAV_CHUNK_DIGITS || !g_ascii_string_to_unsigned(slash + 1, 10, 1, n_parts, &number, NULL))
        return false;
    *part_out = (unsigned)number - 1;
    return true;
}

Verdict dav_list_read(const DestCtx *ctx, Upload *up, const Response *rs, GError **error)
{
    if (rs->status == 404) {
        fault_set(error, FAULT_UPLOAD_GONE, "404: the server has no chunks of this upload any more");
        return VERDICT_RESTART;
    }
    if (rs->status != 207)
        return dav_failed(ctx, up, rs, error);
    g_autoptr(Body) body = multistatus(rs, error);
    if (body == NULL)
        return VERDICT_RETRY;
    for (unsigned i = 0; i < up->n_parts; i++)
        up->parts[i].done = false;
    for (unsigned row = 0; row < body->rows->len; row++) {
        unsigned part;
        uint64_t bytes;
        if (chunk_of_href(body_row_field(body, row, "href"), up->n_parts, &part) &&
            read_bytes(property(body, row, "getcontentlength"), &bytes) && bytes == upload_part_bytes(up, part))
            up->parts[part].done = true;
    }
    return VERDICT_OK;
}

/* ---- checksums */

char *dav_checksum_text(const DestCtx *ctx, const Upload *up)
{
    const Dav *dav = dav_of(ctx);
    uint8_t value[DIGEST_MAX_BYTES];
    if (!dav->checks || !upload_object_digest(up, dav->digest, value))
        return NULL;
    g_autofree char *name = g_ascii_strup(digest_name(dav->digest), -1), *hex = digest_hex(value, digest_bytes(dav->digest));
    return g_strconcat(name, ":", hex, NULL);
}

static bool word_kind(const char *word, DigestKind *kind_out)
{
    g_autofree char *name = g_ascii_strdown(word, (gssize)strcspn(word, ":"));
    return strchr(word, ':') != NULL && digest_by_name(name, kind_out);
}

DavProof dav_prove(const DestCtx *ctx, Upload *up, const char *checksums)
{
    const Dav *dav = dav_of(ctx);
    g_auto(GStrv) words = g_strsplit(checksums == NULL ? "" : checksums, " ", -1);
    const unsigned n = g_strv_length(words);
    DavProof proof = DAV_PROOF_NONE;
    for (unsigned i = 0; i < n && proof != DAV_PROOF_WRONG; i++) {
        DigestKind kind;
        DigestSet set = { 0 };
        if (!word_kind(words[i], &kind) || !upload_object_digest(up, kind, set.value[kind]))
            continue;
        set.have = DIGEST_BIT(kind);
        g_autofree char *hex = digest_hex(set.value[kind], digest_bytes(kind));
        if (g_ascii_strcasecmp(strchr(words[i], ':') + 1, hex) != 0) {
            proof = DAV_PROOF_WRONG;
        } else if (n > 1 || kind != dav->digest || !dav->checks) {
            g_autofree char *base64 = digest_base64(&set, kind);
            g_autofree char *checksum = g_strdup_printf("%s:%s", digest_name(kind), base64);
            upload_set(&up->checksum, checksum);
            proof = DAV_PROOF_CHECKSUM;
        }
    }
    return proof;
}

/* ---- refusals */

static const AnswerRow rows[] = {
    { 400, "checksum", VERDICT_RETRY, FAULT_CHECKSUM, NULL },
    { 0, "invalidpath", VERDICT_FAIL, FAULT_KEY, NULL },
    { 0, "insufficientstorage", VERDICT_FAIL, FAULT_QUOTA, NULL },
    { 503, "maintenance", VERDICT_RETRY, FAULT_SERVER, "the server is being maintained" },
    { 404, NULL, VERDICT_FAIL, FAULT_ENDPOINT, "there is nothing at this address" },
    { 405, NULL, VERDICT_FAIL, FAULT_ENDPOINT, "not a WebDAV address, or nothing may be written there" },
    { 415, NULL, VERDICT_FAIL, FAULT_KEY, "the server takes no files of this kind or name" },
    { 0, NULL, VERDICT_OK, FAULT_NONE, NULL },
};

/* The same for a name that many servers cannot take, above all those with Windows' rules. */
static const AnswerRow odd_rows[] = {
    { 400, "checksum", VERDICT_RETRY, FAULT_CHECKSUM, NULL },
    { 400, NULL, VERDICT_FAIL, FAULT_KEY, "the name has characters that this server may not take" },
    { 403, NULL, VERDICT_FAIL, FAULT_KEY, "the name has characters that this server may not take" },
    { 415, NULL, VERDICT_FAIL, FAULT_KEY, "the name has characters that this server may not take" },
    { 0, NULL, VERDICT_OK, FAULT_NONE, NULL },
};

static bool is_odd_key(const char *key)
{
    g_auto(GStrv) segments = g_strsplit(key, "/", -1);
    for (unsigned i = 0; segments[i] != NULL; i++)
        if (strpbrk(segments[i], "\\:*?\"<>|") != NULL || g_str_has_suffix(segments[i], ".") || g_str_has_suffix(segments[i], " "))
            return true;
    return !g_utf8_validate(key, -1, NULL);
}

/* "Basic realm=\"a, b\", Digest realm=..." has two challenges: commas within quotes divide nothing. */
static bool names_scheme(const char *challenges, const char *scheme)
{
    const size_t bytes = strlen(scheme);
    bool quoted = false, begins = true;
    for (const char *p = challenges; *p != '\0'; p++) {
        if (*p == '"')
            quoted = !quoted;
        if (begins && g_ascii_strncasecmp(p, scheme, bytes) == 0 && strchr(" ,", p[bytes]) != NULL)
            return true;
        begins = !quoted && (*p == ',' || (begins && *p == ' '));
    }
    return false;
}

static bool offers(const Response *rs, const char *scheme)
{
    for (unsigned i = 0; i < rs->headers->len; i++) {
        const Header *header = &g_array_index(rs->headers, Header, i);
        if (g_str_equal(header->name, "www-authenticate") && names_scheme(header->value, scheme))
            return true;
    }
    return false;
}

/* Requests that were out when another one learned it come here too: they are told to ask again as well. */
static bool learn_auth(const DestCtx *ctx, const Response *rs)
{
    const DavAuth now = dav_auth_now(ctx);
    const bool basic = offers(rs, "basic"), digest = offers(rs, "digest");
    if (dav_of(ctx)->auth != DAV_AUTH_AUTO || (now != DAV_AUTH_BASIC && now != DAV_AUTH_DIGEST) || basic == digest)
        return false;
    const bool changed = (now == DAV_AUTH_DIGEST) != digest;
    dest_learned_set_fact(ctx->learned, DAV_FACT_AUTH, digest ? "digest" : NULL);
    return changed || digest;
}

static Verdict not_signed_in(const DestCtx *ctx, const Response *rs, const char *code, const char *message, GError **error)
{
    static const char *const hints[] = {
        [DAV_AUTH_NONE] = "the server wants a sign-in: say --user NAME and set HOIST_DAV_PASSWORD",
        [DAV_AUTH_BASIC] = "the server does not take this user and password (HOIST_DAV_PASSWORD)",
        [DAV_AUTH_DIGEST] = "the server does not take this user and password (HOIST_DAV_PASSWORD)",
        [DAV_AUTH_BEARER] = "the server does not take this token (HOIST_DAV_TOKEN)",
    };
    const DavAuth now = dav_auth_now(ctx);
    const char *hint = hints[now];
    if (dav_of(ctx)->auth == DAV_AUTH_BASIC && !offers(rs, "basic") && offers(rs, "digest"))
        hint = "the server wants --dav-auth digest";
    else if (dav_of(ctx)->auth == DAV_AUTH_DIGEST && !offers(rs, "digest") && offers(rs, "basic"))
        hint = "the server wants --dav-auth basic";
    g_autofree char *cause = answer_cause_hint(rs->status, code, message, hint, NULL, ctx->creds);
    fault_set(error, now == DAV_AUTH_NONE ? FAULT_NO_CREDENTIALS : FAULT_SIGNATURE, "%s", cause);
    return learn_auth(ctx, rs) ? VERDICT_AGAIN : VERDICT_FAIL;
}

bool dav_succeeded(const Response *rs)
{
    return rs->status >= 200 && rs->status < 300 && rs->status != 207;
}

Verdict dav_failed(const DestCtx *ctx, const Upload *up, const Response *rs, GError **error)
{
    g_autoptr(Body) body = body_parse(rs->body->data, rs->body->len);
    const bool is_error = g_strcmp0(body->root, "error") == 0;
    const char *message = is_error ? body_field(body, "message") : NULL, *code = is_error ? body_field(body, "exception") : NULL;
    const char *last = code == NULL ? NULL : strrchr(code, '\\'); /* Sabre\DAV\Exception\NotFound */
    code = last == NULL ? code : last + 1;
    if (rs->status / 100 == 3)
        message = response_header(rs, "location");
    else if (rs->status == 503 && message == NULL && response_header(rs, "x-nextcloud-maintenance-mode") != NULL)
        message = "maintenance mode";
    if (rs->status == 401)
        return not_signed_in(ctx, rs, code, message, error);
    return answer_failed(up != NULL && is_odd_key(up->key) ? odd_rows : rows, rs, code, message, ctx->creds, error);
}
