#include "given.h"

#include <string.h>

#include "s3_url.h"

enum { MAX_TAGS = 10, MAX_GIVEN = 50 };

static bool name_valid(const char *name)
{
    if (*name == '\0')
        return false;
    for (const char *p = name; *p != '\0'; p++)
        if (!g_ascii_isalnum(*p) && strchr("-_.", *p) == NULL)
            return false;
    return true;
}

static bool value_valid(const char *value)
{
    for (const char *p = value; *p != '\0'; p++)
        if (g_ascii_iscntrl(*p))
            return false;
    return g_utf8_validate(value, -1, NULL);
}

/* These are hoist's own to send, or would undo what it checks. */
static bool is_reserved(const Given *given, const char *name)
{
    static const char *const plain[] = { "host",   "authorization", "connection",    "content-length",    "content-md5", "date",
                                         "expect", "if-match",      "if-none-match", "transfer-encoding", NULL };
    static const char *const of_vendor[] = { "content-sha256", "date",         "security-token",   "tagging",       "acl", "storage-class",
                                             "callback",       "callback-var", "forbid-overwrite", "traffic-limit", NULL };
    g_autofree char *lower = g_ascii_strdown(name, -1);
    if (!g_str_has_prefix(lower, given->vendor))
        return g_strv_contains(plain, lower);
    const char *rest = lower + strlen(given->vendor);
    return g_strv_contains(of_vendor, rest) || g_str_has_prefix(rest, "checksum-") || g_str_has_prefix(rest, "meta-hoist-");
}

static void take_header(Given *given, char *name, char *value)
{
    g_ptr_array_add(given->headers, name);
    g_ptr_array_add(given->headers, value);
}

/* Splits "name SEPARATOR value"; false when a half is missing or holds what it must not. */
bool given_split(const char *text, char separator, char **name_out, char **value_out)
{
    const char *at = strchr(text, separator);
    if (at == NULL)
        return false;
    g_autofree char *name = g_strstrip(g_strndup(text, (gsize)(at - text)));
    g_autofree char *value = g_strstrip(g_strdup(at + 1));
    if (*name == '\0' || !value_valid(name) || !value_valid(value))
        return false;
    *name_out = g_steal_pointer(&name);
    *value_out = g_steal_pointer(&value);
    return true;
}

static bool add_header(Given *given, const char *text, GError **error)
{
    g_autofree char *name = NULL, *value = NULL;
    if (!given_split(text, ':', &name, &value) || !name_valid(name)) {
        fault_set(error, FAULT_USAGE, "--header is written \"Name: value\"");
        return false;
    }
    if (is_reserved(given, name)) {
        fault_set(error, FAULT_USAGE, "--header %s: this one is hoist's own", name);
        return false;
    }
    if (g_ascii_strcasecmp(name, "content-type") == 0)
        given->own_content_type = true;
    take_header(given, g_steal_pointer(&name), g_steal_pointer(&value));
    return true;
}

/* Metadata is US-ASCII; other text travels as an encoded word (RFC 2047), which S3 and browsers understand. */
static char *encode_meta(const char *value)
{
    if (g_str_is_ascii(value))
        return g_strdup(value);
    g_autofree char *base64 = g_base64_encode((const guchar *)value, strlen(value));
    return g_strdup_printf("=?UTF-8?B?%s?=", base64);
}

static bool add_meta(Given *given, const char *text, GError **error)
{
    g_autofree char *name = NULL, *value = NULL;
    if (!given_split(text, '=', &name, &value) || !name_valid(name)) {
        fault_set(error, FAULT_USAGE, "--meta is written NAME=VALUE; a name has letters, digits, '-', '_', '.'");
        return false;
    }
    g_autofree char *lower = g_ascii_strdown(name, -1);
    g_autofree char *header = g_strconcat(given->vendor, "meta-", lower, NULL);
    if (is_reserved(given, header)) {
        fault_set(error, FAULT_USAGE, "--meta %s: this one is hoist's own", name);
        return false;
    }
    take_header(given, g_steal_pointer(&header), encode_meta(value));
    return true;
}

static bool add_tag(Given *given, const char *text, GError **error)
{
    g_autofree char *name = NULL, *value = NULL;
    if (!given_split(text, '=', &name, &value)) {
        fault_set(error, FAULT_USAGE, "--tag is written NAME=VALUE");
        return false;
    }
    GString *query = g_string_new(given->tagging);
    s3_query_add(query, name, value);
    g_free(given->tagging);
    given->tagging = g_string_free(query, FALSE);
    return true;
}

static bool each_line(Given *given, const DestConf *conf, const char *option, unsigned most, bool (*add)(Given *, const char *, GError **),
                      GError **error)
{
    const char *joined = dest_conf_option(conf, option);
    g_auto(GStrv) lines = g_strsplit(joined == NULL ? "" : joined, "\n", -1);
    unsigned n = 0;
    for (unsigned i = 0; lines[i] != NULL; i++) {
        if (*lines[i] == '\0')
            continue;
        if (!add(given, lines[i], error))
            return false;
        n++;
    }
    if (n > most)
        fault_set(error, FAULT_USAGE, "--%s may be given %u times at most", option, most);
    return n <= most;
}

/* ---- open and close */

bool given_plain(const DestConf *conf, const char *option, GError **error)
{
    const char *value = dest_conf_option(conf, option);
    if (value == NULL || (*value != '\0' && g_str_is_ascii(value) && value_valid(value)))
        return true;
    fault_set(error, FAULT_USAGE, "--%s must be plain text", option);
    return false;
}

bool given_open(Given *given, const DestConf *conf, const char *vendor, GError **error)
{
    given->vendor = vendor;
    given->headers = g_ptr_array_new_with_free_func(g_free);
    return given_plain(conf, "acl", error) && given_plain(conf, "storage-class", error) &&
           each_line(given, conf, "header", MAX_GIVEN, add_header, error) && each_line(given, conf, "meta", MAX_GIVEN, add_meta, error) &&
           each_line(given, conf, "tag", MAX_TAGS, add_tag, error);
}

void given_clear(Given *given)
{
    g_clear_pointer(&given->headers, g_ptr_array_unref);
    g_clear_pointer(&given->tagging, g_free);
}

/* ---- what is sent */

/* Seconds with nine decimals, as rclone writes and reads it. */
static char *mtime_text(int64_t mtime_ns)
{
    const uint64_t ns = mtime_ns < 0 ? 0 - (uint64_t)mtime_ns : (uint64_t)mtime_ns;
    const uint64_t second = 1000000000;
    return g_strdup_printf("%s%" G_GUINT64_FORMAT ".%09" G_GUINT64_FORMAT, mtime_ns < 0 ? "-" : "", ns / second, ns % second);
}

static void send_vendor(const Given *given, const char *name, const char *value, GivenSend send, gpointer to)
{
    g_autofree char *full = g_strconcat(given->vendor, name, NULL);
    send(to, full, value);
}

void given_each(const Given *given, const Upload *up, GivenSend send, gpointer to)
{
    if (up->content_type != NULL && !given->own_content_type)
        send(to, "Content-Type", up->content_type);
    for (unsigned i = 0; i + 1 < given->headers->len; i += 2)
        send(to, given->headers->pdata[i], given->headers->pdata[i + 1]);
    g_autofree char *mtime = mtime_text(up->mtime_ns);
    send_vendor(given, "meta-mtime", mtime, send, to);
    if (up->nonce != NULL)
        send_vendor(given, GIVEN_NONCE, up->nonce, send, to);
}

void given_to_request(gpointer rq, const char *name, const char *value)
{
    request_header(rq, name, value);
}
