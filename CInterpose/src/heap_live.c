/*
 * The table of live samples, in the segment: hashed by address, a few places for each, no list and no lock. A block's entry
 * is made after its allocation and taken out before its free, so at any time there is one for an address at most, and one
 * thread that may touch it.
 */
#include "heap.h"
#include <string.h>

#define BEING_WRITTEN 1u

_Atomic uint8_t mlos_heap_tags[MLOS_HEAP_LIVE_CAPACITY];

void mlos_heap_live_begin(void) {
  memset((void *)mlos_heap_tags, 0, sizeof mlos_heap_tags);
}

static struct mlos_heap_live *place_of(struct mlos_heap_header *header, uint32_t hash, uint32_t way) {
  struct mlos_heap_live *table = (struct mlos_heap_live *)(void *)((uint8_t *)header + MLOS_HEAP_LIVE_OFFSET);
  return &table[(hash + way) % MLOS_HEAP_LIVE_CAPACITY];
}

static void tag(uint32_t hash, int change) {
  uint8_t count = atomic_load_explicit(&mlos_heap_tags[hash], memory_order_relaxed);
  while (count != UINT8_MAX && !(count == 0 && change < 0) &&
         !atomic_compare_exchange_weak(&mlos_heap_tags[hash], &count, (uint8_t)(count + change)))
    ;
}

bool mlos_heap_live_remove(struct mlos_heap_header *header, uint64_t address, struct mlos_heap_live *removed) {
  uint32_t hash = mlos_heap_hash(address);
  for (uint32_t way = 0; way < MLOS_HEAP_LIVE_WAYS; way++) {
    struct mlos_heap_live *place = place_of(header, hash, way);
    if (__atomic_load_n(&place->address, __ATOMIC_ACQUIRE) != address)
      continue;
    if (removed)
      *removed = *place;
    __atomic_store_n(&place->address, 0, __ATOMIC_RELEASE);
    tag(hash, -1);
    return true;
  }
  return false;
}

bool mlos_heap_live_insert(struct mlos_heap_header *header, const struct mlos_heap_live *entry) {
  uint32_t hash = mlos_heap_hash(entry->address);
  /* Freed behind our back (by the allocator's own functions), and handed out again. */
  if (atomic_load_explicit(&mlos_heap_tags[hash], memory_order_relaxed))
    mlos_heap_live_remove(header, entry->address, NULL);
  for (uint32_t way = 0; way < MLOS_HEAP_LIVE_WAYS; way++) {
    struct mlos_heap_live *place = place_of(header, hash, way);
    uint64_t empty = 0;
    if (!__atomic_compare_exchange_n(&place->address, &empty, BEING_WRITTEN, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
      continue;
    place->id = entry->id;
    place->bytes = entry->bytes;
    place->mean = entry->mean;
    __atomic_store_n(&place->address, entry->address, __ATOMIC_RELEASE);
    tag(hash, 1);
    return true;
  }
  return false;
}
