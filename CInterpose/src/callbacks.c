/*
 * The thread that asks the program's callbacks, and the command that has it do so. It sleeps in one futex; it is made at the
 * first registration and, after a fork or when it was ended, with the next command. A callback that is late keeps its thread:
 * the next command gets another, and the late one ends when its callback returns.
 */
#include "cooperate.h"
#include "deferred.h"
#include "forks.h"
#include "reclaim.h"
#include "sys.h"
#include "threads.h"
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/prctl.h>

#include "rare.h"

#define NAME "mlos-reclaim"
/* Threads that are left to late callbacks. With so many the program has a mistake, which more threads would not mend. */
#define LATE_MAX 4u
/* More than any caller waits, and far from the end of the clock. */
#define WAIT_MAX_MS 3600000u

/* The number of the round, and in its low bits what the thread is at. The thread makes ASKED to RUNNING and RUNNING to IDLE; a
   RUNNING round that is late is taken from it by the next command, by raising the number: the thread sees that and ends.
   Everything else is the reader of the socket's, or of who starts or stops the thread, from NONE and IDLE. */
enum phase { NONE, STARTING, IDLE, ASKED, RUNNING, STOPPING };
#define PHASE 7u
#define ROUND 8u
static _Atomic uint32_t state;
static struct {
  uint64_t wanted;
  uint64_t deadline_ms;
  uint32_t request;
} asked;
static pthread_t thread;
static _Atomic uint32_t late;
/* Also before the constructor: whoever registers that early is asked when it turns out that there may be a thread. */
static _Atomic bool allowed = true;

static uint32_t in_phase(uint32_t of, uint32_t phase) {
  return (of & ~PHASE) | phase;
}

static bool move(uint32_t from, uint32_t to) {
  return atomic_compare_exchange_strong(&state, &from, to);
}

static void wake(void) {
  mlos_sys(SYS_futex, &state, FUTEX_WAKE_PRIVATE, INT_MAX, 0);
}

static void set_name(const char *name) {
  if (!atomic_load_explicit(&mlos_agent.frozen, memory_order_relaxed))
    mlos_sys(SYS_prctl, PR_SET_NAME, name, 0, 0);
}

bool mlos_callbacks_may_run(void) {
  return atomic_load(&allowed);
}

bool mlos_callbacks_have_thread(void) {
  return (atomic_load(&state) & PHASE) != NONE;
}

void mlos_callbacks_allow(bool may) {
  atomic_store(&allowed, may);
}

/* Bytes it says it freed. UINT64_MAX: this is a child that the callback forked, and came back in. */
static uint64_t call(struct mlos_callback *callback, uint64_t wanted, uint64_t deadline_ms) {
  pid_t pid = mlos_agent.pid;
  mlos_thread.running = callback;
  set_name(callback->name);
  uint64_t freed = callback->function(wanted, callback->context);
  mlos_thread.running = NULL;
  if (mlos_sys(SYS_getpid, 0, 0, 0, 0) != pid)
    return UINT64_MAX;
  set_name(NAME);
  bool is_good = freed > 0 && mlos_now_ms() < deadline_ms;
  atomic_store(&callback->strikes, is_good ? 0 : atomic_load(&callback->strikes) + 1);
  mlos_callback_release(callback);
  return freed < INT64_MAX ? freed : INT64_MAX;
}

/* One round, by the thread. False: the round was taken away, and the thread ends. */
static bool ask(uint32_t running) {
  uint64_t wanted = asked.wanted, deadline_ms = asked.deadline_ms, freed = 0, last = 0;
  uint32_t request = asked.request, busy = 0;
  struct mlos_callback *callback;
  while (freed < wanted && mlos_now_ms() < deadline_ms && !(busy = mlos_busy_regions()) &&
         (callback = mlos_callback_take_after(last))) {
    last = atomic_load(&callback->id);
    uint64_t more = call(callback, wanted - freed, deadline_ms);
    if (more == UINT64_MAX)
      return false;
    freed = more < INT64_MAX - freed ? freed + more : INT64_MAX;
    if (atomic_load(&state) != running)
      break;
  }
  if (!move(running, in_phase(running, IDLE))) {
    atomic_fetch_sub(&late, 1);
    return false;
  }
  if (busy && freed == 0)
    mlos_deferred_answer(MLOS_COMMAND_RECLAIM, request, MLOS_RESULT_FAILED, mlos_refusal(MLOS_REFUSAL_IN_USE, busy));
  else
    mlos_deferred_answer(MLOS_COMMAND_RECLAIM, request, MLOS_RESULT_OK, (int64_t)freed);
  return true;
}

/* Until the state is another. While a supervisor waits and there is no control thread, it does what is due: a program that
   registered a callback and then allocates nothing must answer all the same. */
static void rest(uint32_t now) {
  uint64_t due = UINT64_MAX, now_ms = mlos_now_ms();
  if (mlos_link_is_up() && !mlos_control_running() && !atomic_load(&mlos_agent.frozen))
    due = atomic_load(&mlos_agent.next_due_ms);
  uint64_t ms = due > now_ms ? due - now_ms : 0;
  struct timespec limit = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
  long result = mlos_sys(SYS_futex, &state, FUTEX_WAIT_PRIVATE, now, due == UINT64_MAX ? NULL : &limit);
  if (result != -ETIMEDOUT)
    return;
  mlos_thread.inside = 1;
  mlos_housekeeping(mlos_now_ms());
  mlos_thread.inside = 0;
}

/* Behind a filter it sleeps on: its end would be more system calls than its sleep. */
static bool is_over(uint32_t now) {
  return (now & PHASE) == STOPPING ||
         ((now & PHASE) == IDLE && !atomic_load(&allowed) && !atomic_load_explicit(&mlos_agent.frozen, memory_order_relaxed));
}

static void *run(void *unused) {
  set_name(NAME);
  for (;;) {
    uint32_t now = atomic_load(&state), phase = now & PHASE;
    if (phase == ASKED) {
      if (move(now, in_phase(now, RUNNING)) && !ask(in_phase(now, RUNNING)))
        return NULL;
    } else if (is_over(now) && move(now, in_phase(now, NONE))) {
      return NULL;
    } else {
      rest(now);
    }
  }
}

/* From NONE, or from a round that is taken from its thread. MLOS_REFUSAL_NONE: the state is IDLE. */
static int64_t start_thread(uint32_t from) {
  if (!atomic_load(&allowed))
    return mlos_refusal(MLOS_REFUSAL_NO_CALLBACK, 0);
  if (!mlos_forks_hold())
    return mlos_refusal(MLOS_REFUSAL_LOADER_BUSY, 0);
  uint32_t starting = in_phase(from + ROUND, STARTING);
  if (!move(from, starting)) {
    mlos_forks_release();
    return mlos_refusal(MLOS_REFUSAL_UNDER_WAY, 0);
  }
  if ((from & PHASE) == RUNNING) {
    atomic_fetch_add(&late, 1);
    mlos_pthread.detach(thread);
  }
  uint8_t inside = mlos_thread.inside;
  mlos_thread.inside = 1;
  uint64_t signals = mlos_threads_block_signals();
  int error = mlos_threads_find() ? mlos_pthread.create(&thread, NULL, run, NULL) : ENOSYS;
  mlos_threads_restore_signals(signals);
  mlos_thread.inside = inside;
  mlos_forks_release();
  atomic_store(&state, in_phase(starting, error ? NONE : IDLE));
  wake();
  return error ? mlos_refusal(MLOS_REFUSAL_KERNEL, (uint32_t)error) : MLOS_REFUSAL_NONE;
}

void mlos_callbacks_start(void) {
  uint32_t now = atomic_load(&state);
  int saved_errno = errno;
  if ((now & PHASE) == NONE)
    start_thread(now);
  /* Whoever registers wants to be asked: that is worth a control thread, as a library that was opened is. */
  if (!atomic_exchange(&mlos_agent.loader_active, true))
    mlos_due_at(0);
  errno = saved_errno;
}

/* What stands against asking anybody now. */
static int64_t obstacle(void) {
  uint32_t busy = mlos_busy_regions();
  if (busy)
    return mlos_refusal(MLOS_REFUSAL_IN_USE, busy);
  struct mlos_callbacks_counted counted = mlos_callbacks_count();
  if (counted.askable == 0)
    return counted.running ? mlos_refusal(MLOS_REFUSAL_CALLBACK_LATE, 0)
                           : mlos_refusal(MLOS_REFUSAL_NO_CALLBACK, counted.given_up);
  uint32_t now = atomic_load(&state), phase = now & PHASE;
  bool is_late = phase == RUNNING && mlos_now_ms() >= asked.deadline_ms;
  if (is_late && atomic_load(&late) >= LATE_MAX)
    return mlos_refusal(MLOS_REFUSAL_CALLBACK_LATE, 0);
  if (is_late || phase == NONE)
    return start_thread(now);
  return phase == IDLE ? MLOS_REFUSAL_NONE : mlos_refusal(MLOS_REFUSAL_UNDER_WAY, 0);
}

uint32_t mlos_callbacks_reclaim(const struct mlos_command *command, int64_t *value) {
  *value = obstacle();
  if (*value != MLOS_REFUSAL_NONE)
    return MLOS_RESULT_FAILED;
  uint64_t wait_ms = command->arguments[1] < WAIT_MAX_MS ? command->arguments[1] : WAIT_MAX_MS;
  uint64_t deadline_ms = mlos_now_ms() + wait_ms;
  *value = mlos_refusal(MLOS_REFUSAL_UNDER_WAY, 0);
  uint32_t idle = atomic_load(&state);
  if ((idle & PHASE) != IDLE || !mlos_defer(command, deadline_ms))
    return MLOS_RESULT_FAILED;
  asked.wanted = command->arguments[0];
  asked.deadline_ms = deadline_ms;
  asked.request = command->frame.request;
  if (!move(idle, in_phase(idle + ROUND, ASKED))) /* it is being stopped */
    mlos_deferred_answer(MLOS_COMMAND_RECLAIM, command->frame.request, MLOS_RESULT_FAILED, *value);
  wake();
  return MLOS_ANSWERED_LATER;
}

void mlos_callbacks_stop(void) {
  uint32_t now = atomic_load(&state);
  pthread_t ending = thread;
  if ((now & PHASE) != IDLE || !move(now, in_phase(now, STOPPING)))
    return;
  wake();
  mlos_threads_join(ending);
}

void mlos_callbacks_request_stop(void) {
  if (mlos_thread_id() != (uint32_t)mlos_agent.pid)
    return;
  atomic_store(&allowed, false);
  uint32_t now = atomic_load(&state);
  if ((now & PHASE) == IDLE && move(now, in_phase(now, STOPPING)))
    wake();
}

void mlos_callbacks_after_fork(void) {
  atomic_store(&state, NONE);
  atomic_store(&late, 0);
}
#pragma clang attribute pop
