/* exec* and posix_spawn*: an event, and the environment if the agent would get lost (exec_environment.c). vfork-safe. */
#include "agent.h"
#include "exec_environment.h"
#include "hooks.h"
#include "sys.h"
#include <errno.h>
#include <stdarg.h>

#include "rare.h"

extern char **environ;

static void note_exec(const char *path, int64_t child) {
  int saved_errno = errno;
  mlos_start();
  /* A vfork child calls with its parent's memory. */
  if (child == 0 && !atomic_load_explicit(&mlos_agent.frozen, memory_order_relaxed)) {
    long self = mlos_sys(SYS_getpid, 0, 0, 0, 0);
    child = self == mlos_agent.pid ? 0 : self;
  }
  uint32_t mode = mlos_mode();
  /* A forked child that only execs gets no segment for it. */
  bool own = (mode == MLOS_MODE_COUNTING || mode == MLOS_MODE_LOADER_ONLY) && !mlos_thread.forking;
  if (own && mlos_agent.started) {
    __atomic_fetch_add(&mlos_agent.header->execs, 1, __ATOMIC_RELAXED);
    mlos_event(MLOS_EVENT_EXEC, 0, child, path);
  }
  errno = saved_errno;
}

/* Declares `environment`: envp itself, or a composed copy in this frame. The arrays are never empty: a length of 0 is
   undefined. */
#define COMPOSED(envp)                                                                                                           \
  struct mlos_exec_sizes sizes = mlos_exec_measure(envp);                                                                        \
  char *pointers[sizes.pointers + 1];                                                                                            \
  char bytes[sizes.bytes + 1];                                                                                                   \
  char *const *environment = envp;                                                                                               \
  if (sizes.pointers) {                                                                                                          \
    mlos_exec_compose(envp, pointers, bytes);                                                                                    \
    environment = pointers;                                                                                                      \
  }

int mlos_hook_execve(const char *path, char *const argv[], char *const envp[]) {
  note_exec(path, 0);
  COMPOSED(envp)
  return mlos_real.execve(path, argv, environment);
}

int mlos_hook_execv(const char *path, char *const argv[]) {
  note_exec(path, 0);
  COMPOSED(environ)
  return mlos_real.execve(path, argv, environment);
}

int mlos_hook_execvp(const char *file, char *const argv[]) {
  note_exec(file, 0);
  COMPOSED(environ)
  return mlos_real.execvpe(file, argv, environment);
}

int mlos_hook_execvpe(const char *file, char *const argv[], char *const envp[]) {
  note_exec(file, 0);
  COMPOSED(envp)
  return mlos_real.execvpe(file, argv, environment);
}

/* Counts the arguments after the first; a list ends with NULL. */
static size_t count_arguments(va_list list) {
  size_t count = 0;
  while (va_arg(list, char *))
    count++;
  return count;
}

#define COLLECT(argument)                                                                                                        \
  va_list list, again;                                                                                                           \
  va_start(list, argument);                                                                                                      \
  va_copy(again, list);                                                                                                          \
  size_t count = argument ? count_arguments(again) : 0;                                                                          \
  va_end(again);                                                                                                                 \
  char *argv[count + 2];                                                                                                         \
  argv[0] = (char *)(uintptr_t)argument;                                                                                         \
  for (size_t i = 1; argument && i <= count + 1; i++)                                                                            \
    argv[i] = va_arg(list, char *);

int mlos_hook_execl(const char *path, const char *argument, ...) {
  COLLECT(argument)
  va_end(list);
  return mlos_hook_execv(path, argv);
}

int mlos_hook_execlp(const char *file, const char *argument, ...) {
  COLLECT(argument)
  va_end(list);
  return mlos_hook_execvp(file, argv);
}

int mlos_hook_execle(const char *path, const char *argument, ...) {
  COLLECT(argument)
  char *const *envp = va_arg(list, char *const *);
  va_end(list);
  return mlos_hook_execve(path, argv, envp);
}

int mlos_hook_fexecve(int descriptor, char *const argv[], char *const envp[]) {
  note_exec("(descriptor)", 0);
  COMPOSED(envp)
  return mlos_real.fexecve(descriptor, argv, environment);
}

int mlos_hook_execveat(int directory, const char *path, char *const argv[], char *const envp[], int flags) {
  note_exec(path, 0);
  COMPOSED(envp)
  if (!mlos_real.execveat) {
    errno = ENOSYS;
    return -1;
  }
  return mlos_real.execveat(directory, path, argv, environment, flags);
}

int mlos_hook_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                          const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]) {
  mlos_start();
  COMPOSED(envp)
  pid_t child = 0;
  int error = mlos_real.posix_spawn(&child, path, actions, attributes, argv, environment);
  if (pid && error == 0)
    *pid = child;
  if (error == 0)
    note_exec(path, child);
  return error;
}

int mlos_hook_posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                           const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]) {
  mlos_start();
  COMPOSED(envp)
  pid_t child = 0;
  int error = mlos_real.posix_spawnp(&child, file, actions, attributes, argv, environment);
  if (pid && error == 0)
    *pid = child;
  if (error == 0)
    note_exec(file, child);
  return error;
}

#pragma clang attribute pop
