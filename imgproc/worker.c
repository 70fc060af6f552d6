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

enum {
    SOCKET_FD = 3,
    PROGRESS_EVERY_US = 250000,
    TRIM_AFTER_MS = 200,
    MAPPED_FROM_BYTES = 4 << 20, /* measured: a seventh less memory at the peak of two workers, for 3 ms a picture */
    KEPT_FREE_BYTES = 8 << 20,
};

typedef struct {
    uint32_t job;
    int64_t told_us;
} Teller;

/* Nothing of what is over before a person could look. */
static void tell(void *ctx, unsigned percent)
{
    Teller *t = ctx;
    const int64_t now_us = g_get_monotonic_time();
    if (now_us - t->told_us < PROGRESS_EVERY_US)
        return;
    t->told_us = now_us;
    WireMessage m = { .progress = { .head = { .kind = WIRE_PROGRESS, .job = t->job }, .percent = MIN(percent, 100) } };
    wire_send(SOCKET_FD, &m, NULL);
}

/* 0 or an errno. Not synced: hoist looks at a file again before it trusts one that a power cut could have torn (spool.h). */
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
    return 0;
}

static void fill_made(WireResult *wire, const ImgResult *r)
{
    wire->outcome = WIRE_MADE;
    wire->format = (uint8_t)r->format;
    wire->cleaned = r->cleaned;
    wire->quality = (uint8_t)r->quality;
    wire->encodes = (uint16_t)r->encodes;
    wire->width_px = r->width_px;
    wire->height_px = r->height_px;
    wire->frames = r->frames;
    wire->bytes = g_bytes_get_size(r->bytes);
}

static void fill_result(WireResult *wire, const ImgResult *r, int target_fd)
{
    wire_set_text(wire->note, sizeof wire->note, r->note);
    wire->outcome = r->kind == IMG_AS_IS ? WIRE_AS_IS : WIRE_FAILED;
    wire->source_format = (uint8_t)r->source_format;
    wire->source_width_px = r->source_width_px;
    wire->source_height_px = r->source_height_px;
    if (r->kind == IMG_FAILED && wire->note[0] == 0)
        wire_set_text(wire->note, sizeof wire->note, "it could not be read");
    if (r->kind != IMG_MADE)
        return;
    const int errnum = write_all(target_fd, r->bytes);
    if (errnum == 0) {
        fill_made(wire, r);
        return;
    }
    wire->outcome = WIRE_NO_SPACE;
    wire->errnum = (uint32_t)errnum;
}

static ImgWatch watch_of(Teller *teller, uint32_t job, uint32_t deadline_ms)
{
    *teller = (Teller){ .job = job, .told_us = g_get_monotonic_time() };
    sandbox_allow_cpu(deadline_ms / 1000 + 1);
    return (ImgWatch){ .deadline_us = img_cpu_us() + (int64_t)deadline_ms * 1000, .progress = tell, .ctx = teller };
}

static bool do_job(const WireJob *job, const WireFds *fds)
{
    ImgRecipe recipes[RECIPES_MAX];
    ImgResult results[RECIPES_MAX];
    Teller teller;
    bool ok = true;
    for (unsigned i = 0; i < job->n; i++)
        if (!recipe_parse(job->recipes[i], &recipes[i], NULL))
            return false;
    const ImgWatch watch = watch_of(&teller, job->head.job, job->deadline_ms);
    if (job->clean != 0)
        img_clean(fds->fd[0], &recipes[0], &results[0]);
    else
        img_render(fds->fd[0], recipes, job->n, &watch, results);
    for (unsigned i = 0; i < job->n; i++) {
        WireMessage m = { .result = { .head = { .kind = WIRE_RESULT, .job = job->head.job }, .index = (uint8_t)i } };
        fill_result(&m.result, &results[i], fds->fd[1 + i]);
        img_result_clear(&results[i]);
        ok = ok && wire_send(SOCKET_FD, &m, NULL);
    }
    return ok;
}

static bool do_preview(const WirePreview *job, const WireFds *fds)
{
    Teller teller;
    ImgPreview preview = { 0 };
    const ImgWatch watch = watch_of(&teller, job->head.job, job->deadline_ms);
    img_preview(fds->fd[0], job->edge_px, job->background, &watch, &preview);

    WireMessage m = { .pixels = { .head = { .kind = WIRE_PIXELS, .job = job->head.job } } };
    wire_set_text(m.pixels.note, sizeof m.pixels.note, preview.note[0] != 0 ? preview.note : "it could not be read");
    if (preview.rgb != NULL && write_all(fds->fd[1], preview.rgb) == 0) {
        m.pixels.width_px = preview.width_px;
        m.pixels.height_px = preview.height_px;
    }
    img_preview_clear(&preview);
    return wire_send(SOCKET_FD, &m, NULL);
}

static bool say_hello(const SandboxFacts *facts)
{
    WireMessage m = { .hello = { .head.kind = WIRE_HELLO, .reads = img_readable(), .writes = img_writable(), .sandbox = *facts } };
    wire_set_text(m.hello.library, sizeof m.hello.library, img_library_version());
    return wire_send(SOCKET_FD, &m, NULL);
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
    SandboxFacts facts;
    if (getsockopt(SOCKET_FD, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET)
        return start_by_hand();
    sandbox_begin(SOCKET_FD);
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, MAPPED_FROM_BYTES);
    mallopt(M_TRIM_THRESHOLD, KEPT_FREE_BYTES);
    if (!img_init(argv[0]) || !sandbox_enter(&facts) || !say_hello(&facts))
        return EXIT_FAILURE;

    for (;;) {
        WireMessage message;
        WireFds fds;
        if (wire_recv(SOCKET_FD, &message, &fds) != WIRE_GOT)
            break;
        const bool ok = message.head.kind == WIRE_JOB       ? do_job(&message.job, &fds)
                        : message.head.kind == WIRE_PREVIEW ? do_preview(&message.preview, &fds)
                                                            : false;
        wire_fds_close(&fds);
        if (!ok)
            break;
        trim_when_idle();
    }
    _exit(EXIT_SUCCESS); /* libvips's clean-up needs calls the sandbox took away */
}
