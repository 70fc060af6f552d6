#include "fault.h"

#include <errno.h>
#include <stdarg.h>

/* clang-format off */
static const FaultInfo faults[N_FAULTS] = {
    [FAULT_NONE] = { "none", CURE_TIME, SCOPE_FILE, "" },

    [FAULT_RESOLVE] = { "host-not-found", CURE_TIME, SCOPE_DEST,
        "Check the network and the spelling of the host, then retry." },
    [FAULT_CONNECT] = { "cannot-connect", CURE_TIME, SCOPE_DEST,
        "Check that the server runs and that its port is open (endpoint, firewall), then retry." },
    [FAULT_STALLED] = { "stalled", CURE_TIME, SCOPE_DEST,
        "The line or the server is too slow; fewer transfers at once (-j) or smaller parts (--part-size) help." },
    [FAULT_BROKEN] = { "connection-broken", CURE_TIME, SCOPE_DEST,
        "The connection was cut; if it keeps happening, look at the network, a proxy or the server's log." },
    [FAULT_TLS] = { "tls-failed", CURE_TIME, SCOPE_DEST,
        "TLS could not be agreed: is this an http endpoint, an old server, or a proxy in between?" },
    [FAULT_CERT] = { "certificate-not-trusted", CURE_USER, SCOPE_DEST,
        "Install the server's CA (or point AWS_CA_BUNDLE at it) and check this machine's clock, then retry." },
    [FAULT_PROXY] = { "proxy-failed", CURE_USER, SCOPE_DEST,
        "Check https_proxy, http_proxy and no_proxy, then retry." },

    [FAULT_SLOW_DOWN] = { "slow-down", CURE_TIME, SCOPE_DEST,
        "The store asks for fewer requests; hoist slows down by itself. Retry later or lower -j." },
    [FAULT_SERVER] = { "server-error", CURE_TIME, SCOPE_DEST,
        "The server has a fault of its own; retry later, and tell its operator the request id if it stays." },
    [FAULT_BAD_ANSWER] = { "bad-answer", CURE_TIME, SCOPE_DEST,
        "Something else answers than what was expected: check the address, and proxies or login pages in between." },
    [FAULT_CONFLICT] = { "conflict", CURE_TIME, SCOPE_FILE,
        "Another program writes the same key at the same time; stop it, then retry." },

    [FAULT_CLOCK] = { "clock-skew", CURE_RENEW, SCOPE_DEST,
        "Set this machine's clock (timedatectl set-ntp true), then retry." },
    [FAULT_SIGNATURE] = { "wrong-secret", CURE_USER, SCOPE_DEST,
        "Check the secret (AWS_SECRET_ACCESS_KEY or the profile; password; token), and that no proxy changes headers; then retry." },
    [FAULT_UNKNOWN_KEY] = { "unknown-access-key", CURE_USER, SCOPE_DEST,
        "The store does not know this access key: deleted, or of another provider. Correct it, then retry." },
    [FAULT_EXPIRED] = { "credentials-expired", CURE_RENEW, SCOPE_DEST,
        "Sign in again (for instance: aws sso login) or set a fresh session token, then retry." },
    [FAULT_DENIED] = { "access-denied", CURE_USER, SCOPE_DEST,
        "Grant s3:PutObject (and s3:AbortMultipartUpload) on this prefix to the key in use, or what stands for it outside S3; then retry." },
    [FAULT_NO_CREDENTIALS] = { "no-credentials", CURE_USER, SCOPE_DEST,
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile that holds them (--profile); of other stores hoist dests says what is missing." },
    [FAULT_SIGN_IN] = { "not-signed-in", CURE_USER, SCOPE_DEST,
        "Give hoist the sign-in of the application (sign-in and secret of the [dest] group), and the right to upload there; then retry." },
    [FAULT_GRANT] = { "grant-refused", CURE_USER, SCOPE_DEST,
        "Application and store disagree: look at the application's keys and clock, and at what it signs (headers, type, size); then retry." },

    [FAULT_NO_BUCKET] = { "no-such-bucket", CURE_USER, SCOPE_DEST,
        "Check the bucket's name and the endpoint; hoist never creates buckets." },
    [FAULT_REGION] = { "wrong-region", CURE_RENEW, SCOPE_DEST,
        "Name the bucket's region (--region or the profile), then retry." },
    [FAULT_ENDPOINT] = { "wrong-endpoint", CURE_USER, SCOPE_DEST,
        "Check the address in the configuration (endpoint, the URL in to, or var): scheme, host, port and path." },
    [FAULT_QUOTA] = { "storage-full", CURE_USER, SCOPE_DEST,
        "The bucket or account is full: free space there or raise the quota, then retry." },
    [FAULT_UNSUPPORTED] = { "not-supported", CURE_USER, SCOPE_DEST,
        "The store lacks a feature that was asked for; leave that option out, then retry." },
    [FAULT_REFUSED] = { "refused", CURE_USER, SCOPE_DEST,
        "The server refuses this request; its words are in the cause." },

    [FAULT_TOO_LARGE] = { "too-large", CURE_USER, SCOPE_FILE,
        "The file is over the store's or the person's limit: raise it, or leave the file out." },
    [FAULT_EXISTS] = { "exists", CURE_USER, SCOPE_FILE,
        "An object with this key is there already: use --if-exists overwrite, or another prefix." },
    [FAULT_KEY] = { "bad-key", CURE_USER, SCOPE_FILE,
        "Shorten or rename the file or the prefix, or choose another --key template; then retry." },
    [FAULT_QUEUED] = { "queued-otherwise", CURE_USER, SCOPE_FILE,
        "Let the earlier request finish (hoist up) or cancel it (hoist queue, hoist cancel ID), then queue the file again." },
    [FAULT_CHECKSUM] = { "checksum-differs", CURE_RESTART, SCOPE_FILE,
        "What arrived is not what was sent: memory, disk or network damage the data. Check them before trusting more." },
    [FAULT_SIZE] = { "size-differs", CURE_RESTART, SCOPE_FILE,
        "The object has another size than the file; retry, and check what lies between." },
    [FAULT_UPLOAD_GONE] = { "upload-gone", CURE_RESTART, SCOPE_FILE,
        "The store removed the unfinished upload (a lifecycle rule?); retry sends the file again." },
    [FAULT_PART] = { "part-refused", CURE_RESTART, SCOPE_FILE,
        "The store does not accept the parts it got; retry sends the file again." },
    [FAULT_NOT_ANNOUNCED] = { "not-announced", CURE_USER, SCOPE_DEST,
        "The file is stored; retry tells the application again, without sending anything twice." },

    [FAULT_SOURCE_MISSING] = { "file-missing", CURE_USER, SCOPE_FILE,
        "Bring the file back (mount, undelete), then retry; or remove it from the queue." },
    [FAULT_SOURCE_DENIED] = { "file-unreadable", CURE_USER, SCOPE_FILE,
        "Give yourself the right to read it (chmod u+r), then retry." },
    [FAULT_SOURCE_CHANGED] = { "file-changed", CURE_RESTART, SCOPE_FILE,
        "The file is being written to: let the other program finish, then retry." },
    [FAULT_TYPE] = { "type-not-wanted", CURE_USER, SCOPE_FILE,
        "Only files of the types that --types names are sent: add this one to it, or leave the option out." },
    [FAULT_SOURCE_SPECIAL] = { "not-a-file", CURE_USER, SCOPE_FILE,
        "Only regular files are uploaded." },
    [FAULT_SOURCE_IO] = { "read-error", CURE_USER, SCOPE_FILE,
        "The disk gave an error on reading; check it (dmesg), then retry." },

    [FAULT_SPOOL_FULL] = { "spool-full", CURE_USER, SCOPE_FILE,
        "Free space where prepared pictures lie (XDG_CACHE_HOME), or use --images none; then retry." },
    [FAULT_STORE_FULL] = { "state-disk-full", CURE_USER, SCOPE_ALL,
        "Free space on the disk of the state directory; hoist goes on by itself then." },
    [FAULT_STORE_READONLY] = { "state-not-writable", CURE_USER, SCOPE_ALL,
        "Make the state directory writable, or name another one (--state DIR)." },
    [FAULT_STORE_CORRUPT] = { "state-damaged", CURE_USER, SCOPE_ALL,
        "The damaged queue was set aside next to the new one; drop the files again." },
    [FAULT_STORE_NEWER] = { "state-from-newer-hoist", CURE_USER, SCOPE_ALL,
        "Use the newer hoist that wrote it, or another state directory (--state DIR)." },
    [FAULT_STORE_LOCKED] = { "state-in-use", CURE_USER, SCOPE_ALL,
        "Another hoist runs on this queue: close it, use its window, or name another one (--state DIR)." },
    [FAULT_STORE_IO] = { "state-io-error", CURE_USER, SCOPE_ALL,
        "The disk of the state directory gives errors; check it (dmesg) before going on." },
    [FAULT_MEMORY] = { "out-of-memory", CURE_TIME, SCOPE_DEST,
        "Close other programs, or lower -j and --parts." },
    [FAULT_IMAGE] = { "picture-unreadable", CURE_USER, SCOPE_FILE,
        "The picture is damaged; --on-image-error original sends it as it is." },
    [FAULT_WORKER] = { "picture-worker", CURE_USER, SCOPE_FILE,
        "Install hoist anew (hoist doctor tells what is wrong), or use --images none; then retry." },

    [FAULT_USAGE] = { "usage", CURE_USER, SCOPE_ALL, "See hoist --help." },
    [FAULT_CONFIG] = { "configuration", CURE_USER, SCOPE_ALL, "Correct the line named, then start again." },
    [FAULT_CANCELLED] = { "cancelled", CURE_USER, SCOPE_FILE, "Retry queues it again." },
    [FAULT_BUG] = { "bug", CURE_USER, SCOPE_FILE, "This is a fault of hoist's own: please report it with the log." },
};
/* clang-format on */

G_DEFINE_QUARK(hoist - fault, fault)

const FaultInfo *fault_info(int code)
{
    if (code < 0 || code >= N_FAULTS)
        code = FAULT_BUG;
    return &faults[code];
}

FaultCode fault_by_name(const char *name)
{
    for (unsigned i = 0; name != NULL && i < N_FAULTS; i++)
        if (g_str_equal(faults[i].name, name))
            return (FaultCode)i;
    return FAULT_NONE;
}

void fault_set(GError **error, FaultCode code, const char *format, ...)
{
    if (error == NULL || *error != NULL)
        return;
    va_list args;
    va_start(args, format);
    *error = g_error_new_valist(FAULT, code, format, args);
    va_end(args);
}

void fault_set_source_errno(GError **error, int errnum, const char *what)
{
    FaultCode code = FAULT_SOURCE_IO;
    if (errnum == ENOENT || errnum == ENOTDIR)
        code = FAULT_SOURCE_MISSING;
    else if (errnum == EACCES || errnum == EPERM)
        code = FAULT_SOURCE_DENIED;
    else if (errnum == ELOOP || errnum == ENXIO)
        code = FAULT_SOURCE_SPECIAL;
    fault_set(error, code, "%s: %s", what, g_strerror(errnum));
}

FaultCode fault_code(const GError *error)
{
    if (error == NULL)
        return FAULT_NONE;
    return error->domain == FAULT ? (FaultCode)error->code : FAULT_BUG;
}
