#include "broker_priv.h"

#include <string.h>

/* ---- what a placeholder may name, and where ---- */

enum {
    SEES_FILE = 1 << 0,
    SEES_SECRET = 1 << 1, /* env as well: what is in the environment is nobody else's business */
    SEES_GRANT = 1 << 2,
    SEES_ANSWER = 1 << 3,
    SEES_UPLOAD = 1 << 4,
    SEES_MP = 1 << 5,
    SEES_PART = 1 << 6,
    SEES_PARTS = 1 << 7,
    SEES_ALWAYS = 1 << 8,
};

enum {
    AT_GRANT = SEES_FILE | SEES_SECRET,
    AT_UPLOAD = SEES_FILE | SEES_GRANT, /* no secret of the application goes to the store */
    AT_PARTS = SEES_FILE | SEES_SECRET | SEES_MP,
    AT_NOTIFY = SEES_FILE | SEES_SECRET | SEES_GRANT | SEES_ANSWER | SEES_UPLOAD | SEES_MP,
    AT_RESULT = AT_NOTIFY & ~SEES_SECRET, /* it is kept */
};

static const struct {
    const char *root;
    unsigned sees;
} roots[] = {
    { "file", SEES_FILE },     { "secret", SEES_SECRET }, { "env", SEES_SECRET }, { "grant", SEES_GRANT },
    { "answer", SEES_ANSWER }, { "upload", SEES_UPLOAD }, { "mp", SEES_MP },      { "part", SEES_PART },
    { "parts", SEES_PARTS },   { "uuid", SEES_ALWAYS },   { "now", SEES_ALWAYS }, { "vars", SEES_ALWAYS },
};

typedef struct {
    Broker *b;
    const char *place; /* for errors: "grant" */
    unsigned sees;
    bool hashes; /* the file's hashes are known there */
    bool keeps;  /* what it names must outlive a restart */
} Check;

static bool wrong(const Check *c, const char *text, const char *why, GError **error)
{
    fault_set(error, FAULT_CONFIG, "%s: %s: {{%s}} %s", c->b->desc->file, c->place, text, why);
    return false;
}

static bool looks_secret(const char *name)
{
    static const char *const words[] = { "token", "signature", "policy", "credential", "secret", "password", "authorization" };
    g_autofree char *lower = g_ascii_strdown(name, -1);
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
        if (strstr(lower, words[i]) != NULL)
            return true;
    return g_str_equal(lower, "sig");
}

typedef struct {
    const char *member;
    bool found;
} Wanted;

static bool match_grant(const Placeholder *p, bool whole, void *data, GError **error)
{
    (void)whole, (void)error;
    Wanted *w = data;
    w->found |= g_str_equal(p->root, "grant") && g_strcmp0(p->member, w->member) == 0;
    return true;
}

static bool names_grant(const char *text, const char *member)
{
    Wanted w = { .member = member };
    const Visitor visitor = { match_grant, NULL, &w };
    return text != NULL && template_visit(text, &visitor, NULL) && w.found;
}

/* What opens the store's door is a secret, whether the description says so or not. */
static bool grant_is_secret(const Description *d, const char *member)
{
    const Source *source = source_by_name(d->grant.extract, member);
    bool secret = source->secret || looks_secret(member) || names_grant(d->upload.url, member);
    for (unsigned i = 0; d->upload.headers != NULL && i + 1 < d->upload.headers->len; i += 2)
        secret |= names_grant(d->upload.headers->pdata[i + 1], member);
    for (unsigned i = 0; d->upload.fields != NULL && i + 1 < d->upload.fields->len; i += 2)
        secret |= looks_secret(d->upload.fields->pdata[i]) && names_grant(d->upload.fields->pdata[i + 1], member);
    return secret;
}

static bool is_plain(const Placeholder *p)
{
    return p->n_filters > 0 && g_str_equal(p->filters[0], "plain");
}

static bool check_member(const Check *c, const Placeholder *p, GError **error)
{
    const Description *d = c->b->desc;
    const GPtrArray *named = g_str_equal(p->root, "grant") ? d->grant.extract
                             : g_str_equal(p->root, "mp")  ? d->multipart.create.extract
                                                           : NULL;
    if (g_str_equal(p->root, "grant") || g_str_equal(p->root, "mp"))
        return source_by_name(named, p->member) != NULL || wrong(c, p->text, "is not extracted anywhere", error);
    if (g_str_equal(p->root, "answer"))
        return source_by_name(d->after, p->member) != NULL || source_by_name(d->multipart.complete.extract, p->member) != NULL ||
               wrong(c, p->text, "is not extracted anywhere", error);
    if (g_str_equal(p->root, "vars"))
        return g_hash_table_contains(c->b->vars, p->member) || wrong(c, p->text, "is no variable of this description", error);
    if (g_str_equal(p->root, "env"))
        return g_hash_table_contains(c->b->env, p->member) || wrong(c, p->text, "is not in allow_env, or not in the environment", error);
    static const struct {
        const char *root, *members;
    } fixed[] = { { "part", "|number|size|" }, { "upload", "|etag|" }, { "now", "|unix|iso|" } };
    g_autofree char *word = g_strconcat("|", p->member, "|", NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(fixed); i++)
        if (g_str_equal(p->root, fixed[i].root) && strstr(fixed[i].members, word) == NULL)
            return wrong(c, p->text, "is unknown", error);
    return true;
}

static bool check_file(const Check *c, const Placeholder *p, GError **error)
{
    unsigned digests = 0;
    if (!file_member_digests(p->member, &digests))
        return wrong(c, p->text, "is unknown", error);
    if (digests != 0 && !c->hashes)
        return wrong(c, p->text, "is known only where a file goes whole, and not in parts", error);
    c->b->digests |= digests;
    return true;
}

static void add_name(GPtrArray *names, const char *name)
{
    if (!g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL))
        g_ptr_array_add(names, g_strdup(name));
}

static unsigned root_sees(const Placeholder *p)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(roots); i++)
        if (g_str_equal(roots[i].root, p->root))
            return roots[i].sees;
    return 0;
}

static bool check_placeholder(const Placeholder *p, bool whole, void *data, GError **error)
{
    (void)whole;
    const Check *c = data;
    const unsigned sees = root_sees(p);
    const bool bare = g_str_equal(p->root, "uuid") || g_str_equal(p->root, "parts");
    if (p->member == NULL && !bare)
        return g_hash_table_contains(c->b->vars, p->root) || wrong(c, p->text, "is unknown", error);
    if (sees == 0 || bare != (p->member == NULL))
        return wrong(c, p->text, "is unknown", error);
    if (sees != SEES_ALWAYS && (c->sees & sees) == 0)
        return wrong(c, p->text, "cannot be named here", error);
    if (g_str_equal(p->root, "file") ? !check_file(c, p, error) : p->member != NULL && !check_member(c, p, error))
        return false;
    if (g_str_equal(p->root, "secret"))
        add_name(c->b->secrets, p->member);
    if (!c->keeps)
        return true;
    const bool secret = (g_str_equal(p->root, "grant") && grant_is_secret(c->b->desc, p->member)) ||
                        (g_str_equal(p->root, "mp") && source_by_name(c->b->desc->multipart.create.extract, p->member)->secret);
    if (secret && !is_plain(p))
        return wrong(c, p->text, "is a secret, which must not outlive the upload (a URL without its query is NAME|plain)", error);
    if ((sees & (SEES_FILE | SEES_GRANT | SEES_ANSWER | SEES_UPLOAD | SEES_MP)) != 0)
        add_name(c->b->kept, p->text);
    return true;
}

/* ---- places ---- */

static bool check_text(const Check *c, const char *text, GError **error)
{
    const Visitor visitor = { check_placeholder, NULL, (void *)c };
    g_autoptr(GError) cause = NULL;
    if (text == NULL || template_visit(text, &visitor, &cause))
        return true;
    if (g_str_has_prefix(cause->message, c->b->desc->file))
        g_propagate_error(error, g_steal_pointer(&cause));
    else
        fault_set(error, FAULT_CONFIG, "%s: %s: %s", c->b->desc->file, c->place, cause->message);
    return false;
}

static bool check_pairs(const Check *c, const GPtrArray *pairs, GError **error)
{
    for (unsigned i = 0; pairs != NULL && i + 1 < pairs->len; i += 2)
        if (!check_text(c, pairs->pdata[i + 1], error))
            return false;
    return true;
}

static bool header_names_ok(const Check *c, const GPtrArray *pairs, GError **error)
{
    for (unsigned i = 0; pairs != NULL && i + 1 < pairs->len; i += 2)
        if (!broker_check_header(pairs->pdata[i], "", NULL)) {
            g_autofree char *shown = hoist_text(pairs->pdata[i]);
            fault_set(error, FAULT_CONFIG, "%s: %s: \"%s\" is no name of a header", c->b->desc->file, c->place, shown);
            return false;
        }
    return true;
}

static bool check_request(Broker *b, const char *place, const DescRequest *d, unsigned sees, bool hashes, bool keeps, GError **error)
{
    const Check c = { .b = b, .place = place, .sees = sees, .hashes = hashes, .keeps = keeps };
    const int bodies = (d->json != NULL) + (d->form != NULL) + (d->urlencoded != NULL) + (d->body != NULL);
    const Visitor visitor = { check_placeholder, NULL, (void *)&c };
    if (!d->given)
        return true;
    if (bodies > 1 || (bodies > 0 && g_strcmp0(d->method, "GET") == 0)) {
        fault_set(error, FAULT_CONFIG, "%s: %s: one of json, form, urlencoded, body at most, and none with GET", b->desc->file, place);
        return false;
    }
    return check_text(&c, d->url, error) && check_pairs(&c, d->query, error) && check_pairs(&c, d->headers, error) &&
           header_names_ok(&c, d->headers, error) && check_pairs(&c, d->form, error) && check_pairs(&c, d->urlencoded, error) &&
           check_text(&c, d->body, error) && (d->json == NULL || template_visit_json(d->json, &visitor, error));
}

static bool in_parts(const Description *d)
{
    return d->multipart.given || g_str_equal(d->upload.kind, "resumable");
}

static bool check_result(Broker *b, GError **error)
{
    const Check c = { .b = b, .place = "result", .sees = AT_RESULT, .hashes = !in_parts(b->desc), .keeps = true };
    const GPtrArray *result = b->desc->result;
    for (unsigned i = 0; result != NULL && i + 1 < result->len; i += 2)
        if (!g_str_equal(result->pdata[i], "url") && !g_str_equal(result->pdata[i], "key") && !g_str_equal(result->pdata[i], "id")) {
            fault_set(error, FAULT_CONFIG, "%s: result: known are url, key, id", b->desc->file);
            return false;
        }
    return check_pairs(&c, result, error);
}

static bool check_upload(Broker *b, GError **error)
{
    const DescUpload *u = &b->desc->upload;
    const bool whole = g_str_equal(u->kind, "put") || g_str_equal(u->kind, "form");
    const Check c = { .b = b, .place = "upload", .sees = AT_UPLOAD, .hashes = whole };
    return check_text(&c, u->url, error) && check_pairs(&c, u->headers, error) && header_names_ok(&c, u->headers, error) &&
           check_pairs(&c, u->fields, error);
}

static bool check_places(Broker *b, GError **error)
{
    const Description *d = b->desc;
    const DescParts *m = &d->multipart;
    const bool whole = g_str_equal(d->upload.kind, "put") || g_str_equal(d->upload.kind, "form");
    for (unsigned i = 0; d->notify != NULL && i < d->notify->len; i++)
        if (!check_request(b, "notify", d->notify->pdata[i], AT_NOTIFY, !in_parts(d), true, error))
            return false;
    return check_request(b, "grant", &d->grant, AT_GRANT, whole, false, error) && check_upload(b, error) &&
           check_request(b, "multipart/create", &m->create, AT_GRANT, false, false, error) &&
           check_request(b, "multipart/sign", &m->sign, AT_PARTS | SEES_PART, false, false, error) &&
           check_request(b, "multipart/list", &m->list.listing, AT_PARTS, false, false, error) &&
           check_request(b, "multipart/complete", &m->complete, AT_PARTS | SEES_PARTS, false, false, error) &&
           check_request(b, "multipart/abort", &m->abort, AT_PARTS, false, false, error) && check_result(b, error);
}

/* ---- what belongs together ---- */

static bool needs(const Description *d, bool there, const char *what, GError **error)
{
    if (!there)
        fault_set(error, FAULT_CONFIG, "%s: %s", d->file, what);
    return there;
}

static bool check_shape(const Description *d, GError **error)
{
    const DescUpload *u = &d->upload;
    const DescParts *m = &d->multipart;
    const bool resumable = g_str_equal(u->kind, "resumable"), parts = g_str_equal(u->kind, "multipart");
    const bool no_url = parts || (resumable && (g_strcmp0(u->protocol, "s3") == 0 || g_strcmp0(u->protocol, "qiniu-v2") == 0));
    return needs(d, u->url != NULL || no_url, "upload: \"url\" is missing", error) &&
           needs(d, !resumable || u->protocol != NULL, "upload: kind resumable needs a \"protocol\"", error) &&
           needs(d, !parts || m->given, "upload: kind multipart needs \"multipart\"", error) &&
           needs(d, u->fields == NULL || !g_str_equal(u->kind, "put"), "upload: a put has no fields", error) &&
           needs(d, d->grant.given || (u->headers_from == NULL && u->fields_from == NULL),
                 "upload: headers_from and fields_from need a grant", error) &&
           needs(d, !m->given || !resumable, "multipart does not go with kind resumable", error) &&
           needs(d, !m->given || (m->sign.given != (m->part_urls != NULL)), "multipart: one of sign, part_urls is needed", error) &&
           needs(d, !m->given || source_by_name(m->create.extract, "id") != NULL, "multipart/create: extract must give \"id\"", error) &&
           needs(d, !m->sign.given || source_by_name(m->sign.extract, "url") != NULL, "multipart/sign: extract must give \"url\"", error) &&
           needs(d, m->part_names == NULL || m->part_names->len == 2, "multipart: part_names are two", error);
}

/* ---- variables, environment, sign-in ---- */

static bool set_var(Broker *b, const char *line, GError **error)
{
    const char *equals = strchr(line, '=');
    g_autofree char *name = g_strndup(line, equals == NULL ? strlen(line) : (size_t)(equals - line));
    const GPtrArray *vars = b->desc->vars;
    g_autoptr(GString) known = g_string_new(NULL);
    for (unsigned i = 0; vars != NULL && i + 1 < vars->len; i += 2) {
        if (equals != NULL && g_str_equal(vars->pdata[i], name)) {
            g_hash_table_insert(b->vars, g_steal_pointer(&name), g_strdup(equals + 1));
            return true;
        }
        g_string_append_printf(known, "%s%s", i > 0 ? ", " : "", (const char *)vars->pdata[i]);
    }
    g_autofree char *shown = hoist_text(name);
    fault_set(error, FAULT_CONFIG, "var: \"%s\" is no variable of %s; write NAME=VALUE, known are %s", shown, b->desc->file,
              known->len == 0 ? "none" : known->str);
    return false;
}

static bool fill_vars(Broker *b, const DestConf *conf, GError **error)
{
    const GPtrArray *vars = b->desc->vars;
    const char *joined = dest_conf_option(conf, "var");
    g_auto(GStrv) lines = g_strsplit(joined == NULL ? "" : joined, "\n", -1);
    for (unsigned i = 0; lines[i] != NULL; i++)
        if (*lines[i] != '\0' && !set_var(b, lines[i], error))
            return false;
    for (unsigned i = 0; vars != NULL && i + 1 < vars->len; i += 2) {
        if (g_hash_table_contains(b->vars, vars->pdata[i]))
            continue;
        if (vars->pdata[i + 1] == NULL) {
            const char *name = vars->pdata[i];
            fault_set(error, FAULT_CONFIG, "%s: its variable \"%s\" is not set: var = %s=VALUE", b->desc->file, name, name);
            return false;
        }
        g_hash_table_insert(b->vars, g_strdup(vars->pdata[i]), g_strdup(vars->pdata[i + 1]));
    }
    const GPtrArray *env = b->desc->allow_env;
    for (unsigned i = 0; env != NULL && i < env->len; i++)
        if (g_getenv(env->pdata[i]) != NULL)
            g_hash_table_insert(b->env, g_strdup(env->pdata[i]), g_strdup(g_getenv(env->pdata[i])));
    return true;
}

static bool add_sign_in(Broker *b, const char *word, GError **error)
{
    static const SignIn known[] = { { "token", (char *)"Authorization", "Bearer " },
                                    { "cookie", (char *)"Cookie", "" },
                                    { "csrf", (char *)"X-CSRF-Token", "" } };
    static const char *const words[] = { "bearer", "cookie", "csrf" };
    SignIn sign_in = { 0 };
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
        if (g_str_equal(word, words[i]))
            sign_in = (SignIn){ known[i].name, g_strdup(known[i].header), known[i].before };
    if (g_str_has_prefix(word, "header:") && broker_check_header(word + strlen("header:"), "", NULL)) {
        g_autofree char *name = g_ascii_strdown(word + strlen("header:"), -1);
        sign_in = (SignIn){ g_intern_string(name), g_strdup(word + strlen("header:")), "" };
    }
    if (sign_in.name == NULL) {
        g_autofree char *shown = hoist_text(word);
        fault_set(error, FAULT_CONFIG, "sign-in: \"%s\" is not allowed; allowed: bearer, cookie, csrf, header:NAME", shown);
        return false;
    }
    g_array_append_val(b->sign_ins, sign_in);
    add_name(b->secrets, sign_in.name);
    return true;
}

static bool fill_sign_ins(Broker *b, const DestConf *conf, GError **error)
{
    const char *joined = dest_conf_option(conf, "sign-in");
    g_auto(GStrv) words = g_strsplit(joined == NULL ? "" : joined, "\n", -1);
    for (unsigned i = 0; words[i] != NULL; i++)
        if (*words[i] != '\0' && !add_sign_in(b, words[i], error))
            return false;
    if (b->sign_ins->len == 0 || b->origin != NULL)
        return true;
    fault_set(error, FAULT_CONFIG, "sign-in: %s asks no application", b->desc->file);
    return false;
}

/* ---- the application's origin, known before anything is asked ---- */

typedef struct {
    const Broker *b;
    GString *text;
    bool stopped; /* at the first value that is known only later */
} Front;

static bool front_placeholder(const Placeholder *p, bool whole, void *data, GError **error)
{
    (void)whole, (void)error;
    Front *f = data;
    const char *value = NULL;
    if (p->n_filters == 0 && p->member == NULL)
        value = g_hash_table_lookup(f->b->vars, p->root);
    else if (p->n_filters == 0 && g_str_equal(p->root, "vars"))
        value = g_hash_table_lookup(f->b->vars, p->member);
    else if (p->n_filters == 0 && g_str_equal(p->root, "env"))
        value = g_hash_table_lookup(f->b->env, p->member);
    f->stopped |= value == NULL;
    if (!f->stopped)
        g_string_append(f->text, value);
    return true;
}

static void front_literal(const char *text, size_t bytes, void *data)
{
    Front *f = data;
    if (!f->stopped)
        g_string_append_len(f->text, text, (gssize)bytes);
}

static const char *app_url(const Description *d)
{
    if (d->grant.given)
        return d->grant.url;
    if (d->multipart.given)
        return d->multipart.create.url;
    return d->notify != NULL && d->notify->len > 0 ? ((const DescRequest *)d->notify->pdata[0])->url : NULL;
}

char *broker_fixed_text(const Broker *b, const char *text)
{
    GString *out = g_string_new(NULL);
    Front f = { .b = b, .text = out };
    const Visitor visitor = { front_placeholder, front_literal, &f };
    const bool whole = template_visit(text, &visitor, NULL) && !f.stopped;
    char *fixed = g_string_free(out, FALSE);
    if (!whole)
        g_clear_pointer(&fixed, g_free);
    return fixed;
}

static bool fill_origin(Broker *b, GError **error)
{
    const char *url = app_url(b->desc);
    if (url == NULL)
        return true;
    g_autoptr(GString) text = g_string_new(NULL);
    Front f = { .b = b, .text = text };
    const Visitor visitor = { front_placeholder, front_literal, &f };
    if (!template_visit(url, &visitor, error))
        return false;
    const char *host = strstr(text->str, "://");
    const bool whole = host != NULL && (!f.stopped || host[3 + strcspn(host + 3, "/?")] != '\0');
    b->origin = whole ? url_origin(text->str) : NULL;
    if (b->origin == NULL)
        fault_set(error, FAULT_CONFIG, "%s: the application's URL does not begin with http:// or https:// and a host%s", b->desc->file,
                  f.stopped ? " that is known beforehand" : "; look at var");
    return b->origin != NULL;
}

static bool fill_parts_from(Broker *b, const DestConf *conf)
{
    const DescParts *m = &b->desc->multipart;
    const char *own = dest_conf_option(conf, "parts-from");
    uint64_t bytes = m->threshold < 0 ? UINT64_C(100) << 20 : (uint64_t)m->threshold; /* Uppy's own choice */
    if (own != NULL && !hoist_parse_size(own, &bytes))
        return false;
    b->parts_from = !m->given ? UINT64_MAX : g_str_equal(b->desc->upload.kind, "multipart") ? 0 : bytes;
    return true;
}

bool broker_check(Broker *b, const DestConf *conf, GError **error)
{
    if (!check_shape(b->desc, error) || !fill_vars(b, conf, error) || !check_places(b, error) || !fill_origin(b, error) ||
        !fill_sign_ins(b, conf, error))
        return false;
    if (!fill_parts_from(b, conf)) {
        fault_set(error, FAULT_CONFIG, "parts-from is no size");
        return false;
    }
    if (b->sign_ins->len > 0 && !dest_keeps_secret(conf, b->origin, "what the application knows you by", error))
        return false;
    g_ptr_array_add(b->secrets, NULL);
    b->plain_ok =
        g_strcmp0(dest_conf_option(conf, "allow-http"), "true") == 0 || (b->origin != NULL && g_str_has_prefix(b->origin, "http:"));
    return true;
}
