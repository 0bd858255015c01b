/*
 * Housekeeping without a thread: every 128th allocation of a thread, and every large one, looks at the clock, and when
 * something is due does it. That happens in the middle of a host thread's malloc, after the real allocation; so never inside
 * libc or ld.so, where their locks may be held, and never in a vfork child, which shares its parent's memory.
 */
#include "agent.h"
#include "cooperate.h"
#include "sys.h"
#include <errno.h>

/* A process that lives less long than this gets no control thread. */
#define THREAD_AGE_MS 200u
/* How often a process without a control thread looks at its socket. */
#define SERVICE_INTERVAL_MS 1000u
#define NEVER UINT64_MAX

void mlos_due_at(uint64_t ms) {
  uint64_t current = atomic_load_explicit(&mlos_agent.next_due_ms, memory_order_relaxed);
  while (ms < current && !atomic_compare_exchange_weak_explicit(&mlos_agent.next_due_ms, &current, ms, memory_order_relaxed,
                                                                memory_order_relaxed))
    ;
}

void mlos_housekeeping(uint64_t now_ms) {
  atomic_store_explicit(&mlos_agent.next_due_ms, NEVER, memory_order_relaxed);
  if (mlos_control_running())
    return;
  if (!mlos_link_is_up()) {
    if (now_ms >= mlos_link_next_try_ms())
      mlos_link_connect(now_ms);
  } else {
    mlos_link_service(now_ms);
  }
  if (!mlos_link_is_up()) {
    mlos_due_at(mlos_link_next_try_ms());
    return;
  }
  if (!mlos_agent.thread_allowed) {
    /* Also what never passes the hooks (NSS, iconv) is seen here. Costs a counter's look when nothing changed. */
    mlos_modules_refresh(false);
    mlos_requests_match();
  } else if (atomic_load_explicit(&mlos_agent.loader_active, memory_order_relaxed)) {
    /* A program that registered a callback wants threads, and one that hangs must not be who answers. */
    if (now_ms < mlos_agent.start_ms + THREAD_AGE_MS && !mlos_callbacks_have_thread())
      mlos_due_at(mlos_agent.start_ms + THREAD_AGE_MS);
    else if (mlos_control_start())
      return;
  }
  mlos_due_at(now_ms + SERVICE_INTERVAL_MS);
}

void mlos_tick(struct mlos_slot *slot, const void *caller) {
  if (mlos_thread.inside || !mlos_agent.started || atomic_load_explicit(&mlos_agent.frozen, memory_order_relaxed))
    return;
  uint64_t now_ms = mlos_coarse_ms();
  if (now_ms < atomic_load_explicit(&mlos_agent.next_due_ms, memory_order_relaxed))
    return;
  if (mlos_in_runtime(caller)) {
    mlos_thread.saved = slot;
    mlos_thread.self = NULL;
    mlos_thread.deferred = 1;
    return;
  }
  if (mlos_sys(SYS_getpid, 0, 0, 0, 0) != mlos_agent.pid || mlos_sys(SYS_gettid, 0, 0, 0, 0) != (long)slot->tid)
    return;
  int saved_errno = errno;
  mlos_thread.inside = 1;
  mlos_housekeeping(now_ms);
  mlos_thread.inside = 0;
  errno = saved_errno;
}
