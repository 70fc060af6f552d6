#include "qiniu_priv.h"

#include <string.h>

#include "given.h"

#define UC_HOST "uc.qiniuapi.com"
#define RS_HOST "rs.qiniuapi.com"

enum { TOKEN_LIFE_S = 3600, MAX_PAIRS = 50 };

const char *const qiniu_shared[] = { "header",    "meta",         "if-exists",     "public-url",         "token-life",    "secret",
                                     "part-size", "callback-url", "callback-body", "callback-body-type", "callback-host", "callback-var",
                                     NULL };

/* clang-format off */
const HoistOpt qiniu_opts[] = {
    { "qiniu-version", 0, HOIST_OPT_CHOICE, "WAY", "v2", "v2|v1|form", "Qiniu: how files over 4 MiB go", false, true },
    { "uc", 0, HOIST_OPT_TEXT, "URL", NULL, "http://HOST[:PORT] or https://HOST[:PORT]", "Qiniu: who is asked for the hosts of a bucket", false, true },
    { "rs", 0, HOIST_OPT_TEXT, "URL", NULL, "http://HOST[:PORT] or https://HOST[:PORT]", "Qiniu: host of stat and delete", false, true },
    { "return-body", 0, HOIST_OPT_TEXT, "TEMPLATE", NULL, NULL, "Qiniu: what an upload is answered, with $(key) and the like", false, true },
    { "persistent-ops", 0, HOIST_OPT_TEXT, "OPS", NULL, NULL, "Qiniu: what is done with an object once it is there", false, true },
    { "persistent-notify-url", 0, HOIST_OPT_TEXT, "URL", NULL, "http://HOST/PATH or https://HOST/PATH", "Qiniu: who hears of the end of that", false, true },
    { "persistent-pipeline", 0, HOIST_OPT_TEXT, "NAME", NULL, NULL, "Qiniu: queue that does it", false, true },
    { "fop", 0, HOIST_OPT_TEXT, "OPS", NULL, "like imageView2/2/w/300, several joined by |", "Qiniu: processing in the URL of an object", false, true },
    { "file-type", 0, HOIST_OPT_NUMBER, "N", NULL, "0..4", "Qiniu: 0 standard, 1 infrequent, 2 archive, 3 deep archive, 4 archive with direct reading", false, true },
    { "mime-limit", 0, HOIST_OPT_TEXT, "TYPES", NULL, "like image/*;video/mp4, or !text/html", "Qiniu: types that may be uploaded, or may not", false, true },
    { "fsize-limit", 0, HOIST_OPT_SIZE, "SIZE", NULL, "like 8M, 1.5GiB", "Qiniu: larger files are refused", false, true },
    { "detect-mime", 0, HOIST_OPT_SWITCH, NULL, NULL, NULL, "Qiniu: the type follows from the content", false, true },
    { "delete-after-days", 0, HOIST_OPT_NUMBER, "N", NULL, "1..36500", "Qiniu: objects are deleted after so many days", false, true },
    { NULL, 0, HOIST_OPT_TEXT, NULL, NULL, NULL, NULL, false, false },
};
/* clang-format on */

const DestSecret qiniu_secrets[] = {
    { "access-key", "QINIU_ACCESS_KEY", false, "access key of the Qiniu account" },
    { "secret-key", "QINIU_SECRET_KEY", false, "secret key of the Qiniu account" },
    { NULL, NULL, false, NULL },
};

/* ---- pairs of the person */

static void take_pair(GPtrArray *pairs, char *name, char *value)
{
    g_ptr_array_add(pairs, name);
    g_ptr_array_add(pairs, value);
}

static bool name_valid(const char *name)
{
    for (const char *p = name; *p != '\0'; p++)
        if (!g_ascii_isalnum(*p) && strchr("-_", *p) == NULL)
            return false;
    return *name != '\0';
}

static bool add_named(GPtrArray *pairs, const char *text, const char *option, const char *prefix, GError **error)
{
    g_autofree char *name = NULL, *value = NULL;
    if (!given_split(text, '=', &name, &value) || !name_valid(name)) {
        fault_set(error, FAULT_USAGE, "--%s is written NAME=VALUE; a name has letters, digits, '-', '_'", option);
        return false;
    }
    take_pair(pairs, g_strconcat(prefix, name, NULL), g_steal_pointer(&value));
    return true;
}

static bool add_meta(Qiniu *q, const char *text, GError **error)
{
    return add_named(q->metas, text, "meta", "x-qn-meta-", error);
}

static bool add_var(Qiniu *q, const char *text, GError **error)
{
    return add_named(q->vars, text, "callback-var", "x:", error);
}

/* An upload takes no headers for the object, but members that become them. */
static bool add_header(Qiniu *q, const char *text, GError **error)
{
    static const struct {
        const char *header, *member;
    } known[] = { { "Cache-Control", "cacheControl" },
                  { "Content-Disposition", "contentDisposition" },
                  { "Content-Encoding", "contentEncoding" },
                  { "Content-Language", "contentLanguage" },
                  { "Expires", "expires" } };
    g_autofree char *name = NULL, *value = NULL;
    if (!given_split(text, ':', &name, &value)) {
        fault_set(error, FAULT_USAGE, "--header is written \"Name: value\"");
        return false;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(known); i++)
        if (g_ascii_strcasecmp(name, known[i].header) == 0 && q->way != QINIU_V1) {
            take_pair(q->traits, g_strdup(known[i].member), g_steal_pointer(&value));
            return true;
        }
    fault_set(error, FAULT_USAGE,
              "--header %s: Qiniu takes Cache-Control, Content-Disposition, Content-Encoding, Content-Language and Expires, v1 takes none",
              name);
    return false;
}

static bool each_line(Qiniu *q, const DestConf *conf, const char *option, bool (*add)(Qiniu *, const char *, GError **), GError **error)
{
    const char *joined = dest_conf_option(conf, option);
    g_auto(GStrv) lines = g_strsplit(joined == NULL ? "" : joined, "\n", -1);
    if (g_strv_length(lines) > MAX_PAIRS) {
        fault_set(error, FAULT_USAGE, "--%s may be given %d times at most", option, MAX_PAIRS);
        return false;
    }
    for (unsigned i = 0; lines[i] != NULL; i++)
        if (*lines[i] != '\0' && !add(q, lines[i], error))
            return false;
    return true;
}

/* ---- where */

/* "http://HOST:PORT" -> "HOST:PORT"; a path has no place there. */
static char *host_of_url(const char *url, const char *option, bool *plain_out, GError **error)
{
    g_autoptr(GUri) uri = g_uri_parse(url, G_URI_FLAGS_HAS_PASSWORD | G_URI_FLAGS_ENCODED, NULL);
    const char *scheme = uri == NULL ? "" : g_uri_get_scheme(uri), *host = uri == NULL ? NULL : g_uri_get_host(uri);
    const bool bare = uri != NULL && g_uri_get_userinfo(uri) == NULL && g_uri_get_query(uri) == NULL && g_uri_get_fragment(uri) == NULL &&
                      (*g_uri_get_path(uri) == '\0' || g_str_equal(g_uri_get_path(uri), "/"));
    if (!bare || host == NULL || *host == '\0' || (!g_str_equal(scheme, "http") && !g_str_equal(scheme, "https"))) {
        fault_set(error, FAULT_USAGE, "--%s is http://HOST[:PORT] or https://HOST[:PORT], without a path", option);
        return NULL;
    }
    const bool six = strchr(host, ':') != NULL;
    *plain_out = g_str_equal(scheme, "http");
    if (g_uri_get_port(uri) < 0)
        return g_strdup_printf(six ? "[%s]" : "%s", host);
    return g_strdup_printf(six ? "[%s]:%d" : "%s:%d", host, g_uri_get_port(uri));
}

/* An option that holds a URL; *host_out stays NULL when it is not set. */
static bool open_host(const DestConf *conf, const char *option, const char *url, char **host_out, bool *plain_out, GError **error)
{
    if (url == NULL)
        url = dest_conf_option(conf, option);
    if (url == NULL)
        return true;
    *host_out = host_of_url(url, option, plain_out, error);
    return *host_out != NULL;
}

/* z0 is the first region, its hosts have no suffix. */
static bool open_region(Qiniu *q, const char *region, GError **error)
{
    for (const char *p = region; *p != '\0'; p++)
        if (!g_ascii_isalnum(*p) && *p != '-') {
            fault_set(error, FAULT_USAGE, "--region is one of z0, z1, z2, cn-east-2, na0, as0 and the like");
            return false;
        }
    const char *dash = g_str_equal(region, "z0") ? "" : "-", *suffix = g_str_equal(region, "z0") ? "" : region;
    g_autofree char *hosts = g_strdup_printf("upload%s%s.qiniup.com up%s%s.qiniup.com", dash, suffix, dash, suffix);
    q->hosts = g_strsplit(hosts, " ", -1);
    if (q->rs == NULL)
        q->rs = g_strdup_printf("rs-%s.qiniuapi.com", region);
    return true;
}

static bool open_hosts(Qiniu *q, const DestConf *conf, GError **error)
{
    bool up_plain = false, uc_plain = false, rs_plain = false;
    g_autofree char *up = NULL, *uc = NULL;
    if (!open_host(conf, "endpoint", conf->endpoint, &up, &up_plain, error) || !open_host(conf, "uc", NULL, &uc, &uc_plain, error) ||
        !open_host(conf, "rs", NULL, &q->rs, &rs_plain, error))
        return false;
    q->plain = up_plain || uc_plain || rs_plain;
    if (up != NULL) {
        const bool vendor = g_str_has_suffix(up, ".qiniup.com") || g_str_has_suffix(up, ".qbox.me");
        q->hosts = g_strsplit(up, " ", 1);
        if (q->rs == NULL)
            q->rs = g_strdup(vendor ? RS_HOST : up); /* a private cloud often has one door */
    } else if (uc != NULL) {
        q->query = g_strsplit(uc, " ", 1);
    } else if (conf->region != NULL && *conf->region != '\0') {
        return open_region(q, conf->region, error);
    } else {
        q->query = g_strsplit(UC_HOST " kodo-config.qiniuapi.com uc.qbox.me", " ", -1);
    }
    return true;
}

/* ---- open and close */

static bool option_is(const DestConf *conf, const char *name, const char *value)
{
    return g_strcmp0(dest_conf_option(conf, name), value) == 0;
}

static bool open_bucket(Qiniu *q, const DestConf *conf, GError **error)
{
    for (const char *p = conf->bucket; p != NULL && *p != '\0'; p++)
        if (!g_ascii_isalnum(*p) && strchr("-_.", *p) == NULL) {
            fault_set(error, FAULT_USAGE, "a bucket's name has letters, digits, '-', '_' and '.'");
            return false;
        }
    q->bucket = g_strdup(conf->bucket);
    return true;
}

static bool open_answers(const DestConf *conf, GError **error)
{
    if (dest_conf_option(conf, "return-body") == NULL || dest_conf_option(conf, "callback-url") == NULL)
        return true;
    fault_set(error, FAULT_USAGE, "--return-body and --callback-url exclude each other: with a callback the application answers");
    return false;
}

/* '|' chains operations and may not stand in a URL; neither may blanks and what is not ASCII. */
static char *escape_fop(const char *fop)
{
    GString *out = g_string_new(NULL);
    for (const char *p = fop; *p != '\0'; p++) {
        if (g_ascii_isgraph(*p) && strchr("|\"<>\\^`{}#", *p) == NULL)
            g_string_append_c(out, *p);
        else
            uri_escape_append(out, p, 1, false);
    }
    return g_string_free(out, FALSE);
}

static void open_urls(Qiniu *q, const DestConf *conf)
{
    const char *base = dest_conf_option(conf, "public-url"), *fop = dest_conf_option(conf, "fop");
    if (base != NULL)
        q->public_url = g_strndup(base, strlen(base) - g_str_has_suffix(base, "/"));
    if (fop != NULL)
        q->fop = escape_fop(*fop == '?' ? fop + 1 : fop);
}

void *qiniu_open(const DestConf *conf, GError **error)
{
    const char *life = dest_conf_option(conf, "token-life");
    Qiniu *q = g_new0(Qiniu, 1);
    q->vars = g_ptr_array_new_with_free_func(g_free);
    q->metas = g_ptr_array_new_with_free_func(g_free);
    q->traits = g_ptr_array_new_with_free_func(g_free);
    q->asked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    q->way = option_is(conf, "qiniu-version", "v1") ? QINIU_V1 : option_is(conf, "qiniu-version", "form") ? QINIU_FORM : QINIU_V2;
    q->only_new = option_is(conf, "if-exists", "skip") || option_is(conf, "if-exists", "fail");
    q->token_life_s = life == NULL ? TOKEN_LIFE_S : g_ascii_strtoll(life, NULL, 10);
    if (!open_bucket(q, conf, error) || !open_answers(conf, error) || !open_hosts(q, conf, error) ||
        !each_line(q, conf, "meta", add_meta, error) || !each_line(q, conf, "callback-var", add_var, error) ||
        !each_line(q, conf, "header", add_header, error)) {
        qiniu_close(q);
        return NULL;
    }
    open_urls(q, conf);
    return q;
}

void qiniu_close(void *priv)
{
    Qiniu *q = priv;
    if (q == NULL)
        return;
    g_free(q->bucket);
    g_strfreev(q->hosts);
    g_free(q->rs);
    g_strfreev(q->query);
    g_free(q->public_url);
    g_free(q->fop);
    g_ptr_array_unref(q->vars);
    g_ptr_array_unref(q->metas);
    g_ptr_array_unref(q->traits);
    g_hash_table_unref(q->asked);
    g_free(q);
}
