#define _GNU_SOURCE
#include "clinux_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#pragma GCC visibility push(default)

int mlos_linux_terminal_columns(int fd) {
  struct winsize size;
  return ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/* Everything from MIN up, but for one. close_range(2) is Linux 5.9; older kernels get the loop. */
static void close_from(int min, int keep) {
  if (keep > min) {
    if (syscall(SYS_close_range, min, keep - 1, 0) == 0 && syscall(SYS_close_range, keep + 1, ~0U, 0) == 0)
      return;
  } else if (syscall(SYS_close_range, min, ~0U, 0) == 0) {
    return;
  }
  long limit = sysconf(_SC_OPEN_MAX);
  for (int fd = min; fd < limit; fd++)
    if (fd != keep)
      close(fd);
}

/* Runs in the grandchild; only async-signal-safe calls. Returns errno, or not at all. */
static int become(const char *path, char *const *argv, char *const *envp, int log_fd, int ready_fd, int *failure_fd) {
  /* Descriptors that stand where the standard ones go are moved out of the way first. */
  int log = fcntl(log_fd, F_DUPFD_CLOEXEC, 10);
  int ready = fcntl(ready_fd, F_DUPFD_CLOEXEC, 10);
  int failure = fcntl(*failure_fd, F_DUPFD_CLOEXEC, 10);
  if (log < 0 || ready < 0 || failure < 0)
    return errno;
  *failure_fd = failure;
  int opened = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (opened < 0)
    return errno;
  int null = fcntl(opened, F_DUPFD_CLOEXEC, 10);
  if (null < 0)
    return errno;
  if (dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(log, 2) < 0 || dup2(ready, 3) < 0)
    return errno;
  close_from(4, failure);

  struct sigaction standard = {.sa_handler = SIG_DFL};
  for (int signal = 1; signal < NSIG; signal++)
    sigaction(signal, &standard, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, 0);
  if (chdir("/") != 0)
    return errno;
  execve(path, argv, envp);
  return errno;
}

int mlos_linux_spawn_detached(const char *path, char *const *argv, char *const *envp, int log_fd, int ready_fd) {
  int failure[2];
  if (pipe2(failure, O_CLOEXEC) != 0)
    return errno;
  pid_t child = fork();
  if (child < 0) {
    int error = errno;
    close(failure[0]);
    close(failure[1]);
    return error;
  }
  if (child == 0) {
    setsid();
    pid_t grandchild = fork();
    if (grandchild > 0)
      _exit(0);
    int error = errno;
    int failure_fd = failure[1];
    if (grandchild == 0)
      error = become(path, argv, envp, log_fd, ready_fd, &failure_fd);
    ssize_t written = write(failure_fd, &error, sizeof error);
    _exit(written == sizeof error ? 126 : 125);
  }
  close(failure[1]);
  while (waitpid(child, 0, 0) < 0 && errno == EINTR) {
  }
  int error = 0;
  ssize_t count;
  while ((count = read(failure[0], &error, sizeof error)) < 0 && errno == EINTR) {
  }
  close(failure[0]);
  return count == sizeof error ? error : 0;
}

struct lock_wait {
  int lock, told, error;
};

/* flock(2) knows no time limit and poll(2) no locks: a thread waits for the one, its caller for a pipe. */
static void *await_lock(void *context) {
  struct lock_wait *wait = context;
  int result;
  do
    result = flock(wait->lock, LOCK_EX);
  while (result != 0 && errno == EINTR);
  wait->error = result == 0 ? 0 : errno;
  ssize_t written = write(wait->told, "", 1);
  (void)written;
  return NULL;
}

int mlos_linux_lock_within(int fd, int milliseconds) {
  if (flock(fd, LOCK_EX | LOCK_NB) == 0)
    return 0;
  if (errno != EWOULDBLOCK && errno != EINTR)
    return errno;
  int told[2];
  if (pipe2(told, O_CLOEXEC) != 0)
    return errno;
  struct lock_wait *wait = malloc(sizeof *wait);
  int error = wait == NULL ? ENOMEM : 0;
  if (error == 0) {
    /* The same open file description, and so the same lock, whatever the caller does to fd. */
    *wait = (struct lock_wait){.lock = fcntl(fd, F_DUPFD_CLOEXEC, 3), .told = told[1]};
    error = wait->lock < 0 ? errno : 0;
  }
  pthread_t thread;
  if (error == 0)
    error = pthread_create(&thread, NULL, await_lock, wait);
  if (error == 0) {
    struct pollfd state = {.fd = told[0], .events = POLLIN};
    int ready;
    do
      ready = poll(&state, 1, milliseconds);
    while (ready < 0 && errno == EINTR);
    if (ready <= 0) {
      /* The pipe stays whole: the thread may write yet. */
      pthread_detach(thread);
      return ETIMEDOUT;
    }
    pthread_join(thread, NULL);
    error = wait->error;
  }
  if (wait != NULL && wait->lock >= 0)
    close(wait->lock);
  free(wait);
  close(told[0]);
  close(told[1]);
  return error;
}

int mlos_linux_open_standard_descriptors(void) {
  int closed = 0;
  for (int fd = 0; fd <= 2; fd++) {
    if (fcntl(fd, F_GETFD) >= 0)
      continue;
    /* The lowest free number: this one, for those below are open. */
    if (open("/dev/null", O_RDWR | O_CLOEXEC) != fd)
      return -1;
    closed |= 1 << fd;
  }
  return closed;
}

#pragma GCC visibility pop
