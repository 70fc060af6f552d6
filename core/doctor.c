#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fault.h"
#include "hoist.h"
#include "imgproc/imgproc.h"
#include "imgworker.h"

enum { STATE_LEAST_BYTES = 64 << 20 }; /* the queue of a million files, and its journal */

typedef struct {
    const HoistSettings *settings;
    HoistChecked each;
    void *ctx;
} Doctor;

/* Takes text. */
static void say(const Doctor *d, const char *name, HoistCheckState state, char *text, const char *remedy)
{
    g_autofree char *owned = text;
    g_autofree char *cure = g_strdup(remedy);
    const HoistCheck check = { .name = name, .state = state, .text = owned, .remedy = cure };
    d->each(&check, d->ctx);
}

/* ------------------------------------------------------------------ files */

/* The configuration as far as it can be read; what is wrong with it is said. Caller frees. */
static HoistSettings *check_config(Doctor *d)
{
    g_autoptr(GError) error = NULL;
    HoistSettings *loaded = hoist_settings_dup(d->settings);
    const char *named = hoist_settings_get(loaded, "config");
    g_autofree char *path = named != NULL ? g_strdup(named) : g_build_filename(g_get_user_config_dir(), HOIST_APP, "config.ini", NULL);
    if (!hoist_settings_load(loaded, named, &error)) {
        say(d, "configuration", HOIST_CHECK_BAD, g_strdup(error->message), hoist_fault_remedy(error));
        hoist_settings_free(loaded);
        return hoist_settings_dup(d->settings);
    }
    const bool there = g_file_test(path, G_FILE_TEST_EXISTS);
    say(d, "configuration", HOIST_CHECK_OK, there ? g_strdup(path) : g_strdup_printf("none (%s would be read)", path), NULL);
    return loaded;
}

/* The folder itself, or the one above it in which it will be made. Caller frees. */
static char *nearest_folder(const char *path)
{
    char *at = g_strdup(path);
    while (!g_file_test(at, G_FILE_TEST_EXISTS)) {
        char *above = g_path_get_dirname(at);
        g_free(at);
        at = above;
    }
    return at;
}

static void check_folder(const Doctor *d, const char *name, const char *path, uint64_t needs_bytes, const char *remedy)
{
    struct statvfs fs;
    g_autofree char *folder = nearest_folder(path);
    const bool there = g_str_equal(folder, path);
    if (access(folder, W_OK | X_OK) != 0 || statvfs(folder, &fs) != 0) {
        say(d, name, HOIST_CHECK_BAD, g_strdup_printf("%s: %s", folder, g_strerror(errno)), remedy);
        return;
    }
    if (!g_file_test(folder, G_FILE_TEST_IS_DIR)) {
        say(d, name, HOIST_CHECK_BAD, g_strdup_printf("%s is no folder", folder), remedy);
        return;
    }
    const uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    g_autofree char *free_text = g_format_size(free_bytes);
    char *text = g_strdup_printf("%s%s, %s free", path, there ? "" : " (made when it is needed)", free_text);
    if (free_bytes >= needs_bytes)
        say(d, name, HOIST_CHECK_OK, text, NULL);
    else
        say(d, name, HOIST_CHECK_WARN, text, "Make room on that disk: hoist waits when there is none.");
}

static void check_folders(const Doctor *d, const HoistSettings *settings)
{
    g_autofree char *state = hoist_state_dir(settings);
    g_autofree char *spool = g_build_filename(g_get_user_cache_dir(), HOIST_APP, "spool", NULL);
    check_folder(d, "state folder", state, STATE_LEAST_BYTES, "Give it to yourself, or name another one (--state DIR).");
    check_folder(d, "spool folder", spool, hoist_settings_number(settings, "spool-size"),
                 "Give it to yourself, or name another one (XDG_CACHE_HOME): pictures are prepared there.");
}

/* ------------------------------------------------------------------ pictures */

/* "jpeg, png, webp" of bits 1u << ImgFormat; *missing_out gets those of wanted that are not among them. Caller frees both. */
static char *list_formats(uint32_t bits, uint32_t wanted, char **missing_out)
{
    static const ImgFormat order[] = { IMG_JPEG, IMG_PNG, IMG_WEBP, IMG_GIF, IMG_TIFF, IMG_HEIC, IMG_AVIF };
    g_autoptr(GString) have = g_string_new(NULL);
    GString *missing = g_string_new(NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(order); i++) {
        const uint32_t bit = 1u << order[i];
        GString *list = (bits & bit) != 0 ? have : (wanted & bit) != 0 ? missing : NULL;
        if (list != NULL)
            g_string_append_printf(list, "%s%s", list->len > 0 ? ", " : "", img_format_name(order[i]));
    }
    *missing_out = g_string_free(missing, FALSE);
    return g_string_free(g_steal_pointer(&have), FALSE);
}

static void check_formats(const Doctor *d, const char *name, uint32_t bits, uint32_t wanted, const char *remedy)
{
    g_autofree char *missing = NULL;
    g_autofree char *have = list_formats(bits, wanted, &missing);
    if (*missing == '\0')
        say(d, name, HOIST_CHECK_OK, g_steal_pointer(&have), NULL);
    else
        say(d, name, HOIST_CHECK_WARN, g_strdup_printf("%s; not %s", have, missing), remedy);
}

static void check_landlock(const Doctor *d, const SandboxFacts *facts)
{
    if (facts->landlock_files)
        say(d, "landlock", HOIST_CHECK_OK,
            g_strdup_printf("ABI %u: no files%s%s", facts->landlock_abi, facts->landlock_net ? ", no network" : "",
                            facts->landlock_scoped ? ", no signals to others" : ""),
            NULL);
    else if (facts->landlock_abi > 0)
        say(d, "landlock", HOIST_CHECK_WARN, g_strdup_printf("ABI %u, but it refused to bind the worker", facts->landlock_abi),
            "The filter of system calls still keeps pictures from files and the network.");
    else
        say(d, "landlock", HOIST_CHECK_WARN, g_strdup("this kernel has none, or has it switched off"),
            "Linux 5.13 or newer, with landlock in its parameter lsm=; the filter of system calls still keeps pictures from files and the "
            "network.");
}

static void check_seccomp(const Doctor *d, const SandboxFacts *facts)
{
    if (facts->seccomp)
        say(d, "seccomp", HOIST_CHECK_OK, g_strdup("system calls are filtered: no files, sockets, programs, processes"), NULL);
    else
        say(d, "seccomp", facts->landlock_files ? HOIST_CHECK_WARN : HOIST_CHECK_BAD, g_strdup("this kernel does not filter system calls"),
            "Use a kernel with CONFIG_SECCOMP_FILTER, or upload pictures of strangers with --images none.");
}

static void check_limits(const Doctor *d, const SandboxFacts *facts)
{
    g_autoptr(GString) have = g_string_new(NULL);
    const bool all = facts->memory_bytes != 0 && facts->output_bytes != 0 && facts->files != 0 && facts->cpu_s != 0 && facts->no_core &&
                     facts->no_new_privileges;
    if (facts->memory_bytes != 0)
        g_string_append_printf(have, "%" G_GUINT64_FORMAT " MiB of memory, ", facts->memory_bytes >> 20);
    else
        g_string_append(have, "no limit of memory, ");
    g_string_append(have, facts->cpu_s != 0 ? "CPU time by the picture, " : "no limit of CPU time, ");
    if (facts->output_bytes != 0)
        g_string_append_printf(have, "files of %" G_GUINT64_FORMAT " MiB, ", facts->output_bytes >> 20);
    if (facts->files != 0)
        g_string_append_printf(have, "%u open files, ", facts->files);
    g_string_append(have, facts->no_core ? "no core files" : "core files");
    say(d, "limits", all ? HOIST_CHECK_OK : HOIST_CHECK_WARN, g_strdup(have->str),
        all ? NULL : "A build with sanitizers has no limit of memory; any other one should have all of these.");
}

static void check_worker(const Doctor *d)
{
    const uint32_t common = 1u << IMG_JPEG | 1u << IMG_PNG | 1u << IMG_WEBP | 1u << IMG_GIF;
    g_autoptr(GError) error = NULL;
    g_autofree char *path = imgworker_find(NULL);
    WireHello hello;
    if (!imgworker_hello(path, &hello, &error)) {
        const bool named = strstr(error->message, path) != NULL;
        say(d, "picture worker", HOIST_CHECK_BAD, g_strdup_printf("%s%s%s", named ? "" : path, named ? "" : ": ", error->message),
            "Install hoist-imgproc of the same version where hoist looks for it (HOIST_IMGPROC=PATH); --images none uploads without it.");
        return;
    }
    say(d, "picture worker", HOIST_CHECK_OK, g_strdup_printf("%s, libvips %s", path, hello.library), NULL);
    check_formats(
        d, "reads", hello.reads, common | 1u << IMG_TIFF | 1u << IMG_HEIC | 1u << IMG_AVIF,
        "Pictures of that kind are uploaded as they are; libvips's module for them (libvips and libheif of the distribution) reads them.");
    check_formats(d, "writes", hello.writes, common | 1u << IMG_AVIF, "Choose another format, or install libvips with its encoder.");
    check_landlock(d, &hello.sandbox);
    check_seccomp(d, &hello.sandbox);
    check_limits(d, &hello.sandbox);
}

void hoist_doctor(const HoistSettings *settings, HoistChecked each, void *ctx)
{
    Doctor d = { settings, each, ctx };
    say(&d, "hoist", HOIST_CHECK_OK, hoist_versions(), NULL);
    g_autoptr(HoistSettings) loaded = check_config(&d);
    check_folders(&d, loaded);
    check_worker(&d);
}
