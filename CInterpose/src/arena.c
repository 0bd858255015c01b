/*
 * Memory for the few allocations that can arrive while the real malloc is being looked up: when another library
 * interposes dl_iterate_phdr and allocates in it. Never given back. Single thread by construction (mlos_start).
 */
#include "agent.h"

/* 16 KiB: glibc's own start-up needs below 2 KiB. Untouched, it costs no memory. */
#define ARENA_BYTES 16384u
static _Alignas(64) uint8_t arena[ARENA_BYTES];
static size_t arena_used;

void *mlos_arena_allocate(size_t size, size_t alignment) {
  if (alignment < 16)
    alignment = 16;
  size_t start = (arena_used + sizeof(size_t) + alignment - 1) & ~(alignment - 1);
  if (size > ARENA_BYTES || start > ARENA_BYTES - size)
    return NULL;
  arena_used = start + size;
  /* Bit 1 sends mlos_usable_size to the slow path, which knows the arena. */
  ((size_t *)(void *)(arena + start))[-1] = (size << 3) | 2;
  return arena + start;
}

bool mlos_arena_owns(const void *memory) {
  return (uintptr_t)memory - (uintptr_t)arena < ARENA_BYTES;
}
size_t mlos_arena_usable_size(const void *memory) {
  return ((const size_t *)memory)[-1] >> 3;
}
bool mlos_arena_is_empty(void) {
  return arena_used == 0;
}
