/* Preloaded into an engine and its shims: notes every fsync and rename that succeeded, in the order in which they did.
 * Lines appended to $QD_SYNC_LEDGER:  S SIZE PATH (file or directory synced)   R FROM<TAB>TO (renamed).
 * The harness then plays a power cut: what was not synced is forgotten. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void note(const char *line, int length) {
  const char *path = getenv("QD_SYNC_LEDGER");
  if (!path || length <= 0) return;
  int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return;
  if (write(fd, line, (size_t)length) != length) { /* a ledger that cannot be written makes the cut harsher, never milder */
  }
  close(fd);
}

static void synced(int fd) {
  char link[64], path[PATH_MAX], line[PATH_MAX + 64];
  struct stat st;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (n <= 0 || fstat(fd, &st) != 0) return;
  path[n] = 0;
  note(line, snprintf(line, sizeof line, "S %lld %s\n", (long long)st.st_size, path));
}

int fsync(int fd) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  int r = real(fd);
  if (r == 0) synced(fd);
  return r;
}

int fdatasync(int fd) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  int r = real(fd);
  if (r == 0) synced(fd);
  return r;
}

int rename(const char *from, const char *to) {
  int (*real)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
  int r = real(from, to);
  if (r == 0) {
    char line[2 * PATH_MAX + 8];
    note(line, snprintf(line, sizeof line, "R %s\t%s\n", from, to));
  }
  return r;
}
