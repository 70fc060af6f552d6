#include "dest.h"

#include <stdio.h>
#include <string.h>

extern const DestOps dest_azure;
extern const DestOps dest_broker;
extern const DestOps dest_dav;
extern const DestOps dest_oss;
extern const DestOps dest_post;
extern const DestOps dest_qiniu;
extern const DestOps dest_s3;
extern const DestOps dest_tus;

static const DestOps *const table[] = {
    &dest_s3, &dest_post, &dest_dav, &dest_tus, &dest_qiniu, &dest_oss, &dest_azure, &dest_broker, NULL
};

/* ---- requests and responses ---- */

Request *request_new(const char *method)
{
    Request *rq = g_new0(Request, 1);
    rq->method = method;
    rq->headers = g_ptr_array_new_with_free_func(g_free);
    rq->answer_max = ANSWER_MAX_BYTES;
    return rq;
}

/* Headers hold signatures and session tokens. */
void secret_free(gpointer text)
{
    if (text != NULL)
        digest_wipe(text, strlen(text));
    g_free(text);
}

void request_free(Request *rq)
{
    if (rq == NULL)
        return;
    for (unsigned i = 0; i < rq->n_spans; i++)
        g_clear_pointer(&rq->spans[i].bytes, g_bytes_unref);
    g_ptr_array_set_free_func(rq->headers, secret_free);
    g_ptr_array_unref(rq->headers);
    secret_free(rq->url);
    g_free(rq->user);
    secret_free(rq->password);
    g_free(rq);
}

void request_header(Request *rq, const char *name, const char *value)
{
    GString *line = g_string_new(name);
    g_string_append(line, ": ");
    for (const char *p = value; *p != '\0'; p++)
        if (*p != '\r' && *p != '\n')
            g_string_append_c(line, *p);
    g_ptr_array_add(rq->headers, g_string_free(line, FALSE));
}

static void request_add_span(Request *rq, Span span)
{
    g_assert(rq->n_spans < REQUEST_MAX_SPANS);
    rq->spans[rq->n_spans++] = span;
    rq->body_bytes += span.length;
}

void request_body_bytes(Request *rq, GBytes *bytes)
{
    request_add_span(rq, (Span){ .bytes = bytes, .length = g_bytes_get_size(bytes) });
}

void request_body_file(Request *rq, uint64_t offset, uint64_t length)
{
    request_add_span(rq, (Span){ .offset = offset, .length = length });
}

static void header_clear(gpointer data)
{
    Header *h = data;
    g_free(h->name);
    g_free(h->value);
}

Response *response_new(void)
{
    Response *rs = g_new0(Response, 1);
    rs->headers = g_array_new(FALSE, TRUE, sizeof(Header));
    g_array_set_clear_func(rs->headers, header_clear);
    rs->body = g_byte_array_new();
    return rs;
}

void response_free(Response *rs)
{
    if (rs == NULL)
        return;
    g_array_unref(rs->headers);
    g_byte_array_unref(rs->body);
    g_free(rs);
}

void response_add_header(Response *rs, const char *name, size_t name_bytes, const char *value, size_t value_bytes)
{
    if (rs->headers->len >= RESPONSE_MAX_HEADERS || name_bytes == 0)
        return;
    g_autofree char *raw_name = g_strndup(name, name_bytes);
    Header h = { .name = g_ascii_strdown(raw_name, -1), .value = g_strstrip(g_strndup(value, value_bytes)) };
    g_array_append_val(rs->headers, h);
}

const char *response_header(const Response *rs, const char *lower_case_name)
{
    for (unsigned i = 0; i < rs->headers->len; i++) {
        const Header *h = &g_array_index(rs->headers, Header, i);
        if (g_str_equal(h->name, lower_case_name))
            return h->value;
    }
    return NULL;
}

/* The three forms of RFC 9110, section 5.6.7. strptime would follow the person's locale in the names of months. */
static bool parse_http_date(const char *text, int64_t *unix_s_out)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char month[4] = "", rest[4] = "";
    int day = 0, year = 0, hour = 0, minute = 0, second = 0;
    const char *comma = strchr(text, ',');

    if (comma != NULL) {
        if (sscanf(comma + 1, " %2d %3[A-Za-z] %4d %2d:%2d:%2d %3s", &day, month, &year, &hour, &minute, &second, rest) != 7 &&
            sscanf(comma + 1, " %2d-%3[A-Za-z]-%4d %2d:%2d:%2d %3s", &day, month, &year, &hour, &minute, &second, rest) != 7)
            return false;
    } else if (sscanf(text, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d", month, &day, &hour, &minute, &second, &year) != 6) {
        return false;
    }
    if (year >= 0 && year < 100)
        year += year < 70 ? 2000 : 1900;
    const char *found = strlen(month) == 3 ? strstr(months, month) : NULL;
    if (found == NULL || (found - months) % 3 != 0 || second < 0)
        return false;
    g_autoptr(GDateTime) t = g_date_time_new_utc(year, (int)(found - months) / 3 + 1, day, hour, minute, MIN(second, 59));
    if (t == NULL)
        return false;
    *unix_s_out = g_date_time_to_unix(t);
    return true;
}

bool response_date(const Response *rs, int64_t *unix_s_out)
{
    const char *date = response_header(rs, "date");
    return date != NULL && parse_http_date(date, unix_s_out);
}

int64_t response_retry_after_ms(const Response *rs, int64_t now_s)
{
    const int64_t most_s = 24 * 3600;
    const char *value = response_header(rs, "retry-after");
    if (value == NULL)
        return -1;
    guint64 seconds = 0;
    if (g_ascii_string_to_unsigned(value, 10, 0, G_MAXUINT64, &seconds, NULL))
        return (int64_t)MIN(seconds, (guint64)most_s) * 1000;

    int64_t until_s = 0, server_now_s = now_s;
    if (!parse_http_date(value, &until_s))
        return -1;
    response_date(rs, &server_now_s); /* both by the server's clock, when it tells it */
    return CLAMP(until_s - server_now_s, 0, most_s) * 1000;
}

/* ---- uploads ---- */

Upload *upload_new(const char *key, uint64_t size_bytes, int64_t mtime_ns)
{
    Upload *up = g_new0(Upload, 1);
    up->key = g_strdup(key);
    up->size_bytes = size_bytes;
    up->mtime_ns = mtime_ns;
    return up;
}

void grant_free(Grant *grant)
{
    if (grant == NULL)
        return;
    secret_free(grant->url);
    g_clear_pointer(&grant->headers, g_ptr_array_unref);
    g_clear_pointer(&grant->fields, g_ptr_array_unref);
    g_clear_pointer(&grant->values, g_hash_table_unref);
    g_free(grant);
}

void upload_set(char **field, const char *value)
{
    char *copy = g_strdup(value);
    g_free(*field);
    *field = copy;
}

bool upload_id_is_url(const char *upload_id)
{
    return upload_id != NULL && strstr(upload_id, "://") != NULL;
}

void upload_say(Upload *up, const char *note)
{
    upload_set(&up->note, note);
}

static void upload_free_parts(Upload *up)
{
    for (unsigned i = 0; up->parts != NULL && i < up->n_parts; i++) {
        g_free(up->parts[i].etag);
        secret_free(up->parts[i].handle);
        g_free(up->parts[i].digest);
    }
    g_clear_pointer(&up->parts, g_free);
    up->n_parts = 0;
}

void upload_free(Upload *up)
{
    if (up == NULL)
        return;
    upload_free_parts(up);
    g_free(up->key);
    g_free(up->name);
    g_free(up->content_type);
    g_free(up->nonce);
    secret_free(up->upload_id);
    g_free(up->memo);
    grant_free(up->grant);
    g_free(up->url);
    g_free(up->stored_key);
    g_free(up->list_marker);
    g_clear_pointer(&up->found, g_ptr_array_unref);
    g_free(up->etag);
    g_free(up->version);
    g_free(up->checksum);
    g_free(up->note);
    g_free(up);
}

void upload_plan(Upload *up, bool multipart, uint64_t part_size)
{
    g_assert(!multipart || part_size > 0);
    upload_free_parts(up);
    up->multipart = multipart;
    up->part_size = multipart ? part_size : up->size_bytes;
    up->n_parts = 1;
    if (multipart && up->size_bytes > 0)
        up->n_parts = (unsigned)((up->size_bytes - 1) / part_size + 1);
    up->parts = g_new0(Part, up->n_parts);
}

uint64_t upload_part_offset(const Upload *up, unsigned part)
{
    return up->part_size * part;
}

uint64_t upload_part_bytes(const Upload *up, unsigned part)
{
    return MIN(up->part_size, up->size_bytes - upload_part_offset(up, part));
}

uint64_t upload_done_bytes(const Upload *up)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < up->n_parts; i++)
        bytes += up->parts[i].done ? upload_part_bytes(up, i) : up->parts[i].kept_bytes;
    return bytes;
}

static bool upload_has_digests(const Upload *up, DigestKind kind)
{
    for (unsigned i = 0; i < up->n_parts; i++)
        if (up->parts[i].digest == NULL || (up->parts[i].digest->have & DIGEST_BIT(kind)) == 0)
            return false;
    return up->n_parts > 0;
}

bool upload_object_digest(const Upload *up, DigestKind kind, uint8_t out[DIGEST_MAX_BYTES])
{
    if (!upload_has_digests(up, kind) || (up->n_parts > 1 && !digest_is_crc(kind)))
        return false;
    memcpy(out, up->parts[0].digest->value[kind], DIGEST_MAX_BYTES);
    for (unsigned i = 1; i < up->n_parts; i++)
        digest_crc_combine(kind, out, up->parts[i].digest->value[kind], upload_part_bytes(up, i));
    return true;
}

char *upload_expected_etag(const Upload *up)
{
    if (!upload_has_digests(up, DIGEST_MD5))
        return NULL;
    const size_t md5_bytes = digest_bytes(DIGEST_MD5);
    if (!up->multipart) {
        g_autofree char *hex = digest_hex(up->parts[0].digest->value[DIGEST_MD5], md5_bytes);
        return g_strdup_printf("\"%s\"", hex);
    }
    g_autoptr(Digest) d = digest_new(DIGEST_BIT(DIGEST_MD5));
    for (unsigned i = 0; i < up->n_parts; i++)
        digest_update(d, up->parts[i].digest->value[DIGEST_MD5], md5_bytes);
    DigestSet of_parts;
    digest_finish(d, &of_parts);
    g_autofree char *hex = digest_hex(of_parts.value[DIGEST_MD5], md5_bytes);
    return g_strdup_printf("\"%s-%u\"", hex, up->n_parts);
}

/* ---- configuration and credentials ---- */

DestConf *dest_conf_new(void)
{
    DestConf *conf = g_new0(DestConf, 1);
    conf->options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return conf;
}

void dest_conf_free(DestConf *conf)
{
    if (conf == NULL)
        return;
    g_free(conf->name);
    g_free(conf->scheme);
    g_free(conf->bucket);
    g_free(conf->prefix);
    g_free(conf->endpoint);
    g_free(conf->region);
    g_hash_table_unref(conf->options);
    g_free(conf);
}

const char *dest_conf_option(const DestConf *conf, const char *name)
{
    return g_hash_table_lookup(conf->options, name);
}

void credentials_free(Credentials *c)
{
    if (c == NULL)
        return;
    secret_free(c->access_key);
    secret_free(c->secret_key);
    secret_free(c->session_token);
    g_clear_pointer(&c->secrets, g_hash_table_unref);
    g_free(c->origin);
    g_free(c);
}

const char *credentials_secret(const Credentials *c, const char *name)
{
    return c == NULL || c->secrets == NULL ? NULL : g_hash_table_lookup(c->secrets, name);
}

/* ---- the table ---- */

const DestOps *dest_by_scheme(const char *scheme)
{
    for (unsigned i = 0; scheme != NULL && table[i] != NULL; i++)
        if (g_ascii_strcasecmp(table[i]->scheme, scheme) == 0)
            return table[i];
    return NULL;
}

const DestOps *const *dest_table(void)
{
    return table;
}

const char *dest_schemes_help(void)
{
    static char *help;
    if (g_once_init_enter(&help)) {
        GString *text = g_string_new(NULL);
        for (unsigned i = 0; table[i] != NULL; i++)
            g_string_append_printf(text, "%s%s", i > 0 ? ", " : "", table[i]->help);
        g_once_init_leave(&help, g_string_free(text, FALSE));
    }
    return help;
}

/* The row whose form the text has, and what follows its scheme. */
static const DestOps *form_of(const char *text, const char **rest_out)
{
    const size_t scheme_bytes = strcspn(text, ":+");
    g_autofree char *scheme = g_strndup(text, scheme_bytes);
    const DestOps *ops = dest_by_scheme(scheme);
    const char *behind = text + scheme_bytes;
    if (ops == NULL)
        return NULL;
    const char *const marks[] = { [DEST_FORM_BUCKET] = "://", [DEST_FORM_URL] = "+", [DEST_FORM_NAME] = ":" };
    *rest_out = behind + strlen(marks[ops->form]);
    return g_str_has_prefix(behind, marks[ops->form]) ? ops : NULL;
}

static bool parse_bucket(DestConf *conf, const DestOps *ops, const char *rest, GError **error)
{
    const size_t bucket_bytes = strcspn(rest, "/");
    if (bucket_bytes == 0 || memchr(rest, '@', bucket_bytes) != NULL) { /* KEY:SECRET@bucket: not repeated in a message */
        fault_set(error, FAULT_USAGE, "a bucket's name must follow %s://, without user or password: %s", ops->scheme, ops->help);
        return false;
    }
    const char *prefix = rest + bucket_bytes + (rest[bucket_bytes] == '/');
    const bool closed = *prefix == '\0' || g_str_has_suffix(prefix, "/");
    conf->bucket = g_strndup(rest, bucket_bytes);
    conf->prefix = g_strconcat(prefix, closed ? "" : "/", NULL);
    return true;
}

static bool parse_url(DestConf *conf, const DestOps *ops, const char *rest, GError **error)
{
    g_autoptr(GUri) uri = g_uri_parse(rest, G_URI_FLAGS_HAS_PASSWORD | G_URI_FLAGS_ENCODED, NULL);
    const char *scheme = uri == NULL ? NULL : g_uri_get_scheme(uri);
    const bool web = g_strcmp0(scheme, "http") == 0 || g_strcmp0(scheme, "https") == 0;
    if (!web || g_uri_get_host(uri) == NULL || *g_uri_get_host(uri) == '\0' || g_uri_get_userinfo(uri) != NULL ||
        g_uri_get_fragment(uri) != NULL) {
        fault_set(error, FAULT_USAGE, "a URL must follow %s+, without user or password: %s", ops->scheme, ops->help);
        return false;
    }
    conf->endpoint = g_strdup(rest);
    conf->prefix = g_strdup("");
    return true;
}

static bool parse_name(DestConf *conf, const DestOps *ops, const char *rest, GError **error)
{
    if (*rest == '\0') {
        fault_set(error, FAULT_USAGE, "a name must follow %s: as in %s", ops->scheme, ops->help);
        return false;
    }
    conf->bucket = g_strdup(rest);
    conf->prefix = g_strdup("");
    return true;
}

bool dest_conf_parse(DestConf *conf, const char *text, GError **error)
{
    static bool (*const parse[])(DestConf *, const DestOps *, const char *, GError **) = {
        [DEST_FORM_BUCKET] = parse_bucket, [DEST_FORM_URL] = parse_url, [DEST_FORM_NAME] = parse_name
    };
    const char *rest = NULL;
    const DestOps *ops = form_of(text, &rest);
    if (ops == NULL) {
        fault_set(error, FAULT_USAGE, "not a destination; write %s or a name from the configuration", dest_schemes_help());
        return false;
    }
    g_clear_pointer(&conf->bucket, g_free);
    g_clear_pointer(&conf->prefix, g_free);
    if (!parse[ops->form](conf, ops, rest, error))
        return false;
    upload_set(&conf->name, text);
    upload_set(&conf->scheme, ops->scheme);
    return true;
}

bool dest_in_the_clear(const char *url)
{
    g_autoptr(GUri) uri = url == NULL ? NULL : g_uri_parse(url, G_URI_FLAGS_HAS_PASSWORD | G_URI_FLAGS_ENCODED, NULL);
    const char *host = uri == NULL ? NULL : g_uri_get_host(uri);
    if (host == NULL || g_strcmp0(g_uri_get_scheme(uri), "http") != 0)
        return false;
    return g_ascii_strcasecmp(host, "localhost") != 0 && !g_str_equal(host, "::1") && !g_str_has_prefix(host, "127.");
}

bool dest_keeps_secret(const DestConf *conf, const char *url, const char *what, GError **error)
{
    if (!dest_in_the_clear(url) || g_strcmp0(dest_conf_option(conf, "allow-http"), "true") == 0)
        return true;
    g_autofree char *place = g_strndup(url, strcspn(url, "?#"));
    fault_set(error, FAULT_USAGE, "%s is not encrypted: %s would go over the network for all to read; use https, or allow-http = true",
              place, what);
    return false;
}

/* ---- what was learned ---- */

static const char *const state_words[] = {
    [LEARNED_UNKNOWN] = "unknown", [LEARNED_WORKS] = "works", [LEARNED_IGNORED] = "ignored", [LEARNED_REFUSED] = "refused"
};
static const char *const style_words[] = { "unknown", "path", "virtual" };

static const struct {
    const char *name;
    size_t offset;
} learned_states[] = {
    { "list-parts", G_STRUCT_OFFSET(DestLearned, list_parts) },
    { "list-uploads", G_STRUCT_OFFSET(DestLearned, list_uploads) },
    { "if-none-match", G_STRUCT_OFFSET(DestLearned, if_none_match) },
    { "acl", G_STRUCT_OFFSET(DestLearned, acl) },
    { "tagging", G_STRUCT_OFFSET(DestLearned, tagging) },
};

static bool valid_state(LearnedState state)
{
    return state > LEARNED_UNKNOWN && state <= LEARNED_REFUSED;
}

char *dest_learned_to_text(const DestLearned *l)
{
    GString *out = g_string_new(NULL);
    if (l->region[0] != '\0')
        g_string_append_printf(out, " region=%s", l->region);
    if (l->style == 1 || l->style == 2)
        g_string_append_printf(out, " style=%s", style_words[l->style]);
    if (l->clock_offset_s != 0)
        g_string_append_printf(out, " clock=%" G_GINT64_FORMAT, l->clock_offset_s);
    for (unsigned k = 0; k < N_DIGESTS; k++)
        if (valid_state(l->checksum[k]))
            g_string_append_printf(out, " checksum.%s=%s", digest_name(k), state_words[l->checksum[k]]);
    for (unsigned i = 0; i < G_N_ELEMENTS(learned_states); i++) {
        const LearnedState state = G_STRUCT_MEMBER(LearnedState, l, learned_states[i].offset);
        if (valid_state(state))
            g_string_append_printf(out, " %s=%s", learned_states[i].name, state_words[state]);
    }
    GHashTableIter it;
    gpointer name, value;
    if (l->facts != NULL)
        g_hash_table_iter_init(&it, l->facts);
    while (l->facts != NULL && g_hash_table_iter_next(&it, &name, &value)) {
        g_string_append_printf(out, " fact.%s=", (char *)name);
        uri_escape_append(out, value, strlen(value), false);
    }
    if (out->len > 0)
        g_string_erase(out, 0, 1);
    return g_string_free(out, FALSE);
}

const char *dest_learned_fact(const DestLearned *l, const char *name)
{
    return l->facts == NULL ? NULL : g_hash_table_lookup(l->facts, name);
}

void dest_learned_set_fact(DestLearned *l, const char *name, const char *value)
{
    if (g_strcmp0(dest_learned_fact(l, name), value) == 0)
        return;
    if (l->facts == NULL)
        l->facts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (value == NULL)
        g_hash_table_remove(l->facts, name);
    else
        g_hash_table_insert(l->facts, g_strdup(name), g_strdup(value));
    l->dirty = true;
}

void dest_learned_clear(DestLearned *l)
{
    g_clear_pointer(&l->facts, g_hash_table_unref);
    *l = (DestLearned){ 0 };
}

static void learn_fact(DestLearned *l, const char *name, const char *escaped)
{
    g_autofree char *value = g_uri_unescape_string(escaped, NULL);
    if (value != NULL)
        dest_learned_set_fact(l, name, value);
    l->dirty = false; /* it comes from the store */
}

static void learn_state(LearnedState *state_out, const char *word)
{
    for (unsigned i = LEARNED_WORKS; i < G_N_ELEMENTS(state_words); i++)
        if (g_str_equal(word, state_words[i]))
            *state_out = (LearnedState)i;
}

static void learn_word(DestLearned *l, const char *name, const char *value)
{
    gint64 seconds = 0;
    DigestKind kind;
    if (g_str_equal(name, "region") && strlen(value) < sizeof l->region)
        g_strlcpy(l->region, value, sizeof l->region);
    else if (g_str_equal(name, "style"))
        l->style = g_str_equal(value, "path") ? 1 : g_str_equal(value, "virtual") ? 2 : 0;
    else if (g_str_equal(name, "clock") && g_ascii_string_to_signed(value, 10, G_MININT32, G_MAXINT32, &seconds, NULL))
        l->clock_offset_s = seconds;
    else if (g_str_has_prefix(name, "checksum.") && digest_by_name(name + strlen("checksum."), &kind))
        learn_state(&l->checksum[kind], value);
    else if (g_str_has_prefix(name, "fact."))
        learn_fact(l, name + strlen("fact."), value);
    for (unsigned i = 0; i < G_N_ELEMENTS(learned_states); i++)
        if (g_str_equal(name, learned_states[i].name))
            learn_state(G_STRUCT_MEMBER_P(l, learned_states[i].offset), value);
}

void dest_learned_from_text(DestLearned *l, const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    for (unsigned i = 0; words[i] != NULL; i++) {
        char *equals = strchr(words[i], '=');
        if (equals == NULL)
            continue;
        *equals = '\0';
        learn_word(l, words[i], equals + 1);
    }
}
