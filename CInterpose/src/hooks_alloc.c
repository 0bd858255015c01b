/*
 * The malloc family. Order in every hook: on allocation the real call first, then the count; on free the count first,
 * while the block is still ours to look at.
 */
#include "agent.h"
#include "counters.h"
#include "heap.h"
#include <errno.h>
#include <string.h>

/* Where malloc and free go: to the functions that count, or straight to the real ones. One indirect jump more for those
   who count, so that a process that does not pays for that jump only. */
static void *counting_malloc(size_t size);
static void counting_free(void *memory);
static void *header_malloc(size_t size);
static void header_free(void *memory);
static void *sampling_malloc(size_t size);
static void sampling_free(void *memory);
struct mlos_hot mlos_hot = {.malloc = counting_malloc, .free = counting_free};

static void route_counting(void) {
  bool by_header = mlos_hot.header_layout;
  __atomic_store_n(&mlos_hot.malloc, by_header ? header_malloc : counting_malloc, __ATOMIC_RELEASE);
  __atomic_store_n(&mlos_hot.free, by_header ? header_free : counting_free, __ATOMIC_RELEASE);
}

/* The layout is known from now on. A thread that starts or ends a profile at this moment leaves the slower functions. */
static void route_by_header(void) {
  mlos_malloc_function *slower_malloc = counting_malloc;
  mlos_free_function *slower_free = counting_free;
  mlos_hot.header_layout = 1;
  __atomic_compare_exchange_n(&mlos_hot.malloc, &slower_malloc, header_malloc, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
  __atomic_compare_exchange_n(&mlos_hot.free, &slower_free, header_free, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

void mlos_forward_only(bool on) {
  mlos_hot.sampling = 0;
  if (on) {
    mlos_hot.malloc = mlos_real.malloc;
    mlos_hot.free = mlos_real.free;
  } else {
    route_counting();
  }
  mlos_operators_settle(on);
}

/* Only between counting and sampling; other threads may be in either meanwhile, and both count. */
void mlos_route_sampling(bool on) {
  bool counts = mlos_hot.malloc != mlos_real.malloc;
  __atomic_store_n(&mlos_hot.sampling, on && counts, __ATOMIC_RELEASE);
  if (counts && on) {
    __atomic_store_n(&mlos_hot.malloc, sampling_malloc, __ATOMIC_RELEASE);
    __atomic_store_n(&mlos_hot.free, sampling_free, __ATOMIC_RELEASE);
  } else if (counts) {
    route_counting();
  }
}

void *mlos_hook_malloc(size_t size) {
  __attribute__((musttail)) return mlos_hot.malloc(size);
}
void mlos_hook_free(void *memory) {
  __attribute__((musttail)) return mlos_hot.free(memory);
}

#define CALLER() __builtin_return_address(0)

/* Chunk sizes are read from memory only after this many blocks agreed with malloc_usable_size. */
#define LAYOUT_SAMPLES 32u

/* Compares glibc's chunk header with malloc_usable_size on the host's own first blocks. Only for glibc's malloc without the
   hooks that were removed in 2.34, which could put another layout in its place at any time. */
static void sample_layout(const void *memory, size_t usable) {
  static _Atomic uint32_t agreed;
  const struct mlos_header *header = mlos_agent.header;
  uint32_t so_far = atomic_load_explicit(&agreed, memory_order_relaxed);
  if (so_far >= LAYOUT_SAMPLES || !header || header->allocator != MLOS_ALLOCATOR_GLIBC || header->glibc_minor < 34)
    return;
  size_t word = ((const size_t *)memory)[-1];
  if (word & 2)
    return;
  if ((word & ~(size_t)7) - sizeof(size_t) != usable)
    atomic_store_explicit(&agreed, UINT32_MAX, memory_order_relaxed);
  else if (atomic_compare_exchange_strong(&agreed, &so_far, so_far + 1) && so_far + 1 == LAYOUT_SAMPLES)
    route_by_header();
}

size_t mlos_usable_size_slow(const void *memory) {
  if (mlos_unlikely(mlos_arena_owns(memory)))
    return mlos_arena_usable_size(memory);
  size_t usable = mlos_real.malloc_usable_size((void *)(uintptr_t)memory);
  if (mlos_unlikely(!mlos_hot.header_layout) && mlos_mode() == MLOS_MODE_COUNTING)
    sample_layout(memory, usable);
  return usable;
}

static void *counted(void *memory, const void *caller) {
  if (memory) {
    struct mlos_slot *slot = mlos_slot_of_thread(caller);
    if (slot) {
      size_t bytes = mlos_usable_size(memory);
      mlos_add_allocation(slot, bytes, caller);
      mlos_heap_allocated(slot, memory, bytes);
    }
  }
  return memory;
}

static __attribute__((noinline)) void *slow_malloc(size_t size, const void *caller) {
  if (mlos_unlikely(!mlos_start()))
    return mlos_real.malloc ? mlos_real.malloc(size) : mlos_arena_allocate(size, 16);
  void *memory = mlos_real.malloc(size);
  if (!memory)
    return NULL;
  struct mlos_slot *slot = mlos_slot_slow(caller);
  if (slot) {
    size_t bytes = mlos_usable_size_slow(memory);
    mlos_add_allocation(slot, bytes, caller);
    mlos_heap_allocated(slot, memory, bytes);
  }
  return memory;
}

/* A thread without a slot: it is its first call, or something special is going on. */
static __attribute__((noinline)) void *malloc_without_slot(size_t size) {
  return slow_malloc(size, CALLER());
}

/* What is seldom needed is called last, so that the hot path keeps few registers. */
static __attribute__((noinline)) void *ticked(void *memory, struct mlos_slot *slot, const void *caller) {
  mlos_tick(slot, caller);
  return memory;
}

static __attribute__((noinline)) void *count_by_usable_size(void *memory, struct mlos_slot *slot, const void *caller) {
  size_t bytes = mlos_usable_size_slow(memory);
  mlos_count_allocation(slot, bytes);
  return mlos_unlikely(mlos_tick_due(slot, bytes)) ? ticked(memory, slot, caller) : memory;
}

/* Two of it: one for as long as the layout of glibc's chunks has not been verified, and wherever it never will be. */
#define COUNTING_MALLOC(name, size_word)                                                                                         \
  static void *name(size_t size) {                                                                                               \
    struct mlos_slot *slot = mlos_thread.self;                                                                                   \
    if (mlos_unlikely(!slot))                                                                                                    \
      __attribute__((musttail)) return malloc_without_slot(size);                                                                \
    void *memory = mlos_real.malloc(size);                                                                                       \
    if (mlos_unlikely(!memory))                                                                                                  \
      return NULL;                                                                                                               \
    size_t word = (size_word);                                                                                                   \
    if (mlos_unlikely(word & 2))                                                                                                 \
      return count_by_usable_size(memory, slot, CALLER());                                                                       \
    size_t bytes = (word & ~(size_t)7) - sizeof(size_t);                                                                         \
    mlos_count_allocation(slot, bytes);                                                                                          \
    if (mlos_unlikely(mlos_tick_due(slot, bytes)))                                                                               \
      return ticked(memory, slot, CALLER());                                                                                     \
    return memory;                                                                                                               \
  }
COUNTING_MALLOC(counting_malloc, mlos_hot.header_layout ? ((const size_t *)memory)[-1] : 2)
COUNTING_MALLOC(header_malloc, ((const size_t *)memory)[-1])

static void *sampling_malloc(size_t size) {
  struct mlos_slot *slot = mlos_thread.self;
  if (mlos_unlikely(!slot))
    __attribute__((musttail)) return malloc_without_slot(size);
  void *memory = mlos_real.malloc(size);
  if (mlos_unlikely(!memory))
    return NULL;
  size_t bytes = mlos_usable_size(memory);
  mlos_count_allocation(slot, bytes);
  mlos_heap_count(slot, memory, bytes);
  if (mlos_unlikely(mlos_tick_due(slot, bytes)))
    mlos_tick(slot, CALLER());
  return memory;
}

static __attribute__((noinline)) void slow_free(void *memory) {
  if (mlos_arena_owns(memory) || !mlos_start())
    return;
  struct mlos_slot *slot = mlos_slot_slow(NULL);
  if (slot) {
    mlos_add_free(slot, mlos_usable_size_slow(memory));
    mlos_heap_freed(memory);
  }
  mlos_real.free(memory);
}

/* Sizes that the chunk header does not tell. */
static __attribute__((noinline)) void free_by_usable_size(void *memory) {
  if (mlos_unlikely(mlos_arena_owns(memory)))
    return;
  mlos_count_free(mlos_thread.self, mlos_usable_size_slow(memory));
  __attribute__((musttail)) return mlos_real.free(memory);
}

#define COUNTING_FREE(name, size_word)                                                                                           \
  static void name(void *memory) {                                                                                               \
    struct mlos_slot *slot = mlos_thread.self;                                                                                   \
    if (mlos_unlikely(!memory))                                                                                                  \
      return;                                                                                                                    \
    if (mlos_unlikely(!slot))                                                                                                    \
      __attribute__((musttail)) return slow_free(memory);                                                                        \
    size_t word = (size_word);                                                                                                   \
    if (mlos_unlikely(word & 2))                                                                                                 \
      __attribute__((musttail)) return free_by_usable_size(memory);                                                              \
    mlos_count_free(slot, (word & ~(size_t)7) - sizeof(size_t));                                                                 \
    __attribute__((musttail)) return mlos_real.free(memory);                                                                     \
  }
COUNTING_FREE(counting_free, mlos_hot.header_layout ? ((const size_t *)memory)[-1] : 2)
COUNTING_FREE(header_free, ((const size_t *)memory)[-1])

static void sampling_free(void *memory) {
  if (mlos_unlikely(!memory))
    return;
  /* Without a slot the thread may be a forked child's: that is found out first. */
  if (mlos_unlikely(mlos_heap_may_be_live(memory)) && mlos_thread.self)
    mlos_heap_forget(memory, NULL);
  __attribute__((musttail)) return counting_free(memory);
}

void *mlos_hook_calloc(size_t count, size_t size) {
  if (mlos_unlikely(!mlos_thread.self) && !mlos_start()) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
      return NULL;
    return mlos_real.calloc ? mlos_real.calloc(count, size) : mlos_arena_allocate(bytes, 16);
  }
  return counted(mlos_real.calloc(count, size), CALLER());
}

static void *resize(void *memory, size_t size, const void *caller) {
  if (mlos_unlikely(!mlos_thread.self) && !mlos_start())
    return NULL;
  if (mlos_unlikely(mlos_arena_owns(memory))) {
    void *moved = counted(mlos_real.malloc(size), caller);
    size_t old = mlos_arena_usable_size(memory);
    if (moved)
      memcpy(moved, memory, old < size ? old : size);
    return moved;
  }
  struct mlos_slot *slot = mlos_slot_of_thread(caller);
  if (!slot)
    return mlos_real.realloc(memory, size);
  size_t old = memory ? mlos_usable_size(memory) : 0;
  struct mlos_heap_live sample;
  bool sampled = mlos_unlikely(mlos_hot.sampling) && memory && mlos_heap_may_be_live(memory) && mlos_heap_forget(memory, &sample);
  void *moved = mlos_real.realloc(memory, size);
  /* A null result frees the block only when nothing was asked for. */
  if (memory && (moved || size == 0))
    mlos_add_free(slot, old);
  else if (mlos_unlikely(sampled))
    mlos_heap_restore(&sample);
  if (moved) {
    size_t bytes = mlos_usable_size(moved);
    mlos_add_allocation(slot, bytes, caller);
    mlos_heap_allocated(slot, moved, bytes);
  }
  return moved;
}

void *mlos_hook_realloc(void *memory, size_t size) {
  return resize(memory, size, CALLER());
}

/* The C library's own would come back through realloc, an allocator's may not exist: so it is done here. Not where the host has
   a malloc in front of ours: its block would go to a realloc that does not know it, and the C library's finds the host's. */
void *mlos_hook_reallocarray(void *memory, size_t count, size_t size) {
  size_t bytes;
  mlos_start();
  if (mlos_unlikely(mlos_allocator_facts.bypassed) && mlos_real.reallocarray)
    __attribute__((musttail)) return mlos_real.reallocarray(memory, count, size);
  if (__builtin_mul_overflow(count, size, &bytes)) {
    errno = ENOMEM;
    return NULL;
  }
  return resize(memory, bytes, CALLER());
}

/* Blocks of functions that the allocator in use lacks come from libc's malloc: they are passed on and not counted. */
static void *aligned(void *memory, const void *function, const void *caller) {
  return mlos_in_allocator(function) ? counted(memory, caller) : memory;
}

#define NEEDS_REAL(name, otherwise)                                                                                              \
  if ((mlos_unlikely(!mlos_thread.self) && !mlos_start()) || mlos_unlikely(!mlos_real.name)) {                                   \
    errno = ENOMEM;                                                                                                              \
    return otherwise;                                                                                                            \
  }

void *mlos_hook_memalign(size_t alignment, size_t size) {
  NEEDS_REAL(memalign, NULL)
  return aligned(mlos_real.memalign(alignment, size), (const void *)mlos_real.memalign, CALLER());
}

void *mlos_hook_aligned_alloc(size_t alignment, size_t size) {
  NEEDS_REAL(aligned_alloc, NULL)
  return aligned(mlos_real.aligned_alloc(alignment, size), (const void *)mlos_real.aligned_alloc, CALLER());
}

int mlos_hook_posix_memalign(void **result, size_t alignment, size_t size) {
  NEEDS_REAL(posix_memalign, ENOMEM)
  int error = mlos_real.posix_memalign(result, alignment, size);
  if (error == 0)
    aligned(*result, (const void *)mlos_real.posix_memalign, CALLER());
  return error;
}

void *mlos_hook_valloc(size_t size) {
  NEEDS_REAL(valloc, NULL)
  return aligned(mlos_real.valloc(size), (const void *)mlos_real.valloc, CALLER());
}

void *mlos_hook_pvalloc(size_t size) {
  NEEDS_REAL(pvalloc, NULL)
  return aligned(mlos_real.pvalloc(size), (const void *)mlos_real.pvalloc, CALLER());
}

/* C23. Where the C library has none, free does what they promise: the host's own. */
static void free_of_host(void *memory) {
  mlos_start();
  if (mlos_unlikely(mlos_allocator_facts.bypassed) && mlos_allocator_facts.front_free)
    mlos_allocator_facts.front_free(memory);
  else
    mlos_hook_free(memory);
}
void mlos_hook_free_sized(void *memory, size_t size) {
  free_of_host(memory);
}
void mlos_hook_free_aligned_sized(void *memory, size_t alignment, size_t size) {
  free_of_host(memory);
}

size_t mlos_hook_malloc_usable_size(void *memory) {
  if (!memory || (mlos_unlikely(!mlos_thread.self) && !mlos_start()))
    return 0;
  return mlos_usable_size_slow(memory);
}
