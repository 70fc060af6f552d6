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

static WireResult good_result(void)
{
    WireResult r = { .head.job = 7, .outcome = WIRE_MADE, .format = WIRE_WEBP, .bytes = 1234 };
    wire_set_text(r.done, sizeof r.done, "webp q80 1920x1280, 1 encode");
    return r;
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
    int fds[2];
    const WireGot got = wire_recv(c->ends[1], m, fds);
    g_assert_cmpint(fds[0], ==, -1);
    g_assert_cmpint(fds[1], ==, -1);
    return got;
}

static void test_job_carries_descriptors(Case *c, gconstpointer data)
{
    (void)data;
    int pipe_fds[2], fds[2];
    WireMessage m;
    WireJob job = { .head.job = 42, .deadline_ms = 500 };
    g_strlcpy(job.recipe, "auto q=80 max=1920 bytes=1000000", sizeof job.recipe);
    g_assert_cmpint(pipe(pipe_fds), ==, 0);
    g_assert_true(wire_send_job(c->ends[0], &job, pipe_fds[0], pipe_fds[1]));
    close(pipe_fds[0]);
    close(pipe_fds[1]);

    g_assert_cmpint(wire_recv(c->ends[1], &m, fds), ==, WIRE_GOT);
    g_assert_cmpint(m.head.kind, ==, WIRE_JOB);
    g_assert_cmpuint(m.head.job, ==, 42);
    g_assert_cmpuint(m.job.deadline_ms, ==, 500);
    g_assert_cmpstr(m.job.recipe, ==, "auto q=80 max=1920 bytes=1000000");
    g_assert_cmpint(fcntl(fds[0], F_GETFD) & FD_CLOEXEC, !=, 0);
    char got = 0;
    g_assert_cmpint(write(fds[1], "!", 1), ==, 1);
    g_assert_cmpint(read(fds[0], &got, 1), ==, 1);
    g_assert_cmpint(got, ==, '!');
    close(fds[0]);
    close(fds[1]);
}

static void test_answers_arrive_in_order(Case *c, gconstpointer data)
{
    (void)data;
    WireMessage m;
    WireResult r = good_result();
    g_assert_true(wire_send_progress(c->ends[0], 7, 50));
    g_assert_true(wire_send_result(c->ends[0], &r));
    g_assert_cmpint(receive(c, &m), ==, WIRE_GOT);
    g_assert_cmpint(m.head.kind, ==, WIRE_PROGRESS);
    g_assert_cmpuint(m.progress.percent, ==, 50);
    g_assert_cmpint(receive(c, &m), ==, WIRE_GOT);
    g_assert_cmpint(m.head.kind, ==, WIRE_RESULT);
    g_assert_cmpuint(m.result.bytes, ==, 1234);
    g_assert_cmpstr(m.result.done, ==, "webp q80 1920x1280, 1 encode");
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
    WireResult r = good_result();
    g_assert_false(wire_send_result(c->ends[1], &r)); /* and no SIGPIPE */
}

static void test_sizes_are_checked(Case *c, gconstpointer data)
{
    (void)data;
    WireMessage m;
    uint8_t bytes[sizeof(WireMessage) + 100] = { 0 };
    WireResult r = good_result();
    g_assert_true(wire_send_result(c->ends[0], &r));
    const size_t size = capture(c, bytes, sizeof bytes);
    for (size_t n = 1; n < sizeof bytes; n += n < 64 ? 1 : 17) {
        if (n == size)
            continue;
        g_assert_cmpint(send(c->ends[0], bytes, n, 0), ==, (ssize_t)n);
        g_assert_cmpint(receive(c, &m), ==, WIRE_BAD);
    }
}

static void expect_bad(Case *c, const WireResult *r)
{
    WireMessage m;
    WireResult copy = *r;
    g_assert_true(wire_send_result(c->ends[0], &copy));
    g_assert_cmpint(receive(c, &m), ==, WIRE_BAD);
}

static void test_values_are_checked(Case *c, gconstpointer data)
{
    (void)data;
    WireMessage m;
    WireResult r = good_result();
    r.outcome = 77;
    expect_bad(c, &r);
    r = good_result();
    r.format = WIRE_FORMAT_NONE;
    expect_bad(c, &r);
    r = good_result();
    r.bytes = 0;
    expect_bad(c, &r);
    r.bytes = (uint64_t)RECIPE_BYTES_MAX + 1;
    expect_bad(c, &r);
    r = good_result();
    r.outcome = WIRE_AS_IS; /* with bytes */
    expect_bad(c, &r);
    r = good_result();
    memset(r.note, 'x', sizeof r.note); /* no end */
    expect_bad(c, &r);
    r = good_result();
    memcpy(r.note, "\xff\xfe", 3);
    expect_bad(c, &r);
    memcpy(r.note, "\033[2J", 5);
    expect_bad(c, &r);
    g_assert_true(wire_send_progress(c->ends[0], 1, 101));
    g_assert_cmpint(receive(c, &m), ==, WIRE_BAD);
}

static void test_versions_are_checked(Case *c, gconstpointer data)
{
    (void)data;
    WireMessage m;
    WireProgress p;
    g_assert_true(wire_send_progress(c->ends[0], 1, 10));
    capture(c, &p, sizeof p);
    p.head.version++;
    g_assert_cmpint(send(c->ends[0], &p, sizeof p, 0), ==, sizeof p);
    g_assert_cmpint(receive(c, &m), ==, WIRE_BAD);
    p.head.version--;
    p.head.magic ^= 1;
    g_assert_cmpint(send(c->ends[0], &p, sizeof p, 0), ==, sizeof p);
    g_assert_cmpint(receive(c, &m), ==, WIRE_BAD);
}

static void send_with_fds(int sock, const void *bytes, size_t size, unsigned n_fds)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(8 * sizeof(int))];
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

static void test_descriptors_do_not_leak(Case *c, gconstpointer data)
{
    (void)data;
    WireMessage m;
    WireProgress p;
    WireJob job = { .head.job = 1 };
    g_assert_true(wire_send_progress(c->ends[0], 1, 10));
    capture(c, &p, sizeof p);
    g_assert_true(wire_send_job(c->ends[0], &job, STDIN_FILENO, STDERR_FILENO));
    WireJob raw;
    capture(c, &raw, sizeof raw);
    const int before = next_fd();
    for (unsigned n = 1; n <= 8; n++) {
        send_with_fds(c->ends[0], &p, sizeof p, n); /* a progress carries none */
        g_assert_cmpint(receive(c, &m), ==, WIRE_BAD);
        if (n == 2)
            continue;
        send_with_fds(c->ends[0], &raw, sizeof raw, n); /* a job carries two */
        g_assert_cmpint(receive(c, &m), ==, WIRE_BAD);
    }
    g_assert_cmpint(next_fd(), ==, before);
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
    ADD("values-are-checked", test_values_are_checked);
    ADD("versions-are-checked", test_versions_are_checked);
    ADD("descriptors-do-not-leak", test_descriptors_do_not_leak);
    g_test_add_func("/wire/text-is-made-clean", test_text_is_made_clean);
    return g_test_run();
}
