/* Preloaded into a process: the n-th call that changes the disk under one folder is refused. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static char under[PATH_MAX];
static long at, seen, refused;
static int code, stuck;

/* Refuse call `n` under `folder` with `error`, and with `stays` all that follow; 0: none. */
void faults_at(const char *folder, long n, int error, int stays) {
    snprintf(under, sizeof under, "%s", folder);
    at = n, code = error, stuck = stays, seen = refused = 0;
}

long faults_seen(void) { return seen; }
long faults_refused(void) { return refused; }

static int refuses(const char *path) {
    size_t n = strlen(under);
    if (n == 0 || path == NULL || strncmp(path, under, n) || (path[n] && path[n] != '/')) return 0;
    seen++;
    if (at == 0 || (stuck ? seen < at : seen != at)) return 0;
    refused++;
    errno = code;
    return 1;
}

static int refuses_fd(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = under[0] ? readlink(link, path, sizeof path - 1) : -1;
    if (n < 0) return 0;
    path[n] = 0;
    return refuses(path);
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *data, size_t n) {
    REAL(write);
    return refuses_fd(fd) ? -1 : real(fd, data, n);
}

int fsync(int fd) {
    REAL(fsync);
    return refuses_fd(fd) ? -1 : real(fd);
}

int rename(const char *old, const char *new) {
    REAL(rename);
    return refuses(new) ? -1 : real(old, new);
}

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    return refuses(path) ? -1 : real(path, mode);
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        int mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, int) : 0; \
        va_end(rest); \
        return flags & O_CREAT && refuses(path) ? -1 : real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)
