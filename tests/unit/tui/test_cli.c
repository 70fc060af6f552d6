/* hoist as a program, against a small store on loopback: what is printed where, and with which exit status it ends. */
#include <arpa/inet.h>
#include <errno.h>
#include <json-glib/json-glib.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gio/gio.h>
#include <glib/gstdio.h>

/* ------------------------------------------------------------------ the store: PUT only; the bucket says how it behaves */

typedef struct {
    int fd;
    unsigned port;
    pthread_t thread;
} Peer;

static Peer peer;

static bool read_request(int fd, GString *request, GString *body)
{
    char bytes[16384];
    const char *end;
    while ((end = strstr(request->str, "\r\n\r\n")) == NULL) {
        const ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        if (n <= 0)
            return false;
        g_string_append_len(request, bytes, n);
    }
    g_autofree char *lower = g_ascii_strdown(request->str, end - request->str);
    const char *length = strstr(lower, "\r\ncontent-length:");
    const size_t wanted = length != NULL ? g_ascii_strtoull(length + strlen("\r\ncontent-length:"), NULL, 10) : 0;
    const size_t head = (size_t)(end + 4 - request->str);
    g_string_append_len(body, request->str + head, (gssize)(request->len - head));
    while (body->len < wanted) {
        const ssize_t n = recv(fd, bytes, MIN(sizeof bytes, wanted - body->len), 0);
        if (n <= 0)
            return false;
        g_string_append_len(body, bytes, n);
    }
    g_string_truncate(request, head);
    return true;
}

static bool answer(int fd, const char *request, const GString *body)
{
    static const char denied[] = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>no \033[31m way</Message></Error>";
    g_autofree char *md5 = g_compute_checksum_for_data(G_CHECKSUM_MD5, (const guchar *)body->str, body->len);
    g_autofree char *text = NULL;
    if (strstr(request, " /slow/") != NULL) {
        char byte;
        return recv(fd, &byte, 1, 0) > 0; /* until the client goes */
    }
    if (strstr(request, " /denied/") != NULL)
        text = g_strdup_printf("HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nContent-Length: %zu\r\n\r\n%s", strlen(denied),
                               denied);
    else
        text = g_strdup_printf("HTTP/1.1 200 OK\r\nETag: \"%s\"\r\nContent-Length: 0\r\n\r\n", md5);
    return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

static void *serve(void *ctx)
{
    const int fd = GPOINTER_TO_INT(ctx);
    bool more = true;
    while (more) {
        g_autoptr(GString) request = g_string_new(NULL), body = g_string_new(NULL);
        more = read_request(fd, request, body) && answer(fd, request->str, body);
    }
    close(fd);
    return NULL;
}

static void *accept_all(void *ctx)
{
    (void)ctx;
    for (int fd; (fd = accept(peer.fd, NULL, NULL)) >= 0;) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve, GINT_TO_POINTER(fd)) == 0)
            pthread_detach(thread);
        else
            close(fd);
    }
    return NULL;
}

static void peer_start(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof at;
    peer.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(peer.fd, (struct sockaddr *)&at, sizeof at), ==, 0);
    g_assert_cmpint(listen(peer.fd, 64), ==, 0);
    g_assert_cmpint(getsockname(peer.fd, (struct sockaddr *)&at, &n), ==, 0);
    peer.port = ntohs(at.sin_port);
    g_assert_cmpint(pthread_create(&peer.thread, NULL, accept_all, NULL), ==, 0);
}

/* ------------------------------------------------------------------ running hoist */

typedef struct {
    char *dir;
    char **env;
    char *out, *err;
    int status;
} Fixture;

static void setup(Fixture *f, gconstpointer data)
{
    (void)data;
    memset(f, 0, sizeof *f);
    f->dir = g_dir_make_tmp("hoist-cli-XXXXXX", NULL);
    g_autofree char *endpoint = g_strdup_printf("http://127.0.0.1:%u", peer.port);
    static const char *const places[] = { "HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME" };
    static const char *const cleared[] = { "HOIST_TO",   "HOIST_IMAGES", "AWS_PROFILE", "AWS_SESSION_TOKEN",
                                           "http_proxy", "HTTP_PROXY",   "all_proxy",   "ALL_PROXY" };
    f->env = g_get_environ();
    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++)
        f->env = g_environ_setenv(f->env, places[i], f->dir, TRUE);
    for (unsigned i = 0; i < G_N_ELEMENTS(cleared); i++)
        f->env = g_environ_unsetenv(f->env, cleared[i]);
    f->env = g_environ_setenv(f->env, "AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", TRUE);
    f->env = g_environ_setenv(f->env, "AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMIexample", TRUE);
    f->env = g_environ_setenv(f->env, "AWS_REGION", "us-east-1", TRUE);
    f->env = g_environ_setenv(f->env, "AWS_ENDPOINT_URL_S3", endpoint, TRUE);
    f->env = g_environ_setenv(f->env, "LC_ALL", "C.UTF-8", TRUE);
}

static void remove_tree(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    for (const char *name; dir != NULL && (name = g_dir_read_name(dir)) != NULL;) {
        g_autofree char *inner = g_build_filename(path, name, NULL);
        remove_tree(inner);
    }
    if (dir != NULL)
        g_dir_close(dir);
    g_remove(path);
}

static void teardown(Fixture *f, gconstpointer data)
{
    (void)data;
    remove_tree(f->dir);
    g_free(f->dir);
    g_strfreev(f->env);
    g_free(f->out);
    g_free(f->err);
}

static void write_file(Fixture *f, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(f->dir, name, NULL), *parent = g_path_get_dirname(path);
    g_assert_cmpint(g_mkdir_with_parents(parent, 0700), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static char **program(const char *const *args)
{
    GPtrArray *argv = g_ptr_array_new();
    g_ptr_array_add(argv, g_strdup(g_getenv("HOIST_BINARY")));
    for (; *args != NULL; args++)
        g_ptr_array_add(argv, g_strdup(*args));
    g_ptr_array_add(argv, NULL);
    return (char **)g_ptr_array_free(argv, FALSE);
}

static char *text_of(GBytes *bytes)
{
    return g_bytes_get_size(bytes) > 0 ? g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes)) : g_strdup("");
}

static void collect(Fixture *f, GSubprocess *process, const char *input, size_t n)
{
    g_autoptr(GBytes) in = g_bytes_new(input, n);
    g_autoptr(GBytes) out = NULL, err = NULL;
    g_autoptr(GError) error = NULL;
    g_assert_true(g_subprocess_communicate(process, in, NULL, &out, &err, &error));
    g_free(f->out);
    g_free(f->err);
    f->out = text_of(out);
    f->err = text_of(err);
    f->status = g_subprocess_get_if_exited(process) ? g_subprocess_get_exit_status(process) : -1;
    g_test_message("status %d\n%s%s", f->status, f->out, f->err);
}

static GSubprocess *start(Fixture *f, const char *const *args)
{
    g_auto(GStrv) argv = program(args);
    g_autoptr(GError) error = NULL;
    g_autoptr(GSubprocessLauncher) launcher =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
    g_subprocess_launcher_set_environ(launcher, f->env);
    g_subprocess_launcher_set_cwd(launcher, f->dir);
    GSubprocess *process = g_subprocess_launcher_spawnv(launcher, (const char *const *)argv, &error);
    g_assert_no_error(error);
    return process;
}

static void run_input(Fixture *f, const char *input, size_t n, const char *const *args)
{
    g_autoptr(GSubprocess) process = start(f, args);
    collect(f, process, input, n);
}

#define RUN(f, ...) run_input(f, "", 0, (const char *const[]){ __VA_ARGS__, NULL })

static void expect(const Fixture *f, int status, const char *out_has, const char *err_has)
{
    g_assert_cmpint(f->status, ==, status);
    if (out_has != NULL)
        g_assert_nonnull(strstr(f->out, out_has));
    else
        g_assert_cmpstr(f->out, ==, "");
    if (err_has != NULL)
        g_assert_nonnull(strstr(f->err, err_has));
    else
        g_assert_cmpstr(f->err, ==, "");
}

/* ------------------------------------------------------------------ cases */

static void test_usage(Fixture *f, gconstpointer data)
{
    (void)data;
    RUN(f, "--version");
    expect(f, 0, "libcurl", NULL);
    RUN(f, "--help");
    expect(f, 0, "  retry    queue failed files again", NULL);
    static const char *const commands[] = { "up", "queue", "retry", "cancel", "pause", "resume", "forget" };
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        RUN(f, commands[i], "--help");
        g_autofree char *usage = g_strconcat("hoist ", commands[i], " [", NULL);
        expect(f, 0, usage, NULL);
    }
    RUN(f, "x", "--to", "s3://ok/p");
    expect(f, 2, NULL, "hoist up");
    RUN(f, "up", "--jobs", "99", "x");
    expect(f, 2, NULL, "hoist: --jobs: \"99\"");
    RUN(f, "up", "x");
    expect(f, 2, NULL, "--to");
    RUN(f, "up", "--to", "s3://ok/p", "");
    expect(f, 2, NULL, "empty");
    RUN(f, "up", "--json", "--quiet");
    expect(f, 2, NULL, "exclude each other");
    RUN(f, "retry");
    expect(f, 2, NULL, "--all");
    RUN(f, "pause", "one");
    expect(f, 2, NULL, "number");
    RUN(f, "up", "--to", "s3://ok/p", "--log", "/nonexistent/log", "x");
    expect(f, 2, NULL, "/nonexistent/log");
    RUN(f, "queue");
    expect(f, 0, "empty", NULL);
}

static void test_dry_run(Fixture *f, gconstpointer data)
{
    (void)data;
    write_file(f, "in/a b.txt", "12345");
    RUN(f, "up", "--dry-run", "--to", "s3://ok/p", "in");
    expect(f, 0, "-> p/in/a b.txt\n", NULL);
    RUN(f, "up", "--dry-run", "--json", "--to", "s3://ok/p", "in", "gone");
    expect(f, 1, "{\"event\":\"planned\",", NULL);
    RUN(f, "queue");
    expect(f, 0, "empty", NULL);
}

static unsigned count_events(const char *out, const char *event)
{
    g_auto(GStrv) lines = g_strsplit(out, "\n", -1);
    unsigned n = 0;
    for (char **line = lines; *line != NULL; line++) {
        if (**line == '\0')
            continue;
        g_autoptr(JsonNode) node = json_from_string(*line, NULL);
        g_assert_nonnull(node);
        n += g_str_equal(json_object_get_string_member(json_node_get_object(node), "event"), event);
    }
    return n;
}

static void test_up(Fixture *f, gconstpointer data)
{
    (void)data;
    write_file(f, "in/a", "one");
    write_file(f, "in/b c", "two");
    write_file(f, "up", "three");
    g_autofree char *fifo = g_build_filename(f->dir, "in", "fifo", NULL);
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    RUN(f, "up", "--json", "--log", "log", "--to", "s3://ok/p", "in", "./up");
    expect(f, 0, "\"url\":\"http://127.0.0.1", NULL);
    g_assert_cmpuint(count_events(f->out, "queued"), ==, 3);
    g_assert_cmpuint(count_events(f->out, "started"), ==, 3);
    g_assert_cmpuint(count_events(f->out, "done"), ==, 3);
    g_assert_cmpuint(count_events(f->out, "skipped"), ==, 1); /* by rule: no failure */
    g_assert_nonnull(strstr(f->out, "{\"event\":\"summary\",\"done\":3,\"failed\":0,\"skipped\":1,\"bytes\":11,"));
    g_autofree char *log = g_build_filename(f->dir, "log", NULL), *text = NULL;
    struct stat st;
    g_assert_cmpint(stat(log, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 0777, ==, 0600);
    g_assert_true(g_file_get_contents(log, &text, NULL, NULL));
    g_assert_nonnull(strstr(text, " done 3/3 "));
    g_assert_null(strstr(text, "wJalr"));
    RUN(f, "queue", "--state", "done");
    expect(f, 0, "100%  in/b c\n", NULL);
    RUN(f, "up", "--quiet", "--to", "s3://ok/p", "in/a");
    expect(f, 0, NULL, "1 file done");
    RUN(f, "up");
    expect(f, 0, "0 files done", NULL);
    RUN(f, "up", "--plain", "--to", "s3://ok/p", "in/a", "gone");
    expect(f, 1, " skipped ", NULL);
    write_file(f, "kinds/a", "%PDF-1.4");
    write_file(f, "kinds/b", "plain text");
    RUN(f, "up", "--plain", "--types", "text/plain", "--to", "s3://ok/p", "kinds");
    expect(f, 0, "1 file done, 0 failed, 1 skipped", NULL);
    g_assert_nonnull(strstr(f->out, " skipped "));
    g_assert_null(strstr(f->out, "cancelled"));
    RUN(f, "forget", "--state", "done");
    expect(f, 0, "removed from the list", NULL);
}

static void test_standard_input(Fixture *f, gconstpointer data)
{
    (void)data;
    write_file(f, "a\nb", "one");
    write_file(f, "caf\xe9", "two");
    write_file(f, "c", "three");
    run_input(f, "a\nb\0caf\xe9\0", 9, (const char *const[]){ "up", "-0", "--json", "--to", "s3://ok/p", "-", "c", NULL });
    expect(f, 0, "\"path_b64\"", NULL);
    g_assert_cmpuint(count_events(f->out, "done"), ==, 3);
    run_input(f, "c\nnone\n", 7, (const char *const[]){ "up", "--to", "s3://ok/q", "-", NULL });
    expect(f, 1, "1 file done, 0 failed, 1 skipped", NULL);
    run_input(f, "", 0, (const char *const[]){ "up", "--to", "s3://ok/q", "-", NULL });
    expect(f, 0, "0 files done", NULL);
}

static void test_refused(Fixture *f, gconstpointer data)
{
    (void)data;
    static const char *const names[] = { "in/1", "in/2", "in/3", "in/4", "in/5" };
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        write_file(f, names[i], names[i]);
    RUN(f, "up", "-j1", "--to", "s3://denied/p", "in");
    expect(f, 1, "refused 3 files in a row", NULL);
    g_assert_nonnull(strstr(f->out, "Grant s3:PutObject"));
    g_assert_null(strchr(f->out, 27));
    RUN(f, "queue", "--state", "failed", "--json");
    expect(f, 0, "\"name\":\"access-denied\"", NULL);
    g_assert_null(strchr(f->out, 27));
    RUN(f, "pause", "--state", "queued");
    expect(f, 0, "2 files paused", NULL);
    RUN(f, "resume", "--all");
    expect(f, 0, "2 files resumed", NULL);
    RUN(f, "retry", "--all");
    expect(f, 0, "3 files queued again", NULL);
    RUN(f, "cancel", "1", "2");
    expect(f, 0, "2 files cancelled", NULL);
    RUN(f, "cancel", "1");
    expect(f, 1, "0 files cancelled", "hoist queue");
    RUN(f, "forget", "--state", "cancelled");
    expect(f, 0, "2 files removed", NULL);
    RUN(f, "up", "--quiet");
    expect(f, 1, NULL, "AccessDenied");
}

static void test_no_credentials(Fixture *f, gconstpointer data)
{
    (void)data;
    write_file(f, "a", "one");
    f->env = g_environ_unsetenv(f->env, "AWS_ACCESS_KEY_ID");
    f->env = g_environ_unsetenv(f->env, "AWS_SECRET_ACCESS_KEY");
    f->env = g_environ_setenv(f->env, "AWS_EC2_METADATA_DISABLED", "true", TRUE);
    RUN(f, "up", "--to", "s3://ok/p", "a");
    g_assert_cmpint(f->status, ==, 3);
    g_assert_nonnull(strstr(f->out, "AWS_ACCESS_KEY_ID"));
}

static bool wait_for_state(Fixture *f, const char *state)
{
    for (unsigned tries = 0; tries < 200; tries++) {
        RUN(f, "queue", "--state", state);
        if (strstr(f->out, "NAME") != NULL)
            return true;
        g_usleep(50000);
    }
    return false;
}

static void test_interrupted(Fixture *f, gconstpointer data)
{
    (void)data;
    write_file(f, "a", "one");
    g_autoptr(GSubprocess) process = start(f, (const char *const[]){ "up", "--to", "s3://slow/p", "a", NULL });
    g_assert_true(wait_for_state(f, "queued") || wait_for_state(f, "active"));
    g_subprocess_send_signal(process, SIGINT);
    collect(f, process, "", 0);
    expect(f, 130, "0 files done", "interrupted: run the same command to go on");
    RUN(f, "queue", "--state", "queued");
    expect(f, 0, "  a\n", NULL);
    RUN(f, "cancel", "--all");
    expect(f, 0, "1 file cancelled", NULL);
}

static void test_held_by_another(Fixture *f, gconstpointer data)
{
    (void)data;
    write_file(f, "a", "one");
    write_file(f, "b", "two");
    g_autoptr(GSubprocess) holder = start(f, (const char *const[]){ "up", "--to", "s3://slow/p", "a", NULL });
    g_assert_true(wait_for_state(f, "queued") || wait_for_state(f, "active"));
    RUN(f, "up", "--to", "s3://ok/p", "b");
    expect(f, 0, "handed to it", NULL);
    g_assert_nonnull(strstr(f->out, "1 file done, 0 failed"));
    RUN(f, "up", "--to", "s3://ok/p", "gone");
    expect(f, 1, NULL, "no such file");
    RUN(f, "cancel", "1");
    expect(f, 0, "handed to the hoist", NULL);
    collect(f, holder, "", 0); /* nothing is left for it to do */
    expect(f, 0, "cancelled", NULL);
    RUN(f, "queue");
    g_assert_nonnull(strstr(f->out, "cancelled"));
    g_assert_nonnull(strstr(f->out, "done"));
}

static void test_broken_output(Fixture *f, gconstpointer data)
{
    (void)data;
    write_file(f, "a", "one");
    g_autofree char *command = g_strdup_printf("'%s' up --json --to s3://ok/p a >/dev/full", g_getenv("HOIST_BINARY"));
    g_autoptr(GSubprocessLauncher) launcher =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE | G_SUBPROCESS_FLAGS_STDIN_PIPE);
    g_subprocess_launcher_set_environ(launcher, f->env);
    g_subprocess_launcher_set_cwd(launcher, f->dir);
    g_autoptr(GSubprocess) process = g_subprocess_launcher_spawn(launcher, NULL, "sh", "-c", command, NULL);
    collect(f, process, "", 0);
    g_assert_cmpint(f->status, ==, 1);
    RUN(f, "queue");
    expect(f, 0, "done", NULL); /* sent all the same */
}

#define ADD(path, fn) g_test_add(path, Fixture, NULL, setup, fn, teardown)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (g_getenv("HOIST_BINARY") == NULL) {
        g_test_message("HOIST_BINARY is not set: it names the program");
        return 1;
    }
    peer_start();
    ADD("/cli/usage", test_usage);
    ADD("/cli/dry-run", test_dry_run);
    ADD("/cli/up", test_up);
    ADD("/cli/standard-input", test_standard_input);
    ADD("/cli/refused", test_refused);
    ADD("/cli/no-credentials", test_no_credentials);
    ADD("/cli/interrupted", test_interrupted);
    ADD("/cli/held-by-another", test_held_by_another);
    ADD("/cli/broken-output", test_broken_output);
    return g_test_run();
}
