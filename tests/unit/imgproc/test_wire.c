#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "imgproc/wire.h"

typedef struct {
    int ends[2];
} Case;

static void set_up(Case *c, gconstpointer data)
{
    (void)data;
    g_assert_true(wire_pair(c->ends));
}

static void tear_down(Case *c, gconstpointer data)
{
    (void)data;
    for (int i = 0; i < 2; i++)
        if (c->ends[i] >= 0)
            close(c->ends[i]);
}

static int next_fd(void)
{
    const int fd = dup(STDERR_FILENO);
    close(fd);
    return fd;
}

static WireMessage good_result(void)
{
    WireMessage m = { .result = { .head = { .kind = WIRE_RESULT, .job = 7 },
                                  .index = 1,
                                  .outcome = WIRE_MADE,
                                  .format = IMG_WEBP,
                                  .source_format = IMG_JPEG,
                                  .quality = 80,
                                  .encodes = 2,
                                  .source_width_px = 6000,
                                  .source_height_px = 4000,
                                  .width_px = 1920,
                                  .height_px = 1280,
                                  .frames = 1,
                                  .bytes = 1234 } };
    wire_set_text(m.result.note, sizeof m.result.note, "first of 3 pages");
    return m;
}

static WireMessage good_progress(unsigned percent)
{
    return (WireMessage){ .progress = { .head = { .kind = WIRE_PROGRESS, .job = 7 }, .percent = percent } };
}

static WireMessage good_job(unsigned n)
{
    WireMessage m = { .job = { .head = { .kind = WIRE_JOB, .job = 42 }, .deadline_ms = 500, .n = n } };
    for (unsigned i = 0; i < n; i++)
        g_snprintf(m.job.recipes[i], sizeof m.job.recipes[i], "web quality=%u", 50 + i);
    return m;
}

static WireMessage good_preview(void)
{
    return (WireMessage){ .preview = {
                              .head = { .kind = WIRE_PREVIEW, .job = 3 }, .deadline_ms = 500, .edge_px = 320, .background = 0xffffff } };
}

static WireMessage good_pixels(void)
{
    return (WireMessage){ .pixels = { .head = { .kind = WIRE_PIXELS, .job = 3 }, .width_px = 320, .height_px = 200 } };
}

static WireMessage good_hello(void)
{
    WireMessage m = { .hello = { .head.kind = WIRE_HELLO, .reads = 1u << IMG_JPEG, .writes = 1u << IMG_WEBP, .sandbox.seccomp = 1 } };
    wire_set_text(m.hello.library, sizeof m.hello.library, "8.14.1");
    return m;
}

/* n times standard error, as descriptors of a message. */
static WireFds some_fds(unsigned n)
{
    WireFds fds = { .n = n };
    for (unsigned i = 0; i < n; i++)
        fds.fd[i] = STDERR_FILENO;
    return fds;
}

/* The bytes of a message as they travel. */
static size_t capture(Case *c, void *bytes, size_t size)
{
    const ssize_t n = recv(c->ends[1], bytes, size, MSG_DONTWAIT);
    g_assert_cmpint(n, >, 0);
    return (size_t)n;
}

static WireGot receive(Case *c, WireMessage *m)
{
    WireFds fds;
    const WireGot got = wire_recv(c->ends[1], m, &fds);
    if (got != WIRE_GOT)
        g_assert_cmpuint(fds.n, ==, 0);
    wire_fds_close(&fds);
    return got;
}

static void test_job_carries_descriptors(Case *c, gconstpointer data)
{
    (void)data;
    int source[2], targets[RECIPES_MAX][2];
    g_assert_cmpint(pipe(source), ==, 0);
    for (unsigned n = 1; n <= RECIPES_MAX; n++) {
        WireMessage job = good_job(n), m;
        WireFds sent = { .fd = { source[0] }, .n = 1 }, got;
        for (unsigned i = 0; i < n; i++) {
            g_assert_cmpint(pipe(targets[i]), ==, 0);
            sent.fd[sent.n++] = targets[i][1];
        }
        g_assert_true(wire_send(c->ends[0], &job, &sent));
        g_assert_cmpint(wire_recv(c->ends[1], &m, &got), ==, WIRE_GOT);
        g_assert_cmpint(m.head.kind, ==, WIRE_JOB);
        g_assert_cmpuint(m.head.job, ==, 42);
        g_assert_cmpuint(m.job.n, ==, n);
        g_assert_cmpuint(m.job.deadline_ms, ==, 500);
        g_assert_cmpuint(got.n, ==, 1 + n);
        for (unsigned i = 0; i < n; i++) {
            char byte = 0;
            g_assert_cmpstr(m.job.recipes[i], ==, job.job.recipes[i]);
            g_assert_cmpint(fcntl(got.fd[1 + i], F_GETFD) & FD_CLOEXEC, !=, 0);
            g_assert_cmpint(write(got.fd[1 + i], &(char){ (char)('a' + i) }, 1), ==, 1);
            g_assert_cmpint(read(targets[i][0], &byte, 1), ==, 1);
            g_assert_cmpint(byte, ==, 'a' + (int)i);
            close(targets[i][0]);
            close(targets[i][1]);
        }
        wire_fds_close(&got);
    }
    close(source[0]);
    close(source[1]);
}

static void test_answers_arrive_in_order(Case *c, gconstpointer data)
{
    (void)data;
    WireMessage messages[] = { good_hello(), good_progress(50), good_result(), good_pixels() }, m;
    for (unsigned i = 0; i < G_N_ELEMENTS(messages); i++)
        g_assert_true(wire_send(c->ends[0], &messages[i], NULL));
    g_assert_cmpint(receive(c, &m), ==, WIRE_GOT);
    g_assert_cmpint(m.head.kind, ==, WIRE_HELLO);
    g_assert_cmpstr(m.hello.library, ==, "8.14.1");
    g_assert_cmpuint(m.hello.reads, ==, 1u << IMG_JPEG);
    g_assert_cmpint(receive(c, &m), ==, WIRE_GOT);
    g_assert_cmpint(m.head.kind, ==, WIRE_PROGRESS);
    g_assert_cmpuint(m.progress.percent, ==, 50);
    g_assert_cmpint(receive(c, &m), ==, WIRE_GOT);
    g_assert_cmpint(m.head.kind, ==, WIRE_RESULT);
    g_assert_cmpuint(m.result.bytes, ==, 1234);
    g_assert_cmpstr(m.result.note, ==, "first of 3 pages");
    g_assert_cmpint(receive(c, &m), ==, WIRE_GOT);
    g_assert_cmpint(m.head.kind, ==, WIRE_PIXELS);
    g_assert_cmpuint(m.pixels.height_px, ==, 200);
}

static void test_empty_and_closed(Case *c, gconstpointer data)
{
    (void)data;
    WireMessage m;
    fcntl(c->ends[1], F_SETFL, O_NONBLOCK);
    g_assert_cmpint(receive(c, &m), ==, WIRE_AGAIN);
    close(c->ends[0]);
    c->ends[0] = -1;
    g_assert_cmpint(receive(c, &m), ==, WIRE_CLOSED);
    WireMessage r = good_result();
    g_assert_false(wire_send(c->ends[1], &r, NULL)); /* and no SIGPIPE */
}

static void test_sizes_are_checked(Case *c, gconstpointer data)
{
    (void)data;
    WireMessage m, good[] = { good_hello(), good_progress(1), good_result(), good_pixels() };
    for (unsigned i = 0; i < G_N_ELEMENTS(good); i++) {
        uint8_t bytes[sizeof(WireMessage) + 100] = { 0 };
        g_assert_true(wire_send(c->ends[0], &good[i], NULL));
        const size_t size = capture(c, bytes, sizeof bytes);
        for (size_t n = 1; n < sizeof bytes; n += n < 64 ? 1 : 17) {
            if (n == size)
                continue;
            g_assert_cmpint(send(c->ends[0], bytes, n, 0), ==, (ssize_t)n);
            g_assert_cmpint(receive(c, &m), ==, WIRE_BAD);
        }
    }
}

static void expect(Case *c, const WireMessage *m, unsigned n_fds, WireGot expected)
{
    WireMessage copy = *m, got;
    const WireFds fds = some_fds(n_fds);
    g_assert_true(wire_send(c->ends[0], &copy, n_fds > 0 ? &fds : NULL));
    g_assert_cmpint(receive(c, &got), ==, expected);
}

/* A good message with one member set to something else. */
#define EXPECT_BAD(make, n_fds, member, value)                                                                                             \
    do {                                                                                                                                   \
        WireMessage bad = make;                                                                                                            \
        bad.member = value;                                                                                                                \
        expect(c, &bad, n_fds, WIRE_BAD);                                                                                                  \
    } while (0)

static void test_results_are_checked(Case *c, gconstpointer data)
{
    (void)data;
    const WireMessage good = good_result();
    expect(c, &good, 0, WIRE_GOT);
    EXPECT_BAD(good_result(), 0, result.outcome, 77);
    EXPECT_BAD(good_result(), 0, result.index, RECIPES_MAX);
    EXPECT_BAD(good_result(), 0, result.format, IMG_FORMAT_NONE);
    EXPECT_BAD(good_result(), 0, result.format, N_IMG_FORMATS);
    EXPECT_BAD(good_result(), 0, result.source_format, N_IMG_FORMATS);
    EXPECT_BAD(good_result(), 0, result.cleaned, 2);
    EXPECT_BAD(good_result(), 0, result.quality, 101);
    EXPECT_BAD(good_result(), 0, result.width_px, WIRE_SIDE_MAX + 1);
    EXPECT_BAD(good_result(), 0, result.source_height_px, UINT32_MAX);
    EXPECT_BAD(good_result(), 0, result.frames, UINT32_MAX);
    EXPECT_BAD(good_result(), 0, result.bytes, 0);
    EXPECT_BAD(good_result(), 0, result.bytes, (uint64_t)RECIPE_BYTES_MAX + 1);
    EXPECT_BAD(good_result(), 0, result.errnum, ENOSPC);
    EXPECT_BAD(good_result(), 0, result.outcome, WIRE_AS_IS);    /* with bytes */
    EXPECT_BAD(good_result(), 0, result.outcome, WIRE_NO_SPACE); /* likewise */
    WireMessage failed = { .result = { .head = { .kind = WIRE_RESULT, .job = 7 }, .outcome = WIRE_FAILED } };
    expect(c, &failed, 0, WIRE_BAD); /* and does not say why */
    wire_set_text(failed.result.note, sizeof failed.result.note, "damaged");
    expect(c, &failed, 0, WIRE_GOT);
}

static void test_texts_are_checked(Case *c, gconstpointer data)
{
    (void)data;
    WireMessage m = good_result();
    memset(m.result.note, 'x', sizeof m.result.note); /* no end */
    expect(c, &m, 0, WIRE_BAD);
    m = good_result();
    memcpy(m.result.note, "\xff\xfe", 3);
    expect(c, &m, 0, WIRE_BAD);
    memcpy(m.result.note, "\033[2J", 5);
    expect(c, &m, 0, WIRE_BAD);
    m = good_hello();
    memset(m.hello.library, '8', sizeof m.hello.library);
    expect(c, &m, 0, WIRE_BAD);
    m = good_pixels();
    memcpy(m.pixels.note, "\n", 2);
    expect(c, &m, 0, WIRE_BAD);
    m = good_job(1);
    memcpy(m.job.recipes[0], "web\n", 5);
    expect(c, &m, 2, WIRE_BAD);
}

static void test_the_rest_is_checked(Case *c, gconstpointer data)
{
    (void)data;
    EXPECT_BAD(good_progress(1), 0, progress.percent, 101);
    EXPECT_BAD(good_hello(), 0, hello.head.job, 1);
    EXPECT_BAD(good_hello(), 0, hello.reads, 1u << N_IMG_FORMATS);
    EXPECT_BAD(good_hello(), 0, hello.sandbox.seccomp, 2);
    EXPECT_BAD(good_pixels(), 0, pixels.width_px, 0);
    EXPECT_BAD(good_pixels(), 0, pixels.height_px, WIRE_PREVIEW_EDGE_MAX + 1);
    EXPECT_BAD(good_preview(), 2, preview.edge_px, 0);
    EXPECT_BAD(good_preview(), 2, preview.edge_px, WIRE_PREVIEW_EDGE_MAX + 1);
    EXPECT_BAD(good_preview(), 2, preview.background, 0x1000000);
    EXPECT_BAD(good_preview(), 2, preview.deadline_ms, 0);
    EXPECT_BAD(good_job(1), 2, job.n, 0);
    EXPECT_BAD(good_job(1), 2, job.n, RECIPES_MAX + 1);
    EXPECT_BAD(good_job(1), 3, job.n, 2); /* the second is "" */
    EXPECT_BAD(good_job(2), 2, job.n, 1); /* the second is not */
    EXPECT_BAD(good_job(1), 2, job.deadline_ms, 0);
}

static void test_versions_are_checked(Case *c, gconstpointer data)
{
    (void)data;
    WireMessage m, sent = good_progress(10);
    WireProgress p;
    g_assert_true(wire_send(c->ends[0], &sent, NULL));
    capture(c, &p, sizeof p);
    p.head.version++;
    g_assert_cmpint(send(c->ends[0], &p, sizeof p, 0), ==, sizeof p);
    g_assert_cmpint(receive(c, &m), ==, WIRE_BAD);
    p.head.version--;
    p.head.magic ^= 1;
    g_assert_cmpint(send(c->ends[0], &p, sizeof p, 0), ==, sizeof p);
    g_assert_cmpint(receive(c, &m), ==, WIRE_BAD);
    p.head.magic ^= 1;
    p.head.kind = 99;
    g_assert_cmpint(send(c->ends[0], &p, sizeof p, 0), ==, sizeof p);
    g_assert_cmpint(receive(c, &m), ==, WIRE_BAD);
}

static void send_with_fds(int sock, const void *bytes, size_t size, unsigned n_fds)
{
    enum { MOST = 16 };
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(MOST * sizeof(int))];
    } control = { 0 };
    struct iovec iov = { .iov_base = (void *)bytes, .iov_len = size };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = CMSG_SPACE(n_fds * sizeof(int))
    };
    struct cmsghdr *h = CMSG_FIRSTHDR(&msg);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
    for (unsigned i = 0; i < n_fds; i++)
        memcpy(CMSG_DATA(h) + i * sizeof(int), &(int){ STDERR_FILENO }, sizeof(int));
    g_assert_cmpint(sendmsg(sock, &msg, 0), ==, (ssize_t)size);
}

/* Whatever the number of descriptors, only the right one passes and none stays open. */
static void expect_fds(Case *c, WireMessage *m, unsigned right)
{
    WireMessage raw, got;
    const WireFds fds = some_fds(MAX(right, 1));
    g_assert_true(wire_send(c->ends[0], m, &fds));
    const size_t size = capture(c, &raw, sizeof raw);
    const int before = next_fd();
    for (unsigned n = 1; n <= 16; n++) {
        send_with_fds(c->ends[0], &raw, size, n);
        g_assert_cmpint(receive(c, &got), ==, n == right ? WIRE_GOT : WIRE_BAD);
    }
    g_assert_cmpint(next_fd(), ==, before);
}

static void test_descriptors_do_not_leak(Case *c, gconstpointer data)
{
    (void)data;
    WireMessage progress = good_progress(10), one = good_job(1), all = good_job(RECIPES_MAX), preview = good_preview();
    expect_fds(c, &progress, 0);
    expect_fds(c, &one, 2);
    expect_fds(c, &all, WIRE_FDS_MAX);
    expect_fds(c, &preview, 2);
    expect(c, &one, 0, WIRE_BAD);
}

static void test_text_is_made_clean(void)
{
    char field[8];
    wire_set_text(field, sizeof field, "a\nb\tc\033");
    g_assert_cmpstr(field, ==, "a b c");
    wire_set_text(field, sizeof field, "123456789");
    g_assert_cmpstr(field, ==, "1234567");
    wire_set_text(field, sizeof field, "12345\xc3\xa9\xc3\xa9");
    g_assert_cmpstr(field, ==, "12345\xc3\xa9");
    wire_set_text(field, sizeof field, "1234\xff");
    g_assert_cmpstr(field, ==, "1234\xef\xbf\xbd");
    wire_set_text(field, sizeof field, "");
    g_assert_cmpstr(field, ==, "");
}

#define ADD(path, func) g_test_add("/wire/" path, Case, NULL, set_up, func, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("job-carries-descriptors", test_job_carries_descriptors);
    ADD("answers-arrive-in-order", test_answers_arrive_in_order);
    ADD("empty-and-closed", test_empty_and_closed);
    ADD("sizes-are-checked", test_sizes_are_checked);
    ADD("results-are-checked", test_results_are_checked);
    ADD("texts-are-checked", test_texts_are_checked);
    ADD("the-rest-is-checked", test_the_rest_is_checked);
    ADD("versions-are-checked", test_versions_are_checked);
    ADD("descriptors-do-not-leak", test_descriptors_do_not_leak);
    g_test_add_func("/wire/text-is-made-clean", test_text_is_made_clean);
    return g_test_run();
}
