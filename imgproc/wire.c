#include "wire.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MAGIC = 0x48494d47, FRAMES_MAX = 1000000 };

/* room for more descriptors than a message may carry, so that a surplus arrives and can be closed */
typedef union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE((WIRE_FDS_MAX + 2) * sizeof(int))];
} Control;

bool wire_pair(int sockets_out[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets_out) == 0;
}

void wire_fds_close(WireFds *fds)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(fds->fd); i++) {
        if (i < fds->n)
            close(fds->fd[i]);
        fds->fd[i] = -1;
    }
    fds->n = 0;
}

/* 0: no such kind. */
static size_t size_of_kind(unsigned kind)
{
    switch (kind) {
    case WIRE_HELLO:
        return sizeof(WireHello);
    case WIRE_JOB:
        return sizeof(WireJob);
    case WIRE_PREVIEW:
        return sizeof(WirePreview);
    case WIRE_PROGRESS:
        return sizeof(WireProgress);
    case WIRE_RESULT:
        return sizeof(WireResult);
    case WIRE_PIXELS:
        return sizeof(WirePixels);
    default:
        return 0;
    }
}

bool wire_send(int sock, WireMessage *m, const WireFds *fds)
{
    m->head.magic = MAGIC;
    m->head.version = WIRE_VERSION;
    const size_t size = size_of_kind(m->head.kind);
    struct iovec iov = { .iov_base = m, .iov_len = size };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    Control control = { 0 };
    if (fds != NULL) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(fds->n * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fds->n * sizeof(int));
        memcpy(CMSG_DATA(c), fds->fd, fds->n * sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(sock, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)size;
}

/* False: more than a message may carry; what is over is closed. */
static bool take_fds(struct msghdr *msg, WireFds *fds_out)
{
    bool all = true;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        const size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (fds_out->n < WIRE_FDS_MAX)
                fds_out->fd[fds_out->n++] = fd;
            else
                close(fd);
            all = all && i < WIRE_FDS_MAX;
        }
    }
    return all;
}

static bool text_is_clean(const char *field, size_t size)
{
    if (memchr(field, 0, size) == NULL || !g_utf8_validate(field, -1, NULL))
        return false;
    for (const char *p = field; *p != 0; p = g_utf8_next_char(p))
        if (g_unichar_iscntrl(g_utf8_get_char(p)))
            return false;
    return true;
}

static bool sandbox_is_valid(const SandboxFacts *s)
{
    const uint8_t flags[] = { s->landlock_files, s->landlock_net, s->landlock_scoped, s->seccomp, s->no_new_privileges, s->no_core };
    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++)
        if (flags[i] > 1)
            return false;
    return true;
}

static bool hello_is_valid(const WireHello *h)
{
    return h->head.job == 0 && ((h->reads | h->writes) >> N_IMG_FORMATS) == 0 && sandbox_is_valid(&h->sandbox) &&
           text_is_clean(h->library, sizeof h->library);
}

static bool job_is_valid(const WireJob *job, unsigned n_fds)
{
    if (job->n < 1 || job->n > RECIPES_MAX || n_fds != 1 + job->n || job->deadline_ms == 0 || job->clean > 1 ||
        (job->clean == 1 && job->n != 1))
        return false;
    for (unsigned i = 0; i < RECIPES_MAX; i++)
        if (!text_is_clean(job->recipes[i], sizeof job->recipes[i]) || (job->recipes[i][0] == 0) != (i >= job->n))
            return false;
    return true;
}

static bool preview_is_valid(const WirePreview *p, unsigned n_fds)
{
    return n_fds == 2 && p->deadline_ms > 0 && p->edge_px >= 1 && p->edge_px <= WIRE_PREVIEW_EDGE_MAX && p->background <= 0xffffff;
}

static bool made_is_valid(const WireResult *r)
{
    return r->format > IMG_FORMAT_NONE && r->bytes > 0 && r->bytes <= RECIPE_BYTES_MAX && r->errnum == 0;
}

static bool result_is_valid(const WireResult *r)
{
    const bool in_range = r->index < RECIPES_MAX && r->format < N_IMG_FORMATS && r->source_format < N_IMG_FORMATS && r->cleaned <= 1 &&
                          r->quality <= 100 && r->frames <= FRAMES_MAX && r->source_width_px <= WIRE_SIDE_MAX &&
                          r->source_height_px <= WIRE_SIDE_MAX && r->width_px <= WIRE_SIDE_MAX && r->height_px <= WIRE_SIDE_MAX &&
                          text_is_clean(r->note, sizeof r->note);
    switch (r->outcome) {
    case WIRE_MADE:
        return in_range && made_is_valid(r);
    case WIRE_AS_IS:
        return in_range && r->format == IMG_FORMAT_NONE && r->bytes == 0 && r->errnum == 0;
    case WIRE_FAILED:
        return in_range && r->format == IMG_FORMAT_NONE && r->bytes == 0 && r->errnum == 0 && r->note[0] != 0;
    case WIRE_NO_SPACE:
        return in_range && r->format == IMG_FORMAT_NONE && r->bytes == 0;
    default:
        return false;
    }
}

static bool pixels_are_valid(const WirePixels *p)
{
    const bool some =
        p->width_px >= 1 && p->height_px >= 1 && p->width_px <= WIRE_PREVIEW_EDGE_MAX && p->height_px <= WIRE_PREVIEW_EDGE_MAX;
    const bool none = p->width_px == 0 && p->height_px == 0 && p->note[0] != 0;
    return (some || none) && text_is_clean(p->note, sizeof p->note);
}

static bool is_valid(const WireMessage *m, size_t size, unsigned n_fds)
{
    if (size < sizeof m->head || m->head.magic != MAGIC || m->head.version != WIRE_VERSION || size != size_of_kind(m->head.kind))
        return false;
    switch ((WireKind)m->head.kind) {
    case WIRE_HELLO:
        return n_fds == 0 && hello_is_valid(&m->hello);
    case WIRE_JOB:
        return job_is_valid(&m->job, n_fds);
    case WIRE_PREVIEW:
        return preview_is_valid(&m->preview, n_fds);
    case WIRE_PROGRESS:
        return n_fds == 0 && m->progress.percent <= 100;
    case WIRE_RESULT:
        return n_fds == 0 && result_is_valid(&m->result);
    case WIRE_PIXELS:
        return n_fds == 0 && pixels_are_valid(&m->pixels);
    }
    return false;
}

WireGot wire_recv(int sock, WireMessage *message_out, WireFds *fds_out)
{
    Control control;
    WireMessage message;
    struct iovec iov = { .iov_base = &message, .iov_len = sizeof message };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes };
    memset(&message, 0, sizeof message);
    fds_out->n = 0;
    wire_fds_close(fds_out);

    ssize_t n;
    do
        n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? WIRE_AGAIN : WIRE_CLOSED;
    const bool fds_fit = take_fds(&msg, fds_out);
    if (n > 0 && fds_fit && (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 && is_valid(&message, (size_t)n, fds_out->n)) {
        *message_out = message;
        return WIRE_GOT;
    }
    wire_fds_close(fds_out);
    return n == 0 ? WIRE_CLOSED : WIRE_BAD;
}

void wire_set_text(char *field, unsigned size, const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    gsize used = 0;
    memset(field, 0, size);
    for (const char *p = valid; *p != 0; p = g_utf8_next_char(p)) {
        const gsize n = (gsize)(g_utf8_next_char(p) - p);
        if (used + n >= size)
            break;
        if (g_unichar_iscntrl(g_utf8_get_char(p)))
            field[used] = ' ';
        else
            memcpy(field + used, p, n);
        used += g_unichar_iscntrl(g_utf8_get_char(p)) ? 1 : n;
    }
    g_strchomp(field);
}
