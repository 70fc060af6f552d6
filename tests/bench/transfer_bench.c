/* transfer_bench small|large JOBS COUNT BYTES URL [FILE]: what the transfer module costs by itself, beside the floors of bare libcurl.
 *   small   COUNT PUTs of BYTES from memory        large   COUNT PUTs of BYTES, the ranges of FILE in turn
 * Prints wall seconds and CPU seconds. HOIST_BENCH_CA names the certificates to trust, HOIST_BENCH_LANES the lanes (0 = automatic). */
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "core/transfer.h"

static double cpu_s(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) + (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static Request *part(const char *url, unsigned i, GBytes *bytes, uint64_t length)
{
    Request *rq = request_new("PUT");
    rq->url = g_strdup_printf("%s/%u", url, i);
    if (bytes != NULL)
        request_body_bytes(rq, g_bytes_ref(bytes));
    else
        request_body_file(rq, i * length, length);
    return rq;
}

int main(int argc, char **argv)
{
    if (argc < 6)
        return 2;
    const unsigned jobs = (unsigned)strtoul(argv[2], NULL, 10), count = (unsigned)strtoul(argv[3], NULL, 10);
    const uint64_t length = strtoull(argv[4], NULL, 10);
    const char *lanes = g_getenv("HOIST_BENCH_LANES");
    const TransferConf conf = { .max_connections = jobs,
                                .ca_file = g_getenv("HOIST_BENCH_CA"),
                                .lanes = lanes != NULL ? (unsigned)atoi(lanes) : 0 };
    Transfer *t = transfer_new(&conf, NULL);
    const int fd = argc > 6 ? open(argv[6], O_RDONLY | O_CLOEXEC) : -1;
    GBytes *bytes = g_str_equal(argv[1], "small") ? g_bytes_new_take(g_malloc0(length), length) : NULL;
    const gint64 begin_us = g_get_monotonic_time();
    unsigned next = 0, done = 0, failed = 0;
    while (done < count) {
        while (next < count && transfer_active(t) < jobs) {
            transfer_start(t, part(argv[5], next, bytes, length), fd, NULL);
            next++;
        }
        transfer_wait(t, -1, -1);
        TransferAnswer *a = NULL;
        while ((a = transfer_take(t)) != NULL) {
            failed += a->rs == NULL || a->rs->status != 200;
            done++;
            transfer_answer_free(a);
        }
    }
    const double wall_s = (double)(g_get_monotonic_time() - begin_us) / G_USEC_PER_SEC;
    transfer_free(t);
    g_clear_pointer(&bytes, g_bytes_unref);
    printf("wall %.3f cpu %.3f failed %u\n", wall_s, cpu_s(), failed);
    return failed != 0;
}
