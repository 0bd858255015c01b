/*
 * The hot path: what a malloc or free adds to its real work.
 *
 * A counter is raised by one instruction that reads, adds and writes memory. A plain load and store would do for one
 * owner, but the pages under the slots are exchanged when a supervisor comes late (segment.c), and an addition must fall
 * wholly on the old or wholly on the new page.
 */
#ifndef MLOS_COUNTERS_H
#define MLOS_COUNTERS_H

#include "agent.h"
#include "hooks.h"

/* Allocations of one thread between two looks at the clock, and the bytes of one that are a reason for a look by themselves: a
   program of few, large allocations would else not answer for a long time. A look costs as much as a small allocation. */
#define MLOS_TICK_ALLOCATIONS 128u
#define MLOS_TICK_BYTES 65536u

struct mlos_hot {
  mlos_malloc_function *malloc;
  mlos_free_function *free;
  uint64_t header_layout; /* 1: sizes are read from glibc's chunk headers, which were compared with malloc_usable_size */
  uint64_t sampling;      /* 1: a heap profile is under way (heap.h); malloc and free then point to what samples */
};
mlos_private extern struct mlos_hot mlos_hot;
void mlos_forward_only(bool on);
void mlos_route_sampling(bool on);
/* By malloc_usable_size, or the arena. Out of line, so that the hot path keeps few registers. */
__attribute__((noinline)) size_t mlos_usable_size_slow(const void *memory);

static inline void mlos_add(uint64_t *counter, uint64_t value) {
#if defined(__x86_64__)
  __asm__("addq %1, %0" : "+m"(*counter) : "er"(value) : "cc");
#else
  __atomic_fetch_add(counter, value, __ATOMIC_RELAXED);
#endif
}

/* Bytes of a live, non-null allocation. glibc's chunk: the word before the user's bytes holds the chunk's size, its low
   three bits are flags, and bit 1 marks a chunk with a mapping of its own, which is left to malloc_usable_size. So is the
   bootstrap arena: its blocks carry that bit. */
static inline size_t mlos_usable_size(const void *memory) {
  if (mlos_likely(mlos_hot.header_layout)) {
    size_t word = ((const size_t *)memory)[-1];
    if (mlos_likely(!(word & 2)))
      return (word & ~(size_t)7) - sizeof(size_t);
  }
  return mlos_usable_size_slow(memory);
}

static inline void mlos_count_allocation(struct mlos_slot *slot, size_t bytes) {
  mlos_add(&slot->allocations, 1);
  mlos_add(&slot->bytes_allocated, bytes);
}

static inline void mlos_count_free(struct mlos_slot *slot, size_t bytes) {
  mlos_add(&slot->frees, 1);
  mlos_add(&slot->bytes_freed, bytes);
}

/* After it was counted. */
static inline bool mlos_tick_due(const struct mlos_slot *slot, size_t bytes) {
  return (slot->allocations & (MLOS_TICK_ALLOCATIONS - 1)) == 0 || bytes >= MLOS_TICK_BYTES;
}

static inline struct mlos_slot *mlos_slot_of_thread(const void *caller) {
  struct mlos_slot *slot = mlos_thread.self;
  return mlos_likely(slot != NULL) ? slot : mlos_slot_slow(caller);
}

static inline void mlos_add_allocation(struct mlos_slot *slot, size_t bytes, const void *caller) {
  if (mlos_unlikely(slot == &mlos_agent.header->overflow)) {
    __atomic_fetch_add(&slot->allocations, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&slot->bytes_allocated, bytes, __ATOMIC_RELAXED);
    return;
  }
  mlos_count_allocation(slot, bytes);
  if (mlos_unlikely(mlos_tick_due(slot, bytes)))
    mlos_tick(slot, caller);
}

static inline void mlos_add_free(struct mlos_slot *slot, size_t bytes) {
  if (mlos_unlikely(slot == &mlos_agent.header->overflow)) {
    __atomic_fetch_add(&slot->frees, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&slot->bytes_freed, bytes, __ATOMIC_RELAXED);
    return;
  }
  mlos_count_free(slot, bytes);
}

#endif
