#include "wire.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MAGIC = 0x48494d47, N_FDS = 2 };

/* room for more descriptors than a message may carry, so that a surplus arrives and can be closed */
typedef union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(4 * sizeof(int))];
} Control;

bool wire_pair(int sockets_out[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets_out) == 0;
}

static WireHead head_of(WireKind kind, uint32_t job)
{
    return (WireHead){ .magic = MAGIC, .version = WIRE_VERSION, .kind = (uint16_t)kind, .job = job };
}

static bool send_packet(int sock, void *data, size_t size, const int *fds)
{
    struct iovec iov = { .iov_base = data, .iov_len = size };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    Control control = { 0 };
    if (fds != NULL) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(N_FDS * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(N_FDS * sizeof(int));
        memcpy(CMSG_DATA(c), fds, N_FDS * sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(sock, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)size;
}

bool wire_send_job(int sock, WireJob *job, int source_fd, int target_fd)
{
    const int fds[N_FDS] = { source_fd, target_fd };
    job->head = head_of(WIRE_JOB, job->head.job);
    return send_packet(sock, job, sizeof *job, fds);
}

bool wire_send_progress(int sock, uint32_t job, unsigned percent)
{
    WireProgress progress = { .head = head_of(WIRE_PROGRESS, job), .percent = percent };
    return send_packet(sock, &progress, sizeof progress, NULL);
}

bool wire_send_result(int sock, WireResult *result)
{
    result->head = head_of(WIRE_RESULT, result->head.job);
    return send_packet(sock, result, sizeof *result, NULL);
}

/* Number of descriptors in the message; the first two go to fds_out, the rest are closed. */
static unsigned take_fds(struct msghdr *msg, int fds_out[N_FDS])
{
    unsigned count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        const size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (count < N_FDS)
                fds_out[count] = fd;
            else
                close(fd);
            count++;
        }
    }
    return count;
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

static bool result_is_valid(const WireResult *r)
{
    if (!text_is_clean(r->done, sizeof r->done) || !text_is_clean(r->note, sizeof r->note))
        return false;
    switch (r->outcome) {
    case WIRE_MADE:
        return (r->format == WIRE_WEBP || r->format == WIRE_JPEG) && r->bytes > 0 && r->bytes <= RECIPE_BYTES_MAX;
    case WIRE_AS_IS:
    case WIRE_NO_SPACE:
        return r->format == WIRE_FORMAT_NONE && r->bytes == 0;
    default:
        return false;
    }
}

static bool is_valid(const WireMessage *m, size_t size, unsigned n_fds)
{
    if (size < sizeof m->head || m->head.magic != MAGIC || m->head.version != WIRE_VERSION)
        return false;
    switch (m->head.kind) {
    case WIRE_JOB:
        return size == sizeof m->job && n_fds == N_FDS && text_is_clean(m->job.recipe, sizeof m->job.recipe);
    case WIRE_PROGRESS:
        return size == sizeof m->progress && n_fds == 0 && m->progress.percent <= 100;
    case WIRE_RESULT:
        return size == sizeof m->result && n_fds == 0 && result_is_valid(&m->result);
    default:
        return false;
    }
}

WireGot wire_recv(int sock, WireMessage *message_out, int fds_out[2])
{
    Control control;
    WireMessage message;
    struct iovec iov = { .iov_base = &message, .iov_len = sizeof message };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes };
    memset(&message, 0, sizeof message);
    fds_out[0] = fds_out[1] = -1;

    ssize_t n;
    do
        n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? WIRE_AGAIN : WIRE_CLOSED;
    const unsigned n_fds = take_fds(&msg, fds_out);
    if (n > 0 && (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 && is_valid(&message, (size_t)n, n_fds)) {
        *message_out = message;
        return WIRE_GOT;
    }
    for (unsigned i = 0; i < N_FDS; i++)
        if (fds_out[i] >= 0)
            close(fds_out[i]);
    fds_out[0] = fds_out[1] = -1;
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
