#include "creds_private.h"

#include <errno.h>
#include <json-glib/json-glib.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_COMPLAINT_BYTES = 300, WAIT_STEP_MS = 10 };

typedef struct {
    const char *what; /* begins each error: "credential_process" */
    GPid pid;         /* 0 = none, or reaped */
    int out, err;     /* -1 = closed */
    GString *answer;  /* of the caller */
    GString *complaint;
    int64_t end_us; /* monotonic */
} Child;

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void child_clear(Child *child)
{
    close_fd(&child->out);
    close_fd(&child->err);
    if (child->pid > 0) {
        kill(child->pid, SIGKILL);
        waitpid(child->pid, NULL, 0);
    }
    if (child->complaint != NULL)
        g_string_free(child->complaint, TRUE);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Child, child_clear)

static bool child_start(Child *child, const char *command, GError **error)
{
    g_auto(GStrv) argv = NULL;
    if (!g_shell_parse_argv(command, NULL, &argv, NULL)) {
        fault_set(error, FAULT_CONFIG, "%s: a quote is open, or the command is empty", child->what);
        return false;
    }
    g_autoptr(GError) cause = NULL;
    if (!g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_SEARCH_PATH | G_SPAWN_CLOEXEC_PIPES, NULL, NULL,
                                  &child->pid, NULL, &child->out, &child->err, &cause)) {
        child->pid = 0;
        fault_set(error, FAULT_NO_CREDENTIALS, "%s: %s", child->what, cause->message);
        return false;
    }
    return true;
}

/* Keeps the first max bytes; false when there were more. Closes fd at its end. */
static bool take_bytes(int *fd, GString *into, size_t max)
{
    char buffer[4096];
    const ssize_t n = read(*fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR)
        return true;
    if (n <= 0) {
        close_fd(fd);
        return true;
    }
    const size_t room = max - into->len;
    g_string_append_len(into, buffer, (gssize)MIN((size_t)n, room));
    digest_wipe(buffer, (size_t)n);
    return (size_t)n <= room;
}

static int left_ms(const Child *child)
{
    return (int)MAX((child->end_us - g_get_monotonic_time()) / 1000, 0);
}

/* Until both pipes are at their end. */
static bool child_read(Child *child, GError **error)
{
    while (child->out >= 0 || child->err >= 0) {
        struct pollfd fds[] = { { child->out, POLLIN, 0 }, { child->err, POLLIN, 0 } };
        const int left = left_ms(child), ready = poll(fds, G_N_ELEMENTS(fds), left);
        if (ready == 0 || left == 0) {
            fault_set(error, FAULT_NO_CREDENTIALS, "%s: did not end in time", child->what);
            return false;
        }
        if (fds[0].revents != 0 && ready > 0 && !take_bytes(&child->out, child->answer, CREDS_PROCESS_MAX_BYTES)) {
            fault_set(error, FAULT_NO_CREDENTIALS, "%s: answered with more than %d bytes", child->what, CREDS_PROCESS_MAX_BYTES);
            return false;
        }
        if (fds[1].revents != 0 && ready > 0)
            take_bytes(&child->err, child->complaint, MAX_COMPLAINT_BYTES);
    }
    return true;
}

static bool child_reap(Child *child, GError **error)
{
    int status = 0;
    pid_t reaped;
    while ((reaped = waitpid(child->pid, &status, WNOHANG)) == 0 && left_ms(child) > 0)
        g_usleep(WAIT_STEP_MS * 1000); /* both pipes are closed, so it is about to end */
    if (reaped == 0) {
        fault_set(error, FAULT_NO_CREDENTIALS, "%s: did not end in time", child->what);
        return false;
    }
    child->pid = 0;
    if (reaped > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    g_strstrip(child->complaint->str);
    fault_set(error, FAULT_NO_CREDENTIALS, "%s: failed (%s %d)%s%s", child->what, WIFEXITED(status) ? "exit status" : "signal",
              WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), *child->complaint->str ? ": " : "", child->complaint->str);
    return false;
}

bool creds_command_run(const char *what, const char *command, unsigned timeout_ms, CredsAnswer *answer, GError **error)
{
    g_auto(Child) child = { .what = what, .pid = 0, .out = -1, .err = -1, .answer = answer };
    child.complaint = g_string_new(NULL);
    child.end_us = g_get_monotonic_time() + (int64_t)timeout_ms * 1000;
    return child_start(&child, command, error) && child_read(&child, error) && child_reap(&child, error);
}

CredsAnswer *creds_answer_new(void)
{
    return g_string_sized_new(CREDS_PROCESS_MAX_BYTES + 1); /* never moved, so that nothing is left behind unwiped */
}

void creds_answer_free(CredsAnswer *answer)
{
    if (answer == NULL)
        return;
    digest_wipe(answer->str, answer->allocated_len);
    g_string_free(answer, TRUE);
}

/* ---- the answer ---- */

static const char *text_of(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);
    const char *text = node != NULL && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node) : NULL;
    return text == NULL || *text == '\0' ? NULL : text;
}

static bool read_expiry(JsonObject *object, int64_t *expires_s_out, GError **error)
{
    const char *text = text_of(object, "Expiration");
    if (text == NULL)
        return true;
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(text, utc);
    if (time == NULL) {
        fault_set(error, FAULT_NO_CREDENTIALS, "credential_process: Expiration is no ISO 8601 time");
        return false;
    }
    *expires_s_out = g_date_time_to_unix(time);
    if (*expires_s_out > g_get_real_time() / G_USEC_PER_SEC)
        return true;
    fault_set(error, FAULT_EXPIRED, "credential_process: gave keys that expired at %s", text);
    return false;
}

static Credentials *read_answer(const char *json, gsize n, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    const bool parsed = json_parser_load_from_data(parser, json, (gssize)n, NULL); /* its error quotes the answer */
    JsonNode *root = parsed ? json_parser_get_root(parser) : NULL;
    if (root == NULL || !JSON_NODE_HOLDS_OBJECT(root)) {
        fault_set(error, FAULT_NO_CREDENTIALS, "credential_process: the answer is not a JSON object");
        return NULL;
    }
    JsonObject *object = json_node_get_object(root);
    JsonNode *version = json_object_get_member(object, "Version");
    if (version == NULL || json_node_get_value_type(version) != G_TYPE_INT64 || json_node_get_int(version) != 1) {
        fault_set(error, FAULT_NO_CREDENTIALS, "credential_process: the answer has no \"Version\": 1");
        return NULL;
    }
    g_autoptr(Credentials) c = g_new0(Credentials, 1);
    c->access_key = g_strdup(text_of(object, "AccessKeyId"));
    c->secret_key = g_strdup(text_of(object, "SecretAccessKey"));
    c->session_token = g_strdup(text_of(object, "SessionToken"));
    if (c->access_key == NULL || c->secret_key == NULL) {
        fault_set(error, FAULT_NO_CREDENTIALS, "credential_process: the answer lacks %s",
                  c->access_key == NULL ? "AccessKeyId" : "SecretAccessKey");
        return NULL;
    }
    if (!read_expiry(object, &c->expires_s, error) || !creds_check(c, "credential_process", error))
        return NULL;
    return g_steal_pointer(&c);
}

Credentials *creds_process_run(const char *command, unsigned timeout_ms, GError **error)
{
    g_autoptr(CredsAnswer) answer = creds_answer_new();
    if (!creds_command_run("credential_process", command, timeout_ms, answer, error))
        return NULL;
    return read_answer(answer->str, answer->len, error);
}
