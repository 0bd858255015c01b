/*
 * Children. A forked child still maps its parent's segment; it must not write there, so its threads' slot pointers are
 * taken away before the fork and the child gets its own segment with its first allocation or hook. vfork and CLONE_VM
 * children share the parent's memory and simply count on.
 */
#include "agent.h"
#include "cooperate.h"
#include "forks.h"
#include "hooks.h"
#include "sys.h"
#include <errno.h>
#include <sched.h>

#include "rare.h"

extern int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *object);
extern void *__dso_handle __attribute__((visibility("hidden")));

static bool counting(void) {
  uint32_t mode = mlos_mode();
  return (mode == MLOS_MODE_COUNTING || mode == MLOS_MODE_LOADER_ONLY) && mlos_agent.started;
}

/* Runs just before the fork: ours is registered early, and preparations run in reverse order. */
static void before_fork(void) {
  if (!mlos_ready() || !counting() || mlos_thread.forking)
    return;
  if (atomic_load_explicit(&mlos_agent.frozen, memory_order_relaxed))
    return;
  struct mlos_thread *thread = &mlos_thread;
  if (!thread->deferred) {
    thread->saved = thread->self;
    thread->self = NULL;
  }
  thread->deferred = 0;
  thread->forks_begun = mlos_forks_begin();
  mlos_segment_sums(mlos_agent.header, thread->fork_sums);
  thread->fork_inexact = mlos_agent.header->base_inexact || mlos_other_slots_live();
  thread->forking = 1;
}

static void in_parent(void) {
  if (!mlos_thread.forking)
    return;
  mlos_thread.forking = 0;
  mlos_thread.self = mlos_thread.saved;
  mlos_thread.saved = NULL;
  if (mlos_thread.forks_begun)
    mlos_forks_in_parent();
}

static void in_child(void) {
  struct mlos_thread *thread = &mlos_thread;
  if (mlos_mode() == MLOS_MODE_OFF || thread->child_seen) {
    thread->child_seen = 0;
    return;
  }
  if (!mlos_agent.started)
    return;
  if (thread->forking)
    mlos_enter_child();
  else /* frozen by a seccomp filter: no system call, so no segment of its own */
    mlos_become(MLOS_MODE_OFF);
  thread->child_seen = 0;
  thread->self = thread->saved = NULL;
}

void mlos_fork_install(void) {
  __register_atfork(before_fork, in_parent, in_child, &__dso_handle);
}

static void count_fork(pid_t child) {
  if (child <= 0 || !counting())
    return;
  int saved_errno = errno;
  __atomic_fetch_add(&mlos_agent.header->forks, 1, __ATOMIC_RELAXED);
  mlos_event(MLOS_EVENT_FORK, 0, child, NULL);
  errno = saved_errno;
}

pid_t mlos_hook_fork(void) {
  mlos_start();
  pid_t child = mlos_real.fork();
  count_fork(child);
  return child;
}

/* The result of a fork that runs no handlers. */
static long after_raw_fork(long child) {
  int saved_errno = errno;
  if (child == 0)
    in_child();
  else
    in_parent();
  errno = saved_errno;
  if (child > 0)
    count_fork((pid_t)child);
  return child;
}

pid_t mlos_hook__Fork(void) {
  mlos_start();
  if (!mlos_real._Fork) {
    errno = ENOSYS;
    return -1;
  }
  before_fork();
  return (pid_t)after_raw_fork(mlos_real._Fork());
}

/* clone's child runs no fork handler, and returns to its entry. */
struct clone_call {
  int (*entry)(void *);
  void *argument;
};

static int enter_clone(void *data) {
  struct clone_call call = *(const struct clone_call *)data;
  in_child();
  return call.entry(call.argument);
}

int mlos_hook_clone(int (*entry)(void *), void *stack, int flags, void *argument, pid_t *ptid, void *tls, pid_t *ctid) {
  mlos_start();
  if (flags & CLONE_VM)
    __attribute__((musttail)) return mlos_real.clone(entry, stack, flags, argument, ptid, tls, ctid);
  /* In the child's copy of this stack it is still there when this function has returned. */
  struct clone_call call = {entry, argument};
  before_fork();
  int child = mlos_real.clone(entry ? enter_clone : NULL, stack, flags, &call, ptid, tls, ctid);
  return (int)after_raw_fork(child);
}

/* linux/sched.h has struct clone_args since 5.3: words of 8 bytes, of which the first version had eight. */
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#define CLONE_ARGS_BYTES 64u
#define CLONE_ARGS_FLAGS 0
#define CLONE_ARGS_STACK 5

static bool forks(long number, long a, long b) {
#ifdef SYS_fork
  if (number == SYS_fork)
    return true;
#endif
  if (number == SYS_clone3 && a && (size_t)b >= CLONE_ARGS_BYTES) {
    const uint64_t *arguments = (const uint64_t *)a;
    return !(arguments[CLONE_ARGS_FLAGS] & CLONE_VM) && arguments[CLONE_ARGS_STACK] == 0;
  }
  return number == SYS_clone && !(a & CLONE_VM) && b == 0;
}

long mlos_hook_syscall(long number, long a, long b, long c, long d, long e, long f) {
  mlos_start();
  if (mlos_unlikely(forks(number, a, b))) {
    before_fork();
    return after_raw_fork(mlos_real.syscall(number, a, b, c, d, e, f));
  }
  if (mlos_unlikely(mlos_installs_filter(number, a)))
    mlos_before_filter();
  if (mlos_unlikely(number == SYS_exit)) {
    mlos_control_request_stop();
    mlos_callbacks_request_stop();
  }
  __attribute__((musttail)) return mlos_real.syscall(number, a, b, c, d, e, f);
}

#pragma clang attribute pop
