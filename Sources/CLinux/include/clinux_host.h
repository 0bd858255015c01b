/* System calls and constants for reading files of other programs and for finding out what the running kernel offers.
   All are thread-safe and async-signal safe except where noted. */
#ifndef CLINUX_HOST_H
#define CLINUX_HOST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Swift does not see _GNU_SOURCE constants of <fcntl.h>. */
enum { MLOS_LINUX_O_PATH = 010000000 };
/// Of open(2), which Swift does not see either: past the page cache.
#if defined(__aarch64__)
enum { MLOS_LINUX_O_DIRECT = 0200000 };
#else
enum { MLOS_LINUX_O_DIRECT = 040000 };
#endif

/* struct open_how's resolve bits, openat2(2). */
enum {
  MLOS_LINUX_RESOLVE_NO_MAGICLINKS = 0x02,
  MLOS_LINUX_RESOLVE_NO_SYMLINKS = 0x04,
  MLOS_LINUX_RESOLVE_BENEATH = 0x08,
  MLOS_LINUX_RESOLVE_IN_ROOT = 0x10
};

/* openat2(2), Linux 5.6. `path` is NUL-terminated and only read. Returns a descriptor the caller closes, or -1 and errno. */
int mlos_linux_openat2(int directory, const char *_Nonnull path, uint64_t flags, uint64_t resolve);

/* process_madvise(2), Linux 5.10. `ranges` is only read and may be NULL when `count` is 0. */
ssize_t mlos_linux_process_madvise(int pidfd, const struct iovec *_Nullable ranges, size_t count, int advice);

/* f_type of fstatfs(2), which Swift does not import; 0 and errno on failure. */
uint32_t mlos_linux_file_system(int descriptor);

/* prctl(PR_GET_MEMORY_MERGE), Linux 6.4: 0 or 1, or -1 and errno (EINVAL: not known to this kernel). */
int mlos_linux_memory_merge(void);

/* prctl(PR_GET_SECCOMP): 0 none, 2 filter, or -1 and errno (EINVAL: kernel built without). */
int mlos_linux_seccomp_mode(void);

/* Version of Landlock's interface (>= 1), or -1 and errno (ENOSYS: not built in, EOPNOTSUPP: switched off at boot). */
int mlos_linux_landlock_version(void);

/* gnu_get_libc_version(3): a string that is never freed. */
const char *_Nonnull mlos_linux_libc_version(void);

#endif
