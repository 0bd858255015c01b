/*
 * The segment: made anonymous, given a memfd when a supervisor is there, made anew in a forked child. Its address never
 * changes, so that threads may keep pointers into it.
 *
 * Exchanging the pages under running threads: a shared mapping is duplicated by mremap with an old size of 0, then the new
 * mapping is moved over the segment's address. The kernel has flushed every processor's translations when that call
 * returns, and each counter is raised by one instruction (counters.h), so an addition lands on one of the two. What the
 * old pages hold is then added to the header's base, and the sum over base and slots is what it was.
 */
#include "agent.h"
#include "counters.h"
#include "mlos_agent.h"
#include "sys.h"
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "rare.h"

#ifndef MFD_CLOEXEC
#define MFD_CLOEXEC 1u
#define MFD_ALLOW_SEALING 2u
#endif

struct mlos_descriptor mlos_memfd = {.number = -1};

struct mlos_slot *mlos_slots(struct mlos_header *header) {
  return (struct mlos_slot *)(void *)((uint8_t *)header + MLOS_SLOTS_OFFSET);
}

static bool failed(long address) {
  return address < 0 && address > -4096;
}

static void fill_header(struct mlos_header *header) {
  header->magic = MLOS_ABI_MAGIC;
  header->abi_version = MLOS_ABI_VERSION;
  header->header_size = sizeof *header;
  header->segment_size = MLOS_SEGMENT_SIZE;
  header->slots_offset = MLOS_SLOTS_OFFSET;
  header->slot_size = sizeof(struct mlos_slot);
  header->slots_capacity = MLOS_SLOT_CAPACITY;
  header->modules_offset = MLOS_MODULES_OFFSET;
  header->module_size = sizeof(struct mlos_module);
  header->modules_capacity = MLOS_MODULE_CAPACITY;
  header->events_offset = MLOS_EVENTS_OFFSET;
  header->event_size = sizeof(struct mlos_event);
  header->events_capacity = MLOS_EVENT_CAPACITY;
  header->strings_offset = MLOS_STRINGS_OFFSET;
  header->strings_size = MLOS_STRING_BYTES;
  header->pid = (uint32_t)mlos_agent.pid;
  header->start_ns = mlos_now_ns();
  header->capabilities =
      MLOS_CAPABILITY_HEAP_PROFILE | MLOS_CAPABILITY_RECLAIM | MLOS_CAPABILITY_MODULE_CACHE | MLOS_CAPABILITY_CALLBACKS;
  memcpy(header->agent_version, MLOS_AGENT_VERSION, sizeof MLOS_AGENT_VERSION);
}

static struct mlos_header *map_anonymous(void) {
  long address =
      mlos_sys6(SYS_mmap, 0, MLOS_SEGMENT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return failed(address) ? NULL : (struct mlos_header *)address;
}

bool mlos_segment_create(void) {
  mlos_agent.header = map_anonymous();
  if (!mlos_agent.header)
    return false;
  fill_header(mlos_agent.header);
  return true;
}

static void add_slot(uint64_t sums[4], const struct mlos_slot *slot) {
  sums[0] += __atomic_load_n(&slot->allocations, __ATOMIC_RELAXED);
  sums[1] += __atomic_load_n(&slot->frees, __ATOMIC_RELAXED);
  sums[2] += __atomic_load_n(&slot->bytes_allocated, __ATOMIC_RELAXED);
  sums[3] += __atomic_load_n(&slot->bytes_freed, __ATOMIC_RELAXED);
}

/* Allocations, frees, bytes allocated, bytes freed of the process so far: base, slots and overflow. */
void mlos_segment_sums(const struct mlos_header *header, uint64_t sums[4]) {
  sums[0] = header->base_allocations;
  sums[1] = header->base_frees;
  sums[2] = header->base_bytes_allocated;
  sums[3] = header->base_bytes_freed;
  const struct mlos_slot *slots = mlos_slots((struct mlos_header *)(uintptr_t)header);
  uint32_t used = __atomic_load_n(&header->slots_used, __ATOMIC_ACQUIRE);
  for (uint32_t i = 0; i < used && i < MLOS_SLOT_CAPACITY; i++)
    add_slot(sums, &slots[i]);
  add_slot(sums, &header->overflow);
}

static void set_base(struct mlos_header *header, const uint64_t sums[4]) {
  header->base_allocations = sums[0];
  header->base_frees = sums[1];
  header->base_bytes_allocated = sums[2];
  header->base_bytes_freed = sums[3];
}

/* Copies what describes the libraries; the caller holds modules_lock or is alone. */
static void copy_modules(struct mlos_header *to, const struct mlos_header *from) {
  to->modules_epoch = from->modules_epoch;
  uint32_t count = from->modules_count, strings = from->strings_used;
  if (count > MLOS_MODULE_CAPACITY || strings > MLOS_STRING_BYTES)
    return;
  to->modules_count = count;
  to->strings_used = strings;
  to->modules_dropped = from->modules_dropped;
  to->name_spaces = from->name_spaces;
  to->dl_adds = from->dl_adds;
  to->dl_subs = from->dl_subs;
  to->table_updated_ns = from->table_updated_ns;
  memcpy((uint8_t *)to + MLOS_MODULES_OFFSET, (const uint8_t *)from + MLOS_MODULES_OFFSET, count * sizeof(struct mlos_module));
  memcpy((uint8_t *)to + MLOS_STRINGS_OFFSET, (const uint8_t *)from + MLOS_STRINGS_OFFSET, strings);
}

/* A memfd of the segment's size. Sealed, so that nobody can cut pages away under a reader. */
static bool make_memfd(struct mlos_descriptor *descriptor) {
  struct rlimit limit;
  /* Growing a file over RLIMIT_FSIZE would send the host SIGXFSZ. */
  if (mlos_sys(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, &limit) < 0 || limit.rlim_cur < MLOS_SEGMENT_SIZE)
    return false;
  long number = mlos_sys(SYS_memfd_create, "mlos-agent", MFD_CLOEXEC | MFD_ALLOW_SEALING, 0, 0);
  if (number < 0 || !mlos_descriptor_adopt(descriptor, (int)number))
    return false;
  if (mlos_sys(SYS_ftruncate, descriptor->number, MLOS_SEGMENT_SIZE, 0, 0) < 0) {
    mlos_descriptor_close(descriptor);
    return false;
  }
  mlos_sys(SYS_fcntl, descriptor->number, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, 0);
  return true;
}

static void copy_owners(struct mlos_header *to, struct mlos_header *from) {
  uint32_t used = __atomic_load_n(&from->slots_used, __ATOMIC_ACQUIRE);
  for (uint32_t i = 0; i < used; i++)
    mlos_slots(to)[i].tid = mlos_slots(from)[i].tid;
  to->slots_used = used;
}

static void copy_description(struct mlos_header *to, const struct mlos_header *from) {
  fill_header(to);
  to->parent_pid = from->parent_pid;
  to->start_ns = from->start_ns;
  to->allocator = from->allocator;
  to->glibc_minor = from->glibc_minor;
  to->state = from->state;
  to->reason = from->reason;
  to->control_thread = from->control_thread;
  to->wakeups = from->wakeups;
  to->reconnects = from->reconnects;
  to->base_inexact = from->base_inexact;
  to->cache_limit = from->cache_limit;
  to->cache_reopens = from->cache_reopens;
  to->cache_evictions = from->cache_evictions;
  to->cache_refusals = from->cache_refusals;
  copy_modules(to, from);
}

/* What threads may have written between the copy and the exchange is added, not copied. */
static void add_counts(struct mlos_header *to, const struct mlos_header *old) {
  uint64_t sums[4];
  mlos_segment_sums(old, sums);
  __atomic_fetch_add(&to->base_allocations, sums[0], __ATOMIC_RELAXED);
  __atomic_fetch_add(&to->base_frees, sums[1], __ATOMIC_RELAXED);
  __atomic_fetch_add(&to->base_bytes_allocated, sums[2], __ATOMIC_RELAXED);
  __atomic_fetch_add(&to->base_bytes_freed, sums[3], __ATOMIC_RELAXED);
  __atomic_fetch_add(&to->slots_overflowed, old->slots_overflowed, __ATOMIC_RELAXED);
  __atomic_fetch_add(&to->dlopen_calls, old->dlopen_calls, __ATOMIC_RELAXED);
  __atomic_fetch_add(&to->dlmopen_calls, old->dlmopen_calls, __ATOMIC_RELAXED);
  __atomic_fetch_add(&to->dlclose_calls, old->dlclose_calls, __ATOMIC_RELAXED);
  __atomic_fetch_add(&to->forks, old->forks, __ATOMIC_RELAXED);
  __atomic_fetch_add(&to->execs, old->execs, __ATOMIC_RELAXED);
  __atomic_fetch_add(&to->callbacks, old->callbacks, __ATOMIC_RELAXED);
  __atomic_fetch_add(&to->busy_regions, old->busy_regions, __ATOMIC_RELAXED);
}

/* The old ring's events go behind those written since the exchange; their time says when they happened. */
static void replay_events(struct mlos_header *to, const struct mlos_header *old) {
  const struct mlos_event *from = (const struct mlos_event *)(const void *)((const uint8_t *)old + MLOS_EVENTS_OFFSET);
  struct mlos_event *ring = (struct mlos_event *)(void *)((uint8_t *)to + MLOS_EVENTS_OFFSET);
  uint64_t head = old->events_head, first = head > MLOS_EVENT_CAPACITY ? head - MLOS_EVENT_CAPACITY : 0;
  for (uint64_t i = first; i < head; i++) {
    const struct mlos_event *event = &from[i & (MLOS_EVENT_CAPACITY - 1)];
    if (event->sequence != i + 1)
      continue;
    uint64_t index = __atomic_fetch_add(&to->events_head, 1, __ATOMIC_RELAXED);
    struct mlos_event *place = &ring[index & (MLOS_EVENT_CAPACITY - 1)];
    *place = *event;
    __atomic_store_n(&place->sequence, index + 1, __ATOMIC_RELEASE);
  }
}

static bool exchange_pages(const struct mlos_descriptor *descriptor) {
  struct mlos_header *header = mlos_agent.header;
  long fresh = mlos_sys6(SYS_mmap, 0, MLOS_SEGMENT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor->number, 0);
  if (failed(fresh))
    return false;
  long old = mlos_sys(SYS_mremap, header, 0, MLOS_SEGMENT_SIZE, MREMAP_MAYMOVE);
  if (failed(old)) {
    mlos_sys(SYS_munmap, fresh, MLOS_SEGMENT_SIZE, 0, 0);
    return false;
  }
  copy_description((struct mlos_header *)fresh, header);
  copy_owners((struct mlos_header *)fresh, header);
  long moved = mlos_sys6(SYS_mremap, fresh, MLOS_SEGMENT_SIZE, MLOS_SEGMENT_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, (long)header, 0);
  if (failed(moved)) {
    mlos_sys(SYS_munmap, fresh, MLOS_SEGMENT_SIZE, 0, 0);
  } else {
    add_counts(header, (const struct mlos_header *)old);
    replay_events(header, (const struct mlos_header *)old);
  }
  mlos_sys(SYS_munmap, old, MLOS_SEGMENT_SIZE, 0, 0);
  return !failed(moved);
}

bool mlos_segment_share(void) {
  if (mlos_memfd.number >= 0)
    return mlos_descriptor_is_ours(&mlos_memfd);
  if (atomic_exchange(&mlos_agent.exchanging, true))
    return false;
  bool shared = false;
  if (atomic_load(&mlos_agent.claiming) == 0 &&
      !atomic_flag_test_and_set_explicit(&mlos_agent.modules_lock, memory_order_acquire)) {
    struct mlos_descriptor descriptor;
    if (make_memfd(&descriptor)) {
      shared = exchange_pages(&descriptor);
      if (shared)
        mlos_memfd = descriptor;
      else
        mlos_descriptor_close(&descriptor);
    }
    atomic_flag_clear_explicit(&mlos_agent.modules_lock, memory_order_release);
  }
  atomic_store(&mlos_agent.exchanging, false);
  return shared;
}

/* A child starts from what its parent's heap held at the fork, under the same address. The parent's pages stay the
   parent's: until here the child has written nothing to them. */
bool mlos_segment_renew_in_child(void) {
  struct mlos_header *header = mlos_agent.header, *fresh = map_anonymous();
  if (!fresh)
    return false;
  mlos_agent.pid = (pid_t)mlos_sys(SYS_getpid, 0, 0, 0, 0);
  fill_header(fresh);
  fresh->parent_pid = header->pid;
  fresh->allocator = header->allocator;
  fresh->glibc_minor = header->glibc_minor;
  fresh->state = header->state;
  /* A reason that was about descriptors or the supervisor need not hold for the child. */
  if (header->reason == MLOS_REASON_MIXED_ALLOCATOR || header->reason == MLOS_REASON_SELF_CHECK)
    fresh->reason = header->reason;
  fresh->base_inexact = mlos_thread.fork_inexact;
  set_base(fresh, mlos_thread.fork_sums);
  uint64_t before = __atomic_load_n(&header->modules_sequence, __ATOMIC_ACQUIRE);
  copy_modules(fresh, header);
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  if ((before & 1) || __atomic_load_n(&header->modules_sequence, __ATOMIC_RELAXED) != before) {
    /* The parent was writing: start with an empty table; the next refresh fills it. */
    fresh->modules_epoch++;
    fresh->modules_count = fresh->strings_used = 0;
    fresh->dl_adds = fresh->dl_subs = 0;
  }
  long moved =
      mlos_sys6(SYS_mremap, (long)fresh, MLOS_SEGMENT_SIZE, MLOS_SEGMENT_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, (long)header, 0);
  return !failed(moved);
}

#pragma clang attribute pop
