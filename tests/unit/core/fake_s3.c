#include "fake_s3.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEADER_MAX = 65536 };

typedef struct {
    char *key;
    GHashTable *parts; /* number -> GBytes */
} FakeUpload;

struct FakeS3 {
    int listener;
    unsigned port;
    pthread_t thread;
    /* under lock */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    GHashTable *objects; /* key -> GBytes */
    GHashTable *uploads; /* id -> FakeUpload */
    GHashTable *sockets; /* of connections */
    FakeRules rules;
    void *rules_ctx;
    unsigned counts[N_FAKE], last_id, threads, releases;
    bool stopping;
};

/* One request as it came. */
typedef struct {
    FakeKind kind;
    char *header, *key, *upload_id, *marker;
    unsigned part;
    GByteArray *body;
} Asked;

typedef struct {
    int status;
    char *etag;
    GString *body;
    uint64_t length; /* HEAD: of the object */
} Reply;

typedef struct {
    FakeS3 *fake;
    int fd;
} Connection;

static void fake_upload_free(gpointer data)
{
    FakeUpload *u = data;
    g_free(u->key);
    g_hash_table_unref(u->parts);
    g_free(u);
}

static void unref_bytes(gpointer bytes)
{
    g_bytes_unref(bytes);
}

/* ---- reading */

static char *query_value(const char *query, const char *name)
{
    g_auto(GStrv) pairs = g_strsplit(query == NULL ? "" : query, "&", -1);
    for (char **p = pairs; *p != NULL; p++) {
        char *equals = strchr(*p, '=');
        if (equals != NULL)
            *equals = '\0';
        if (g_str_equal(*p, name))
            return g_uri_unescape_string(equals == NULL ? "" : equals + 1, NULL);
    }
    return NULL;
}

static FakeKind kind_of(const char *method, const Asked *a, bool uploads)
{
    if (g_str_equal(method, "HEAD"))
        return FAKE_HEAD;
    if (g_str_equal(method, "DELETE"))
        return a->upload_id != NULL ? FAKE_ABORT : FAKE_DELETE;
    if (g_str_equal(method, "POST"))
        return uploads ? FAKE_CREATE : FAKE_COMPLETE;
    if (g_str_equal(method, "GET"))
        return uploads ? FAKE_LIST_UPLOADS : FAKE_LIST_PARTS;
    return a->upload_id != NULL ? FAKE_PART : FAKE_PUT;
}

static void read_target(Asked *a)
{
    g_auto(GStrv) words = g_strsplit(a->header, " ", 3);
    char *query = strchr(words[1], '?');
    if (query != NULL)
        *query++ = '\0';
    const char *slash = strchr(words[1] + 1, '/');
    a->key = slash == NULL || slash[1] == '\0' ? NULL : g_uri_unescape_string(slash + 1, NULL);
    a->upload_id = query_value(query, "uploadId");
    g_autofree char *part = query_value(query, "partNumber"), *uploads = query_value(query, "uploads");
    a->part = part == NULL ? 0 : (unsigned)g_ascii_strtoull(part, NULL, 10);
    a->marker = query_value(query, "prefix");
    a->kind = kind_of(words[0], a, uploads != NULL);
}

static char *header_value(const char *header, const char *name)
{
    g_autofree char *lower = g_ascii_strdown(header, -1), *line = g_strconcat("\r\n", name, ": ", NULL);
    const char *at = strstr(lower, line);
    if (at == NULL)
        return NULL;
    const char *value = header + (at - lower) + strlen(line);
    return g_strndup(value, strcspn(value, "\r"));
}

static bool read_more(int fd, GByteArray *into)
{
    guint8 buffer[65536];
    const ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    if (n > 0)
        g_byte_array_append(into, buffer, (guint)n);
    return n > 0;
}

static void send_all(int fd, const void *bytes, size_t n)
{
    for (size_t done = 0; done < n;) {
        const ssize_t r = send(fd, (const char *)bytes + done, n - done, MSG_NOSIGNAL);
        if (r <= 0)
            return;
        done += (size_t)r;
    }
}

/* What is left over of a pipelined read stays in `in`. */
static bool read_request(int fd, GByteArray *in, Asked *a)
{
    const char *end;
    while ((end = in->len == 0 ? NULL : g_strstr_len((const char *)in->data, in->len, "\r\n\r\n")) == NULL)
        if (in->len > HEADER_MAX || !read_more(fd, in))
            return false;
    const guint head = (guint)(end - (const char *)in->data) + 4;
    a->header = g_strndup((const char *)in->data, head);
    g_byte_array_remove_range(in, 0, head);
    g_autofree char *length = header_value(a->header, "content-length"), *expect = header_value(a->header, "expect");
    const guint body = length == NULL ? 0 : (guint)g_ascii_strtoull(length, NULL, 10);
    if (expect != NULL)
        send_all(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    while (in->len < body)
        if (!read_more(fd, in))
            return false;
    a->body = g_byte_array_sized_new(body);
    g_byte_array_append(a->body, in->data, body);
    if (body > 0)
        g_byte_array_remove_range(in, 0, body);
    read_target(a);
    return true;
}

static void asked_clear(Asked *a)
{
    g_free(a->header);
    g_free(a->key);
    g_free(a->upload_id);
    g_free(a->marker);
    if (a->body != NULL)
        g_byte_array_unref(a->body);
    *a = (Asked){ 0 };
}

/* ---- doing; under the lock */

static char *etag_of(GBytes *bytes)
{
    gsize n;
    const guchar *data = g_bytes_get_data(bytes, &n);
    g_autofree char *hex = g_compute_checksum_for_data(G_CHECKSUM_MD5, n > 0 ? data : (const guchar *)"", n);
    return g_strdup_printf("\"%s\"", hex);
}

static void refuse(Reply *r, int status, const char *code)
{
    r->status = status;
    g_string_printf(r->body, "<Error><Code>%s</Code><Message>as the test wants it</Message></Error>", code);
}

static void do_complete(FakeS3 *f, const Asked *a, FakeUpload *u, Reply *r)
{
    g_autoptr(GByteArray) whole = g_byte_array_new();
    for (unsigned i = 1; i <= g_hash_table_size(u->parts); i++) {
        GBytes *part = g_hash_table_lookup(u->parts, GUINT_TO_POINTER(i));
        gsize n;
        const guint8 *data = part == NULL ? NULL : g_bytes_get_data(part, &n);
        if (data == NULL) {
            refuse(r, 400, "InvalidPart");
            return;
        }
        g_byte_array_append(whole, data, (guint)n);
    }
    g_hash_table_insert(f->objects, g_strdup(a->key), g_bytes_new(whole->data, whole->len));
    g_hash_table_remove(f->uploads, a->upload_id);
    g_string_assign(r->body, "<CompleteMultipartUploadResult><ETag>\"whole\"</ETag></CompleteMultipartUploadResult>");
}

static void list_parts(const FakeUpload *u, Reply *r)
{
    GHashTableIter it;
    gpointer number, part;
    g_string_assign(r->body, "<ListPartsResult><IsTruncated>false</IsTruncated>");
    g_hash_table_iter_init(&it, u->parts);
    while (g_hash_table_iter_next(&it, &number, &part)) {
        g_autofree char *etag = etag_of(part);
        g_string_append_printf(r->body, "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag><Size>%zu</Size></Part>", GPOINTER_TO_UINT(number),
                               etag, g_bytes_get_size(part));
    }
    g_string_append(r->body, "</ListPartsResult>");
}

static void list_uploads(const FakeS3 *f, const char *prefix, Reply *r)
{
    GHashTableIter it;
    gpointer id, upload;
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *when = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S.000Z");
    g_string_assign(r->body, "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>");
    g_hash_table_iter_init(&it, f->uploads);
    while (g_hash_table_iter_next(&it, &id, &upload))
        if (prefix == NULL || g_str_has_prefix(((FakeUpload *)upload)->key, prefix))
            g_string_append_printf(r->body, "<Upload><Key>%s</Key><UploadId>%s</UploadId><Initiated>%s</Initiated></Upload>",
                                   ((FakeUpload *)upload)->key, (const char *)id, when);
    g_string_append(r->body, "</ListMultipartUploadsResult>");
}

static void create_upload(FakeS3 *f, const Asked *a, Reply *r)
{
    FakeUpload *u = g_new0(FakeUpload, 1);
    u->key = g_strdup(a->key);
    u->parts = g_hash_table_new_full(NULL, NULL, NULL, unref_bytes);
    char *id = g_strdup_printf("upload-%u", ++f->last_id);
    g_hash_table_insert(f->uploads, id, u);
    g_string_printf(r->body, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id);
}

static void do_object(FakeS3 *f, const Asked *a, Reply *r)
{
    GBytes *object = g_hash_table_lookup(f->objects, a->key);
    g_autofree char *only_new = header_value(a->header, "if-none-match");
    if (a->kind == FAKE_HEAD) {
        r->status = object == NULL ? 404 : 200;
        r->length = object == NULL ? 0 : g_bytes_get_size(object);
    } else if (only_new != NULL && object != NULL) {
        refuse(r, 412, "PreconditionFailed");
        return;
    } else {
        object = g_bytes_new(a->body->data, a->body->len);
        g_hash_table_insert(f->objects, g_strdup(a->key), object);
    }
    if (object != NULL)
        r->etag = etag_of(object);
}

static void do_it(FakeS3 *f, const Asked *a, Reply *r)
{
    FakeUpload *u = a->upload_id == NULL ? NULL : g_hash_table_lookup(f->uploads, a->upload_id);
    r->status = 200;
    if (a->upload_id != NULL && u == NULL) {
        refuse(r, 404, "NoSuchUpload");
        return;
    }
    switch (a->kind) {
    case FAKE_PUT:
    case FAKE_HEAD:
        do_object(f, a, r);
        break;
    case FAKE_CREATE:
        create_upload(f, a, r);
        break;
    case FAKE_PART: {
        GBytes *part = g_bytes_new(a->body->data, a->body->len);
        g_hash_table_insert(u->parts, GUINT_TO_POINTER(a->part), part);
        r->etag = etag_of(part);
        break;
    }
    case FAKE_COMPLETE:
        do_complete(f, a, u, r);
        break;
    case FAKE_ABORT:
        g_hash_table_remove(f->uploads, a->upload_id);
        r->status = 204;
        break;
    case FAKE_DELETE:
        g_hash_table_remove(f->objects, a->key);
        r->status = 204;
        break;
    case FAKE_LIST_PARTS:
        list_parts(u, r);
        break;
    case FAKE_LIST_UPLOADS:
        list_uploads(f, a->marker, r);
        break;
    case N_FAKE:
        break;
    }
}

/* ---- answering */

static void answer(int fd, const Asked *a, const Reply *r)
{
    g_autoptr(GString) out = g_string_new(NULL);
    const uint64_t length = a->kind == FAKE_HEAD ? r->length : r->body->len;
    g_string_printf(out, "HTTP/1.1 %d Fake\r\nContent-Length: %" G_GUINT64_FORMAT "\r\n", r->status, length);
    if (r->etag != NULL)
        g_string_append_printf(out, "ETag: %s\r\n", r->etag);
    g_string_append(out, "\r\n");
    if (a->kind != FAKE_HEAD)
        g_string_append_len(out, r->body->str, (gssize)r->body->len);
    send_all(fd, out->str, out->len);
}

static void hold(FakeS3 *f, unsigned ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    const unsigned before = f->releases;
    while (!f->stopping && f->releases == before && pthread_cond_timedwait(&f->changed, &f->lock, &until) == 0)
        continue;
}

/* False when the connection is to be closed. */
static bool serve(FakeS3 *f, int fd, const Asked *a)
{
    Reply r = { .body = g_string_new(NULL) };
    pthread_mutex_lock(&f->lock);
    const FakeRequest asked = { a->kind, a->key, a->header, a->part, ++f->counts[a->kind] };
    const FakeRule rule = f->rules == NULL ? (FakeRule){ 0 } : f->rules(&asked, f->rules_ctx);
    if (rule.status != 0)
        refuse(&r, rule.status, rule.code);
    else if (!rule.cut_before)
        do_it(f, a, &r);
    if (rule.hold_ms > 0)
        hold(f, rule.hold_ms);
    pthread_mutex_unlock(&f->lock);
    const bool stays = !rule.cut && !rule.cut_before;
    if (stays)
        answer(fd, a, &r);
    g_free(r.etag);
    g_string_free(r.body, TRUE);
    return stays;
}

static void *connection_thread(void *ctx)
{
    Connection *c = ctx;
    FakeS3 *f = c->fake;
    g_autoptr(GByteArray) in = g_byte_array_new();
    Asked a = { 0 };
    while (read_request(c->fd, in, &a) && serve(f, c->fd, &a))
        asked_clear(&a);
    asked_clear(&a);
    pthread_mutex_lock(&f->lock);
    g_hash_table_remove(f->sockets, GINT_TO_POINTER(c->fd));
    close(c->fd);
    f->threads--;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    g_free(c);
    return NULL;
}

static void *listen_thread(void *ctx)
{
    FakeS3 *f = ctx;
    for (;;) {
        const int fd = accept(f->listener, NULL, NULL);
        pthread_mutex_lock(&f->lock);
        const bool stopping = f->stopping;
        pthread_t thread;
        if (fd >= 0 && !stopping) {
            Connection *c = g_new0(Connection, 1);
            *c = (Connection){ f, fd };
            g_hash_table_add(f->sockets, GINT_TO_POINTER(fd));
            f->threads++;
            g_assert_cmpint(pthread_create(&thread, NULL, connection_thread, c), ==, 0);
            pthread_detach(thread);
        } else if (fd >= 0) {
            close(fd);
        }
        pthread_mutex_unlock(&f->lock);
        if (stopping)
            return NULL;
    }
}

/* ---- for the tests */

FakeS3 *fake_s3_new(void)
{
    FakeS3 *f = g_new0(FakeS3, 1);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof at;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    f->objects = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, unref_bytes);
    f->uploads = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, fake_upload_free);
    f->sockets = g_hash_table_new(NULL, NULL);
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(f->listener, (struct sockaddr *)&at, sizeof at), ==, 0);
    g_assert_cmpint(listen(f->listener, 64), ==, 0);
    g_assert_cmpint(getsockname(f->listener, (struct sockaddr *)&at, &size), ==, 0);
    f->port = ntohs(at.sin_port);
    g_assert_cmpint(pthread_create(&f->thread, NULL, listen_thread, f), ==, 0);
    return f;
}

void fake_s3_free(FakeS3 *f)
{
    GHashTableIter it;
    gpointer fd;
    pthread_mutex_lock(&f->lock);
    f->stopping = true;
    pthread_cond_broadcast(&f->changed);
    g_hash_table_iter_init(&it, f->sockets);
    while (g_hash_table_iter_next(&it, &fd, NULL))
        shutdown(GPOINTER_TO_INT(fd), SHUT_RDWR);
    while (f->threads > 0)
        pthread_cond_wait(&f->changed, &f->lock);
    pthread_mutex_unlock(&f->lock);
    shutdown(f->listener, SHUT_RDWR);
    pthread_join(f->thread, NULL);
    close(f->listener);
    g_hash_table_unref(f->objects);
    g_hash_table_unref(f->uploads);
    g_hash_table_unref(f->sockets);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    g_free(f);
}

char *fake_s3_url(const FakeS3 *f)
{
    return g_strdup_printf("http://127.0.0.1:%u", f->port);
}

void fake_s3_rules(FakeS3 *f, FakeRules rules, void *ctx)
{
    pthread_mutex_lock(&f->lock);
    f->rules = rules;
    f->rules_ctx = ctx;
    pthread_mutex_unlock(&f->lock);
}

void fake_s3_let_go(FakeS3 *f)
{
    pthread_mutex_lock(&f->lock);
    f->releases++;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

GBytes *fake_s3_object(FakeS3 *f, const char *key)
{
    pthread_mutex_lock(&f->lock);
    GBytes *object = g_hash_table_lookup(f->objects, key);
    if (object != NULL)
        g_bytes_ref(object);
    pthread_mutex_unlock(&f->lock);
    return object;
}

static unsigned size_of(FakeS3 *f, GHashTable *table)
{
    pthread_mutex_lock(&f->lock);
    const unsigned n = g_hash_table_size(table);
    pthread_mutex_unlock(&f->lock);
    return n;
}

unsigned fake_s3_objects(FakeS3 *f)
{
    return size_of(f, f->objects);
}

unsigned fake_s3_uploads(FakeS3 *f)
{
    return size_of(f, f->uploads);
}

unsigned fake_s3_count(FakeS3 *f, FakeKind kind)
{
    pthread_mutex_lock(&f->lock);
    const unsigned n = f->counts[kind];
    pthread_mutex_unlock(&f->lock);
    return n;
}
