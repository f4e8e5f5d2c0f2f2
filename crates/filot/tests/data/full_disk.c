/*
 * A disk that is full, or read-only, from a chosen write on, until it is not any longer. Preloaded into a process, it
 * lets every write to files below DISK_FOLDER pass that comes before the chosen one; that one is torn, as the last write
 * to a full disk is, and those after it fail. The test and the process share DISK_CONTROL.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* As `Disk` in tests/it/support/disk.rs writes and reads it. */
struct control {
    int64_t error;   /* what writes fail with; 0: the disk is well */
    int64_t limit;   /* writes that pass before the first failure */
    int64_t writes;  /* writes since the error was set */
    int64_t refused; /* of them, those that failed */
};

static struct control *control;
static const char *folder;
static size_t folder_length;

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("DISK_CONTROL");
    folder = getenv("DISK_FOLDER");
    if (!path || !folder) return;
    folder_length = strlen(folder);
    int fd = (int)open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) abort();
    void *page = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (page == MAP_FAILED) abort();
    control = page;
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int on_disk(const char *path) {
    return control && path && strncmp(path, folder, folder_length) == 0;
}

static int fd_on_disk(int fd) {
    char link[64], path[PATH_MAX];
    if (!control || !__atomic_load_n(&control->error, __ATOMIC_ACQUIRE)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return on_disk(path);
}

enum verdict { PASS, TEAR, FAIL };

/* Counts one write to the disk and says what becomes of it. */
static enum verdict judge(void) {
    int64_t error = __atomic_load_n(&control->error, __ATOMIC_ACQUIRE);
    if (!error) return PASS;
    int64_t nth = __atomic_fetch_add(&control->writes, 1, __ATOMIC_ACQ_REL);
    int64_t limit = __atomic_load_n(&control->limit, __ATOMIC_ACQUIRE);
    if (nth < limit) return PASS;
    __atomic_fetch_add(&control->refused, 1, __ATOMIC_ACQ_REL);
    errno = (int)error;
    return nth == limit && error == ENOSPC ? TEAR : FAIL;
}

#define WRITE(fd, length, whole, half) \
    do { \
        if (!fd_on_disk(fd)) return whole; \
        switch (judge()) { \
        case PASS: return whole; \
        case TEAR: if ((length) > 1) return half; /* fall through */ \
        default: errno = (int)control->error ? (int)control->error : ENOSPC; return -1; \
        } \
    } while (0)

ssize_t write(int fd, const void *bytes, size_t length) {
    REAL(write);
    WRITE(fd, length, real(fd, bytes, length), real(fd, bytes, length / 2));
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    REAL(pwrite);
    WRITE(fd, length, real(fd, bytes, length, at), real(fd, bytes, length / 2, at));
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    REAL(pwrite64);
    WRITE(fd, length, real(fd, bytes, length, at), real(fd, bytes, length / 2, at));
}

/* Of gathered writes the torn one writes its first piece. */
ssize_t writev(int fd, const struct iovec *pieces, int count) {
    REAL(writev);
    WRITE(fd, count, real(fd, pieces, count), real(fd, pieces, 1));
}

ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t at) {
    REAL(pwritev);
    WRITE(fd, count, real(fd, pieces, count, at), real(fd, pieces, 1, at));
}

ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off64_t at) {
    REAL(pwritev64);
    WRITE(fd, count, real(fd, pieces, count, at), real(fd, pieces, 1, at));
}

/* What takes room without writing: nothing of it is done in halves. */
#define TAKE(condition, whole, failure) \
    do { \
        if (!(condition) || judge() == PASS) return whole; \
        errno = (int)control->error ? (int)control->error : ENOSPC; \
        return failure; \
    } while (0)

static int grows(int fd, off64_t length) {
    struct stat64 now;
    return fstat64(fd, &now) == 0 && length > now.st_size && fd_on_disk(fd);
}

int ftruncate(int fd, off_t length) {
    REAL(ftruncate);
    TAKE(grows(fd, length), real(fd, length), -1);
}

int ftruncate64(int fd, off64_t length) {
    REAL(ftruncate64);
    TAKE(grows(fd, length), real(fd, length), -1);
}

int fallocate(int fd, int mode, off_t at, off_t length) {
    REAL(fallocate);
    TAKE(fd_on_disk(fd), real(fd, mode, at, length), -1);
}

int fallocate64(int fd, int mode, off64_t at, off64_t length) {
    REAL(fallocate64);
    TAKE(fd_on_disk(fd), real(fd, mode, at, length), -1);
}

int posix_fallocate(int fd, off_t at, off_t length) {
    REAL(posix_fallocate);
    TAKE(fd_on_disk(fd), real(fd, at, length), errno);
}

int posix_fallocate64(int fd, off64_t at, off64_t length) {
    REAL(posix_fallocate64);
    TAKE(fd_on_disk(fd), real(fd, at, length), errno);
}

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    TAKE(on_disk(path), real(path, mode), -1);
}

int rename(const char *from, const char *to) {
    REAL(rename);
    TAKE(on_disk(to), real(from, to), -1);
}

int link(const char *from, const char *to) {
    REAL(link);
    TAKE(on_disk(to), real(from, to), -1);
}

int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    REAL(linkat);
    TAKE(on_disk(to), real(from_at, from, to_at, to, flags), -1);
}

/* A new file takes an entry in its folder. */
static int is_new(const char *path, int flags) {
    return (flags & O_CREAT) && on_disk(path) && access(path, F_OK) != 0;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) {
    REAL(open);
    MODE(flags)
    TAKE(is_new(path, flags), real(path, flags, mode), -1);
}

int open64(const char *path, int flags, ...) {
    REAL(open64);
    MODE(flags)
    TAKE(is_new(path, flags), real(path, flags, mode), -1);
}

int openat(int at, const char *path, int flags, ...) {
    REAL(openat);
    MODE(flags)
    TAKE(is_new(path, flags), real(at, path, flags, mode), -1);
}

int openat64(int at, const char *path, int flags, ...) {
    REAL(openat64);
    MODE(flags)
    TAKE(is_new(path, flags), real(at, path, flags, mode), -1);
}

/* A full disk says so. */
int statvfs(const char *path, struct statvfs *about) {
    REAL(statvfs);
    int done = real(path, about);
    if (done == 0 && on_disk(path) && __atomic_load_n(&control->error, __ATOMIC_ACQUIRE) == ENOSPC) about->f_bavail = 0;
    return done;
}
