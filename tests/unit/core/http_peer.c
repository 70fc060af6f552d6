#include "http_peer.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/digest.h"

enum { HEADER_MOST = 16 * 1024, BODY_KEPT = 8 * 1024 * 1024, TICK_MS = 5 };

struct HttpPeer {
    /* fixed after new */
    int listener;
    uint16_t port;
    pthread_t thread;
    /* under lock */
    pthread_mutex_t lock;
    GArray *threads; /* of pthread_t */
    unsigned requests, connections;
    char *header;
    GBytes *body;
    bool stop;
};

typedef struct {
    HttpPeer *peer;
    int fd;
    char header[HEADER_MOST + 1];
    char path[200];
    uint64_t body_bytes;
    bool expects;
    GByteArray *early; /* of the body, came with the header */
} Conn;

static bool stopping(HttpPeer *p)
{
    pthread_mutex_lock(&p->lock);
    const bool stop = p->stop;
    pthread_mutex_unlock(&p->lock);
    return stop;
}

/* Waits in small steps so that the end of a test is not held up. */
static bool nap(Conn *c, int ms)
{
    for (; ms > 0 && !stopping(c->peer); ms -= TICK_MS)
        g_usleep(TICK_MS * 1000);
    return !stopping(c->peer);
}

static ssize_t receive(Conn *c, void *buffer, size_t most)
{
    struct pollfd pfd = { .fd = c->fd, .events = POLLIN };
    while (!stopping(c->peer))
        if (poll(&pfd, 1, TICK_MS) > 0)
            return recv(c->fd, buffer, most, 0);
    return -1;
}

static bool say(Conn *c, const char *text)
{
    return send(c->fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

static bool read_header(Conn *c)
{
    size_t have = 0;
    char *end = NULL;
    while (end == NULL && have < HEADER_MOST) {
        const ssize_t n = receive(c, c->header + have, HEADER_MOST - have);
        if (n <= 0)
            return false;
        have += (size_t)n;
        c->header[have] = '\0';
        end = strstr(c->header, "\r\n\r\n");
    }
    if (end == NULL)
        return false;
    g_byte_array_set_size(c->early, 0);
    g_byte_array_append(c->early, (guint8 *)end + 4, (guint)(have - (size_t)(end + 4 - c->header)));
    end[2] = '\0';
    const char *length = strstr(c->header, "\r\nContent-Length: ");
    c->body_bytes = length != NULL ? g_ascii_strtoull(length + 18, NULL, 10) : 0;
    c->expects = strstr(c->header, "\r\nExpect: 100") != NULL;
    c->path[0] = '\0';
    sscanf(c->header, "%*s /%199[^/ ]", c->path);

    pthread_mutex_lock(&c->peer->lock);
    c->peer->requests++;
    g_free(c->peer->header);
    c->peer->header = g_strdup(c->header);
    pthread_mutex_unlock(&c->peer->lock);
    return true;
}

static bool read_body(Conn *c, int pause_ms)
{
    GByteArray *body = g_byte_array_new();
    g_byte_array_append(body, c->early->data, c->early->len);
    uint64_t have = c->early->len;
    static const size_t piece = 64 * 1024;
    guint8 *buffer = g_malloc(piece);
    bool ok = true;
    while (ok && have < c->body_bytes) {
        ok = pause_ms == 0 || nap(c, pause_ms);
        const ssize_t n = ok ? receive(c, buffer, MIN(piece, c->body_bytes - have)) : -1;
        ok = n > 0;
        if (ok && body->len < BODY_KEPT)
            g_byte_array_append(body, buffer, (guint)n);
        have += ok ? (uint64_t)n : 0;
    }
    g_free(buffer);
    GBytes *bytes = g_byte_array_free_to_bytes(body);
    pthread_mutex_lock(&c->peer->lock);
    if (ok) {
        g_clear_pointer(&c->peer->body, g_bytes_unref);
        c->peer->body = g_bytes_ref(bytes);
    }
    pthread_mutex_unlock(&c->peer->lock);
    g_bytes_unref(bytes);
    return ok;
}

/* ---- manners: true = the connection goes on ---- */

static bool serve_ok(Conn *c)
{
    if (c->expects && !say(c, "HTTP/1.1 100 Continue\r\n\r\n"))
        return false;
    if (!read_body(c, 0))
        return false;
    const bool head = g_str_has_prefix(c->header, "HEAD ");
    g_autofree char *answer =
        g_strconcat("HTTP/1.1 200 OK\r\nETag: \"abc\"\r\nX-Empty:\r\nContent-Length: 5\r\n\r\n", head ? "" : "hello", NULL);
    return say(c, answer); /* in one send: two would wait for a delayed acknowledgement */
}

static bool serve_no100(Conn *c)
{
    return read_body(c, 0) && say(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

static bool serve_silent(Conn *c) /* takes everything, says nothing */
{
    if (read_body(c, 0))
        nap(c, 60000);
    return false;
}

static bool serve_deaf(Conn *c) /* does not even read */
{
    nap(c, 60000);
    return false;
}

static bool serve_early503(Conn *c)
{
    say(c, "HTTP/1.1 503 Slow Down\r\nRetry-After: 7\r\nConnection: close\r\nContent-Length: 8\r\n\r\nSlowDown");
    return false;
}

static bool serve_early403(Conn *c) /* answers at once, reads to the end if there is one */
{
    say(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\ndenied");
    return read_body(c, 0);
}

static bool serve_close(Conn *c) /* answers, then drops the connection without saying so */
{
    if (read_body(c, 0))
        say(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    return false;
}

static bool serve_reset(Conn *c)
{
    char buffer[4096];
    const struct linger hard = { .l_onoff = 1, .l_linger = 0 };
    (void)!recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    return false;
}

static bool serve_slow(Conn *c)
{
    return read_body(c, 10) && say(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

static bool serve_417(Conn *c)
{
    if (c->expects)
        return say(c, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
    return serve_ok(c);
}

static bool serve_spaces(Conn *c) /* as S3 does while it completes a large upload */
{
    bool ok = read_body(c, 0) && say(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; ok && i < 8; i++)
        ok = nap(c, 100) && say(c, "1\r\n \r\n");
    return ok && say(c, "6\r\n<done>\r\n0\r\n\r\n");
}

static bool serve_headers(Conn *c)
{
    bool ok = say(c, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; ok && i < 1000000 && !stopping(c->peer); i++)
        ok = say(c, "X-Filler: 0123456789012345678901234567890123456789\r\n");
    return false;
}

static bool serve_many(Conn *c) /* 300 short header lines, then a good end */
{
    bool ok = say(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
    for (int i = 0; ok && i < 300; i++)
        ok = say(c, "X-Many: 1\r\n");
    return ok && say(c, "\r\n");
}

static bool serve_huge(Conn *c)
{
    g_autofree char *block = g_strnfill(100 * 1000, 'x');
    bool ok = say(c, "HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n");
    for (int i = 0; ok && i < 500; i++)
        ok = say(c, block);
    return ok;
}

static bool serve_garbage(Conn *c)
{
    say(c, "SSH-2.0-OpenSSH_9.2\r\n");
    return false;
}

static bool serve_cut(Conn *c)
{
    if (read_body(c, 0))
        say(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
    return false;
}

static bool serve_redirect(Conn *c)
{
    return read_body(c, 0) && say(c, "HTTP/1.1 307 Temporary Redirect\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
}

/* Value of a parameter of "Authorization: Digest"; caller frees. */
static char *digest_parameter(const Conn *c, const char *name)
{
    const char *line = strstr(c->header, "\r\nAuthorization: Digest ");
    g_autofree char *start = g_strdup_printf("%s=", name);
    const char *at = line == NULL ? NULL : strstr(line, start);
    if (at == NULL)
        return g_strdup("");
    at += strlen(start);
    return *at == '"' ? g_strndup(at + 1, strcspn(at + 1, "\"")) : g_strndup(at, strcspn(at, ",\r"));
}

static char *md5_of(const char *text)
{
    DigestSet set;
    digest_of(DIGEST_BIT(DIGEST_MD5), text, strlen(text), &set);
    return digest_hex(set.value[DIGEST_MD5], digest_bytes(DIGEST_MD5));
}

/* RFC 7616 with MD5 and qop=auth, for user "me" with password "sesame". */
static bool signed_in(const Conn *c, const char *wanted_nonce)
{
    g_autofree char *nonce = digest_parameter(c, "nonce"), *cnonce = digest_parameter(c, "cnonce"), *nc = digest_parameter(c, "nc");
    g_autofree char *uri = digest_parameter(c, "uri"), *response = digest_parameter(c, "response");
    g_autofree char *method = g_strndup(c->header, strcspn(c->header, " "));
    g_autofree char *what = g_strdup_printf("%s:%s", method, uri), *ha2 = md5_of(what), *ha1 = md5_of("me:x, y:sesame");
    g_autofree char *all = g_strdup_printf("%s:%s:%s:%s:auth:%s", ha1, nonce, nc, cnonce, ha2), *right = md5_of(all);
    return g_str_equal(nonce, wanted_nonce) && g_str_equal(response, right);
}

static bool challenge(Conn *c, const char *nonce, bool stale)
{
    g_autofree char *answer =
        g_strdup_printf("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"x, y\", nonce=\"%s\", qop=\"auth\"%s\r\n"
                        "Content-Length: 2\r\n\r\nno",
                        nonce, stale ? ", stale=true" : "");
    return read_body(c, 0) && say(c, answer);
}

static bool serve_digest(Conn *c)
{
    return signed_in(c, "n1") ? serve_ok(c) : challenge(c, "n1", false);
}

static bool serve_stale(Conn *c) /* the first nonce grows old while the body comes */
{
    if (signed_in(c, "n2"))
        return serve_ok(c);
    const bool was_right = signed_in(c, "n1");
    if (was_right && c->expects && !say(c, "HTTP/1.1 100 Continue\r\n\r\n"))
        return false;
    return challenge(c, was_right ? "n2" : "n1", was_right);
}

static const struct {
    const char *path;
    bool (*serve)(Conn *c);
} manners[] = {
    { "ok", serve_ok },       { "no100", serve_no100 },       { "silent", serve_silent },
    { "deaf", serve_deaf },   { "early503", serve_early503 }, { "early403", serve_early403 },
    { "close", serve_close }, { "reset", serve_reset },       { "slow", serve_slow },
    { "417", serve_417 },     { "spaces", serve_spaces },     { "headers", serve_headers },
    { "many", serve_many },   { "huge", serve_huge },         { "garbage", serve_garbage },
    { "cut", serve_cut },     { "redirect", serve_redirect }, { "digest", serve_digest },
    { "stale", serve_stale },
};

static void *conn_main(void *ctx)
{
    Conn *c = ctx;
    bool goes_on = true;
    while (goes_on && read_header(c)) {
        goes_on = false;
        for (unsigned i = 0; i < G_N_ELEMENTS(manners); i++)
            if (g_str_equal(manners[i].path, c->path))
                goes_on = manners[i].serve(c);
    }
    close(c->fd);
    g_byte_array_unref(c->early);
    g_free(c);
    return NULL;
}

static void *peer_main(void *ctx)
{
    HttpPeer *p = ctx;
    struct pollfd pfd = { .fd = p->listener, .events = POLLIN };
    while (!stopping(p)) {
        if (poll(&pfd, 1, TICK_MS) <= 0)
            continue;
        const int fd = accept(p->listener, NULL, NULL);
        if (fd < 0)
            continue;
        Conn *c = g_new0(Conn, 1);
        c->peer = p;
        c->fd = fd;
        c->early = g_byte_array_new();
        pthread_t thread;
        g_assert_cmpint(pthread_create(&thread, NULL, conn_main, c), ==, 0);
        pthread_mutex_lock(&p->lock);
        p->connections++;
        g_array_append_val(p->threads, thread);
        pthread_mutex_unlock(&p->lock);
    }
    return NULL;
}

HttpPeer *http_peer_new(void)
{
    HttpPeer *p = g_new0(HttpPeer, 1);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(p->listener, (struct sockaddr *)&address, sizeof address), ==, 0);
    g_assert_cmpint(listen(p->listener, 64), ==, 0);
    g_assert_cmpint(getsockname(p->listener, (struct sockaddr *)&address, &length), ==, 0);
    p->port = ntohs(address.sin_port);
    p->threads = g_array_new(FALSE, FALSE, sizeof(pthread_t));
    pthread_mutex_init(&p->lock, NULL);
    g_assert_cmpint(pthread_create(&p->thread, NULL, peer_main, p), ==, 0);
    return p;
}

void http_peer_free(HttpPeer *p)
{
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    for (guint i = 0; i < p->threads->len; i++)
        pthread_join(g_array_index(p->threads, pthread_t, i), NULL);
    close(p->listener);
    g_array_unref(p->threads);
    g_free(p->header);
    g_clear_pointer(&p->body, g_bytes_unref);
    pthread_mutex_destroy(&p->lock);
    g_free(p);
}

char *http_peer_url(const HttpPeer *p, const char *path)
{
    return g_strdup_printf("http://127.0.0.1:%u/%s", p->port, path);
}

unsigned http_peer_requests(HttpPeer *p)
{
    pthread_mutex_lock(&p->lock);
    const unsigned n = p->requests;
    pthread_mutex_unlock(&p->lock);
    return n;
}

unsigned http_peer_connections(HttpPeer *p)
{
    pthread_mutex_lock(&p->lock);
    const unsigned n = p->connections;
    pthread_mutex_unlock(&p->lock);
    return n;
}

char *http_peer_last_header(HttpPeer *p)
{
    pthread_mutex_lock(&p->lock);
    char *header = g_strdup(p->header);
    pthread_mutex_unlock(&p->lock);
    return header;
}

GBytes *http_peer_last_body(HttpPeer *p)
{
    pthread_mutex_lock(&p->lock);
    GBytes *body = p->body != NULL ? g_bytes_ref(p->body) : NULL;
    pthread_mutex_unlock(&p->lock);
    return body;
}
