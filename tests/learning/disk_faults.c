/* A disk that fails, preloaded into a process: what writes is counted from the first folder named *.checkpoint on.
 *
 *     FAULT_AT     the number of the step that fails, from 1; 0 counts alone
 *     FAULT        kill: SIGKILL before the step; or an errno, which the step returns
 *     FAULT_STAYS  set: every later step fails too
 *     FAULT_LOG    file that gets a line per step
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int armed, steps, log_file = -1;

static int number(const char *name) {
  const char *text = getenv(name);
  return text ? atoi(text) : 0;
}

/* Whether this step fails; errno is set then. */
static int fails(const char *what) {
  if (!armed) return 0;
  const int at = number("FAULT_AT"), saved = errno;
  steps++;
  if (log_file < 0 && getenv("FAULT_LOG")) log_file = open(getenv("FAULT_LOG"), O_WRONLY | O_APPEND);
  if (log_file >= 0) dprintf(log_file, "%d %s\n", steps, what);
  errno = saved;
  if (!at || steps < at || (steps > at && !getenv("FAULT_STAYS"))) return 0;
  if (!strcmp(getenv("FAULT"), "kill")) kill(getpid(), SIGKILL);
  errno = number("FAULT");
  return 1;
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

int mkdir(const char *path, mode_t mode) {
  REAL(mkdir);
  if (strstr(path, ".checkpoint")) armed = 1;
  return fails("mkdir") ? -1 : real(path, mode);
}
ssize_t write(int file, const void *bytes, size_t count) {
  REAL(write);
  if (file <= 2 || file == log_file) return real(file, bytes, count); /* our own line, and what the process says */
  return fails("write") ? -1 : real(file, bytes, count);
}
int fsync(int file) {
  REAL(fsync);
  return fails("fsync") ? -1 : real(file);
}
int rename(const char *from, const char *to) {
  REAL(rename);
  return fails("rename") ? -1 : real(from, to);
}
int rmdir(const char *path) {
  REAL(rmdir);
  return fails("rmdir") ? -1 : real(path);
}
int unlinkat(int folder, const char *path, int flags) {
  REAL(unlinkat);
  return fails("unlinkat") ? -1 : real(folder, path, flags);
}
static int opens(const char *path, int flags) {
  (void)path;
  return (flags & O_CREAT) && fails("create");
}
int open64(const char *path, int flags, ...) {
  REAL(open64);
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = va_arg(rest, mode_t);
  va_end(rest);
  return opens(path, flags) ? -1 : real(path, flags, mode);
}
int openat64(int folder, const char *path, int flags, ...) {
  REAL(openat64);
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = va_arg(rest, mode_t);
  va_end(rest);
  return opens(path, flags) ? -1 : real(folder, path, flags, mode);
}
