#define _GNU_SOURCE
#include "clinux_terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#pragma GCC visibility push(default)

int mlos_linux_terminal_size(int fd, int *columns, int *rows) {
  struct winsize size;
  if (ioctl(fd, TIOCGWINSZ, &size) != 0)
    return -1;
  *columns = size.ws_col;
  *rows = size.ws_row;
  return 0;
}

/* Written by the handler, which may run on any thread. */
static atomic_uint_least64_t came;
static int wakeup[2] = {-1, -1};

static void note(int number) {
  int before = errno;
  atomic_fetch_or(&came, UINT64_C(1) << number);
  /* Full is as good as written: there is something to read. */
  ssize_t count = write(wakeup[1], "", 1);
  (void)count;
  errno = before;
}

static int install(int number) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = note;
  sigfillset(&action.sa_mask);
  return sigaction(number, &action, NULL);
}

int mlos_linux_signal_catch(int number) {
  if (wakeup[0] < 0 && pipe2(wakeup, O_CLOEXEC | O_NONBLOCK) != 0)
    return -1;
  struct sigaction present;
  if (sigaction(number, NULL, &present) != 0)
    return -1;
  /* nohup(1), and shells without job control, mean it. */
  if (present.sa_handler != SIG_IGN && install(number) != 0)
    return -1;
  return wakeup[0];
}

uint64_t mlos_linux_signals_take(void) {
  char bytes[256];
  /* Emptied first: a signal that comes now leaves a byte, a bit, or both, and is not lost. */
  while (read(wakeup[0], bytes, sizeof bytes) == (ssize_t)sizeof bytes)
    ;
  return atomic_exchange(&came, 0);
}

uint64_t mlos_linux_signals_waiting(void) {
  return atomic_load(&came);
}

void mlos_linux_signal_default(int number) {
  signal(number, SIG_DFL);
  raise(number);
  install(number);
}

static struct {
  int input, output;
  struct termios modes;
  const char *farewell;
} guarded;
static volatile sig_atomic_t is_guarded;
static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGABRT, SIGSYS};

/* Only async-signal-safe calls. The default action is back when it returns, and the fault happens again. */
static void restore(int number) {
  if (is_guarded) {
    is_guarded = 0;
    tcsetattr(guarded.input, TCSANOW, &guarded.modes);
    ssize_t count = write(guarded.output, guarded.farewell, strlen(guarded.farewell));
    (void)count;
  }
  raise(number);
}

void mlos_linux_terminal_guard(int input, const struct termios *modes, int output, const char *farewell) {
  is_guarded = 0;
  guarded.input = input;
  guarded.output = output;
  guarded.modes = *modes;
  guarded.farewell = farewell;
  is_guarded = 1;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = restore;
  action.sa_flags = SA_RESETHAND | SA_NODEFER;
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
    sigaction(faults[i], &action, NULL);
}

void mlos_linux_terminal_unguard(void) {
  is_guarded = 0;
}
