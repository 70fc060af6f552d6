#include "flight.h"

#include <string.h>

#include "fault.h"

/* What is put behind the text of a fault. */
typedef enum { SAY_NOTHING, SAY_ERRNO, SAY_CURL } Detail;

typedef struct {
    CURLcode code;
    FaultCode fault;
    const char *before, *after; /* of the host's name */
    Detail detail;
} CurlFault;

static const CurlFault curl_faults[] = {
    { CURLE_COULDNT_RESOLVE_PROXY, FAULT_PROXY, "cannot find the proxy on the way to ", "", SAY_NOTHING },
    { CURLE_PROXY, FAULT_PROXY, "the proxy did not connect us to ", "", SAY_NOTHING },
    { CURLE_COULDNT_RESOLVE_HOST, FAULT_RESOLVE, "cannot find ", "", SAY_NOTHING },
    { CURLE_COULDNT_CONNECT, FAULT_CONNECT, "cannot connect to ", "", SAY_ERRNO },
    { CURLE_OPERATION_TIMEDOUT, FAULT_CONNECT, "no connection to ", " in time", SAY_NOTHING },
    { CURLE_SSL_CONNECT_ERROR, FAULT_TLS, "TLS could not be agreed with ", "", SAY_CURL },
    { CURLE_SSL_CIPHER, FAULT_TLS, "TLS could not be agreed with ", "", SAY_CURL },
    { CURLE_PEER_FAILED_VERIFICATION, FAULT_CERT, "the certificate of ", " is not trusted", SAY_CURL },
    { CURLE_SSL_ISSUER_ERROR, FAULT_CERT, "the certificate of ", " is not trusted", SAY_CURL },
    { CURLE_SSL_PINNEDPUBKEYNOTMATCH, FAULT_CERT, "", " has another public key than the pinned one", SAY_NOTHING },
    { CURLE_SSL_CACERT_BADFILE, FAULT_CONFIG, "the file of trusted certificates cannot be read, needed for ", "", SAY_CURL },
    { CURLE_SSL_CERTPROBLEM, FAULT_CONFIG, "the client certificate cannot be used with ", "", SAY_CURL },
    { CURLE_GOT_NOTHING, FAULT_BROKEN, "", " closed the connection without an answer", SAY_NOTHING },
    { CURLE_SEND_ERROR, FAULT_BROKEN, "the connection to ", " broke while sending", SAY_ERRNO },
    { CURLE_RECV_ERROR, FAULT_BROKEN, "the connection to ", " broke", SAY_ERRNO },
    { CURLE_PARTIAL_FILE, FAULT_BROKEN, "", " ended in the middle of its answer", SAY_NOTHING },
    { CURLE_SEND_FAIL_REWIND, FAULT_BROKEN, "the connection to ", " broke and the body could not be sent anew", SAY_NOTHING },
    { CURLE_AGAIN, FAULT_BROKEN, "the connection to ", " broke", SAY_NOTHING },
    { CURLE_WRITE_ERROR, FAULT_BAD_ANSWER, "the answer of ", " could not be read", SAY_NOTHING },
    { CURLE_WEIRD_SERVER_REPLY, FAULT_BAD_ANSWER, "", " does not speak HTTP", SAY_NOTHING },
    { CURLE_BAD_CONTENT_ENCODING, FAULT_BAD_ANSWER, "", " answers in an unknown encoding", SAY_NOTHING },
    { CURLE_URL_MALFORMAT, FAULT_ENDPOINT, "the address of ", " is not a valid URL", SAY_NOTHING },
    { CURLE_UNSUPPORTED_PROTOCOL, FAULT_ENDPOINT, "the address of ", " is neither http nor https", SAY_NOTHING },
    { CURLE_OUT_OF_MEMORY, FAULT_MEMORY, "not enough memory to talk to ", "", SAY_NOTHING },
};

char *flight_host(const Flight *f)
{
    char *host = NULL;
    int port = -1;
    if (!g_uri_split_network(f->job->rq->url, G_URI_FLAGS_NONE, NULL, &host, &port, NULL) || host == NULL)
        return g_strdup("the server");
    if (port <= 0)
        return host;
    char *text = g_strdup_printf("%s:%d", host, port);
    g_free(host);
    return text;
}

static char *detail_text(const Flight *f, Detail detail)
{
    long errnum = 0;
    if (detail == SAY_ERRNO && curl_easy_getinfo(f->easy, CURLINFO_OS_ERRNO, &errnum) == CURLE_OK && errnum != 0)
        return g_strconcat(": ", g_strerror((int)errnum), NULL);
    if (detail == SAY_CURL && f->why[0] != '\0') {
        g_autofree char *why = g_utf8_make_valid(f->why, -1);
        return g_strconcat(": ", g_strdelimit(why, "\r\n\t\033", ' '), NULL);
    }
    return g_strdup("");
}

static CURLcode meant_code(const Flight *f, CURLcode code)
{
    long proxy_status = 0;
    curl_off_t resolved_us = 0;
    const bool connected = atomic_load_explicit(&f->job->connected, memory_order_relaxed);
    curl_easy_getinfo(f->easy, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
    if (!connected && proxy_status >= 300)
        return CURLE_PROXY;
    if (code == CURLE_OPERATION_TIMEDOUT && curl_easy_getinfo(f->easy, CURLINFO_NAMELOOKUP_TIME_T, &resolved_us) == CURLE_OK &&
        resolved_us == 0)
        return CURLE_COULDNT_RESOLVE_HOST;
    if (connected && code == CURLE_UNSUPPORTED_PROTOCOL)
        return CURLE_WEIRD_SERVER_REPLY; /* curl's word for HTTP/0.9 */
    return code;
}

static void stalled_fault(const Flight *f, const char *host, GError **error)
{
    const int64_t quiet_us = lane_now_us(f->lane) - atomic_load_explicit(&f->job->moved_us, memory_order_relaxed);
    const int quiet_s = (int)((quiet_us + G_USEC_PER_SEC / 2) / G_USEC_PER_SEC);
    if (flight_waits(f))
        fault_set(error, FAULT_STALLED, "%s took the whole request and gave no answer for %d s", host, quiet_s);
    else
        fault_set(error, FAULT_STALLED, "no byte moved between us and %s for %d s", host, quiet_s);
}

void flight_fault(const Flight *f, CURLcode code, bool stalled, GError **error)
{
    g_autofree char *host = flight_host(f);
    if (stalled) {
        stalled_fault(f, host, error);
        return;
    }
    code = meant_code(f, code);
    for (unsigned i = 0; i < G_N_ELEMENTS(curl_faults); i++) {
        const CurlFault *row = &curl_faults[i];
        if (row->code == code) {
            g_autofree char *detail = detail_text(f, row->detail);
            fault_set(error, row->fault, "%s%s%s%s", row->before, host, row->after, detail);
            return;
        }
    }
    fault_set(error, FAULT_BUG, "libcurl result %d for %s: %s", (int)code, host, curl_easy_strerror(code));
}

/* A connection kept from an earlier request that turns out dead says nothing about this one. */
static bool is_free_retry(const Flight *f, CURLcode code)
{
    long connects = 1;
    curl_easy_getinfo(f->easy, CURLINFO_NUM_CONNECTS, &connects);
    return connects == 0 && f->header_bytes == 0 && (code == CURLE_GOT_NOTHING || code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR);
}

/* The server refused early, closed, and the cut reached us too: its answer is worth more than the cut. */
static bool was_refused(const Flight *f, CURLcode code)
{
    return f->headed && f->status >= 300 && (code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR || code == CURLE_PARTIAL_FILE);
}

TransferAnswer *flight_end(Flight *f, CURLcode code, bool stalled, bool *again_out)
{
    TransferAnswer *answer = g_new0(TransferAnswer, 1);
    answer->user = f->job->user;
    answer->sent_bytes = atomic_load_explicit(&f->job->sent_bytes, memory_order_relaxed);
    if (f->status == 417 && f->expecting) {
        g_autofree char *host = flight_host(f);
        lane_expects_not(f->lane, host);
    }
    if (f->error != NULL) {
        answer->error = g_steal_pointer(&f->error);
    } else if (!stalled && (code == CURLE_OK || was_refused(f, code)) && f->headed && f->status <= 999) {
        answer->rs = g_steal_pointer(&f->rs);
        answer->rs->status = f->status;
    } else {
        flight_fault(f, code == CURLE_OK ? CURLE_WEIRD_SERVER_REPLY : code, stalled, &answer->error);
        answer->free_retry = !stalled && !f->job->rq->once && is_free_retry(f, code);
    }
    *again_out = answer->rs != NULL && code == CURLE_OK && !f->rewound && flight_all_sent(f) && f->job->rq->user == NULL;
    return answer;
}
