/*
 * The socket to the supervisor: SOCK_SEQPACKET, non-blocking, opened only where a socket file exists, so that without a
 * supervisor no descriptor is ever made. Every use is preceded by an identity check, every send is MSG_NOSIGNAL; what
 * cannot be sent now is dropped.
 */
#include "agent.h"
#include "deferred.h"
#include "forks.h"
#include "heap.h"
#include "mlos_agent.h"
#include "reclaim.h"
#include "sys.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "rare.h"

#define PATHS 3
/* One more set of descriptors after the host took the first away, 5 s later: long enough for a daemon to settle. */
#define RECREATE_AFTER_MS 5000u
#define NEVER UINT64_MAX

static char paths[PATHS][sizeof(((struct sockaddr_un *)0)->sun_path)];
static unsigned path_count;
static struct mlos_descriptor socket_descriptor = {.number = -1};
static atomic_flag busy = ATOMIC_FLAG_INIT; /* tried by whoever connects; the loser leaves it to the winner */
static _Atomic bool up;
static _Atomic bool forbidden;
static bool was_up;
static unsigned taken_away; /* times the host closed our descriptors */
static uint64_t pause_ms;
static int passed = -1; /* the descriptor that came with the command being answered */
static _Atomic uint64_t next_try_ms;

bool mlos_link_is_up(void) {
  return atomic_load_explicit(&up, memory_order_acquire);
}
uint64_t mlos_link_next_try_ms(void) {
  return atomic_load_explicit(&next_try_ms, memory_order_relaxed);
}

void mlos_link_forbid(void) {
  atomic_store(&forbidden, true);
  atomic_store(&next_try_ms, NEVER);
}

static void add_path(const char *start, const char *rest) {
  size_t length = strlen(start), rest_length = strlen(rest);
  if (length == 0 || length + rest_length >= sizeof paths[0])
    return;
  memcpy(paths[path_count], start, length);
  memcpy(paths[path_count] + length, rest, rest_length + 1);
  path_count++;
}

static void add_user_path(unsigned long uid) {
  char text[sizeof paths[0]] = "/tmp/mlos-";
  char digits[24];
  size_t count = 0, at = strlen(text);
  do
    digits[count++] = (char)('0' + uid % 10);
  while ((uid /= 10) != 0);
  while (count)
    text[at++] = digits[--count];
  text[at] = 0;
  add_path(text, "/agent.sock");
}

void mlos_link_read_environment(char *const envp[]) {
  static const char socket_name[] = MLOS_ENV_SOCKET "=", runtime_name[] = "XDG_RUNTIME_DIR=";
  const char *runtime = NULL;
  for (; envp && *envp; envp++) {
    if (strncmp(*envp, socket_name, sizeof socket_name - 1) == 0 && (*envp)[sizeof socket_name - 1]) {
      path_count = 0;
      add_path(*envp + sizeof socket_name - 1, "");
      return;
    }
    if (strncmp(*envp, runtime_name, sizeof runtime_name - 1) == 0)
      runtime = *envp + sizeof runtime_name - 1;
  }
  long uid = mlos_sys(SYS_getuid, 0, 0, 0, 0);
  if (uid != 0) {
    if (runtime)
      add_path(runtime, MLOS_SOCKET_RUNTIME_SUFFIX);
    add_user_path((unsigned long)uid);
  }
  add_path(MLOS_SOCKET_SYSTEM, "");
}

static bool is_socket(const char *path) {
  struct stat status;
  return mlos_sys(SYS_newfstatat, AT_FDCWD, path, &status, 0) == 0 && S_ISSOCK(status.st_mode);
}

static bool peer_may_command(int number) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  if (mlos_sys6(SYS_getsockopt, number, SOL_SOCKET, SO_PEERCRED, (long)&peer, (long)&size, 0) < 0)
    return false;
  return peer.uid == 0 || peer.uid == (uid_t)mlos_sys(SYS_geteuid, 0, 0, 0, 0);
}

static bool send_hello(int number) {
  const struct mlos_header *header = mlos_agent.header;
  struct mlos_hello hello = {
      .frame = {.magic = MLOS_FRAME_MAGIC, .version = MLOS_ABI_VERSION, .type = MLOS_FRAME_HELLO, .size = sizeof hello},
      .pid = (uint32_t)mlos_agent.pid,
      .state = header->state,
      .reason = header->reason,
      .reconnects = (uint32_t)header->reconnects + was_up,
      .segment_size = MLOS_SEGMENT_SIZE,
      .start_ns = header->start_ns};
  union {
    struct cmsghdr header;
    uint8_t bytes[CMSG_SPACE(sizeof(int))];
  } control = {0};
  struct iovec part = {&hello, sizeof hello};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  control.header.cmsg_level = SOL_SOCKET;
  control.header.cmsg_type = SCM_RIGHTS;
  control.header.cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(&control.header), &mlos_memfd.number, sizeof(int));
  return mlos_sys(SYS_sendmsg, number, &message, MSG_NOSIGNAL | MSG_DONTWAIT, 0) == (long)sizeof hello;
}

static uint32_t connect_to(const char *path) {
  long number = mlos_sys(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, 0);
  struct mlos_descriptor descriptor;
  if (number < 0 || !mlos_descriptor_adopt(&descriptor, (int)number))
    return MLOS_CONNECT_ABSENT;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  memcpy(address.sun_path, path, strlen(path) + 1);
  uint32_t result = MLOS_CONNECT_ABSENT;
  if (mlos_sys(SYS_connect, descriptor.number, &address, sizeof address, 0) == 0) {
    if (!peer_may_command(descriptor.number)) {
      result = MLOS_CONNECT_REFUSED;
    } else if (mlos_segment_share()) {
      if (send_hello(descriptor.number)) {
        socket_descriptor = descriptor;
        return MLOS_CONNECT_OK;
      }
    } else if (mlos_memfd.number >= 0) {
      /* Ours by number only: the host has it now. A new one is made at the next attempt. */
      mlos_memfd.number = -1;
      taken_away++;
      mlos_set_reason(MLOS_REASON_DESCRIPTOR_CLOSED);
    }
  }
  mlos_descriptor_close(&descriptor);
  return result;
}

static uint32_t connect_any(void) {
  uint32_t best = MLOS_CONNECT_ABSENT;
  for (unsigned i = 0; i < path_count; i++) {
    /* A child must not come to hold a connection of its parent's that no variable knows yet. */
    if (!is_socket(paths[i]) || !mlos_forks_hold())
      continue;
    uint32_t result = connect_to(paths[i]);
    mlos_forks_release();
    if (result == MLOS_CONNECT_OK)
      return result;
    if (result == MLOS_CONNECT_REFUSED)
      best = result;
  }
  return best;
}

uint32_t mlos_link_connect(uint64_t now_ms) {
  if (atomic_load(&forbidden) || taken_away > 1)
    return MLOS_CONNECT_FORBIDDEN;
  if (atomic_flag_test_and_set(&busy))
    return MLOS_CONNECT_ABSENT;
  uint32_t result = mlos_link_is_up() ? (uint32_t)MLOS_CONNECT_OK : connect_any();
  struct mlos_header *header = mlos_agent.header;
  if (result == MLOS_CONNECT_OK) {
    if (was_up)
      __atomic_fetch_add(&header->reconnects, 1, __ATOMIC_RELAXED);
    was_up = true;
    pause_ms = 0;
    if (header->reason == MLOS_REASON_SUPERVISOR_REFUSED)
      mlos_set_reason(MLOS_REASON_NONE);
    atomic_store(&up, true);
  } else {
    if (result == MLOS_CONNECT_REFUSED)
      mlos_set_reason(MLOS_REASON_SUPERVISOR_REFUSED);
    pause_ms = mlos_core_next_pause_ms(pause_ms);
    atomic_store(&next_try_ms, now_ms + pause_ms);
  }
  atomic_flag_clear(&busy);
  return result;
}

int mlos_link_take_descriptor(void) {
  int number = passed;
  passed = -1;
  return number;
}

static void close_passed(void) {
  int number = mlos_link_take_descriptor();
  if (number >= 0)
    mlos_sys(SYS_close, number, 0, 0, 0);
}

void mlos_link_disconnect(void) {
  atomic_store(&up, false);
  mlos_heap_end(MLOS_HEAP_END_DISCONNECTED);
  mlos_deferred_forget();
  close_passed();
  mlos_descriptor_close(&socket_descriptor);
  pause_ms = mlos_core_next_pause_ms(0);
  atomic_store(&next_try_ms, mlos_coarse_ms() + pause_ms);
}

/* The number belongs to the host now: forget it without touching it. */
static void lose_descriptor(void) {
  atomic_store(&up, false);
  mlos_heap_end(MLOS_HEAP_END_DISCONNECTED);
  mlos_deferred_forget();
  socket_descriptor.number = -1;
  taken_away++;
  if (!mlos_descriptor_is_ours(&mlos_memfd))
    mlos_memfd.number = -1;
  mlos_set_reason(MLOS_REASON_DESCRIPTOR_CLOSED);
  atomic_store(&next_try_ms, taken_away > 1 ? NEVER : mlos_coarse_ms() + RECREATE_AFTER_MS);
}

int mlos_link_descriptor(void) {
  return mlos_link_is_up() ? socket_descriptor.number : -1;
}

static bool is_valid(const struct mlos_frame *frame, long size) {
  return size >= (long)sizeof *frame && frame->magic == MLOS_FRAME_MAGIC && frame->version == MLOS_ABI_VERSION &&
         frame->size == (uint32_t)size;
}

/* One packet and at most one descriptor; the kernel closes what does not fit. */
static long receive_packet(struct mlos_command *command) {
  union {
    struct cmsghdr header;
    uint8_t bytes[CMSG_SPACE(sizeof(int))];
  } control = {0};
  struct iovec part = {command, sizeof *command};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  long size = mlos_sys(SYS_recvmsg, socket_descriptor.number, &message, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC, 0);
  close_passed();
  if (size > 0 && message.msg_controllen >= CMSG_LEN(sizeof(int)) && control.header.cmsg_level == SOL_SOCKET &&
      control.header.cmsg_type == SCM_RIGHTS)
    memcpy(&passed, CMSG_DATA(&control.header), sizeof(int));
  return size;
}

uint32_t mlos_link_receive(struct mlos_command *command) {
  if (!mlos_link_is_up())
    return MLOS_RECEIVED_NOTHING;
  if (!mlos_descriptor_is_ours(&socket_descriptor)) {
    lose_descriptor();
    return MLOS_RECEIVED_LOST;
  }
  memset(command, 0, sizeof *command);
  long size = receive_packet(command);
  if (size == -EAGAIN || size == -EINTR)
    return MLOS_RECEIVED_NOTHING;
  if (size <= 0 || !is_valid(&command->frame, size))
    return MLOS_RECEIVED_CLOSED;
  switch (command->frame.type) {
  case MLOS_FRAME_WELCOME:
    return MLOS_RECEIVED_WELCOME;
  case MLOS_FRAME_REJECT:
    return MLOS_RECEIVED_REJECT;
  case MLOS_FRAME_COMMAND:
    return size == (long)sizeof *command ? MLOS_RECEIVED_COMMAND : MLOS_RECEIVED_CLOSED;
  default:
    return MLOS_RECEIVED_CLOSED;
  }
}

void mlos_link_reply(const struct mlos_command *command, uint32_t status, int64_t value, uint64_t duration_ns) {
  struct mlos_result result = {.frame = {.magic = MLOS_FRAME_MAGIC,
                                         .version = MLOS_ABI_VERSION,
                                         .type = MLOS_FRAME_RESULT,
                                         .size = sizeof result,
                                         .request = command->frame.request},
                               .status = status,
                               .code = command->code,
                               .value = value,
                               .duration_ns = duration_ns};
  close_passed();
  if (mlos_descriptor_is_ours(&socket_descriptor))
    mlos_sys6(SYS_sendto, socket_descriptor.number, (long)&result, sizeof result, MSG_NOSIGNAL | MSG_DONTWAIT, 0, 0);
}

static void answer(const struct mlos_command *command) {
  uint64_t start = mlos_now_ns();
  int64_t value = 0;
  uint32_t status = MLOS_RESULT_OK;
  if (command->code == MLOS_COMMAND_REFRESH_MODULES) {
    value = mlos_modules_refresh(false);
    status = value < 0 ? MLOS_RESULT_FAILED : MLOS_RESULT_OK;
  } else if (command->code == MLOS_COMMAND_HEAP_START || command->code == MLOS_COMMAND_HEAP_STOP) {
    status = mlos_heap_command(command, &value);
  } else if (command->code != MLOS_COMMAND_PING) {
    status = mlos_reclaim_command(command, &value);
  }
  if (status != MLOS_ANSWERED_LATER)
    mlos_link_reply(command, status, value, mlos_now_ns() - start);
}

/* What the control thread's loop does with the socket, for a process without one. At most 8 packets a call. */
void mlos_link_service(uint64_t now_ms) {
  if (atomic_flag_test_and_set(&busy))
    return;
  for (unsigned i = 0; i < 8; i++) {
    struct mlos_command command;
    uint32_t received = mlos_link_receive(&command);
    if (received == MLOS_RECEIVED_COMMAND) {
      answer(&command);
    } else if (received == MLOS_RECEIVED_REJECT) {
      mlos_link_disconnect();
      mlos_set_reason(MLOS_REASON_SUPERVISOR_REFUSED);
      atomic_store(&next_try_ms, now_ms + MLOS_REJECT_BACKOFF_MS);
    } else if (received == MLOS_RECEIVED_CLOSED) {
      mlos_link_disconnect();
    }
    if (received == MLOS_RECEIVED_NOTHING || !mlos_link_is_up())
      break;
  }
  uint64_t next_ms = mlos_link_is_up() ? mlos_deferred_finish(now_ms) : 0;
  if (next_ms)
    mlos_due_at(next_ms);
  /* A control thread may have begun meanwhile. */
  if (next_ms && mlos_control_running())
    mlos_deferred_hand_over();
  atomic_flag_clear(&busy);
}

void mlos_link_after_fork(void) {
  close_passed();
  mlos_descriptor_close(&socket_descriptor);
  mlos_descriptor_close(&mlos_memfd);
  atomic_flag_clear(&busy);
  atomic_store(&up, false);
  was_up = false;
  taken_away = 0;
  pause_ms = 0;
  if (!atomic_load(&forbidden))
    atomic_store(&next_try_ms, 0);
}

#pragma clang attribute pop
