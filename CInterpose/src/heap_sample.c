/*
 * Taking a sample: draw the next countdown, copy registers and stack, publish. Runs in the middle of a host thread's
 * malloc with all signals blocked, allocates nothing and waits for nobody. Integers only: floating point would set the
 * host's exception flags.
 */
#include "heap.h"
#include "sys.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>

/* -log2 of a fraction, in 1/2^32: bit by bit, by squaring. `random` is the fraction in 1/2^64. */
static uint64_t minus_log2(uint64_t random) {
  if (random == 0)
    random = 1;
  uint32_t zeros = (uint32_t)__builtin_clzll(random);
  uint64_t mantissa = random << zeros; /* 1.63 fixed point, at least 1 */
  uint64_t fraction = 0;
  for (int bit = 31; bit >= 0; bit--) {
    unsigned __int128 square = (unsigned __int128)mantissa * mantissa; /* 2.126 */
    bool two_or_more = square >> 127;
    mantissa = (uint64_t)(square >> (two_or_more ? 64 : 63));
    fraction |= (uint64_t)two_or_more << bit;
  }
  return ((uint64_t)(zeros + 1) << 32) - fraction;
}

/* SplitMix64: https://prng.di.unimi.it/splitmix64.c */
static uint64_t next_random(uint64_t *state) {
  uint64_t z = *state += 0x9E3779B97F4A7C15ull;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ z >> 27) * 0x94D049BB133111EBull;
  return z ^ z >> 31;
}

/* From the exponential distribution with this mean; at least 1. */
static int64_t draw(struct mlos_slot *slot, uint64_t mean) {
  const uint64_t ln2 = 2977044472ull; /* in 1/2^32 */
  unsigned __int128 product = (unsigned __int128)minus_log2(next_random(&slot->sample_random)) * ln2 >> 32;
  product = product * mean >> 32;
  return product >= INT64_MAX ? INT64_MAX : (int64_t)product + 1;
}

static uint64_t mean_after(const struct mlos_heap_header *header, uint32_t doublings) {
  return header->mean << (doublings & 31);
}

/* Draws with the mean of now. */
static int64_t draw_next(struct mlos_slot *slot, const struct mlos_heap_header *header) {
  uint32_t doublings = __atomic_load_n(&header->doublings, __ATOMIC_RELAXED) & 31;
  slot->sample_drawn = doublings + 1;
  return draw(slot, mean_after(header, doublings));
}

/* A place in the ring that is ours to fill; NULL: full. */
static struct mlos_heap_record *reserve(struct mlos_heap_header *header, uint64_t *index) {
  uint64_t position = __atomic_load_n(&header->ring_head, __ATOMIC_RELAXED);
  struct mlos_heap_record *ring = (struct mlos_heap_record *)(void *)((uint8_t *)header + MLOS_HEAP_RING_OFFSET);
  for (;;) {
    struct mlos_heap_record *record = &ring[position & (MLOS_HEAP_RING_CAPACITY - 1)];
    int64_t ahead = (int64_t)(__atomic_load_n(&record->sequence, __ATOMIC_ACQUIRE) - position);
    if (ahead < 0)
      return NULL;
    if (ahead > 0) {
      position = __atomic_load_n(&header->ring_head, __ATOMIC_RELAXED);
      continue;
    }
    if (__atomic_compare_exchange_n(&header->ring_head, &position, position + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
      *index = position;
      return record;
    }
  }
}

/* The registers that calls preserve, as they are here, and where here is. */
static inline __attribute__((always_inline)) void capture_registers(struct mlos_heap_record *record) {
#if defined(__x86_64__)
  __asm__ volatile("movq %%rsp, 8(%0)\n\tmovq %%rbx, 16(%0)\n\tmovq %%rbp, 24(%0)\n\tmovq %%r12, 32(%0)\n\t"
                   "movq %%r13, 40(%0)\n\tmovq %%r14, 48(%0)\n\tmovq %%r15, 56(%0)\n\t"
                   "leaq 1f(%%rip), %%rax\n\tmovq %%rax, 0(%0)\n1:"
                   :
                   : "r"(&record->pc)
                   : "rax", "memory");
#elif defined(__aarch64__)
  __asm__ volatile("mov x9, sp\n\tstr x9, [%0, 8]\n\tstp x19, x20, [%0, 16]\n\tstp x21, x22, [%0, 32]\n\t"
                   "stp x23, x24, [%0, 48]\n\tstp x25, x26, [%0, 64]\n\tstp x27, x28, [%0, 80]\n\tstp x29, x30, [%0, 96]\n\t"
                   "adr x9, 1f\n\tstr x9, [%0, 0]\n1:"
                   :
                   : "r"(&record->pc)
                   : "x9", "memory");
#endif
}

/* How much to copy: glibc keeps a thread's control block above its stack, and what lies beyond it is nothing of the stack. The
   main thread's block lies elsewhere. */
static uint32_t wanted_bytes(uint64_t sp) {
#if defined(__x86_64__)
  uint64_t block;
  __asm__("movq %%fs:0x10, %0" : "=r"(block));
  if (block > sp && block - sp < MLOS_HEAP_STACK_BYTES)
    return (uint32_t)(block - sp);
#endif
  return MLOS_HEAP_STACK_BYTES;
}

/* The kernel copies, and stops where nothing is mapped: no bounds of the stack need to be known, be it a thread's, a
   coroutine's or a signal handler's. 0: it refuses. */
static uint32_t copy_stack(struct mlos_heap_record *record) {
  uint32_t wanted = wanted_bytes(record->sp);
  struct iovec to = {record->stack, wanted}, from = {(void *)(uintptr_t)record->sp, wanted};
  long pid = mlos_sys(SYS_getpid, 0, 0, 0, 0);
  long copied = mlos_sys6(SYS_process_vm_readv, pid, (long)&to, 1, (long)&from, 1, 0);
  return copied < 0 ? 0 : (uint32_t)copied;
}

/* A function of its own, whose frame is there while its stack is copied. */
static __attribute__((noinline)) void publish(struct mlos_heap_header *header, const struct mlos_heap_live *entry,
                                              uint64_t now_ns) {
  uint64_t index;
  struct mlos_heap_record *record = reserve(header, &index);
  if (!record) {
    __atomic_fetch_add(&header->ring_lost, 1, __ATOMIC_RELAXED);
    return;
  }
  record->id = entry->id;
  record->bytes = entry->bytes;
  record->mean = entry->mean;
  record->time_ns = now_ns;
  record->tid = mlos_thread_id();
  capture_registers(record);
  record->stack_bytes = copy_stack(record);
  __atomic_store_n(&record->sequence, index + 1, __ATOMIC_RELEASE);
}

static void take(struct mlos_heap_header *header, const void *memory, size_t bytes, uint64_t mean) {
  uint64_t now_ns = mlos_now_ns();
  struct mlos_heap_live entry = {.address = (uintptr_t)memory,
                                 .id = __atomic_fetch_add(&header->samples, 1, __ATOMIC_RELAXED) + 1,
                                 .bytes = bytes,
                                 .mean = mean};
  if (!mlos_heap_rate_admits(header, now_ns)) {
    __atomic_fetch_add(&header->throttled, 1, __ATOMIC_RELAXED);
    return;
  }
  uint64_t all = ~0ull, before;
  mlos_sys(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof before);
  /* The table first: a reader of the record finds the block there unless it is gone again. */
  if (!mlos_heap_live_insert(header, &entry))
    __atomic_fetch_add(&header->live_lost, 1, __ATOMIC_RELAXED);
  publish(header, &entry, now_ns);
  mlos_sys(SYS_rt_sigprocmask, SIG_SETMASK, &before, 0, sizeof before);
}

static bool may_touch(void) {
  /* A child that was not recognised yet would write into its parent's profile. */
  return !mlos_thread.forking || mlos_sys(SYS_getpid, 0, 0, 0, 0) == mlos_agent.pid;
}

void mlos_heap_due(struct mlos_slot *slot, const void *memory, size_t bytes) {
  struct mlos_heap_header *header = mlos_heap_enter();
  if (!header)
    return;
  bool over = false;
  if (slot->sample_drawn == 0) {
    /* Its first since the profile began: what was counted so far is in the countdown, below zero. */
    if (slot->sample_random == 0)
      slot->sample_random = mlos_now_ns() ^ (uint64_t)(uintptr_t)slot << 32 ^ (uint64_t)slot->tid << 16;
    slot->sample_countdown += draw_next(slot, header);
  }
  if (slot->sample_countdown <= 0) {
    uint64_t mean = mean_after(header, slot->sample_drawn - 1);
    slot->sample_countdown = draw_next(slot, header);
    over = mlos_now_ns() > header->deadline_ns;
    if (!over && may_touch())
      take(header, memory, bytes, mean);
  }
  mlos_heap_leave();
  if (over)
    mlos_heap_end(MLOS_HEAP_END_DEADLINE);
}

bool mlos_heap_forget(const void *memory, struct mlos_heap_live *entry) {
  if (!may_touch())
    return false;
  struct mlos_heap_header *header = mlos_heap_enter();
  if (!header)
    return false;
  bool found = mlos_heap_live_remove(header, (uintptr_t)memory, entry);
  mlos_heap_leave();
  return found;
}

void mlos_heap_restore(const struct mlos_heap_live *entry) {
  struct mlos_heap_header *header = mlos_heap_enter();
  if (!header)
    return;
  if (!mlos_heap_live_insert(header, entry))
    __atomic_fetch_add(&header->live_lost, 1, __ATOMIC_RELAXED);
  mlos_heap_leave();
}
