#define _GNU_SOURCE
#include "clinux.h"

#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

#pragma GCC visibility push(default)
int mlos_linux_pidfd_open(pid_t pid, unsigned int flags) {
  return (int)syscall(SYS_pidfd_open, pid, flags);
}
#pragma GCC visibility pop
