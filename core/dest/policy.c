#include "policy.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "json.h"

#define LIFE_S    3600 /* counted from the request's begin to its end, where a store looks only then */
#define LEAST_BPS 65536
#define FILENAME  "${filename}"

struct Policy {
    Form *form;
    JsonBuilder *json;
};

Policy *policy_new(Form *form, const char *expiration)
{
    Policy *p = g_new0(Policy, 1);
    p->form = form;
    p->json = json_builder_new();
    json_builder_begin_object(p->json);
    json_builder_set_member_name(p->json, "expiration");
    json_builder_add_string_value(p->json, expiration);
    json_builder_set_member_name(p->json, "conditions");
    json_builder_begin_array(p->json);
    return p;
}

void policy_free(Policy *p)
{
    if (p == NULL)
        return;
    g_object_unref(p->json);
    g_free(p);
}

void policy_condition(Policy *p, const char *name, const char *value)
{
    json_builder_begin_object(p->json);
    json_builder_set_member_name(p->json, name);
    json_builder_add_string_value(p->json, value);
    json_builder_end_object(p->json);
}

void policy_field(gpointer policy, const char *name, const char *value)
{
    Policy *p = policy;
    form_field(p->form, name, value);
    policy_condition(p, name, value);
}

void policy_prefix(Policy *p, const char *field, const char *prefix)
{
    json_builder_begin_array(p->json);
    json_builder_add_string_value(p->json, "starts-with");
    json_builder_add_string_value(p->json, field);
    json_builder_add_string_value(p->json, prefix);
    json_builder_end_array(p->json);
}

void policy_range(Policy *p, uint64_t least_bytes, uint64_t most_bytes)
{
    json_builder_begin_array(p->json);
    json_builder_add_string_value(p->json, "content-length-range");
    json_builder_add_int_value(p->json, (gint64)least_bytes);
    json_builder_add_int_value(p->json, (gint64)most_bytes);
    json_builder_end_array(p->json);
}

char *policy_end(Policy *p)
{
    json_builder_end_array(p->json);
    json_builder_end_object(p->json);
    g_autoptr(JsonNode) root = json_builder_get_root(p->json);
    g_autofree char *text = json_print(root);
    char *base64 = g_base64_encode((const guchar *)text, strlen(text));
    digest_wipe(text, strlen(text)); /* it may hold a session token */
    return base64;
}

char *policy_expiration(const DestCtx *ctx, const Upload *up, const char *format)
{
    uint64_t life_s;
    const char *text = dest_conf_option(ctx->conf, "token-life");
    if (text == NULL || !hoist_parse_time(text, &life_s))
        life_s = LIFE_S + up->size_bytes / LEAST_BPS;
    g_autoptr(GDateTime) end = g_date_time_new_from_unix_utc(ctx->now_s + ctx->learned->clock_offset_s + (int64_t)life_s);
    return g_date_time_format(end, format);
}

const char *policy_file_name(const char *key)
{
    const char *slash = strrchr(key, '/');
    return strstr(key, FILENAME) != NULL ? FILENAME : slash == NULL ? key : slash + 1;
}
