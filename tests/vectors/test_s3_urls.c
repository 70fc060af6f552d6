/* s3-urls.json: endpoint + bucket + key + addressing -> URL, or an error. */
#include "vectors.h"

#include <string.h>

#include "core/dest/s3_url.h"
#include "core/fault.h"

/* The vectors have options where hoist takes the host itself. */
static char *endpoint_of(const VectorCase *vc)
{
    JsonObject *options = vectors_object(vc->json, "options");
    if (options != NULL && json_object_has_member(options, "use_dualstack_endpoint"))
        return g_strdup_printf("https://s3.dualstack.%s.amazonaws.com", vectors_str(vc->json, "region"));
    if (options != NULL && json_object_has_member(options, "use_accelerate_endpoint"))
        return g_strdup("https://s3-accelerate.amazonaws.com");
    return g_strdup(vectors_str(vc->json, "endpoint"));
}

/* hoist drops a scheme's own port, for it would end up in Host. */
static char *without_default_port(const char *url)
{
    const char *port = g_str_has_prefix(url, "https:") ? ":443/" : ":80/";
    const char *at = strstr(url, port);
    if (at == NULL)
        return g_strdup(url);
    return g_strdup_printf("%.*s%s", (int)(at - url), url, strchr(at, '/'));
}

static char *make_url(const VectorCase *vc, GError **error)
{
    const char *bucket = vectors_str(vc->json, "bucket"), *key = vectors_str(vc->json, "key"), *style = vectors_str(vc->json, "addressing");
    g_autofree char *endpoint = endpoint_of(vc);
    S3Endpoint ep = { 0 };
    char *url = NULL;
    if (s3_endpoint_parse(&ep, endpoint, error) && s3_check_bucket(&ep, bucket, error) && s3_check_key(key, error))
        url = s3_url(&ep, vectors_str(vc->json, "region"), bucket, key,
                     g_str_equal(style, "path")      ? S3_STYLE_PATH
                     : g_str_equal(style, "virtual") ? S3_STYLE_VIRTUAL
                                                     : S3_STYLE_AUTO);
    s3_endpoint_clear(&ep);
    return url;
}

static bool check(const VectorCase *vc)
{
    g_autoptr(GError) error = NULL;
    JsonObject *expect = vectors_object(vc->json, "expect");
    const char *expected = vectors_str(expect, "url");
    g_autofree char *url = make_url(vc, &error);
    g_autofree char *expected_bare = expected == NULL ? NULL : without_default_port(expected);
    vectors_str_equal(vc, "url", url, expected_bare);
    if ((url == NULL) != (fault_code(error) == FAULT_USAGE))
        vectors_fail(vc, "a refusal must be a usage fault");
    return true;
}

static void test_urls(void)
{
    static const char *const formats[] = { "s3-urls", NULL };
    vectors_each(formats, check);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vectors/s3-urls", test_urls);
    return g_test_run();
}
