/*
 * Calls after which the agent must do less: a seccomp filter may kill the process for a system call the program itself
 * would never make; some namespaces may only be entered by a process of one thread; and a program whose main thread ends
 * lives until its last thread ends, which must not be ours.
 */
#include "agent.h"
#include "cooperate.h"
#include "heap.h"
#include "module_cache.h"
#include "sys.h"
#include <errno.h>
#include <sched.h>
#include <sys/prctl.h>

#include "rare.h"

#define SECCOMP_STRICT 0
#define SECCOMP_FILTER 1

/* Connects if that was not done yet, ends the control thread, and makes no system call from then on. */
void mlos_before_filter(void) {
  int saved_errno = errno;
  if (mlos_ready() && mlos_agent.started && !atomic_load(&mlos_agent.frozen) &&
      mlos_sys(SYS_getpid, 0, 0, 0, 0) == mlos_agent.pid) {
    mlos_thread.inside = 1;
    mlos_cache_empty();
    mlos_modules_refresh(false);
    mlos_heap_end(MLOS_HEAP_END_FILTER);
    mlos_heap_settle();
    mlos_callbacks_allow(false);
    mlos_callbacks_stop();
    mlos_control_stop();
    if (!mlos_link_is_up())
      mlos_link_connect(mlos_coarse_ms());
    mlos_agent.thread_allowed = false;
    atomic_store(&mlos_agent.frozen, true);
    mlos_set_reason(MLOS_REASON_SECCOMP);
    mlos_thread.inside = 0;
  }
  errno = saved_errno;
}

bool mlos_installs_filter(long number, long a) {
  return (number == SYS_seccomp && (a == SECCOMP_STRICT || a == SECCOMP_FILTER)) || (number == SYS_prctl && a == PR_SET_SECCOMP);
}

int mlos_hook_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) {
  mlos_start();
  if (mlos_unlikely(option == PR_SET_SECCOMP))
    mlos_before_filter();
  __attribute__((musttail)) return mlos_real.prctl(option, a, b, c, d);
}

static void be_one_thread(void) {
  int saved_errno = errno;
  mlos_start();
  if ((mlos_control_running() || mlos_callbacks_have_thread()) && mlos_ready() && !mlos_thread.inside &&
      !atomic_load(&mlos_agent.frozen)) {
    mlos_thread.inside = 1;
    /* This order: the other way round it might start the control thread again. */
    mlos_callbacks_stop();
    mlos_control_stop();
    mlos_thread.inside = 0;
    mlos_due_at(0);
  }
  errno = saved_errno;
}

int mlos_hook_unshare(int flags) {
  be_one_thread();
  __attribute__((musttail)) return mlos_real.unshare(flags);
}

int mlos_hook_setns(int descriptor, int type) {
  be_one_thread();
  __attribute__((musttail)) return mlos_real.setns(descriptor, type);
}

static void before_thread_exit(void) {
  mlos_start();
  if (mlos_ready() && mlos_thread_id() == (uint32_t)mlos_agent.pid) {
    mlos_control_request_stop();
    mlos_callbacks_request_stop();
  }
}

void mlos_hook_pthread_exit(void *value) {
  before_thread_exit();
  if (!mlos_real.pthread_exit)
    mlos_real.pthread_exit = (mlos_pthread_exit_function *)mlos_find_anywhere("pthread_exit");
  __attribute__((musttail)) return mlos_real.pthread_exit(value);
}

void mlos_hook_thrd_exit(int value) {
  before_thread_exit();
  if (!mlos_real.thrd_exit)
    mlos_real.thrd_exit = (mlos_thrd_exit_function *)mlos_find_anywhere("thrd_exit");
  __attribute__((musttail)) return mlos_real.thrd_exit(value);
}

const char *mlos_hook___asan_default_options(void) {
  return "verify_asan_link_order=0";
}

#pragma clang attribute pop
