#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/fault.h"
#include "core/transfer.h"
#include "http_peer.h"

enum { MIB = 1024 * 1024, MINUTE_MS = 60000 };

static int source_of(size_t bytes)
{
    const int fd = memfd_create("source", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(fd, (off_t)bytes), ==, 0);
    guint8 *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    for (size_t i = 0; i < bytes; i++)
        p[i] = (guint8)(i * 2654435761U >> 13);
    munmap(p, bytes);
    return fd;
}

static Request *ask(const char *method, HttpPeer *peer, const char *path)
{
    Request *rq = request_new(method);
    rq->url = http_peer_url(peer, path);
    return rq;
}

static Transfer *quick(unsigned stall_ms, unsigned answer_ms)
{
    const TransferConf conf = { .max_connections = 4, .lanes = 1, .stall_ms = stall_ms, .answer_ms = answer_ms };
    Transfer *t = transfer_new(&conf, NULL);
    g_assert_nonnull(t);
    return t;
}

static TransferAnswer *next_answer(Transfer *t)
{
    const gint64 end_us = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
    TransferAnswer *answer = NULL;
    while ((answer = transfer_take(t)) == NULL && g_get_monotonic_time() < end_us)
        transfer_wait(t, 5000, -1);
    g_assert_nonnull(answer);
    return answer;
}

static TransferAnswer *run_with(Transfer *t, Request *rq, int fd)
{
    transfer_start(t, rq, fd, NULL);
    return next_answer(t);
}

static TransferAnswer *run(HttpPeer *peer, Request *rq, int fd)
{
    (void)peer;
    Transfer *t = quick(0, 0);
    TransferAnswer *answer = run_with(t, rq, fd);
    g_assert_cmpuint(transfer_active(t), ==, 0);
    transfer_free(t);
    return answer;
}

#define assert_status(answer, wanted)                                                                                                      \
    do {                                                                                                                                   \
        g_assert_no_error((answer)->error);                                                                                                \
        g_assert_cmpint((answer)->rs->status, ==, wanted);                                                                                 \
    } while (0)

#define assert_fault(answer, wanted, part_of_text)                                                                                         \
    do {                                                                                                                                   \
        g_assert_null((answer)->rs);                                                                                                       \
        g_test_message("%s", (answer)->error->message);                                                                                    \
        g_assert_cmpstr(fault_info((int)fault_code((answer)->error))->name, ==, fault_info(wanted)->name);                                 \
        g_assert_nonnull(strstr((answer)->error->message, part_of_text));                                                                  \
    } while (0)

typedef HttpPeer Peer;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Peer, http_peer_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Transfer, transfer_free)

/* ---- what goes out ---- */

static void test_small_body(void)
{
    g_autoptr(Peer) peer = http_peer_new();
    Request *rq = ask("PUT", peer, "ok/a/../b//c?x=1");
    request_header(rq, "X-Amz-Meta-Empty", "");
    request_header(rq, "Authorization", "secret");
    request_body_bytes(rq, g_bytes_new_static("0123456789", 10));
    g_autoptr(TransferAnswer) answer = run(peer, rq, -1);
    assert_status(answer, 200);
    g_assert_cmpstr(response_header(answer->rs, "etag"), ==, "\"abc\"");
    g_assert_cmpstr(response_header(answer->rs, "x-empty"), ==, "");
    g_assert_cmpmem(answer->rs->body->data, answer->rs->body->len, "hello", 5);
    g_assert_cmpuint(answer->sent_bytes, ==, 10);

    g_autofree char *header = http_peer_last_header(peer);
    g_assert_true(g_str_has_prefix(header, "PUT /ok/a/../b//c?x=1 HTTP/1.1\r\n"));
    g_assert_nonnull(strstr(header, "\r\nX-Amz-Meta-Empty:\r\n"));
    g_assert_nonnull(strstr(header, "\r\nUser-Agent: hoist/"));
    g_assert_nonnull(strstr(header, "\r\nContent-Length: 10\r\n"));
    g_assert_null(strstr(header, "Content-Type"));
    g_assert_null(strstr(header, "Expect"));
    g_assert_null(strstr(header, "Transfer-Encoding"));
    g_autoptr(GBytes) body = http_peer_last_body(peer);
    g_assert_cmpmem(g_bytes_get_data(body, NULL), g_bytes_get_size(body), "0123456789", 10);
}

static void test_empty_bodies(void)
{
    static const struct {
        const char *method;
        bool length;
    } rows[] = { { "PUT", true },   { "POST", true },    { "PATCH", true }, { "GET", false },
                 { "HEAD", false }, { "DELETE", false }, { "MKCOL", false } };
    g_autoptr(Peer) peer = http_peer_new();
    g_autoptr(Transfer) t = quick(0, 0);
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) { /* one handle plays all of them in turn */
            g_autoptr(TransferAnswer) answer = run_with(t, ask(rows[i].method, peer, "ok"), -1);
            assert_status(answer, 200);
            g_assert_cmpuint(answer->rs->body->len, ==, g_str_equal(rows[i].method, "HEAD") ? 0 : 5);
            g_autofree char *header = http_peer_last_header(peer);
            g_assert_true(g_str_has_prefix(header, rows[i].method));
            g_assert_cmpint(strstr(header, "\r\nContent-Length: 0\r\n") != NULL, ==, rows[i].length);
            g_assert_null(strstr(header, "Content-Type"));
        }
    g_assert_cmpuint(http_peer_connections(peer), ==, 1);
}

static void check_file(const char *method, size_t head, uint64_t offset, uint64_t length, size_t tail)
{
    g_autoptr(Peer) peer = http_peer_new();
    const int fd = source_of(5 * MIB);
    g_autoptr(GByteArray) wanted = g_byte_array_new();
    g_autofree char *text = g_strnfill(MAX(head, tail), 'h');
    g_byte_array_append(wanted, (guint8 *)text, (guint)head);
    g_byte_array_set_size(wanted, (guint)(head + length));
    g_assert_cmpint(pread(fd, wanted->data + head, length, (off_t)offset), ==, (ssize_t)length);
    g_byte_array_append(wanted, (guint8 *)text, (guint)tail);

    Request *rq = ask(method, peer, "ok");
    if (head > 0)
        request_body_bytes(rq, g_bytes_new(text, head));
    request_body_file(rq, offset, length);
    if (tail > 0)
        request_body_bytes(rq, g_bytes_new(text, tail));
    g_autoptr(TransferAnswer) answer = run(peer, rq, fd);
    assert_status(answer, 200);
    g_autofree char *header = http_peer_last_header(peer);
    g_assert_true(g_str_has_prefix(header, method));
    g_assert_cmpint(strstr(header, "Expect") != NULL, ==, wanted->len > MIB);
    g_assert_null(strstr(header, "Content-Type"));
    g_assert_null(strstr(header, "Transfer-Encoding"));
    g_autoptr(GBytes) body = http_peer_last_body(peer);
    g_assert_cmpmem(g_bytes_get_data(body, NULL), g_bytes_get_size(body), wanted->data, wanted->len);
    close(fd);
}

static void test_file_ranges(void)
{
    check_file("PUT", 0, 12345, 4 * MIB, 0);
    check_file("PUT", 0, 0, 64 * 1024, 0);
    check_file("PUT", 0, 77, 64 * 1024 + 1, 0);
    check_file("POST", 300, 1, 100, 40); /* a form, small and large */
    check_file("POST", 300, 1, 3 * MIB, 40);
    check_file("PATCH", 0, 7, MIB, 0);
}

/* ---- the source ---- */

static void check_shrunk(uint64_t length)
{
    g_autoptr(Peer) peer = http_peer_new();
    const int fd = source_of(length);
    g_assert_cmpint(ftruncate(fd, (off_t)length - 1), ==, 0);
    Request *rq = ask("PUT", peer, "ok");
    request_body_file(rq, 0, length);
    g_autoptr(TransferAnswer) answer = run(peer, rq, fd);
    assert_fault(answer, FAULT_SOURCE_CHANGED, "shrank");
    close(fd);
}

static void test_source_shrinks(void)
{
    check_shrunk(1000);
    check_shrunk(3 * MIB);
}

static void test_source_unreadable(void)
{
    g_autoptr(Peer) peer = http_peer_new();
    const int fd = open("/", O_RDONLY | O_CLOEXEC);
    Request *rq = ask("PUT", peer, "ok");
    request_body_file(rq, 0, 100 * 1000);
    g_autoptr(TransferAnswer) answer = run(peer, rq, fd);
    assert_fault(answer, FAULT_SOURCE_IO, "directory");
    close(fd);
}

/* ---- the server misbehaves ---- */

static TransferAnswer *put_large(HttpPeer *peer, const char *path, Transfer *t, size_t bytes)
{
    const int fd = source_of(bytes);
    Request *rq = ask("PUT", peer, path);
    request_body_file(rq, 0, bytes);
    TransferAnswer *answer = run_with(t, rq, fd);
    close(fd);
    return answer;
}

static void test_refused_early(void)
{
    g_autoptr(Peer) peer = http_peer_new();
    g_autoptr(Transfer) t = quick(0, 0);
    for (int i = 0; i < 5; i++) {
        g_autoptr(TransferAnswer) a = put_large(peer, "early503", t, 900 * 1000); /* no Expect: cut while it sends */
        if (a->error != NULL)
            g_assert_cmpint(fault_code(a->error), ==, FAULT_BROKEN); /* the reset overtook the answer */
        else
            g_assert_cmpint(a->rs->status, ==, 503);
    }
    g_autoptr(TransferAnswer) b = put_large(peer, "early503", t, 8 * MIB);
    assert_status(b, 503);
    g_assert_cmpint(response_retry_after_ms(b->rs, 0), ==, 7000);
    g_assert_cmpuint(b->sent_bytes, ==, 0); /* the answer came before the body */
    g_autoptr(TransferAnswer) c = put_large(peer, "early403", t, 900 * 1000);
    assert_status(c, 403);
    g_assert_cmpmem(c->rs->body->data, c->rs->body->len, "denied", 6);
    g_autoptr(TransferAnswer) d = put_large(peer, "ok", t, 4 * MIB); /* nothing of it sticks */
    assert_status(d, 200);
}

static void test_expect_is_not_repeated(void)
{
    g_autoptr(Peer) peer = http_peer_new();
    g_autoptr(Transfer) t = quick(0, 0);
    for (int i = 0; i < 3; i++) {
        const gint64 begin_us = g_get_monotonic_time();
        g_autoptr(TransferAnswer) answer = put_large(peer, "no100", t, 2 * MIB);
        assert_status(answer, 200);
        const gint64 took_us = g_get_monotonic_time() - begin_us;
        g_autofree char *header = http_peer_last_header(peer);
        g_assert_cmpint(strstr(header, "Expect") != NULL, ==, i == 0);
        if (i == 0)
            g_assert_cmpint(took_us, >, 450 * 1000);
    }
}

static void test_expectation_failed(void)
{
    g_autoptr(Peer) peer = http_peer_new();
    g_autoptr(Transfer) t = quick(0, 0);
    g_autoptr(TransferAnswer) a = put_large(peer, "417", t, 2 * MIB);
    assert_status(a, 200); /* sent again without it */
    g_assert_cmpuint(http_peer_requests(peer), ==, 2);
    g_autoptr(TransferAnswer) b = put_large(peer, "417", t, 2 * MIB);
    assert_status(b, 200);
    g_assert_cmpuint(http_peer_requests(peer), ==, 3);
}

static void test_no_answer(void)
{
    g_autoptr(Peer) peer = http_peer_new();
    g_autoptr(Transfer) t = quick(MINUTE_MS, 300);
    const gint64 begin_us = g_get_monotonic_time();
    g_autoptr(TransferAnswer) first = put_large(peer, "ok", t, 1000);
    assert_status(first, 200);
    g_autoptr(TransferAnswer) a = put_large(peer, "silent", t, 1000);
    assert_fault(a, FAULT_STALLED, "gave no answer");
    g_assert_cmpuint(http_peer_connections(peer), ==, 1);                /* the connection was a used one */
    g_autoptr(TransferAnswer) b = put_large(peer, "silent", t, 3 * MIB); /* waits for 100, then sends, then waits */
    assert_fault(b, FAULT_STALLED, "gave no answer");
    g_assert_cmpint(g_get_monotonic_time() - begin_us, <, 4 * G_USEC_PER_SEC);
}

static void test_no_byte_moves(void)
{
    g_autoptr(Peer) peer = http_peer_new();
    g_autoptr(Transfer) t = quick(800, MINUTE_MS);
    g_autoptr(TransferAnswer) a = put_large(peer, "deaf", t, 32 * MIB);
    assert_fault(a, FAULT_STALLED, "no byte moved");
    g_assert_cmpuint(a->sent_bytes, <, 32 * MIB);
}

static void test_slow_is_not_stalled(void)
{
    g_autoptr(Peer) peer = http_peer_new();
    g_autoptr(Transfer) t = quick(700, 1200); /* the first half second waits for 100 */
    const gint64 begin_us = g_get_monotonic_time();
    g_autoptr(TransferAnswer) a = put_large(peer, "slow", t, 10 * MIB);
    assert_status(a, 200);
    g_assert_cmpint(g_get_monotonic_time() - begin_us, >, 1500 * 1000); /* or this proved nothing */
}

static void test_spaces_before_a_slow_answer(void)
{
    g_autoptr(Peer) peer = http_peer_new();
    g_autoptr(Transfer) t = quick(300, 300);
    for (int slow = 0; slow < 2; slow++) {
        Request *rq = ask("POST", peer, "spaces");
        rq->slow_answer = slow == 1;
        request_body_bytes(rq, g_bytes_new_static("<x/>", 4));
        g_autoptr(TransferAnswer) a = run_with(t, rq, -1);
        assert_status(a, 200);
        g_assert_cmpmem(a->rs->body->data, a->rs->body->len, "        <done>", 14);
    }
}

static void test_answers_are_bounded(void)
{
    g_autoptr(Peer) peer = http_peer_new();
    g_autoptr(Transfer) t = quick(0, 0);
    g_autoptr(TransferAnswer) a = run_with(t, ask("GET", peer, "headers"), -1);
    assert_fault(a, FAULT_BAD_ANSWER, "header");
    g_autoptr(TransferAnswer) b = run_with(t, ask("GET", peer, "huge"), -1);
    assert_fault(b, FAULT_BAD_ANSWER, "longer than 65536");
    g_autoptr(TransferAnswer) c = run_with(t, ask("GET", peer, "many"), -1);
    assert_status(c, 200);
    g_assert_cmpuint(c->rs->headers->len, ==, RESPONSE_MAX_HEADERS);
}

static void test_answers_that_are_none(void)
{
    g_autoptr(Peer) peer = http_peer_new();
    g_autoptr(Transfer) t = quick(0, 0);
    g_autoptr(TransferAnswer) a = run_with(t, ask("GET", peer, "garbage"), -1);
    assert_fault(a, FAULT_BAD_ANSWER, "HTTP");
    g_autoptr(TransferAnswer) b = run_with(t, ask("GET", peer, "cut"), -1);
    assert_fault(b, FAULT_BROKEN, "middle");
    g_autoptr(TransferAnswer) c = run_with(t, ask("GET", peer, "unknown"), -1);
    assert_fault(c, FAULT_BROKEN, "without an answer");
    g_assert_false(c->free_retry);
    g_autoptr(TransferAnswer) d = put_large(peer, "reset", t, 900 * 1000);
    assert_fault(d, FAULT_BROKEN, "127.0.0.1:");
    g_autoptr(TransferAnswer) e = put_large(peer, "redirect", t, 100 * 1000);
    assert_status(e, 307); /* not followed: the signature covers the host */
    g_assert_cmpstr(response_header(e->rs, "location"), ==, "/ok");
}

/* The peer drops connections that lie idle; the next request finds that out, and it is not its fault. */
static void test_dropped_connections(void)
{
    g_autoptr(Peer) peer = http_peer_new();
    g_autoptr(Transfer) t = quick(0, 0);
    for (int i = 0; i < 20; i++) {
        g_autoptr(TransferAnswer) a = put_large(peer, "close", t, i % 2 == 0 ? 100 : 200 * 1000);
        if (a->error != NULL)
            g_assert_true(a->free_retry);
        else
            g_assert_cmpint(a->rs->status, ==, 200);
        g_autoptr(GBytes) body = http_peer_last_body(peer);
        if (a->error == NULL)
            g_assert_cmpuint(g_bytes_get_size(body), ==, i % 2 == 0 ? 100 : 200 * 1000);
    }
}

/* curl repeats by itself what found a kept connection dead; not so where twice is once too often. */
static void test_once(void)
{
    for (int once = 0; once < 2; once++) {
        g_autoptr(Peer) peer = http_peer_new();
        g_autoptr(Transfer) t = quick(0, 0);
        g_autoptr(TransferAnswer) a = run_with(t, ask("GET", peer, "ok"), -1);
        assert_status(a, 200);
        Request *rq = ask("MOVE", peer, "unknown");
        rq->once = once;
        g_autoptr(TransferAnswer) b = run_with(t, rq, -1);
        assert_fault(b, FAULT_BROKEN, once ? "before an answer" : "without an answer");
        g_assert_cmpuint(http_peer_requests(peer), ==, once ? 2 : 3);
        g_assert_false(b->free_retry);
    }
}

/* ---- sign-in by digest ---- */

static TransferAnswer *put_digest(HttpPeer *peer, Transfer *t, const char *path, const char *password, size_t bytes, int fd)
{
    Request *rq = ask("PUT", peer, path);
    request_body_file(rq, 0, bytes);
    rq->user = g_strdup("me");
    rq->password = g_strdup(password);
    return run_with(t, rq, fd);
}

static void test_digest(void)
{
    enum { SMALL = 1000, LARGE = 3 * MIB };
    g_autoptr(Peer) peer = http_peer_new();
    g_autoptr(Transfer) t = quick(0, 0);
    const int fd = source_of(LARGE);
    static const struct {
        const char *path;
        size_t bytes;
        unsigned requests;
    } rows[] = { { "digest", SMALL, 2 }, { "digest", LARGE, 2 }, { "stale", SMALL, 3 }, { "stale", LARGE, 3 } };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        const unsigned before = http_peer_requests(peer);
        g_autoptr(TransferAnswer) a = put_digest(peer, t, rows[i].path, "sesame", rows[i].bytes, fd);
        assert_status(a, 200);
        g_assert_cmpuint(a->sent_bytes, ==, rows[i].bytes);
        g_assert_cmpuint(http_peer_requests(peer) - before, ==, rows[i].requests);
        g_autoptr(GBytes) body = http_peer_last_body(peer);
        g_autofree guint8 *content = g_malloc(rows[i].bytes);
        g_assert_cmpint(pread(fd, content, rows[i].bytes, 0), ==, rows[i].bytes);
        g_assert_cmpmem(g_bytes_get_data(body, NULL), g_bytes_get_size(body), content, rows[i].bytes);
    }
    g_autoptr(TransferAnswer) wrong = put_digest(peer, t, "digest", "open", LARGE, fd);
    assert_status(wrong, 401);
    g_assert_nonnull(response_header(wrong->rs, "www-authenticate"));
    close(fd);
}

/* What signed in is not used for others: neither its nonce nor its user go along. */
static void test_digest_is_forgotten(void)
{
    g_autoptr(Peer) peer = http_peer_new();
    g_autoptr(Transfer) t = quick(0, 0);
    const int fd = source_of(1000);
    for (int i = 0; i < 3; i++) {
        g_autoptr(TransferAnswer) a = put_digest(peer, t, "digest", "sesame", 1000, fd);
        assert_status(a, 200);
        g_autoptr(TransferAnswer) b = run_with(t, ask("PUT", peer, "ok"), -1);
        assert_status(b, 200);
        g_autofree char *header = http_peer_last_header(peer);
        g_assert_null(strstr(header, "Authorization"));
        g_autoptr(TransferAnswer) c = run_with(t, ask("PUT", peer, "digest"), -1);
        assert_status(c, 401);
    }
    g_assert_cmpuint(http_peer_connections(peer), ==, 1); /* the connection serves all of them */
    close(fd);
}

/* ---- addresses ---- */

static TransferAnswer *get_url(const char *url)
{
    Request *rq = request_new("GET");
    rq->url = g_strdup(url);
    return run(NULL, rq, -1);
}

static void test_bad_addresses(void)
{
    g_autoptr(TransferAnswer) a = get_url("http://127.0.0.1:1/x");
    assert_fault(a, FAULT_CONNECT, "127.0.0.1:1: Connection refused");
    g_autoptr(TransferAnswer) b = get_url("http://name.invalid/x?X-Amz-Signature=secret");
    assert_fault(b, FAULT_RESOLVE, "name.invalid");
    g_assert_null(strstr(b->error->message, "secret"));
    g_autoptr(TransferAnswer) c = get_url("ftp://127.0.0.1/x");
    assert_fault(c, FAULT_ENDPOINT, "neither http nor https");
    g_autoptr(TransferAnswer) d = get_url("http://127.0.0.1:99999/x");
    assert_fault(d, FAULT_ENDPOINT, "URL");
}

/* ---- progress, cancel, limit ---- */

static void test_progress_tells_sent_from_acknowledged(void)
{
    g_autoptr(Peer) peer = http_peer_new();
    g_autoptr(Transfer) t = quick(0, 0);
    const int fd = source_of(16 * MIB);
    Request *rq = ask("PUT", peer, "deaf");
    request_body_file(rq, 0, 16 * MIB);
    TransferJob *job = transfer_start(t, rq, fd, NULL);
    TransferProgress p;
    transfer_progress(t, job, &p);
    g_assert_true(p.connecting);
    const gint64 end_us = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
    do {
        transfer_wait(t, 20, -1);
        transfer_progress(t, job, &p);
    } while (p.quiet_ms < 200 && g_get_monotonic_time() < end_us); /* 100 never comes: half a second, then it fills the buffers */
    while ((p.sent_bytes == 0 || p.quiet_ms < 200) && g_get_monotonic_time() < end_us) {
        transfer_wait(t, 20, -1);
        transfer_progress(t, job, &p);
    }
    g_assert_false(p.connecting);
    g_assert_false(p.waiting);
    g_assert_cmpuint(p.sent_bytes, >, 0);
    g_assert_cmpuint(p.sent_bytes, <, 16 * MIB);
    g_assert_cmpuint(p.acked_bytes, >, 0);
    g_assert_cmpuint(p.acked_bytes, <, p.sent_bytes); /* the peer's buffer is full, ours holds the rest */
    transfer_cancel(t, job);
    g_assert_null(transfer_take(t));
    g_assert_cmpuint(transfer_active(t), ==, 0);
    close(fd);
}

static void test_progress_waiting(void)
{
    g_autoptr(Peer) peer = http_peer_new();
    g_autoptr(Transfer) t = quick(0, 0);
    Request *rq = ask("PUT", peer, "silent");
    request_body_bytes(rq, g_bytes_new_static("abc", 3));
    TransferJob *job = transfer_start(t, rq, -1, NULL);
    TransferProgress p = { 0 };
    for (int i = 0; i < 1000 && !p.waiting; i++) {
        transfer_wait(t, 10, -1);
        transfer_progress(t, job, &p);
    }
    g_assert_true(p.waiting);
    g_assert_cmpuint(p.sent_bytes, ==, 3);
    transfer_free(g_steal_pointer(&t)); /* ends what is out */
}

static void test_beyond_the_connections(void)
{
    g_autoptr(Peer) peer = http_peer_new();
    g_autoptr(Transfer) t = quick(0, 0);
    TransferJob *jobs[12];
    for (unsigned i = 0; i < 12; i++) {
        Request *rq = ask("PUT", peer, "ok");
        request_body_bytes(rq, g_bytes_new_static("abc", 3));
        jobs[i] = transfer_start(t, rq, -1, GUINT_TO_POINTER(i));
    }
    transfer_cancel(t, jobs[11]);
    transfer_cancel(t, jobs[0]);
    g_assert_cmpuint(transfer_active(t), ==, 10);
    guint seen = 0;
    for (unsigned i = 1; i < 11; i++) {
        g_autoptr(TransferAnswer) a = next_answer(t);
        assert_status(a, 200);
        seen |= 1U << GPOINTER_TO_UINT(a->user);
    }
    g_assert_cmphex(seen, ==, 0x7fe);
    g_assert_cmpuint(http_peer_connections(peer), <=, 5); /* four, and the one that was cancelled */
}

static double seconds_for(Transfer *t, HttpPeer *peer, unsigned files, size_t bytes)
{
    const int fd = source_of(bytes);
    const gint64 begin_us = g_get_monotonic_time();
    for (unsigned i = 0; i < files; i++) {
        Request *rq = ask("PUT", peer, "ok");
        request_body_file(rq, 0, bytes);
        transfer_start(t, rq, fd, NULL);
    }
    for (unsigned i = 0; i < files; i++) {
        g_autoptr(TransferAnswer) a = next_answer(t);
        assert_status(a, 200);
    }
    close(fd);
    return (double)(g_get_monotonic_time() - begin_us) / G_USEC_PER_SEC;
}

static void test_limit(void)
{
    g_autoptr(Peer) peer = http_peer_new();
    g_autoptr(Transfer) t = quick(300, 300); /* being held back is no stall */
    transfer_set_limit(t, 4 * MIB);
    const double large_s = seconds_for(t, peer, 4, MIB + 100 * 1024); /* 4.4 MiB, 64..410 KiB of them saved up */
    g_assert_cmpfloat(large_s, >, 0.9);
    g_assert_cmpfloat(large_s, <, 1.4);
    const double small_s = seconds_for(t, peer, 100, 30 * 1024);
    g_assert_cmpfloat(small_s, >, 0.55);
    g_assert_cmpfloat(small_s, <, 1.1);
    transfer_set_limit(t, 0);
    g_assert_cmpfloat(seconds_for(t, peer, 4, 2 * MIB), <, 0.5);
}

static void test_limit_is_lifted_at_once(void)
{
    g_autoptr(Peer) peer = http_peer_new();
    const TransferConf conf = { .max_connections = 4, .lanes = 2, .limit_bps = 20000 };
    g_autoptr(Transfer) t = transfer_new(&conf, NULL);
    const int fd = source_of(2 * MIB);
    for (int i = 0; i < 4; i++) {
        Request *rq = ask("PUT", peer, "ok");
        request_body_file(rq, 0, 2 * MIB);
        transfer_start(t, rq, fd, NULL);
    }
    const gint64 begin_us = g_get_monotonic_time();
    while (g_get_monotonic_time() - begin_us < 300 * 1000) {
        transfer_wait(t, 50, -1);
        g_assert_null(transfer_take(t));
    }
    transfer_set_limit(t, 0);
    for (int i = 0; i < 4; i++) {
        g_autoptr(TransferAnswer) a = next_answer(t);
        assert_status(a, 200);
    }
    g_assert_cmpint(g_get_monotonic_time() - begin_us, <, 3 * G_USEC_PER_SEC);
    close(fd);
}

/* ---- lanes ---- */

static void test_lanes(void)
{
    g_autoptr(Peer) peer = http_peer_new();
    const TransferConf conf = { .max_connections = 8, .lanes = 3 };
    g_autoptr(Transfer) t = transfer_new(&conf, NULL);
    const int fd = source_of(2 * MIB);
    TransferJob *jobs[60];
    unsigned answers = 0, cancelled = 0;
    for (unsigned i = 0; i < 60; i++) {
        Request *rq = ask("PUT", peer, i % 7 == 3 ? "slow" : "ok");
        request_body_file(rq, i, i % 3 == 0 ? 1000 : 300 * 1000);
        jobs[i] = transfer_start(t, rq, fd, GUINT_TO_POINTER(i));
        TransferProgress p;
        transfer_progress(t, jobs[i], &p);
        if (i % 10 == 9) { /* in every state: not begun, on its way, ended and not yet taken */
            if (i % 20 == 9)
                g_usleep(3000);
            transfer_cancel(t, jobs[i]);
            cancelled++;
        }
        transfer_wait(t, 0, -1);
        TransferAnswer *a = NULL;
        while ((a = transfer_take(t)) != NULL) {
            assert_status(a, 200);
            transfer_answer_free(a);
            answers++;
        }
    }
    while (answers + cancelled < 60) {
        g_autoptr(TransferAnswer) a = next_answer(t);
        assert_status(a, 200);
        answers++;
    }
    g_assert_cmpuint(transfer_active(t), ==, 0);
    for (int i = 0; i < 6; i++) { /* ends with work on every lane */
        Request *rq = ask("PUT", peer, "deaf");
        request_body_file(rq, 0, MIB);
        transfer_start(t, rq, fd, NULL);
    }
    transfer_wait(t, 10, -1);
    transfer_free(g_steal_pointer(&t));
    close(fd);
}

/* ---- waiting ---- */

static gpointer wake_later(gpointer t)
{
    g_usleep(50 * 1000);
    transfer_wake(t);
    return NULL;
}

static void test_wait(void)
{
    g_autoptr(Transfer) t = quick(0, 0);
    gint64 begin_us = g_get_monotonic_time();
    transfer_wait(t, 30, -1);
    g_assert_cmpint(g_get_monotonic_time() - begin_us, >, 25 * 1000);

    transfer_wake(t); /* said before the sleep: not lost */
    begin_us = g_get_monotonic_time();
    transfer_wait(t, -1, -1);
    GThread *thread = g_thread_new("wake", wake_later, t);
    transfer_wait(t, -1, -1);
    g_thread_join(thread);

    int pair[2];
    g_assert_cmpint(pipe2(pair, O_CLOEXEC), ==, 0);
    g_assert_cmpint(write(pair[1], "x", 1), ==, 1);
    transfer_wait(t, -1, pair[0]);
    g_assert_cmpint(g_get_monotonic_time() - begin_us, <, 2 * G_USEC_PER_SEC);
    close(pair[0]);
    close(pair[1]);
}

static void test_idle_costs_nothing(void)
{
    g_autoptr(Peer) peer = http_peer_new();
    g_autoptr(Transfer) t = quick(0, 0);
    g_autoptr(TransferAnswer) a = run_with(t, ask("GET", peer, "ok"), -1);
    assert_status(a, 200);
    struct rusage before, after;
    getrusage(RUSAGE_THREAD, &before);
    transfer_wait(t, 300, -1); /* with an idle connection in the cache */
    getrusage(RUSAGE_THREAD, &after);
    g_assert_cmpint(after.ru_nvcsw - before.ru_nvcsw, <=, 2);
}

/* ---- TLS ---- */

static void test_certificates(void)
{
    g_autofree char *dir = g_dir_make_tmp("hoist-tls-XXXXXX", NULL);
    g_autofree char *key = g_build_filename(dir, "key.pem", NULL), *cert = g_build_filename(dir, "cert.pem", NULL);
    const char *make[] = { "openssl",
                           "req",
                           "-x509",
                           "-newkey",
                           "ec",
                           "-pkeyopt",
                           "ec_paramgen_curve:prime256v1",
                           "-nodes",
                           "-days",
                           "2",
                           "-subj",
                           "/CN=localhost",
                           "-addext",
                           "subjectAltName=DNS:localhost",
                           "-keyout",
                           key,
                           "-out",
                           cert,
                           NULL };
    if (!g_spawn_sync(NULL, (char **)make, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, NULL, NULL, NULL, NULL)) {
        g_test_skip("no openssl");
        return;
    }
    const guint port = 20000 + (guint)getpid() % 20000;
    g_autofree char *port_text = g_strdup_printf("%u", port);
    const char *serve[] = { "openssl", "s_server", "-accept", port_text, "-cert", cert, "-key", key, "-www", "-quiet", NULL };
    GPid pid = 0;
    g_assert_true(g_spawn_async(NULL, (char **)serve, NULL,
                                G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL | G_SPAWN_DO_NOT_REAP_CHILD,
                                NULL, NULL, &pid, NULL));

    for (int trusted = 0; trusted < 3; trusted++) {
        const TransferConf conf = { .max_connections = 2, .ca_file = trusted > 0 ? cert : NULL };
        g_autoptr(Transfer) t = transfer_new(&conf, NULL);
        g_autoptr(TransferAnswer) a = NULL;
        for (int i = 0; i < 50; i++) { /* until the server listens */
            Request *rq = request_new("GET");
            rq->url = g_strdup_printf("https://%s:%u/", trusted == 2 ? "127.0.0.1" : "localhost", port);
            g_clear_pointer(&a, transfer_answer_free);
            a = run_with(t, rq, -1);
            if (fault_code(a->error) != FAULT_CONNECT)
                break;
            g_usleep(50 * 1000);
        }
        if (trusted == 0)
            assert_fault(a, FAULT_CERT, "self-signed");
        else if (trusted == 1)
            assert_status(a, 200);
        else
            assert_fault(a, FAULT_CERT, "127.0.0.1");
    }
    const TransferConf conf = { .max_connections = 2, .ca_file = "/nonexistent/ca.pem" };
    g_autoptr(Transfer) t = transfer_new(&conf, NULL);
    Request *rq = request_new("GET");
    rq->url = g_strdup_printf("https://localhost:%u/", port);
    g_autoptr(TransferAnswer) a = run_with(t, rq, -1);
    assert_fault(a, FAULT_CONFIG, "/nonexistent/ca.pem");
    kill(pid, SIGTERM);
    g_spawn_close_pid(pid);
    g_remove(key);
    g_remove(cert);
    g_rmdir(dir);
}

static void test_tls_with_a_plain_server(void)
{
    g_autoptr(Peer) peer = http_peer_new();
    g_autofree char *plain = http_peer_url(peer, "ok");
    g_autofree char *url = g_strconcat("https", plain + 4, NULL);
    const TransferConf conf = { .max_connections = 1, .connect_ms = 500 };
    g_autoptr(Transfer) t = transfer_new(&conf, NULL);
    Request *rq = request_new("GET");
    rq->url = g_strdup(url);
    g_autoptr(TransferAnswer) a = run_with(t, rq, -1);
    assert_fault(a, FAULT_CONNECT, "no connection to 127.0.0.1:"); /* it waits for the end of a header */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    static const struct {
        const char *path;
        void (*run)(void);
    } rows[] = {
        { "small-body", test_small_body },
        { "empty-bodies", test_empty_bodies },
        { "file-ranges", test_file_ranges },
        { "source-shrinks", test_source_shrinks },
        { "source-unreadable", test_source_unreadable },
        { "refused-early", test_refused_early },
        { "expect-is-not-repeated", test_expect_is_not_repeated },
        { "expectation-failed", test_expectation_failed },
        { "no-answer", test_no_answer },
        { "no-byte-moves", test_no_byte_moves },
        { "slow-is-not-stalled", test_slow_is_not_stalled },
        { "spaces-before-a-slow-answer", test_spaces_before_a_slow_answer },
        { "answers-are-bounded", test_answers_are_bounded },
        { "answers-that-are-none", test_answers_that_are_none },
        { "dropped-connections", test_dropped_connections },
        { "once", test_once },
        { "digest", test_digest },
        { "digest-is-forgotten", test_digest_is_forgotten },
        { "bad-addresses", test_bad_addresses },
        { "progress-sent-and-acknowledged", test_progress_tells_sent_from_acknowledged },
        { "progress-waiting", test_progress_waiting },
        { "beyond-the-connections", test_beyond_the_connections },
        { "limit", test_limit },
        { "limit-is-lifted-at-once", test_limit_is_lifted_at_once },
        { "lanes", test_lanes },
        { "wait", test_wait },
        { "idle-costs-nothing", test_idle_costs_nothing },
        { "certificates", test_certificates },
        { "tls-with-a-plain-server", test_tls_with_a_plain_server },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = g_strconcat("/transfer/", rows[i].path, NULL);
        g_test_add_func(path, rows[i].run);
    }
    return g_test_run();
}
