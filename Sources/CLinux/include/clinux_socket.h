/* Unix sockets with descriptors and credentials, and atomic reads of shared memory: cmsg(3) is macros and C11 atomics are not
   importable, so Swift reaches both through these. Functions return what the call returns and set errno; thread-safe. */
#ifndef CLINUX_SOCKET_H
#define CLINUX_SOCKET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/types.h>

/* bind(2) to a path of at most 107 bytes; -1 with ENAMETOOLONG for a longer one. */
int mlos_linux_bind_unix(int socket, const char *path);

/* accept4(2) with SOCK_CLOEXEC | SOCK_NONBLOCK, EINTR retried. */
int mlos_linux_accept(int listener);
/* pthread_setname_np(3) of the calling thread; at most 15 bytes. */
void mlos_linux_name_thread(const char *name);

/* One packet with at most `capacity` descriptors, all close-on-exec; the rest of what the peer sent is closed by the kernel or
   here. Returns the packet's bytes, 0 at the end, -1 and errno. *truncated is set when packet or descriptors did not fit:
   descriptors that did arrive are then returned all the same and are the caller's to close. */
ssize_t mlos_linux_receive(int socket, void *buffer, size_t size, int *descriptors, int capacity, int *received, int *truncated);

/* SO_PEERCRED: who called connect(2), by the kernel's word. */
int mlos_linux_peer_credentials(int socket, pid_t *pid, uid_t *user, gid_t *group);
/* SO_PEERPIDFD (Linux 6.5): a pidfd that cannot name another process; -1 with ENOPROTOOPT on older kernels. */
int mlos_linux_peer_pidfd(int socket);

/* fcntl(F_GET_SEALS); -1 when the descriptor is no memfd. */
int mlos_linux_get_seals(int descriptor);
/* F_SEAL_SHRINK: without it a mapping of the file can be made to fault by truncation. */
int mlos_linux_seal_shrink(void);

/* A memfd of this size that can neither shrink nor grow, close-on-exec; -1 and errno. */
int mlos_linux_sealed_memfd(const char *name, size_t size);
/* send(2) of one packet with a descriptor, which stays the caller's; -1: none. Never waits, never raises SIGPIPE. */
ssize_t mlos_linux_send(int socket, const void *packet, size_t size, int descriptor);

static inline uint64_t mlos_linux_load_acquire_64(const void *address) {
  return __atomic_load_n((const uint64_t *)address, __ATOMIC_ACQUIRE);
}
static inline void mlos_linux_store_release_64(void *address, uint64_t value) {
  __atomic_store_n((uint64_t *)address, value, __ATOMIC_RELEASE);
}
/* Orders the plain reads before it with the reads after it: the second half of a sequence lock. */
static inline void mlos_linux_read_fence(void) {
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
}

#endif
