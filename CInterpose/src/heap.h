/*
 * Heap profiling: sampling of allocations on request (mlos_heap.h). While none is under way, malloc and free do not know of
 * it, and the other hooks look at one word in a line they have already read.
 */
#ifndef MLOS_HEAP_PRIVATE_H
#define MLOS_HEAP_PRIVATE_H

#include "counters.h"
#include "mlos_heap.h"

/* heap.c: the life of a profile. */
/* Takes over the descriptor, -1 for none. 0, or enum mlos_heap_refusal. */
uint32_t mlos_heap_start(int descriptor);
/* False: none was under way. */
bool mlos_heap_end(uint32_t reason); /* enum mlos_heap_end */
void mlos_heap_settle(void);         /* waits, at most 100 ms, until no thread is in the middle of a sample */
void mlos_heap_after_fork(void);
/* Answers HEAP_START and HEAP_STOP with an enum mlos_result_status. */
uint32_t mlos_heap_command(const struct mlos_command *command, int64_t *value);
/* The segment, and the promise that it stays mapped until mlos_heap_leave; NULL: no profile any more. */
struct mlos_heap_header *mlos_heap_enter(void);
void mlos_heap_leave(void);

/* heap_rate.c: how many samples a second. */
void mlos_heap_rate_begin(uint32_t limit_a_second, uint64_t now_ns);
bool mlos_heap_rate_admits(struct mlos_heap_header *header, uint64_t now_ns);

/* heap_live.c: the table of live samples. */
void mlos_heap_live_begin(void);
bool mlos_heap_live_insert(struct mlos_heap_header *header, const struct mlos_heap_live *entry);
bool mlos_heap_live_remove(struct mlos_heap_header *header, uint64_t address, struct mlos_heap_live *removed);

/* heap_sample.c: called by the hooks. */
/* The thread's countdown is over: perhaps takes a sample. */
__attribute__((noinline)) void mlos_heap_due(struct mlos_slot *slot, const void *memory, size_t bytes);
/* The block is about to be freed or resized and may be a live sample. False: it was none. */
__attribute__((noinline)) bool mlos_heap_forget(const void *memory, struct mlos_heap_live *entry);
/* It was not resized after all. */
void mlos_heap_restore(const struct mlos_heap_live *entry);

/* How many live samples have an address of this hash; 255 stays 255. In the agent's own memory, so that looking needs no
   promise about the segment. Untouched before the first profile. */
mlos_private extern _Atomic uint8_t mlos_heap_tags[MLOS_HEAP_LIVE_CAPACITY];

static inline uint32_t mlos_heap_hash(uint64_t address) {
  return (uint32_t)((address >> 4) * 0x9E3779B97F4A7C15ull >> 48);
}
static inline bool mlos_heap_may_be_live(const void *memory) {
  return atomic_load_explicit(&mlos_heap_tags[mlos_heap_hash((uintptr_t)memory)], memory_order_relaxed) != 0;
}

/* After an allocation was counted in this slot. */
static inline void mlos_heap_count(struct mlos_slot *slot, const void *memory, size_t bytes) {
  slot->sample_countdown -= (int64_t)bytes;
  if (mlos_unlikely(slot->sample_countdown <= 0))
    mlos_heap_due(slot, memory, bytes);
}
static inline void mlos_heap_allocated(struct mlos_slot *slot, const void *memory, size_t bytes) {
  if (mlos_unlikely(mlos_hot.sampling) && slot != &mlos_agent.header->overflow)
    mlos_heap_count(slot, memory, bytes);
}
/* Before a free. */
static inline void mlos_heap_freed(const void *memory) {
  if (mlos_unlikely(mlos_hot.sampling) && mlos_heap_may_be_live(memory))
    mlos_heap_forget(memory, NULL);
}

#endif
