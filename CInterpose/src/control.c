/*
 * The control thread: started only where a supervisor is connected, asleep in one poll otherwise. What it decides is in
 * AgentCore; this file gives it its effects.
 */
#include "agent.h"
#include "deferred.h"
#include "forks.h"
#include "heap.h"
#include "module_cache.h"
#include "reclaim.h"
#include "sys.h"
#include "threads.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#include "rare.h"

/* Fits the program's static TLS (grown when that is larger) and destructors of libraries that are evicted; the loop itself needs
   less than 8 KiB. Address space: what is not touched takes no memory. */
#define STACK_BYTES 262144u
#define STACK_BYTES_MAX (16u * STACK_BYTES)

/* STOPPING: somebody waits for its end, and nobody else may. */
enum thread_state { THREAD_NONE, THREAD_STARTING, THREAD_RUNNING, THREAD_STOPPING, THREAD_ENDED };
static _Atomic uint32_t state;
static _Atomic bool stop_requested;
static _Atomic bool asleep;       /* the thread waits without a timeout: a kick must wake it */
static _Atomic uint64_t activity; /* raised by every kick */
static uint64_t activity_seen;    /* the thread's own */
static pthread_t thread;
static void *stack;
static size_t stack_bytes;
static struct mlos_descriptor kick_read = {.number = -1}, kick_write = {.number = -1};

bool mlos_control_running(void) {
  uint32_t now = atomic_load_explicit(&state, memory_order_acquire);
  return now == THREAD_STARTING || now == THREAD_RUNNING || now == THREAD_STOPPING;
}

/* False: the host has closed the pipe. */
static bool wake(void) {
  static const uint8_t byte = 1;
  if (!mlos_descriptor_is_ours(&kick_write))
    return false;
  mlos_sys(SYS_write, kick_write.number, &byte, 1, 0);
  return true;
}

void mlos_control_kick(void) {
  atomic_fetch_add(&activity, 1);
  if (!atomic_exchange(&asleep, false) || wake())
    return;
  /* Nobody can wake the thread any more: it is given up, and ticks take over. If it ever wakes, it ends at once. */
  mlos_agent.thread_allowed = false;
  atomic_store(&stop_requested, true);
  atomic_store(&state, THREAD_ENDED);
  mlos_due_at(0);
}

void mlos_control_wake(void) {
  wake();
}

void mlos_control_request_stop(void) {
  if (!mlos_control_running())
    return;
  mlos_agent.thread_allowed = false;
  atomic_store(&stop_requested, true);
  wake();
}

static void drain(void) {
  uint8_t bytes[64];
  if (mlos_descriptor_is_ours(&kick_read))
    mlos_sys(SYS_read, kick_read.number, bytes, sizeof bytes, 0);
}

static uint32_t bits_after(const struct pollfd polled[2], long count) {
  uint32_t bits = MLOS_WAKE_TIMEOUT;
  if (count > 0 && polled[0].revents)
    drain();
  if (count > 0 && polled[1].revents)
    bits |= MLOS_WAKE_SOCKET;
  uint64_t now = atomic_load(&activity);
  if (now != activity_seen) {
    activity_seen = now;
    bits |= MLOS_WAKE_KICK;
  }
  if (mlos_deferred_is_due())
    bits |= MLOS_WAKE_ANSWER;
  if (atomic_load(&stop_requested))
    bits |= MLOS_WAKE_STOP;
  return bits;
}

/* An invalid descriptor makes poll return at once, every time: then the loop ends. */
static uint32_t wait_for(int32_t timeout_ms) {
  struct pollfd polled[2] = {{.fd = kick_read.number, .events = POLLIN}, {.fd = mlos_link_descriptor(), .events = POLLIN}};
  if (!mlos_descriptor_is_ours(&kick_read))
    return MLOS_WAKE_STOP;
  atomic_store(&asleep, timeout_ms < 0);
  uint32_t before = bits_after(polled, 0);
  if (before & (MLOS_WAKE_STOP | MLOS_WAKE_KICK | MLOS_WAKE_ANSWER)) {
    atomic_store(&asleep, false);
    return before;
  }
  struct timespec limit = {timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000};
  long count = mlos_sys6(SYS_ppoll, (long)polled, 2, timeout_ms < 0 ? 0 : (long)&limit, 0, 8, 0);
  atomic_store(&asleep, false);
  __atomic_fetch_add(&mlos_agent.header->wakeups, 1, __ATOMIC_RELAXED);
  return bits_after(polled, count);
}

static uint32_t connect_now(void) {
  return mlos_link_connect(mlos_coarse_ms());
}
static uint32_t is_connected(void) {
  return mlos_link_is_up();
}

static int64_t refresh(void) {
  mlos_cache_settle();
  int64_t loaded = mlos_modules_refresh(false);
  mlos_requests_match();
  return loaded;
}

static const struct mlos_control_ops operations = {.now_ms = mlos_now_ms,
                                                   .wait = wait_for,
                                                   .connect = connect_now,
                                                   .disconnect = mlos_link_disconnect,
                                                   .receive = mlos_link_receive,
                                                   .reply = mlos_link_reply,
                                                   .now_ns = mlos_now_ns,
                                                   .refresh = refresh,
                                                   .is_connected = is_connected,
                                                   .heap = mlos_heap_command,
                                                   .reclaim = mlos_reclaim_command,
                                                   .finish_answers = mlos_deferred_finish};

static void *run(void *unused) {
  mlos_thread.inside = 1;
  mlos_sys(SYS_prctl, PR_SET_NAME, "mlos-agent", 0, 0);
  __atomic_store_n(&mlos_agent.header->control_thread, (uint32_t)mlos_sys(SYS_gettid, 0, 0, 0, 0), __ATOMIC_RELEASE);
  mlos_deferred_hand_over();
  mlos_core_control(&operations);
  __atomic_store_n(&mlos_agent.header->control_thread, 0, __ATOMIC_RELEASE);
  atomic_store(&state, THREAD_ENDED);
  mlos_due_at(0);
  return NULL;
}

static bool make_kick(void) {
  int ends[2];
  if (mlos_sys(SYS_pipe2, ends, O_CLOEXEC | O_NONBLOCK, 0, 0) < 0)
    return false;
  bool adopted = mlos_descriptor_adopt(&kick_read, ends[0]);
  adopted = mlos_descriptor_adopt(&kick_write, ends[1]) && adopted;
  if (!adopted) {
    mlos_descriptor_close(&kick_read);
    mlos_descriptor_close(&kick_write);
  }
  return adopted;
}

static int create_on_stack(size_t bytes) {
  if (stack && stack_bytes != bytes) {
    mlos_sys(SYS_munmap, stack, stack_bytes, 0, 0);
    stack = NULL;
  }
  if (!stack) {
    long address =
        mlos_sys6(SYS_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (address < 0 && address > -4096)
      return ENOMEM;
    stack = (void *)address;
    stack_bytes = bytes;
  }
  pthread_attr_t attributes;
  mlos_pthread.init(&attributes);
  int error = mlos_pthread.set_stack(&attributes, stack, bytes);
  if (error == 0)
    error = mlos_pthread.create(&thread, &attributes, run, NULL);
  mlos_pthread.destroy(&attributes);
  return error;
}

/* All signals blocked, from before its first instruction. */
static int create_quietly(void) {
  uint64_t before = mlos_threads_block_signals();
  int error = EINVAL;
  for (size_t bytes = STACK_BYTES; error == EINVAL && bytes <= STACK_BYTES_MAX; bytes *= 4)
    error = create_on_stack(bytes);
  mlos_threads_restore_signals(before);
  return error;
}

static bool prepare(void) {
  return mlos_threads_find() && make_kick();
}

bool mlos_control_start(void) {
  uint32_t now = THREAD_NONE;
  if (!mlos_agent.thread_allowed || !mlos_forks_hold())
    return false;
  if (!atomic_compare_exchange_strong(&state, &now, THREAD_STARTING)) {
    mlos_forks_release();
    return false;
  }
  atomic_store(&stop_requested, false);
  activity_seen = 0;
  atomic_store(&activity, 1);
  bool started = prepare() && create_quietly() == 0;
  mlos_forks_release();
  if (!started) {
    mlos_descriptor_close(&kick_read);
    mlos_descriptor_close(&kick_write);
    mlos_agent.thread_allowed = false;
    atomic_store(&state, THREAD_NONE);
    return false;
  }
  uint32_t starting = THREAD_STARTING;
  atomic_compare_exchange_strong(&state, &starting, THREAD_RUNNING);
  return true;
}

/* Takes the right to end the thread, waiting for another that is just starting it. False: it ends or has ended already. */
static bool begin_stopping(void) {
  for (uint64_t start = mlos_now_ms();;) {
    uint32_t now = THREAD_RUNNING;
    if (atomic_compare_exchange_strong(&state, &now, THREAD_STOPPING))
      return true;
    if (now != THREAD_STARTING || mlos_now_ms() - start >= MLOS_JOIN_MS)
      return false;
    mlos_sys(SYS_sched_yield, 0, 0, 0, 0);
  }
}

void mlos_control_stop(void) {
  if (!begin_stopping())
    return;
  atomic_store(&stop_requested, true);
  wake();
  uint32_t stopping = THREAD_STOPPING;
  if (!mlos_threads_join(thread)) {
    atomic_compare_exchange_strong(&state, &stopping, THREAD_RUNNING);
    return;
  }
  mlos_descriptor_close(&kick_read);
  mlos_descriptor_close(&kick_write);
  atomic_store(&state, THREAD_NONE);
}

void mlos_control_after_fork(void) {
  mlos_descriptor_close(&kick_read);
  mlos_descriptor_close(&kick_write);
  atomic_store(&state, THREAD_NONE);
  atomic_store(&asleep, false);
}

#pragma clang attribute pop
