/* floor MODE JOBS PART_MB SRC URL PREFIX - the least that libcurl's multi interface needs for an upload: the yardstick of the benchmark.
 * A file goes as a multipart upload in parts of PART_MB, a folder as one PUT a file; JOBS transfers at once.
 *   read   read callback with pread, libcurl's own upload buffer of 64 KiB
 *   big    the same with a buffer of UPLOAD_KB
 *   post   no callback: CURLOPT_POSTFIELDS points into a mapping of the file
 * SIGN=1 adds SigV4 headers with UNSIGNED-PAYLOAD. EPOLL=1 drives libcurl by curl_multi_socket_action and epoll. No retries, no checks, no
 * journal, no error handling worth the name. */
#define _GNU_SOURCE
#include <curl/curl.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct job {
    CURL *e;
    struct curl_slist *h;
    int fd, own;
    off_t pos, end;
    char etag[80];
    char *map;
    size_t maplen;
};
static int jobs, npaths, cappaths, next_, total, live, sign_, failed, epfd = -1, sndbuf;
static size_t part;
static char **paths, *src, *url, *prefix, uploadid[128], *bigmap;
static off_t size;
static int bigfd;
static char (*etags)[80];
static CURLM *multi;
static const char *mode;
static long timer_ms = -1, upload_kb;

static size_t rd(char *b, size_t s, size_t n, void *p)
{
    struct job *j = p;
    n *= s;
    if ((off_t)n > j->end - j->pos)
        n = j->end - j->pos;
    if (!strcmp(mode, "mmap"))
        memcpy(b, j->map + j->pos, n);
    else {
        ssize_t r = pread(j->fd, b, n, j->pos);
        n = r < 0 ? 0 : r;
    }
    j->pos += n;
    return n;
}
static size_t hd(char *b, size_t s, size_t n, void *p)
{
    struct job *j = p;
    n *= s;
    if (n > 7 && n < 80 && !strncasecmp(b, "etag: ", 6)) {
        memcpy(j->etag, b + 6, n - 8);
        j->etag[n - 8] = 0;
    }
    return n;
}
static size_t body(char *b, size_t s, size_t n, void *p)
{
    n *= s;
    if (p)
        strncat(p, b, n < 900 ? n : 900);
    return n;
}
static int sockopt(void *p, curl_socket_t s, curlsocktype t)
{
    (void)p;
    (void)t;
    if (sndbuf)
        setsockopt(s, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf);
    return CURL_SOCKOPT_OK;
}

static void hex(const unsigned char *p, char *o)
{
    for (int i = 0; i < 32; i++)
        sprintf(o + 2 * i, "%02x", p[i]);
}
static void sha(const void *p, size_t n, char *o)
{
    unsigned char d[32];
    EVP_Digest(p, n, d, NULL, EVP_sha256(), NULL);
    hex(d, o);
}
static void signv4(struct job *j, const char *method, const char *path, const char *query, const char *payload)
{
    static char day[9], date[17];
    static unsigned char key[32];
    static time_t last;
    time_t t = time(NULL);
    unsigned l = 32;
    if (t != last) {
        struct tm g;
        gmtime_r(&t, &g);
        strftime(date, 17, "%Y%m%dT%H%M%SZ", &g);
        memcpy(day, date, 8);
        last = t;
        HMAC(EVP_sha256(), "AWS4benchsecret", 15, (void *)day, 8, key, &l);
        HMAC(EVP_sha256(), key, 32, (void *)"us-east-1", 9, key, &l);
        HMAC(EVP_sha256(), key, 32, (void *)"s3", 2, key, &l);
        HMAC(EVP_sha256(), key, 32, (void *)"aws4_request", 12, key, &l);
    }
    char c[2600], s[300], h[65], hdr[600];
    const char *host = strstr(url, "//") + 2;
    unsigned char d[32];
    int n = snprintf(c, sizeof c, "%s\n%s\n%s\nhost:%s\nx-amz-content-sha256:%s\nx-amz-date:%s\n\nhost;x-amz-content-sha256;x-amz-date\n%s",
                     method, path, query, host, payload, date, payload);
    sha(c, n, h);
    n = snprintf(s, sizeof s, "AWS4-HMAC-SHA256\n%s\n%s/us-east-1/s3/aws4_request\n%s", date, day, h);
    HMAC(EVP_sha256(), key, 32, (void *)s, n, d, &l);
    hex(d, h);
    snprintf(hdr, sizeof hdr,
             "Authorization: AWS4-HMAC-SHA256 "
             "Credential=bench/%s/us-east-1/s3/aws4_request,SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=%s",
             day, h);
    j->h = curl_slist_append(j->h, hdr);
    snprintf(hdr, sizeof hdr, "x-amz-date: %s", date);
    j->h = curl_slist_append(j->h, hdr);
    snprintf(hdr, sizeof hdr, "x-amz-content-sha256: %s", payload);
    j->h = curl_slist_append(j->h, hdr);
}

static void start(struct job *j)
{
    int i = next_++;
    char path[1500], q[200] = "", full[2400], pay[65] = "UNSIGNED-PAYLOAD";
    if (bigmap) {
        j->fd = bigfd;
        j->map = bigmap;
        j->pos = (off_t)i * part;
        j->end = j->pos + (off_t)part < size ? j->pos + (off_t)part : size;
        snprintf(path, sizeof path, "%s/big.bin", prefix);
        snprintf(q, sizeof q, "partNumber=%d&uploadId=%s", i + 1, uploadid);
    } else {
        struct stat s;
        j->fd = open(paths[i], O_RDONLY | O_CLOEXEC);
        fstat(j->fd, &s);
        j->own = 1;
        j->pos = 0;
        j->end = s.st_size;
        j->map = NULL;
        if (*mode != 'r' && *mode != 'b') {
            j->maplen = s.st_size;
            j->map = mmap(NULL, s.st_size, PROT_READ, MAP_SHARED, j->fd, 0);
        }
        snprintf(path, sizeof path, "%s/%s", prefix, paths[i] + strlen(src) + 1);
    }
    snprintf(full, sizeof full, "%s%s%s%s", url, path, *q ? "?" : "", q);
    curl_slist_free_all(j->h);
    j->h = curl_slist_append(NULL, "Expect:");
    if (sign_) {
        if (sign_ == 2) {
            if (j->map)
                sha(j->map + j->pos, j->end - j->pos, pay);
            else {
                char *b = malloc(j->end - j->pos);
                ssize_t r = pread(j->fd, b, j->end - j->pos, j->pos);
                sha(b, r, pay);
                free(b);
            }
        }
        signv4(j, "PUT", path, q, pay);
    }
    CURL *e = j->e;
    curl_easy_setopt(e, CURLOPT_URL, full);
    if (!strcmp(mode, "post")) {
        j->h = curl_slist_append(j->h, "Content-Type: application/octet-stream");
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(j->end - j->pos));
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, j->map + j->pos);
        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, "PUT");
    } else
        curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t)(j->end - j->pos));
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, j->h);
    curl_easy_setopt(e, CURLOPT_PRIVATE, (void *)j);
    curl_multi_add_handle(multi, e);
    live++;
}
static void finish(struct job *j, CURLcode rc)
{
    long code = 0;
    curl_easy_getinfo(j->e, CURLINFO_RESPONSE_CODE, &code);
    curl_multi_remove_handle(multi, j->e);
    live--;
    if (rc || code != 200) {
        failed++;
        fprintf(stderr, "%s %ld\n", curl_easy_strerror(rc), code);
    }
    if (bigmap)
        strcpy(etags[(j->pos - 1) / part < total ? (j->end - 1) / part : 0], j->etag);
    if (j->map && j->map != bigmap)
        munmap(j->map, j->maplen);
    if (j->own)
        close(j->fd);
}
static void post(const char *q, const char *data, char *out)
{
    CURL *e = curl_easy_init();
    struct job j = { 0 };
    char path[1500], full[2400], h[65];
    snprintf(path, sizeof path, "%s/big.bin", prefix);
    snprintf(full, sizeof full, "%s%s?%s", url, path, q);
    if (sign_) {
        sha(data, strlen(data), h);
        signv4(&j, "POST", path, q, h);
    }
    curl_easy_setopt(e, CURLOPT_URL, full);
    curl_easy_setopt(e, CURLOPT_POSTFIELDS, data);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, j.h);
    curl_easy_setopt(e, CURLOPT_CAINFO, getenv("CA"));
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, out);
    if (curl_easy_perform(e))
        failed++;
    curl_easy_cleanup(e);
}
static int on_sock(CURL *e, curl_socket_t s, int what, void *p, void *sp)
{
    (void)e;
    (void)p;
    struct epoll_event ev = { .events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0), .data.fd = s };
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(epfd, EPOLL_CTL_DEL, s, NULL);
        curl_multi_assign(multi, s, NULL);
    } else {
        epoll_ctl(epfd, sp ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s, &ev);
        curl_multi_assign(multi, s, (void *)1);
    }
    return 0;
}
static int on_timer(CURLM *m, long ms, void *p)
{
    (void)m;
    (void)p;
    timer_ms = ms;
    return 0;
}
static int walk(const char *p, const struct stat *s, int t)
{
    (void)s;
    if (t == FTW_F) {
        if (npaths == cappaths)
            paths = realloc(paths, (cappaths = cappaths * 2 + 1024) * sizeof *paths);
        paths[npaths++] = strdup(p);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 7)
        return 2;
    mode = argv[1];
    jobs = atoi(argv[2]);
    part = (size_t)atoi(argv[3]) << 20;
    src = argv[4];
    url = argv[5];
    prefix = argv[6];
    sign_ = atoi(getenv("SIGN") ?: "0");
    sndbuf = atoi(getenv("SNDBUF") ?: "0");
    upload_kb = atoi(getenv("UPLOAD_KB") ?: "2048");
    curl_global_init(CURL_GLOBAL_ALL);
    multi = curl_multi_init();
    struct stat s;
    stat(src, &s);
    if (S_ISREG(s.st_mode)) {
        char out[1000] = "";
        size = s.st_size;
        bigfd = open(src, O_RDONLY);
        bigmap = mmap(NULL, size, PROT_READ, MAP_SHARED, bigfd, 0);
        total = (size + part - 1) / part;
        etags = calloc(total, sizeof *etags);
        post("uploads=", "", out);
        char *a = strstr(out, "<UploadId>"), *b = a ? strchr(a + 1, '<') : NULL;
        if (!b)
            return 1;
        snprintf(uploadid, sizeof uploadid, "%.*s", (int)(b - a - 10), a + 10);
    } else {
        ftw(src, walk, 64);
        total = npaths;
    }
    if (getenv("EPOLL")) {
        epfd = epoll_create1(0);
        curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_sock);
        curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
    }
    struct job *j = calloc(jobs, sizeof *j);
    for (int i = 0; i < jobs; i++) {
        CURL *e = j[i].e = curl_easy_init();
        if (strcmp(mode, "post")) {
            curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
            curl_easy_setopt(e, CURLOPT_READFUNCTION, rd);
            curl_easy_setopt(e, CURLOPT_READDATA, (void *)&j[i]);
        }
        if (strcmp(mode, "read"))
            curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, upload_kb << 10);
        curl_easy_setopt(e, CURLOPT_CAINFO, getenv("CA"));
        curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, hd);
        curl_easy_setopt(e, CURLOPT_HEADERDATA, (void *)&j[i]);
        curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, body);
        curl_easy_setopt(e, CURLOPT_WRITEDATA, NULL);
        curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(e, CURLOPT_SOCKOPTFUNCTION, sockopt);
        if (next_ < total)
            start(&j[i]);
    }
    while (live) {
        int n;
        CURLMsg *m;
        if (epfd < 0) {
            curl_multi_perform(multi, &n);
        } else {
            struct epoll_event ev[64];
            int k = epoll_wait(epfd, ev, 64, timer_ms), run;
            if (k <= 0)
                curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &run);
            for (int i = 0; i < k; i++)
                curl_multi_socket_action(multi, ev[i].data.fd,
                                         (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? CURL_CSELECT_IN : 0) |
                                             (ev[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0),
                                         &run);
        }
        int more = 0;
        while ((m = curl_multi_info_read(multi, &n)))
            if (m->msg == CURLMSG_DONE) {
                struct job *d;
                CURLcode rc = m->data.result;
                curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &d);
                finish(d, rc);
                if (next_ < total) {
                    start(d);
                    more = 1;
                }
            }
        if (live && epfd < 0 && !more)
            curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
    if (bigmap) {
        char *x = malloc(total * 140 + 100), q[200], out[1000] = "";
        int n = sprintf(x, "<CompleteMultipartUpload>");
        for (int i = 0; i < total; i++)
            n += sprintf(x + n, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i + 1, etags[i]);
        strcpy(x + n, "</CompleteMultipartUpload>");
        snprintf(q, sizeof q, "uploadId=%s", uploadid);
        post(q, x, out);
    }
    return failed != 0;
}
