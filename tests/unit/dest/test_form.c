/* What form.c makes of fields and a file, byte by byte. */
#include <string.h>

#include "core/dest/form.h"

/* The body with the file's bytes as "<offset+length>". Caller frees. */
static char *body_of(const Request *rq)
{
    GString *out = g_string_new(NULL);
    uint64_t bytes = 0;
    for (unsigned i = 0; i < rq->n_spans; i++) {
        const Span *s = &rq->spans[i];
        bytes += s->length;
        if (s->bytes != NULL)
            g_string_append_len(out, g_bytes_get_data(s->bytes, NULL), (gssize)g_bytes_get_size(s->bytes));
        else
            g_string_append_printf(out, "<%d+%d>", (int)s->offset, (int)s->length);
    }
    g_assert_cmpuint(bytes, ==, rq->body_bytes);
    return g_string_free(out, FALSE);
}

/* The boundary as the header names it. */
static const char *boundary_of(const Request *rq)
{
    static const char prefix[] = "Content-Type: multipart/form-data; boundary=";
    g_assert_cmpuint(rq->headers->len, ==, 1);
    g_assert_true(g_str_has_prefix(rq->headers->pdata[0], prefix));
    return (char *)rq->headers->pdata[0] + strlen(prefix);
}

/* expected: with '@' for the boundary. */
static void assert_body(const Request *rq, const char *expected)
{
    g_auto(GStrv) pieces = g_strsplit(expected, "@", -1);
    g_autofree char *whole = g_strjoinv(boundary_of(rq), pieces), *body = body_of(rq);
    g_assert_cmpstr(body, ==, whole);
}

static void test_file(void)
{
    g_autoptr(Form) form = form_new("0123456789abcdef0123456789abcdef");
    g_autoptr(Request) rq = request_new("POST");
    form_field(form, "key", "a b/\xc3\xa4");
    form_field(form, "policy", "e30=");
    form_file(form, rq, "file", "x.png", "image/png", 7, 12);
    assert_body(rq, "--@\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\na b/\xc3\xa4\r\n"
                    "--@\r\nContent-Disposition: form-data; name=\"policy\"\r\n\r\ne30=\r\n"
                    "--@\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.png\"\r\nContent-Type: image/png\r\n\r\n"
                    "<7+12>\r\n--@--\r\n");
}

static void test_empty_file(void)
{
    g_autoptr(Form) form = form_new("seed");
    g_autoptr(Request) rq = request_new("POST");
    form_file(form, rq, "file", NULL, NULL, 0, 0);
    g_assert_cmpuint(rq->n_spans, ==, 2);
    assert_body(rq, "--@\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n\r\n--@--\r\n");
}

static void test_without_file(void)
{
    g_autoptr(Form) form = form_new(NULL);
    g_autoptr(Request) rq = request_new("POST");
    form_field(form, "a", "");
    form_end(form, rq);
    assert_body(rq, "--@\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n--@--\r\n");
}

/* A name cannot end its header early, and a type cannot add one. */
static void test_hostile_names(void)
{
    g_autoptr(Form) form = form_new("seed");
    g_autoptr(Request) rq = request_new("POST");
    form_field(form, "a\"; b=\"c", "v");
    form_file(form, rq, "fi\nle", "n\r\nX: y\"\\.png", "text/plain\r\nX: y", 0, 1);
    assert_body(rq, "--@\r\nContent-Disposition: form-data; name=\"a%22; b=%22c\"\r\n\r\nv\r\n"
                    "--@\r\nContent-Disposition: form-data; name=\"fi%0Ale\"; filename=\"n%0D%0AX: y%22\\.png\"\r\n\r\n"
                    "<0+1>\r\n--@--\r\n");
}

static void test_boundary(void)
{
    g_autoptr(Request) a = request_new("POST"), b = request_new("POST"), c = request_new("POST");
    g_autoptr(Form) fa = form_new("one"), fb = form_new("one"),
                    fc = form_new("two; with \"odd\" characters and more than seventy of them in all, so");
    form_end(fa, a);
    form_end(fb, b);
    form_end(fc, c);
    g_assert_cmpstr(boundary_of(a), ==, boundary_of(b));
    g_assert_cmpstr(boundary_of(a), !=, boundary_of(c));
    g_assert_cmpuint(strlen(boundary_of(c)), <=, 70);
    g_assert_cmpuint(strspn(boundary_of(c), "-abcdefghijklmnopqrstuvwxyz0123456789"), ==, strlen(boundary_of(c)));
    g_assert_null(strstr(boundary_of(a), "one"));
    form_free(NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dest/form/file", test_file);
    g_test_add_func("/dest/form/empty-file", test_empty_file);
    g_test_add_func("/dest/form/without-file", test_without_file);
    g_test_add_func("/dest/form/hostile-names", test_hostile_names);
    g_test_add_func("/dest/form/boundary", test_boundary);
    return g_test_run();
}
