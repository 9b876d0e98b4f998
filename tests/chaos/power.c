/* Preloaded into an engine and its shims: notes what is written, named and synced, each when it has succeeded, in that order.
 * Lines appended to $QD_SYNC_LEDGER, paths absolute, bytes in hexadecimal:
 *   S SIZE PATH        file or directory synced        R FROM<TAB>TO     renamed
 *   M PATH             directory made                  U PATH            file removed
 *   O PATH             file made                       L SIZE PATH       length set
 *   W OFFSET BYTES PATH                                bytes written
 * S and R are noted for every path; the others only below runs/ of a state directory, and bytes only of attempts, or the ledger
 * would hold the whole disk. The harness then plays power cuts: what was not synced may be forgotten. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* Not through open and write: those are ours. */
static void note(const char *line, long length) {
  const char *path = getenv("QD_SYNC_LEDGER");
  if (!path || length <= 0) return;
  int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return;
  if (syscall(SYS_write, fd, line, (size_t)length) != length) { /* a ledger that cannot be written makes the cut harsher, never milder */
  }
  syscall(SYS_close, fd);
}

static int in_runs(const char *path) { return path && path[0] == '/' && strstr(path, "/runs") != NULL; }
static int in_attempt(const char *path) { return path && path[0] == '/' && strstr(path, "/attempts/") != NULL; }

static int name_of(int fd, char path[PATH_MAX]) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, PATH_MAX - 1);
  if (n <= 0) return 0;
  path[n] = 0;
  return 1;
}

static void synced(int fd) {
  char path[PATH_MAX], line[PATH_MAX + 64];
  struct stat st;
  if (!name_of(fd, path) || fstat(fd, &st) != 0) return;
  note(line, snprintf(line, sizeof line, "S %lld %s\n", (long long)st.st_size, path));
}

static void one(char what, const char *path) {
  char line[PATH_MAX + 8];
  if (in_runs(path)) note(line, snprintf(line, sizeof line, "%c %s\n", what, path));
}

static void sized(int fd, long long size) {
  char path[PATH_MAX], line[PATH_MAX + 64];
  if (name_of(fd, path) && in_attempt(path)) note(line, snprintf(line, sizeof line, "L %lld %s\n", size, path));
}

static void written(int fd, const unsigned char *bytes, ssize_t n, long long offset) {
  char path[PATH_MAX];
  if (n <= 0 || !name_of(fd, path) || !in_attempt(path)) return;
  char *line = malloc((size_t)n * 2 + PATH_MAX + 64);
  if (!line) return;
  long length = sprintf(line, "W %lld ", offset);
  for (ssize_t i = 0; i < n; i++) length += sprintf(line + length, "%02x", bytes[i]);
  length += sprintf(line + length, " %s\n", path);
  note(line, length);
  free(line);
}

int fsync(int fd) {
  REAL(fsync);
  int r = real(fd);
  if (r == 0) synced(fd);
  return r;
}

int fdatasync(int fd) {
  REAL(fdatasync);
  int r = real(fd);
  if (r == 0) synced(fd);
  return r;
}

int rename(const char *from, const char *to) {
  REAL(rename);
  int r = real(from, to);
  if (r == 0) {
    char line[2 * PATH_MAX + 8];
    note(line, snprintf(line, sizeof line, "R %s\t%s\n", from, to));
  }
  return r;
}

int unlink(const char *path) {
  REAL(unlink);
  int r = real(path);
  if (r == 0) one('U', path);
  return r;
}

int mkdir(const char *path, mode_t mode) {
  REAL(mkdir);
  int r = real(path, mode);
  if (r == 0) one('M', path);
  return r;
}

static void opened(int fd, const char *path, int flags, int was_there) {
  if (fd < 0 || !in_attempt(path)) return;
  if ((flags & O_CREAT) && !was_there) one('O', path);
  if ((flags & O_TRUNC) && was_there) sized(fd, 0);
}

static int there(const char *path, int flags) {
  return (flags & (O_CREAT | O_TRUNC)) && in_attempt(path) && syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0;
}

#define OPEN(name)                                    \
  int name(const char *path, int flags, ...) {        \
    REAL(name);                                       \
    va_list rest;                                     \
    va_start(rest, flags);                            \
    mode_t mode = (mode_t)va_arg(rest, unsigned int); \
    va_end(rest);                                     \
    int was = there(path, flags);                     \
    int fd = real(path, flags, mode);                 \
    opened(fd, path, flags, was);                     \
    return fd;                                        \
  }
OPEN(open)
OPEN(open64)

ssize_t write(int fd, const void *bytes, size_t n) {
  REAL(write);
  ssize_t r = real(fd, bytes, n);
  if (r > 0) {
    long long at = lseek(fd, 0, SEEK_CUR);
    if (at >= r) written(fd, bytes, r, at - r);
  }
  return r;
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t offset) {
  REAL(pwrite64);
  ssize_t r = real(fd, bytes, n, offset);
  written(fd, bytes, r, offset);
  return r;
}

int ftruncate64(int fd, off64_t size) {
  REAL(ftruncate64);
  int r = real(fd, size);
  if (r == 0) sized(fd, size);
  return r;
}
