/* What Swift cannot import from Linux headers: function-like macros, variadic system calls, calls glibc does not wrap. Every
   symbol is prefixed mlos_linux_. Functions return what the call returns and set errno like it; all are thread-safe. */
#ifndef CLINUX_H
#define CLINUX_H

#include <stdint.h>
#include <sys/types.h>

/* pidfd_open(2); -1 and errno on failure. The descriptor is close-on-exec. */
int mlos_linux_pidfd_open(pid_t pid, unsigned int flags);

#endif
