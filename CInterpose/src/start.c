/*
 * From the first call of any hook, which may come from ld.so before libc is ready, to the constructor.
 */
#include "agent.h"
#include "cooperate.h"
#include "counters.h"
#include "deferred.h"
#include "forks.h"
#include "heap.h"
#include "mlos_agent.h"
#include "module_cache.h"
#include "reclaim.h"
#include "sys.h"
#include <errno.h>
#include <gnu/libc-version.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>

#include "rare.h"

struct mlos_agent mlos_agent = {.thread_allowed = true, .modules_lock = ATOMIC_FLAG_INIT, .next_due_ms = UINT64_MAX};

/* Asks valgrind's instrumentation, which recognises this sequence; on a real processor it changes nothing. */
static bool under_valgrind(void) {
#if defined(__x86_64__)
  volatile uint64_t request[6] = {0x1001 /* RUNNING_ON_VALGRIND */};
  uint64_t result = 0;
  __asm__ volatile("rolq $3, %%rdi\n\trolq $13, %%rdi\n\trolq $61, %%rdi\n\trolq $51, %%rdi\n\txchgq %%rbx, %%rbx"
                   : "=d"(result)
                   : "a"(&request[0]), "0"(result)
                   : "cc", "memory");
  return result != 0;
#elif defined(__aarch64__)
  volatile uint64_t request[6] = {0x1001};
  register uint64_t x3 __asm__("x3") = 0;
  register uint64_t x4 __asm__("x4") = (uint64_t)&request[0];
  __asm__ volatile("ror x12, x12, #3\n\tror x12, x12, #13\n\tror x12, x12, #51\n\tror x12, x12, #61\n\torr x10, x10, x10"
                   : "+r"(x3)
                   : "r"(x4)
                   : "cc", "memory");
  return x3 != 0;
#endif
}

void mlos_set_state(uint32_t state, uint32_t reason) {
  struct mlos_header *header = mlos_agent.header;
  if (!header)
    return;
  __atomic_store_n(&header->state, state, __ATOMIC_RELAXED);
  __atomic_store_n(&header->reason, reason, __ATOMIC_RELEASE);
  mlos_event(MLOS_EVENT_STATE, 0, (int64_t)((uint64_t)state << 32 | reason), NULL);
}

void mlos_set_reason(uint32_t reason) {
  if (mlos_agent.header && mlos_agent.header->reason != reason)
    mlos_set_state(mlos_agent.header->state, reason);
}

void mlos_become(uint32_t mode) {
  if (mode == MLOS_MODE_LOADER_ONLY || mode == MLOS_MODE_OFF)
    mlos_heap_end(MLOS_HEAP_END_NOT_COUNTING);
  mlos_forward_only((mode == MLOS_MODE_OFF || mode == MLOS_MODE_LOADER_ONLY) && mlos_arena_is_empty() && mlos_real.malloc &&
                    mlos_real.free);

  atomic_store_explicit(&mlos_agent.mode, mode, memory_order_release);
}

static void describe(void) {
  struct mlos_header *header = mlos_agent.header;
  header->allocator = mlos_allocator_facts.allocator;
  const char *version = gnu_get_libc_version();
  if (version[0] == '2' && version[1] == '.')
    header->glibc_minor = (uint32_t)((version[2] - '0') * 10 + (version[3] - '0'));
}

static void check_tid_offset(void) {
#if defined(__x86_64__)
  mlos_agent.tcb_tid = true;
  uint32_t guess = mlos_thread_id();
  mlos_agent.tcb_tid = guess == (uint32_t)mlos_sys(SYS_gettid, 0, 0, 0, 0);
#endif
}

/* tcmalloc allocates in its first malloc_usable_size, and would be asked for that block's size in turn. Nothing is counted
   yet: the mode is STARTING. */
static void ask_once(void) {
  void *block = mlos_real.malloc(1);
  if (block)
    mlos_real.malloc_usable_size(block);
  mlos_real.free(block);
}

static void activate(void) {
  if (!mlos_segment_create()) {
    mlos_become(MLOS_MODE_OFF);
    return;
  }
  describe();
  if (!mlos_allocator_facts.one_object) {
    mlos_set_state(MLOS_STATE_LOADER_ONLY, MLOS_REASON_MIXED_ALLOCATOR);
    mlos_become(MLOS_MODE_LOADER_ONLY);
    return;
  }
  if (mlos_allocator_facts.allocator != MLOS_ALLOCATOR_GLIBC)
    ask_once();
  /* Somebody between us and the allocator replaces operator new, and may call the allocator's. */
  mlos_agent.cxx_bypasses = mlos_allocator_facts.defines_new && !mlos_in_allocator((const void *)mlos_real._Znwm);
  mlos_become(MLOS_MODE_COUNTING);
}

static void first_call(void) {
  mlos_resolve();
  mlos_agent.pid = (pid_t)mlos_sys(SYS_getpid, 0, 0, 0, 0);
  if (getauxval(AT_SECURE) || mlos_sanitizer_present || under_valgrind())
    mlos_become(MLOS_MODE_OFF);
  else
    activate();
}

bool mlos_start(void) {
  uint32_t mode = mlos_mode();
  if (mode == MLOS_MODE_NEW) {
    mlos_become(MLOS_MODE_STARTING);
    first_call();
  }
  return mlos_real.malloc != NULL && mlos_mode() != MLOS_MODE_STARTING;
}

void mlos_enter_child(void) {
  mlos_thread.forking = 0;
  mlos_thread.child_seen = 1;
  mlos_thread.self = mlos_thread.saved = NULL;
  mlos_forks_in_child();
  mlos_agent.mode_after_fork = mlos_mode();
  mlos_become(MLOS_MODE_CHILD);
}

bool mlos_ready(void) {
  /* Handlers of others may run in the child before ours; a clone with its own stack runs none. */
  if (mlos_unlikely(mlos_thread.forking) && mlos_sys(SYS_getpid, 0, 0, 0, 0) != mlos_agent.pid)
    mlos_enter_child();
  uint32_t mode = mlos_mode();
  if (mode == MLOS_MODE_CHILD) {
    uint32_t expected = MLOS_MODE_CHILD;
    if (!atomic_compare_exchange_strong(&mlos_agent.mode, &expected, MLOS_MODE_STARTING))
      return false;
    mlos_heap_after_fork();
    if (!mlos_segment_renew_in_child()) {
      mlos_become(MLOS_MODE_OFF);
      return false;
    }
    atomic_store(&mlos_agent.claiming, 0);
    atomic_store(&mlos_agent.exchanging, false);
    atomic_flag_clear(&mlos_agent.modules_lock);
    mlos_thread.self = mlos_thread.saved = NULL;
    mlos_thread.deferred = mlos_thread.overflowed = mlos_thread.inside = mlos_thread.closing = 0;
    check_tid_offset();
    mlos_requests_after_fork();
    mlos_cache_after_fork();
    mlos_deferred_forget();
    mlos_python_after_fork();
    mlos_link_after_fork();
    mlos_control_after_fork();
    mlos_cooperate_after_fork();
    mlos_agent.start_ms = mlos_coarse_ms();
    atomic_store(&mlos_agent.modules_pending, true);
    atomic_store(&mlos_agent.next_due_ms, 0);
    mlos_become(mlos_agent.mode_after_fork);
    return true;
  }
  return mode == MLOS_MODE_COUNTING || mode == MLOS_MODE_LOADER_ONLY;
}

static const char *value_in(char *const envp[], const char *name) {
  size_t length = strlen(name);
  for (; envp && *envp; envp++)
    if (strncmp(*envp, name, length) == 0 && (*envp)[length] == '=')
      return *envp + length + 1;
  return NULL;
}

static bool is(const char *value, const char *expected) {
  return value && strcmp(value, expected) == 0;
}

/* A constructor that ran before this one has forked, and its child goes on here. */
static void follow_early_fork(void) {
  if (mlos_sys(SYS_getpid, 0, 0, 0, 0) == mlos_agent.pid)
    return;
  mlos_segment_sums(mlos_agent.header, mlos_thread.fork_sums);
  mlos_enter_child();
  mlos_thread.child_seen = 0;
  mlos_ready();
}

__attribute__((constructor)) static void begin(int argc, char **argv, char **envp) {
  int saved_errno = errno;
  mlos_start();
  /* The environment is known only here; what was allocated before is then missing from the counts. */
  if (is(value_in(envp, MLOS_ENV_IGNORE_VALGRIND), "1") && under_valgrind() && !mlos_sanitizer_present && !getauxval(AT_SECURE))
    activate();
  if (mlos_mode() == MLOS_MODE_OFF)
    return;
  if (is(value_in(envp, MLOS_ENV_DISABLE), "1")) {
    mlos_set_state(MLOS_STATE_INERT, MLOS_REASON_DISABLED);
    mlos_thread = (struct mlos_thread){0};
    mlos_become(MLOS_MODE_OFF);
    return;
  }
  follow_early_fork();
  check_tid_offset();
  mlos_agent.filter_inherited = mlos_sys(SYS_prctl, PR_GET_SECCOMP, 0, 0, 0) > 0;
  mlos_agent.thread_allowed = !is(value_in(envp, MLOS_ENV_THREAD), "never") && !mlos_agent.filter_inherited;
  mlos_exec_remember(envp);
  mlos_link_read_environment(envp);
  mlos_fork_install();
  if (mlos_mode() == MLOS_MODE_COUNTING)
    mlos_set_state(MLOS_STATE_ACTIVE, MLOS_REASON_NONE);
  mlos_rules_read_environment(envp);
  mlos_cache_start(envp);
  mlos_modules_refresh(true);
  mlos_agent.start_ms = mlos_coarse_ms();
  mlos_agent.started = true;
  mlos_link_connect(mlos_agent.start_ms);
  if (mlos_agent.filter_inherited) {
    if (!mlos_link_is_up())
      mlos_link_forbid();
    mlos_set_reason(MLOS_REASON_SECCOMP);
  }
  mlos_thread.inside = 1;
  mlos_housekeeping(mlos_agent.start_ms);
  mlos_thread.inside = 0;
  mlos_cooperate_start(mlos_agent.thread_allowed);
  errno = saved_errno;
}

#pragma clang attribute pop
