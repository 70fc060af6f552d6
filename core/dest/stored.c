#include "stored.h"

#define KEY_TAKEN "an object with this key is there already"

typedef enum { NONCE_ABSENT, NONCE_OURS, NONCE_OTHER } Nonce;

static Nonce read_nonce(const Upload *up, const Response *rs, const char *nonce_header)
{
    const char *told = response_header(rs, nonce_header);
    if (told == NULL || up->nonce == NULL)
        return NONCE_ABSENT;
    return g_str_equal(told, up->nonce) ? NONCE_OURS : NONCE_OTHER;
}

typedef enum { SIZE_UNKNOWN, SIZE_SAME, SIZE_DIFFERS } Size;

static Size read_size(const Upload *up, const Response *rs, guint64 *bytes_out)
{
    const char *told = response_header(rs, "content-length");
    *bytes_out = 0;
    if (told == NULL || !g_ascii_string_to_unsigned(told, 10, 0, G_MAXUINT64, bytes_out, NULL))
        return SIZE_UNKNOWN;
    return *bytes_out == up->size_bytes ? SIZE_SAME : SIZE_DIFFERS;
}

/* No answer confirmed the upload: an object of this key counts only when it is known to be the one that was sent. */
static Verdict judge_unconfirmed(const Upload *up, Nonce nonce, Size size, Proof proof, GError **error)
{
    const bool right = size != SIZE_DIFFERS && proof != PROOF_WRONG;
    if (right && (nonce == NONCE_OURS || (nonce == NONCE_ABSENT && proof != PROOF_NONE && !up->refused_exists)))
        return VERDICT_OK;
    if (up->refused_exists) {
        fault_set(error, FAULT_EXISTS, KEY_TAKEN);
        return VERDICT_FAIL;
    }
    fault_set(error, FAULT_UPLOAD_GONE, "the upload is unknown to the store, and the object under this key is another one");
    return VERDICT_RESTART;
}

static Verdict judge_confirmed(const Upload *up, Nonce nonce, Size size, guint64 bytes, Proof proof, GError **error)
{
    if (nonce == NONCE_OTHER) {
        fault_set(error, FAULT_CONFLICT, "another program wrote this key after the upload");
        return VERDICT_FAIL;
    }
    if (size == SIZE_DIFFERS) {
        fault_set(error, FAULT_SIZE, "the object has %" G_GUINT64_FORMAT " bytes, the file %" G_GUINT64_FORMAT, bytes, up->size_bytes);
        return VERDICT_RESTART;
    }
    if (proof == PROOF_WRONG) {
        fault_set(error, FAULT_CHECKSUM, "the store's checksum of the object is not that of the file");
        return VERDICT_RESTART;
    }
    return VERDICT_OK;
}

static Verdict judge(const Upload *up, Nonce nonce, Size size, guint64 bytes, Proof proof, GError **error)
{
    return up->etag == NULL ? judge_unconfirmed(up, nonce, size, proof, error) : judge_confirmed(up, nonce, size, bytes, proof, error);
}

Verdict stored_judge(Upload *up, const Response *rs, const char *nonce_header, Proof proof, GError **error)
{
    guint64 bytes;
    const char *etag = response_header(rs, "etag");
    const Size size = read_size(up, rs, &bytes);
    const Verdict verdict = judge(up, read_nonce(up, rs, nonce_header), size, bytes, proof, error);
    if (verdict != VERDICT_OK) {
        g_clear_pointer(&up->checksum, g_free);
        return verdict;
    }
    if (proof == PROOF_CHECKSUM || proof == PROOF_ETAG)
        up->verified = MAX(up->verified, proof == PROOF_CHECKSUM ? VERIFIED_CHECKSUM : VERIFIED_ETAG);
    else if (size == SIZE_SAME)
        up->verified = MAX(up->verified, VERIFIED_SIZE);
    if (etag != NULL)
        upload_set(&up->etag, etag);
    return VERDICT_OK;
}

Verdict stored_not_there(GError **error)
{
    fault_set(error, FAULT_UPLOAD_GONE, "404: the object is not there");
    return VERDICT_RESTART;
}

Verdict stored_not_shown(Upload *up, const char *cause, const char *right, GError **error)
{
    if (up->etag != NULL) {
        g_autofree char *note = g_strdup_printf("not verified: this key may not look at objects (%s)", right);
        upload_say(up, note);
        return VERDICT_OK;
    }
    if (up->refused_exists)
        fault_set(error, FAULT_EXISTS, KEY_TAKEN);
    else
        fault_set(error, FAULT_DENIED, "%s - whether the object arrived cannot be told without %s", cause, right);
    return VERDICT_FAIL;
}
