/*
 * Starts the agent from its bundle, in any image: the one file of it that the image's kernel runs
 * as it is. Static, so that it needs nothing of the image.
 *
 * What an image sets in its environment is meant for jobs. Some of it would change the agent
 * (LD_PRELOAD, PYTHONHOME, OPENSSL_CONF, http_proxy, GRPC_*, TZ, ...), and nobody can list all of
 * that. So the agent gets none of it under its name: each variable becomes HODEI_ENV_<name>, and
 * hodei.agent.bundle gives it back to the jobs. HODEI_* are the agent's own and stay as they are.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef PYTHON
#error "define PYTHON, as python3.11"
#endif

#define OWN "HODEI_"
#define RENAMED "HODEI_ENV_"

static const char *const FORCED[] = {
    /* Else Python sets LC_CTYPE for its children (PEP 538), and glibc maps the image's locales. */
    "LC_ALL=C",
    /* Else OpenSSL reads the image's openssl.cnf, which may name libraries to load. */
    "OPENSSL_CONF=/dev/null",
};
enum { FORCED_COUNT = sizeof FORCED / sizeof *FORCED };

static _Noreturn void fail(const char *what) {
    fprintf(stderr, "hodei-agent: %s: %s\n", what, strerror(errno));
    exit(126);
}

static char *join(const char *left, const char *right) {
    char *text = malloc(strlen(left) + strlen(right) + 1);
    if (text == NULL) fail("no memory");
    strcpy(text, left);
    return strcat(text, right);
}

static char *bundle_directory(void) {
    static char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length < 0) fail("cannot tell where it lies: /proc must be mounted");
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    *slash = '\0';
    return path;
}

static char **renamed(char **environment) {
    size_t count = 0;
    while (environment[count] != NULL) count++;
    char **result = malloc((count + FORCED_COUNT + 1) * sizeof *result);
    if (result == NULL) fail("no memory");
    for (size_t i = 0; i < count; i++) {
        int is_own = strncmp(environment[i], OWN, strlen(OWN)) == 0;
        result[i] = is_own ? environment[i] : join(RENAMED, environment[i]);
    }
    for (size_t i = 0; i < FORCED_COUNT; i++) result[count + i] = (char *)FORCED[i];
    result[count + FORCED_COUNT] = NULL;
    return result;
}

int main(int argc, char **argv, char **environment) {
    char *directory = bundle_directory();
    char *loader = join(directory, "/lib/ld.so");
    char *libraries = join(directory, "/lib");
    char *python = join(directory, "/bin/" PYTHON);
    char *boot = join(directory, "/boot.pyc");
    char *const before[] = {
        loader, "--inhibit-cache", "--library-path", libraries, "--argv0", python, python,
        "-I", "-S", "-X", "utf8", boot,
    };
    enum { BEFORE_COUNT = sizeof before / sizeof *before };
    char **arguments = calloc(BEFORE_COUNT + argc + 1, sizeof *arguments);
    if (arguments == NULL) fail("no memory");
    memcpy(arguments, before, sizeof before);
    for (int i = 1; i < argc; i++) arguments[BEFORE_COUNT + i - 1] = argv[i];

    if (getpid() == 1) {
        /* The first process of a container is not reached by a signal that it neither handles nor
         * blocks. These wait for the keeper, which takes them as soon as it is there. */
        sigset_t awaited;
        sigemptyset(&awaited);
        sigaddset(&awaited, SIGTERM);
        sigaddset(&awaited, SIGINT);
        sigaddset(&awaited, SIGHUP);
        sigaddset(&awaited, SIGQUIT);
        sigprocmask(SIG_BLOCK, &awaited, NULL);
    }
    execve(loader, arguments, renamed(environment));
    if (errno == EACCES)
        fail("may not be executed: mount the bundle without noexec, for all to read and execute");
    fail(loader);
}
