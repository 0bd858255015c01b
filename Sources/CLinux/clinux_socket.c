#define _GNU_SOURCE
#include "clinux_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

/* More than any frame carries; what a hostile peer sends beyond it is closed by the kernel (MSG_CTRUNC). */
#define DESCRIPTORS_MAX 16

#pragma GCC visibility push(default)

int mlos_linux_bind_unix(int socket, const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t length = strlen(path);
  if (length >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(address.sun_path, path, length);
  return bind(socket, (struct sockaddr *)&address, sizeof address);
}

int mlos_linux_accept(int listener) {
  int descriptor;
  do
    descriptor = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  while (descriptor < 0 && (errno == EINTR || errno == ECONNABORTED));
  return descriptor;
}

void mlos_linux_name_thread(const char *name) {
  pthread_setname_np(pthread_self(), name);
}

ssize_t mlos_linux_receive(int socket, void *buffer, size_t size, int *descriptors, int capacity, int *received, int *truncated) {
  union {
    char bytes[CMSG_SPACE(sizeof(int) * DESCRIPTORS_MAX)];
    struct cmsghdr align;
  } control;
  struct iovec piece = {.iov_base = buffer, .iov_len = size};
  struct msghdr message = {
      .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  *received = 0;
  *truncated = 0;
  ssize_t bytes;
  do
    bytes = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  while (bytes < 0 && errno == EINTR);
  if (bytes < 0)
    return -1;
  if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
    *truncated = 1;
  for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part != NULL; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
      continue;
    size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t index = 0; index < count; index++) {
      int descriptor;
      memcpy(&descriptor, CMSG_DATA(part) + index * sizeof(int), sizeof descriptor);
      if (*received < capacity) {
        descriptors[(*received)++] = descriptor;
      } else {
        close(descriptor);
        *truncated = 1;
      }
    }
  }
  return bytes;
}

int mlos_linux_peer_credentials(int socket, pid_t *pid, uid_t *user, gid_t *group) {
  struct ucred credentials;
  socklen_t size = sizeof credentials;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
    return -1;
  *pid = credentials.pid;
  *user = credentials.uid;
  *group = credentials.gid;
  return 0;
}

int mlos_linux_peer_pidfd(int socket) {
  int descriptor = -1;
  socklen_t size = sizeof descriptor;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &descriptor, &size) != 0)
    return -1;
  return descriptor;
}

int mlos_linux_sealed_memfd(const char *name, size_t size) {
  int descriptor = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0)
    return -1;
  if (ftruncate(descriptor, (off_t)size) == 0 && fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
    return descriptor;
  int error = errno;
  close(descriptor);
  errno = error;
  return -1;
}

ssize_t mlos_linux_send(int socket, const void *packet, size_t size, int descriptor) {
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr header;
  } control = {{0}};
  struct iovec piece = {.iov_base = (void *)(uintptr_t)packet, .iov_len = size};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
  if (descriptor >= 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &descriptor, sizeof descriptor);
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int mlos_linux_get_seals(int descriptor) {
  return fcntl(descriptor, F_GET_SEALS);
}
int mlos_linux_seal_shrink(void) {
  return F_SEAL_SHRINK;
}

#pragma GCC visibility pop
