/*
 * operator new and delete.
 *
 * libstdc++'s and libc++'s call malloc and free, where they are counted; they are reached by a jump and never seen again.
 * jemalloc, tcmalloc and mimalloc define their own, which are counted here. Some versions of these call malloc after all,
 * through the symbol, and so arrive at our hook: whether one does is seen in its first call, and from then on it is jumped
 * to as well. Exceptions pass through; nothing is held while a real operator runs.
 */
#include "agent.h"
#include "counters.h"
#include "heap.h"

#define OPERATORS(X) MLOS_HOOKS_NEW(X) MLOS_HOOKS_DELETE(X)

enum {
#define OPERATOR_NUMBER(name, result, arguments) number##name,
  OPERATORS(OPERATOR_NUMBER)
#undef OPERATOR_NUMBER
      OPERATOR_COUNT
};

typedef mlos__Znwm_function new_function;
typedef mlos__ZdlPv_function delete_function;

enum manner { MANNER_UNKNOWN = 0, MANNER_OWN, MANNER_THROUGH_MALLOC };

struct operation {
  void *_Atomic forward; /* where to jump; NULL: count */
  void *const *real;
  _Atomic uint32_t manner;
};

static struct operation operators[OPERATOR_COUNT] = {
#define OPERATOR_ENTRY(name, result, arguments) {.real = (void *const *)&mlos_real.name},
    OPERATORS(OPERATOR_ENTRY)
#undef OPERATOR_ENTRY
};

/* Asked anew after each call: another thread may have learned it. */
static bool is_through_malloc(const struct operation *op) {
  return atomic_load_explicit(&op->manner, memory_order_relaxed) == MANNER_THROUGH_MALLOC;
}

static void settle(struct operation *op, bool forward_only) {
  void *real = *op->real;
  bool forward = forward_only || is_through_malloc(op) || !mlos_in_allocator(real);
  atomic_store_explicit(&op->forward, forward ? real : NULL, memory_order_relaxed);
}

void mlos_operators_settle(bool forward_only) {
  for (unsigned i = 0; i < OPERATOR_COUNT; i++)
    settle(&operators[i], forward_only);
}

/* Learns from a call that was watched whether it came back to our hooks. */
static void learn(struct operation *op, bool through_malloc) {
  atomic_store_explicit(&op->manner, through_malloc ? MANNER_THROUGH_MALLOC : MANNER_OWN, memory_order_relaxed);
  if (through_malloc)
    settle(op, false);
}

static bool must_learn(const struct operation *op, const struct mlos_slot *slot) {
  return atomic_load_explicit(&op->manner, memory_order_relaxed) == MANNER_UNKNOWN && slot != &mlos_agent.header->overflow;
}

/* Nobody defines the op, yet somebody found ours: by a weak reference at start, before it was withdrawn. */
static bool is_undefined(const struct operation *op) {
  return !*op->real && (!mlos_start() || !*op->real);
}

/* NULL: not counted. The allocator's own objects are not, as its use of malloc is not: tcmalloc makes some in its first
   malloc_usable_size, which must not be asked for their size in turn. */
static struct mlos_slot *slot_for(const void *real, const void *caller) {
  return mlos_in_allocator(real) && !mlos_in_allocator(caller) ? mlos_slot_of_thread(caller) : NULL;
}

static __attribute__((noinline)) void *count_new(size_t size, uintptr_t a, uintptr_t b, struct operation *op,
                                                 const void *caller) {
  if (mlos_unlikely(is_undefined(op)))
    return mlos_hook_malloc(size);
  new_function *real = (new_function *)*op->real;
  struct mlos_slot *slot = slot_for((const void *)real, caller);
  if (mlos_unlikely(!slot))
    return real(size, a, b);
  bool learning = must_learn(op, slot);
  uint64_t before = slot->allocations;
  void *memory = real(size, a, b);
  if (mlos_unlikely(!memory))
    return NULL;
  if (mlos_unlikely(learning))
    learn(op, slot->allocations != before);
  if (mlos_unlikely(is_through_malloc(op)))
    return memory;
  size_t bytes = mlos_usable_size(memory);
  mlos_add_allocation(slot, bytes, caller);
  mlos_heap_allocated(slot, memory, bytes);
  return memory;
}

static __attribute__((noinline)) void count_delete(void *memory, uintptr_t a, uintptr_t b, struct operation *op,
                                                   const void *caller) {
  if (mlos_unlikely(is_undefined(op))) {
    mlos_hook_free(memory);
    return;
  }
  delete_function *real = (delete_function *)*op->real;
  struct mlos_slot *slot = memory ? slot_for((const void *)real, caller) : NULL;
  if (mlos_unlikely(!slot)) {
    real(memory, a, b);
    return;
  }
  size_t bytes = mlos_usable_size(memory);
  mlos_heap_freed(memory);
  if (mlos_unlikely(must_learn(op, slot))) {
    uint64_t before = slot->frees;
    real(memory, a, b);
    learn(op, slot->frees != before);
    if (!is_through_malloc(op))
      mlos_add_free(slot, bytes);
    return;
  }
  if (mlos_likely(!is_through_malloc(op)))
    mlos_add_free(slot, bytes);
  real(memory, a, b);
}

#define NEW_HOOK(name, result, arguments)                                                                                        \
  void *mlos_hook_##name(size_t size, uintptr_t a, uintptr_t b) {                                                                \
    new_function *forward = (new_function *)atomic_load_explicit(&operators[number##name].forward, memory_order_relaxed);        \
    if (mlos_likely(forward != NULL))                                                                                            \
      __attribute__((musttail)) return forward(size, a, b);                                                                      \
    return count_new(size, a, b, &operators[number##name], __builtin_return_address(0));                                         \
  }
MLOS_HOOKS_NEW(NEW_HOOK)

#define DELETE_HOOK(name, result, arguments)                                                                                     \
  void mlos_hook_##name(void *memory, uintptr_t a, uintptr_t b) {                                                                \
    delete_function *forward = (delete_function *)atomic_load_explicit(&operators[number##name].forward, memory_order_relaxed);  \
    if (mlos_likely(forward != NULL))                                                                                            \
      __attribute__((musttail)) return forward(memory, a, b);                                                                    \
    count_delete(memory, a, b, &operators[number##name], __builtin_return_address(0));                                           \
  }
MLOS_HOOKS_DELETE(DELETE_HOOK)
