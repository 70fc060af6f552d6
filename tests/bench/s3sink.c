/* s3sink - stands in for an S3 server and throws every upload away as cheaply as Linux lets it, so that what is measured is the client.
 *
 * One thread, epoll, bodies dropped inside the kernel (recv with MSG_TRUNC: no copy), few wake-ups (SO_RCVLOWAT). With TLS 1.3 the records
 * that come in are counted by their headers and dropped still encrypted; only those with a request header in them are decrypted. It checks
 * no signature and no digest, echoes no checksum, and its ETags end in "-1", as S3's own do where they are no MD5.
 *
 *   s3sink [-p port] [-t] [-c cert.pem -k key.pem] [-d ms] [-v]        -t TLS, -d answer that much later, -v log requests
 *
 * GET /_stats gives counters as JSON, GET /_reset zeroes them and forgets the objects. Speaks PUT, multipart create, part, complete and
 * abort, HEAD, empty listings, look-ups of buckets, DELETE, Expect: 100-continue, Content-Length and chunked bodies. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HDR, BODY, CHUNK, WAIT };
enum { CAP = 65536, REC = 5 + 16384 + 256, LOWAT = 1 << 20, SCRATCH = 1 << 18 };

struct conn {
    int fd, state, lowat, close, chunk_state, want;
    SSL *ssl;
    uint64_t need, size; /* body bytes to come; object bytes */
    size_t len;          /* bytes in in[] */
    uint64_t chunk_left;
    unsigned chunk_line;
    int outlen;
    int raw, rec_have; /* TLS 1.3 records, see records() */
    EVP_CIPHER_CTX *gcm;
    uint8_t secret[32], iv[12];
    uint64_t rseq, skip, plain;
    char in[CAP], out[1536];
    uint8_t rec[REC];
};

static struct {
    uint64_t conns, open, peak, requests, put, create, part, complete, abort_, head, get, del, other, expect, wire, object, errors,
        tls_full, tls_resumed;
} st;
static int verbose, delay_ms, ep;
static SSL_CTX *tls;
static char scratch[SCRATCH];
static volatile sig_atomic_t dump;
static double cpu0;

/* ---- the objects seen, so that HEAD can answer ---- */
static struct obj {
    uint64_t h, size;
} * tab;
static size_t tcap = 1 << 16, tn;
static uint64_t hash(const char *s, size_t n)
{
    uint64_t h = 1469598103934665603u;
    while (n--)
        h = (h ^ (uint8_t)*s++) * 1099511628211u;
    return h | 1;
}
static struct obj *find(uint64_t h)
{
    size_t i = h & (tcap - 1);
    while (tab[i].h && tab[i].h != h)
        i = (i + 1) & (tcap - 1);
    return &tab[i];
}
static void remember(uint64_t h, uint64_t size)
{
    if (tn * 2 > tcap) {
        struct obj *o = tab;
        size_t n = tcap;
        tcap *= 2;
        tab = calloc(tcap, sizeof *tab);
        for (size_t i = 0; i < n; i++)
            if (o[i].h)
                *find(o[i].h) = o[i];
        free(o);
    }
    struct obj *o = find(h);
    if (!o->h)
        tn++;
    o->h = h;
    o->size = size;
}

static double cpu(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}
static int stats(char *b, size_t n)
{
#define F(x) (unsigned long long)st.x
    return snprintf(
        b, n,
        "{\"cpu\":%.4f,\"connections\":%llu,\"open\":%llu,\"peak_open\":%llu,\"requests\":%llu,\"put\":%llu,"
        "\"create\":%llu,\"part\":%llu,\"complete\":%llu,\"abort\":%llu,\"head\":%llu,\"get\":%llu,\"delete\":%llu,\"other\":%llu,"
        "\"expect\":%llu,\"wire_bytes\":%llu,\"object_bytes\":%llu,\"errors\":%llu,\"tls_full\":%llu,\"tls_resumed\":%llu}\n",
        cpu() - cpu0, F(conns), F(open), F(peak), F(requests), F(put), F(create), F(part), F(complete), F(abort_), F(head), F(get), F(del),
        F(other), F(expect), F(wire), F(object), F(errors), F(tls_full), F(tls_resumed));
}

static void set_lowat(struct conn *c, int v)
{
    if ((c->ssl && !c->raw) || c->lowat == v)
        return;
    setsockopt(c->fd, SOL_SOCKET, SO_RCVLOWAT, &v, sizeof v);
    c->lowat = v;
}
static void interest(struct conn *c, int ev)
{
    if (c->want == ev)
        return;
    struct epoll_event e = { .events = ev, .data.ptr = c };
    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
    c->want = ev;
}
static void drop(struct conn *c)
{
    if (c->state == BODY || c->state == CHUNK)
        st.errors++;
    if (c->ssl)
        SSL_free(c->ssl);
    if (c->gcm)
        EVP_CIPHER_CTX_free(c->gcm);
    close(c->fd);
    st.open--;
    free(c);
}
/* 0: try later, <0: gone */
static long rd(struct conn *c, void *p, size_t n)
{
    long r;
    if (c->ssl) {
        r = SSL_read(c->ssl, p ? p : scratch, n > SCRATCH && !p ? SCRATCH : n > 1 << 30 ? 1 << 30 : (int)n);
        if (r > 0)
            return r;
        int e = SSL_get_error(c->ssl, (int)r);
        ERR_clear_error();
        return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? 0 : -1;
    }
    r = recv(c->fd, p, n > 1 << 30 ? 1 << 30 : n, MSG_DONTWAIT | (p ? 0 : MSG_TRUNC));
    if (r > 0)
        return r;
    return r < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}
static int wr(struct conn *c, const char *p, int n)
{
    return (c->ssl ? SSL_write(c->ssl, p, n) : send(c->fd, p, n, MSG_NOSIGNAL)) == n ? 0 : -1;
}

/* ---- answers ---- */
static const char *now(void)
{
    static time_t last;
    static char s[40];
    time_t t = time(NULL);
    if (t != last) {
        struct tm g;
        strftime(s, sizeof s, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&t, &g));
        last = t;
    }
    return s;
}
static void reply(struct conn *c, const char *status, const char *extra, const char *body)
{
    size_t n = body ? strlen(body) : 0;
    c->outlen = snprintf(c->out, sizeof c->out,
                         "HTTP/1.1 %s\r\nDate: %s\r\nServer: s3sink\r\nx-amz-request-id: 1\r\n%s%s"
                         "Content-Length: %zu\r\n%s\r\n%s",
                         status, now(), extra ? extra : "", n ? "Content-Type: application/xml\r\n" : "", n,
                         c->close ? "Connection: close\r\n" : "", n ? body : "");
}
static const char *header(const char *h, const char *end, const char *name, size_t *len)
{
    size_t n = strlen(name);
    for (; h < end; h = (char *)memchr(h, '\n', end - h) + 1)
        if ((size_t)(end - h) > n && h[n] == ':' && !strncasecmp(h, name, n)) {
            const char *v = h + n + 1, *e = memchr(v, '\r', end - v);
            while (*v == ' ')
                v++;
            *len = e - v;
            return v;
        }
    return NULL;
}

/* Prepares the answer in c->out, to be sent once the body has been read. */
static void answer(struct conn *c, const char *m, char *path, const char *hdr, const char *end)
{
    char x[700], *q = strchr(path, '?');
    size_t l;
    const char *query = "";
    if (q) {
        *q = 0;
        query = q + 1;
    }
    size_t pl = strlen(path);
    const char *slash = strchr(path + 1, '/');
    int bucket = !slash || !slash[1];
    uint64_t h = hash(path, pl);
    char etag[96];
    snprintf(etag, sizeof etag, "ETag: \"%016llx%016llx-1\"\r\n", (unsigned long long)h, (unsigned long long)(h * 31 + c->size));
    if (!strcmp(m, "PUT")) {
        if (strstr(query, "partNumber=")) {
            st.part++;
            st.object += c->size;
            remember(h, find(h)->size + c->size);
            reply(c, "200 OK", etag, NULL);
        } else if (bucket) {
            st.other++;
            reply(c, "200 OK", NULL, NULL);
        } else if (header(hdr, end, "x-amz-copy-source", &l)) {
            st.other++;
            reply(c, "200 OK", NULL,
                  "<CopyObjectResult><ETag>\"0-1\"</ETag><LastModified>2024-01-01T00:00:00Z</LastModified></CopyObjectResult>");
        } else {
            st.put++;
            st.object += c->size;
            remember(h, c->size);
            reply(c, "200 OK", etag, NULL);
        }
    } else if (!strcmp(m, "POST")) {
        if (strstr(query, "uploadId=")) {
            st.complete++;
            snprintf(x, sizeof x,
                     "<?xml version=\"1.0\" "
                     "encoding=\"UTF-8\"?><CompleteMultipartUploadResult><Location>http://s3sink%.200s</Location><Bucket>b</"
                     "Bucket><Key>%.200s</Key><ETag>\"%016llx%016llx-9\"</ETag></CompleteMultipartUploadResult>",
                     path, slash ? slash + 1 : "", (unsigned long long)h, (unsigned long long)h);
            reply(c, "200 OK", NULL, x);
        } else if (strstr(query, "uploads")) {
            st.create++;
            remember(h, 0);
            snprintf(x, sizeof x,
                     "<?xml version=\"1.0\" "
                     "encoding=\"UTF-8\"?><InitiateMultipartUploadResult><Bucket>b</Bucket><Key>%.300s</Key><UploadId>u%016llx</UploadId></"
                     "InitiateMultipartUploadResult>",
                     slash ? slash + 1 : "", (unsigned long long)h);
            reply(c, "200 OK", NULL, x);
        } else {
            st.other++;
            reply(c, "200 OK", NULL, "<DeleteResult/>");
        }
    } else if (!strcmp(m, "HEAD")) {
        struct obj *o;
        st.head++;
        if (bucket)
            reply(c, "200 OK", NULL, NULL);
        else if ((o = find(h))->h) {
            snprintf(x, sizeof x,
                     "HTTP/1.1 200 OK\r\nDate: %s\r\nLast-Modified: %s\r\n%sContent-Type: application/octet-stream\r\nContent-Length: "
                     "%llu\r\n\r\n",
                     now(), now(), etag, (unsigned long long)o->size);
            c->outlen = snprintf(c->out, sizeof c->out, "%s", x);
        } else
            reply(c, "404 Not Found", NULL, NULL);
    } else if (!strcmp(m, "GET")) {
        if (!strcmp(path, "/_stats")) {
            char s[900];
            stats(s, sizeof s);
            reply(c, "200 OK", NULL, s);
            return;
        }
        if (!strcmp(path, "/_reset")) {
            uint64_t open = st.open;
            memset(&st, 0, sizeof st);
            st.open = st.peak = open;
            memset(tab, 0, tcap * sizeof *tab);
            tn = 0;
            cpu0 = cpu();
            reply(c, "200 OK", NULL, NULL);
            return;
        }
        st.get++;
        if (!strcmp(path, "/"))
            reply(c, "200 OK", NULL,
                  "<ListAllMyBucketsResult><Owner><ID>s</ID></Owner><Buckets><Bucket><Name>bench-bucket</"
                  "Name><CreationDate>2024-01-01T00:00:00Z</CreationDate></Bucket></Buckets></ListAllMyBucketsResult>");
        else if (!bucket)
            reply(c, "404 Not Found", NULL, "<Error><Code>NoSuchKey</Code><Message>nothing is kept</Message></Error>");
        else if (strstr(query, "location"))
            reply(c, "200 OK", NULL, "<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"></LocationConstraint>");
        else if (strstr(query, "uploads"))
            reply(c, "200 OK", NULL,
                  "<ListMultipartUploadsResult><Bucket>b</Bucket><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>");
        else if (strstr(query, "versioning"))
            reply(c, "200 OK", NULL, "<VersioningConfiguration/>");
        else if (!*query || strstr(query, "prefix=") || strstr(query, "list-type=") || strstr(query, "delimiter="))
            reply(c, "200 OK", NULL,
                  "<ListBucketResult "
                  "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name><Prefix></Prefix><KeyCount>0</KeyCount><MaxKeys>1000</"
                  "MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>");
        else
            reply(c, "404 Not Found", NULL, "<Error><Code>NoSuchConfiguration</Code><Message>not kept</Message></Error>");
    } else if (!strcmp(m, "DELETE")) {
        if (strstr(query, "uploadId="))
            st.abort_++;
        else
            st.del++;
        reply(c, "204 No Content", NULL, NULL);
    } else if (!strcmp(m, "PROPFIND")) {
        st.other++;
        reply(c, "404 Not Found", NULL, NULL);
    } else {
        st.other++;
        reply(c, "201 Created", NULL, NULL);
    }
}

/* Answers wait here when there is a delay: it is the same for all, so they leave in order. */
static struct due {
    struct conn *c;
    uint64_t at;
} * fifo;
static size_t fh, ft, fcap;
static uint64_t ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static int finish(struct conn *c) /* body read: answer now, or put the answer off */
{
    set_lowat(c, 1);
    if (delay_ms) {
        if (ft == fcap) {
            memmove(fifo, fifo + fh, (ft - fh) * sizeof *fifo);
            ft -= fh;
            fh = 0;
            if (ft * 2 > fcap || !fcap) {
                fcap = fcap ? fcap * 2 : 1024;
                fifo = realloc(fifo, fcap * sizeof *fifo);
            }
        }
        c->state = WAIT;
        interest(c, 0);
        fifo[ft++] = (struct due){ c, ns() + delay_ms * 1000000ull };
        return 0;
    }
    c->state = HDR;
    return wr(c, c->out, c->outlen) || c->close ? -1 : 0;
}

/* Eats chunked framing; returns bytes used, sets *done. Trailers are skipped up to the empty line. */
static size_t chunked(struct conn *c, const char *p, size_t n, int *done)
{
    size_t i = 0;
    *done = 0;
    while (i < n)
        switch (c->chunk_state) {
        case 0: /* size line */
            for (; i < n && p[i] != '\n'; i++) {
                int d = p[i] >= '0' && p[i] <= '9' ? p[i] - '0' : (p[i] | 32) >= 'a' && (p[i] | 32) <= 'f' ? (p[i] | 32) - 'a' + 10 : -1;
                if (d >= 0 && !c->chunk_line)
                    c->chunk_left = c->chunk_left * 16 + d;
                else
                    c->chunk_line = 1;
            }
            if (i < n) {
                i++;
                c->chunk_line = 0;
                c->chunk_state = c->chunk_left ? 1 : 3;
            }
            break;
        case 1: {
            size_t k = c->chunk_left < n - i ? c->chunk_left : n - i;
            i += k;
            c->chunk_left -= k;
            if (!c->chunk_left)
                c->chunk_state = 2;
            break;
        }
        case 2:
            if (p[i++] == '\n')
                c->chunk_state = 0;
            break;
        case 3:
            if (p[i] == '\r')
                i++;
            else if (p[i] == '\n') {
                *done = 1;
                return i + 1;
            } else {
                c->chunk_state = 4;
                i++;
            }
            break;
        case 4:
            if (p[i++] == '\n')
                c->chunk_state = 3;
            break;
        }
    return i;
}

/* A whole header may be in c->in: take it. Returns -1 to hang up. */
static int take(struct conn *c)
{
    while (c->state == HDR && c->len) {
        char *e = memmem(c->in, c->len, "\r\n\r\n", 4);
        if (!e)
            return c->len == CAP ? -1 : 0;
        char *sp = memchr(c->in, ' ', e - c->in), *sp2 = sp ? memchr(sp + 1, ' ', e - sp - 1) : NULL,
             *nl = memchr(c->in, '\n', e + 2 - c->in);
        if (!sp2 || sp - c->in > 15 || !nl)
            return -1;
        *sp = *sp2 = 0;
        char *hdr = nl + 1, *end = e + 2;
        size_t l;
        const char *v;
        size_t hl = e + 4 - c->in, have = c->len - hl;
        st.requests++;
        if (verbose) {
            v = header(hdr, end, "x-amz-content-sha256", &l);
            fprintf(stderr, "%s %.300s sha256=%.*s\n", c->in, sp + 1, v ? (int)l : 1, v ? v : "-");
            if (verbose > 1)
                fprintf(stderr, "%.*s\n", (int)(end - hdr), hdr);
        }
        v = header(hdr, end, "connection", &l);
        c->close = v && l == 5 && !strncasecmp(v, "close", 5);
        v = header(hdr, end, "content-length", &l);
        c->need = v ? strtoull(v, NULL, 10) : 0;
        int te = (v = header(hdr, end, "transfer-encoding", &l)) && l == 7 && !strncasecmp(v, "chunked", 7);
        v = header(hdr, end, "x-amz-decoded-content-length", &l);
        c->size = v ? strtoull(v, NULL, 10) : c->need;
        int expect = (v = header(hdr, end, "expect", &l)) != NULL;
        answer(c, c->in, sp + 1, hdr, end);
        if (expect) {
            st.expect++;
            if (!have && wr(c, "HTTP/1.1 100 Continue\r\n\r\n", 25))
                return -1;
        }
        size_t used = 0;
        int done = 1;
        if (te) {
            c->chunk_state = 0;
            c->chunk_left = 0;
            c->chunk_line = 0;
            c->state = CHUNK;
            used = chunked(c, e + 4, have, &done);
            if (!have)
                done = 0;
        } else {
            used = c->need < have ? c->need : have;
            c->need -= used;
            c->state = BODY;
            done = !c->need;
        }
        st.wire += used;
        memmove(c->in, c->in + hl + used, c->len -= hl + used);
        if (done) {
            if (finish(c))
                return -1;
        } else if (!te && c->need > 65536) {
            if (!c->raw)
                set_lowat(c, c->need < LOWAT ? (int)c->need : LOWAT);
            else if (c->need > LOWAT + 65536)
                set_lowat(c, LOWAT);
        }
    }
    return 0;
}

/* ---- TLS 1.3 records without decryption of the bodies (AES-128-GCM only) ---- */
static void on_secret(const SSL *ssl, const char *line)
{
    struct conn *c = SSL_get_app_data(ssl);
    unsigned b;
    const char *h = strrchr(line, ' ') + 1;
    if (!strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24) && strlen(h) == 64)
        for (int i = 0; i < 32 && sscanf(h + 2 * i, "%2x", &b) == 1; i++)
            c->secret[i] = b;
}
static void expand(const uint8_t *secret, const char *label, uint8_t *out, int n)
{
    uint8_t info[32] = { 0, n, 6 + strlen(label) }, full[32];
    int l = 3 + sprintf((char *)info + 3, "tls13 %s", label);
    info[l++] = 0;
    info[l++] = 1;
    HMAC(EVP_sha256(), secret, 32, info, l, full, NULL);
    memcpy(out, full, n);
}
static void take_over(struct conn *c)
{
    uint8_t key[16];
    if (SSL_version(c->ssl) != TLS1_3_VERSION) {
        SSL_set_read_ahead(c->ssl, 1);
        return;
    }
    expand(c->secret, "key", key, 16);
    expand(c->secret, "iv", c->iv, 12);
    c->gcm = EVP_CIPHER_CTX_new();
    EVP_DecryptInit_ex(c->gcm, EVP_aes_128_gcm(), NULL, key, NULL);
    c->raw = 1;
}
static int records(struct conn *c)
{
    for (;;) {
        long r;
        int len = c->rec[3] << 8 | c->rec[4];
        if (c->skip) { /* the rest of a record that is all body */
            if ((r = recv(c->fd, NULL, c->skip, MSG_DONTWAIT | MSG_TRUNC)) <= 0)
                return r < 0 && errno == EAGAIN ? 0 : -1;
            if ((c->skip -= r))
                return 0;
            c->rseq++;
            c->rec_have = 0;
            c->need -= c->plain;
            st.wire += c->plain;
            if (!c->need) {
                if (finish(c) || c->state == WAIT)
                    return c->state == WAIT ? 0 : -1;
            } else if (c->lowat > 1 && c->need < LOWAT + 65536)
                set_lowat(c, 1);
            continue;
        }
        int goal = c->rec_have < 5 ? 5 : 5 + len;
        if ((r = recv(c->fd, c->rec + c->rec_have, goal - c->rec_have, MSG_DONTWAIT)) <= 0)
            return r < 0 && errno == EAGAIN ? 0 : -1;
        if ((c->rec_have += r) < goal)
            return 0;
        if (goal == 5) {
            len = c->rec[3] << 8 | c->rec[4];
            if (c->rec[0] != 23 || len < 17 || len > REC - 5)
                return -1;
            if (c->state == BODY && (uint64_t)len - 17 <= c->need) {
                c->skip = len;
                c->plain = len - 17;
            }
            continue;
        }
        uint8_t iv[12];
        int n, fin;
        memcpy(iv, c->iv, 12);
        for (int i = 0; i < 8; i++)
            iv[11 - i] ^= c->rseq >> (8 * i);
        uint8_t *p = c->rec + 5;
        len -= 16;
        EVP_DecryptInit_ex(c->gcm, NULL, NULL, NULL, iv);
        EVP_DecryptUpdate(c->gcm, NULL, &n, c->rec, 5);
        EVP_DecryptUpdate(c->gcm, p, &n, p, len);
        EVP_CIPHER_CTX_ctrl(c->gcm, EVP_CTRL_GCM_SET_TAG, 16, p + len);
        if (EVP_DecryptFinal_ex(c->gcm, p + len, &fin) != 1)
            return -1;
        c->rseq++;
        c->rec_have = 0;
        while (len && !p[len - 1])
            len--; /* padding, then the inner type */
        if (!len || p[len - 1] != 23)
            return -1; /* an alert: the client is going */
        len--;
        if (c->state == CHUNK) {
            int done;
            size_t u = chunked(c, (char *)p, len, &done);
            st.wire += u;
            if (done) {
                memcpy(c->in, p + u, c->len = len - u);
                if (finish(c))
                    return -1;
            }
        } else if (c->state == BODY) {
            uint64_t u = c->need;
            st.wire += u;
            memcpy(c->in, p + u, c->len = len - u);
            c->need = 0;
            if (finish(c))
                return -1;
        } else {
            if (c->len + len > CAP)
                return -1;
            memcpy(c->in + c->len, p, len);
            c->len += len;
        }
        if (take(c))
            return -1;
        if (c->state == WAIT)
            return 0;
    }
}

static int readable(struct conn *c)
{
    if (c->raw)
        return records(c);
    for (;;) {
        long r;
        int more = 0;
        if (c->state == HDR) {
            if ((r = rd(c, c->in + c->len, CAP - c->len)) <= 0)
                return r ? -1 : 0;
            c->len += r;
            if (take(c))
                return -1;
        } else if (c->state == BODY) {
            uint64_t ask = c->need;
            if ((r = rd(c, NULL, ask)) <= 0)
                return r ? -1 : 0;
            st.wire += r;
            if (!(c->need -= r)) {
                if (finish(c) || take(c))
                    return -1;
            } else if (c->lowat > 1 && c->need < (uint64_t)c->lowat)
                set_lowat(c, (int)c->need);
        } else if (c->state == CHUNK) {
            int done;
            if ((r = rd(c, scratch, SCRATCH)) <= 0)
                return r ? -1 : 0;
            st.wire += r;
            size_t u = chunked(c, scratch, r, &done);
            if (done) {
                c->len = r - u;
                memcpy(c->in, scratch + u, c->len);
                if (finish(c) || take(c))
                    return -1;
            } else
                more = r == SCRATCH;
        } else
            return 0;
        if (!c->ssl && !more)
            return 0; /* level-triggered: epoll says when there is more */
    }
}

static void on_usr1(int s)
{
    (void)s;
    dump = 1;
}

int main(int argc, char **argv)
{
    int port = 9000, o, one = 1, use_tls = 0;
    const char *cert = "cert.pem", *key = "key.pem";
    while ((o = getopt(argc, argv, "p:tc:k:d:v")) != -1)
        switch (o) {
        case 'p':
            port = atoi(optarg);
            break;
        case 't':
            use_tls = 1;
            break;
        case 'c':
            cert = optarg;
            break;
        case 'k':
            key = optarg;
            break;
        case 'd':
            delay_ms = atoi(optarg);
            break;
        case 'v':
            verbose++;
            break;
        default:
            return 2;
        }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, on_usr1);
    tab = calloc(tcap, sizeof *tab);
    if (use_tls) {
        tls = SSL_CTX_new(TLS_server_method());
        if (SSL_CTX_use_certificate_chain_file(tls, cert) != 1 || SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1) {
            ERR_print_errors_fp(stderr);
            return 1;
        }
        SSL_CTX_set_default_read_buffer_len(tls, SCRATCH);
        SSL_CTX_set_keylog_callback(tls, on_secret);
        SSL_CTX_set_ciphersuites(tls, "TLS_AES_128_GCM_SHA256");
        SSL_CTX_set_session_id_context(tls, (const unsigned char *)"s3sink", 6);
        SSL_CTX_set_options(tls, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION);
    }
    int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(l, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (bind(l, (void *)&a, sizeof a) || listen(l, 4096)) {
        perror("s3sink: listen");
        return 1;
    }
    ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev[256], le = { .events = EPOLLIN, .data.ptr = NULL };
    epoll_ctl(ep, EPOLL_CTL_ADD, l, &le);
    for (;;) {
        int wait = -1;
        if (fh < ft) {
            uint64_t t = ns();
            wait = fifo[fh].at <= t ? 0 : (int)((fifo[fh].at - t + 999999) / 1000000);
        }
        int n = epoll_wait(ep, ev, 256, wait);
        if (dump) {
            char s[900];
            dump = 0;
            stats(s, sizeof s);
            fputs(s, stderr);
        }
        for (int i = 0; i < n; i++) {
            struct conn *c = ev[i].data.ptr;
            if (!c) {
                int fd;
                while ((fd = accept4(l, NULL, NULL, SOCK_CLOEXEC | (use_tls ? SOCK_NONBLOCK : 0))) >= 0) {
                    c = malloc(sizeof *c);
                    memset(c, 0, offsetof(struct conn, in));
                    c->fd = fd;
                    c->lowat = 1;
                    c->want = EPOLLIN;
                    if (use_tls) {
                        c->ssl = SSL_new(tls);
                        SSL_set_fd(c->ssl, fd);
                        SSL_set_app_data(c->ssl, c);
                        SSL_set_accept_state(c->ssl);
                    }
                    struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
                    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
                    st.conns++;
                    if (++st.open > st.peak)
                        st.peak = st.open;
                }
                continue;
            }
            if (c->state == WAIT) {
                if (ev[i].events & (EPOLLHUP | EPOLLERR))
                    interest(c, EPOLLET), c->close = 1;
                continue;
            }
            if (c->ssl && !SSL_is_init_finished(c->ssl)) {
                int r = SSL_accept(c->ssl);
                if (r != 1) {
                    int e = SSL_get_error(c->ssl, r);
                    ERR_clear_error();
                    if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE) {
                        st.errors++;
                        drop(c);
                    }
                    continue;
                }
                if (SSL_session_reused(c->ssl))
                    st.tls_resumed++;
                else
                    st.tls_full++;
                take_over(c);
            }
            if (readable(c))
                drop(c);
        }
        uint64_t t = fh < ft ? ns() : 0;
        while (fh < ft && fifo[fh].at <= t) {
            struct conn *c = fifo[fh++].c;
            c->state = HDR;
            interest(c, EPOLLIN);
            if (wr(c, c->out, c->outlen) || c->close || take(c) || (c->ssl && c->state != WAIT && readable(c)))
                drop(c);
        }
        if (fh == ft)
            fh = ft = 0;
    }
}
