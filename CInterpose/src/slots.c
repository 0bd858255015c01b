/* Which slot a thread counts in, and the slow path of the hooks that finds out. */
#include "agent.h"
#include "counters.h"
#include "sys.h"
#include <errno.h>

__thread struct mlos_thread mlos_thread;

/* glibc keeps the thread id in its thread control block. The offset has held for x86-64 since 2.4 to 2.42; it is used only
   if it gives the main thread's id at start. */
#define GLIBC_TCB_TID_OFFSET 0x2d0
/* Below this many slots a new one is cheaper than asking whether an owner still lives. */
#define SLOTS_BEFORE_REUSE 16u
#define PROBES 4u
#define PROBES_WHEN_FULL 16u

uint32_t mlos_thread_id(void) {
#if defined(__x86_64__)
  if (mlos_agent.tcb_tid) {
    uintptr_t block;
    __asm__("movq %%fs:0x10, %0" : "=r"(block));
    return *(const volatile uint32_t *)(block + GLIBC_TCB_TID_OFFSET);
  }
#endif
  return (uint32_t)mlos_sys(SYS_gettid, 0, 0, 0, 0);
}

static bool is_dead(uint32_t tid) {
  return mlos_sys(SYS_tgkill, mlos_agent.pid, tid, 0, 0) == -ESRCH;
}

/* Takes the slot of a thread that has ended. Its counts stay: only their sum means something. */
static struct mlos_slot *reuse(struct mlos_slot *slots, uint32_t used, uint32_t tid, uint32_t probes) {
  static _Atomic uint32_t cursor;
  for (uint32_t i = 0; i < probes; i++) {
    struct mlos_slot *slot = &slots[atomic_fetch_add_explicit(&cursor, 1, memory_order_relaxed) % used];
    uint32_t owner = __atomic_load_n(&slot->tid, __ATOMIC_ACQUIRE);
    bool free_to_take = owner != 0 && (owner == tid || is_dead(owner));
    if (free_to_take && __atomic_compare_exchange_n(&slot->tid, &owner, tid, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
      return slot;
  }
  return NULL;
}

static struct mlos_slot *take_new(struct mlos_header *header, struct mlos_slot *slots, uint32_t tid) {
  uint32_t used = __atomic_load_n(&header->slots_used, __ATOMIC_RELAXED);
  while (used < MLOS_SLOT_CAPACITY)
    if (__atomic_compare_exchange_n(&header->slots_used, &used, used + 1, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
      __atomic_store_n(&slots[used].tid, tid, __ATOMIC_RELEASE);
      return &slots[used];
    }
  return NULL;
}

static struct mlos_slot *take(void) {
  struct mlos_header *header = mlos_agent.header;
  struct mlos_slot *slots = mlos_slots(header), *slot = NULL;
  uint32_t tid = mlos_thread_id(), used = __atomic_load_n(&header->slots_used, __ATOMIC_ACQUIRE);
  if (used >= SLOTS_BEFORE_REUSE && !atomic_load_explicit(&mlos_agent.frozen, memory_order_relaxed))
    slot = reuse(slots, used, tid, used < MLOS_SLOT_CAPACITY ? PROBES : PROBES_WHEN_FULL);
  if (!slot)
    slot = take_new(header, slots, tid);
  if (!slot) {
    mlos_thread.overflowed = 1;
    __atomic_fetch_add(&header->slots_overflowed, 1, __ATOMIC_RELAXED);
  }
  return slot;
}

/* NULL: none left, or the pages are being exchanged just now; count in the overflow slot and, then, ask again next time. */
static struct mlos_slot *claim(void) {
  struct mlos_slot *slot = NULL;
  atomic_fetch_add(&mlos_agent.claiming, 1);
  if (!atomic_load(&mlos_agent.exchanging))
    slot = take();
  atomic_fetch_sub(&mlos_agent.claiming, 1);
  return slot;
}

/* Whether any slot but the caller's may still be written; asked once a fork. */
bool mlos_other_slots_live(void) {
  const struct mlos_slot *slots = mlos_slots(mlos_agent.header);
  uint32_t used = __atomic_load_n(&mlos_agent.header->slots_used, __ATOMIC_ACQUIRE), tid = mlos_thread_id();
  /* 64: at 0.1 us a probe a fork is not noticeably slower; more slots than that count as alive. */
  if (used > 64)
    return true;
  for (uint32_t i = 0; i < used; i++)
    if (slots[i].tid != tid && !is_dead(slots[i].tid))
      return true;
  return false;
}

struct mlos_slot *mlos_slot_slow(const void *caller) {
  bool ready = mlos_ready();
  if (mlos_thread.forking)
    return mlos_thread.saved;
  if (!ready || mlos_mode() != MLOS_MODE_COUNTING)
    return NULL;
  if (mlos_thread.deferred) {
    struct mlos_slot *slot = mlos_thread.saved;
    if (caller && !mlos_in_runtime(caller)) {
      mlos_thread.deferred = 0;
      mlos_thread.saved = NULL;
      mlos_thread.self = slot;
      mlos_tick(slot, caller);
    }
    return slot;
  }
  if (mlos_thread.overflowed)
    return &mlos_agent.header->overflow;
  struct mlos_slot *slot = mlos_thread.self ? mlos_thread.self : claim();
  mlos_thread.self = slot;
  return slot ? slot : &mlos_agent.header->overflow;
}
