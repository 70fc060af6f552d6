#include "flight.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "build-config.h"
#include "fault.h"

enum {
    LARGE_BUFFER_BYTES = 256 * 1024,
    SMALL_BUFFER_BYTES = 64 * 1024,
    EXPECT_WAIT_MS = 500,
    CONNECTION_LIFE_S = 3600, /* a store behind many addresses gets its load spread again */
    KEEP_IDLE_S = 30,
    KEEP_INTERVAL_S = 15,
    SAMPLE_US = 100 * 1000,
    AHEAD_BYTES = 4 * 1024 * 1024,
    AHEAD_STEP_BYTES = 1024 * 1024,
};

enum { KIND_NONE, KIND_GET, KIND_HEAD, KIND_SMALL, KIND_LARGE };

/* Options and values are ours, so that a refusal is a bug or a lack of memory; GLib ends the program for the latter as well. */
#define SET(easy, option, value)                                                                                                           \
    do {                                                                                                                                   \
        const CURLcode set_code = curl_easy_setopt(easy, option, value);                                                                   \
        g_assert(set_code == CURLE_OK);                                                                                                    \
    } while (0)

/* ---- the body ---- */

static ssize_t pread_all(int fd, char *buffer, size_t wanted, uint64_t offset)
{
    size_t got = 0;
    while (got < wanted) {
        const ssize_t n = pread(fd, buffer + got, wanted - got, (off_t)(offset + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

/* Several parts of one file are read in turn, which defeats the kernel's own guessing; a cold 1 GiB in 16 parts took a quarter less time
 * with this. (POSIX_FADV_SEQUENTIAL made it twice as long: each stream reads far ahead and the others throw that away.) */
static void read_ahead(Flight *f, const Span *span, uint64_t at)
{
    const uint64_t end = span->offset + span->length, from = MAX(f->asked, at), to = MIN(at + AHEAD_BYTES, end);
    if (from >= to || (to < from + AHEAD_STEP_BYTES && to < end))
        return;
    posix_fadvise(f->job->fd, (off_t)from, (off_t)(to - from), POSIX_FADV_WILLNEED);
    f->asked = to;
}

static bool span_read(Flight *f, const Span *span, uint64_t offset, char *buffer, size_t wanted)
{
    if (span->bytes != NULL) {
        memcpy(buffer, (const char *)g_bytes_get_data(span->bytes, NULL) + offset, wanted);
        return true;
    }
    if (f->kind == KIND_LARGE)
        read_ahead(f, span, span->offset + offset);
    const ssize_t got = pread_all(f->job->fd, buffer, wanted, span->offset + offset);
    if (got < 0)
        fault_set(&f->error, FAULT_SOURCE_IO, "the file could not be read: %s", g_strerror(errno));
    else if ((size_t)got < wanted)
        fault_set(&f->error, FAULT_SOURCE_CHANGED, "the file shrank while it was sent");
    return got == (ssize_t)wanted;
}

static uint64_t span_bytes(const Span *span)
{
    return span->bytes != NULL ? g_bytes_get_size(span->bytes) : span->length;
}

/* Fills buffer with the next bytes of the body, across spans. False: f->error is set. */
static bool body_read(Flight *f, char *buffer, size_t wanted)
{
    const Request *rq = f->job->rq;
    uint64_t start = 0;
    for (unsigned i = 0; i < rq->n_spans && wanted > 0; i++) {
        const uint64_t length = span_bytes(&rq->spans[i]);
        if (f->pos < start + length) {
            const uint64_t offset = f->pos - start;
            const size_t piece = (size_t)MIN(wanted, length - offset);
            if (!span_read(f, &rq->spans[i], offset, buffer, piece))
                return false;
            f->pos += piece;
            buffer += piece;
            wanted -= piece;
        }
        start += length;
    }
    return true;
}

/* ---- callbacks of curl ---- */

static size_t on_read(char *buffer, size_t size, size_t n, void *ctx)
{
    Flight *f = ctx;
    const uint64_t left = f->job->rq->body_bytes - f->pos;
    if (left == 0)
        return 0;
    if (f->expecting && !f->may_go && f->pos == 0) {
        g_autofree char *host = flight_host(f);
        lane_expects_not(f->lane, host);
    }
    const size_t wanted = (size_t)lane_allowance(f->lane, f, MIN(size * n, left));
    if (wanted == 0)
        return CURL_READFUNC_PAUSE;
    return body_read(f, buffer, wanted) ? wanted : CURL_READFUNC_ABORT;
}

static void rewind_to(Flight *f, uint64_t pos)
{
    f->rewound = true;
    f->pos = pos;
    f->granted = f->asked = 0;
    atomic_store_explicit(&f->job->sent_bytes, pos, memory_order_relaxed);
    atomic_store_explicit(&f->job->acked_bytes, pos, memory_order_relaxed);
}

static int on_seek(void *ctx, curl_off_t offset, int origin)
{
    Flight *f = ctx;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > f->job->rq->body_bytes)
        return CURL_SEEKFUNC_FAIL;
    rewind_to(f, (uint64_t)offset);
    return CURL_SEEKFUNC_OK;
}

static void moved(Flight *f)
{
    atomic_store_explicit(&f->job->moved_us, lane_now_us(f->lane), memory_order_relaxed);
}

static int on_progress(void *ctx, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    (void)down_total, (void)down, (void)up_total;
    Flight *f = ctx;
    if (atomic_load_explicit(&f->job->sent_bytes, memory_order_relaxed) != (uint64_t)up) {
        atomic_store_explicit(&f->job->sent_bytes, (uint64_t)up, memory_order_relaxed);
        moved(f);
        if (lane_now_us(f->lane) - f->sampled_us >= SAMPLE_US)
            flight_sample(f);
    }
    return 0;
}

/* Called before each sending of the request, the silent repetitions of curl included. */
static int on_connected(void *ctx, char *peer, char *local, int peer_port, int local_port)
{
    (void)peer, (void)local, (void)peer_port;
    Flight *f = ctx;
    if (f->job->rq->once && atomic_load_explicit(&f->job->connected, memory_order_relaxed) && f->header_bytes == 0) {
        fault_set(&f->error, FAULT_BROKEN, "the connection broke before an answer came");
        return CURL_PREREQFUNC_ABORT;
    }
    f->socket = lane_socket_find(f->lane, local_port);
    atomic_store_explicit(&f->job->connected, true, memory_order_relaxed);
    atomic_store_explicit(&f->job->answering, false, memory_order_relaxed);
    moved(f);
    /* When a reused connection was dead, 7.88 sends the request again on a new one but does not always ask to rewind: it would then
     * wait for ever for an answer to a header without a body. */
    if (f->pos > 0)
        rewind_to(f, 0);
    return CURL_PREREQFUNC_OK;
}

static curl_socket_t on_open(void *ctx, curlsocktype purpose, struct curl_sockaddr *to)
{
    (void)purpose;
    const int fd = socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol); /* curl's own would leak into worker processes */
    if (fd >= 0)
        lane_socket_opened(ctx, fd);
    return fd >= 0 ? fd : CURL_SOCKET_BAD;
}

static int on_close(void *ctx, curl_socket_t fd)
{
    lane_socket_closed(ctx, fd);
    return close(fd);
}

static void begin_status(Flight *f, const char *line, size_t bytes)
{
    response_free(f->rs);
    f->rs = response_new();
    f->headed = false;
    const char *space = memchr(line, ' ', bytes);
    f->status = 0;
    for (const char *c = space; c != NULL && ++c < line + bytes && g_ascii_isdigit(*c) && f->status < 1000;)
        f->status = f->status * 10 + (*c - '0');
    if (f->status == 100)
        f->may_go = true;
    atomic_store_explicit(&f->job->answering, f->status >= 200, memory_order_relaxed);
}

static void add_header(Flight *f, const char *line, size_t bytes)
{
    const char *colon = memchr(line, ':', bytes);
    if (colon == NULL || f->rs == NULL || f->rs->headers->len >= RESPONSE_MAX_HEADERS)
        return;
    const char *value = colon + 1, *end = line + bytes;
    while (value < end && g_ascii_isspace(*value))
        value++;
    while (end > value && g_ascii_isspace(end[-1]))
        end--;
    response_add_header(f->rs, line, (size_t)(colon - line), value, (size_t)(end - value));
}

static size_t on_header(char *line, size_t size, size_t n, void *ctx)
{
    Flight *f = ctx;
    const size_t bytes = size * n;
    moved(f);
    f->header_bytes += bytes;
    if (f->header_bytes > FLIGHT_HEADER_MAX_BYTES) {
        fault_set(&f->error, FAULT_BAD_ANSWER, "the header of the answer is longer than %d KiB", FLIGHT_HEADER_MAX_BYTES / 1024);
        return 0;
    }
    if (bytes >= 5 && memcmp(line, "HTTP/", 5) == 0)
        begin_status(f, line, bytes);
    else if (line[0] == '\r' || line[0] == '\n')
        f->headed = f->status >= 200;
    else
        add_header(f, line, bytes);
    return bytes;
}

static size_t on_answer(char *data, size_t size, size_t n, void *ctx)
{
    Flight *f = ctx;
    const size_t bytes = size * n;
    moved(f);
    const size_t most = f->job->rq->answer_max;
    if (f->rs == NULL || bytes > most || f->rs->body->len > most - bytes) {
        fault_set(&f->error, FAULT_BAD_ANSWER, "the answer is longer than %" G_GSIZE_FORMAT " bytes", most);
        return 0;
    }
    g_byte_array_append(f->rs->body, (const guint8 *)data, (guint)bytes);
    return bytes;
}

/* ---- options ---- */

static void set_connection_options(CURL *e, const TransferConf *conf)
{
    SET(e, CURLOPT_NOSIGNAL, 1L);
    SET(e, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1); /* one congestion window per transfer; 7.88 has HTTP/2 upload bugs */
    SET(e, CURLOPT_PATH_AS_IS, 1L);                            /* the path is signed */
    SET(e, CURLOPT_FOLLOWLOCATION, 0L);                        /* so is the host */
    SET(e, CURLOPT_CONNECTTIMEOUT_MS, (long)conf->connect_ms);
    SET(e, CURLOPT_EXPECT_100_TIMEOUT_MS, (long)EXPECT_WAIT_MS);
    SET(e, CURLOPT_TCP_KEEPALIVE, 1L);
    SET(e, CURLOPT_TCP_KEEPIDLE, (long)KEEP_IDLE_S);
    SET(e, CURLOPT_TCP_KEEPINTVL, (long)KEEP_INTERVAL_S);
    SET(e, CURLOPT_MAXLIFETIME_CONN, (long)CONNECTION_LIFE_S);
    SET(e, CURLOPT_DNS_SHUFFLE_ADDRESSES, 1L);
    SET(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); /* a proxy's header is not the server's */
    SET(e, CURLOPT_QUICK_EXIT, 1L);               /* else a cancel waits for the resolver's thread */
    SET(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    /* libcurl keeps the parsed certificates from one connection to the next only when they come from one file and no directory. */
    if (conf->ca_file != NULL)
        SET(e, CURLOPT_CAINFO, conf->ca_file);
    SET(e, CURLOPT_CAPATH, NULL);
    SET(e, CURLOPT_USERAGENT, "hoist/" HOIST_VERSION);
}

Flight *flight_new(Lane *lane)
{
    Flight *f = g_new0(Flight, 1);
    f->lane = lane;
    f->socket = -1;
    CURL *e = f->easy = curl_easy_init();
    g_assert(e != NULL);
    set_connection_options(e, &lane_shared(lane)->conf);
    SET(e, CURLOPT_PRIVATE, f);
    SET(e, CURLOPT_ERRORBUFFER, f->why);
    SET(e, CURLOPT_READFUNCTION, on_read);
    SET(e, CURLOPT_READDATA, f);
    SET(e, CURLOPT_SEEKFUNCTION, on_seek);
    SET(e, CURLOPT_SEEKDATA, f);
    SET(e, CURLOPT_HEADERFUNCTION, on_header);
    SET(e, CURLOPT_HEADERDATA, f);
    SET(e, CURLOPT_WRITEFUNCTION, on_answer);
    SET(e, CURLOPT_WRITEDATA, f);
    /* A connection outlives the flight that opened it: these two get the lane. */
    SET(e, CURLOPT_OPENSOCKETFUNCTION, on_open);
    SET(e, CURLOPT_OPENSOCKETDATA, lane);
    SET(e, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    SET(e, CURLOPT_CLOSESOCKETDATA, lane);
    SET(e, CURLOPT_PREREQFUNCTION, on_connected);
    SET(e, CURLOPT_PREREQDATA, f);
    SET(e, CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(e, CURLOPT_XFERINFODATA, f);
    SET(e, CURLOPT_NOPROGRESS, 0L);
    return f;
}

void flight_free(Flight *f)
{
    if (f == NULL)
        return;
    curl_easy_cleanup(f->easy);
    flight_reset(f);
    g_free(f);
}

void flight_reset(Flight *f)
{
    g_clear_pointer(&f->headers, g_free);
    g_clear_pointer(&f->gathered, g_free);
    g_clear_pointer(&f->rs, response_free);
    g_clear_error(&f->error);
    f->job = NULL;
    f->socket = -1;
    f->pos = f->granted = f->asked = 0;
    f->held = f->rewound = f->expecting = f->may_go = f->headed = false;
    f->sampled_us = 0;
    f->status = 0;
    f->header_bytes = 0;
    f->why[0] = '\0';
}

/* curl takes "Name:" for "do not send this header"; an empty value that was signed has to be said as "Name;". */
static void keep_empty_value(char *line)
{
    char *colon = strchr(line, ':');
    if (colon != NULL && colon[1 + strspn(colon + 1, " \t")] == '\0') {
        colon[0] = ';';
        colon[1] = '\0';
    }
}

/* The list is one array that points into the request: nothing is copied. */
static void set_headers(Flight *f, bool expect_known)
{
    static char no_expect[] = "Expect:", no_type[] = "Content-Type:";
    const GPtrArray *lines = f->job->rq->headers;
    f->headers = g_new(struct curl_slist, lines->len + 2);
    unsigned n = 0;
    bool typed = false;
    for (unsigned i = 0; i < lines->len; i++) {
        char *line = g_ptr_array_index(lines, i);
        typed |= g_ascii_strncasecmp(line, no_type, sizeof no_type - 1) == 0;
        keep_empty_value(line);
        f->headers[n++].data = line;
    }
    if (f->kind == KIND_SMALL && !typed)
        f->headers[n++].data = no_type; /* curl would say that it is a form */
    if (f->kind == KIND_LARGE && !expect_known)
        f->headers[n++].data = no_expect; /* 7.88 asks for 100 before any PUT, and waits a second for it */
    for (unsigned i = 0; i < n; i++)
        f->headers[i].next = i + 1 < n ? &f->headers[i + 1] : NULL;
    SET(f->easy, CURLOPT_HTTPHEADER, n > 0 ? f->headers : NULL);
}

static int kind_of(Flight *f)
{
    const Request *rq = f->job->rq;
    if (g_str_equal(rq->method, "HEAD"))
        return KIND_HEAD;
    const bool has_body =
        rq->body_bytes > 0 || g_str_equal(rq->method, "PUT") || g_str_equal(rq->method, "POST") || g_str_equal(rq->method, "PATCH");
    if (!has_body)
        return KIND_GET;
    const bool limited = atomic_load_explicit(&lane_shared(f->lane)->limit_bps, memory_order_relaxed) != 0;
    return rq->body_bytes == 0 || (rq->body_bytes <= FLIGHT_SMALL_BYTES && !limited) ? KIND_SMALL : KIND_LARGE;
}

static void set_kind(Flight *f, int kind)
{
    CURL *e = f->easy;
    if (kind != f->kind) {
        SET(e, CURLOPT_HTTPGET, 1L); /* the neutral one: takes back NOBODY, UPLOAD and POST */
        if (kind == KIND_HEAD)
            SET(e, CURLOPT_NOBODY, 1L);
        else if (kind == KIND_LARGE)
            SET(e, CURLOPT_UPLOAD, 1L);
        else if (kind == KIND_SMALL)
            SET(e, CURLOPT_POST, 1L);
        f->kind = kind;
    }
    if (f->job->rq->method != f->method) {
        f->method = f->job->rq->method;
        SET(e, CURLOPT_CUSTOMREQUEST, f->method);
    }
}

static bool set_small_body(Flight *f)
{
    const Request *rq = f->job->rq;
    const void *data = "";
    if (rq->n_spans == 1 && rq->spans[0].bytes != NULL) {
        data = g_bytes_get_data(rq->spans[0].bytes, NULL);
    } else if (rq->body_bytes > 0) {
        data = f->gathered = g_malloc(rq->body_bytes);
        if (!body_read(f, (char *)f->gathered, rq->body_bytes))
            return false;
        f->pos = 0; /* curl sends it and says how far it is */
    }
    SET(f->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)rq->body_bytes);
    SET(f->easy, CURLOPT_POSTFIELDS, data != NULL ? data : "");
    return true;
}

static bool set_large_body(Flight *f)
{
    const uint64_t bytes = f->job->rq->body_bytes;
    if (bytes > FLIGHT_EXPECT_BYTES) {
        g_autofree char *host = flight_host(f);
        f->expecting = lane_expects(f->lane, host);
    }
    SET(f->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)bytes);
    SET(f->easy, CURLOPT_UPLOAD_BUFFERSIZE, bytes > FLIGHT_EXPECT_BYTES ? (long)LARGE_BUFFER_BYTES : (long)SMALL_BUFFER_BYTES);
    return true;
}

/* curl asks with an empty body first, answers the 401, and rewinds when a nonce has grown old. It keeps the nonce and a copy of the
 * secrets with the handle, which therefore serves no other request (flight_end). */
static void set_digest(Flight *f)
{
    const Request *rq = f->job->rq;
    SET(f->easy, CURLOPT_HTTPAUTH, CURLAUTH_DIGEST);
    SET(f->easy, CURLOPT_USERNAME, rq->user);
    SET(f->easy, CURLOPT_PASSWORD, rq->password != NULL ? rq->password : "");
}

bool flight_prepare(Flight *f, TransferJob *job)
{
    f->job = job;
    f->sampled_us = lane_now_us(f->lane); /* a small request ends before a sample tells anything */
    SET(f->easy, CURLOPT_URL, job->rq->url);
    if (job->rq->user != NULL)
        set_digest(f);
    set_kind(f, kind_of(f));
    bool ready = true;
    if (f->kind == KIND_SMALL)
        ready = set_small_body(f);
    else if (f->kind == KIND_LARGE)
        ready = set_large_body(f);
    set_headers(f, f->expecting);
    return ready;
}

/* ---- progress ---- */

void flight_sample(Flight *f)
{
    TransferJob *job = f->job;
    const uint64_t sent = atomic_load_explicit(&job->sent_bytes, memory_order_relaxed);
    int queued = 0;
    f->sampled_us = lane_now_us(f->lane);
    if (sent == 0 || f->socket < 0 || ioctl(f->socket, SIOCOUTQ, &queued) != 0 || queued < 0)
        return;
    const uint64_t acked = sent - MIN(sent, (uint64_t)queued); /* the queue also holds headers and what TLS adds */
    if (acked > atomic_load_explicit(&job->acked_bytes, memory_order_relaxed)) {
        atomic_store_explicit(&job->acked_bytes, acked, memory_order_relaxed);
        moved(f);
    }
}

bool flight_all_sent(const Flight *f)
{
    return atomic_load_explicit(&f->job->sent_bytes, memory_order_relaxed) >= f->job->rq->body_bytes;
}

bool flight_waits(const Flight *f)
{
    return flight_all_sent(f) && !atomic_load_explicit(&f->job->answering, memory_order_relaxed);
}
