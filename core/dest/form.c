#include "form.h"

#include <string.h>

struct Form {
    char *boundary;
    GString *text; /* everything in front of the file */
};

/* Hashed, for a boundary takes few characters and 70 of them at most. */
static char *boundary_of(const char *seed)
{
    DigestSet set;
    digest_of(DIGEST_BIT(DIGEST_SHA256), seed, strlen(seed), &set);
    g_autofree char *hex = digest_hex(set.value[DIGEST_SHA256], 16);
    return g_strconcat("----hoist-", hex, NULL);
}

Form *form_new(const char *seed)
{
    Form *form = g_new0(Form, 1);
    form->boundary = boundary_of(seed == NULL ? "" : seed);
    form->text = g_string_new(NULL);
    return form;
}

/* Fields may be signatures and tokens. */
void form_free(Form *form)
{
    if (form == NULL)
        return;
    g_free(form->boundary);
    if (form->text != NULL)
        secret_free(g_string_free(form->text, FALSE));
    g_free(form);
}

/* As browsers write names; other bytes pass unchanged. */
static void append_quoted(GString *out, const char *parameter, const char *value)
{
    g_string_append_printf(out, "; %s=\"", parameter);
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == '"' || *p == '\r' || *p == '\n')
            g_string_append_printf(out, "%%%02X", (unsigned)*p);
        else
            g_string_append_c(out, *p);
    }
    g_string_append_c(out, '"');
}

static void begin_part(Form *form, const char *name, const char *filename)
{
    g_string_append_printf(form->text, "--%s\r\nContent-Disposition: form-data", form->boundary);
    append_quoted(form->text, "name", name);
    if (filename != NULL)
        append_quoted(form->text, "filename", filename);
    g_string_append(form->text, "\r\n");
}

void form_field(Form *form, const char *name, const char *value)
{
    begin_part(form, name, NULL);
    g_string_append_printf(form->text, "\r\n%s\r\n", value);
}

static void take_text(Form *form, Request *rq)
{
    g_autofree char *type = g_strconcat("multipart/form-data; boundary=", form->boundary, NULL);
    request_header(rq, "Content-Type", type);
    request_body_bytes(rq, g_string_free_to_bytes(g_steal_pointer(&form->text)));
    form->text = g_string_new(NULL);
}

void form_file(Form *form, Request *rq, const char *name, const char *filename, const char *content_type, uint64_t offset, uint64_t length)
{
    begin_part(form, name, filename);
    if (content_type != NULL && strpbrk(content_type, "\r\n") == NULL)
        g_string_append_printf(form->text, "Content-Type: %s\r\n", content_type);
    g_string_append(form->text, "\r\n");
    take_text(form, rq);
    if (length > 0)
        request_body_file(rq, offset, length);
    g_autofree char *closing = g_strdup_printf("\r\n--%s--\r\n", form->boundary);
    request_body_bytes(rq, g_bytes_new(closing, strlen(closing)));
}

void form_end(Form *form, Request *rq)
{
    g_string_append_printf(form->text, "--%s--\r\n", form->boundary);
    take_text(form, rq);
}
