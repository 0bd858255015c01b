/*
 * The one list of what the agent interposes. Declarations, the table of real functions and the export check of
 * tools/check-agent are all derived from it.
 *
 * X(name, result, arguments). Functions that are variadic in the C library and whose arguments are only passed on are
 * written with the fixed registers they can occupy, so that the hook can end in a jump.
 */
#ifndef MLOS_HOOKS_H
#define MLOS_HOOKS_H

#include "private.h"
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MLOS_HOOKS_ALLOC(X)                                                                                                      \
  X(malloc, void *, (size_t size))                                                                                               \
  X(free, void, (void *memory))                                                                                                  \
  X(calloc, void *, (size_t count, size_t size))                                                                                 \
  X(realloc, void *, (void *memory, size_t size))                                                                                \
  X(reallocarray, void *, (void *memory, size_t count, size_t size))                                                             \
  X(memalign, void *, (size_t alignment, size_t size))                                                                           \
  X(aligned_alloc, void *, (size_t alignment, size_t size))                                                                      \
  X(posix_memalign, int, (void **result, size_t alignment, size_t size))                                                         \
  X(valloc, void *, (size_t size))                                                                                               \
  X(pvalloc, void *, (size_t size))                                                                                              \
  X(free_sized, void, (void *memory, size_t size))                                                                               \
  X(free_aligned_sized, void, (void *memory, size_t alignment, size_t size))                                                     \
  X(malloc_usable_size, size_t, (void *memory))

/* operator new and delete, for allocators that define them (hooks_operators.c). All are written with the registers that the
   longest of them takes, so that one function serves each side. Their versions in exports.map are libstdc++'s. */
#define MLOS_HOOKS_NEW(X)                                                                                                        \
  X(_Znwm, void *, (size_t size, uintptr_t a, uintptr_t b))                                                                      \
  X(_Znam, void *, (size_t size, uintptr_t a, uintptr_t b))                                                                      \
  X(_ZnwmRKSt9nothrow_t, void *, (size_t size, uintptr_t a, uintptr_t b))                                                        \
  X(_ZnamRKSt9nothrow_t, void *, (size_t size, uintptr_t a, uintptr_t b))                                                        \
  X(_ZnwmSt11align_val_t, void *, (size_t size, uintptr_t a, uintptr_t b))                                                       \
  X(_ZnamSt11align_val_t, void *, (size_t size, uintptr_t a, uintptr_t b))                                                       \
  X(_ZnwmSt11align_val_tRKSt9nothrow_t, void *, (size_t size, uintptr_t a, uintptr_t b))                                         \
  X(_ZnamSt11align_val_tRKSt9nothrow_t, void *, (size_t size, uintptr_t a, uintptr_t b))

#define MLOS_HOOKS_DELETE(X)                                                                                                     \
  X(_ZdlPv, void, (void *memory, uintptr_t a, uintptr_t b))                                                                      \
  X(_ZdaPv, void, (void *memory, uintptr_t a, uintptr_t b))                                                                      \
  X(_ZdlPvm, void, (void *memory, uintptr_t a, uintptr_t b))                                                                     \
  X(_ZdaPvm, void, (void *memory, uintptr_t a, uintptr_t b))                                                                     \
  X(_ZdlPvRKSt9nothrow_t, void, (void *memory, uintptr_t a, uintptr_t b))                                                        \
  X(_ZdaPvRKSt9nothrow_t, void, (void *memory, uintptr_t a, uintptr_t b))                                                        \
  X(_ZdlPvSt11align_val_t, void, (void *memory, uintptr_t a, uintptr_t b))                                                       \
  X(_ZdaPvSt11align_val_t, void, (void *memory, uintptr_t a, uintptr_t b))                                                       \
  X(_ZdlPvmSt11align_val_t, void, (void *memory, uintptr_t a, uintptr_t b))                                                      \
  X(_ZdaPvmSt11align_val_t, void, (void *memory, uintptr_t a, uintptr_t b))                                                      \
  X(_ZdlPvSt11align_val_tRKSt9nothrow_t, void, (void *memory, uintptr_t a, uintptr_t b))                                         \
  X(_ZdaPvSt11align_val_tRKSt9nothrow_t, void, (void *memory, uintptr_t a, uintptr_t b))

#define MLOS_HOOKS_LOADER(X)                                                                                                     \
  X(dlopen, void *, (const char *file, int flags))                                                                               \
  X(dlmopen, void *, (long name_space, const char *file, int flags))                                                             \
  X(dlclose, int, (void *handle))

#define MLOS_HOOKS_PROCESS(X)                                                                                                    \
  X(fork, pid_t, (void))                                                                                                         \
  X(_Fork, pid_t, (void))                                                                                                        \
  X(clone, int, (int (*entry)(void *), void *stack, int flags, void *argument, pid_t *ptid, void *tls, pid_t *ctid))             \
  X(syscall, long, (long number, long a, long b, long c, long d, long e, long f))                                                \
  X(prctl, int, (int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d))                                \
  X(unshare, int, (int flags))                                                                                                   \
  X(setns, int, (int descriptor, int type))                                                                                      \
  X(pthread_exit, void, (void *value))                                                                                           \
  X(thrd_exit, void, (int value))                                                                                                \
  X(execve, int, (const char *path, char *const argv[], char *const envp[]))                                                     \
  X(execv, int, (const char *path, char *const argv[]))                                                                          \
  X(execvp, int, (const char *file, char *const argv[]))                                                                         \
  X(execvpe, int, (const char *file, char *const argv[], char *const envp[]))                                                    \
  X(execl, int, (const char *path, const char *argument, ...))                                                                   \
  X(execlp, int, (const char *file, const char *argument, ...))                                                                  \
  X(execle, int, (const char *path, const char *argument, ...))                                                                  \
  X(fexecve, int, (int descriptor, char *const argv[], char *const envp[]))                                                      \
  X(execveat, int, (int directory, const char *path, char *const argv[], char *const envp[], int flags))                         \
  X(posix_spawn, int,                                                                                                            \
    (pid_t * pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,              \
     char *const argv[], char *const envp[]))                                                                                    \
  X(posix_spawnp, int,                                                                                                           \
    (pid_t * pid, const char *file, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,              \
     char *const argv[], char *const envp[]))

/* gcc's libasan refuses to start when any preloaded object stands before it, unless this function tells it not to look. */
#define MLOS_HOOKS_OPTIONS(X) X(__asan_default_options, const char *, (void))

#define MLOS_HOOKS(X)                                                                                                            \
  MLOS_HOOKS_ALLOC(X)                                                                                                            \
  MLOS_HOOKS_NEW(X) MLOS_HOOKS_DELETE(X) MLOS_HOOKS_LOADER(X) MLOS_HOOKS_PROCESS(X) MLOS_HOOKS_OPTIONS(X)

/* The hook mlos_hook_NAME carries the exported name NAME through its assembler label, so no system header's prototype,
   attribute or built-in knowledge of NAME applies to it. */
#define MLOS_DECLARE_HOOK(name, result, arguments)                                                                               \
  typedef result mlos_##name##_function arguments;                                                                               \
  __attribute__((visibility("default"))) result mlos_hook_##name arguments __asm__(#name);
MLOS_HOOKS(MLOS_DECLARE_HOOK)
#undef MLOS_DECLARE_HOOK

/* The functions the hooks stand in front of. NULL: nobody defines it in this process. Written once, at start. */
struct mlos_real {
#define MLOS_REAL_FIELD(name, result, arguments) mlos_##name##_function *name;
  MLOS_HOOKS(MLOS_REAL_FIELD)
#undef MLOS_REAL_FIELD
};
mlos_private extern struct mlos_real mlos_real;

#endif
