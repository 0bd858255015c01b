#define _GNU_SOURCE
#include "clinux_host.h"

#include <fcntl.h>
#include <gnu/libc-version.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Numbers are the same on x86-64 and arm64; headers of the oldest supported C library lack them. */
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#endif
#ifndef PR_GET_MEMORY_MERGE
#define PR_GET_MEMORY_MERGE 68
#endif
#define LANDLOCK_VERSION_FLAG 1u

_Static_assert((int)O_DIRECT == (int)MLOS_LINUX_O_DIRECT, "O_DIRECT differs on this architecture");
_Static_assert((int)O_PATH == (int)MLOS_LINUX_O_PATH, "O_PATH differs on this architecture");

/* As <linux/openat2.h>, which the oldest supported headers lack. */
struct open_how_v0 {
  uint64_t flags;
  uint64_t mode;
  uint64_t resolve;
};
_Static_assert(sizeof(struct open_how_v0) == 24, "OPEN_HOW_SIZE_VER0");

#pragma GCC visibility push(default)
int mlos_linux_openat2(int directory, const char *path, uint64_t flags, uint64_t resolve) {
  struct open_how_v0 how = {.flags = flags, .mode = 0, .resolve = resolve};
  return (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
}

ssize_t mlos_linux_process_madvise(int pidfd, const struct iovec *ranges, size_t count, int advice) {
  return (ssize_t)syscall(SYS_process_madvise, pidfd, ranges, count, advice, 0u);
}

int mlos_linux_memory_merge(void) {
  return prctl(PR_GET_MEMORY_MERGE, 0L, 0L, 0L, 0L);
}

int mlos_linux_seccomp_mode(void) {
  return prctl(PR_GET_SECCOMP, 0L, 0L, 0L, 0L);
}

int mlos_linux_landlock_version(void) {
  return (int)syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_VERSION_FLAG);
}

const char *mlos_linux_libc_version(void) {
  return gnu_get_libc_version();
}
uint32_t mlos_linux_file_system(int descriptor) {
  struct statfs status;
  return fstatfs(descriptor, &status) == 0 ? (uint32_t)status.f_type : 0;
}
#pragma GCC visibility pop
