/* worker.c - main of hoist-imgproc: a picture at a time from the socket on descriptor 3 until it closes. */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "imgproc.h"
#include "sandbox.h"
#include "wire.h"

enum { SOCKET_FD = 3, PROGRESS_STEP = 10, TRIM_AFTER_MS = 200 };

typedef struct {
    uint32_t job;
    unsigned told;
} Teller;

static void tell(void *ctx, unsigned percent)
{
    Teller *t = ctx;
    if (percent < t->told + PROGRESS_STEP)
        return;
    t->told = percent;
    wire_send_progress(SOCKET_FD, t->job, percent);
}

/* 0 or an errno. */
static int write_all(int fd, GBytes *bytes)
{
    gsize size, done = 0;
    const uint8_t *data = g_bytes_get_data(bytes, &size);
    while (done < size) {
        const ssize_t n = pwrite(fd, data + done, size - done, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : ENOSPC;
        done += (gsize)n;
    }
    return fdatasync(fd) == 0 || errno == EINVAL ? 0 : errno;
}

static void fill_result(WireResult *wire, const ImgResult *r, int target_fd)
{
    wire->outcome = WIRE_AS_IS;
    wire_set_text(wire->note, sizeof wire->note, r->note);
    if (r->kind == IMG_AS_IS)
        return;
    const int errnum = write_all(target_fd, r->bytes);
    if (errnum != 0) {
        wire->outcome = WIRE_NO_SPACE;
        wire->errnum = (uint32_t)errnum;
        return;
    }
    g_autofree char *done = img_result_text(r);
    wire_set_text(wire->done, sizeof wire->done, done);
    wire->outcome = WIRE_MADE;
    wire->format = r->format == IMG_WEBP ? WIRE_WEBP : WIRE_JPEG;
    wire->bytes = g_bytes_get_size(r->bytes);
}

static bool do_job(const WireJob *job, const int fds[2])
{
    ImgRecipe recipe;
    if (!recipe_parse(job->recipe, &recipe, NULL))
        return false;
    Teller teller = { .job = job->head.job };
    const ImgWatch watch = { .deadline_us = g_get_monotonic_time() + (int64_t)job->deadline_ms * 1000, .progress = tell, .ctx = &teller };
    WireResult wire = { .head.job = job->head.job };
    ImgResult result;

    sandbox_allow_cpu(job->deadline_ms / 1000 + 1);
    img_render(fds[0], &recipe, 1, &watch, &result);
    fill_result(&wire, &result, fds[1]);
    img_result_clear(&result);
    return wire_send_result(SOCKET_FD, &wire);
}

/* Gives freed memory back when the next job is not there at once. */
static void trim_when_idle(void)
{
    struct pollfd p = { .fd = SOCKET_FD, .events = POLLIN };
    if (poll(&p, 1, TRIM_AFTER_MS) == 0)
        malloc_trim(0);
}

static int start_by_hand(void)
{
    fputs("hoist-imgproc is a part of hoist and is started by it.\n", stderr);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    (void)argc;
    int type;
    socklen_t size = sizeof type;
    if (getsockopt(SOCKET_FD, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET)
        return start_by_hand();
    sandbox_begin(SOCKET_FD);
    mallopt(M_ARENA_MAX, 1);
    SandboxFacts facts;
    if (!img_init(argv[0]) || !sandbox_enter(&facts))
        return EXIT_FAILURE;

    for (;;) {
        WireMessage message;
        int fds[2];
        if (wire_recv(SOCKET_FD, &message, fds) != WIRE_GOT || message.head.kind != WIRE_JOB)
            break;
        const bool ok = do_job(&message.job, fds);
        close(fds[0]);
        close(fds[1]);
        if (!ok)
            break;
        trim_when_idle();
    }
    _exit(EXIT_SUCCESS); /* libvips's clean-up needs calls the sandbox took away */
}
