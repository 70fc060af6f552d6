#include "settings_opts.h"

#include <pthread.h>
#include <string.h>

#include "key.h"

/* clang-format off */
static const HoistOpt common[] = {
    { "to", 0, HOIST_OPT_TEXT, "DEST", NULL, "s3://BUCKET/PREFIX, another form (see hoist dests) or a [dest NAME] of config.ini", "where uploads go", false, true },
    { "endpoint", 0, HOIST_OPT_TEXT, "URL", NULL, "http://HOST[:PORT] or https://HOST[:PORT]", "address of the store", false, true },
    { "region", 0, HOIST_OPT_TEXT, "REGION", NULL, "lower-case letters, digits and -", "region of the bucket", false, true },
    { "profile", 0, HOIST_OPT_TEXT, "NAME", NULL, "a profile of ~/.aws/config or ~/.aws/credentials", "AWS profile to use", false, true },
    { "jobs", 'j', HOIST_OPT_NUMBER, "N|auto", "auto", "1..64|auto", "files at once", false, false },
    { "parts", 0, HOIST_OPT_NUMBER, "N|auto", "auto", "1..64|auto", "parts of one file at once", false, true },
    { "part-size", 0, HOIST_OPT_SIZE, "SIZE", NULL, "64KiB..5GiB", "size of a part (default: grows with the file)", false, true },
    { "limit", 0, HOIST_OPT_RATE, "RATE", NULL, "bytes a second like 500k or 2.5M; 0 = none", "speed limit over all files", false, false },
    { "images", 0, HOIST_OPT_TEXT, "RECIPE", "web", "web, small, archive, thumb, none, or the NAME of an [images NAME]; then words like max-edge=2560", "what is done to pictures on their way", false, true },
    { "renditions", 0, HOIST_OPT_TEXT, "NAMES", NULL, "names of recipes, separated by commas: web, thumb", "several pictures of each", false, true },
    { "keep-original", 0, HOIST_OPT_SWITCH, NULL, NULL, NULL, "store the original of a picture, too", false, true },
    { "original-prefix", 0, HOIST_OPT_TEXT, "PREFIX", "originals/", "like originals/", "what comes before the key of an original", false, true },
    { "max-edge", 0, HOIST_OPT_NUMBER, "PIXELS", NULL, NULL, "longest edge of a picture; smaller ones are never enlarged", false, true },
    { "max-bytes", 0, HOIST_OPT_SIZE, "SIZE", NULL, NULL, "most bytes of a picture, like 400k", false, true },
    { "quality", 0, HOIST_OPT_NUMBER, "N", NULL, NULL, "quality that pictures start with, on one scale for all formats", false, true },
    { "min-quality", 0, HOIST_OPT_NUMBER, "N", NULL, NULL, "least quality; then the picture gets smaller", false, true },
    { "format", 0, HOIST_OPT_CHOICE, "FORMAT", NULL, NULL, "format of pictures", false, true },
    { "effort", 0, HOIST_OPT_NUMBER, "N", NULL, NULL, "time for encoding: more makes smaller files", false, true },
    { "min-savings", 0, HOIST_OPT_NUMBER, "PERCENT", NULL, NULL, "a picture that would save less goes as it is", false, true },
    { "metadata", 0, HOIST_OPT_CHOICE, "LEVEL", NULL, NULL, "what pictures may tell beside their pixels", false, true },
    { "background", 0, HOIST_OPT_TEXT, "RRGGBB", NULL, NULL, "colour behind transparent pixels where the format has none", false, true },
    { "color-profile", 0, HOIST_OPT_CHOICE, "WHICH", NULL, NULL, "colours of pictures: sRGB, or as they are with their profile", false, true },
    { "vectors", 0, HOIST_OPT_SWITCH, NULL, NULL, NULL, "make pictures of SVG and PDF, too", false, true },
    { "on-image-error", 0, HOIST_OPT_CHOICE, "WHAT", "original", "original|skip|fail", "what becomes of a picture that cannot be prepared", false, true },
    { "image-workers", 0, HOIST_OPT_NUMBER, "N|auto", "auto", "1..64|auto", "pictures prepared at once (auto: one a core)", false, false },
    { "types", 0, HOIST_OPT_TEXT, "LIST", NULL, "TYPE/SUBTYPE, separated by commas: image/*,video/mp4", "only files whose content is one of these", true, true },
    { "key", 0, HOIST_OPT_TEXT, "TEMPLATE", "{relpath}", NULL, "name of the object below the prefix", false, true },
    { "include", 0, HOIST_OPT_TEXT, "GLOB", NULL, NULL, "only files that match", true, true },
    { "exclude", 0, HOIST_OPT_TEXT, "GLOB", NULL, NULL, "leave out files that match", true, true },
    { "max-size", 0, HOIST_OPT_SIZE, "SIZE", NULL, "like 8M, 1.5GiB", "leave out larger files", false, true },
    { "if-exists", 0, HOIST_OPT_CHOICE, "WHAT", "overwrite", "overwrite|skip|fail", "when the key is taken", false, true },
    { "checksum", 0, HOIST_OPT_CHOICE, "KIND", "auto", "auto|crc64nvme|crc32c|sha256|sha1|md5|none", "what the store checks", false, true },
    { "unsigned-payload", 0, HOIST_OPT_SWITCH, NULL, NULL, NULL, "do not sign bodies over plain http", false, true },
    { "header", 0, HOIST_OPT_TEXT, "NAME:VALUE", NULL, "NAME: VALUE", "request header of each object", true, true },
    { "meta", 0, HOIST_OPT_TEXT, "NAME=VALUE", NULL, "NAME=VALUE", "metadata of each object", true, true },
    { "tag", 0, HOIST_OPT_TEXT, "NAME=VALUE", NULL, "NAME=VALUE", "tag of each object", true, true },
    { "acl", 0, HOIST_OPT_TEXT, "ACL", NULL, "like private, public-read", "canned ACL", false, true },
    { "storage-class", 0, HOIST_OPT_TEXT, "CLASS", NULL, "like STANDARD_IA", "storage class", false, true },
    { "sse", 0, HOIST_OPT_CHOICE, "KIND", NULL, "AES256|aws:kms|aws:kms:dsse", "encryption at the server", false, true },
    { "addressing", 0, HOIST_OPT_CHOICE, "STYLE", "auto", "auto|path|virtual", "bucket in the path or in the host name", false, true },
    { "public-url", 0, HOIST_OPT_TEXT, "URL", NULL, "http://HOST/BASE or https://HOST/BASE", "where objects can be fetched (a CDN): URL/KEY", false, true },
    { "user", 0, HOIST_OPT_TEXT, "NAME", NULL, NULL, "name to sign in with", false, true },
    { "allow-http", 0, HOIST_OPT_SWITCH, NULL, NULL, NULL, "sign in, and take upload addresses, without TLS", false, true },
    { "secret", 0, HOIST_OPT_TEXT, "NAME=SOURCE", NULL, "NAME=env:VARIABLE, NAME=file:PATH, NAME=command:COMMAND", "where a secret comes from", true, true },
    { "token-life", 0, HOIST_OPT_TIME, "TIME", NULL, "1m..365d, like 1h", "how long upload tokens of one's own count", false, true },
    { "callback-url", 0, HOIST_OPT_TEXT, "URL", NULL, "URLs, separated by ;", "the store tells this address of each object", false, true },
    { "callback-body", 0, HOIST_OPT_TEXT, "TEXT", NULL, NULL, "what it says there", false, true },
    { "callback-body-type", 0, HOIST_OPT_CHOICE, "TYPE", NULL, "application/x-www-form-urlencoded|application/json", "type of callback-body", false, true },
    { "callback-host", 0, HOIST_OPT_TEXT, "HOST", NULL, NULL, "Host header of the callback", false, true },
    { "callback-var", 0, HOIST_OPT_TEXT, "NAME=VALUE", NULL, "NAME=VALUE", "variable of callback-body", true, true },
    { "spool-size", 0, HOIST_OPT_SIZE, "SIZE", "512MiB", "like 512MiB, 2G", "room for prepared pictures", false, false },
    { "state", 0, HOIST_OPT_PATH, "DIR", NULL, NULL, "where the queue is kept", false, false },
    { "config", 0, HOIST_OPT_PATH, "FILE", NULL, NULL, "configuration file", false, false },
    { "log", 0, HOIST_OPT_PATH, "FILE", NULL, NULL, "log file", false, false },
    { "drop", 0, HOIST_OPT_CHOICE, "WHAT", "ask", "ask|queue", "what a dropped file does", false, false },
    { "graphics", 0, HOIST_OPT_CHOICE, "HOW", "cells", "cells|auto|kitty|sixel|iterm|none", "how the dashboard shows a picture", false, false },
};
/* clang-format on */

enum { N_COMMON = G_N_ELEMENTS(common) };

/* The common rows, then those of each destination, in the order of the table of destinations; a name that two of them have comes once. */
static HoistOpt *joined;
static unsigned n_joined;
static pthread_once_t joined_once = PTHREAD_ONCE_INIT;

static const HoistOpt *row_of(const HoistOpt *rows, unsigned n, const char *name)
{
    for (unsigned i = 0; i < n; i++)
        if (g_strcmp0(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

static unsigned own_rows(void)
{
    unsigned n = 0;
    for (const DestOps *const *ops = dest_table(); *ops != NULL; ops++)
        for (const HoistOpt *opt = (*ops)->opts; opt != NULL && opt->name != NULL; opt++)
            n++;
    return n;
}

/* What an option and a word of recipes have in common is written down once. */
static void allow_what_recipes_do(void)
{
    for (unsigned i = 0; i < n_joined; i++) {
        const RecipeWord *word = recipe_word(joined[i].name);
        if (word != NULL && joined[i].kind != HOIST_OPT_SWITCH)
            joined[i].allowed = word->allowed;
    }
}

static void join(void)
{
    joined = g_new0(HoistOpt, N_COMMON + own_rows() + 1); /* lives as long as the process */
    memcpy(joined, common, sizeof common);
    n_joined = N_COMMON;
    for (const DestOps *const *ops = dest_table(); *ops != NULL; ops++)
        for (const HoistOpt *opt = (*ops)->opts; opt != NULL && opt->name != NULL; opt++)
            if (row_of(joined, n_joined, opt->name) == NULL)
                joined[n_joined++] = *opt;
    allow_what_recipes_do();
}

const HoistOpt *hoist_opts(void)
{
    pthread_once(&joined_once, join);
    return joined;
}

unsigned settings_n_opts(void)
{
    pthread_once(&joined_once, join);
    return n_joined;
}

unsigned settings_opt_index(const HoistOpt *opt)
{
    return (unsigned)(opt - hoist_opts());
}

bool hoist_opt_is_common(const HoistOpt *opt)
{
    return settings_opt_index(opt) < N_COMMON;
}

const HoistOpt *settings_opt(const char *name)
{
    return row_of(hoist_opts(), settings_n_opts(), name);
}

char *settings_env_name(const HoistOpt *opt)
{
    g_autofree char *upper = g_ascii_strup(opt->name, -1);
    return g_strconcat("HOIST_", g_strdelimit(upper, "-", '_'), NULL);
}

/* ---- sizes ---- */

static bool size_unit(const char *text, uint64_t *unit_out)
{
    static const char letters[] = "kMGTP";
    uint64_t unit = 1;
    if (*text != '\0') {
        const char *letter = strchr(letters, *text == 'K' ? 'k' : *text);
        if (letter != NULL) {
            text++;
            const unsigned step = *text == 'i' ? 1024 : 1000;
            text += step == 1024;
            for (const char *l = letters; l <= letter; l++)
                unit *= step;
        }
    }
    text += *text == 'B';
    if (g_str_has_prefix(text, "/s"))
        text += 2;
    *unit_out = unit;
    return *text == '\0';
}

bool hoist_parse_size(const char *text, uint64_t *bytes_out)
{
    enum { MAX_FRACTION_DIGITS = 3 }; /* 10^3 divides every decimal unit, and more digits mean nothing to a person */
    while (g_ascii_isspace(*text))
        text++;
    if (!g_ascii_isdigit(*text))
        return false;

    uint64_t whole = 0, thousandths = 0;
    for (; g_ascii_isdigit(*text); text++)
        if (!g_uint64_checked_mul(&whole, whole, 10) || !g_uint64_checked_add(&whole, whole, (uint64_t)(*text - '0')))
            return false;
    if (*text == '.') {
        text++;
        for (unsigned digit = 0, weight = 100; digit < MAX_FRACTION_DIGITS; digit++, weight /= 10) {
            if (!g_ascii_isdigit(*text))
                break;
            thousandths += weight * (uint64_t)(*text++ - '0');
        }
        while (g_ascii_isdigit(*text))
            text++;
    }
    while (g_ascii_isspace(*text))
        text++;

    g_autofree char *suffix = g_strchomp(g_strdup(text));
    uint64_t unit, bytes;
    if (!size_unit(suffix, &unit) || !g_uint64_checked_mul(&bytes, whole, unit))
        return false;
    const uint64_t fraction = unit >= 1000 ? (unit / 1000) * thousandths + unit % 1000 * thousandths / 1000 : 0;
    if (!g_uint64_checked_add(&bytes, bytes, fraction))
        return false;
    *bytes_out = bytes;
    return true;
}

/* ---- times ---- */

bool hoist_parse_time(const char *text, uint64_t *seconds_out)
{
    static const struct {
        const char *suffix;
        uint64_t seconds;
    } units[] = { { "", 1 }, { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 } };
    const size_t digits = strspn(text, "0123456789");
    g_autofree char *number = g_strndup(text, digits);
    guint64 count;
    if (!g_ascii_string_to_unsigned(number, 10, 0, UINT32_MAX, &count, NULL))
        return false;
    for (unsigned i = 0; i < G_N_ELEMENTS(units); i++)
        if (g_str_equal(text + digits, units[i].suffix)) {
            *seconds_out = count * units[i].seconds;
            return true;
        }
    return false;
}

/* ---- one value ---- */

static bool in_words(const char *words, const char *value)
{
    g_auto(GStrv) list = g_strsplit(words, "|", -1);
    return g_strv_contains((const char *const *)list, value);
}

static bool number_ok(const HoistOpt *opt, const char *value)
{
    g_auto(GStrv) allowed = g_strsplit(opt->allowed, "|", 2); /* "1..64|auto", "16..65535|none" */
    if (allowed[1] != NULL && g_str_equal(value, allowed[1]))
        return true;
    const char *dots = strstr(allowed[0], "..");
    g_assert(dots != NULL);
    const bool percent = g_strcmp0(opt->arg, "PERCENT") == 0 && g_str_has_suffix(value, "%");
    g_autofree char *digits = g_strndup(value, strlen(value) - percent);
    guint64 number;
    return g_ascii_string_to_unsigned(digits, 10, g_ascii_strtoull(allowed[0], NULL, 10), g_ascii_strtoull(dots + 2, NULL, 10), &number,
                                      NULL);
}

static bool size_ok(const HoistOpt *opt, const char *value)
{
    uint64_t bytes, least = 0, most = UINT64_MAX;
    g_auto(GStrv) allowed = g_strsplit(opt->allowed == NULL ? "" : opt->allowed, "|", 2);
    if (allowed[0] != NULL && allowed[1] != NULL && g_str_equal(value, allowed[1]))
        return true;
    char *dots = allowed[0] == NULL ? NULL : strstr(allowed[0], ".."); /* "5MiB..5GiB", "1KiB..256MiB|none", or words */
    if (dots != NULL) {
        *dots = '\0';
        if (!hoist_parse_size(allowed[0], &least) || !hoist_parse_size(dots + 2, &most))
            g_assert_not_reached();
    }
    return hoist_parse_size(value, &bytes) && bytes >= least && bytes <= most;
}

static const char *switch_text(const char *value)
{
    if (in_words("true|yes|on|1", value))
        return "true";
    return in_words("false|no|off|0", value) ? "false" : NULL;
}

static bool pair_ok(const char *value, char delimiter)
{
    const char *at = strchr(value, delimiter);
    return at != NULL && at > value;
}

/* Headers and URLs are kept in the store, where secrets must not be. */
static bool header_is_secret(const char *value)
{
    static const char *const secret[] = { "authorization", "proxy-authorization", "cookie", "x-amz-security-token",
                                          "x-amz-server-side-encryption-customer-key" };
    for (unsigned i = 0; i < G_N_ELEMENTS(secret); i++) {
        const size_t n = strlen(secret[i]);
        if (g_ascii_strncasecmp(value, secret[i], n) == 0 && (value[n] == ':' || g_ascii_isspace(value[n])))
            return true;
    }
    return false;
}

static const char *header_fault(const char *value)
{
    if (header_is_secret(value))
        return "would be stored with the queue, and this header holds a secret";
    return pair_ok(value, ':') ? NULL : "is not NAME: VALUE";
}

static const char *pair_fault(const char *value)
{
    return pair_ok(value, '=') ? NULL : "is not NAME=VALUE";
}

static const char *to_fault(const char *value)
{
    const char *host = strstr(value, "://");
    return host != NULL && memchr(host + 3, '@', strcspn(host + 3, "/")) != NULL ? "must not hold a name or password" : NULL;
}

static const char *url_fault(const char *value)
{
    g_autoptr(GUri) uri = g_uri_parse(value, G_URI_FLAGS_HAS_PASSWORD | G_URI_FLAGS_ENCODED, NULL);
    if (uri != NULL && g_uri_get_userinfo(uri) != NULL)
        return "must not hold a name or password: secrets come from the environment, a file or a command";
    const char *scheme = uri == NULL ? "" : g_uri_get_scheme(uri);
    if (!in_words("http|https", scheme) || g_uri_get_host(uri) == NULL || *g_uri_get_host(uri) == '\0')
        return "is not a URL like https://HOST:PORT";
    return NULL;
}

/* Something is put behind it. */
static const char *base_url_fault(const char *value)
{
    const char *fault = url_fault(value);
    return fault == NULL && strpbrk(value, "?#") != NULL ? "must end with the path: no ? and no #" : fault;
}

static const char *url_list_fault(const char *value)
{
    g_auto(GStrv) urls = g_strsplit(value, ";", -1);
    const char *fault = NULL;
    for (char **url = urls; *url != NULL && fault == NULL; url++)
        fault = url_fault(g_strstrip(*url));
    return fault;
}

/* It is read later, perhaps from another folder. */
static bool is_anywhere(const char *path)
{
    return g_path_is_absolute(path) || g_str_has_prefix(path, "~/");
}

static const char *source_fault(const char *value)
{
    enum { FILE_SOURCE = 1 };
    static const char *const sources[] = { "env:", [FILE_SOURCE] = "file:", "command:" };
    const char *equals = strchr(value, '=');
    for (unsigned i = 0; equals != NULL && equals > value && i < G_N_ELEMENTS(sources); i++)
        if (g_str_has_prefix(equals + 1, sources[i]) && equals[1 + strlen(sources[i])] != '\0')
            return i == FILE_SOURCE && !is_anywhere(equals + 1 + strlen(sources[i])) ? "must name the file by its whole path, or ~/PATH"
                                                                                     : NULL;
    return "does not say where the secret comes from (the secret itself must not be given here)";
}

static const char *colour_fault(const char *value)
{
    ImgRecipe scratch;
    return recipe_preset(recipe_presets[0], &scratch) && recipe_set(&scratch, "background", value, NULL) ? NULL : "is no colour";
}

/* What stands before a key must be the beginning of one. */
static const char *prefix_fault(const char *value)
{
    g_auto(GStrv) parts = g_strsplit(value, "/", -1);
    for (unsigned i = 0; parts[i] != NULL; i++)
        if (in_words(".|..", parts[i]) || (*parts[i] == '\0' && parts[i + 1] != NULL))
            return "must not begin with a slash, nor hold //, . or .. as a folder";
    return NULL;
}

static bool is_type_pattern(const char *text)
{
    static const char token[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$&-^_.+";
    const size_t n = strspn(text, token), rest = n == 0 || text[n] != '/' ? 0 : strspn(text + n + 1, token);
    return rest > 0 ? text[n + 1 + rest] == '\0' : n > 0 && g_str_equal(text + n, "/*");
}

static const char *types_fault(const char *value)
{
    g_auto(GStrv) patterns = g_strsplit(value, ",", -1);
    for (char **pattern = patterns; *pattern != NULL; pattern++)
        if (!is_type_pattern(g_strstrip(*pattern)))
            return "is not TYPE/SUBTYPE";
    return NULL;
}

/* What is wrong with a value beyond its kind: by the option's name, else by what it takes. None quotes the value: it may hold a secret. */
static const struct {
    const char *name, *arg;
    const char *(*fault)(const char *value);
} shapes[] = {
    { "endpoint", NULL, base_url_fault },     { "public-url", NULL, base_url_fault },
    { "callback-url", NULL, url_list_fault }, { "to", NULL, to_fault },
    { "background", NULL, colour_fault },     { "original-prefix", NULL, prefix_fault },
    { "types", NULL, types_fault },           { NULL, "URL", url_fault },
    { NULL, "NAME=VALUE", pair_fault },       { NULL, "NAME:VALUE", header_fault },
    { NULL, "NAME=SOURCE", source_fault },
};

static const char *shape_fault(const HoistOpt *opt, const char *value)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(shapes); i++)
        if (shapes[i].name != NULL ? g_str_equal(shapes[i].name, opt->name) : g_strcmp0(shapes[i].arg, opt->arg) == 0)
            return shapes[i].fault(value);
    return NULL;
}

static bool time_ok(const HoistOpt *opt, const char *value)
{
    uint64_t seconds, least = 0, most = UINT64_MAX;
    if (opt->allowed != NULL && strstr(opt->allowed, "..") != NULL) { /* "1m..365d, like 1h" */
        g_auto(GStrv) range = g_strsplit_set(opt->allowed, ".,", 4);
        if (g_strv_length(range) < 3 || !hoist_parse_time(range[0], &least) || !hoist_parse_time(range[2], &most))
            g_assert_not_reached();
    }
    return hoist_parse_time(value, &seconds) && seconds >= least && seconds <= most;
}

static const char *kind_fault(const HoistOpt *opt, const char *value)
{
    switch (opt->kind) {
    case HOIST_OPT_SWITCH:
        return switch_text(value) != NULL ? NULL : "is neither true nor false";
    case HOIST_OPT_NUMBER:
        return number_ok(opt, value) ? NULL : "is not allowed";
    case HOIST_OPT_SIZE:
    case HOIST_OPT_RATE:
        return size_ok(opt, value) ? NULL : "is not allowed";
    case HOIST_OPT_TIME:
        return time_ok(opt, value) ? NULL : "is not allowed";
    case HOIST_OPT_CHOICE:
        return in_words(opt->allowed, value) ? NULL : "is not allowed";
    case HOIST_OPT_TEXT:
    case HOIST_OPT_PATH:
        break;
    }
    return NULL;
}

/* What is wrong with the text of a value, whatever it says. */
static const char *text_fault(const HoistOpt *opt, const char *value)
{
    if (*value == '\0')
        return "is empty";
    if (strlen(value) > SETTINGS_MAX_VALUE_BYTES)
        return "is too long";
    if (opt->kind == HOIST_OPT_PATH)
        return NULL;
    if (!g_utf8_validate(value, -1, NULL))
        return "is not valid UTF-8";
    for (const char *p = value; *p != '\0'; p++)
        if (g_ascii_iscntrl(*p))
            return "holds a control character";
    return NULL;
}

void settings_value_fault(const HoistOpt *opt, const char *value, const char *why, bool quote, const char *origin, FaultCode code,
                          GError **error)
{
    g_autofree char *shown = hoist_text(value);
    const char *what = g_str_has_prefix(origin, "--") ? "" : opt->name;
    fault_set(error, code, "%s: %s%s%s%s%s %s%s%s", origin, what, *what ? ": " : "", quote ? "\"" : "", quote ? shown : "the value",
              quote ? "\"" : "", why, opt->allowed == NULL ? "" : "; allowed: ", opt->allowed == NULL ? "" : opt->allowed);
}

bool settings_check(const HoistOpt *opt, const char *value, const char *origin, FaultCode code, GError **error)
{
    const char *why = text_fault(opt, value);
    bool quote = false;
    if (why == NULL) {
        why = kind_fault(opt, value);
        quote = why != NULL;
    }
    if (why == NULL)
        why = shape_fault(opt, value);
    g_autoptr(GError) cause = NULL;
    if (why != NULL)
        settings_value_fault(opt, value, why, quote, origin, code, error);
    else if (g_str_equal(opt->name, "key") && !key_template_check(value, &cause))
        fault_set(error, code, "%s: %s", origin, cause->message);
    else
        return true;
    return false;
}

char *settings_value_stored(const HoistOpt *opt, const char *value)
{
    uint64_t seconds;
    if (opt->kind == HOIST_OPT_SWITCH)
        return g_strdup(switch_text(value));
    if (opt->kind == HOIST_OPT_TIME && hoist_parse_time(value, &seconds))
        return g_strdup_printf("%" G_GUINT64_FORMAT, seconds);
    if (opt->kind == HOIST_OPT_PATH && g_str_has_prefix(value, "~/")) /* no shell has seen a value of config.ini */
        return g_build_filename(g_get_home_dir(), value + 2, NULL);
    return g_strdup(value);
}
